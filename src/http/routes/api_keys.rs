//! The caller's API keys. Sessions only: a key can't make keys.

use crate::{
    db::api_keys::ApiKeyRow,
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::JsonBody,
        params::{PathId, parse_time},
        views::ErrorView,
    },
    service::api_keys::{NewApiKey, Scope, parse_scopes},
};
use actix_web::{HttpResponse, delete, get, post, web};
use cdn_actors::domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Deserialize, ToSchema)]
struct ApiKeyBody {
    #[schema(required = true)]
    name: Option<String>,
    /// Any of `read`, `upload`, `manage`.
    #[schema(required = true)]
    scopes: Option<Vec<String>>,
    /// RFC 3339; null or absent: never.
    expires_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ApiKeyView {
    id: Uuid,
    name: String,
    /// How the key begins.
    hint: String,
    scopes: Vec<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Exact to a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
struct NewApiKeyView {
    #[serde(flatten)]
    api_key: ApiKeyView,
    /// The key itself: shown now and never again.
    key: String,
}

impl From<ApiKeyRow> for ApiKeyView {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            hint: row.hint,
            scopes: parse_scopes(&row.scopes).into_iter().map(Scope::as_str).collect(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Into::into),
            last_used_at: row.last_used_at.map(Into::into),
        }
    }
}

/// The caller's keys, newest first.
#[utoipa::path(tag = "auth", responses(
    (status = 200, body = Vec<ApiKeyView>), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
))]
#[get("/cdn/api-keys")]
pub async fn list_keys(caller: CurrentUser, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let rows = state.services.list_api_keys(caller.id()).await?;
    let views: Vec<ApiKeyView> = rows.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}

/// Makes a key with a part of the caller's rights. The key is in this answer only.
#[utoipa::path(tag = "auth", request_body = ApiKeyBody, responses(
    (status = 201, body = NewApiKeyView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 409, body = ErrorView),
))]
#[post("/cdn/api-keys")]
pub async fn create_key(
    caller: CurrentUser,
    state: web::Data<AppState>,
    body: JsonBody<ApiKeyBody>,
) -> Result<HttpResponse, ApiError> {
    let ApiKeyBody { name, scopes, expires_at } = body.0;
    let required = |field: &str| ApiError::field(field, "This field is required.");
    let name = name.ok_or_else(|| required("name"))?;
    let mut parsed = Vec::new();
    for scope in scopes.ok_or_else(|| required("scopes"))? {
        let scope = Scope::parse(&scope)
            .ok_or_else(|| ApiError::field("scopes", "Not valid: expected read, upload or manage."))?;
        parsed.push(scope);
    }
    let expires_at = match expires_at.filter(|text| !text.is_empty()) {
        Some(text) => Some(
            parse_time(&text)
                .ok_or_else(|| ApiError::field("expires_at", "Not valid: expected a time of RFC 3339."))?,
        ),
        None => None,
    };
    let new = NewApiKey { name, scopes: parsed, expires_at };
    let (row, key) = state.services.create_api_key(caller.id(), new).await?;
    Ok(HttpResponse::Created().json(NewApiKeyView { api_key: row.into(), key }))
}

/// Deletes a key; requests with it are refused from then on.
#[utoipa::path(tag = "auth", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[delete("/cdn/api-keys/{id}")]
pub async fn delete_key(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    state.services.delete_api_key(caller.id(), id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
