//! `POST /api/auth/login` and `GET /api/auth/me`: who gets in, and what they are told.

use std::time::{Duration, Instant};

use actix_web::cookie::SameSite;
use serde_json::{Value, json};

use crate::harness::{Client, Fetch, PASSWORD, Reply, assert_error, assert_refused};

const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";

async fn log_in(client: &Client, body: Value) -> Reply {
    client.post("/api/auth/login").json(&body).fetch().await
}

api_test! {
    async fn the_right_password_answers_the_user_and_sets_both_cookies(app) {
        app.create_user("ada@example.com", None).await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let reply = log_in(&app.anonymous(), body).await;
        let user = reply.expect_json(200)["user"].clone();
        assert!(user["id"].is_i64(), "{user}");
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["name"], "User ada@example.com");
        assert!(user.as_object().unwrap().contains_key("image") && user["image"].is_null(), "{user}");
        reply.cookie_value("access_token");
        reply.cookie_value("refresh_token");
    }
}

api_test! {
    async fn cookies_of_a_plain_http_server_are_lax_and_not_secure(app) {
        app.create_user("ada@example.com", None).await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let reply = log_in(&app.anonymous(), body).await;
        for name in ["access_token", "refresh_token"] {
            let cookie = reply.cookie(name);
            assert_eq!(cookie.http_only(), Some(true), "{cookie}");
            assert_eq!(cookie.path(), Some("/"), "{cookie}");
            assert_eq!(cookie.same_site(), Some(SameSite::Lax), "{cookie}");
            assert_ne!(cookie.secure(), Some(true), "{cookie}");
            assert_eq!(cookie.domain(), None, "{cookie}");
        }
    }
}

api_test! {
    with |config| { config.server.public_url = "https://cdn.example".to_owned(); }
    async fn cookies_of_an_https_server_are_secure_and_cross_site(app) {
        app.create_user("ada@example.com", None).await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let reply = log_in(&app.anonymous(), body).await;
        reply.expect_json(200);
        for name in ["access_token", "refresh_token"] {
            let cookie = reply.cookie(name);
            assert_eq!(cookie.http_only(), Some(true), "{cookie}");
            assert_eq!(cookie.path(), Some("/"), "{cookie}");
            assert_eq!(cookie.same_site(), Some(SameSite::None), "{cookie}");
            assert_eq!(cookie.secure(), Some(true), "{cookie}");
        }
    }
}

api_test! {
    async fn a_wrong_password_is_401_with_the_fixed_message(app) {
        app.create_user("ada@example.com", None).await;
        let reply = log_in(&app.anonymous(), json!({"email": "ada@example.com", "password": "wrong"})).await;
        assert_error(&reply, 401, "Invalid credentials.");
        reply.expect_no_cookies();
    }
}

api_test! {
    async fn an_unknown_e_mail_gets_the_same_answer_as_a_wrong_password(app) {
        app.create_user("ada@example.com", None).await;
        let client = app.anonymous();
        let wrong = log_in(&client, json!({"email": "ada@example.com", "password": "wrong"})).await;
        let unknown = log_in(&client, json!({"email": "eve@example.com", "password": "wrong"})).await;
        assert_error(&unknown, 401, "Invalid credentials.");
        assert_eq!(unknown.text(), wrong.text());
    }
}

api_test! {
    with |config| {
        config.limits.guesses.per_network_and_secret = 1000;
    }
    async fn an_unknown_e_mail_takes_as_long_as_a_wrong_password(app) {
        app.create_user("ada@example.com", None).await;
        let client = app.anonymous();
        // The best of several leaves out what else the machine did; what remains is the work itself. A server
        // that skips the hashing for one of the two never comes near.
        let mut best = [Duration::MAX; 2];
        let is_even = |best: &[Duration; 2]| best[0] * 2 < best[1] * 3 && best[1] * 2 < best[0] * 3;
        for _ in 0..40 {
            for (best, email) in best.iter_mut().zip(["ada@example.com", "eve@example.com"]) {
                let start = Instant::now();
                log_in(&client, json!({"email": email, "password": "wrong"})).await.expect_status(401);
                *best = start.elapsed().min(*best);
            }
            if is_even(&best) {
                return;
            }
        }
        panic!("known and unknown: {best:?}");
    }
}

api_test! {
    async fn a_login_without_e_mail_or_password_is_400(app) {
        app.create_user("ada@example.com", None).await;
        for body in [
            json!({}),
            json!({"email": "ada@example.com"}),
            json!({"password": PASSWORD}),
            json!({"email": "", "password": PASSWORD}),
            json!({"email": "ada@example.com", "password": ""}),
            json!({"email": null, "password": null}),
        ] {
            let reply = log_in(&app.anonymous(), body).await;
            assert_error(&reply, 400, "Email and password are required.");
        }
    }
}

api_test! {
    async fn a_login_with_fields_of_another_type_is_400(app) {
        for body in [
            json!({"email": 1, "password": 2}),
            json!({"email": ["a"], "password": {}}),
            json!([]),
            json!("x"),
        ] {
            assert_refused(&log_in(&app.anonymous(), body).await, 400);
        }
    }
}

