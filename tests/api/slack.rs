//! `GET /api/slack/login`, `GET /api/slack/callback` and `POST /api/auth/retrieve`: how people sign in by a
//! provider, and whose account they get.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{
    FRONTEND, Fetch, PASSWORD, Provider, TestApp, assert_error, assert_field_error, landing_of, merged,
    person, retrieve, sign_in,
};

pub const LINK_FIRST: &str = "An account with this email address exists already. Sign in to it with its password first, then try again.";
const BAD_CODE: &str = "Invalid or expired auth_code";

/// Starts a provider beside the server, and may change the configuration further.
macro_rules! provider_test {
    ($(with |$config:ident| $set:block)? async fn $name:ident($app:ident) $body:block) => {
        api_test! {
            with |config| {
                $crate::harness::Provider::start(config);
                $(let $config = config; $set)?
            }
            async fn $name($app) $body
        }
    };
}
pub(crate) use provider_test;

async fn set_password(app: &TestApp, email: &str) {
    let user = app.services.find_user_by_email(email).await.unwrap();
    app.services.force_password(user.id(), PASSWORD.to_owned()).await.unwrap();
}

provider_test! {
    async fn a_first_sign_in_makes_an_account_that_has_yet_to_get_a_password(app) {
        let browser = app.anonymous();
        let reply = sign_in(&browser, person("ada@example.com")).await;
        let (page, code) = landing_of(&reply);
        assert_eq!(page, format!("{FRONTEND}/auth/set_new_password"));
        assert!(code.len() >= 43, "{code}");
        let reply = retrieve(&browser, &code).await;
        let user = reply.expect_json(200)["user"].clone();
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["name"], "Person ada@example.com");
        assert_eq!(user["image"], "https://pictures.example/ada@example.com.png");
        reply.cookie_value("refresh_token");
        // No old password is asked for where none is set.
        let body = json!({"new_password": PASSWORD});
        browser.post("/api/auth/reset_password").json(&body).fetch().await.expect_json(200);
        let ada = app.login("ada@example.com", PASSWORD).await;
        assert_eq!(ada.id, user["id"].as_i64().unwrap());
    }
}

provider_test! {
    async fn a_user_with_a_password_goes_straight_on(app) {
        let first = app.user_by_provider(person("ada@example.com")).await;
        set_password(app, "ada@example.com").await;
        let (page, code) = landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
        assert_eq!(page, format!("{FRONTEND}/auth/auth_session"));
        let user = retrieve(&app.anonymous(), &code).await.expect_json(200)["user"].clone();
        assert_eq!(user["id"], first.id);
    }
}

provider_test! {
    async fn people_are_known_by_their_subject_and_their_profile_follows(app) {
        let first = app.user_by_provider(person("ada@example.com")).await;
        let later = merged(person("ada@example.com"), json!({
            "email": "lovelace@example.com", "name": "Ada Lovelace", "picture": "https://pictures.example/new.png",
        }));
        let second = app.user_by_provider(later).await;
        assert_eq!(second.id, first.id);
        let me = second.get_json("/api/auth/me").await["user"].clone();
        assert_eq!(me["name"], "Ada Lovelace");
        assert_eq!(me["image"], "https://pictures.example/new.png");
        // Shares were given to the address that others know.
        assert_eq!(me["email"], "ada@example.com");
        // Somebody else who has the old address now gets nothing of hers.
        let other = merged(person("ada@example.com"), json!({"sub": "U-other"}));
        let (_, code) = landing_of(&sign_in(&app.anonymous(), other).await);
        assert_error(&retrieve(&app.anonymous(), &code).await, 403, LINK_FIRST);
    }
}

provider_test! {
    async fn what_the_provider_leaves_out_of_a_profile_stays(app) {
        app.user_by_provider(person("ada@example.com")).await;
        let less = merged(person("ada@example.com"), json!({"name": null, "picture": "javascript:alert(1)"}));
        let ada = app.user_by_provider(less).await;
        let me = ada.get_json("/api/auth/me").await["user"].clone();
        assert_eq!(me["name"], "Person ada@example.com");
        assert_eq!(me["image"], "https://pictures.example/ada@example.com.png");
    }
}

