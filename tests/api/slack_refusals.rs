//! Sign-in by a provider that is refused: whom, with what words, and without a trace.

use chrono::{TimeDelta, Utc};
use hackclub_cdn::config::Span;
use serde_json::{Value, json};

use crate::harness::{
    Fetch, Mood, Provider, Signature, TestApp, assert_error, assert_refused, call_back, landing_of, merged,
    person, retrieve, sign_in,
};
use crate::slack::provider_test;

const BAD_STATE: &str = "This sign-in has expired or was begun in another browser. Start again.";
const REFUSED: &str = "The identity provider refused the sign-in.";

/// Nobody got in, and no account was made.
async fn assert_nobody(app: &TestApp) {
    assert_eq!(app.services.db.list_users().await.unwrap().len(), 0);
    for sql in [
        "SELECT COUNT(*) FROM sessions",
        "SELECT COUNT(*) FROM auth_codes",
        "SELECT COUNT(*) FROM identities",
    ] {
        let (count,): (i64,) = app.services.db.q(sql).one().await.unwrap();
        assert_eq!(count, 0, "{sql}");
    }
}

api_test! {
    async fn a_server_without_a_provider_says_so(app) {
        let message = "Sign-in by an identity provider is not set up on this server.";
        assert_error(&app.anonymous().get("/api/slack/login").fetch().await, 404, message);
        assert_error(&call_back(&app.anonymous(), "code", "state").await, 404, message);
        assert_error(&retrieve(&app.anonymous(), "code").await, 404, "Invalid or expired auth_code");
    }
}

provider_test! {
    async fn without_a_code_or_the_right_state_the_provider_is_not_asked(app) {
        let provider = Provider::current();
        let browser = app.anonymous();
        let login = browser.get("/api/slack/login").fetch().await;
        let (code, state) = provider.agree(login.header("location"), person("ada@example.com"));
        let no_code = browser.get_with("/api/slack/callback", &[("state", state.as_str())]).fetch().await;
        assert_error(&no_code, 400, "No code provided");
        let refused = [("error", "access_denied"), ("state", state.as_str())];
        let refused = browser.get_with("/api/slack/callback", &refused).fetch().await;
        assert_error(&refused, 400, REFUSED);
        for wrong in ["", "x", &state[1..], &state.to_uppercase(), &format!("{state}A")] {
            assert_error(&call_back(&browser, &code, wrong).await, 400, BAD_STATE);
        }
        let no_state = browser.get_with("/api/slack/callback", &[("code", code.as_str())]).fetch().await;
        assert_error(&no_state, 400, BAD_STATE);
        // The right state in another browser: without its cookie, and with the cookie of a sign-in of its own.
        assert_error(&call_back(&app.anonymous(), &code, &state).await, 400, BAD_STATE);
        let other = app.anonymous();
        other.get("/api/slack/login").fetch().await.expect_status(302);
        assert_error(&call_back(&other, &code, &state).await, 400, BAD_STATE);
        assert_eq!(provider.calls(), 0);
        assert_nobody(app).await;
        // None of this ended the sign-in.
        landing_of(&call_back(&browser, &code, &state).await);
    }
}

provider_test! {
    async fn a_cookie_that_was_changed_is_none(app) {
        let login = app.anonymous().get("/api/slack/login").fetch().await;
        let (code, state) = Provider::current().agree(login.header("location"), person("ada@example.com"));
        let cookie = login.cookie_value("sign_in");
        let parts: Vec<_> = cookie.split('.').collect();
        assert_eq!(parts.len(), 4, "{cookie}");
        for changed in [
            cookie.replace(parts[1], "99999999999"),
            cookie.replace(&format!("{}.", parts[1]), &format!("{}.L2V2aWw", parts[1])),
            format!("x{cookie}"),
            format!("{cookie}x"),
            parts[..3].join("."),
            String::new(),
            "...".to_owned(),
        ] {
            let request = app.anonymous().get_with("/api/slack/callback", &[("code", code.as_str()), ("state", state.as_str())]);
            let reply = request.header("cookie", format!("sign_in={changed}")).fetch().await;
            assert_error(&reply, 400, BAD_STATE);
        }
        assert_eq!(Provider::current().calls(), 0);
    }
}

provider_test! {
    async fn a_way_back_is_good_once_and_for_ten_minutes(app) {
        let provider = Provider::current();
        let login = app.anonymous().get("/api/slack/login").fetch().await;
        let cookie = format!("sign_in={}", login.cookie_value("sign_in"));
        let (code, state) = provider.agree(login.header("location"), person("ada@example.com"));
        let query = [("code", code.as_str()), ("state", state.as_str())];
        let go = || app.anonymous().get_with("/api/slack/callback", &query).header("cookie", &cookie).fetch();
        landing_of(&go().await);
        let calls = provider.calls();
        assert_error(&go().await, 400, BAD_STATE);
        assert_eq!(provider.calls(), calls);

        let late = app.anonymous();
        let login = late.get("/api/slack/login").fetch().await;
        let (code, state) = provider.agree(login.header("location"), person("ada@example.com"));
        app.clock.advance(TimeDelta::minutes(10));
        assert_error(&call_back(&late, &code, &state).await, 400, BAD_STATE);
        assert_eq!(provider.calls(), calls);
    }
}

