//! Folders as ZIP archives.

use crate::http::{
    ApiError, AppState, auth::CurrentUser, params::PathId, routes::content::named, views::ErrorView,
};
use crate::service::archive::Archive;
use actix_web::{
    HttpResponse, get,
    http::header::{self, DispositionType},
    web,
};
use cdn_actors::domain::ids::FolderId;
use futures_util::TryStreamExt;

/// A folder with all below it as one ZIP archive, made while it is sent. Registered files are in it as links.
#[utoipa::path(tag = "folders", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Vec<u8>, content_type = "application/zip"), (status = 400, body = ErrorView),
    (status = 401, body = ErrorView), (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/folders/{id}/zip")]
pub async fn download_folder_zip(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let archive = state.services.zip_folder(&caller.origin, FolderId(id.0)).await?;
    Ok(send_archive(archive))
}

/// Its length isn't known before its end, and it can't be resumed.
pub fn send_archive(archive: Archive) -> HttpResponse {
    let bytes = archive.bytes.map_err(|error| actix_web::Error::from(ApiError::Service(error)));
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/zip"))
        .insert_header((header::CONTENT_DISPOSITION, named(DispositionType::Attachment, &archive.filename)))
        .insert_header((header::ACCEPT_RANGES, "none"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(bytes)
}
