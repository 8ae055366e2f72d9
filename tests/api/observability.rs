//! `/healthz`, `/readyz`, `/metrics`, `/api/openapi.json`, `/api/docs/`, and the headers of every answer.

use serde_json::Value;

use crate::harness::{Fetch, PUBLIC_URL, TestApp, assert_security_headers, eventually};

async fn metrics(app: &TestApp) -> String {
    let reply = app.anonymous().get("/metrics").fetch().await;
    reply.expect_status(200);
    assert!(reply.header("content-type").starts_with("text/plain"), "{}", reply.header("content-type"));
    reply.text()
}

/// The sum of a metric over all its lines that have all of these labels.
fn total(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let is_metric = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let lines =
        metrics.lines().filter(is_metric).filter(|line| labels.iter().all(|label| line.contains(label)));
    lines
        .map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number"))
        .sum()
}

api_test! {
    async fn a_running_server_is_alive_and_ready(app) {
        for path in ["/healthz", "/readyz"] {
            let reply = app.anonymous().get(path).fetch().await;
            assert_eq!(reply.expect_json(200)["status"], "ok", "{path}");
            assert_security_headers(&reply);
        }
        let ready = app.anonymous().get_json("/readyz").await;
        for part in ["database", "blob_store", "actors"] {
            assert_eq!(ready["checks"][part], "ok", "{ready}");
        }
    }
}

api_test! {
    async fn requests_are_counted_by_route_and_status_with_their_latency(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        for _ in 0..3 {
            ada.file(&file["id"]).await.expect_json(200);
        }
        ada.get("/api/cdn/files/no-uuid/").fetch().await.expect_json(404);
        let metrics = metrics(app).await;
        let route = "/api/cdn/files/{id}";
        assert_eq!(
            total(&metrics, "cdn_http_requests_total", &[route, "\"GET\"", "\"200\""]),
            3.0,
            "{metrics}"
        );
        assert_eq!(total(&metrics, "cdn_http_requests_total", &[route, "\"GET\"", "\"404\""]), 1.0);
        assert_eq!(total(&metrics, "cdn_http_request_duration_seconds_count", &[route, "\"GET\""]), 4.0);
        assert!(total(&metrics, "cdn_http_request_duration_seconds_bucket", &[route]) > 0.0);
    }
}

api_test! {
    async fn metrics_have_few_labels_and_no_secrets(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "private name.txt").await;
        app.anonymous()
            .get(&format!("{}?download=1&token=secret", app.local(&file["cdn_url"])))
            .fetch()
            .await
            .expect_status(200);
        ada.get("/api/cdn/files/?search=confidential").fetch().await.expect_json(200);
        app.anonymous().get("/some/unknown/path").fetch().await.expect_json(404);
        let metrics = metrics(app).await;
        let secrets = [
            file["id"].as_str().unwrap(),
            "private",
            "secret",
            "confidential",
            "ada@example.com",
            "unknown/path",
            &ada.session.access,
        ];
        for secret in secrets {
            assert!(!metrics.contains(secret), "{secret} is in {metrics}");
        }
    }
}

api_test! {
    async fn bytes_in_and_out_are_counted(app) {
        let ada = app.user("ada@example.com").await;
        let before = metrics(app).await;
        let file = ada.upload(crate::harness::noise(1, 123_456), "a.bin").await;
        let path = app.local(&file["cdn_url"]);
        app.anonymous().get(&path).fetch().await.expect_status(200);
        app.anonymous().get(&path).header("range", "bytes=0-999").fetch().await.expect_status(206);
        let after = metrics(app).await;
        let grown = |name: &str| total(&after, name, &[]) - total(&before, name, &[]);
        assert_eq!(grown("cdn_content_received_bytes_total"), 123_456.0);
        assert_eq!(grown("cdn_content_sent_bytes_total"), 124_456.0);
    }
}

api_test! {
    async fn actors_are_shown_with_queue_depth_and_restarts(app) {
        app.user("ada@example.com").await.upload("content", "a.txt").await;
        let metrics = metrics(app).await;
        for name in ["cdn_actor_queue_depth", "cdn_actor_restarts"] {
            assert!(metrics.contains(&format!("{name}{{actor=\"accounts\"}}")), "{name} is not in {metrics}");
        }
        assert_eq!(total(&metrics, "cdn_actor_restarts", &[]), 0.0);
        assert!(total(&metrics, "cdn_actors_live", &["accounts"]) >= 1.0);
    }
}

api_test! {
    async fn requests_in_flight_go_back_to_one(app) {
        let ada = app.user("ada@example.com").await;
        ada.get_json("/api/auth/me").await;
        // The one that asks is in flight itself.
        eventually("only this request is in flight", || async {
            total(&metrics(app).await, "cdn_http_requests_in_flight", &[]) == 1.0
        })
        .await;
    }
}

