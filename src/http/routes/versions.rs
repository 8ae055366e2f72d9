//! Former contents of a file.

use super::{
    files::{RegisterContentBody, created, parse_content},
    uploads::{form_upload, raw_spec},
};
use crate::{
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::{is_json, parse, read_body},
        params::PathId,
        views::{DownloadView, ErrorView, FileVersionView, FileView},
    },
    service::{ServiceError, versions::RegisteredContent},
};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, delete, get, post, web};
use cdn_actors::domain::ids::FileId;
use futures_util::TryStreamExt;

/// A version's number from its path; one that is no number is not there.
struct Number(i64);

impl Number {
    fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let number = request.match_info().get("number").and_then(|text| text.parse().ok());
        number.map(Self).ok_or(ApiError::NOT_FOUND)
    }
}

/// A file's versions, newest first.
#[utoipa::path(tag = "versions", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Vec<FileVersionView>), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/files/{id}/versions")]
pub async fn list_versions(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let versions = state.services.list_versions(caller.id(), FileId(id.0)).await?;
    let views: Vec<FileVersionView> = versions.iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}

/// New content for the same file: registered by JSON, a form with a file, or the bytes themselves.
#[utoipa::path(tag = "versions", params(("id" = Uuid, Path)), request_body = RegisterContentBody, responses(
    (status = 201, body = FileView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 402, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView),
    (status = 413, body = ErrorView), (status = 415, body = ErrorView),
))]
#[post("/cdn/files/{id}/versions")]
pub async fn add_version(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    id: PathId,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (services, file) = (&state.services, FileId(id.0));
    // Refused before the body is read when the caller may not change it.
    let room = services.version_room(caller.id(), file).await?;
    let outcome = if is_json(&request) {
        let body = read_body(&request, payload.into_inner()).await?;
        let content: RegisteredContent = parse_content(parse::<RegisterContentBody>(&body)?)?;
        services.register_version(&caller.origin, file, content).await
    } else if is_form(&request) {
        let (stored, _) = form_upload(&state, &caller.origin, Some(room), &request, payload).await?;
        stored.place_version(file).await
    } else {
        let details = services.file(caller.id(), file).await?;
        let filename = super::uploads::parse_filename("filename", &details.row.filename)?;
        let spec = raw_spec(&request, filename, room);
        let body = payload.map_err(|error| ServiceError::BodyBroken(error.to_string()));
        services.receive_upload(&caller.origin, spec, body).await?.place_version(file).await
    };
    created(&state, outcome)
}

fn is_form(request: &HttpRequest) -> bool {
    request.mime_type().ok().flatten().is_some_and(|mime| mime.type_() == "multipart")
}

/// Where a version can be downloaded; the link works for an hour.
#[utoipa::path(tag = "versions", params(("id" = Uuid, Path), ("number" = i64, Path)), responses(
    (status = 200, body = DownloadView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/files/{id}/versions/{number}/download")]
pub async fn show_version_download(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let number = Number::of(&request)?.0;
    let (file, version) = state.services.version(caller.id(), FileId(id.0), number).await?;
    let link = state.services.sign_version_link(FileId(file.row.id), number);
    Ok(HttpResponse::Ok().json(DownloadView::of_version(&state.base_url, &file, &version, &link)))
}

/// Makes a version the file's content again; what was there becomes the newest version.
#[utoipa::path(tag = "versions", params(("id" = Uuid, Path), ("number" = i64, Path)), responses(
    (status = 200, body = FileView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[post("/cdn/files/{id}/versions/{number}/restore")]
pub async fn restore_version(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let number = Number::of(&request)?.0;
    let file = state.services.restore_version(&caller.origin, FileId(id.0), number).await?;
    Ok(HttpResponse::Ok().json(FileView::new(&state.base_url, &file)))
}

/// Deletes a version for good.
#[utoipa::path(tag = "versions", params(("id" = Uuid, Path), ("number" = i64, Path)), responses(
    (status = 204), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[delete("/cdn/files/{id}/versions/{number}")]
pub async fn delete_version(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let number = Number::of(&request)?.0;
    state.services.delete_version(&caller.origin, FileId(id.0), number).await?;
    Ok(HttpResponse::NoContent().finish())
}
