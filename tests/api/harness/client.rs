//! An HTTP client in one of three roles (nobody, cookies, Bearer), with the calls that tests make all the time.

use std::net::Ipv4Addr;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::names::encode;
use super::reply::{Fetch, Reply};
use super::samples::registration;

/// The password of every test user.
pub const PASSWORD: &str = "correct horse 7 battery";

/// More than any tier has, and a size that fits every column.
const BEYOND_EVERY_QUOTA: u64 = 1 << 60;

/// The tokens of one login.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub access: String,
    pub refresh: String,
}

impl Session {
    /// A `Cookie` header with both.
    pub fn cookies(&self) -> String {
        format!("access_token={}; refresh_token={}", self.access, self.refresh)
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none())
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// As of the login.
    pub session: Session,
    pub id: i64,
    pub email: String,
}

impl Client {
    pub fn new(base: &str) -> Self {
        Self::with_headers(base, HeaderMap::new(), true)
    }

    /// A client without credentials whose connections come from another address: all of 127.0.0.0/8 is this machine.
    pub fn from_address(base: &str, address: Ipv4Addr) -> Self {
        let http = builder().local_address(Some(address.into())).build().expect("a client");
        Self { http, ..Self::new(base) }
    }

    fn with_headers(base: &str, headers: HeaderMap, cookies: bool) -> Self {
        let http = builder().cookie_store(cookies).default_headers(headers).build().expect("a client");
        Self { http, base: base.to_owned(), session: Session::default(), id: 0, email: String::new() }
    }

    pub fn logged_in(self, user: Value, session: Session) -> Self {
        let id = user["id"].as_i64().expect("an id");
        let email = user["email"].as_str().expect("an e-mail").to_owned();
        Self { session, id, email, ..self }
    }

    /// After an answer that signed this client in.
    pub fn logged_in_by(self, reply: &Reply) -> Self {
        let user = reply.expect_json(200)["user"].clone();
        let session = Session {
            access: reply.cookie_value("access_token"),
            refresh: reply.cookie_value("refresh_token"),
        };
        self.logged_in(user, session)
    }

    /// The same user by `Authorization: Bearer` and without cookies.
    pub fn bearer(&self) -> Self {
        self.with_token(&self.session.access)
    }

    /// The same user by `Authorization: Bearer` with a token or key of theirs.
    pub fn with_token(&self, token: &str) -> Self {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token");
        let client = Self::with_headers(&self.base, HeaderMap::from_iter([(AUTHORIZATION, value)]), false);
        Self { session: self.session.clone(), id: self.id, email: self.email.clone(), ..client }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// GET with a query whose values are encoded here.
    pub fn get_with(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.get(&format!("{path}?{query}"))
    }

    pub fn head(&self, path: &str) -> RequestBuilder {
        self.request(Method::HEAD, path)
    }

    pub fn options(&self, path: &str) -> RequestBuilder {
        self.request(Method::OPTIONS, path)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    pub fn patch(&self, path: &str) -> RequestBuilder {
        self.request(Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// GET that must answer 200 with JSON.
    pub async fn get_json(&self, path: &str) -> Value {
        self.get(path).fetch().await.expect_json(200)
    }

    /// DELETE that must answer 204.
    pub async fn remove(&self, path: &str) {
        self.delete(path).fetch().await.expect_empty(204);
    }

    /// PUT of a raw body to the upload path.
    pub async fn try_upload(&self, content: impl Into<reqwest::Body>, filename: &str) -> Reply {
        self.put(&format!("/api/cdn/uploads/{}", encode(filename))).body(content).fetch().await
    }

    /// An upload that must succeed.
    pub async fn upload(&self, content: impl Into<reqwest::Body>, filename: &str) -> Value {
        self.try_upload(content, filename).await.expect_json(201)
    }

    pub async fn try_register(&self, body: &Value) -> Reply {
        self.post("/api/cdn/files/upload/").json(body).fetch().await
    }

    /// A registration that must succeed.
    pub async fn register(&self, body: &Value) -> Value {
        self.try_register(body).await.expect_json(201)
    }

    pub async fn try_create_folder(&self, name: &str, parent: Option<&Value>) -> Reply {
        let body = json!({"name": name, "parent": parent.map(|folder| &folder["id"])});
        self.post("/api/cdn/folders/").json(&body).fetch().await
    }

    /// A new folder below `parent` (or the root) that must succeed.
    pub async fn create_folder(&self, name: &str, parent: Option<&Value>) -> Value {
        self.try_create_folder(name, parent).await.expect_json(201)
    }

    pub async fn root(&self) -> Value {
        self.get_json("/api/cdn/folders/root/").await["root_folder"].clone()
    }

    pub async fn file(&self, id: &Value) -> Reply {
        self.get(&path_of("files", id)).fetch().await
    }

    pub async fn folder(&self, id: &Value) -> Reply {
        self.get(&path_of("folders", id)).fetch().await
    }

    pub async fn contents(&self, folder: &Value) -> Value {
        self.get_json(&format!("{}contents/", path_of("folders", &folder["id"]))).await
    }

    pub async fn patch_file(&self, file: &Value, body: Value) -> Reply {
        self.patch(&path_of("files", &file["id"])).json(&body).fetch().await
    }

    pub async fn patch_folder(&self, folder: &Value, body: Value) -> Reply {
        self.patch(&path_of("folders", &folder["id"])).json(&body).fetch().await
    }

    pub async fn trash_file(&self, file: &Value) {
        self.remove(&path_of("files", &file["id"])).await;
    }

    pub async fn trash_folder(&self, folder: &Value) {
        self.remove(&path_of("folders", &folder["id"])).await;
    }

    /// The `quota` object, which only a refused registration shows.
    pub async fn quota(&self) -> Value {
        let mut body = registration("beyond-every-quota.bin");
        body["file_size"] = json!(BEYOND_EVERY_QUOTA);
        self.try_register(&body).await.expect_json(402)["quota"].clone()
    }

    pub async fn used_bytes(&self) -> u64 {
        self.quota().await["storage_used"].as_u64().expect("a size")
    }
}

fn path_of(collection: &str, id: &Value) -> String {
    format!("/api/cdn/{collection}/{}/", id.as_str().unwrap_or_else(|| panic!("not an id: {id}")))
}
