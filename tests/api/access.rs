//! Who may call what, over every operation of the OpenAPI document: a route that nobody thought of here fails.

use chrono::{TimeDelta, Utc};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    Client, Fetch, PASSWORD, RawConnection, Reply, TestApp, assert_error, assert_refused,
    assert_security_headers, status_of,
};

const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";

/// Operations that need no credentials. Whatever is not here answers 401 to those that are none.
const PUBLIC: &[&str] = &[
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /f/{id}/{filename}",
    "OPTIONS /f/{id}/{filename}",
    "GET /f/{id}/thumbnail",
    "GET /api/openapi.json",
    "POST /api/auth/login",
    "POST /api/auth/logout",
    "POST /api/auth/refresh",
    "POST /api/auth/retrieve",
    "GET /api/slack/login",
    "GET /api/slack/callback",
    // A share's token is its credential.
    "GET /api/cdn/shares/public/",
    "POST /api/cdn/shares/public/",
    "GET /api/cdn/shares/public/download/",
    "POST /api/cdn/shares/public/upload/",
    "GET /api/cdn/shares/public/thumbnail/",
    "GET /api/cdn/shares/public/zip/",
    "GET /s/{token}",
    "POST /s/{token}",
    "GET /s/{token}/download",
    "GET /s/{token}/preview",
    "GET /s/{token}/zip",
    "POST /s/{token}/upload",
];

struct Operation {
    method: Method,
    /// As in the document.
    route: String,
    /// With something in the place of each parameter.
    path: String,
    /// `public`, a scope, `session` or `administrator`.
    access: String,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.route)
    }

    fn is_public(&self) -> bool {
        // Who may read may ask about it.
        PUBLIC.contains(&self.name().replace("HEAD ", "GET ").as_str())
    }

    fn writes(&self) -> bool {
        ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.method)
    }

    /// The contract's error; the answer to HEAD has no body to hold it.
    #[track_caller]
    fn assert_refused(&self, reply: &Reply, status: u16, message: &str) {
        if self.method == Method::HEAD {
            reply.expect_empty(status);
        } else {
            assert_error(reply, status, message);
        }
    }

    fn request(&self, client: &Client) -> RequestBuilder {
        let request = client.request(self.method.clone(), &self.path);
        if self.writes() { request.json(&json!({})) } else { request }
    }
}

async fn operations(app: &TestApp) -> Vec<Operation> {
    let document = app.anonymous().get_json("/api/openapi.json").await;
    let mut operations = Vec::new();
    for (route, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if !operation.is_object() {
                continue;
            }
            let id = if route.contains("/admin/") { "999999".to_owned() } else { Uuid::now_v7().to_string() };
            let path = route.replace("{id}", &id).replace("{number}", "1").replace("{filename}", "a.txt");
            let path = path.replace("{token}", "no-token-of-any-share");
            assert!(!path.contains('{'), "{route}: what stands for its parameter?");
            let access = operation["x-access"].as_str().unwrap_or_else(|| {
                panic!("{method} {route} is not in the table of access (src/http/access.rs)")
            });
            operations.push(Operation { method, route: route.clone(), path, access: access.to_owned() });
        }
    }
    assert!(operations.len() > 50, "{}", operations.len());
    operations
}

api_test! {
    async fn every_operation_tells_who_may_call_it_and_the_public_ones_are_known(app) {
        for operation in operations(app).await {
            let name = operation.name();
            assert_eq!(operation.access == "public", operation.is_public(), "{name}: {}", operation.access);
            let is_admin = operation.route.starts_with("/api/admin/");
            assert_eq!(operation.access == "administrator", is_admin, "{name}");
            if ["upload", "manage"].contains(&operation.access.as_str()) {
                assert!(operation.writes(), "{name}");
            }
            if operation.access == "read" {
                assert!(!operation.writes(), "{name}");
            }
        }
    }
}

