//! The one table from errors to answers. A handler returns [`ApiError`]; what this table doesn't know is a
//! 500 that says nothing, and is logged once with the request's id (see `observe`).

use super::views::FileView;
use crate::{db::DbError, service::ServiceError};
use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use cdn_actors::domain::{quota::Usage, size::human_size};
use serde_json::{Value, json};
use std::{borrow::Cow, fmt, time::Duration};

/// Seconds after which a refused client may try again.
const RETRY_AFTER: &str = "1";

/// Why a request has no result.
#[derive(Debug)]
pub enum ApiError {
    Service(ServiceError),
    /// The caller has this content already; the answer carries the file.
    FileExists(Box<FileView>),
    /// Cookies that name a session which is over are taken back.
    Unauthenticated,
    /// A write that another site made a browser send.
    CrossSite,
    /// An API key without the scope that the route needs.
    BeyondScope,
    NotAdministrator,
    TooManyRequests {
        retry_after: Duration,
    },
    UnsupportedMediaType(Cow<'static, str>),
    MethodNotAllowed {
        allow: String,
    },
    BodyTooLarge,
    PageNotFound,
}

impl ApiError {
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Service(ServiceError::BadRequest(message.into()))
    }

    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Service(ServiceError::field(field, message))
    }

    pub const NOT_FOUND: Self = Self::Service(ServiceError::NotFound);

    /// The status code alone, for results inside an answer.
    pub fn status(&self) -> u16 {
        self.answer().0.as_u16()
    }

    /// The message alone, for results inside an answer.
    pub fn message(&self) -> String {
        self.answer().1.into_owned()
    }

    /// Status, message, details.
    fn answer(&self) -> (StatusCode, Cow<'static, str>, Value) {
        match self {
            Self::Service(error) => service_answer(error),
            Self::FileExists(_) => (StatusCode::CONFLICT, "File already exists".into(), json!({})),
            Self::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "Authentication credentials were not provided.".into(), json!({}))
            }
            Self::CrossSite => (StatusCode::FORBIDDEN, "Cross-site request refused.".into(), json!({})),
            Self::BeyondScope => {
                (StatusCode::FORBIDDEN, "This API key does not permit this.".into(), json!({}))
            }
            Self::NotAdministrator => {
                (StatusCode::FORBIDDEN, "Only administrators may do this.".into(), json!({}))
            }
            Self::TooManyRequests { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "Too many requests. Try again later.".into(), json!({}))
            }
            Self::UnsupportedMediaType(message) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, message.clone(), json!({}))
            }
            Self::MethodNotAllowed { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.".into(), json!({}))
            }
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large.".into(), json!({}))
            }
            Self::PageNotFound => (StatusCode::NOT_FOUND, "Invalid page.".into(), json!({})),
        }
    }
}

fn service_answer(error: &ServiceError) -> (StatusCode, Cow<'static, str>, Value) {
    let plain = |status, message: &Cow<'static, str>| (status, message.clone(), json!({}));
    match error {
        ServiceError::NotFound => (StatusCode::NOT_FOUND, "Not found.".into(), json!({})),
        ServiceError::Missing(message) => plain(StatusCode::NOT_FOUND, message),
        ServiceError::Gone(message) => plain(StatusCode::GONE, message),
        ServiceError::Invalid(fields) => {
            let first = fields.values().flatten().next().cloned().unwrap_or_else(|| "Invalid input.".into());
            (StatusCode::BAD_REQUEST, first.into(), json!(fields))
        }
        ServiceError::BadRequest(message) => plain(StatusCode::BAD_REQUEST, message),
        ServiceError::Unauthenticated(message) => plain(StatusCode::UNAUTHORIZED, message),
        ServiceError::Forbidden(message) => plain(StatusCode::FORBIDDEN, message),
        ServiceError::Conflict(message) => plain(StatusCode::CONFLICT, message),
        ServiceError::FileExists(_) => (StatusCode::CONFLICT, "File already exists".into(), json!({})),
        ServiceError::QuotaExceeded(_) | ServiceError::NoRoom => {
            (StatusCode::PAYMENT_REQUIRED, "Storage quota exceeded".into(), json!({}))
        }
        ServiceError::TooLarge { file_size, max_size } => {
            let mut details = json!({"max_size": human_size(*max_size)});
            if let Some(size) = file_size {
                details["file_size"] = human_size(*size).into();
            }
            (StatusCode::PAYLOAD_TOO_LARGE, "File too large".into(), details)
        }
        ServiceError::Stalled => {
            (StatusCode::REQUEST_TIMEOUT, "The request body made no progress.".into(), json!({}))
        }
        ServiceError::BodyBroken(_) => {
            (StatusCode::BAD_REQUEST, "The request body is broken or ended early.".into(), json!({}))
        }
        ServiceError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "Too many attempts. Try again later.".into(), json!({}))
        }
        ServiceError::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, "The server is busy. Try again in a moment.".into(), json!({}))
        }
        ServiceError::Unavailable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The server can't do this right now. Try again in a moment.".into(),
            json!({}),
        ),
        ServiceError::StorageFull => {
            (StatusCode::INSUFFICIENT_STORAGE, "The server's storage is full.".into(), json!({}))
        }
        ServiceError::Database(DbError::Conflict | DbError::Unavailable(_)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The server can't do this right now. Try again in a moment.".into(),
            json!({}),
        ),
        ServiceError::Database(DbError::UniqueViolation) => {
            (StatusCode::CONFLICT, "This already exists.".into(), json!({}))
        }
        ServiceError::Database(_) | ServiceError::Internal(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error.".into(), json!({}))
        }
    }
}

/// What a 402 says beside its message.
fn quota_view(usage: &Usage) -> Value {
    json!({
        "storage_used": usage.used,
        "storage_limit": usage.limit,
        "quota_tier": usage.tier,
        "percentage_used": usage.percentage_used(),
    })
}

impl ApiError {
    /// What the audit calls a refusal; `None` for what is none.
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::CrossSite => Some("cross_site_write_refused"),
            Self::BeyondScope => Some("api_key_scope_refused"),
            Self::NotAdministrator => Some("administration_refused"),
            Self::TooManyRequests { .. } => Some("too_many_requests"),
            Self::Service(ServiceError::TooManyAttempts { .. }) => Some("too_many_attempts"),
            Self::Service(ServiceError::Unauthenticated(_)) => Some("credentials_refused"),
            Self::Service(ServiceError::Forbidden(_)) => Some("forbidden"),
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    /// For the log; clients get [`ApiError::answer`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(error) => error.fmt(f),
            other => f.write_str(&other.answer().1),
        }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.answer().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, message, details) = self.answer();
        let mut body = json!({"error": message, "detail": message, "details": details});
        match self {
            Self::Service(ServiceError::QuotaExceeded(usage)) => body["quota"] = quota_view(usage),
            Self::FileExists(file) => {
                body["message"] = message.as_ref().into();
                body["existing_file"] = json!(file);
            }
            _ => {}
        }
        let mut response = HttpResponse::build(status);
        if let Self::TooManyRequests { retry_after }
        | Self::Service(ServiceError::TooManyAttempts { retry_after }) = self
        {
            // Rounded up: a client that comes back then is admitted.
            response.insert_header((header::RETRY_AFTER, retry_after.as_secs() + 1));
        }
        match status {
            StatusCode::UNAUTHORIZED => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"api\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
            }
            _ => {}
        }
        if let Self::MethodNotAllowed { allow } = self {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        response.json(body)
    }
}
