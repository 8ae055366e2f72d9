//! The public bytes of a file, at the URL that people hot-link.

use crate::{
    db::files::ContentRow,
    http::{
        ApiError, AppState, client,
        params::{PathId, Query},
    },
    service::ServiceError,
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{
            self, ByteRangeSpec, ContentDisposition, DispositionParam, DispositionType, ETag, EntityTag,
            Header, HttpDate, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
            LastModified, Range,
        },
    },
    options, route, web,
};
use cdn_actors::{
    domain::{
        ids::{BlobId, FileId, UserId},
        kind::{essence, is_active_type},
    },
    ports::{AccessEvent, AccessKind},
};
use futures_util::TryStreamExt;
use std::time::{Instant, SystemTime};
use url::Url;

/// Keeps a document from running script, loading other things, or acting as this origin.
const SANDBOX: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:";

/// A file's bytes: anyone with the URL may read them. The name is cosmetic.
#[utoipa::path(tag = "content", method(get, head), security(()), params(
    ("id" = Uuid, Path), ("filename" = String, Path),
    ("download" = Option<String>, Query, description = "`1`: as an attachment"),
), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 302, description = "Registered: the bytes are on another CDN"),
    (status = 304), (status = 404), (status = 412), (status = 416),
))]
#[route("/f/{id}/{filename}", method = "GET", method = "HEAD")]
pub async fn serve_content(
    request: HttpRequest,
    state: web::Data<AppState>,
    id: PathId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer_content(&request, &state, FileId(id.0), &query).await
}

/// The same for a route that leaves content to this one.
pub(super) async fn answer_content(
    request: &HttpRequest,
    state: &AppState,
    file: FileId,
    query: &Query,
) -> Result<HttpResponse, ApiError> {
    let started = Instant::now();
    let content = match query.get("version") {
        Some(number) => find_version(state, file, number, query).await?,
        None => state.services.content(file).await?,
    };
    let is_download = query.get("download") == Some("1");
    let is_version = query.get("version").is_some();
    let max_age = state.services.config.content.max_age.duration().as_secs();
    let serving = Serving {
        is_download,
        cache_control: if is_version {
            "private, no-store".into()
        } else {
            format!("public, max-age={max_age}")
        },
        is_for_any_origin: true,
        has_ranges: true,
    };
    send_content(request, state, &content, &serving, async |is_first| {
        // A player asks for many ranges of one film: the first one is the view. Whoever asked for a download
        // link has been counted then, and what is on another CDN is not ours to count.
        if is_first && !is_download && !is_version && content.blob_id.is_some() {
            record_access(request, state, file, &content, AccessKind::View, started);
        }
        Ok(())
    })
    .await
}

/// How a content is sent.
pub struct Serving {
    /// As an attachment.
    pub is_download: bool,
    pub cache_control: String,
    /// Whether pages of any origin may read it.
    pub is_for_any_origin: bool,
    pub has_ranges: bool,
}

