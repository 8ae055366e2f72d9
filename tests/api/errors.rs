//! The error table of the contract's section 1 over all routes: unknown paths, wrong methods, ids, slashes.

use serde_json::{Value, json};

use crate::harness::{Client, Fetch, assert_error, assert_file, assert_folder, assert_refused, registration};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Every route with the methods it has.
const ROUTES: [(&str, &[&str]); 20] = [
    ("/api/auth/login", &["POST"]),
    ("/api/auth/logout", &["POST"]),
    ("/api/auth/me", &["GET"]),
    ("/api/auth/refresh", &["POST"]),
    ("/api/auth/reset_password", &["POST"]),
    ("/api/cdn/folders/", &["GET", "POST"]),
    ("/api/cdn/folders/root/", &["GET"]),
    ("/api/cdn/folders/{id}/", &["GET", "PUT", "PATCH", "DELETE"]),
    ("/api/cdn/folders/{id}/contents/", &["GET"]),
    ("/api/cdn/folders/{id}/zip/", &["GET"]),
    ("/api/cdn/events/", &["GET"]),
    ("/api/cdn/files/", &["GET"]),
    ("/api/cdn/files/upload/", &["POST"]),
    ("/api/cdn/files/{id}/", &["GET", "PUT", "PATCH", "DELETE"]),
    ("/api/cdn/files/{id}/download/", &["GET"]),
    ("/api/cdn/uploads/", &["POST"]),
    ("/api/cdn/uploads/{filename}", &["PUT"]),
    ("/api/openapi.json", &["GET"]),
    ("/healthz", &["GET"]),
    ("/readyz", &["GET"]),
];

fn concrete(path: &str) -> String {
    path.replace("{id}", ID).replace("{filename}", "a.txt")
}

/// The other form of a path: with or without its last slash.
fn other_form(path: &str) -> String {
    path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned)
}

api_test! {
    async fn an_unknown_path_is_404_for_every_method(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.anonymous();
        for path in [
            "/api/",
            "/api/nothing",
            "/api/cdn/",
            "/api/cdn/nothing/",
            "/api/auth/nothing",
            "/api/auth/login/more",
            "/api/cdn/files/root/more/",
            "/nothing",
            "/f",
            "/f/",
            "/.env",
            "/api/cdn/folders/%ff/nothing/",
            "/api/%00",
        ] {
            for method in METHODS {
                for client in [&ada, &grace] {
                    let reply = client.request(method.parse().unwrap(), path).fetch().await;
                    assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text());
                    assert_error(&reply, 404, "Not found.");
                }
            }
            let head = ada.head(path).fetch().await;
            head.expect_empty(404);
        }
    }
}

api_test! {
    async fn a_wrong_method_is_405_with_allow(app) {
        let ada = app.user("ada@example.com").await;
        for (path, allowed) in ROUTES {
            for method in METHODS.iter().filter(|method| !allowed.contains(method)) {
                // These look like an id in the place of a fixed word, which is 404 by the same contract.
                let is_like_an_id = ["/api/cdn/files/upload/", "/api/cdn/folders/root/"].contains(&path);
                let path = concrete(path);
                for path in [path.clone(), other_form(&path)] {
                    let reply = ada.request(method.parse().unwrap(), &path).json(&json!({})).fetch().await;
                    if is_like_an_id && reply.status == 404 {
                        assert_error(&reply, 404, "Not found.");
                        continue;
                    }
                    assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text());
                    assert_refused(&reply, 405);
                    let allow: Vec<_> = reply.header("allow").split(',').map(str::trim).collect();
                    for method in allowed {
                        assert!(allow.contains(method), "{path}: {method} is not in {allow:?}");
                    }
                    assert!(!allow.contains(method), "{path}: {method} is in {allow:?}");
                }
            }
        }
    }
}

api_test! {
    async fn a_method_nobody_knows_is_405(app) {
        let ada = app.user("ada@example.com").await;
        for method in ["PROPFIND", "TRACE", "BREW"] {
            let reply = ada.request(method.parse().unwrap(), "/api/cdn/files/").fetch().await;
            assert_refused(&reply, 405);
            assert!(reply.header("allow").contains("GET"), "{}", reply.header("allow"));
        }
    }
}

/// What an answer says apart from what differs from call to call.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

async fn answer(client: &Client, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = client.request(method.parse().unwrap(), path);
    let request = if body.is_null() { request } else { request.json(body) };
    let reply = request.fetch().await;
    assert!(!(300..400).contains(&reply.status), "{method} {path} redirects");
    let body = if reply.body.is_empty() { Value::Null } else { reply.expect_json(reply.status) };
    (reply.status, shape(&body))
}

