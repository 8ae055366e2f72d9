//! Thumbnails and previews, at URLs that change with the picture.

use super::{
    content::{Conditions, answer_content, conditions},
    share_links::key_of,
};
use crate::{
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        params::{PathId, Query},
        views::ErrorView,
    },
    service::Picture,
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{self, ContentDisposition, DispositionType, ETag, EntityTag, HttpDate, LastModified},
    },
    route, web,
};
use cdn_actors::domain::ids::FileId;
use futures_util::{TryStreamExt, stream};
use std::time::SystemTime;
use uuid::Uuid;

/// A year: as good as for ever (RFC 9111 leaves it at that).
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A picture of a file, made when it is first asked for: anyone with the URL may see it. Without `w` it is the
/// file's content, for a file of this name.
#[utoipa::path(tag = "content", method(get, head), security(()), params(
    ("id" = Uuid, Path),
    ("w" = Option<u32>, Query, description = "the longer side in pixels, at most; one of the configured sizes"),
    ("format" = Option<String>, Query, description = "`webp` (the default) or `jpeg`"),
    ("v" = Option<String>, Query, description = "the picture's version; with it the answer may be kept for ever"),
), responses(
    (status = 200, body = Vec<u8>, content_type = "image/webp"), (status = 304),
    (status = 400, body = ErrorView), (status = 404, body = ErrorView), (status = 412),
    (status = 503, body = ErrorView, description = "Not made yet"),
))]
#[route("/f/{id}/thumbnail", method = "GET", method = "HEAD")]
pub async fn serve_thumbnail(
    request: HttpRequest,
    state: web::Data<AppState>,
    id: PathId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let file = FileId(id.0);
    let Some((side, as_jpeg)) = wanted_picture(&query)? else {
        return answer_content(&request, &state, file, &query).await;
    };
    let picture = state.services.picture(file, side, as_jpeg).await?;
    let is_versioned = query.get("v").is_some_and(|version| picture.is_version(version));
    let max_age = state.services.config.content.max_age.duration().as_secs();
    let cache = if is_versioned { FOR_EVER.to_owned() } else { format!("public, max-age={max_age}") };
    send_picture(&request, &state, &picture, &cache, true).await
}

/// A picture of a file for somebody who is signed in and may see it, be it without the right to its bytes.
#[utoipa::path(tag = "files", method(get, head), params(
    ("id" = Uuid, Path),
    ("w" = u32, Query, description = "the longer side in pixels, at most; one of the configured sizes"),
    ("format" = Option<String>, Query, description = "`webp` (the default) or `jpeg`"),
), responses(
    (status = 200, body = Vec<u8>, content_type = "image/webp"), (status = 304),
    (status = 400, body = ErrorView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
    (status = 412), (status = 503, body = ErrorView, description = "Not made yet"),
))]
#[route("/cdn/files/{id}/thumbnail", method = "GET", method = "HEAD")]
pub async fn serve_given_thumbnail(
    caller: CurrentUser,
    request: HttpRequest,
    state: web::Data<AppState>,
    id: PathId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let file = state.services.reach_file(caller.id(), FileId(id.0)).await?.id;
    let (side, as_jpeg) = wanted_picture(&query)?.ok_or_else(no_size)?;
    let picture = state.services.picture(file, side, as_jpeg).await?;
    // Asked about each time, so that what was taken back is gone.
    send_picture(&request, &state, &picture, "private, no-cache", false).await
}