/// Answers with a content, by ranges and conditions (RFC 9110). `admit` is called once before bytes (or the URL
/// that has them) are sent, with whether they are the content's first; what it refuses isn't sent.
///
/// # Errors
/// The blob store's, and those of `admit`.
pub async fn send_content(
    request: &HttpRequest,
    state: &AppState,
    content: &ContentRow,
    serving: &Serving,
    admit: impl AsyncFnOnce(bool) -> Result<(), ApiError>,
) -> Result<HttpResponse, ApiError> {
    let is_head = request.method() == Method::HEAD;
    let Some(blob) = content.blob_id.map(BlobId) else {
        if is_head && !serving.is_for_any_origin {
            // The URL is what a download gives, so nobody is told it without one.
            return Ok(HttpResponse::Ok()
                .insert_header((header::CACHE_CONTROL, serving.cache_control.as_str()))
                .finish());
        }
        if !is_head {
            admit(true).await?;
        }
        let mut response = HttpResponse::Found();
        response.insert_header((header::LOCATION, content.cdn_url.as_deref().unwrap_or_default()));
        if serving.is_for_any_origin {
            response.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
        } else {
            response.insert_header((header::CACHE_CONTROL, serving.cache_control.as_str()));
        }
        return Ok(response.finish());
    };
    let size = u64::try_from(content.file_size).unwrap_or(0);
    let tag = EntityTag::new_strong(content.sha256_hash.clone());
    let modified = SystemTime::from(content.content_changed_at);
    let mut response = HttpResponse::Ok();
    add_headers(&mut response, content, serving, &tag, modified);
    match conditions(request, &tag, modified) {
        Conditions::Failed => return Ok(response.status(StatusCode::PRECONDITION_FAILED).finish()),
        Conditions::NotModified => return Ok(response.status(StatusCode::NOT_MODIFIED).finish()),
        Conditions::Passed => {}
    }
    let requested =
        if serving.has_ranges { requested_range(request, &tag, modified, size) } else { Requested::All };
    let range = match requested {
        Requested::All => 0..size,
        Requested::Part(range) => {
            response.status(StatusCode::PARTIAL_CONTENT);
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            response.insert_header((header::CONTENT_RANGE, text));
            range
        }
        Requested::Unsatisfiable => {
            response.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
            return Ok(response.status(StatusCode::RANGE_NOT_SATISFIABLE).finish());
        }
    };
    let length = range.end - range.start;
    let is_first = range.start == 0;
    if is_head {
        // The length that GET would have, without a byte of it.
        return Ok(response.no_chunking(length).body(SizedStream::new(
            length,
            futures_util::stream::empty::<Result<bytes::Bytes, actix_web::Error>>(),
        )));
    }
    let bytes = state.services.blobs.read(blob, range).await.map_err(ServiceError::from)?;
    admit(is_first).await?;
    let sent = state.services.traffic.sent.clone();
    let bytes = bytes
        .inspect_ok(move |chunk| sent.inc_by(chunk.len() as u64))
        .map_err(|error| actix_web::Error::from(ApiError::Service(error.into())));
    Ok(response.body(SizedStream::new(length, bytes)))
}

/// A version by a signed link; anything else about it is not there.
async fn find_version(
    state: &AppState,
    file: FileId,
    number: &str,
    query: &Query,
) -> Result<ContentRow, ApiError> {
    let number = number.parse().map_err(|_| ApiError::NOT_FOUND)?;
    let expires = query.get("expires").and_then(|text| text.parse().ok()).ok_or(ApiError::NOT_FOUND)?;
    let signature = query.get("signature").ok_or(ApiError::NOT_FOUND)?;
    Ok(state.services.version_content(file, number, expires, signature).await?)
}

/// Notes a view or download for the owner's statistics; never waits.
pub fn record_access(
    request: &HttpRequest,
    state: &AppState,
    file: FileId,
    content: &ContentRow,
    kind: AccessKind,
    started: Instant,
) {
    let device = client::device(request);
    let referrer = request.headers().get(header::REFERER).and_then(|value| value.to_str().ok());
    let referrer = referrer.and_then(|text| Url::parse(text).ok()?.host_str().map(str::to_owned));
    state.services.accounts.record(AccessEvent {
        owner: UserId(content.owner_id),
        file,
        kind,
        accessor: None,
        at: state.services.clock.now(),
        // At least 1: zero stands for an answer without bytes.
        response_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX).max(1),
        referrer_domain: referrer.unwrap_or_default(),
        country_code: state.services.country_of(client::address(request)),
        ip_address: device.ip_address,
        user_agent: device.user_agent,
    });
}

/// What a browser asks before it reads ranges from a page of another origin.
#[utoipa::path(tag = "content", security(()), params(("id" = Uuid, Path), ("filename" = String, Path)), responses(
    (status = 204),
))]
#[options("/f/{id}/{filename}")]
pub async fn answer_preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Range, If-Range, If-None-Match, If-Modified-Since",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .insert_header((header::ALLOW, "GET, HEAD, OPTIONS"))
        .finish()
}

