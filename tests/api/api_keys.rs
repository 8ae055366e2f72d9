//! `GET|POST /api/cdn/api-keys/` and `DELETE …/{id}/`: credentials for programs.

use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, assert_error, assert_field_error, assert_refused, assert_time, eventually, sha256_hex,
};

const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";
const KEYS: &str = "/api/cdn/api-keys/";

async fn create(client: &Client, scopes: &[&str]) -> Value {
    let body = json!({"name": "build robot", "scopes": scopes});
    client.post(KEYS).json(&body).fetch().await.expect_json(201)
}

fn program(client: &Client, key: &Value) -> Client {
    client.with_token(key["key"].as_str().expect("a key"))
}

api_test! {
    async fn a_new_key_is_shown_once_and_stored_hashed(app) {
        let ada = app.user("ada@example.com").await;
        let made = create(&ada, &["upload", "read", "read"]).await;
        let key = made["key"].as_str().unwrap();
        assert!(key.starts_with("sk_cdn_") && key.len() == 7 + 43, "{key}");
        assert_eq!(made["name"], "build robot");
        assert_eq!(made["scopes"], json!(["read", "upload"]));
        assert_eq!(made["hint"], key[..11]);
        assert_eq!((&made["expires_at"], &made["last_used_at"]), (&json!(null), &json!(null)));
        assert_time(&made["created_at"]);

        let mut shown = made.clone();
        shown.as_object_mut().unwrap().remove("key");
        assert_eq!(ada.get_json(KEYS).await, json!([shown]));
        let rows: Vec<(Vec<u8>,)> = app.services.db.q("SELECT key_hash FROM api_keys").all().await.unwrap();
        let hex: String = rows[0].0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, sha256_hex(key.as_bytes()));
    }
}

api_test! {
    async fn a_key_is_a_bearer_token_of_its_user(app) {
        let ada = app.user("ada@example.com").await;
        let reader = program(&ada, &create(&ada, &["read"]).await);
        assert_eq!(reader.get_json("/api/auth/me").await["user"]["id"], ada.id);
        let uploader = program(&ada, &create(&ada, &["upload"]).await);
        let file = uploader.upload("hello", "a.txt").await;
        assert_eq!(file["owner"], ada.id);
        assert_eq!(reader.file(&file["id"]).await.expect_json(200)["filename"], "a.txt");
        let manager = program(&ada, &create(&ada, &["manage"]).await);
        manager.trash_file(&file).await;
    }
}

api_test! {
    async fn a_key_without_the_scope_is_403(app) {
        let ada = app.user("ada@example.com").await;
        let message = "This API key does not permit this.";
        let file = ada.upload("hello", "a.txt").await;
        let reader = program(&ada, &create(&ada, &["read"]).await);
        assert_error(&reader.try_upload("x", "b.txt").await, 403, message);
        assert_error(&reader.patch_file(&file, json!({"filename": "c.txt"})).await, 403, message);
        let uploader = program(&ada, &create(&ada, &["upload"]).await);
        assert_error(&uploader.get("/api/cdn/files/").fetch().await, 403, message);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200)["filename"], "a.txt");
    }
}

api_test! {
    async fn keys_make_no_keys_and_reach_no_sessions_and_no_password(app) {
        let root = app.admin("root@example.com").await;
        let key = program(&root, &create(&root, &["read", "upload", "manage"]).await);
        let id = root.get_json(KEYS).await[0]["id"].as_str().unwrap().to_owned();
        for (method, path) in [
            ("GET", KEYS.to_owned()),
            ("POST", KEYS.to_owned()),
            ("DELETE", format!("{KEYS}{id}/")),
            ("GET", "/api/auth/sessions/".to_owned()),
            ("DELETE", format!("/api/auth/sessions/{id}/")),
            ("POST", "/api/auth/reset_password".to_owned()),
            ("GET", "/api/admin/users/".to_owned()),
            ("PATCH", format!("/api/admin/users/{}/", root.id)),
        ] {
            let request = key.request(method.parse().unwrap(), &path);
            let request = if method == "GET" { request } else { request.json(&json!({"name": "x"})) };
            assert_error(&request.fetch().await, 403, "This API key does not permit this.");
        }
    }
}

