//! An HTTP client with a Bearer token.

use super::random::sha256;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A file that the server has said to have.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    /// Path of the content's URL: the port changes with each start.
    pub path: String,
    pub sha256: String,
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub token: String,
}

impl Client {
    pub fn new(base: &str) -> Self {
        // An error says that another test was first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(120))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { http, base: base.to_owned(), token: String::new() }
    }

    /// The same caller at a server that was started again.
    pub fn at(&self, server: &super::server::Server) -> Self {
        Self { token: self.token.clone(), ..server.anonymous() }
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Response {
        let body = json!({"email": email, "password": password});
        self.request(Method::POST, "/api/auth/login").json(&body).send().await.expect("an answer")
    }

    pub async fn signed_in(mut self, email: &str, password: &str) -> Self {
        let response = self.sign_in(email, password).await;
        assert_eq!(response.status(), StatusCode::OK);
        let cookies = response.headers().get_all("set-cookie").iter();
        let token = cookies.filter_map(|cookie| cookie.to_str().ok()?.strip_prefix("access_token=")).next();
        self.token = token.and_then(|cookie| cookie.split(';').next()).expect("an access token").to_owned();
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(body["user"]["email"], email, "{body}");
        self
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer")
    }

    pub async fn get_json(&self, path: &str) -> (StatusCode, Value) {
        answer(self.get(path).await).await
    }

    pub async fn put(&self, name: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let request = self.request(Method::PUT, &format!("/api/cdn/uploads/{name}")).body(body);
        answer(request.send().await.expect("an answer")).await
    }

    /// An upload that must succeed.
    pub async fn upload(&self, name: &str, body: &[u8]) -> Stored {
        let (status, file) = self.put(name, body.to_vec()).await;
        assert_eq!(status, StatusCode::CREATED, "{file}");
        let stored = Stored::from_view(&file);
        assert_eq!(stored.sha256, sha256(body), "{file}");
        stored
    }

    /// The content that is there now must be the one that was stored.
    pub async fn assert_has(&self, stored: &Stored) {
        let response = self.get(&stored.path).await;
        assert_eq!(response.status(), StatusCode::OK, "{stored:?}");
        let bytes = response.bytes().await.expect("the whole content");
        assert_eq!(sha256(&bytes), stored.sha256, "{stored:?}");
    }

    /// All files of the caller.
    pub async fn files(&self) -> Vec<Stored> {
        let mut files = Vec::new();
        let mut next = Some("/api/cdn/files/?page_size=100".to_owned());
        while let Some(path) = next {
            let (status, page) = self.get_json(&path).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            files.extend(page["results"].as_array().expect("results").iter().map(Stored::from_view));
            next = page["next"].as_str().map(path_of);
        }
        files
    }
}

impl Stored {
    pub fn from_view(file: &Value) -> Self {
        let text = |name: &str| file[name].as_str().expect(name).to_owned();
        Self { id: text("id"), path: path_of(&text("cdn_url")), sha256: text("sha256_hash") }
    }
}

fn path_of(url: &str) -> String {
    let (_, rest) = url.split_once("://").expect("an absolute URL");
    rest[rest.find('/').expect("a path")..].to_owned()
}

pub async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}, and no JSON: {text}"));
    (status, body)
}

/// The three keys of every error.
#[track_caller]
pub fn assert_error(answer: &(StatusCode, Value), status: u16, message: &str) {
    let (found, body) = answer;
    assert_eq!(found.as_u16(), status, "{body}");
    assert_eq!(body["error"], message, "{body}");
    assert_eq!(body["detail"], message, "{body}");
    assert!(body["details"].is_object(), "{body}");
}
