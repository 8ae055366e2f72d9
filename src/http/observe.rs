//! Around every request: its id, its log line, its metrics, and the headers that every answer has.

use super::{ApiError, AppState, client, share_page::PageError};
use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use std::{borrow::Cow, time::Instant};
use uuid::Uuid;

/// The header that names a request in logs and answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = request_id(request.headers());
    let state = request.app_data::<web::Data<AppState>>().cloned();
    if let Some(state) = &state {
        state.metrics.begin_request();
    }
    // Whoever refuses inside answers by itself: the request can't be held here while it is routed.
    let mut answer = next.call(request).await?.map_into_boxed_body();
    let took = started.elapsed();
    let http_request = answer.request().clone();
    let route = http_request.match_pattern().unwrap_or_else(|| "none".into());
    let (method, status) = (http_request.method().as_str(), answer.status());
    if let Some(state) = &state {
        state.metrics.end_request(&route, method, status.as_u16(), took);
    }
    let error = answer.response().error();
    let error_of = |error: &actix_web::Error| match error.as_error::<PageError>() {
        Some(PageError(error)) => error.refusal(),
        None => error.as_error::<ApiError>().and_then(ApiError::refusal),
    };
    let refusal = error.and_then(error_of);
    if let (Some(state), Some(event)) = (&state, refusal) {
        state.services.note_refusal(event, client::network(&http_request), route.clone());
    }
    let peer = http_request.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
    let millis = took.as_secs_f64() * 1000.0;
    // The query may have a token in it, and is left out.
    let path = loggable(http_request.path());
    let path = path.as_ref();
    if status.is_server_error() {
        let reason = error.map(|error| match error.as_error::<ApiError>() {
            Some(error) => format!("{error} ({error:?})"),
            None => error.to_string(),
        });
        tracing::error!(request_id = %id, method, path, status = status.as_u16(), millis, peer, reason, "failed");
    } else if matches!(status.as_u16(), 401 | 403 | 429) {
        let reason = error.map(ToString::to_string);
        tracing::warn!(request_id = %id, method, path, status = status.as_u16(), millis, peer, reason, "refused");
    } else {
        tracing::info!(request_id = %id, method, path, status = status.as_u16(), millis, peer, "answered");
    }
    let is_https = state.is_some_and(|state| state.is_https());
    add_headers(answer.headers_mut(), http_request.path(), &id, is_https);
    Ok(answer)
}

/// A path as logs may have it: the one of a share's page holds the share's token.
pub fn loggable(path: &str) -> Cow<'_, str> {
    match path.strip_prefix("/s/") {
        Some(rest) => match rest.split_once('/') {
            Some((_, rest)) => format!("/s/(token)/{rest}").into(),
            None => "/s/(token)".into(),
        },
        None => path.into(),
    }
}

/// The client's own id where it is harmless to log, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_harmless = |id: &&str| {
        (8..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    given.filter(is_harmless).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn add_headers(headers: &mut HeaderMap, path: &str, id: &str, is_https: bool) {
    let mut add = |name: HeaderName, value: &str| {
        if !headers.contains_key(&name)
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(name, value);
        }
    };
    add(REQUEST_ID, id);
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::REFERRER_POLICY, "strict-origin-when-cross-origin");
    if is_https {
        add(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if path.starts_with("/f/") {
        return;
    }
    add(header::X_FRAME_OPTIONS, "DENY");
    if path.starts_with("/api/docs") {
        // The page's own scripts and styles, some of them inline.
        add(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; \
             img-src 'self' data:; frame-ancestors 'none'",
        );
    } else {
        add(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
        add(header::CACHE_CONTROL, "no-store");
    }
}