api_test! {
    async fn the_openapi_document_names_every_call(app) {
        let document = app.anonymous().get_json("/api/openapi.json").await;
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        for (path, methods) in [
            ("/api/auth/login", vec!["post"]),
            ("/api/auth/logout", vec!["post"]),
            ("/api/auth/me", vec!["get"]),
            ("/api/auth/refresh", vec!["post"]),
            ("/api/auth/reset_password", vec!["post"]),
            ("/api/cdn/folders/", vec!["get", "post"]),
            ("/api/cdn/folders/root/", vec!["get"]),
            ("/api/cdn/folders/{id}/", vec!["get", "put", "patch", "delete"]),
            ("/api/cdn/folders/{id}/contents/", vec!["get"]),
            ("/api/cdn/folders/{id}/zip/", vec!["get"]),
            ("/api/cdn/events/", vec!["get"]),
            ("/api/cdn/files/", vec!["get"]),
            ("/api/cdn/files/upload/", vec!["post"]),
            ("/api/cdn/files/{id}/", vec!["get", "put", "patch", "delete"]),
            ("/api/cdn/files/{id}/download/", vec!["get"]),
            ("/api/cdn/uploads/", vec!["post"]),
            ("/api/cdn/uploads/{filename}", vec!["put"]),
            ("/f/{id}/{filename}", vec!["get", "head"]),
            ("/healthz", vec!["get"]),
            ("/readyz", vec!["get"]),
            ("/metrics", vec!["get"]),
        ] {
            for method in methods {
                let operation = &document["paths"][path][method];
                assert!(operation["responses"].is_object(), "{method} {path} is not described");
                let id = operation["operationId"].as_str().unwrap_or_default();
                assert!(!id.is_empty(), "{method} {path} has no operationId");
            }
        }
        assert_eq!(document["servers"][0]["url"], PUBLIC_URL);
    }
}

api_test! {
    async fn every_reference_in_the_openapi_document_leads_somewhere(app) {
        let document = app.anonymous().get_json("/api/openapi.json").await;
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, into)),
        _ => {}
    }
}

api_test! {
    async fn operation_ids_are_unique(app) {
        let document = app.anonymous().get_json("/api/openapi.json").await;
        let mut ids = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            let operations = item.as_object().unwrap().iter();
            // GET and HEAD of one handler are one operation.
            ids.extend(
                operations
                    .filter(|(method, _)| *method != "head")
                    .filter_map(|(_, operation)| operation["operationId"].as_str().map(str::to_owned)),
            );
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "{ids:?}");
    }
}

api_test! {
    async fn there_is_a_page_to_try_the_api(app) {
        let client = app.anonymous();
        for path in ["/api/docs/", "/api/docs"] {
            let mut reply = client.get(path).fetch().await;
            if matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
                let location = reply.header("location").to_owned();
                assert!(location.starts_with("/api/docs/"), "{location}");
                reply = client.get(&location).fetch().await;
            }
            reply.expect_status(200);
            assert!(
                reply.header("content-type").starts_with("text/html"),
                "{}",
                reply.header("content-type")
            );
            assert_security_headers(&reply);
            // The page works without any other server.
            let text = reply.text();
            assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "{text}");
        }
    }
}

api_test! {
    async fn every_answer_names_its_request(app) {
        let client = app.anonymous();
        let mut ids = Vec::new();
        for path in ["/healthz", "/api/auth/me", "/api/nothing", "/nothing"] {
            let reply = client.get(path).fetch().await;
            let id = reply.header("x-request-id").to_owned();
            assert!(!id.is_empty(), "{path}");
            ids.push(id);
            assert_security_headers(&reply);
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        let reply = client.get("/healthz").header("x-request-id", "from-the-proxy-1").fetch().await;
        assert_eq!(reply.header("x-request-id"), "from-the-proxy-1");
        let reply = client.get("/healthz").header("x-request-id", "a b\"<script>").fetch().await;
        assert_ne!(reply.header("x-request-id"), "a b\"<script>");
    }
}

api_test! {
    async fn private_answers_are_not_to_be_stored(app) {
        let ada = app.user("ada@example.com").await;
        for path in ["/api/auth/me", "/api/cdn/files/", "/api/cdn/folders/root/"] {
            let reply = ada.get(path).fetch().await;
            reply.expect_json(200);
            let cache = reply.header("cache-control");
            assert!(cache.contains("no-store") || cache.contains("private"), "{path}: {cache:?}");
        }
    }
}
