//! Stars and recents.

use crate::{
    db::trash::ResourceType,
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        params::PathId,
        views::{ErrorView, FileView, file_views},
    },
};
use actix_web::{HttpResponse, get, post, web};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
struct StarredView {
    starred: bool,
}

/// Turns the caller's star on a file on or off.
#[utoipa::path(tag = "files", params(("id" = Uuid, Path)), responses(
    (status = 200, body = StarredView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[post("/cdn/files/{id}/star")]
pub async fn toggle_file_star(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    toggle(caller, state, ResourceType::File, id).await
}

/// Turns the caller's star on a folder on or off.
#[utoipa::path(tag = "folders", params(("id" = Uuid, Path)), responses(
    (status = 200, body = StarredView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[post("/cdn/folders/{id}/star")]
pub async fn toggle_folder_star(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    toggle(caller, state, ResourceType::Folder, id).await
}

async fn toggle(
    caller: CurrentUser,
    state: web::Data<AppState>,
    kind: ResourceType,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let starred = state.services.toggle_star(caller.id(), kind, id.0).await?;
    Ok(HttpResponse::Ok().json(StarredView { starred }))
}

/// The caller's starred files, last starred first.
#[utoipa::path(tag = "files", responses((status = 200, body = Vec<FileView>), (status = 401, body = ErrorView)))]
#[get("/cdn/files/starred")]
pub async fn list_starred(caller: CurrentUser, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let files = state.services.list_starred(caller.id()).await?;
    Ok(HttpResponse::Ok().json(file_views(&state.base_url, &files)))
}

/// The 20 files of the caller that were accessed last.
#[utoipa::path(tag = "files", responses((status = 200, body = Vec<FileView>), (status = 401, body = ErrorView)))]
#[get("/cdn/files/recent")]
pub async fn list_recent(caller: CurrentUser, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let files = state.services.list_recent(caller.id()).await?;
    Ok(HttpResponse::Ok().json(file_views(&state.base_url, &files)))
}
