//! How often a password may be guessed.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Client, Fetch, PASSWORD, Reply, assert_error};

const REFUSED: &str = "Too many attempts. Try again later.";
/// `[limits.guesses] per_network_and_secret`.
const LIMIT: usize = 10;

async fn log_in(client: &Client, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password});
    client.post("/api/auth/login").json(&body).fetch().await
}

async fn guess_until_refused(client: &Client, email: &str) {
    for _ in 0..LIMIT {
        assert_error(&log_in(client, email, "wrong").await, 401, "Invalid credentials.");
    }
    assert_error(&log_in(client, email, "wrong").await, 429, REFUSED);
}

api_test! {
    async fn after_ten_wrong_passwords_the_right_one_is_refused_too(app) {
        let ada = app.user("ada@example.com").await;
        app.create_user("grace@example.com", None).await;
        let stranger = app.anonymous();
        guess_until_refused(&stranger, "ada@example.com").await;
        let reply = log_in(&stranger, "ADA@example.com", PASSWORD).await;
        assert_error(&reply, 429, REFUSED);
        let wait: u64 = reply.header("retry-after").parse().expect("seconds");
        assert!((1..=15 * 60 + 1).contains(&wait), "{wait}");
        reply.expect_no_cookies();
        // Who is signed in stays so, and nobody else is concerned.
        ada.get_json("/api/auth/me").await;
        ada.post("/api/auth/refresh").fetch().await.expect_json(200);
        app.login("grace@example.com", PASSWORD).await;
    }
}

api_test! {
    async fn another_network_is_not_concerned(app) {
        app.create_user("ada@example.com", None).await;
        guess_until_refused(&app.anonymous_from(2), "ada@example.com").await;
        app.login("ada@example.com", PASSWORD).await;
        assert_error(&log_in(&app.anonymous_from(2), "ada@example.com", PASSWORD).await, 429, REFUSED);
    }
}

api_test! {
    async fn an_unknown_address_is_refused_like_a_known_one(app) {
        guess_until_refused(&app.anonymous(), "nobody@example.com").await;
    }
}

api_test! {
    async fn a_forged_forwarded_address_changes_nothing(app) {
        app.create_user("ada@example.com", None).await;
        guess_until_refused(&app.anonymous(), "ada@example.com").await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        for (header, value) in [("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7"), ("x-real-ip", "192.0.2.7")] {
            let request = app.anonymous().post("/api/auth/login").header(header, value).json(&body);
            assert_error(&request.fetch().await, 429, REFUSED);
        }
    }
}

api_test! {
    async fn the_window_ends(app) {
        app.create_user("ada@example.com", None).await;
        let stranger = app.anonymous();
        guess_until_refused(&stranger, "ada@example.com").await;
        app.clock.advance(TimeDelta::minutes(15));
        guess_until_refused(&stranger, "ada@example.com").await;
        app.clock.advance(TimeDelta::minutes(15));
        app.login("ada@example.com", PASSWORD).await;
    }
}

api_test! {
    async fn a_right_password_starts_the_count_anew(app) {
        app.create_user("ada@example.com", None).await;
        let client = app.anonymous();
        for _ in 1..LIMIT {
            log_in(&client, "ada@example.com", "wrong").await.expect_status(401);
        }
        log_in(&client, "ada@example.com", PASSWORD).await.expect_json(200);
        guess_until_refused(&client, "ada@example.com").await;
    }
}

api_test! {
    async fn of_many_wrong_passwords_at_once_exactly_ten_are_looked_at(app) {
        app.create_user("ada@example.com", None).await;
        let client = app.anonymous();
        let replies = join_all((0..40).map(|_| log_in(&client, "ada@example.com", "wrong"))).await;
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), LIMIT, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 40 - LIMIT, "{statuses:?}");
    }
}

api_test! {
    with |config| {
        config.limits.guesses.per_network = 3;
    }
    async fn one_network_guesses_at_many_accounts_only_so_often(app) {
        app.create_user("ada@example.com", None).await;
        let stranger = app.anonymous_from(2);
        for email in ["a@example.com", "b@example.com", "c@example.com"] {
            log_in(&stranger, email, "wrong").await.expect_status(401);
        }
        assert_error(&log_in(&stranger, "ada@example.com", PASSWORD).await, 429, REFUSED);
        app.login("ada@example.com", PASSWORD).await;
    }
}

api_test! {
    with |config| {
        config.limits.guesses.per_secret = 15;
    }
    async fn one_account_is_guessed_at_from_everywhere_only_so_often(app) {
        app.create_user("ada@example.com", None).await;
        guess_until_refused(&app.anonymous_from(2), "ada@example.com").await;
        // What was refused there took nothing from the others.
        for _ in 0..5 {
            log_in(&app.anonymous_from(3), "ada@example.com", "wrong").await.expect_status(401);
        }
        assert_error(&log_in(&app.anonymous_from(4), "ada@example.com", PASSWORD).await, 429, REFUSED);
        app.clock.advance(TimeDelta::minutes(15));
        app.login("ada@example.com", PASSWORD).await;
    }
}

api_test! {
    async fn many_with_the_right_password_at_once_from_one_network_are_all_let_in(app) {
        app.create_user("ada@example.com", None).await;
        let client = app.anonymous();
        let replies = join_all((0..30).map(|_| log_in(&client, "ada@example.com", PASSWORD))).await;
        for reply in replies {
            reply.expect_json(200);
        }
    }
}
