//! `GET|HEAD /f/{id}/{filename}`: what a link answers, to whom, and how safely.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, GOOD_NAMES, Reply, TestApp, assert_error, assert_refused, assert_security_headers, encode,
    noise, png,
};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn read(app: &TestApp, file: &Value) -> Reply {
    app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await
}

/// The disposition and the name that a modern client takes from it (RFC 6266, section 4.3).
fn disposition(reply: &Reply) -> (String, Option<String>) {
    let value = reply.header("content-disposition");
    let (kind, rest) = value.split_once(';').unwrap_or((value, ""));
    let extended =
        rest.split_once("filename*=").map(|(_, value)| value.split(';').next().unwrap_or_default().trim());
    let name = match extended {
        Some(value) => {
            let encoded = value.strip_prefix("UTF-8''").or(value.strip_prefix("utf-8''")).expect(value);
            Some(percent_encoding::percent_decode_str(encoded).decode_utf8().expect("UTF-8").into_owned())
        }
        None => rest.split_once("filename=").map(|(_, value)| unquoted(value.trim())),
    };
    (kind.trim().to_owned(), name)
}

/// A token or the content of a quoted string (RFC 9110, section 5.6.4).
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

api_test! {
    async fn anyone_with_the_link_may_read_the_bytes(app) {
        let ada = app.user("ada@example.com").await;
        let bytes = png(1);
        let file = ada.upload(bytes.clone(), "photo.png").await;
        for client in [app.anonymous(), ada, app.user("grace@example.com").await] {
            let reply = client.get(&app.local(&file["cdn_url"])).fetch().await;
            reply.expect_status(200);
            assert_eq!(reply.body, bytes);
            assert_eq!(reply.header("content-type"), "image/png");
            assert_eq!(reply.header("content-length"), bytes.len().to_string());
            assert_eq!(reply.header("accept-ranges"), "bytes");
            assert!(reply.header("etag").starts_with('"'), "{}", reply.header("etag"));
            assert!(reply.header("last-modified").ends_with(" GMT"), "{}", reply.header("last-modified"));
            assert!(reply.header("cache-control").contains("max-age="), "{}", reply.header("cache-control"));
            assert_security_headers(&reply);
            reply.expect_no_cookies();
        }
    }
}

api_test! {
    async fn the_name_in_the_link_is_cosmetic(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        let id = file["id"].as_str().unwrap();
        for name in ["a.txt", "other.png", "x", "%E2%82%AC", "a%2Fb", "a.txt?x=1", "a.txt/"] {
            let reply = app.anonymous().get(&format!("/f/{id}/{name}")).fetch().await;
            reply.expect_status(200);
            assert_eq!(reply.text(), "content", "{name}");
            assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8", "{name}");
        }
    }
}

api_test! {
    async fn what_is_not_there_is_404(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        for id in [UNKNOWN_ID, "no-uuid", "..", "%00", "%ff", folder["id"].as_str().unwrap()] {
            let reply = app.anonymous().get(&format!("/f/{id}/a.txt")).fetch().await;
            assert_error(&reply, 404, "Not found.");
            assert!(!reply.header("cache-control").contains("public"), "{}", reply.header("cache-control"));
            let reply = app.anonymous().head(&format!("/f/{id}/a.txt")).fetch().await;
            reply.expect_empty(404);
        }
    }
}

api_test! {
    async fn head_answers_the_same_head_without_a_body(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100_000), "a.bin").await;
        let path = app.local(&file["cdn_url"]);
        let get = app.anonymous().get(&path).fetch().await;
        let head = app.anonymous().head(&path).fetch().await;
        head.expect_empty(200);
        for name in [
            "content-type",
            "content-length",
            "etag",
            "last-modified",
            "accept-ranges",
            "cache-control",
            "content-disposition",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
        assert_eq!(head.header("content-length"), "100000");
    }
}

api_test! {
    async fn other_methods_are_405(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let request = ada.request(method.parse().unwrap(), &app.local(&file["cdn_url"]));
            let reply = request.fetch().await;
            assert_refused(&reply, 405);
            let allow = reply.header("allow");
            assert!(allow.contains("GET") && allow.contains("HEAD") && !allow.contains(method), "{allow}");
        }
        assert_eq!(read(app, &file).await.text(), "content");
    }
}

api_test! {
    async fn pages_of_any_origin_may_read_without_credentials(app) {
        let ada = app.user("ada@example.com").await;
        let path = app.local(&ada.upload("content", "a.txt").await["cdn_url"]);
        for origin in ["https://anywhere.example", "null"] {
            let reply = app.anonymous().get(&path).header("origin", origin).fetch().await;
            reply.expect_status(200);
            assert_eq!(reply.header("access-control-allow-origin"), "*");
            assert_eq!(reply.header("access-control-allow-credentials"), "");
            let exposed = reply.header("access-control-expose-headers").to_lowercase();
            assert!(exposed.contains("content-range") && exposed.contains("etag"), "{exposed}");
        }
        let reply = app.anonymous().get(&path).fetch().await;
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
}

api_test! {
    async fn the_preflight_of_any_origin_allows_ranges(app) {
        let ada = app.user("ada@example.com").await;
        let path = app.local(&ada.upload("content", "a.txt").await["cdn_url"]);
        let request = app.anonymous().options(&path).header("origin", "https://anywhere.example");
        let request = request.header("access-control-request-method", "GET");
        let reply = request.header("access-control-request-headers", "range").fetch().await;
        assert!(matches!(reply.status, 200 | 204), "{} {}", reply.status, reply.text());
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("access-control-allow-methods").contains("GET"));
        assert!(reply.header("access-control-allow-headers").to_lowercase().contains("range"));
    }
}

