//! `POST /api/auth/refresh` and `POST /api/auth/logout`: how a session goes on, and how it ends.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Client, Fetch, PASSWORD, Reply, TestApp, assert_error, assert_refused, eventually};

const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";

/// A refresh with exactly this cookie.
async fn refresh_with(app: &TestApp, token: &str) -> Reply {
    let cookie = format!("refresh_token={token}");
    app.anonymous().post("/api/auth/refresh").header("cookie", cookie).fetch().await
}

async fn me_with(app: &TestApp, access: &str) -> Reply {
    app.anonymous().get("/api/auth/me").header("authorization", format!("Bearer {access}")).fetch().await
}

async fn log_out(client: &Client) -> Reply {
    client.post("/api/auth/logout").fetch().await
}

api_test! {
    async fn a_refresh_answers_success_and_new_cookies(app) {
        let ada = app.user("ada@example.com").await;
        let reply = ada.post("/api/auth/refresh").fetch().await;
        assert_eq!(reply.expect_json(200)["success"], true);
        assert_ne!(reply.cookie_value("refresh_token"), ada.session.refresh);
        let me = me_with(app, &reply.cookie_value("access_token")).await;
        assert_eq!(me.expect_json(200)["user"]["id"], ada.id);
        assert_eq!(reply.cookie("refresh_token").http_only(), Some(true));
        assert_eq!(reply.cookie("access_token").path(), Some("/"));
    }
}

api_test! {
    async fn a_chain_of_refreshes_goes_on(app) {
        let ada = app.user("ada@example.com").await;
        let mut token = ada.session.refresh.clone();
        for _ in 0..5 {
            let reply = refresh_with(app, &token).await;
            reply.expect_json(200);
            token = reply.cookie_value("refresh_token");
        }
        ada.get_json("/api/auth/me").await;
    }
}

api_test! {
    async fn a_repeated_refresh_gets_the_same_successor(app) {
        let ada = app.user("ada@example.com").await;
        let first = refresh_with(app, &ada.session.refresh).await;
        let second = refresh_with(app, &ada.session.refresh).await;
        assert_eq!(second.expect_json(200)["success"], true);
        assert_eq!(first.cookie_value("refresh_token"), second.cookie_value("refresh_token"));
        me_with(app, &second.cookie_value("access_token")).await.expect_json(200);
        // The successor works, and using it does not take the grace from its predecessor.
        refresh_with(app, &first.cookie_value("refresh_token")).await.expect_json(200);
        refresh_with(app, &ada.session.refresh).await.expect_json(200);
    }
}

api_test! {
    async fn parallel_refreshes_all_get_the_same_successor(app) {
        let ada = app.user("ada@example.com").await;
        let replies = join_all((0..12).map(|_| refresh_with(app, &ada.session.refresh))).await;
        let successor = replies[0].cookie_value("refresh_token");
        for reply in &replies {
            assert_eq!(reply.expect_json(200)["success"], true);
            assert_eq!(reply.cookie_value("refresh_token"), successor);
        }
    }
}

api_test! {
    async fn reuse_of_a_refresh_token_after_its_grace_ends_the_whole_family(app) {
        let ada = app.user("ada@example.com").await;
        let other = app.login("ada@example.com", PASSWORD).await;
        let next = refresh_with(app, &ada.session.refresh).await;
        app.age_used_refresh_tokens().await;

        let reused = refresh_with(app, &ada.session.refresh).await;
        assert_refused(&reused, 401);
        reused.expect_cookies_cleared();
        assert_refused(&refresh_with(app, &next.cookie_value("refresh_token")).await, 401);
        assert_error(&me_with(app, &next.cookie_value("access_token")).await, 401, NO_CREDENTIALS);
        assert_error(&me_with(app, &ada.session.access).await, 401, NO_CREDENTIALS);
        // Another login is another family.
        other.get_json("/api/auth/me").await;
    }
}

api_test! {
    async fn a_refresh_without_a_cookie_is_400_and_clears_the_cookies(app) {
        let reply = app.anonymous().post("/api/auth/refresh").fetch().await;
        assert_refused(&reply, 400);
        reply.expect_cookies_cleared();
    }
}

api_test! {
    async fn a_refresh_with_only_an_access_token_is_400(app) {
        let ada = app.user("ada@example.com").await;
        let cookie = format!("access_token={}", ada.session.access);
        let reply = app.anonymous().post("/api/auth/refresh").header("cookie", cookie).fetch().await;
        assert_refused(&reply, 400);
        reply.expect_cookies_cleared();
    }
}

api_test! {
    async fn a_refresh_with_a_bad_cookie_is_401_and_clears_the_cookies(app) {
        let ada = app.user("ada@example.com").await;
        for token in ["garbage", &ada.session.access, "a.b.c", &"x".repeat(2000)] {
            let reply = refresh_with(app, token).await;
            assert_refused(&reply, 401);
            reply.expect_cookies_cleared();
        }
        ada.get_json("/api/auth/me").await;
    }
}