fn add_headers(
    response: &mut HttpResponseBuilder,
    content: &ContentRow,
    serving: &Serving,
    tag: &EntityTag,
    modified: SystemTime,
) {
    let is_active = is_active_type(&content.mime_type);
    let disposition = if serving.is_download { DispositionType::Attachment } else { DispositionType::Inline };
    response
        .insert_header((header::CONTENT_TYPE, content_type(&content.mime_type)))
        .insert_header((header::CONTENT_DISPOSITION, named(disposition, &content.filename)))
        .insert_header(ETag(tag.clone()))
        .insert_header(LastModified(HttpDate::from(modified)))
        .insert_header((header::ACCEPT_RANGES, if serving.has_ranges { "bytes" } else { "none" }))
        .insert_header((header::CACHE_CONTROL, serving.cache_control.as_str()))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if serving.is_for_any_origin {
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header((
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag",
            ))
            .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"));
    }
    if is_active {
        response.insert_header((header::CONTENT_SECURITY_POLICY, SANDBOX));
    }
}

/// Text without a charset is UTF-8 here; browsers would guess.
fn content_type(mime_type: &str) -> String {
    let is_bare_text = essence(mime_type).starts_with("text/") && !mime_type.contains(';');
    if is_bare_text { format!("{mime_type}; charset=utf-8") } else { mime_type.to_owned() }
}

/// A disposition with the name in ASCII for old clients and in UTF-8 for all others (RFC 6266, section 4.3).
pub fn named(disposition: DispositionType, filename: &str) -> ContentDisposition {
    let ascii: String =
        filename.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '_' }).collect();
    let mut parameters = vec![DispositionParam::Filename(ascii)];
    if !filename.is_ascii() {
        parameters.push(DispositionParam::FilenameExt(header::ExtendedValue {
            charset: header::Charset::Ext("UTF-8".into()),
            language_tag: None,
            value: filename.as_bytes().to_vec(),
        }));
    }
    ContentDisposition { disposition, parameters }
}

pub(super) enum Conditions {
    Passed,
    NotModified,
    Failed,
}

/// Preconditions in the order of RFC 9110, section 13.2.2.
pub(super) fn conditions(request: &HttpRequest, tag: &EntityTag, modified: SystemTime) -> Conditions {
    let has = |name: header::HeaderName| request.headers().contains_key(name);
    let is_at_most = |date: HttpDate| seconds(modified) <= seconds(SystemTime::from(date));
    if has(header::IF_MATCH) {
        let matches = match IfMatch::parse(request) {
            Ok(IfMatch::Any) => true,
            Ok(IfMatch::Items(tags)) => tags.iter().any(|other| other.strong_eq(tag)),
            Err(_) => false,
        };
        if !matches {
            return Conditions::Failed;
        }
    } else if let Ok(IfUnmodifiedSince(date)) = IfUnmodifiedSince::parse(request)
        && !is_at_most(date)
    {
        return Conditions::Failed;
    }
    if has(header::IF_NONE_MATCH) {
        let matches = match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|other| other.weak_eq(tag)),
            Err(_) => false,
        };
        if matches {
            return Conditions::NotModified;
        }
    } else if let Ok(IfModifiedSince(date)) = IfModifiedSince::parse(request)
        && is_at_most(date)
    {
        return Conditions::NotModified;
    }
    Conditions::Passed
}

enum Requested {
    All,
    /// Never empty.
    Part(std::ops::Range<u64>),
    Unsatisfiable,
}

/// The range to send. A header that can't be read, one of several ranges, and one whose `If-Range` doesn't
/// match are as if they weren't there (RFC 9110, sections 13.1.5 and 14.2).
fn requested_range(request: &HttpRequest, tag: &EntityTag, modified: SystemTime, size: u64) -> Requested {
    if !request.headers().contains_key(header::RANGE) {
        return Requested::All;
    }
    if request.headers().contains_key(header::IF_RANGE) {
        let is_same = match IfRange::parse(request) {
            Ok(IfRange::EntityTag(other)) => other.strong_eq(tag),
            Ok(IfRange::Date(date)) => seconds(SystemTime::from(date)) == seconds(modified),
            Err(_) => false,
        };
        if !is_same {
            return Requested::All;
        }
    }
    let Ok(Range::Bytes(ranges)) = Range::parse(request) else { return Requested::All };
    let [range] = ranges.as_slice() else { return Requested::All };
    if let ByteRangeSpec::FromTo(from, to) = range
        && from > to
    {
        return Requested::All;
    }
    match range.to_satisfiable_range(size) {
        Some((first, last)) => Requested::Part(first..last + 1),
        None => Requested::Unsatisfiable,
    }
}

/// HTTP dates have whole seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
