//! Search by any part of a name.

use crate::http::{
    ApiError, AppState,
    auth::CurrentUser,
    params::Query,
    views::{ErrorView, FileView, FolderView, file_views, folder_views},
};
use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
struct SearchView {
    query: String,
    results: FoundView,
}

#[derive(Debug, Serialize, ToSchema)]
struct FoundView {
    files: Vec<FileView>,
    folders: Vec<FolderView>,
}

/// Up to 20 files and 20 folders whose names contain the text in any case, newest first.
#[utoipa::path(tag = "search", params(("q" = String, Query)), responses(
    (status = 200, body = SearchView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
))]
#[get("/cdn/search")]
pub async fn search(
    caller: CurrentUser,
    state: web::Data<AppState>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let text = query.text("q")?;
    let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| ApiError::bad_request("Search query required"))?;
    let (files, folders) = state.services.search(caller.id(), text).await?;
    Ok(HttpResponse::Ok().json(SearchView {
        query: text.to_owned(),
        results: FoundView { files: file_views(&state.base_url, &files), folders: folder_views(&folders) },
    }))
}
