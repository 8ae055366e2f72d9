//! Query parameters and path ids: unknown ones are ignored, known ones with a bad value refused.

use super::ApiError;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use cdn_actors::domain::{ids::UserId, page::Page};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use std::future::{Ready, ready};
use uuid::Uuid;

/// The query of a request, in its order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl FromRequest for Query {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::parse(request.query_string())))
    }
}

impl Query {
    pub fn parse(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The last value of a parameter; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// # Errors
    /// 400 when `read` doesn't take the value.
    pub fn get_with<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let value =
            read(text).ok_or_else(|| ApiError::field(name, format!("Not valid: expected {expected}.")))?;
        Ok(Some(value))
    }

    /// Text to look for.
    ///
    /// # Errors
    /// 400 for text with a NUL, which no name has and PostgreSQL doesn't take.
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.get_with(name, "text without null characters", |text| {
            (!text.contains('\0')).then(|| text.to_owned())
        })
    }

    /// # Errors
    /// 404 `Invalid page.` for a number that can't be one.
    pub fn page(&self) -> Result<Page, ApiError> {
        Page::parse(self.get("page"), self.get("page_size")).ok_or(ApiError::PageNotFound)
    }

    /// All pairs but those of one name.
    pub fn without<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter(move |(key, _)| key != name).map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Four digits for the year, as RFC 3339 has them; PostgreSQL doesn't reach as far as chrono.
fn parse_date(text: &str) -> Option<NaiveDate> {
    let is_plain = text.len() == "YYYY-MM-DD".len() && text.starts_with(|c: char| c.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// A moment of RFC 3339, or a day, which means its first moment in UTC.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let moment = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    moment.or_else(|| Some(parse_date(text)?.and_time(NaiveTime::MIN).and_utc()))
}

/// The end of a span: a moment, or a day, which means its last moment in UTC.
pub fn parse_until(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.to_utc());
    }
    let next_day = parse_date(text)?.succ_opt()?;
    // Times are kept to the microsecond.
    Some(next_day.and_time(NaiveTime::MIN).and_utc() - TimeDelta::microseconds(1))
}

/// A day as `YYYY-MM-DD`; of a moment its day in UTC.
pub fn parse_day(text: &str) -> Option<String> {
    parse_time(text).map(|time| time.format("%Y-%m-%d").to_string())
}

/// An id in a path; one that is no UUID is not there.
pub struct PathId(pub Uuid);

impl FromRequest for PathId {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(|text| Uuid::parse_str(text).ok());
        ready(id.map(Self).ok_or(ApiError::NOT_FOUND))
    }
}

/// A user's id in a path; one that is no number is not there.
pub struct PathUserId(pub UserId);

impl FromRequest for PathUserId {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(|text| text.parse().ok());
        ready(id.map(|id| Self(UserId(id))).ok_or(ApiError::NOT_FOUND))
    }
}