api_test! {
    async fn a_key_that_is_none_is_401(app) {
        let ada = app.user("ada@example.com").await;
        let made = create(&ada, &["read"]).await;
        let key = made["key"].as_str().unwrap();
        for wrong in ["sk_cdn_", "sk_cdn_x", &key[..key.len() - 1], &format!("{key}x"), &key.to_uppercase()] {
            assert_error(&ada.with_token(wrong).get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        }
    }
}

api_test! {
    async fn a_deleted_key_is_401_at_once(app) {
        let ada = app.user("ada@example.com").await;
        let eve = app.user("eve@example.com").await;
        let made = create(&ada, &["read"]).await;
        let path = format!("{KEYS}{}/", made["id"].as_str().unwrap());
        assert_error(&eve.delete(&path).fetch().await, 404, "Not found.");
        program(&ada, &made).get_json("/api/auth/me").await;
        ada.remove(&path).await;
        assert_error(&program(&ada, &made).get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        assert_eq!(ada.get_json(KEYS).await, json!([]));
        assert_error(&ada.delete(&path).fetch().await, 404, "Not found.");
    }
}

api_test! {
    async fn a_key_ends_with_its_time_and_with_its_user(app) {
        let ada = app.user("ada@example.com").await;
        let expires_at = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
        let body = json!({"name": "short", "scopes": ["read"], "expires_at": expires_at});
        let short = program(&ada, &ada.post(KEYS).json(&body).fetch().await.expect_json(201));
        let long = program(&ada, &create(&ada, &["read"]).await);
        short.get_json("/api/auth/me").await;
        app.clock.advance(TimeDelta::hours(2));
        assert_error(&short.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        long.get_json("/api/auth/me").await;
        app.set_active(&ada, false).await;
        assert_error(&long.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
    }
}

api_test! {
    async fn the_last_use_of_a_key_is_told(app) {
        let ada = app.user("ada@example.com").await;
        let key = program(&ada, &create(&ada, &["read"]).await);
        key.get_json("/api/auth/me").await;
        eventually("the use is written", || async {
            !ada.get_json(KEYS).await[0]["last_used_at"].is_null()
        })
        .await;
        let first = ada.get_json(KEYS).await[0]["last_used_at"].clone();
        assert_time(&first);
        // Within a minute it is not written again.
        key.get_json("/api/auth/me").await;
        assert_eq!(ada.get_json(KEYS).await[0]["last_used_at"], first);
        app.clock.advance(TimeDelta::minutes(2));
        key.get_json("/api/auth/me").await;
        eventually("the later use is written", || async {
            ada.get_json(KEYS).await[0]["last_used_at"].as_str() > first.as_str()
        })
        .await;
    }
}

api_test! {
    with |config| { config.limits.api_keys_per_user = 3; }
    async fn a_user_has_a_bounded_number_of_keys(app) {
        let ada = app.user("ada@example.com").await;
        let body = json!({"name": "k", "scopes": ["read"]});
        let replies = join_all((0..8).map(|_| ada.post(KEYS).json(&body).fetch())).await;
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(made, 3);
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_error(reply, 409, "You have 3 API keys already; delete one first.");
        }
        let keys = ada.get_json(KEYS).await;
        ada.remove(&format!("{KEYS}{}/", keys[0]["id"].as_str().unwrap())).await;
        create(&ada, &["read"]).await;
    }
}

api_test! {
    async fn a_key_that_can_not_be_is_400_by_field(app) {
        let ada = app.user("ada@example.com").await;
        for (body, field) in [
            (json!({"scopes": ["read"]}), "name"),
            (json!({"name": " ", "scopes": ["read"]}), "name"),
            (json!({"name": "x".repeat(101), "scopes": ["read"]}), "name"),
            (json!({"name": "a\nb", "scopes": ["read"]}), "name"),
            (json!({"name": "x"}), "scopes"),
            (json!({"name": "x", "scopes": []}), "scopes"),
            (json!({"name": "x", "scopes": ["admin"]}), "scopes"),
            (json!({"name": "x", "scopes": "read"}), "scopes"),
            (json!({"name": "x", "scopes": ["read"], "expires_at": "tomorrow"}), "expires_at"),
            (json!({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        ] {
            assert_field_error(&ada.post(KEYS).json(&body).fetch().await, field);
        }
        assert_eq!(ada.get_json(KEYS).await, json!([]));
        assert_refused(&app.anonymous().get(KEYS).fetch().await, 401);
    }
}