provider_test! {
    async fn a_path_to_go_on_to_is_given_back_to_the_frontend(app) {
        let browser = app.anonymous();
        let login = browser.get_with("/api/slack/login", &[("next", "/folders/1?a=b&c=d")]).fetch().await;
        login.expect_status(302);
        let (code, state) = Provider::current().agree(login.header("location"), person("ada@example.com"));
        let reply = crate::harness::call_back(&browser, &code, &state).await;
        let location = url::Url::parse(reply.header("location")).unwrap();
        assert_eq!(location.origin().ascii_serialization(), FRONTEND);
        let next = location.query_pairs().find(|(name, _)| name == "next").unwrap().1.into_owned();
        assert_eq!(next, "/folders/1?a=b&c=d");
    }
}

provider_test! {
    async fn a_place_outside_the_frontend_is_no_path_to_go_on_to(app) {
        for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "x", "/a\nb"] {
            let reply = app.anonymous().get_with("/api/slack/login", &[("next", next)]).fetch().await;
            assert_field_error(&reply, "next");
            reply.expect_no_cookies();
        }
    }
}

provider_test! {
    async fn the_cookie_of_a_sign_in_is_for_the_way_back_only(app) {
        let browser = app.anonymous();
        let login = browser.get("/api/slack/login").fetch().await;
        let cookie = login.cookie("sign_in");
        assert_eq!(cookie.http_only(), Some(true));
        assert_eq!(cookie.path(), Some("/api/slack"));
        assert_eq!(cookie.same_site(), Some(actix_web::cookie::SameSite::Lax));
        let location = login.header("location");
        let query: Vec<_> = url::Url::parse(location).unwrap().query_pairs().into_owned().collect();
        for secret in ["state", "nonce"] {
            let value = &query.iter().find(|(name, _)| name == secret).unwrap().1;
            assert!(value.len() >= 43 && !cookie.value().contains(value), "{secret}: {value}");
        }
        let (code, state) = Provider::current().agree(location, person("ada@example.com"));
        let back = crate::harness::call_back(&browser, &code, &state).await;
        assert_eq!(back.cookie("sign_in").value(), "");
    }
}

provider_test! {
    async fn a_code_is_good_once(app) {
        let (_, code) = landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
        retrieve(&app.anonymous(), &code).await.expect_json(200);
        let again = retrieve(&app.anonymous(), &code).await;
        assert_error(&again, 404, BAD_CODE);
        again.expect_no_cookies();
    }
}

