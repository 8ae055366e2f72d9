//! What a page of another site may do with a user's cookies: nothing; and what a configured frontend may: all.

use reqwest::RequestBuilder;
use serde_json::json;

use crate::harness::{Client, Fetch, PUBLIC_URL, Reply, TestApp, assert_refused};

const FRONTEND: &str = "https://files.example";
const FOREIGN: &str = "https://evil.example";

/// A client that sends only the cookies given here, so that a test has all headers in its hands.
fn with_cookies(app: &TestApp, ada: &Client, method: &str, path: &str) -> RequestBuilder {
    app.anonymous().request(method.parse().unwrap(), path).header("cookie", ada.session.cookies())
}

async fn create_folder(app: &TestApp, ada: &Client, name: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = with_cookies(app, ada, "POST", "/api/cdn/folders/").json(&json!({"name": name}));
    for (header, value) in headers {
        request = request.header(*header, *value);
    }
    request.fetch().await
}

macro_rules! frontend_test {
    (async fn $name:ident($app:ident) $body:block) => {
        api_test! {
            with |config| { config.server.frontend_origins = vec![FRONTEND.to_owned()]; }
            async fn $name($app) $body
        }
    };
}

frontend_test! {
    async fn a_cookie_write_from_a_foreign_site_is_403_and_changes_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let own_host_other_scheme = PUBLIC_URL.replace("http:", "https:");
        let prefixed = format!("{PUBLIC_URL}.evil.example");
        let other_port = format!("{PUBLIC_URL}:8443");
        let referer = format!("{FOREIGN}/{PUBLIC_URL}/");
        let refused: [&[(&str, &str)]; 12] = [
            &[("origin", FOREIGN)],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", &own_host_other_scheme)],
            &[("origin", &prefixed)],
            &[("origin", &other_port)],
            &[("origin", FOREIGN), ("referer", PUBLIC_URL)],
            &[("origin", FOREIGN), ("sec-fetch-site", "same-origin")],
            &[("referer", "https://evil.example/page")],
            &[("referer", &referer)],
            &[("sec-fetch-site", "cross-site")],
            &[("referer", "https://evil.example/"), ("sec-fetch-site", "cross-site")],
        ];
        for headers in refused {
            let reply = create_folder(app, &ada, "planted", headers).await;
            assert_eq!(reply.status, 403, "{headers:?}: {}", reply.text());
            assert_refused(&reply, 403);
        }
        let root = ada.get_json("/api/cdn/folders/root/").await;
        assert_eq!(root["folders"], json!([]));
    }
}

frontend_test! {
    async fn a_cookie_write_from_this_site_or_a_frontend_passes(app) {
        let ada = app.user("ada@example.com").await;
        let own_page = format!("{PUBLIC_URL}/api/docs/");
        let frontend_page = format!("{FRONTEND}/folder?a=b");
        let passed: [&[(&str, &str)]; 8] = [
            &[("origin", PUBLIC_URL)],
            &[("origin", FRONTEND)],
            &[("origin", FRONTEND), ("sec-fetch-site", "cross-site")],
            &[("origin", PUBLIC_URL), ("sec-fetch-site", "same-origin")],
            &[("referer", &own_page)],
            &[("referer", &frontend_page)],
            &[("sec-fetch-site", "same-origin")],
            &[],
        ];
        for (number, headers) in passed.iter().enumerate() {
            let reply = create_folder(app, &ada, &format!("folder {number}"), headers).await;
            assert_eq!(reply.status, 201, "{headers:?}: {}", reply.text());
        }
    }
}

frontend_test! {
    async fn every_cookie_write_is_refused_from_a_foreign_site(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("hello", "a.txt").await;
        let folder = ada.create_folder("kept", None).await;
        let file_path = format!("/api/cdn/files/{}/", file["id"].as_str().unwrap());
        let folder_path = format!("/api/cdn/folders/{}/", folder["id"].as_str().unwrap());
        let writes = [
            ("POST", "/api/auth/logout"),
            ("POST", "/api/auth/refresh"),
            ("POST", "/api/auth/reset_password"),
            ("POST", "/api/cdn/folders/"),
            ("PUT", folder_path.as_str()),
            ("PATCH", folder_path.as_str()),
            ("DELETE", folder_path.as_str()),
            ("POST", "/api/cdn/files/upload/"),
            ("PATCH", file_path.as_str()),
            ("DELETE", file_path.as_str()),
            ("POST", "/api/cdn/uploads/"),
            ("PUT", "/api/cdn/uploads/planted.txt"),
        ];
        for (method, path) in writes {
            for media_type in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
                let request = with_cookies(app, &ada, method, path).header("origin", FOREIGN);
                let reply = request.header("content-type", media_type).body("{}").fetch().await;
                assert_eq!(reply.status, 403, "{method} {path} {media_type}: {}", reply.text());
                assert_refused(&reply, 403);
            }
        }
        ada.get_json(&file_path).await;
        ada.get_json(&folder_path).await;
        ada.get_json("/api/auth/me").await;
    }
}

