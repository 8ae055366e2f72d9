//! The HTTP side: routes, extractors, views, limits, and the one table that turns errors into answers.

mod access;
mod auth;
mod body;
mod client;
mod cookies;
mod csrf;
mod error;
mod fallback;
mod form_data;
mod limits;
mod link_views;
mod metrics;
mod multipart;
mod observe;
mod openapi;
mod pages;
mod params;
pub mod routes;
mod share_page;
mod share_views;
mod unread;
mod views;

pub use error::ApiError;
pub use limits::RateLimits;
pub use metrics::Metrics;
pub use openapi::document;

use crate::service::Services;
use actix_cors::Cors;
use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::{NormalizePath, TrailingSlash, from_fn},
    web,
};
use std::sync::Arc;
use utoipa_actix_web::AppExt;

/// What every handler can reach.
#[derive(Clone)]
pub struct AppState {
    pub services: Services,
    pub metrics: Metrics,
    pub limits: Arc<RateLimits>,
    /// Scheme, host and port of every absolute URL, without a slash at its end.
    pub base_url: Arc<str>,
}

impl AppState {
    pub fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    /// What stands before every path where a proxy serves this server below one; else "".
    pub fn base_path(&self) -> &str {
        let after_scheme = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        after_scheme.find('/').map_or("", |at| &after_scheme[at..])
    }
}

/// Seconds that a browser may keep the answer to a CORS preflight.
const PREFLIGHT_MAX_AGE: usize = 600;

/// One worker's application. Routes are named once, in [`routes`], for the server and for OpenAPI.
pub fn app(
    state: AppState,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let api = utoipa_actix_web::scope("/api")
        .configure(routes::register_api)
        .wrap(from_fn(limits::limit_api))
        .wrap(cors(&state));
    let (app, document) = App::new()
        .configure(openapi::serve_page)
        .into_utoipa_app()
        .openapi(openapi::base(&state.base_url))
        .service(api)
        .configure(routes::register_public)
        .split_for_parts();
    let document = openapi::canonical(document);
    let table = fallback::RouteTable::of(&document);
    app.app_data(web::Data::new(state))
        .app_data(web::Data::new(document))
        .app_data(web::Data::new(table))
        .default_service(web::to(fallback::answer))
        .wrap(from_fn(csrf::refuse_foreign_writes))
        .wrap(from_fn(limits::limit_content))
        .wrap(NormalizePath::new(TrailingSlash::Trim))
        .wrap(from_fn(observe::observe))
        .wrap(from_fn(unread::hold))
}

/// Credentials for the configured frontends only; no other origin is ever reflected. Content under `/f/`
/// is for everybody and says so itself.
fn cors(state: &AppState) -> Cors {
    let origins = state.services.config.server.frontend_origins.clone();
    Cors::default()
        .allowed_origin_fn(move |origin, _| {
            origin.to_str().is_ok_and(|origin| origins.iter().any(|allowed| allowed == origin))
        })
        .allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allowed_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::HeaderName::from_static("last-event-id"),
            header::HeaderName::from_static("x-requested-with"),
            header::HeaderName::from_static("x-share-password"),
        ])
        .expose_headers([header::RETRY_AFTER, header::HeaderName::from_static("x-request-id")])
        .supports_credentials()
        .max_age(PREFLIGHT_MAX_AGE)
}
