//! `GET /api/auth/sessions/` and `DELETE …/{id}/`: where somebody is signed in.

use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{Client, Fetch, PASSWORD, TestApp, assert_error, assert_refused, eventually};

const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn list(client: &Client) -> Vec<Value> {
    client.get_json("/api/auth/sessions/").await.as_array().expect("an array").clone()
}

async fn log_in_with(app: &TestApp, user_agent: &str) -> Client {
    let body = serde_json::json!({"email": "ada@example.com", "password": PASSWORD});
    let client = app.anonymous();
    let request = client.post("/api/auth/login").header("user-agent", user_agent).json(&body);
    let reply = request.fetch().await;
    client.logged_in_by(&reply)
}

fn path_of(session: &Value) -> String {
    format!("/api/auth/sessions/{}/", session["id"].as_str().expect("an id"))
}

api_test! {
    async fn each_session_tells_its_device_and_which_one_asks(app) {
        app.create_user("ada@example.com", None).await;
        let laptop = log_in_with(app, FIREFOX).await;
        let phone = log_in_with(app, "curl/8.5.0").await;
        app.user("eve@example.com").await;
        let sessions = list(&phone).await;
        assert_eq!(sessions.len(), 2, "{sessions:?}");
        assert_eq!(sessions[0]["device"], "curl");
        assert_eq!(sessions[0]["is_current"], true);
        assert_eq!(sessions[1]["device"], "Firefox on Linux");
        assert_eq!(sessions[1]["user_agent"], FIREFOX);
        assert_eq!(sessions[1]["is_current"], false);
        assert_eq!(sessions[1]["ip_address"], "127.0.0.1");
        for field in ["created_at", "last_seen_at", "expires_at"] {
            crate::harness::assert_time(&sessions[0][field]);
        }
        assert_eq!(list(&laptop).await[1]["is_current"], true);
    }
}

api_test! {
    async fn a_session_that_is_used_has_been_seen_lately(app) {
        let ada = app.user("ada@example.com").await;
        let before = list(&ada).await[0]["last_seen_at"].clone();
        app.clock.advance(TimeDelta::minutes(2));
        eventually("the session is seen again", || async {
            let now = list(&ada).await[0]["last_seen_at"].clone();
            now.as_str() > before.as_str()
        })
        .await;
    }
}

api_test! {
    async fn ending_a_session_ends_its_tokens_at_once(app) {
        let ada = app.user("ada@example.com").await;
        let lost = app.login("ada@example.com", PASSWORD).await;
        let session = list(&ada).await.into_iter().find(|session| session["is_current"] == false).unwrap();
        let reply = ada.delete(&path_of(&session)).fetch().await;
        reply.expect_empty(204);
        reply.expect_no_cookies();
        assert_error(&lost.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        assert_refused(&lost.post("/api/auth/refresh").fetch().await, 401);
        ada.get_json("/api/auth/me").await;
        assert_refused(&ada.delete(&path_of(&session)).fetch().await, 404);
    }
}

api_test! {
    async fn ending_the_present_session_is_signing_out(app) {
        let ada = app.user("ada@example.com").await;
        let reply = ada.delete(&path_of(&list(&ada).await[0])).fetch().await;
        reply.expect_empty(204);
        reply.expect_cookies_cleared();
        assert_error(&ada.bearer().get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
    }
}

api_test! {
    async fn somebody_elses_session_is_not_there(app) {
        let ada = app.user("ada@example.com").await;
        let eve = app.user("eve@example.com").await;
        let session = list(&ada).await.remove(0);
        for path in [
            path_of(&session),
            format!("/api/auth/sessions/{}", Uuid::now_v7()),
            "/api/auth/sessions/1".to_owned(),
        ] {
            assert_error(&eve.delete(&path).fetch().await, 404, "Not found.");
        }
        ada.get_json("/api/auth/me").await;
    }
}

api_test! {
    async fn a_refresh_token_that_comes_back_an_hour_later_ends_the_family(app) {
        let ada = app.user("ada@example.com").await;
        let old = format!("refresh_token={}", ada.session.refresh);
        let thief = app.anonymous();
        let next = thief.post("/api/auth/refresh").header("cookie", &old).fetch().await;
        next.expect_json(200);
        app.clock.advance(TimeDelta::hours(1));
        let again = app.anonymous().post("/api/auth/refresh").header("cookie", &old).fetch().await;
        assert_refused(&again, 401);
        again.expect_cookies_cleared();
        let successor = format!("refresh_token={}", next.cookie_value("refresh_token"));
        let reply = app.anonymous().post("/api/auth/refresh").header("cookie", successor).fetch().await;
        assert_refused(&reply, 401);
    }
}

api_test! {
    async fn a_password_change_ends_access_tokens_of_other_sessions_at_once(app) {
        let ada = app.user("ada@example.com").await;
        let other = app.login("ada@example.com", PASSWORD).await.bearer();
        let body = serde_json::json!({"old_password": PASSWORD, "new_password": "another horse 8 staple"});
        ada.post("/api/auth/reset_password").json(&body).fetch().await.expect_json(200);
        assert_error(&other.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        assert_eq!(list(&ada).await.len(), 1);
    }
}

api_test! {
    async fn the_old_password_is_not_for_guessing_either(app) {
        let ada = app.user("ada@example.com").await;
        let body = serde_json::json!({"old_password": "wrong", "new_password": "another horse 8 staple"});
        for _ in 0..10 {
            let reply = ada.post("/api/auth/reset_password").json(&body).fetch().await;
            assert_error(&reply, 400, "Old password is incorrect.");
        }
        assert_refused(&ada.post("/api/auth/reset_password").json(&body).fetch().await, 429);
    }
}
