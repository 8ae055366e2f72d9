//! Folders.

use crate::{
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::JsonBody,
        pages::PageView,
        params::{PathId, Query},
        views::{ContentsView, ErrorView, FolderView, RootView, file_views, folder_views},
    },
    service::{
        ServiceError,
        folders::{FolderChange, ParentChange},
    },
};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, route, web};
use cdn_actors::domain::{filename::FolderName, ids::FolderId};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Deserialize, ToSchema)]
struct CreateFolderBody {
    #[schema(required = true)]
    name: Option<String>,
    /// Absent or null: the root.
    #[serde(default)]
    #[schema(format = Uuid)]
    parent: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct ChangeFolderBody {
    name: Option<String>,
    /// Null: the root.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = Uuid)]
    parent: Option<Option<String>>,
}

/// Tells a field that is null from one that is absent.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A folder id from a body: null and "null" mean the root; an id that is none names no folder of anybody.
pub fn parse_folder(text: Option<&str>) -> Result<ParentChange, ApiError> {
    match text.map(str::trim) {
        None | Some("" | "null") => Ok(ParentChange::Root),
        Some(text) => {
            let id = Uuid::parse_str(text).map_err(|_| ApiError::NOT_FOUND)?;
            Ok(ParentChange::Folder(FolderId(id)))
        }
    }
}

fn parse_name(name: &str) -> Result<FolderName, ApiError> {
    Ok(FolderName::parse(name).map_err(ServiceError::invalid("name"))?)
}

/// The caller's folders, by name.
#[utoipa::path(tag = "folders", params(("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query)), responses(
    (status = 200, body = PageView<FolderView>), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/folders")]
pub async fn list_folders(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let (count, folders) = state.services.list_folders(caller.id(), page).await?;
    let view = PageView::new(&state, request.path(), &query, page, count, folder_views(&folders))?;
    Ok(HttpResponse::Ok().json(view))
}

/// Makes a folder.
#[utoipa::path(tag = "folders", request_body = CreateFolderBody, responses(
    (status = 201, body = FolderView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView), (status = 409, body = ErrorView),
))]
#[post("/cdn/folders")]
pub async fn create_folder(
    caller: CurrentUser,
    state: web::Data<AppState>,
    body: JsonBody<CreateFolderBody>,
) -> Result<HttpResponse, ApiError> {
    let name = body.name.as_deref().ok_or_else(|| ApiError::field("name", "This field is required."))?;
    let name = parse_name(name)?;
    let parent = parse_folder(body.parent.as_deref())?;
    let folder = state.services.create_folder(caller.id(), parent, name).await?;
    Ok(HttpResponse::Created().json(FolderView::from(&folder)))
}

/// The caller's root with what is directly in it; made on first use.
#[utoipa::path(tag = "folders", responses((status = 200, body = RootView), (status = 401, body = ErrorView)))]
#[get("/cdn/folders/root")]
pub async fn show_root(caller: CurrentUser, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let root = state.services.root_folder(caller.id()).await?;
    let contents = state.services.contents_of(caller.id(), root).await?;
    Ok(HttpResponse::Ok().json(RootView {
        root_folder: (&contents.folder).into(),
        folders: folder_views(&contents.folders),
        files: file_views(&state.base_url, &contents.files),
    }))
}

/// What is directly in a folder.
#[utoipa::path(tag = "folders", params(("id" = Uuid, Path)), responses(
    (status = 200, body = ContentsView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/folders/{id}/contents")]
pub async fn show_contents(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let contents = state.services.folder_contents(caller.id(), FolderId(id.0)).await?;
    Ok(HttpResponse::Ok().json(ContentsView::new(&state.base_url, &contents)))
}

/// One folder.
#[utoipa::path(tag = "folders", params(("id" = Uuid, Path)), responses(
    (status = 200, body = FolderView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/folders/{id}")]
pub async fn show_folder(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let folder = state.services.folder(caller.id(), FolderId(id.0)).await?;
    Ok(HttpResponse::Ok().json(FolderView::from(&folder)))
}

/// Renames and moves a folder.
#[utoipa::path(method(put, patch), tag = "folders", params(("id" = Uuid, Path)), request_body = ChangeFolderBody, responses(
    (status = 200, body = FolderView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView), (status = 409, body = ErrorView),
))]
#[route("/cdn/folders/{id}", method = "PUT", method = "PATCH")]
pub async fn change_folder(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
    body: JsonBody<ChangeFolderBody>,
) -> Result<HttpResponse, ApiError> {
    let change = FolderChange {
        name: body.name.as_deref().map(parse_name).transpose()?,
        parent: body.parent.as_ref().map(|parent| parse_folder(parent.as_deref())).transpose()?,
    };
    let folder = state.services.change_folder(&caller.origin, FolderId(id.0), change).await?;
    Ok(HttpResponse::Ok().json(FolderView::from(&folder)))
}

/// Puts a folder and all below it into the trash.
#[utoipa::path(tag = "folders", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[delete("/cdn/folders/{id}")]
pub async fn trash_folder(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    state.services.trash_folder(&caller.origin, FolderId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}
