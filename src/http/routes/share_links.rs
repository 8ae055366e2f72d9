//! What anybody with a share's link may do: see, download, upload.

use super::{
    archives::send_archive,
    content::{Serving, record_access, send_content},
    uploads::form_upload,
};
use crate::{
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::JsonBody,
        client,
        link_views::{OpenedView, PublicFileView, PublicFolderView, PublicShareView, ReceivedView},
        params::Query,
        views::ErrorView,
    },
    service::shares::{
        ReceivedFile, hide_usage,
        links::{Key, OpenedShare, Visitor, previews_disabled},
    },
};
use actix_web::{HttpRequest, HttpResponse, get, http::header, post, route, web};
use cdn_actors::{domain::ids::FileId, ports::AccessKind};
use serde::Deserialize;
use std::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Deserialize, ToSchema)]
struct OpenShareBody {
    #[schema(required = true)]
    token: Option<String>,
    password: Option<String>,
    /// Names of folders below the shared one, joined by `/`.
    path: Option<String>,
}

/// The password of a share, from its header.
pub fn password_of(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get("x-share-password")?;
    // Browsers send what is beyond ASCII as Latin-1 or not at all; UTF-8 is what other clients send.
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What a visitor brings by the query and the headers.
///
/// # Errors
/// 400 without a token.
pub fn key_of(request: &HttpRequest, query: &Query) -> Result<Key, ApiError> {
    let token = query.get("token").ok_or_else(|| ApiError::bad_request("Token required"))?;
    Ok(Key {
        token: token.to_owned(),
        password: password_of(request),
        pass: query.get("pass").map(str::to_owned),
        address: client::address(request),
    })
}

/// Who comes by a link.
pub fn visitor_of(request: &HttpRequest, caller: Option<&CurrentUser>) -> Visitor {
    Visitor { user: caller.map(CurrentUser::id), device: client::device(request) }
}

/// What a link opens: the file, or the folder with what is directly in it.
#[utoipa::path(tag = "public shares", security(()), params(
    ("token" = String, Query), ("path" = Option<String>, Query, description = "Names of folders below, joined by `/`"),
    ("X-Share-Password" = Option<String>, Header),
), responses(
    (status = 200, body = OpenedView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView), (status = 410, body = ErrorView), (status = 429, body = ErrorView),
))]
#[get("/cdn/shares/public")]
pub async fn show_public_share(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let share = state.services.open_share(&key_of(&request, &query)?).await?;
    let path = query.text("path")?;
    show_opened(&state, &share, path.as_deref(), &visitor_of(&request, caller.as_ref())).await
}

/// The same with the password in the body.
#[utoipa::path(tag = "public shares", security(()), request_body = OpenShareBody, responses(
    (status = 200, body = OpenedView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView), (status = 410, body = ErrorView), (status = 429, body = ErrorView),
))]
#[post("/cdn/shares/public")]
pub async fn open_public_share(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    body: JsonBody<OpenShareBody>,
) -> Result<HttpResponse, ApiError> {
    let OpenShareBody { token, password, path } = body.0;
    let token = token.filter(|token| !token.is_empty());
    let key = Key {
        token: token.ok_or_else(|| ApiError::bad_request("Token required"))?,
        password: password.or_else(|| password_of(&request)),
        pass: None,
        address: client::address(&request),
    };
    let share = state.services.open_share(&key).await?;
    show_opened(&state, &share, path.as_deref(), &visitor_of(&request, caller.as_ref())).await
}

async fn show_opened(
    state: &AppState,
    share: &OpenedShare,
    path: Option<&str>,
    visitor: &Visitor,
) -> Result<HttpResponse, ApiError> {
    let (services, base_url) = (&state.services, &state.base_url);
    let public = Box::new(PublicShareView::new(base_url, share));
    let view = if share.row.file_id.is_some() {
        let row = services.shared_file(share, None).await?;
        OpenedView::File { share: public, resource: Box::new(PublicFileView::new(base_url, share, &row)) }
    } else {
        let folder = services.shared_folder(share, path).await?;
        let (folders, files) = services.shared_contents(share, folder.id()).await?;
        OpenedView::Folder {
            share: public,
            resource: files.iter().map(|row| PublicFileView::new(base_url, share, row)).collect(),
            folder: PublicFolderView::new(share, &folder),
            folders: folders.iter().map(|row| PublicFolderView::new(share, row)).collect(),
        }
    };
    // A full disk keeps nobody from looking.
    if let Err(error) = services.note_share_opened(share, visitor).await {
        tracing::warn!(share = %share.row.share_id, %error, "a visit is missing in the access log");
    }
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "private, no-store")).json(view))
}

