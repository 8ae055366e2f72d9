//! Liveness, readiness, metrics.

use crate::http::{ApiError, AppState};
use crate::service::ServiceError;
use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// How long each part has to answer a readiness check.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a part of the server works.
#[derive(Debug, Serialize, ToSchema)]
struct HealthView {
    status: &'static str,
    checks: ChecksView,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChecksView {
    database: &'static str,
    blob_store: &'static str,
    actors: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct LiveView {
    status: &'static str,
}

/// The process answers.
#[utoipa::path(tag = "operation", security(()), responses((status = 200, body = LiveView)))]
#[get("/healthz")]
pub async fn check_liveness() -> HttpResponse {
    HttpResponse::Ok().json(LiveView { status: "ok" })
}

/// Database, blob store and actors answer.
#[utoipa::path(tag = "operation", security(()), responses(
    (status = 200, body = HealthView), (status = 503, body = HealthView),
))]
#[get("/readyz")]
pub async fn check_readiness(state: web::Data<AppState>) -> HttpResponse {
    let services = &state.services;
    let database = tokio::time::timeout(PROBE_TIMEOUT, services.db.has_users());
    let blob_store = tokio::time::timeout(PROBE_TIMEOUT, services.blobs.probe());
    let (database, blob_store) = futures_util::join!(database, blob_store);
    let word = |is_up: bool| if is_up { "ok" } else { "unavailable" };
    let database = database.is_ok_and(|probe| probe.is_ok());
    let blob_store = blob_store.is_ok_and(|probe| probe.is_ok());
    let actors = services.janitor().is_some_and(|janitor| janitor.snapshot().actor.alive)
        && services.shares.snapshot().alive;
    let checks = ChecksView { database: word(database), blob_store: word(blob_store), actors: word(actors) };
    if database && blob_store && actors {
        HttpResponse::Ok().json(HealthView { status: "ok", checks })
    } else {
        HttpResponse::ServiceUnavailable()
            .insert_header(("Retry-After", "1"))
            .json(HealthView { status: "unavailable", checks })
    }
}

/// All metrics in the Prometheus text format.
#[utoipa::path(tag = "operation", security(()), responses(
    (status = 200, body = String, content_type = "text/plain; version=0.0.4"),
))]
#[get("/metrics")]
pub async fn show_metrics(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let text =
        state.metrics.render(&state.services).map_err(|error| ServiceError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