api_test! {
    async fn a_login_with_hostile_text_is_refused(app) {
        app.create_user("ada@example.com", None).await;
        for (email, password) in [("ada@example.com\0", PASSWORD), ("ada@example.com", "a\0b")] {
            let reply = log_in(&app.anonymous(), json!({"email": email, "password": password})).await;
            assert_refused(&reply, 400);
        }
        for (email, password) in [
            ("' OR 1=1 --", "x"),
            ("%", "%"),
            ("ada@example.com", &"x".repeat(100_000)),
            (&"x".repeat(100_000), PASSWORD),
        ] {
            let reply = log_in(&app.anonymous(), json!({"email": email, "password": password})).await;
            assert_error(&reply, 401, "Invalid credentials.");
        }
    }
}

api_test! {
    async fn an_e_mail_is_the_same_in_any_case(app) {
        app.create_user("Ada@Example.com", None).await;
        let client = app.login("aDA@eXAMPLE.COM", PASSWORD).await;
        assert_eq!(client.email.to_lowercase(), "ada@example.com");
    }
}

api_test! {
    async fn an_inactive_account_is_403_with_the_fixed_message(app) {
        let ada = app.user("ada@example.com").await;
        app.set_active(&ada, false).await;
        let reply = log_in(&app.anonymous(), json!({"email": "ada@example.com", "password": PASSWORD})).await;
        assert_error(&reply, 403, "Account is inactive.");
        reply.expect_no_cookies();
        let reply = log_in(&app.anonymous(), json!({"email": "ada@example.com", "password": "wrong"})).await;
        assert_error(&reply, 401, "Invalid credentials.");
    }
}

api_test! {
    async fn disabling_an_account_ends_its_sessions_at_once(app) {
        let ada = app.user("ada@example.com").await;
        app.set_active(&ada, false).await;
        assert_error(&ada.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        assert_error(&ada.bearer().get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        let refresh = ada.post("/api/auth/refresh").fetch().await;
        assert_refused(&refresh, 401);
    }
}

api_test! {
    async fn me_answers_the_same_user_to_a_cookie_and_to_a_bearer_token(app) {
        let ada = app.user("ada@example.com").await;
        let by_cookie = ada.get_json("/api/auth/me").await;
        let by_token = ada.bearer().get_json("/api/auth/me").await;
        assert_eq!(by_cookie, by_token);
        assert_eq!(by_cookie["user"]["id"], ada.id);
        assert_eq!(by_cookie["user"]["email"], "ada@example.com");
    }
}

api_test! {
    async fn me_without_credentials_is_401(app) {
        assert_error(&app.anonymous().get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
    }
}

api_test! {
    async fn credentials_that_are_none_are_401(app) {
        let ada = app.user("ada@example.com").await;
        let access = &ada.session.access;
        let (head, signature) = access.rsplit_once('.').expect("a signed token");
        let (header, claims) = head.split_once('.').expect("a signed token");
        // {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        let turned: String = signature.chars().rev().collect();
        for value in [
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            "Bearer garbage".to_owned(),
            "Bearer a.b.c".to_owned(),
            format!("Bearer {access}x"),
            format!("Bearer {header}.{claims}.{turned}"),
            format!("Bearer {unsigned}"),
            format!("Bearer {}", ada.session.refresh),
            "Basic YWRhOnB3".to_owned(),
            access.clone(),
        ] {
            let reply = app.anonymous().get("/api/auth/me").header("authorization", &value).fetch().await;
            assert_error(&reply, 401, NO_CREDENTIALS);
        }
        let cookie = format!("access_token={}", ada.session.refresh);
        let reply = app.anonymous().get("/api/auth/me").header("cookie", cookie).fetch().await;
        assert_error(&reply, 401, NO_CREDENTIALS);
    }
}

api_test! {
    async fn the_bearer_scheme_is_the_same_in_any_case(app) {
        let ada = app.user("ada@example.com").await;
        let value = format!("bearer {}", ada.session.access);
        let reply = app.anonymous().get("/api/auth/me").header("authorization", value).fetch().await;
        assert_eq!(reply.expect_json(200)["user"]["id"], ada.id);
    }
}

api_test! {
    async fn every_call_that_needs_a_login_is_401_without_one(app) {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let calls = [
            ("GET", "/api/auth/me".to_owned()),
            ("POST", "/api/auth/reset_password".to_owned()),
            ("GET", "/api/cdn/folders/".to_owned()),
            ("POST", "/api/cdn/folders/".to_owned()),
            ("GET", "/api/cdn/folders/root/".to_owned()),
            ("GET", format!("/api/cdn/folders/{id}/")),
            ("PUT", format!("/api/cdn/folders/{id}/")),
            ("PATCH", format!("/api/cdn/folders/{id}/")),
            ("DELETE", format!("/api/cdn/folders/{id}/")),
            ("GET", format!("/api/cdn/folders/{id}/contents/")),
            ("GET", "/api/cdn/files/".to_owned()),
            ("POST", "/api/cdn/files/upload/".to_owned()),
            ("GET", format!("/api/cdn/files/{id}/")),
            ("PUT", format!("/api/cdn/files/{id}/")),
            ("PATCH", format!("/api/cdn/files/{id}/")),
            ("DELETE", format!("/api/cdn/files/{id}/")),
            ("GET", format!("/api/cdn/files/{id}/download/")),
            ("POST", "/api/cdn/uploads/".to_owned()),
            ("PUT", "/api/cdn/uploads/a.txt".to_owned()),
        ];
        for (method, path) in calls {
            let request = app.anonymous().request(method.parse().unwrap(), &path);
            let request = if method == "GET" { request } else { request.json(&json!({})) };
            assert_error(&request.fetch().await, 401, NO_CREDENTIALS);
        }
    }
}