api_test! {
    with |config| { config.auth.access_ttl = hackclub_cdn::config::Span::from_secs(1); }
    async fn an_access_token_expires_and_a_refresh_goes_on(app) {
        let ada = app.user("ada@example.com").await;
        eventually("the access token expires", || async {
            me_with(app, &ada.session.access).await.status == 401
        })
        .await;
        assert_error(&me_with(app, &ada.session.access).await, 401, NO_CREDENTIALS);
        let reply = refresh_with(app, &ada.session.refresh).await;
        assert_eq!(reply.expect_json(200)["success"], true);
        me_with(app, &reply.cookie_value("access_token")).await.expect_json(200);
    }
}

api_test! {
    with |config| {
        config.auth.access_ttl = hackclub_cdn::config::Span::from_secs(1);
        config.auth.refresh_ttl = hackclub_cdn::config::Span::from_secs(2);
    }
    async fn an_expired_refresh_token_is_401(app) {
        let ada = app.user("ada@example.com").await;
        eventually("the session expires", || async { me_with(app, &ada.session.access).await.status == 401 })
            .await;
        // A refresh would prolong the session, so wait for its end by looking at another one.
        let witness = app.login("ada@example.com", PASSWORD).await;
        eventually("a session that began later has expired as well", || async {
            me_with(app, &witness.session.access).await.status == 401
        })
        .await;
        eventually("the older session's refresh token has expired", || async {
            chrono::Utc::now() > expiry_of(&witness) + chrono::TimeDelta::seconds(1)
        })
        .await;
        let reply = refresh_with(app, &ada.session.refresh).await;
        assert_refused(&reply, 401);
        reply.expect_cookies_cleared();
    }
}

/// The end of the access token of a client, from its claims (RFC 7519, 4.1.4).
fn expiry_of(client: &Client) -> chrono::DateTime<chrono::Utc> {
    use base64::Engine;
    let claims = client.session.access.split('.').nth(1).expect("a token of three parts");
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    chrono::DateTime::from_timestamp(claims["exp"].as_i64().expect("an expiry"), 0).expect("a time")
}

api_test! {
    async fn logout_ends_the_session_at_once_and_clears_the_cookies(app) {
        let ada = app.user("ada@example.com").await;
        let bearer = ada.bearer();
        let reply = log_out(&ada).await;
        assert_eq!(reply.expect_json(200), json!({"detail": "Logged out successfully."}));
        reply.expect_cookies_cleared();
        assert_error(&bearer.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        assert_error(&bearer.get("/api/cdn/files/").fetch().await, 401, NO_CREDENTIALS);
        assert_refused(&refresh_with(app, &ada.session.refresh).await, 401);
    }
}

api_test! {
    async fn logout_by_bearer_token_ends_that_session(app) {
        let ada = app.user("ada@example.com").await;
        assert_eq!(log_out(&ada.bearer()).await.expect_json(200)["detail"], "Logged out successfully.");
        assert_error(&ada.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        assert_refused(&refresh_with(app, &ada.session.refresh).await, 401);
    }
}

api_test! {
    async fn logout_with_only_a_refresh_cookie_ends_that_session(app) {
        let ada = app.user("ada@example.com").await;
        let cookie = format!("refresh_token={}", ada.session.refresh);
        let reply = app.anonymous().post("/api/auth/logout").header("cookie", cookie).fetch().await;
        reply.expect_json(200);
        assert_error(&ada.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
    }
}

api_test! {
    async fn logout_leaves_other_sessions_alone(app) {
        let ada = app.user("ada@example.com").await;
        let phone = app.login("ada@example.com", PASSWORD).await;
        log_out(&ada).await.expect_json(200);
        phone.get_json("/api/auth/me").await;
        refresh_with(app, &phone.session.refresh).await.expect_json(200);
    }
}

api_test! {
    async fn logout_with_a_stale_or_no_cookie_is_200(app) {
        let ada = app.user("ada@example.com").await;
        log_out(&ada).await.expect_json(200);
        for cookie in [ada.session.cookies(), "access_token=x; refresh_token=y".to_owned(), "a=b".to_owned()]
        {
            let reply = app.anonymous().post("/api/auth/logout").header("cookie", cookie).fetch().await;
            assert_eq!(reply.expect_json(200), json!({"detail": "Logged out successfully."}));
            reply.expect_cookies_cleared();
        }
        let reply = log_out(&app.anonymous()).await;
        assert_eq!(reply.expect_json(200)["detail"], "Logged out successfully.");
        reply.expect_cookies_cleared();
    }
}
