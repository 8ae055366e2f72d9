//! Shares: list, make, show, change, end, and who came by the link.

use super::folders::present;
use crate::{
    db::trash::ResourceType,
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::JsonBody,
        pages::PageView,
        params::{PathId, Query, parse_time},
        share_views::{AccessLogView, ShareStatusView, ShareView},
        views::ErrorView,
    },
    service::{
        ServiceError,
        shares::{NewGrant, NewShare, ShareChange},
    },
};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, route, web};
use cdn_actors::domain::{ids::ShareId, password::MAX_PASSWORD_BYTES, permission::Permission};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most people given a share by one request.
const MAX_PEOPLE: usize = 100;

/// A share to be made, or what to change of one; then what is shared and with whom is left as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ShareBody {
    /// file or folder.
    resource_type: Option<String>,
    resource_id: Option<String>,
    /// view, download, edit or admin; default: view.
    permission_level: Option<String>,
    /// Anybody with the link may see it.
    is_public: Option<bool>,
    /// RFC 3339; null: no end.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
    /// By the link; default: true.
    allow_download: Option<bool>,
    /// By the link; default: true.
    allow_preview: Option<bool>,
    /// By the link, 1 or more; null: no limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    download_limit: Option<Option<i64>>,
    /// Of the link; null or empty: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    password: Option<Option<String>>,
    /// A new link; the old one ends.
    rotate_token: Option<bool>,
    /// Anybody with the link may upload into the folder and sees nothing of it; needs `edit`.
    allow_upload: Option<bool>,
    /// Uploads by the link in all, 1 or more; null: no limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    max_files: Option<Option<i64>>,
    /// Bytes of one upload by the link, 1 or more; null: the owner's own limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    max_size: Option<Option<i64>>,
    shared_users: Option<Vec<SharedUserBody>>,
}

/// Somebody to share with.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SharedUserBody {
    user_email: Option<AddressBody>,
    /// The e-mail address as well.
    username: Option<String>,
    /// Default: that of the share.
    permission_level: Option<String>,
}

/// An e-mail address, or an object that has one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AddressBody {
    Text(String),
    User { username: String },
}

impl SharedUserBody {
    /// # Errors
    /// 400 without an address, or with an unknown level.
    pub fn parse(self) -> Result<NewGrant, ApiError> {
        let email = match (self.user_email, self.username) {
            (Some(AddressBody::Text(email) | AddressBody::User { username: email }), _) => Some(email),
            (None, username) => username,
        };
        let email = email.filter(|email| !email.trim().is_empty());
        let email = email.ok_or_else(|| ApiError::field("user_email", "This field is required."))?;
        Ok(NewGrant { email, permission: parse_permission(self.permission_level.as_deref())? })
    }
}

fn parse_permission(text: Option<&str>) -> Result<Option<Permission>, ApiError> {
    let parsed = text.map(Permission::parse).transpose();
    Ok(parsed.map_err(ServiceError::invalid("permission_level"))?)
}

fn at_least_one(field: &str, number: Option<Option<i64>>) -> Result<Option<Option<i64>>, ApiError> {
    if number.flatten().is_some_and(|number| number < 1) {
        return Err(ApiError::field(field, "Ensure this value is greater than or equal to 1."));
    }
    Ok(number)
}

impl ShareBody {
    fn settings(&self) -> Result<ShareChange, ApiError> {
        let expires_at = match self.expires_at.as_ref() {
            Some(Some(text)) if !text.is_empty() => {
                let time = parse_time(text);
                let time = time.ok_or_else(|| ApiError::field("expires_at", "Enter a time of RFC 3339."))?;
                Some(Some(time))
            }
            Some(_) => Some(None),
            None => None,
        };
        let password = self.password.clone().map(|password| password.filter(|text| !text.is_empty()));
        if password.iter().flatten().any(|password| password.len() > MAX_PASSWORD_BYTES) {
            let message = format!("This field takes at most {MAX_PASSWORD_BYTES} bytes.");
            return Err(ApiError::field("password", message));
        }
        Ok(ShareChange {
            permission: parse_permission(self.permission_level.as_deref())?,
            is_public: self.is_public,
            expires_at,
            allow_download: self.allow_download,
            allow_preview: self.allow_preview,
            download_limit: at_least_one("download_limit", self.download_limit)?,
            password,
            rotate_token: self.rotate_token.unwrap_or(false),
            allow_upload: self.allow_upload,
            max_files: at_least_one("max_files", self.max_files)?,
            max_size: at_least_one("max_size", self.max_size)?,
        })
    }
}

