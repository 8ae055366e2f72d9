//! Direct uploads: a form with one file, or the bytes themselves as `curl -T` sends them.

use super::{files::created, folders::parse_folder};
use crate::{
    db::activity::Origin,
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::declared_length,
        multipart::{Form, Part},
        params::Query,
        views::{ErrorView, FileView},
    },
    service::{
        ServiceError,
        folders::ParentChange,
        upload::{StoredUpload, UploadRoom, UploadSpec},
    },
};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, post, put, web};
use cdn_actors::domain::filename::Filename;
use futures_util::TryStreamExt;
use utoipa::ToSchema;

/// An upload form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub struct UploadForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Absent, empty or "null": the root. Before or after the file.
    folder_id: Option<String>,
}

/// Stores a file from a form.
#[utoipa::path(tag = "files", request_body(content = UploadForm, content_type = "multipart/form-data"), responses(
    (status = 201, body = FileView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 402, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView),
    (status = 413, body = ErrorView), (status = 415, body = ErrorView),
))]
#[post("/cdn/uploads")]
pub async fn upload_form(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (stored, folder) = form_upload(&state, &caller.origin, None, &request, payload).await?;
    created(&state, stored.place(folder).await)
}

/// Takes the file of a form into the store; gives it with the folder the form names. The room is that of this
/// folder, unless the caller has found it already.
///
/// # Errors
/// What is wrong with the form, or with the file.
pub async fn form_upload(
    state: &AppState,
    origin: &Origin,
    room: Option<UploadRoom>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(StoredUpload, ParentChange), ApiError> {
    let services = &state.services;
    let mut form = Form::new(request, payload, services.config.uploads.stall_timeout.duration())?;
    let mut folder = ParentChange::Root;
    let mut stored = None;
    while let Some(part) = form.next_part().await? {
        match part {
            Part::File(_) if stored.is_some() => {
                return Err(ApiError::field("file", "Send one file in a request."));
            }
            Part::File(file) => {
                // A folder that the caller may not put files into is refused before the body is read.
                let room = match room {
                    Some(room) => room,
                    None => services.upload_room(origin.user, folder).await?,
                };
                let spec = UploadSpec {
                    filename: parse_filename("file", file.filename())?,
                    declared_type: file.content_type.clone(),
                    // What is left of the body may hold more than the file: only a body far over the limit is
                    // refused unread, and the limit itself holds while reading.
                    declared_size: file.declared_size.map(|size| within_slack(size, room.max_size)),
                    room,
                };
                stored = Some(services.receive_upload(origin, spec, file.into_content()).await?);
            }
            Part::Text { name, value } if name == "folder_id" => folder = parse_folder(Some(&value))?,
            Part::Text { .. } => {}
        }
    }
    let stored = stored.ok_or_else(|| ApiError::field("file", "No file was submitted."))?;
    Ok((stored, folder))
}

/// Most bytes that other parts of a form may take after the file.
pub const FORM_SLACK: u64 = 64 * 1024;

fn within_slack(size: u64, max_size: u64) -> u64 {
    if size <= max_size.saturating_add(FORM_SLACK) { size.min(max_size) } else { size }
}

/// Stores the body as a file of this name.
#[utoipa::path(tag = "files", params(
    ("filename" = String, Path), ("folder_id" = Option<String>, Query),
), request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 201, body = FileView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 402, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView),
    (status = 413, body = ErrorView),
))]
#[put("/cdn/uploads/{filename}")]
pub async fn upload_raw(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    filename: web::Path<String>,
    query: Query,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let filename = parse_filename("filename", &filename)?;
    let folder = parse_folder(query.get("folder_id"))?;
    // Refused before the body is read.
    let room = state.services.upload_room(caller.id(), folder).await?;
    let spec = raw_spec(&request, filename, room);
    let body = payload.map_err(|error| ServiceError::BodyBroken(error.to_string()));
    let stored = state.services.receive_upload(&caller.origin, spec, body).await?;
    created(&state, stored.place(folder).await)
}

/// A body that is the file itself, as its headers announce it.
pub fn raw_spec(request: &HttpRequest, filename: Filename, room: UploadRoom) -> UploadSpec {
    UploadSpec {
        filename,
        declared_type: request.mime_type().ok().flatten().map(|mime| mime.essence_str().to_owned()),
        declared_size: declared_length(request),
        room,
    }
}

pub fn parse_filename(field: &'static str, name: &str) -> Result<Filename, ApiError> {
    Ok(Filename::parse(name).map_err(ServiceError::invalid(field))?)
}
