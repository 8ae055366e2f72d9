//! Reads an upload form: one file, streamed, and a few short text fields before or after it.

use super::ApiError;
use crate::service::ServiceError;
use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::header};
use futures_util::StreamExt;
use std::time::Duration;

/// Longest value of a text field in bytes.
const MAX_TEXT: usize = 4096;
/// Most parts of a form.
const MAX_PARTS: usize = 16;

impl From<MultipartError> for ServiceError {
    fn from(error: MultipartError) -> Self {
        Self::BodyBroken(error.to_string())
    }
}

/// A form being read, part by part.
pub struct Form {
    parts: Multipart,
    stall: Duration,
    seen: usize,
    /// What is left of the announced body for the contents of parts to come, as far as can be told.
    left: Option<u64>,
    delimiter: u64,
}

/// The next part of a form.
pub enum Part {
    File { field: Box<Field>, filename: Option<String>, content_type: Option<String> },
    Text { name: String, value: String },
}

impl Form {
    /// # Errors
    /// 415 when the body is no form.
    pub fn new(
        request: &HttpRequest,
        payload: actix_web::web::Payload,
        stall: Duration,
    ) -> Result<Self, ApiError> {
        let mime = request.mime_type().ok().flatten();
        let boundary = mime
            .filter(|mime| mime.type_() == "multipart" && mime.subtype() == "form-data")
            .and_then(|mime| mime.get_param("boundary").map(|boundary| boundary.as_str().len() as u64));
        let Some(boundary) = boundary else {
            return Err(ApiError::UnsupportedMediaType(
                "The content type must be multipart/form-data.".into(),
            ));
        };
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.parse().ok());
        // "--boundary--\r\n" closes the form, "--boundary\r\n" opens a part, "\r\n" ends its content.
        let left = length.map(|length| length.saturating_sub(boundary + 6));
        let parts = Multipart::new(request.headers(), payload);
        Ok(Self { parts, stall, seen: 0, left, delimiter: boundary + 4 + 2 })
    }

    /// Bytes of the file, if it is the last part: what is left of the body.
    pub fn declared_size(&self) -> Option<u64> {
        self.left
    }

    /// # Errors
    /// A form that stalls, breaks off, or has too much in it.
    pub async fn next_part(&mut self) -> Result<Option<Part>, ApiError> {
        let next = tokio::time::timeout(self.stall, self.parts.next()).await;
        let Some(field) = next.map_err(|_| ServiceError::Stalled)? else { return Ok(None) };
        let mut field = field.map_err(ServiceError::from)?;
        self.seen += 1;
        if self.seen > MAX_PARTS {
            return Err(ApiError::bad_request("The form has too many parts."));
        }
        let header_bytes: usize =
            field.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        self.take_off(self.delimiter + header_bytes as u64 + 2);
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            let filename = field.content_disposition().and_then(|disposition| {
                disposition
                    .get_filename_ext()
                    .map(|ext| String::from_utf8_lossy(&ext.value).into_owned())
                    .or_else(|| disposition.get_filename().map(str::to_owned))
            });
            let content_type = field.content_type().map(|mime| mime.essence_str().to_owned());
            return Ok(Some(Part::File { field: Box::new(field), filename, content_type }));
        }
        let mut value = Vec::new();
        loop {
            let chunk =
                tokio::time::timeout(self.stall, field.next()).await.map_err(|_| ServiceError::Stalled)?;
            let Some(chunk) = chunk else { break };
            let chunk = chunk.map_err(ServiceError::from)?;
            if value.len() + chunk.len() > MAX_TEXT {
                return Err(ApiError::field(&name, format!("This field takes at most {MAX_TEXT} bytes.")));
            }
            value.extend_from_slice(&chunk);
        }
        self.take_off(value.len() as u64);
        let value =
            String::from_utf8(value).map_err(|_| ApiError::field(&name, "This field is not valid UTF-8."))?;
        Ok(Some(Part::Text { name, value }))
    }

    /// An answer that may be given before the form was read to its end. The rest of the form is held until the
    /// answer is on its way: actix then reads on for a moment and closes, and the client gets to the answer.
    /// Dropped before, a body in chunks would be left standing, and a client that goes on sending with it.
    pub fn answer_unread(self, mut response: HttpResponse) -> HttpResponse {
        response.extensions_mut().insert(self);
        response
    }

    fn take_off(&mut self, bytes: u64) {
        self.left = self.left.map(|left| left.saturating_sub(bytes));
    }
}