frontend_test! {
    async fn reads_from_a_foreign_site_are_answered_without_cors_headers(app) {
        let ada = app.user("ada@example.com").await;
        let reply = with_cookies(app, &ada, "GET", "/api/auth/me").header("origin", FOREIGN).fetch().await;
        reply.expect_json(200);
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
}

frontend_test! {
    async fn bearer_writes_are_exempt(app) {
        let ada = app.user("ada@example.com").await.bearer();
        for (number, origin) in [FOREIGN, "null"].into_iter().enumerate() {
            let request = ada.post("/api/cdn/folders/").json(&json!({"name": format!("folder {number}")}));
            let reply = request.header("origin", origin).header("sec-fetch-site", "cross-site").fetch().await;
            reply.expect_json(201);
        }
    }
}

frontend_test! {
    async fn a_frontend_may_read_answers_and_errors_with_credentials(app) {
        let ada = app.user("ada@example.com").await;
        let calls = [
            ("GET", "/api/auth/me", 200),
            ("GET", "/api/cdn/files/nothing/", 404),
            ("GET", "/api/nothing", 404),
        ];
        for (method, path, status) in calls {
            let reply = with_cookies(app, &ada, method, path).header("origin", FRONTEND).fetch().await;
            reply.expect_json(status);
            assert_eq!(reply.header("access-control-allow-origin"), FRONTEND, "{path}");
            assert_eq!(reply.header("access-control-allow-credentials"), "true", "{path}");
            assert!(
                reply.header("vary").to_lowercase().contains("origin"),
                "{path}: {}",
                reply.header("vary")
            );
        }
        let reply = app.anonymous().get("/api/auth/me").header("origin", FRONTEND).fetch().await;
        reply.expect_json(401);
        assert_eq!(reply.header("access-control-allow-origin"), FRONTEND);
    }
}

async fn preflight(app: &TestApp, origin: &str, method: &str) -> Reply {
    let request = app.anonymous().options("/api/cdn/folders/").header("origin", origin);
    let request = request.header("access-control-request-method", method);
    request.header("access-control-request-headers", "content-type,authorization").fetch().await
}

frontend_test! {
    async fn the_preflight_of_a_frontend_allows_every_method_and_header_of_the_api(app) {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let reply = preflight(app, FRONTEND, method).await;
            assert!(matches!(reply.status, 200 | 204), "{method}: {}", reply.status);
            assert_eq!(reply.header("access-control-allow-origin"), FRONTEND);
            assert_eq!(reply.header("access-control-allow-credentials"), "true");
            let methods = reply.header("access-control-allow-methods").to_uppercase();
            assert!(methods.contains(method), "{method} is not in {methods}");
            let headers = reply.header("access-control-allow-headers").to_lowercase();
            assert!(headers.contains("content-type") && headers.contains("authorization"), "{headers}");
        }
    }
}

frontend_test! {
    async fn the_preflight_of_a_foreign_site_allows_nothing(app) {
        for origin in [FOREIGN, "null", "https://files.example.evil.example", "http://files.example"] {
            let reply = preflight(app, origin, "POST").await;
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}");
        }
    }
}

api_test! {
    with |config| { config.server.public_url = "https://cdn.example".to_owned(); }
    async fn an_https_server_knows_its_own_origin(app) {
        let ada = app.user("ada@example.com").await;
        create_folder(app, &ada, "own", &[("origin", "https://cdn.example")]).await.expect_json(201);
        let reply = create_folder(app, &ada, "other", &[("origin", "http://cdn.example")]).await;
        assert_refused(&reply, 403);
    }
}