/// A picture of a shared file, by the share's link, where the share shows previews.
#[utoipa::path(tag = "public shares", method(get, head), security(()), params(
    ("token" = String, Query), ("file" = Option<Uuid>, Query, description = "Which one, of a shared folder"),
    ("pass" = Option<String>, Query, description = "From the URLs of an answer to the right password"),
    ("X-Share-Password" = Option<String>, Header),
    ("w" = u32, Query, description = "the longer side in pixels, at most; one of the configured sizes"),
    ("format" = Option<String>, Query, description = "`webp` (the default) or `jpeg`"),
), responses(
    (status = 200, body = Vec<u8>, content_type = "image/webp"), (status = 304),
    (status = 400, body = ErrorView), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView), (status = 410, body = ErrorView), (status = 412),
    (status = 429, body = ErrorView), (status = 503, body = ErrorView, description = "Not made yet"),
))]
#[route("/cdn/shares/public/thumbnail", method = "GET", method = "HEAD")]
pub async fn serve_shared_thumbnail(
    request: HttpRequest,
    state: web::Data<AppState>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let share = state.services.open_share(&key_of(&request, &query)?).await?;
    let (side, as_jpeg) = wanted_picture(&query)?.ok_or_else(no_size)?;
    let file = query.get_with("file", "a UUID", |text| Uuid::parse_str(text).ok())?;
    share.require_preview()?;
    let file = state.services.shared_file(&share, file).await?.id();
    let picture = state.services.picture(file, side, as_jpeg).await?;
    send_picture(&request, &state, &picture, "private, no-store", false).await
}

/// Size and whether as JPEG; `None` without a size.
fn wanted_picture(query: &Query) -> Result<Option<(u32, bool)>, ApiError> {
    let side = query.get_with("w", "a number of pixels", |text| text.parse::<u32>().ok())?;
    let as_jpeg = query.get_with("format", "webp or jpeg", |text| match text {
        "webp" => Some(false),
        "jpeg" => Some(true),
        _ => None,
    })?;
    Ok(side.map(|side| (side, as_jpeg == Some(true))))
}

fn no_size() -> ApiError {
    ApiError::field("w", "This field is required.")
}

/// Answers with a picture, by conditions (RFC 9110, section 13).
///
/// # Errors
/// The blob store's.
pub async fn send_picture(
    request: &HttpRequest,
    state: &AppState,
    picture: &Picture,
    cache_control: &str,
    is_for_any_origin: bool,
) -> Result<HttpResponse, ApiError> {
    let tag = EntityTag::new_strong(picture.rendition.sha256.clone());
    let modified = SystemTime::from(picture.rendition.created_at);
    let mut response = HttpResponse::Ok();
    add_headers(&mut response, picture, is_for_any_origin);
    response
        .insert_header((header::CACHE_CONTROL, cache_control))
        .insert_header(ETag(tag.clone()))
        .insert_header(LastModified(HttpDate::from(modified)));
    match conditions(request, &tag, modified) {
        Conditions::Failed => return Ok(response.status(StatusCode::PRECONDITION_FAILED).finish()),
        Conditions::NotModified => return Ok(response.status(StatusCode::NOT_MODIFIED).finish()),
        Conditions::Passed => {}
    }
    let length = u64::try_from(picture.rendition.size).unwrap_or(0);
    if request.method() == Method::HEAD {
        let nothing = stream::empty::<Result<bytes::Bytes, actix_web::Error>>();
        return Ok(response.no_chunking(length).body(SizedStream::new(length, nothing)));
    }
    let bytes = state.services.open_rendition(&picture.rendition).await?;
    let sent = state.services.traffic.sent.clone();
    let bytes = bytes
        .inspect_ok(move |chunk| sent.inc_by(chunk.len() as u64))
        .map_err(|error| actix_web::Error::from(ApiError::Service(error.into())));
    Ok(response.body(SizedStream::new(length, bytes)))
}

fn add_headers(response: &mut HttpResponseBuilder, picture: &Picture, is_for_any_origin: bool) {
    let is_jpeg = picture.rendition.format == "jpeg";
    response
        .insert_header((header::CONTENT_TYPE, if is_jpeg { "image/jpeg" } else { "image/webp" }))
        .insert_header(ContentDisposition { disposition: DispositionType::Inline, parameters: Vec::new() })
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if is_for_any_origin {
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header((header::ACCESS_CONTROL_EXPOSE_HEADERS, "Content-Length, ETag"))
            .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"));
    }
}
