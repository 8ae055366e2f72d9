//! The trash.

use crate::http::{
    ApiError, AppState,
    auth::CurrentUser,
    pages::PageView,
    params::{PathId, Query},
    views::{ErrorView, MessageView, TrashItemView},
};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use cdn_actors::domain::ids::TrashId;

/// The caller's trash, last deleted first.
#[utoipa::path(tag = "trash", params(("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query)), responses(
    (status = 200, body = PageView<TrashItemView>), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/trash")]
pub async fn list_trash(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let (count, rows) = state.services.list_trash(caller.id(), page).await?;
    let now = state.services.clock.now();
    let items = rows.into_iter().map(|row| TrashItemView::new(row, now)).collect();
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, items)?))
}

/// Deletes all of the caller's trash for good.
#[utoipa::path(tag = "trash", responses((status = 200, body = MessageView), (status = 401, body = ErrorView)))]
#[post("/cdn/trash/empty")]
pub async fn empty_trash(caller: CurrentUser, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    state.services.empty_trash(caller.id()).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: "Trash emptied successfully" }))
}

/// Brings an item back.
#[utoipa::path(tag = "trash", params(("id" = Uuid, Path)), responses(
    (status = 200, body = MessageView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[post("/cdn/trash/{id}/restore")]
pub async fn restore_item(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    state.services.restore(&caller.origin, TrashId(id.0)).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: "Item restored successfully" }))
}

/// Deletes an item for good, bytes and all.
#[utoipa::path(tag = "trash", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[delete("/cdn/trash/{id}")]
pub async fn delete_item(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    state.services.delete_forever(caller.id(), TrashId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}
