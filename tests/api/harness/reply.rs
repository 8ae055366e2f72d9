//! An answer read to its end, and what every error answer must look like.

use std::future::Future;

use actix_web::cookie::Cookie;
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, SET_COOKIE};
use serde_json::Value;

/// Words that no error body may contain: they come from SQL, paths, source code or internal addresses.
const INTERNALS: [&str; 12] = [
    "sqlx",
    "SELECT",
    "INSERT",
    "UPDATE ",
    "sqlite",
    "postgres",
    "/tmp",
    "panicked",
    "src/",
    ".rs:",
    "127.0.0.1",
    "0x",
];

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What was asked, for failure messages.
    request: String,
}

/// Sends a request and reads the whole answer.
pub trait Fetch {
    fn fetch(self) -> impl Future<Output = Reply>;
}

impl Fetch for RequestBuilder {
    async fn fetch(self) -> Reply {
        let (client, request) = self.build_split();
        let request = request.expect("a well-formed request");
        let label = format!("{} {}", request.method(), request.url());
        let answer = client.execute(request).await.unwrap_or_else(|error| panic!("{label}: {error:?}"));
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        // A stream of events has no end to be waited for.
        if headers.get("content-type").is_some_and(|media_type| media_type == "text/event-stream") {
            return Reply { status, headers, body: Vec::new(), request: label };
        }
        let body = answer.bytes().await.unwrap_or_else(|error| panic!("{label}: body: {error:?}"));
        Reply { status, headers, body: body.to_vec(), request: label }
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn expect_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}: {}", self.request, self.text());
    }

    /// The JSON body of an answer that must have this status.
    #[track_caller]
    pub fn expect_json(&self, status: u16) -> Value {
        self.expect_status(status);
        let media_type = self.header("content-type");
        assert!(media_type.starts_with("application/json"), "{}: content type {media_type:?}", self.request);
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.request, self.text()))
    }

    #[track_caller]
    pub fn expect_empty(&self, status: u16) {
        self.expect_status(status);
        assert!(self.body.is_empty(), "{}: a body: {}", self.request, self.text());
    }

    /// A header's value, or "" when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The cookies that the answer sets or clears.
    pub fn cookies(&self) -> Vec<Cookie<'static>> {
        let values = self.headers.get_all(SET_COOKIE).iter();
        values
            .map(|value| Cookie::parse(value.to_str().expect("text").to_owned()).expect("a cookie"))
            .collect()
    }

    #[track_caller]
    pub fn cookie(&self, name: &str) -> Cookie<'static> {
        let mut named: Vec<_> = self.cookies().into_iter().filter(|cookie| cookie.name() == name).collect();
        assert_eq!(named.len(), 1, "{}: cookies {name}: {named:?}", self.request);
        named.remove(0)
    }

    #[track_caller]
    pub fn cookie_value(&self, name: &str) -> String {
        let value = self.cookie(name).value().to_owned();
        assert!(!value.is_empty(), "{}: {name} is empty", self.request);
        value
    }

    /// Both cookies are told to go.
    #[track_caller]
    pub fn expect_cookies_cleared(&self) {
        for name in ["access_token", "refresh_token"] {
            let cookie = self.cookie(name);
            let by_age = cookie.max_age().is_some_and(|age| age.is_zero() || age.is_negative());
            let by_date = cookie.expires_datetime().is_some_and(|at| at.unix_timestamp() <= 0);
            assert!(cookie.value().is_empty() && (by_age || by_date), "{}: {cookie}", self.request);
            assert_eq!(cookie.path(), Some("/"), "{}: {cookie}", self.request);
        }
    }

    #[track_caller]
    pub fn expect_no_cookies(&self) {
        assert!(self.cookies().is_empty(), "{}: {:?}", self.request, self.cookies());
    }
}

/// An error with the message that the contract fixes. Answers with its body.
#[track_caller]
pub fn assert_error(reply: &Reply, status: u16, message: &str) -> Value {
    let body = assert_refused(reply, status);
    assert_eq!(body["error"], message, "{}", reply.request);
    body
}

/// An error whose message the contract leaves open. Answers with its body.
#[track_caller]
pub fn assert_refused(reply: &Reply, status: u16) -> Value {
    let body = reply.expect_json(status);
    let message = body["error"].as_str().unwrap_or_else(|| panic!("{}: no message: {body}", reply.request));
    assert!(!message.is_empty(), "{}: an empty message", reply.request);
    assert_eq!(body["error"], body["detail"], "{}", reply.request);
    assert!(body["details"].is_object(), "{}: details: {body}", reply.request);
    for word in INTERNALS {
        assert!(!message.contains(word), "{}: tells of internals: {message}", reply.request);
    }
    if status == 401 {
        assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="api""#, "{}", reply.request);
    }
    if matches!(status, 429 | 503) {
        let after = reply.header("retry-after");
        assert!(after.parse::<u32>().is_ok(), "{}: Retry-After {after:?}", reply.request);
    }
    assert_security_headers(reply);
    body
}

/// A 400 whose details name the field, each with a list of sentences.
#[track_caller]
pub fn assert_field_error(reply: &Reply, field: &str) -> Value {
    let body = assert_refused(reply, 400);
    let messages = body["details"][field].as_array().cloned().unwrap_or_default();
    assert!(!messages.is_empty(), "{}: nothing said about {field}: {body}", reply.request);
    assert!(messages.iter().all(|message| message.as_str().is_some_and(|text| !text.is_empty())), "{body}");
    body
}

#[track_caller]
pub fn assert_security_headers(reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{}", reply.request);
    assert!(!reply.header("referrer-policy").is_empty(), "{}: no Referrer-Policy", reply.request);
}
