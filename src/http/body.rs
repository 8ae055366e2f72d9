//! JSON bodies: limited in size, time and depth, and answered by field where they don't fit.

use super::{ApiError, AppState};
use crate::service::ServiceError;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web};
use bytes::BytesMut;
use futures_util::{StreamExt, future::LocalBoxFuture};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ops::Deref;

/// Deepest nesting of a body; no object of the contract has more than three levels.
const MAX_DEPTH: usize = 64;

/// Bytes of a body, if the client has said so.
pub fn declared_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A JSON object from the body of a request.
pub struct JsonBody<T>(pub T);

impl<T> Deref for JsonBody<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            if !is_json(&request) {
                return Err(ApiError::UnsupportedMediaType(
                    "The content type must be application/json.".into(),
                ));
            }
            let body = read_body(&request, payload).await?;
            parse(&body).map(Self)
        })
    }
}

/// Whether the body is JSON, by `application/json` or a `+json` type.
pub fn is_json(request: &HttpRequest) -> bool {
    let mime = request.mime_type().ok().flatten();
    mime.is_some_and(|mime| mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json"))
}

/// Reads a whole body within the configured size and pace.
///
/// # Errors
/// 413 as soon as the size is passed, 408 for a body that stalls, 400 for one that breaks off.
pub async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<BytesMut, ApiError> {
    let state =
        request.app_data::<web::Data<AppState>>().ok_or_else(|| ServiceError::Internal("no state".into()))?;
    let config = &state.services.config.uploads;
    let limit = usize::try_from(config.json_limit.bytes()).unwrap_or(usize::MAX);
    let declared =
        request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|declared: usize| declared > limit) {
        return Err(ApiError::BodyTooLarge);
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = tokio::time::timeout(config.stall_timeout.duration(), payload.next()).await;
        let Some(chunk) = chunk.map_err(|_| ServiceError::Stalled)? else { return Ok(body) };
        let chunk = chunk.map_err(|error| ServiceError::BodyBroken(error.to_string()))?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::BodyTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
}

/// # Errors
/// 400: text that is no JSON, nesting over 64, or a field that doesn't fit, by its name.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if nesting(body) > MAX_DEPTH {
        return Err(ApiError::bad_request(format!("JSON is nested more than {MAX_DEPTH} levels deep.")));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!(
            "JSON parse error at line {}, column {}.",
            error.line(),
            error.column()
        ))
    })?;
    let Value::Object(fields) = &value else {
        return Err(ApiError::bad_request("Invalid data. Expected an object."));
    };
    // No text of ours has a NUL in it, and PostgreSQL can't keep one.
    if let Some((field, _)) = fields.iter().find(|(_, value)| has_nul(value)) {
        return Err(ApiError::field(field, "Null characters are not allowed."));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = path.split(['.', '[']).next().unwrap_or_default().to_owned();
        ApiError::field(&field, data_message(&error.into_inner().to_string()))
    })
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// `invalid type: string "x", expected u64` → what was expected.
fn data_message(text: &str) -> String {
    let expected = text.rsplit("expected ").next().filter(|expected| *expected != text);
    match expected {
        Some("u64" | "i64" | "u32" | "u16") => "A valid integer is required.".into(),
        Some("a string") => "Not a valid string.".into(),
        Some("a boolean") => "Must be a valid boolean.".into(),
        Some(expected) => format!("Not valid: expected {expected}."),
        None => "Not a valid value.".into(),
    }
}

/// The deepest nesting of arrays and objects; brackets in strings don't count.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}