api_test! {
    async fn every_call_answers_the_same_with_and_without_its_last_slash(app) {
        // One user for each form, who do the same things.
        let mut answers = Vec::new();
        for (email, form) in [
            ("ada@example.com", (|path: &str| path.to_owned()) as fn(&str) -> String),
            ("bob@example.com", other_form),
        ] {
            let client = app.user(email).await;
            let folder = client.create_folder("folder", None).await;
            let other = client.create_folder("other", None).await;
            let file = client.upload(format!("of {email}"), "a.txt").await;
            let folder = format!("/api/cdn/folders/{}/", folder["id"].as_str().unwrap());
            let other = format!("/api/cdn/folders/{}/", other["id"].as_str().unwrap());
            let file = format!("/api/cdn/files/{}/", file["id"].as_str().unwrap());
            let nothing = format!("/api/cdn/files/{ID}/");
            let login = json!({"email": email, "password": crate::harness::PASSWORD});
            let mut seen = Vec::new();
            for (method, path, body) in [
                ("POST", "/api/auth/login", login),
                ("GET", "/api/auth/me", Value::Null),
                ("POST", "/api/auth/refresh", Value::Null),
                ("POST", "/api/auth/reset_password", json!({})),
                ("GET", "/api/cdn/folders/", Value::Null),
                ("POST", "/api/cdn/folders/", json!({"name": "new"})),
                ("GET", "/api/cdn/folders/root/", Value::Null),
                ("GET", &folder, Value::Null),
                ("PUT", &folder, json!({"name": "put"})),
                ("PATCH", &folder, json!({"name": "patched"})),
                ("GET", &format!("{folder}contents/"), Value::Null),
                ("DELETE", &folder, Value::Null),
                ("GET", &folder, Value::Null),
                ("PATCH", &other, json!({"parent": null})),
                ("GET", "/api/cdn/files/", Value::Null),
                ("POST", "/api/cdn/files/upload/", registration("b.txt")),
                ("GET", &file, Value::Null),
                ("PUT", &file, json!({"filename": "put.txt"})),
                ("PATCH", &file, json!({"filename": "patched.txt"})),
                ("GET", &format!("{file}download/"), Value::Null),
                ("DELETE", &file, Value::Null),
                ("GET", &nothing, Value::Null),
                ("PUT", "/api/cdn/uploads/c.txt", json!({"the": "bytes"})),
                ("POST", "/api/cdn/uploads/", json!({})),
                ("GET", "/healthz", Value::Null),
                ("GET", "/readyz", Value::Null),
                ("GET", "/api/openapi.json", Value::Null),
                ("POST", "/api/auth/logout", Value::Null),
                ("GET", "/api/auth/me", Value::Null),
            ] {
                let (status, body) = answer(&client, method, &form(path), &body).await;
                seen.push((method, path.replace(char::is_numeric, ""), status, strip_ids(body)));
            }
            answers.push(seen);
        }
        for (canonical, other) in answers[0].iter().zip(&answers[1]) {
            assert_eq!((canonical.0, canonical.2, &canonical.3), (other.0, other.2, &other.3), "{}", other.1);
        }
        let statuses: Vec<_> = answers[0].iter().map(|(_, _, status, _)| *status).collect();
        assert_eq!(
            statuses,
            [
                200, 200, 200, 400, 200, 201, 200, 200, 200, 200, 200, 204, 404, 200, 200, 201, 200, 200,
                200, 200, 204, 404, 201, 415, 200, 200, 200, 200, 401,
            ]
        );
    }
}

/// Without the user ids and the sizes, which differ between the two users.
fn strip_ids(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(key, _)| !matches!(key.as_str(), "id" | "owner"));
            kept.map(|(key, value)| (key, strip_ids(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(strip_ids).collect(),
        other => other,
    }
}

api_test! {
    async fn a_query_survives_a_missing_slash(app) {
        let ada = app.user("ada@example.com").await;
        ada.register(&registration("b.txt")).await;
        ada.register(&registration("a.txt")).await;
        let page = ada.get_json("/api/cdn/files?ordering=filename&page_size=1").await;
        assert_eq!(page["results"][0]["filename"], "a.txt");
        let next = app.local(&page["next"]);
        // Links are canonical whatever was asked for.
        assert!(next.starts_with("/api/cdn/files/?"), "{next}");
        assert_eq!(ada.get_json(&next).await["results"][0]["filename"], "b.txt");
    }
}

api_test! {
    async fn an_id_that_is_no_uuid_is_404_for_every_method(app) {
        let ada = app.user("ada@example.com").await;
        for id in ["no-uuid", "1", "%20", "%00", "%ff", "..%2f", "0190", &"x".repeat(5000)] {
            for (path, methods) in ROUTES.iter().filter(|(path, _)| path.contains("{id}")) {
                for method in *methods {
                    let path = path.replace("{id}", id);
                    let request = ada.request(method.parse().unwrap(), &path);
                    let request = if *method == "GET" { request } else { request.json(&json!({})) };
                    let reply = request.fetch().await;
                    assert_eq!(reply.status, 404, "{method} {path:.80}: {}", reply.text());
                    assert_error(&reply, 404, "Not found.");
                }
            }
        }
    }
}

api_test! {
    async fn a_uuid_in_another_form_is_the_same_id_or_none(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let id = file["id"].as_str().unwrap();
        for form in [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}")] {
            let reply = ada.get(&format!("/api/cdn/files/{}/", crate::harness::encode(&form))).fetch().await;
            match reply.status {
                // The answer has the one form that the contract knows.
                200 => assert_file(&reply.expect_json(200)),
                _ => {
                    assert_error(&reply, 404, "Not found.");
                }
            }
        }
    }
}