provider_test! {
    async fn a_token_that_is_not_for_this_sign_in_is_refused(app) {
        let past = Utc::now().timestamp() - 3600;
        let wrong: [Value; 12] = [
            json!({"nonce": "another"}),
            json!({"nonce": null}),
            json!({"aud": "another-client"}),
            json!({"aud": ["cdn-under-test", "another-client"]}),
            json!({"aud": null}),
            json!({"azp": "another-client"}),
            json!({"iss": "https://evil.example"}),
            json!({"iss": null}),
            json!({"exp": past}),
            json!({"exp": null}),
            json!({"iat": Utc::now().timestamp() + 3600}),
            json!({"sub": ""}),
        ];
        for claims in wrong {
            let reply = sign_in(&app.anonymous(), merged(person("ada@example.com"), claims.clone())).await;
            assert_eq!(reply.status, 400, "{claims}: {}", reply.text());
            assert_error(&reply, 400, REFUSED);
        }
        assert_nobody(app).await;
    }
}

provider_test! {
    async fn a_token_that_the_provider_did_not_sign_is_refused(app) {
        let provider = Provider::current();
        for signature in [Signature::None, Signature::Symmetric, Signature::Broken, Signature::UnknownKey] {
            provider.sign_by(signature);
            let reply = sign_in(&app.anonymous(), person("ada@example.com")).await;
            assert_eq!(reply.status, 400, "{signature:?}: {}", reply.text());
            assert_error(&reply, 400, REFUSED);
        }
        assert_nobody(app).await;
        provider.sign_by(Signature::Right);
        landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
    }
}

provider_test! {
    async fn another_workspace_is_403_with_the_fixed_message(app) {
        for team in [json!("T0OTHER"), json!(null), json!("")] {
            let claims = merged(person("ada@example.com"), json!({"https://slack.com/team_id": team}));
            assert_error(&sign_in(&app.anonymous(), claims).await, 403, "User is not in Hack Club Slack");
        }
        assert_nobody(app).await;
    }
}

provider_test! {
    async fn no_address_or_an_unverified_one_is_refused(app) {
        Provider::current().tell(json!({"sub": "U-ada@example.com"}));
        for email in [json!(null), json!(""), json!("no address")] {
            let claims = merged(person("ada@example.com"), json!({"email": email}));
            assert_error(&sign_in(&app.anonymous(), claims).await, 400, "Email is required");
        }
        for verified in [json!(false), json!(null)] {
            let claims = merged(person("ada@example.com"), json!({"email_verified": verified}));
            assert_refused(&sign_in(&app.anonymous(), claims).await, 403);
        }
        assert_nobody(app).await;
    }
}

provider_test! {
    with |config| { config.slack.timeout = Span::from_millis(300); }
    async fn a_provider_that_refuses_is_400_and_one_that_is_down_503(app) {
        let provider = Provider::current();
        for (mood, status) in
            [(Mood::Refusing, 400), (Mood::RefusingLikeSlack, 400), (Mood::Broken, 503), (Mood::Silent, 503)]
        {
            provider.be(mood);
            let reply = sign_in(&app.anonymous(), person("ada@example.com")).await;
            assert_eq!(reply.status, status, "{mood:?}: {}", reply.text());
            assert_refused(&reply, status);
        }
        assert_nobody(app).await;
    }
}

provider_test! {
    with |config| {
        // A port that nobody listens on: it was free a moment ago.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        config.slack.token_url = format!("http://127.0.0.1:{port}/token");
    }
    async fn a_provider_that_is_away_is_503(app) {
        let reply = sign_in(&app.anonymous(), person("ada@example.com")).await;
        assert_refused(&reply, 503);
        assert_nobody(app).await;
    }
}

provider_test! {
    async fn a_disabled_account_is_403_at_the_callback_and_at_the_exchange(app) {
        let ada = app.user_by_provider(person("ada@example.com")).await;
        let (_, code) = landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
        app.set_active(&ada, false).await;
        assert_error(&retrieve(&app.anonymous(), &code).await, 403, "Account is inactive.");
        assert_error(&sign_in(&app.anonymous(), person("ada@example.com")).await, 403, "Account is inactive.");
    }
}

provider_test! {
    async fn an_exchange_without_a_code_is_400_and_with_a_wrong_one_404(app) {
        for body in [json!({}), json!({"auth_code": null}), json!({"auth_code": ""})] {
            let reply = app.anonymous().post("/api/auth/retrieve").json(&body).fetch().await;
            assert_error(&reply, 400, "Missing auth_code");
        }
        for code in ["x", &"y".repeat(10_000)] {
            assert_error(&retrieve(&app.anonymous(), code).await, 404, "Invalid or expired auth_code");
        }
    }
}