provider_test! {
    async fn of_parallel_exchanges_of_one_code_one_wins(app) {
        for round in 0..3 {
            let claims = person(&format!("ada{round}@example.com"));
            let (_, code) = landing_of(&sign_in(&app.anonymous(), claims).await);
            let client = app.anonymous();
            let replies = join_all((0..8).map(|_| retrieve(&client, &code))).await;
            let won = replies.iter().filter(|reply| reply.status == 200).count();
            assert_eq!(won, 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
            for reply in replies.iter().filter(|reply| reply.status != 200) {
                assert_error(reply, 404, BAD_CODE);
            }
        }
    }
}

provider_test! {
    async fn a_code_lives_five_minutes(app) {
        let (_, early) = landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
        let (_, late) = landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
        app.clock.advance(TimeDelta::minutes(4));
        retrieve(&app.anonymous(), &early).await.expect_json(200);
        app.clock.advance(TimeDelta::minutes(1));
        assert_error(&retrieve(&app.anonymous(), &late).await, 404, BAD_CODE);
        app.services.sweep(false).await.unwrap();
        for table in ["auth_codes", "used_states"] {
            app.clock.advance(TimeDelta::minutes(10));
            app.services.sweep(false).await.unwrap();
            let (left,): (i64,) =
                app.services.db.q_built(format!("SELECT COUNT(*) FROM {table}")).one().await.unwrap();
            assert_eq!(left, 0, "{table}");
        }
    }
}

provider_test! {
    async fn the_database_holds_no_code(app) {
        let (_, code) = landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
        let rows: Vec<(Vec<u8>,)> = app.services.db.q("SELECT code_hash FROM auth_codes").all().await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_ne!(rows[0].0, code.as_bytes());
        assert_eq!(rows[0].0.len(), 32);
    }
}

provider_test! {
    async fn an_account_with_a_password_is_not_given_away_by_its_address(app) {
        let ada = app.user("ada@example.com").await;
        let stranger = app.anonymous();
        let (page, code) = landing_of(&sign_in(&stranger, person("ADA@example.com")).await);
        assert_eq!(page, format!("{FRONTEND}/auth/auth_session"));
        let reply = retrieve(&stranger, &code).await;
        assert_error(&reply, 403, LINK_FIRST);
        reply.expect_no_cookies();
        // Nor to somebody else who is signed in.
        let eve = app.user("eve@example.com").await;
        assert_error(&retrieve(&eve, &code).await, 403, LINK_FIRST);
        // The owner signs in and tries again: the code is still good, and links the two.
        let reply = retrieve(&ada, &code).await;
        assert_eq!(reply.expect_json(200)["user"]["id"], ada.id);
        let by_provider = app.user_by_provider(person("ADA@example.com")).await;
        assert_eq!(by_provider.id, ada.id);
    }
}

provider_test! {
    async fn who_is_signed_in_links_the_account_by_signing_in_at_the_provider(app) {
        let ada = app.user("ada@example.com").await;
        let (_, code) = landing_of(&sign_in(&ada, person("ada@example.com")).await);
        retrieve(&app.anonymous(), &code).await.expect_json(200);
        let by_provider = app.user_by_provider(person("ada@example.com")).await;
        assert_eq!(by_provider.id, ada.id);
        let image = &by_provider.get_json("/api/auth/me").await["user"]["image"];
        assert_eq!(image, "https://pictures.example/ada@example.com.png");
    }
}

provider_test! {
    async fn an_account_belongs_to_one_person_at_the_provider(app) {
        let ada = app.user_by_provider(person("ada@example.com")).await;
        let other = merged(person("ada@example.com"), json!({"sub": "U-other"}));
        let message = "This account belongs to somebody else at the identity provider.";
        assert_error(&sign_in(&ada, other.clone()).await, 409, message);
        let (_, code) = landing_of(&sign_in(&app.anonymous(), other).await);
        assert_error(&retrieve(&ada, &code).await, 409, message);
    }
}

provider_test! {
    with |config| {
        config.slack.admins = vec!["U-root@example.com".to_owned()];
        config.slack.default_tier = "unverified".to_owned();
    }
    async fn who_is_on_the_list_becomes_an_administrator(app) {
        let root = app.user_by_provider(person("root@example.com")).await;
        let ada = app.user_by_provider(person("ada@example.com")).await;
        let users = root.get_json("/api/admin/users/").await;
        let facts: Vec<_> = users["results"].as_array().unwrap().iter()
            .map(|user| json!([user["email"], user["is_admin"], user["tier"], user["has_password"]])).collect();
        assert_eq!(json!(facts), json!([
            ["root@example.com", true, "unverified", false],
            ["ada@example.com", false, "unverified", false],
        ]));
        assert_error(&ada.get("/api/admin/users/").fetch().await, 403, "Only administrators may do this.");
        // Once, however often they sign in.
        app.user_by_provider(person("root@example.com")).await;
        let acts = root.get_json("/api/admin/audit/?kind=act").await;
        assert_eq!(acts["count"], 1);
        assert_eq!(acts["results"][0]["event"], "administrator_by_configuration");
        assert_eq!(acts["results"][0]["user"], root.id);
    }
}

provider_test! {
    async fn an_address_that_the_token_leaves_out_is_asked_for(app) {
        let bare = json!({"sub": "U-ada", "https://slack.com/team_id": crate::harness::TEAM});
        let provider = Provider::current();
        provider.tell(json!({"ok": true, "sub": "U-ada", "email": "ada@example.com", "email_verified": true, "name": "Ada"}));
        let ada = app.user_by_provider(bare.clone()).await;
        let me = ada.get_json("/api/auth/me").await["user"].clone();
        assert_eq!((&me["email"], &me["name"]), (&json!("ada@example.com"), &json!("Ada")));
        provider.tell(json!({"ok": true, "sub": "U-eve", "email": "eve@example.com", "email_verified": true}));
        let reply = sign_in(&app.anonymous(), bare).await;
        assert_error(&reply, 400, "The identity provider refused the sign-in.");
    }
}

provider_test! {
    async fn parallel_first_sign_ins_of_one_person_make_one_account(app) {
        let browsers: Vec<_> = (0..4).map(|_| app.anonymous()).collect();
        let replies = join_all(browsers.iter().map(|browser| sign_in(browser, person("ada@example.com")))).await;
        let mut ids = Vec::new();
        for reply in &replies {
            let (_, code) = landing_of(reply);
            ids.push(retrieve(&app.anonymous(), &code).await.expect_json(200)["user"]["id"].clone());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(app.services.db.list_users().await.unwrap().len(), 1);
    }
}

provider_test! {
    with |config| { config.server.frontend_origins = Vec::new(); }
    async fn without_a_frontend_people_land_on_this_server(app) {
        let (page, _) = landing_of(&sign_in(&app.anonymous(), person("ada@example.com")).await);
        assert_eq!(page, format!("{}/auth/set_new_password", crate::harness::PUBLIC_URL));
    }
}
