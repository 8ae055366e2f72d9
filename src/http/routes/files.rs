//! Files: list, register, show, rename, move, trash.

use super::folders::{parse_folder, present};
use crate::{
    db::files::{FileFilter, FileOrder},
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::JsonBody,
        pages::PageView,
        params::{PathId, Query},
        views::{DownloadView, ErrorView, FileView, file_views},
    },
    service::{
        FieldErrors, ServiceError,
        files::{FileChange, FileDetails, FileQuery, Registration},
        folders::ParentChange,
        versions::RegisteredContent,
    },
};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, route, web};
use cdn_actors::domain::{
    Invalid,
    filename::Filename,
    hash::{Md5, Sha256},
    ids::{FileId, FolderId},
    kind::{FileKind, is_media_type},
};
use serde::Deserialize;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

/// Longest registered URL in bytes; what browsers and proxies agree on is less.
const MAX_URL: usize = 2048;

/// A file that is on some CDN already.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RegisterBody {
    #[schema(required = true)]
    filename: Option<String>,
    /// Default: `filename`.
    original_filename: Option<String>,
    /// http or https.
    #[schema(required = true)]
    cdn_url: Option<String>,
    /// Bytes, 1 or more.
    #[schema(required = true)]
    file_size: Option<u64>,
    /// Empty: from the name.
    mime_type: Option<String>,
    /// 32 hex digits.
    #[schema(required = true)]
    md5_hash: Option<String>,
    /// 64 hex digits.
    #[schema(required = true)]
    sha256_hash: Option<String>,
    /// Absent, null or "null": the root.
    folder_id: Option<String>,
}

/// Content that is on some CDN already.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RegisterContentBody {
    /// http or https.
    #[schema(required = true)]
    cdn_url: Option<String>,
    /// Bytes, 1 or more.
    #[schema(required = true)]
    file_size: Option<u64>,
    /// Empty: from the name.
    mime_type: Option<String>,
    /// 32 hex digits.
    #[schema(required = true)]
    md5_hash: Option<String>,
    /// 64 hex digits.
    #[schema(required = true)]
    sha256_hash: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct ChangeFileBody {
    filename: Option<String>,
    original_filename: Option<String>,
    /// Null: the root.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = Uuid)]
    folder: Option<Option<String>>,
}

/// The answer to a new file, or to one that is there already.
pub fn created(
    state: &AppState,
    outcome: Result<FileDetails, ServiceError>,
) -> Result<HttpResponse, ApiError> {
    match outcome {
        Ok(file) => Ok(HttpResponse::Created().json(FileView::new(&state.base_url, &file))),
        Err(ServiceError::FileExists(file)) => {
            Err(ApiError::FileExists(Box::new(FileView::new(&state.base_url, &file))))
        }
        Err(error) => Err(error.into()),
    }
}

/// The caller's files, newest first.
#[utoipa::path(tag = "files", params(
    ("folder_id" = Option<String>, Query, description = "`null`: the root"),
    ("search" = Option<String>, Query, description = "Part of either name, in any case"),
    ("type" = Option<String>, Query, description = "images, videos, audio, documents, archives or others"),
    ("ordering" = Option<String>, Query, description = "created_at, filename, file_size, last_accessed; with - descending"),
    ("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = PageView<FileView>), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/files")]
pub async fn list_files(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let folder = match query.get("folder_id") {
        Some("null") => Some(state.services.root_folder(caller.id()).await?.id()),
        _ => query.get_with("folder_id", "a UUID", |text| Uuid::parse_str(text).ok())?.map(FolderId),
    };
    let kinds = "images, videos, audio, documents, archives or others";
    let kind = query.get_with("type", kinds, FileKind::parse)?;
    let orders = "created_at, filename, file_size or last_accessed, with or without -";
    let (order, descending) =
        query.get_with("ordering", orders, parse_order)?.unwrap_or((FileOrder::CreatedAt, true));
    let filter = FileFilter { folder, search: query.text("search")?, kind };
    let file_query = FileQuery { filter, order, descending, page };
    let (count, files) = state.services.list_files(caller.id(), &file_query).await?;
    let views = file_views(&state.base_url, &files);
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}

fn parse_order(text: &str) -> Option<(FileOrder, bool)> {
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let order = match name {
        "created_at" => FileOrder::CreatedAt,
        "filename" => FileOrder::Filename,
        "file_size" => FileOrder::FileSize,
        "last_accessed" => FileOrder::LastAccessed,
        _ => return None,
    };
    Some((order, descending))
}

/// Registers a file that the client has put on a CDN.
#[utoipa::path(tag = "files", request_body = RegisterBody, responses(
    (status = 201, body = FileView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 402, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView),
))]
#[post("/cdn/files/upload")]
pub async fn register_file(
    caller: CurrentUser,
    state: web::Data<AppState>,
    body: JsonBody<RegisterBody>,
) -> Result<HttpResponse, ApiError> {
    let registration = parse_registration(body.0)?;
    created(&state, state.services.register_file(&caller.origin, registration).await)
}