api_test! {
    async fn no_error_is_a_page_made_from_input(app) {
        let ada = app.user("ada@example.com").await;
        let mark = "%3Cscript%3Ealert(1)%3C/script%3E";
        for path in [
            format!("/api/{mark}"),
            format!("/{mark}"),
            format!("/f/{mark}/a"),
            format!("/api/cdn/files/?ordering={mark}"),
            format!("/api/cdn/files/?type={mark}"),
            format!("/api/cdn/files/{mark}/"),
        ] {
            let reply = ada.get(&path).fetch().await;
            assert!((400..500).contains(&reply.status), "{path}: {}", reply.status);
            assert_refused(&reply, reply.status);
            assert!(!reply.text().contains("<script>"), "{path}: {}", reply.text());
        }
    }
}

api_test! {
    async fn one_users_ids_are_of_no_use_to_another_anywhere(app) {
        let ada = app.user("ada@example.com").await;
        let eve = app.user("eve@example.com").await;
        let folder = ada.create_folder("secret folder", None).await;
        let file = ada.upload("secret content", "secret.txt").await;
        for (path, methods) in ROUTES.iter().filter(|(path, _)| path.contains("{id}")) {
            for method in *methods {
                for id in [&folder["id"], &file["id"]] {
                    let path = path.replace("{id}", id.as_str().unwrap());
                    let body = json!({"name": "x", "filename": "x", "folder": eve.root().await["id"]});
                    let reply = eve.request(method.parse().unwrap(), &path).json(&body).fetch().await;
                    assert_error(&reply, 404, "Not found.");
                    assert!(!reply.text().contains("secret"));
                }
            }
        }
        assert_folder(&ada.folder(&folder["id"]).await.expect_json(200));
        assert_eq!(ada.file(&file["id"]).await.expect_json(200), file);
    }
}

api_test! {
    on Postgres
    async fn a_database_that_is_away_is_503_with_retry_after_and_heals(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        app.database().cut();
        for (method, path) in [
            ("GET", "/api/cdn/files/"),
            ("GET", "/api/auth/me"),
            ("POST", "/api/cdn/folders/"),
            ("PUT", "/api/cdn/uploads/b.txt"),
        ] {
            let start = std::time::Instant::now();
            let reply = ada.request(method.parse().unwrap(), path).json(&json!({"name": "x"})).fetch().await;
            assert_eq!(reply.status, 503, "{method} {path}: {}", reply.text());
            assert_refused(&reply, 503);
            assert!(
                start.elapsed() < std::time::Duration::from_secs(4),
                "{method} {path}: {:?}",
                start.elapsed()
            );
        }
        let content = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await;
        assert_refused(&content, 503);
        app.anonymous().get("/healthz").fetch().await.expect_json(200);
        app.anonymous().get("/readyz").fetch().await.expect_status(503);

        app.database().mend();
        crate::harness::eventually("the server finds its database again", || async {
            ada.get("/api/cdn/files/").fetch().await.status == 200
        })
        .await;
        ada.create_folder("after", None).await;
        app.anonymous().get("/readyz").fetch().await.expect_json(200);
    }
}

api_test! {
    on Postgres
    async fn a_database_that_says_nothing_is_503_in_time_and_heals(app) {
        let ada = app.user("ada@example.com").await;
        app.database().silence();
        for (method, path) in [("GET", "/api/cdn/files/"), ("POST", "/api/cdn/folders/")] {
            let start = std::time::Instant::now();
            let reply = ada.request(method.parse().unwrap(), path).json(&json!({"name": "x"})).fetch().await;
            assert_eq!(reply.status, 503, "{method} {path}: {}", reply.text());
            assert_refused(&reply, 503);
            assert!(
                start.elapsed() < std::time::Duration::from_secs(8),
                "{method} {path}: {:?}",
                start.elapsed()
            );
        }
        app.database().mend();
        crate::harness::eventually("the server finds its database again", || async {
            ada.get("/api/cdn/files/").fetch().await.status == 200
        })
        .await;
        ada.create_folder("after", None).await;
    }
}