api_test! {
    with |config| { config.server.frontend_origins = vec!["https://files.example".to_owned()]; }
    async fn a_frontend_reads_content_like_everybody_else(app) {
        let ada = app.user("ada@example.com").await;
        let path = app.local(&ada.upload("content", "a.txt").await["cdn_url"]);
        let reply = app.anonymous().get(&path).header("origin", "https://files.example").fetch().await;
        reply.expect_status(200);
        let allowed = reply.header("access-control-allow-origin");
        assert!(matches!(allowed, "*" | "https://files.example"), "{allowed}");
        assert_eq!(reply.headers.get_all("access-control-allow-origin").iter().count(), 1);
    }
}

async fn upload_active(ada: &Client) -> Vec<Value> {
    let mut files = Vec::new();
    for (name, content) in [
        ("page.html", "<!doctype html><script>alert(document.cookie)</script>"),
        ("image.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        (
            "data.xml",
            "<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
        ),
        ("page.xhtml", "<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>"),
        ("no_extension", "<html><body><script>alert(1)</script></body></html>"),
        ("upper.HTM", "<p>no doctype <script>alert(1)</script>"),
    ] {
        files.push(ada.upload(content, name).await);
    }
    files
}

api_test! {
    async fn active_types_are_sandboxed(app) {
        let ada = app.user("ada@example.com").await;
        for file in upload_active(&ada).await {
            let reply = read(app, &file).await;
            reply.expect_status(200);
            assert_eq!(reply.header("x-content-type-options"), "nosniff");
            let media_type = reply.header("content-type");
            // Either it can't be a document at all, or it is a harmless one.
            let is_inert = media_type.starts_with("text/plain") || media_type == "application/octet-stream";
            let policy = reply.header("content-security-policy");
            let is_sandboxed = policy.contains("sandbox") && policy.contains("default-src 'none'");
            assert!(is_inert || is_sandboxed, "{media_type}: {policy:?}");
            assert!(!policy.contains("allow-scripts") && !policy.contains("allow-same-origin"), "{policy}");
        }
    }
}

api_test! {
    async fn the_sandbox_holds_for_ranges_and_attachments(app) {
        let ada = app.user("ada@example.com").await;
        for file in upload_active(&ada).await.into_iter().take(3) {
            let path = app.local(&file["cdn_url"]);
            let part = app.anonymous().get(&path).header("range", "bytes=0-10").fetch().await;
            part.expect_status(206);
            let attachment = app.anonymous().get(&format!("{path}?download=1")).fetch().await;
            attachment.expect_status(200);
            for reply in [part, attachment] {
                assert!(reply.header("content-security-policy").contains("sandbox"), "{:?}", reply.headers);
                assert_eq!(reply.header("x-content-type-options"), "nosniff");
            }
        }
    }
}

api_test! {
    async fn a_registered_media_type_can_not_smuggle_headers(app) {
        let ada = app.user("ada@example.com").await;
        let mut body = crate::harness::registration("a.txt");
        body["mime_type"] = json!("text/html\r\nSet-Cookie: a=b");
        assert_refused(&ada.try_register(&body).await, 400);
    }
}

api_test! {
    async fn download_1_is_an_attachment_with_the_right_name(app) {
        let ada = app.user("ada@example.com").await;
        for (seed, name) in (0..).zip(GOOD_NAMES.iter()) {
            let file = ada.upload(noise(seed, 40), name).await;
            let path = app.local(&file["cdn_url"]);
            let reply = app.anonymous().get(&format!("{path}?download=1")).fetch().await;
            reply.expect_status(200);
            assert_eq!(disposition(&reply), ("attachment".to_owned(), Some(name.clone())));
            let value = reply.header("content-disposition");
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value}");
            if !name.is_ascii() {
                assert!(value.contains("filename="), "no name for old clients: {value}");
            }
            // Without the parameter a browser may show it.
            let reply = read(app, &file).await;
            assert_ne!(disposition(&reply).0, "attachment", "{name}");
        }
    }
}

api_test! {
    async fn a_download_is_named_as_the_file_is_now(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "before.txt").await;
        ada.patch_file(&file, json!({"filename": "after é.txt"})).await.expect_json(200);
        let reply = app.anonymous().get(&format!("{}?download=1", app.local(&file["cdn_url"]))).fetch().await;
        assert_eq!(disposition(&reply), ("attachment".to_owned(), Some("after é.txt".to_owned())));
    }
}

api_test! {
    async fn a_trashed_file_is_404_at_once_even_to_who_has_it(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        let tag = read(app, &file).await.header("etag").to_owned();
        ada.trash_file(&file).await;
        let path = app.local(&file["cdn_url"]);
        assert_error(
            &app.anonymous().get(&path).header("if-none-match", tag).fetch().await,
            404,
            "Not found.",
        );
        assert_error(
            &app.anonymous().get(&path).header("range", "bytes=0-1").fetch().await,
            404,
            "Not found.",
        );
        assert_error(&ada.get(&path).fetch().await, 404, "Not found.");
    }
}

api_test! {
    async fn a_registered_file_leads_to_its_cdn(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&crate::harness::registration("a.txt")).await;
        let path = format!("/f/{}/{}", file["id"].as_str().unwrap(), encode("a.txt"));
        let reply = app.anonymous().get(&path).fetch().await;
        match reply.status {
            302 | 307 => assert_eq!(reply.header("location"), file["cdn_url"].as_str().unwrap()),
            _ => {
                assert_error(&reply, 404, "Not found.");
            }
        }
    }
}
