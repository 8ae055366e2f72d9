//! Refusals as pages: the same errors with the same statuses as in the API, in words for people.

use super::template::{notice, password_form};
use crate::{http::ApiError, service::ServiceError};
use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use std::fmt;

/// An error that a person sees.
#[derive(Debug)]
pub struct PageError(pub ApiError);

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<ServiceError> for PageError {
    fn from(error: ServiceError) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = match status {
            StatusCode::UNAUTHORIZED => {
                let is_wrong = self.0.message() == "Wrong password";
                password_form(status, is_wrong)
            }
            _ => {
                let (title, text) = words_for(status);
                notice(status, title, text)
            }
        };
        if let Some(after) = self.0.error_response().headers().get(header::RETRY_AFTER) {
            response.headers_mut().insert(header::RETRY_AFTER, after.clone());
        }
        response
    }
}

fn words_for(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => {
            ("Nothing here", "This link leads nowhere. It may have been mistyped, changed or taken back.")
        }
        StatusCode::GONE => {
            ("This link is over", "Its time or its number of downloads is used up. Ask for a new one.")
        }
        StatusCode::FORBIDDEN => ("Not allowed", "This link doesn't allow that."),
        StatusCode::TOO_MANY_REQUESTS => {
            ("Too many attempts", "There were too many wrong attempts from here. Try again later.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("Too large", "The file is larger than this link takes."),
        StatusCode::PAYMENT_REQUIRED | StatusCode::INSUFFICIENT_STORAGE => {
            ("No room", "There is no room for this file where the link leads.")
        }
        status if status.is_client_error() => {
            ("That didn't work", "The server couldn't understand the request.")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            ("Busy", "The server can't do this right now. Try again in a moment.")
        }
        _ => ("Something went wrong", "The server made a mistake. Try again later."),
    }
}
