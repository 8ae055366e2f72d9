//! JSON bodies that are none, too big, too deep or of another type.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, RawConnection, Reply, assert_field_error, assert_refused, eventually, names_of,
    registration,
};

/// Every call that takes a JSON body, for a user whose folder and file have these ids.
fn json_calls(folder: &Value, file: &Value) -> Vec<(&'static str, String)> {
    let folder = format!("/api/cdn/folders/{}/", folder["id"].as_str().unwrap());
    let file = format!("/api/cdn/files/{}/", file["id"].as_str().unwrap());
    vec![
        ("POST", "/api/auth/login".to_owned()),
        ("POST", "/api/auth/reset_password".to_owned()),
        ("POST", "/api/cdn/folders/".to_owned()),
        ("PUT", folder.clone()),
        ("PATCH", folder),
        ("POST", "/api/cdn/files/upload/".to_owned()),
        ("PUT", file.clone()),
        ("PATCH", file),
    ]
}

async fn send(client: &Client, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = client.request(method.parse().unwrap(), path).header("content-type", "application/json");
    request.body(body).fetch().await
}

async fn create_folder(client: &Client, body: impl Into<reqwest::Body>) -> Reply {
    send(client, "POST", "/api/cdn/folders/", body).await
}

/// Each body is a 400 for each call; all that are not are named at once.
async fn refuse_everywhere(client: &Client, calls: &[(&str, String)], bodies: &[&'static [u8]]) {
    let mut accepted = Vec::new();
    for (method, path) in calls {
        for body in bodies {
            let reply = send(client, method, path, *body).await;
            match reply.status {
                400 => {
                    assert_refused(&reply, 400);
                }
                status => {
                    accepted.push(format!("{method} {path} {:?}: {status}", String::from_utf8_lossy(body)))
                }
            }
        }
    }
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
}

fn nested(depth: usize) -> String {
    format!(r#"{{"name": "nested", "x": {}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

api_test! {
    async fn text_that_is_no_json_is_400(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register(&registration("a.txt")).await;
        let bodies: [&[u8]; 13] = [
            b"",
            b"{",
            b"}",
            b"{]",
            b"{\"name\"}",
            b"{\"name\": }",
            b"{'name': 'x'}",
            b"{\"name\": \"x\",}",
            b"name=x",
            b"{\"name\": \"x\"} trailing",
            b"\xff\xfe",
            b"{\"name\": \"\xff\"}",
            b"NaN",
        ];
        refuse_everywhere(&ada, &json_calls(&folder, &file), &bodies).await;
        // Half of a pair of surrogates is no text; where it is ignored it does no harm.
        assert_refused(&create_folder(&ada, r#"{"name": "\ud800"}"#).await, 400);
    }
}

api_test! {
    async fn json_that_is_no_object_is_400(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register(&registration("a.txt")).await;
        let bodies = ["[]", "null", "true", "5", "\"text\"", "[{\"name\": \"x\"}]", "[\"x\", null]"];
        refuse_everywhere(&ada, &json_calls(&folder, &file), &bodies.map(str::as_bytes)).await;
    }
}

api_test! {
    async fn another_content_type_is_415(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register(&registration("a.txt")).await;
        for (method, path) in json_calls(&folder, &file) {
            for media_type in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "text/json-ish",
            ] {
                let request = ada.request(method.parse().unwrap(), &path).header("content-type", media_type);
                let reply = request.body("{\"name\": \"x\"}").fetch().await;
                assert_eq!(reply.status, 415, "{method} {path} {media_type}: {}", reply.text());
                assert_refused(&reply, 415);
            }
            let reply = ada.request(method.parse().unwrap(), &path).body("{\"name\": \"x\"}").fetch().await;
            assert_refused(&reply, 415);
        }
    }
}

api_test! {
    async fn json_with_a_charset_is_json(app) {
        let ada = app.user("ada@example.com").await;
        for (number, media_type) in
            ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"]
                .iter()
                .enumerate()
        {
            let request = ada.post("/api/cdn/folders/").header("content-type", *media_type);
            request.body(format!("{{\"name\": \"folder {number}\"}}")).fetch().await.expect_json(201);
        }
    }
}

api_test! {
    async fn calls_without_a_body_need_no_content_type(app) {
        let ada = app.user("ada@example.com").await;
        ada.post("/api/auth/refresh").fetch().await.expect_json(200);
        ada.post("/api/auth/refresh").json(&json!({})).fetch().await.expect_json(200);
        ada.post("/api/auth/logout").fetch().await.expect_json(200);
    }
}

api_test! {
    async fn a_body_over_1_mib_is_413(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register(&registration("a.txt")).await;
        let body = format!("{{\"name\": \"x\", \"padding\": \"{}\"}}", "x".repeat(1 << 20));
        for (method, path) in json_calls(&folder, &file) {
            assert_refused(&send(&ada, method, &path, body.clone()).await, 413);
            let parts: Vec<_> =
                body.as_bytes().chunks(50_000).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect();
            let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
            assert_refused(&send(&ada, method, &path, streamed).await, 413);
        }
        let just_fits = format!("{{\"name\": \"fits\", \"padding\": \"{}\"}}", "x".repeat((1 << 20) - 100));
        create_folder(&ada, just_fits).await.expect_json(201);
    }
}

api_test! {
    async fn a_declared_length_over_1_mib_is_refused_before_the_body_is_sent(app) {
        let mut connection = RawConnection::open(app).await;
        let head = "POST /api/auth/login HTTP/1.1\r\nHost: cdn.example\r\nContent-Type: application/json\r\n\
            Content-Length: 99999999\r\n\r\n";
        connection.send(head).await;
        assert_eq!(connection.read_status().await, 413);
    }
}

api_test! {
    async fn nesting_over_64_is_400(app) {
        let ada = app.user("ada@example.com").await;
        create_folder(&ada, nested(63)).await.expect_json(201);
        for depth in [64, 65, 127, 128, 1000, 100_000, 500_000] {
            assert_refused(&create_folder(&ada, nested(depth)).await, 400);
        }
        let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert_refused(&create_folder(&ada, objects).await, 400);
        // Never closed, and brackets in a text are no nesting.
        assert_refused(&create_folder(&ada, "[".repeat(500_000)).await, 400);
        let brackets = json!({"name": "brackets", "x": "[".repeat(1000) + "\\\"["});
        create_folder(&ada, brackets.to_string()).await.expect_json(201);
        ada.get_json("/api/auth/me").await;
    }
}

api_test! {
    async fn unknown_fields_are_ignored(app) {
        let ada = app.user("ada@example.com").await;
        let body =
            json!({"name": "a", "unknown": {"deep": [1, 2.5, null, true]}, "": "", "__proto__": {}, "id": 7});
        create_folder(&ada, body.to_string()).await.expect_json(201);
    }
}

api_test! {
    async fn a_field_given_twice_does_not_split_the_checks(app) {
        let ada = app.user("ada@example.com").await;
        let reply = create_folder(&ada, r#"{"name": "good", "name": "a/b"}"#).await;
        assert_refused(&reply, 400);
        let reply = create_folder(&ada, r#"{"name": "a/b", "name": "good"}"#).await;
        match reply.status {
            201 => assert_eq!(reply.expect_json(201)["name"], "good"),
            _ => {
                assert_refused(&reply, 400);
            }
        }
    }
}

api_test! {
    async fn text_with_a_nul_is_refused_and_never_a_500(app) {
        let ada = app.user("ada@example.com").await;
        assert_field_error(&create_folder(&ada, r#"{"name": "a\u0000b"}"#).await, "name");
        let mut accepted = Vec::new();
        for (field, value) in [
            ("filename", "a\0b"),
            ("original_filename", "a\0b"),
            ("cdn_url", "https://files.example/\0"),
            ("mime_type", "text/\0"),
            ("folder_id", "\0"),
        ] {
            let mut body = registration("a.txt");
            body[field] = json!(value);
            let reply = ada.try_register(&body).await;
            match reply.status {
                400 | 404 => {
                    assert_refused(&reply, reply.status);
                }
                status => accepted.push(format!("{field}: {status}")),
            }
        }
        assert!(accepted.is_empty(), "{}", accepted.join("\n"));
        let hostile = [("user-agent", "a\u{ff}b"), ("x-request-id", "a b"), ("x-forwarded-for", "\t,,::1,x")];
        for (name, value) in hostile {
            let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let body = json!({"email": "ada@example.com", "password": crate::harness::PASSWORD});
            let reply = app.anonymous().post("/api/auth/login").header(name, value).json(&body).fetch().await;
            reply.expect_json(200);
        }
    }
}

api_test! {
    async fn every_bad_field_is_named_and_nothing_is_made(app) {
        let ada = app.user("ada@example.com").await;
        assert_field_error(&create_folder(&ada, r#"{"name": ["x"]}"#).await, "name");
        assert_field_error(&create_folder(&ada, r#"{"name": "x", "parent": 5}"#).await, "parent");
        let bad = json!({"filename": "", "cdn_url": "", "file_size": 0, "md5_hash": "", "sha256_hash": ""});
        let body = assert_refused(&ada.try_register(&bad).await, 400);
        for field in ["filename", "cdn_url", "file_size", "md5_hash", "sha256_hash"] {
            assert!(body["details"][field].is_array(), "{field} is not in {body}");
        }
        assert_eq!(names_of(&ada.get_json("/api/cdn/folders/root/").await["folders"]), [""; 0]);
    }
}

api_test! {
    async fn a_client_that_goes_away_in_a_json_body_changes_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let mut connection = RawConnection::open(app).await;
        let head = format!(
            "POST /api/cdn/folders/ HTTP/1.1\r\nHost: cdn.example\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"name\": \"half\"",
            ada.session.access
        );
        connection.send(head).await;
        drop(connection);
        eventually("the server goes on", || async { ada.get("/api/auth/me").fetch().await.status == 200 })
            .await;
        assert_eq!(ada.get_json("/api/cdn/folders/root/").await["folders"], json!([]));
    }
}