/// The bytes of a shared file; each answer with bytes is one download. A share with a limit sends whole files
/// only: parts could be put together past it.
#[utoipa::path(tag = "public shares", method(get, head), security(()), params(
    ("token" = String, Query), ("file" = Option<Uuid>, Query, description = "Which one, of a shared folder"),
    ("pass" = Option<String>, Query, description = "From the URLs of an answer to the right password"),
    ("X-Share-Password" = Option<String>, Header),
), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 302, description = "Registered: the bytes are on another CDN"), (status = 304),
    (status = 400, body = ErrorView), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView), (status = 410, body = ErrorView), (status = 412), (status = 416),
    (status = 429, body = ErrorView),
))]
#[route("/cdn/shares/public/download", method = "GET", method = "HEAD")]
pub async fn download_public_share(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let share = state.services.open_share(&key_of(&request, &query)?).await?;
    share.require_download()?;
    let file = query.get_with("file", "a UUID", |text| Uuid::parse_str(text).ok())?;
    send_download(&request, &state, &share, file, &visitor_of(&request, caller.as_ref())).await
}

/// Sends a shared file as one download.
///
/// # Errors
/// A share that admits none, a file that isn't in it.
pub async fn send_download(
    request: &HttpRequest,
    state: &AppState,
    share: &OpenedShare,
    file: Option<Uuid>,
    visitor: &Visitor,
) -> Result<HttpResponse, ApiError> {
    let started = Instant::now();
    let services = &state.services;
    share.require_download()?;
    let (file, content) = services.shared_content(share, file).await?;
    let serving = Serving {
        is_download: true,
        cache_control: "private, no-store".into(),
        is_for_any_origin: false,
        has_ranges: share.row.download_limit.is_none(),
    };
    send_content(request, state, &content, &serving, async |is_first| {
        // What goes on where an earlier answer stopped is no download of its own.
        if is_first {
            services.admit_download(share, visitor).await?;
            record_access(request, state, file, &content, AccessKind::Download, started);
        }
        Ok(())
    })
    .await
}

/// Sends a shared file to be looked at in place, where the share shows it.
///
/// # Errors
/// [`ServiceError::Forbidden`] where it doesn't.
pub async fn send_preview(
    request: &HttpRequest,
    state: &AppState,
    share: &OpenedShare,
    file: FileId,
    visitor: &Visitor,
) -> Result<HttpResponse, ApiError> {
    let started = Instant::now();
    if !share.shows_bytes() {
        return Err(previews_disabled().into());
    }
    let content = state.services.content(file).await?;
    let serving = Serving {
        is_download: false,
        cache_control: "private, no-store".into(),
        is_for_any_origin: false,
        has_ranges: true,
    };
    send_content(request, state, &content, &serving, async |is_first| {
        // A player asks for many ranges of one film.
        if is_first {
            state.services.note_share_previewed(share, visitor).await?;
            record_access(request, state, file, &content, AccessKind::View, started);
        }
        Ok(())
    })
    .await
}

/// A shared folder, or one below it, as a ZIP archive; one download.
#[utoipa::path(tag = "public shares", security(()), params(
    ("token" = String, Query), ("path" = Option<String>, Query, description = "Names of folders below, joined by `/`"),
    ("pass" = Option<String>, Query, description = "From the URLs of an answer to the right password"),
    ("X-Share-Password" = Option<String>, Header),
), responses(
    (status = 200, body = Vec<u8>, content_type = "application/zip"),
    (status = 400, body = ErrorView), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView), (status = 410, body = ErrorView), (status = 429, body = ErrorView),
))]
#[get("/cdn/shares/public/zip")]
pub async fn download_public_share_zip(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let share = state.services.open_share(&key_of(&request, &query)?).await?;
    let visitor = visitor_of(&request, caller.as_ref());
    let archive = state.services.zip_share(&share, query.text("path")?.as_deref(), &visitor).await?;
    Ok(send_archive(archive))
}

/// Takes a file into the folder of an upload request.
#[utoipa::path(tag = "public shares", security(()), params(
    ("token" = String, Query), ("X-Share-Password" = Option<String>, Header),
), request_body(content = super::uploads::UploadForm, content_type = "multipart/form-data"), responses(
    (status = 201, body = ReceivedView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 402, body = ErrorView), (status = 403, body = ErrorView), (status = 404, body = ErrorView),
    (status = 410, body = ErrorView), (status = 413, body = ErrorView), (status = 415, body = ErrorView),
    (status = 429, body = ErrorView),
))]
#[post("/cdn/shares/public/upload")]
pub async fn upload_to_public_share(
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let share = state.services.open_share(&key_of(&request, &query)?).await?;
    let received = receive_by_link(&state, &share, &request, payload).await?;
    Ok(HttpResponse::Created().json(ReceivedView::from(received)))
}

/// Takes the file of a form into the folder of an upload request.
///
/// # Errors
/// A share that takes none, or no more; what is wrong with the form, or with the file.
pub async fn receive_by_link(
    state: &AppState,
    share: &OpenedShare,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<ReceivedFile, ApiError> {
    let room = state.services.request_room(share).await?;
    let origin = state.services.request_origin(share, client::device(request));
    let (stored, _) =
        form_upload(state, &origin, Some(room), request, payload).await.map_err(|error| match error {
            ApiError::Service(error) => ApiError::Service(hide_usage(error)),
            error => error,
        })?;
    Ok(stored.place_by_link(share).await?)
}