/// Credentials that are none, each with what it is.
async fn bad_credentials(app: &TestApp) -> Vec<(&'static str, Option<String>)> {
    let ada = app.user("ada@example.com").await;
    let access = ada.session.access.clone();
    let (head, signature) = access.rsplit_once('.').expect("a signed token");
    let (_, claims) = head.split_once('.').expect("a signed token");
    let flipped: String = signature.chars().rev().collect();
    let now = Utc::now().timestamp();
    let forged = json!({
        "sub": ada.id.to_string(), "sid": Uuid::now_v7(), "iat": now, "exp": now + 600, "typ": "access",
    });
    let forge = |key: &[u8]| {
        let key = EncodingKey::from_secret(key);
        jsonwebtoken::encode(&Header::default(), &forged, &key).expect("a token")
    };
    let other_key = jsonwebtoken::encode(
        &Header::default(),
        &claims_of(claims),
        &EncodingKey::from_secret(b"another secret of 32 bytes ......"),
    );

    let over = app.login("ada@example.com", PASSWORD).await;
    over.bearer().post("/api/auth/logout").fetch().await.expect_json(200);
    let disabled = app.user("eve@example.com").await;
    app.set_active(&disabled, false).await;
    let expired = app.login("ada@example.com", PASSWORD).await;
    app.clock.advance(TimeDelta::minutes(16));
    vec![
        ("no credentials", None),
        ("an empty token", Some(String::new())),
        ("an expired token", Some(expired.session.access)),
        ("a tampered token", Some(format!("{head}.{flipped}"))),
        // {"alg":"none","typ":"JWT"}
        ("an unsigned token", Some(format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."))),
        ("a token of another key", Some(other_key.expect("a token"))),
        ("a token of no key", Some(forge(b""))),
        ("a refresh token", Some(app.login("ada@example.com", PASSWORD).await.session.refresh)),
        ("a token of a session that is over", Some(over.session.access)),
        ("a token of a disabled user", Some(disabled.session.access)),
        ("an unknown API key", Some(format!("sk_cdn_{}", "x".repeat(43)))),
    ]
}

fn claims_of(encoded: &str) -> Value {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

api_test! {
    async fn bad_credentials_are_401_on_every_operation_that_is_not_public(app) {
        let credentials = bad_credentials(app).await;
        let client = app.anonymous();
        for operation in operations(app).await.iter().filter(|operation| !operation.is_public()) {
            for (what, token) in &credentials {
                let mut tries = vec![operation.request(&client)];
                if let Some(token) = token {
                    tries = vec![
                        operation.request(&client).header("authorization", format!("Bearer {token}")),
                        operation.request(&client).header("cookie", format!("access_token={token}")),
                    ];
                }
                for request in tries {
                    let reply = request.fetch().await;
                    assert_eq!(reply.status, 401, "{}: {what}: {}", operation.name(), reply.text());
                    operation.assert_refused(&reply, 401, NO_CREDENTIALS);
                }
            }
        }
    }
}

api_test! {
    async fn a_cookie_write_of_another_site_is_403_on_every_operation_before_its_body_is_read(app) {
        let ada = app.user("ada@example.com").await;
        let foreign = ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"];
        for operation in operations(app).await.iter().filter(|operation| operation.writes()) {
            for header in foreign {
                // The body never comes.
                let mut connection = RawConnection::open(app).await;
                let head = format!(
                    "{} {} HTTP/1.1\r\nHost: cdn\r\nCookie: {}\r\n{header}\r\n\
                     Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
                    operation.method,
                    operation.path,
                    ada.session.cookies(),
                );
                connection.send(head).await;
                let answer = connection.read_head().await;
                assert_eq!(status_of(&answer), Some(403), "{}: {header}: {answer}", operation.name());
            }
        }
        ada.get_json("/api/auth/me").await;
    }
}

/// The headers that keep a browser from making something of an answer that it isn't.
#[track_caller]
fn assert_browser_headers(what: &str, reply: &Reply, is_content: bool) {
    assert_security_headers(reply);
    assert!(!reply.header("x-request-id").is_empty(), "{what}");
    assert_eq!(reply.header("strict-transport-security"), "max-age=31536000", "{what}");
    if !is_content {
        assert_eq!(reply.header("x-frame-options"), "DENY", "{what}");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{what}");
        assert_eq!(reply.header("cache-control"), "no-store", "{what}");
    }
}

api_test! {
    with |config| {
        config.server.public_url = "https://cdn.example".to_owned();
        config.limits.account_requests_per_minute = 1;
        config.limits.account_burst = 1;
    }
    async fn every_answer_has_the_headers_that_browsers_heed(app) {
        let client = app.anonymous();
        for operation in operations(app).await {
            let reply = operation.request(&client).fetch().await;
            // Files and pages of shares say themselves who may show and keep them.
            let is_content = ["/f/", "/s/"].iter().any(|start| operation.route.starts_with(start));
            assert_browser_headers(&operation.name(), &reply, is_content);
        }
        let ada = app.user("ada@example.com").await.bearer();
        ada.get_json("/api/auth/me").await;
        for (request, status) in [
            (client.get("/api/nothing"), 404),
            (client.get("/nothing"), 404),
            (client.delete("/api/auth/login").header("origin", "https://cdn.example"), 405),
            (client.post("/api/auth/login").header("origin", "https://evil.example").body("{}"), 403),
            (ada.get("/api/auth/me"), 429),
        ] {
            let reply = request.fetch().await;
            assert_eq!(reply.status, status, "{}", reply.text());
            assert_browser_headers(&status.to_string(), &reply, false);
        }
    }
}

api_test! {
    async fn an_api_key_reaches_what_its_scope_names_and_nothing_else(app) {
        let root = app.admin("root@example.com").await;
        for scope in ["read", "upload", "manage"] {
            let body = json!({"name": scope, "scopes": [scope]});
            let made = root.post("/api/cdn/api-keys/").json(&body).fetch().await.expect_json(201);
            let program = root.with_token(made["key"].as_str().unwrap());
            for operation in operations(app).await.iter().filter(|operation| !operation.is_public()) {
                let name = operation.name();
                if operation.access == scope {
                    // A stream of events has no end: the head is enough.
                    let answer = operation.request(&program).send().await.expect("an answer");
                    let status = answer.status().as_u16();
                    assert!(status != 401 && status != 403 && status < 500, "{scope}: {name}: {status}");
                } else {
                    let reply = operation.request(&program).fetch().await;
                    assert_eq!(reply.status, 403, "{scope}: {name}: {}", reply.text());
                    operation.assert_refused(&reply, 403, "This API key does not permit this.");
                }
            }
        }
    }
}

api_test! {
    async fn administration_is_403_for_everybody_else(app) {
        let ada = app.user("ada@example.com").await;
        let is_admin = |operation: &&Operation| operation.access == "administrator";
        for operation in operations(app).await.iter().filter(is_admin) {
            let with_and_without_slash = [operation.path.clone(), operation.path.trim_end_matches('/').to_owned()];
            for path in with_and_without_slash {
                let request = ada.request(operation.method.clone(), &path).json(&json!({}));
                assert_refused(&request.fetch().await, 403);
            }
        }
    }
}
