//! The people a share was given to.

use super::shares::SharedUserBody;
use crate::{
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::JsonBody,
        params::{PathId, Query},
        share_views::SharedUserView,
        views::{ErrorView, MessageView},
    },
    service::shares::people::Added,
};
use actix_web::{HttpResponse, delete, get, post, web};
use cdn_actors::domain::ids::ShareId;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
struct AddedView {
    /// `User added` or `Permission updated`.
    message: &'static str,
    user_email: String,
    permission_level: &'static str,
}

impl From<Added> for AddedView {
    fn from(added: Added) -> Self {
        Self {
            message: if added.is_new { "User added" } else { "Permission updated" },
            user_email: added.email,
            permission_level: added.permission.as_str(),
        }
    }
}

/// The people of a share, for the thing's owner and admins.
#[utoipa::path(tag = "shares", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Vec<SharedUserView>), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/shares/{id}/shared_users")]
pub async fn list_shared_users(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let people = state.services.list_shared_users(caller.id(), ShareId(id.0)).await?;
    let views: Vec<SharedUserView> = people.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}

/// Gives a share to somebody, or another level of it.
#[utoipa::path(tag = "shares", params(("id" = Uuid, Path)), request_body = SharedUserBody, responses(
    (status = 200, body = AddedView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[post("/cdn/shares/{id}/add_user")]
pub async fn add_shared_user(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
    body: JsonBody<SharedUserBody>,
) -> Result<HttpResponse, ApiError> {
    let new = body.0.parse()?;
    let added = state.services.add_shared_user(&caller.origin, ShareId(id.0), new).await?;
    Ok(HttpResponse::Ok().json(AddedView::from(added)))
}

/// Takes a share back from somebody.
#[utoipa::path(tag = "shares", params(("id" = Uuid, Path), ("user_email" = String, Query)), responses(
    (status = 200, body = MessageView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[delete("/cdn/shares/{id}/remove_user")]
pub async fn remove_shared_user(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let email = query.text("user_email")?;
    let email = email.ok_or_else(|| ApiError::field("user_email", "This field is required."))?;
    state.services.remove_shared_user(caller.id(), ShareId(id.0), &email).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: "User access has been removed" }))
}