fn parse_registration(body: RegisterBody) -> Result<Registration, ApiError> {
    let mut errors = FieldErrors::new();
    let filename = required(&mut errors, "filename", body.filename, |text| Filename::parse(&text));
    let original = body.original_filename.filter(|name| !name.is_empty());
    let original = match original {
        Some(name) => checked(&mut errors, "original_filename", Filename::parse(&name)),
        None => filename.clone(),
    };
    let content = RegisterContentBody {
        cdn_url: body.cdn_url,
        file_size: body.file_size,
        mime_type: body.mime_type,
        md5_hash: body.md5_hash,
        sha256_hash: body.sha256_hash,
    };
    let content = check_content(&mut errors, content);
    let (Some(filename), Some(original_filename), Some(content), true) =
        (filename, original, content, errors.is_empty())
    else {
        return Err(ServiceError::Invalid(errors).into());
    };
    let folder = parse_folder(body.folder_id.as_deref())?;
    Ok(Registration { folder, filename, original_filename, content })
}

/// # Errors
/// 400 with every field that is missing or wrong.
pub fn parse_content(body: RegisterContentBody) -> Result<RegisteredContent, ApiError> {
    let mut errors = FieldErrors::new();
    let content = check_content(&mut errors, body);
    content.filter(|_| errors.is_empty()).ok_or_else(|| ServiceError::Invalid(errors).into())
}

fn check_content(errors: &mut FieldErrors, body: RegisterContentBody) -> Option<RegisteredContent> {
    let cdn_url = required(errors, "cdn_url", body.cdn_url, |text| parse_url(&text));
    let size = required(errors, "file_size", body.file_size, |size| match size {
        // The database keeps sizes as 64-bit signed integers.
        1..=0x7fff_ffff_ffff_ffff => Ok(size),
        0 => Err(Invalid::new("Ensure this value is greater than or equal to 1.")),
        _ => Err(Invalid::new("Ensure this value is less than 2^63.")),
    });
    let md5 = required(errors, "md5_hash", body.md5_hash, |text| Md5::parse(&text));
    let sha256 = required(errors, "sha256_hash", body.sha256_hash, |text| Sha256::parse(&text));
    let mime_type = body.mime_type.filter(|text| !text.trim().is_empty());
    if mime_type.as_deref().is_some_and(|text| !is_media_type(text)) {
        errors.insert("mime_type".into(), vec!["Enter a media type, like image/png.".into()]);
    }
    Some(RegisteredContent { cdn_url: cdn_url?, size: size?, mime_type, md5: md5?, sha256: sha256? })
}

fn parse_url(text: &str) -> Result<String, Invalid> {
    // The parser also takes `https:host`, which is no URL for other readers.
    let has_slashes =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    let is_web = (has_slashes("http://") || has_slashes("https://"))
        && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_web || text.len() > MAX_URL || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Invalid::new("Enter a valid http or https URL."));
    }
    Ok(text.to_owned())
}

fn required<T, U>(
    errors: &mut FieldErrors,
    field: &str,
    value: Option<T>,
    parse: impl FnOnce(T) -> Result<U, Invalid>,
) -> Option<U> {
    match value {
        Some(value) => checked(errors, field, parse(value)),
        None => {
            errors.insert(field.to_owned(), vec!["This field is required.".into()]);
            None
        }
    }
}

fn checked<U>(errors: &mut FieldErrors, field: &str, parsed: Result<U, Invalid>) -> Option<U> {
    parsed.map_err(|error| errors.insert(field.to_owned(), vec![error.0])).ok()
}

/// Where the file can be downloaded; counts a download.
#[utoipa::path(tag = "files", params(("id" = Uuid, Path)), responses(
    (status = 200, body = DownloadView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/files/{id}/download")]
pub async fn show_download(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let file = state.services.download_file(&caller.origin, FileId(id.0)).await?;
    Ok(HttpResponse::Ok().json(DownloadView::new(&state.base_url, &file)))
}

/// One file.
#[utoipa::path(tag = "files", params(("id" = Uuid, Path)), responses(
    (status = 200, body = FileView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/files/{id}")]
pub async fn show_file(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let file = state.services.file(caller.id(), FileId(id.0)).await?;
    Ok(HttpResponse::Ok().json(FileView::new(&state.base_url, &file)))
}

/// Renames and moves a file; every other field is read-only and ignored.
#[utoipa::path(method(put, patch), tag = "files", params(("id" = Uuid, Path)), request_body = ChangeFileBody, responses(
    (status = 200, body = FileView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView), (status = 409, body = ErrorView),
))]
#[route("/cdn/files/{id}", method = "PUT", method = "PATCH")]
pub async fn change_file(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
    body: JsonBody<ChangeFileBody>,
) -> Result<HttpResponse, ApiError> {
    let name = |field: &'static str, text: &Option<String>| {
        text.as_deref().map(|text| Filename::parse(text).map_err(ServiceError::invalid(field))).transpose()
    };
    let folder: Option<ParentChange> =
        body.folder.as_ref().map(|folder| parse_folder(folder.as_deref())).transpose()?;
    let change = FileChange {
        filename: name("filename", &body.filename)?,
        original_filename: name("original_filename", &body.original_filename)?,
        folder,
    };
    let file = state.services.change_file(&caller.origin, FileId(id.0), change).await?;
    Ok(HttpResponse::Ok().json(FileView::new(&state.base_url, &file)))
}

/// Puts a file into the trash.
#[utoipa::path(tag = "files", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[delete("/cdn/files/{id}")]
pub async fn trash_file(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    state.services.trash_file(&caller.origin, FileId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}