/// What the caller shares and was given, newest first.
#[utoipa::path(tag = "shares", params(("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query)), responses(
    (status = 200, body = PageView<ShareView>), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/shares")]
pub async fn list_shares(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let (count, shares) = state.services.list_shares(caller.id(), page).await?;
    let views: Vec<ShareView> =
        shares.into_iter().map(|share| ShareView::new(&state.base_url, share)).collect();
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}

/// Shares a file or folder with people, by a link, or both.
#[utoipa::path(tag = "shares", request_body = ShareBody, responses(
    (status = 201, body = ShareView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[post("/cdn/shares")]
pub async fn create_share(
    caller: CurrentUser,
    state: web::Data<AppState>,
    body: JsonBody<ShareBody>,
) -> Result<HttpResponse, ApiError> {
    let settings = body.settings()?;
    let kind = parse_kind(body.resource_type.as_deref())?;
    let thing = parse_thing(body.resource_id.as_deref())?;
    let people = body.0.shared_users.unwrap_or_default();
    if people.len() > MAX_PEOPLE {
        return Err(ApiError::field("shared_users", format!("Send at most {MAX_PEOPLE} users.")));
    }
    let people = people.into_iter().map(SharedUserBody::parse).collect::<Result<_, _>>()?;
    let new = NewShare { kind, thing, settings, people };
    let share = state.services.create_share(&caller.origin, new).await?;
    Ok(HttpResponse::Created().json(ShareView::new(&state.base_url, share)))
}

fn parse_kind(text: Option<&str>) -> Result<ResourceType, ApiError> {
    let text = text.ok_or_else(|| ApiError::field("resource_type", "This field is required."))?;
    ResourceType::parse(text).ok_or_else(|| ApiError::field("resource_type", "One of file, folder."))
}

/// An id that is none names nothing of anybody.
fn parse_thing(text: Option<&str>) -> Result<Uuid, ApiError> {
    let text = text.ok_or_else(|| ApiError::field("resource_id", "This field is required."))?;
    Uuid::parse_str(text).map_err(|_| ApiError::NOT_FOUND)
}

/// The shares of one thing that the caller owns or was given, oldest first.
#[utoipa::path(tag = "shares", params(
    ("resource_type" = String, Query, description = "file or folder"), ("resource_id" = Uuid, Query),
), responses(
    (status = 200, body = Vec<ShareStatusView>), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/shares/status")]
pub async fn show_share_status(
    caller: CurrentUser,
    state: web::Data<AppState>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let kind = parse_kind(query.get("resource_type"))?;
    let thing = query.get_with("resource_id", "a UUID", |text| Uuid::parse_str(text).ok())?;
    let thing = thing.ok_or_else(|| ApiError::field("resource_id", "This field is required."))?;
    let statuses = state.services.share_status(caller.id(), kind, thing).await?;
    let views: Vec<ShareStatusView> = statuses.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}

/// One share, for the thing's owner and admins.
#[utoipa::path(tag = "shares", params(("id" = Uuid, Path)), responses(
    (status = 200, body = ShareView), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/shares/{id}")]
pub async fn show_share(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let share = state.services.share(caller.id(), ShareId(id.0)).await?;
    Ok(HttpResponse::Ok().json(ShareView::new(&state.base_url, share)))
}

/// Changes a share; null clears, absent leaves.
#[utoipa::path(method(put, patch), tag = "shares", params(("id" = Uuid, Path)), request_body = ShareBody, responses(
    (status = 200, body = ShareView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[route("/cdn/shares/{id}", method = "PUT", method = "PATCH")]
pub async fn change_share(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
    body: JsonBody<ShareBody>,
) -> Result<HttpResponse, ApiError> {
    let share = state.services.change_share(&caller.origin, ShareId(id.0), body.settings()?).await?;
    Ok(HttpResponse::Ok().json(ShareView::new(&state.base_url, share)))
}

/// Ends a share for everybody.
#[utoipa::path(tag = "shares", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[delete("/cdn/shares/{id}")]
pub async fn delete_share(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    state.services.delete_share(caller.id(), ShareId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who came by the link, newest first.
#[utoipa::path(tag = "shares", params(
    ("id" = Uuid, Path), ("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = PageView<AccessLogView>), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/shares/{id}/access_logs")]
pub async fn list_access_logs(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    id: PathId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let (count, logs) = state.services.list_access_logs(caller.id(), ShareId(id.0), page).await?;
    let views: Vec<AccessLogView> = logs.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}
