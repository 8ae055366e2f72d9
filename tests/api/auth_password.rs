//! `POST /api/auth/reset_password`.

use serde_json::{Value, json};

use crate::harness::{Client, Fetch, PASSWORD, Reply, assert_error, assert_field_error};

const NEW_PASSWORD: &str = "a staple of 9 horses";

async fn reset(client: &Client, body: Value) -> Reply {
    client.post("/api/auth/reset_password").json(&body).fetch().await
}

api_test! {
    async fn a_new_password_replaces_the_old_one(app) {
        let ada = app.user("ada@example.com").await;
        let reply = reset(&ada, json!({"old_password": PASSWORD, "new_password": NEW_PASSWORD})).await;
        assert_eq!(reply.expect_json(200), json!({"detail": "Password updated successfully."}));
        app.login("ada@example.com", NEW_PASSWORD).await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let old = app.anonymous().post("/api/auth/login").json(&body).fetch().await;
        assert_error(&old, 401, "Invalid credentials.");
    }
}

api_test! {
    async fn a_new_password_ends_the_other_sessions_and_keeps_this_one(app) {
        let ada = app.user("ada@example.com").await;
        let phone = app.login("ada@example.com", PASSWORD).await;
        let grace = app.user("grace@example.com").await;
        reset(&ada, json!({"old_password": PASSWORD, "new_password": NEW_PASSWORD})).await.expect_json(200);
        phone.get("/api/auth/me").fetch().await.expect_json(401);
        phone.bearer().get("/api/auth/me").fetch().await.expect_json(401);
        phone.post("/api/auth/refresh").fetch().await.expect_json(401);
        ada.get_json("/api/auth/me").await;
        ada.post("/api/auth/refresh").fetch().await.expect_json(200);
        grace.get_json("/api/auth/me").await;
    }
}

api_test! {
    async fn the_old_password_is_required_and_must_be_right(app) {
        let ada = app.user("ada@example.com").await;
        for old in [json!(null), json!("")] {
            let reply = reset(&ada, json!({"old_password": old, "new_password": NEW_PASSWORD})).await;
            assert_error(&reply, 400, "Old password is required.");
        }
        let reply = reset(&ada, json!({"new_password": NEW_PASSWORD})).await;
        assert_error(&reply, 400, "Old password is required.");
        let reply = reset(&ada, json!({"old_password": "wrong", "new_password": NEW_PASSWORD})).await;
        assert_error(&reply, 400, "Old password is incorrect.");
        app.login("ada@example.com", PASSWORD).await;
    }
}

api_test! {
    async fn the_new_password_is_required(app) {
        let ada = app.user("ada@example.com").await;
        for body in [
            json!({"old_password": PASSWORD}),
            json!({"old_password": PASSWORD, "new_password": ""}),
            json!({"old_password": PASSWORD, "new_password": null}),
            json!({}),
        ] {
            assert_error(&reset(&ada, body).await, 400, "New password is required.");
        }
    }
}

api_test! {
    async fn a_weak_password_is_400_with_the_reason(app) {
        let ada = app.user("ada@example.com").await;
        let phone = app.login("ada@example.com", PASSWORD).await;
        for (weak, reason) in [
            ("short1!", "8 characters"),
            ("äöüÄÖÜß", "8 characters"),
            ("73519284605", "numeric"),
            ("password123", "common"),
            ("Password1", "common"),
            ("aaaaaaaaaaaa", "common"),
        ] {
            let reply = reset(&ada, json!({"old_password": PASSWORD, "new_password": weak})).await;
            let body = assert_field_error(&reply, "new_password");
            let message = body["details"]["new_password"][0].as_str().unwrap();
            assert!(message.contains(reason), "{weak}: {message}");
        }
        // Nothing was changed and nobody was thrown out.
        phone.get_json("/api/auth/me").await;
        app.login("ada@example.com", PASSWORD).await;
    }
}

api_test! {
    async fn a_password_may_have_any_characters(app) {
        let ada = app.user("ada@example.com").await;
        let password = "pä$$ wörd \" ' \\ 🎉";
        reset(&ada, json!({"old_password": PASSWORD, "new_password": password})).await.expect_json(200);
        app.login("ada@example.com", password).await;
    }
}

api_test! {
    async fn a_reset_without_a_login_is_401(app) {
        app.create_user("ada@example.com", None).await;
        let reply =
            reset(&app.anonymous(), json!({"old_password": PASSWORD, "new_password": NEW_PASSWORD})).await;
        assert_error(&reply, 401, "Authentication credentials were not provided.");
    }
}
