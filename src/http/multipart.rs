//! Reads an upload form: one file, streamed, and a few short text fields before or after it.

use super::{
    ApiError,
    body::declared_length,
    form_data::{Content, FormData, FormDataError},
};
use crate::service::ServiceError;
use actix_web::{HttpMessage, HttpRequest, web::Payload};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use std::time::Duration;

/// Longest value of a text field in bytes.
const MAX_TEXT: usize = 4096;
/// Most parts of a form.
const MAX_PARTS: usize = 16;

impl From<FormDataError> for ServiceError {
    fn from(error: FormDataError) -> Self {
        Self::BodyBroken(error.to_string())
    }
}

/// A form being read, part by part.
pub struct Form {
    parts: FormData<Payload>,
    stall: Duration,
    seen: usize,
    /// Bytes of the whole body, if the client has said so.
    length: Option<u64>,
}

/// The next part of a form.
pub enum Part<'a> {
    File(FilePart<'a>),
    Text { name: String, value: String },
}

/// A file, and what the form says about it.
pub struct FilePart<'a> {
    content: Content<'a, Payload>,
    filename: Option<String>,
    pub content_type: Option<String>,
    /// Bytes of the file, if it is the last part: what is left of the body.
    pub declared_size: Option<u64>,
}

impl FilePart<'_> {
    /// Forms may leave the name out (RFC 7578, section 4.2).
    pub fn filename(&self) -> &str {
        self.filename.as_deref().filter(|name| !name.is_empty()).unwrap_or("upload")
    }

    pub fn into_content(self) -> impl Stream<Item = Result<Bytes, ServiceError>> {
        self.content.map_err(ServiceError::from)
    }
}

impl Form {
    /// # Errors
    /// 415 when the body is no form.
    pub fn new(request: &HttpRequest, payload: Payload, stall: Duration) -> Result<Self, ApiError> {
        let mime = request.mime_type().ok().flatten();
        let mime = mime.filter(|mime| mime.type_() == "multipart" && mime.subtype() == "form-data");
        let boundary = mime.as_ref().and_then(|mime| mime.get_param("boundary"));
        let Some(boundary) = boundary.filter(|boundary| !boundary.as_str().is_empty()) else {
            return Err(ApiError::UnsupportedMediaType(
                "The content type must be multipart/form-data.".into(),
            ));
        };
        let (parts, length) = (FormData::new(boundary.as_str(), payload), declared_length(request));
        Ok(Self { parts, stall, seen: 0, length })
    }

    /// # Errors
    /// A form that stalls, breaks off, or has too much in it.
    pub async fn next_part(&mut self) -> Result<Option<Part<'_>>, ApiError> {
        let next = tokio::time::timeout(self.stall, self.parts.next_part()).await;
        let head = next.map_err(|_| ServiceError::Stalled)?.map_err(ServiceError::from)?;
        let Some(head) = head else { return Ok(None) };
        self.seen += 1;
        if self.seen > MAX_PARTS {
            return Err(ApiError::bad_request("The form has too many parts."));
        }
        let behind = self.parts.position() + self.parts.closing();
        let declared_size = self.length.map(|length| length.saturating_sub(behind));
        let mut content = Content(&mut self.parts);
        if head.name == "file" {
            let (filename, content_type) = (head.filename, head.content_type);
            return Ok(Some(Part::File(FilePart { content, filename, content_type, declared_size })));
        }
        let name = head.name;
        let mut value = Vec::new();
        loop {
            let chunk = tokio::time::timeout(self.stall, content.next()).await;
            let Some(chunk) = chunk.map_err(|_| ServiceError::Stalled)? else { break };
            let chunk = chunk.map_err(ServiceError::from)?;
            if value.len() + chunk.len() > MAX_TEXT {
                return Err(ApiError::field(&name, format!("This field takes at most {MAX_TEXT} bytes.")));
            }
            value.extend_from_slice(&chunk);
        }
        let value =
            String::from_utf8(value).map_err(|_| ApiError::field(&name, "This field is not valid UTF-8."))?;
        Ok(Some(Part::Text { name, value }))
    }
}
