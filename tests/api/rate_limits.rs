//! `[limits]`: more requests than one network or account may make are refused before any work is done.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{FRONTEND, Fetch, PASSWORD, Reply, assert_error, eventually};

const REFUSED: &str = "Too many requests. Try again later.";

fn assert_limited(reply: &Reply) {
    assert_error(reply, 429, REFUSED);
    let wait: u64 = reply.header("retry-after").parse().expect("seconds");
    assert!((1..=61).contains(&wait), "{wait}");
}

api_test! {
    with |config| {
        config.limits.network_requests_per_minute = 1;
        config.limits.network_burst = 5;
        config.server.frontend_origins = vec![FRONTEND.to_owned()];
    }
    async fn a_network_past_its_limit_is_refused_and_others_are_not(app) {
        let client = app.anonymous();
        for _ in 0..5 {
            client.get("/api/openapi.json").fetch().await.expect_json(200);
        }
        assert_limited(&client.get("/api/openapi.json").header("origin", FRONTEND).fetch().await);
        // A frontend can read that, and when to come back.
        let reply = client.get("/api/auth/me").header("origin", FRONTEND).fetch().await;
        assert_limited(&reply);
        assert_eq!(reply.header("access-control-allow-origin"), FRONTEND);
        assert!(reply.header("access-control-expose-headers").to_lowercase().contains("retry-after"));
        let content = format!("/f/{}/a.txt", uuid::Uuid::now_v7());
        assert_limited(&client.get(&content).fetch().await);
        // A forged address is no other network.
        let forged = client.get("/api/openapi.json").header("x-forwarded-for", "192.0.2.1");
        assert_limited(&forged.fetch().await);
        app.anonymous_from(2).get("/api/openapi.json").fetch().await.expect_json(200);
        // What operators look at is not limited.
        for path in ["/healthz", "/readyz", "/metrics"] {
            client.get(path).fetch().await.expect_status(200);
        }
    }
}

api_test! {
    with |config| {
        config.limits.network_requests_per_minute = 60;
        config.limits.network_burst = 2;
    }
    async fn who_waits_is_served_again(app) {
        let client = app.anonymous();
        let replies = join_all((0..50).map(|_| client.get("/api/openapi.json").fetch())).await;
        assert!(replies.iter().any(|reply| reply.status == 429), "nothing was refused");
        eventually("a place is free again", || async {
            client.get("/api/openapi.json").fetch().await.status == 200
        })
        .await;
    }
}

api_test! {
    with |config| {
        config.limits.account_requests_per_minute = 1;
        config.limits.account_burst = 4;
    }
    async fn an_account_past_its_limit_is_refused_however_it_signs_in(app) {
        let ada = app.user("ada@example.com").await;
        let eve = app.user("eve@example.com").await;
        let body = json!({"name": "k", "scopes": ["read", "upload"]});
        let made = ada.post("/api/cdn/api-keys/").json(&body).fetch().await.expect_json(201);
        for _ in 0..3 {
            ada.get_json("/api/auth/me").await;
        }
        assert_limited(&ada.get("/api/auth/me").fetch().await);
        assert_limited(&ada.bearer().get("/api/cdn/files/").fetch().await);
        let program = ada.with_token(made["key"].as_str().unwrap());
        assert_limited(&program.try_upload("hello", "a.txt").await);
        let again = app.login("ada@example.com", PASSWORD).await;
        assert_limited(&again.get("/api/auth/me").fetch().await);
        eve.get_json("/api/auth/me").await;
    }
}
