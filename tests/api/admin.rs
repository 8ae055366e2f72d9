//! `/api/admin/`: users and figures, for administrators.

use futures_util::future::join;
use hackclub_cdn::db::{DbError, Tx};
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, PASSWORD, assert_error, assert_field_error, assert_refused, assert_time, picture, png,
};

const LAST: &str = "At least one active administrator must remain.";
const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";

async fn change(admin: &Client, user: i64, body: Value) -> crate::harness::Reply {
    admin.patch(&format!("/api/admin/users/{user}/")).json(&body).fetch().await
}

fn emails(page: &Value) -> Vec<&str> {
    page["results"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect()
}

api_test! {
    async fn users_are_listed_with_what_they_store(app) {
        let root = app.admin("root@example.com").await;
        let ada = app.user("ada@example.com").await;
        ada.upload("hello", "a.txt").await;
        let page = root.get_json("/api/admin/users/").await;
        assert_eq!(page["count"], 2);
        assert_eq!(emails(&page), ["root@example.com", "ada@example.com"]);
        let user = &page["results"][1];
        assert_eq!(user["id"], ada.id);
        assert_eq!(user["name"], "User ada@example.com");
        assert_eq!(user["tier"], "verified");
        assert_eq!((&user["is_active"], &user["is_admin"]), (&json!(true), &json!(false)));
        assert_eq!((&user["storage_used"], &user["files_count"]), (&json!(5), &json!(1)));
        assert_eq!(user["storage_limit"], 50_u64 << 30);
        assert_eq!(user["has_password"], true);
        assert_time(&user["created_at"]);
        assert_time(&user["last_seen_at"]);
        assert!(user.get("password_hash").is_none(), "{user}");
        let one = root.get_json(&format!("/api/admin/users/{}", ada.id)).await;
        assert_eq!(&one, user);
    }
}

api_test! {
    async fn users_are_found_by_any_part_of_name_or_address(app) {
        let root = app.admin("root@example.com").await;
        for email in ["ada@example.com", "grace@example.org", "100%@example.org"] {
            app.create_user(email, None).await;
        }
        for (search, found) in [
            ("ADA", vec!["ada@example.com"]),
            ("user g", vec!["grace@example.org"]),
            ("example.org", vec!["grace@example.org", "100%@example.org"]),
            ("0%", vec!["100%@example.org"]),
            ("_", vec![]),
            ("nobody", vec![]),
        ] {
            let reply = root.get_with("/api/admin/users/", &[("search", search)]).fetch().await;
            let page = reply.expect_json(200);
            assert_eq!(emails(&page), found, "{search}");
            assert_eq!(page["count"], found.len(), "{search}");
        }
        let page = root.get_json("/api/admin/users/?search=example.org&page_size=1").await;
        assert_eq!(emails(&page), ["grace@example.org"]);
        assert_eq!(page["next"], "http://cdn.example/api/admin/users/?search=example.org&page_size=1&page=2");
        assert_error(&root.get("/api/admin/users/?page=9").fetch().await, 404, "Invalid page.");
        assert_field_error(&root.get("/api/admin/users/?search=%00").fetch().await, "search");
    }
}

api_test! {
    async fn a_change_of_tier_and_rights_holds_at_once(app) {
        let root = app.admin("root@example.com").await;
        let ada = app.user("ada@example.com").await;
        let changed = change(&root, ada.id, json!({"tier": "unverified"})).await.expect_json(200);
        assert_eq!(changed["tier"], "unverified");
        assert_eq!(ada.get_json("/api/cdn/dashboard/").await["stats"]["quota_tier"], "unverified");
        let changed = change(&root, ada.id, json!({"is_admin": true})).await.expect_json(200);
        assert_eq!((&changed["is_admin"], &changed["tier"]), (&json!(true), &json!("unverified")));
        ada.get_json("/api/admin/stats/").await;
        change(&root, ada.id, json!({"is_admin": false})).await.expect_json(200);
        assert_refused(&ada.get("/api/admin/stats/").fetch().await, 403);
        assert_field_error(&change(&root, ada.id, json!({"tier": "gold"})).await, "tier");
        assert_field_error(&change(&root, ada.id, json!({"is_active": "no"})).await, "is_active");
    }
}

api_test! {
    async fn who_is_disabled_is_out_at_once_and_back_when_enabled(app) {
        let root = app.admin("root@example.com").await;
        let ada = app.user("ada@example.com").await;
        change(&root, ada.id, json!({"is_active": false})).await.expect_json(200);
        assert_error(&ada.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        change(&root, ada.id, json!({"is_active": true})).await.expect_json(200);
        assert_error(&ada.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        app.login("ada@example.com", PASSWORD).await;
    }
}

api_test! {
    async fn the_last_administrator_stays_one(app) {
        let root = app.admin("root@example.com").await;
        for body in [json!({"is_admin": false}), json!({"is_active": false}), json!({"is_admin": false, "tier": "unlimited"})] {
            assert_error(&change(&root, root.id, body).await, 409, LAST);
        }
        let user = root.get_json(&format!("/api/admin/users/{}/", root.id)).await;
        assert_eq!((&user["is_admin"], &user["is_active"], &user["tier"]), (&json!(true), &json!(true), &json!("verified")));
        let other = app.admin("other@example.com").await;
        change(&other, root.id, json!({"is_active": false})).await.expect_json(200);
        assert_error(&change(&other, other.id, json!({"is_admin": false})).await, 409, LAST);
    }
}

api_test! {
    async fn of_two_administrators_who_take_each_others_rights_one_stays(app) {
        let one = app.admin("one@example.com").await;
        let two = app.admin("two@example.com").await;
        for _ in 0..5 {
            let take = || json!({"is_admin": false});
            let (first, second) = join(change(&one, two.id, take()), change(&two, one.id, take())).await;
            let (winner, loser) = if first.status == 200 { (&one, &two) } else { (&two, &one) };
            let mut statuses = [first.status, second.status];
            statuses.sort_unstable();
            // The other came too late: as the last one's rights, or as somebody without any.
            assert!(statuses == [200, 403] || statuses == [200, 409], "{statuses:?}");
            change(winner, loser.id, json!({"is_admin": true})).await.expect_json(200);
        }
    }
}

api_test! {
    async fn signing_a_user_out_ends_their_sessions_and_if_asked_their_keys(app) {
        let root = app.admin("root@example.com").await;
        let ada = app.user("ada@example.com").await;
        let body = json!({"name": "k", "scopes": ["read"]});
        let made = ada.post("/api/cdn/api-keys/").json(&body).fetch().await.expect_json(201);
        let program = ada.with_token(made["key"].as_str().unwrap());
        let path = format!("/api/admin/users/{}/sign-out/", ada.id);
        let reply = root.post(&path).fetch().await;
        assert_eq!(reply.expect_json(200)["detail"], "The user has been signed out everywhere.");
        assert_error(&ada.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        assert_refused(&ada.post("/api/auth/refresh").fetch().await, 401);
        program.get_json("/api/auth/me").await;
        root.post(&format!("{path}?api_keys=true")).fetch().await.expect_json(200);
        assert_error(&program.get("/api/auth/me").fetch().await, 401, NO_CREDENTIALS);
        // An administrator who signs themselves out stays where they are.
        root.post(&format!("/api/admin/users/{}/sign-out", root.id)).fetch().await.expect_json(200);
        root.get_json("/api/auth/me").await;
    }
}

api_test! {
    async fn a_user_who_is_not_there_is_404(app) {
        let root = app.admin("root@example.com").await;
        for id in ["999999", "0", "-1", "x", "99999999999999999999"] {
            assert_error(&root.get(&format!("/api/admin/users/{id}/")).fetch().await, 404, "Not found.");
            let reply = root.patch(&format!("/api/admin/users/{id}/")).json(&json!({"is_active": true})).fetch().await;
            assert_error(&reply, 404, "Not found.");
            assert_error(&root.post(&format!("/api/admin/users/{id}/sign-out/")).fetch().await, 404, "Not found.");
        }
    }
}

api_test! {
    async fn figures_of_the_site_are_sums_over_all_accounts(app) {
        let root = app.admin("root@example.com").await;
        let ada = app.user("ada@example.com").await;
        ada.upload("hello", "a.txt").await;
        ada.upload(crate::harness::png(1), "b.png").await;
        root.upload("hello!", "c.txt").await;
        let gone = ada.upload("to the trash", "d.txt").await;
        ada.trash_file(&gone).await;
        let stats = root.get_json("/api/admin/stats").await;
        let png = crate::harness::png(1).len();
        assert_eq!((&stats["users"], &stats["files"], &stats["trash_items"]), (&json!(2), &json!(3), &json!(1)));
        assert_eq!(stats["storage_used"], 5 + 6 + 12 + png);
        let images = stats["files_by_kind"].as_array().unwrap().iter().find(|kind| kind["kind"] == "images").unwrap();
        assert_eq!((&images["files"], &images["size"]), (&json!(1), &json!(png)));
    }
}

api_test! {
    async fn a_total_that_is_wrong_is_found_and_put_right(app) {
        let root = app.admin("root@example.com").await;
        let change = async |tx: &mut Tx| tx.q("UPDATE site_totals SET total = total + 7").exec().await;
        app.services.db.write::<_, _, DbError>(change).await.unwrap();
        let found = app.check().await;
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.contains(&"total of users: kept 8, counted 1".to_owned()), "{found:?}");
        let report = app.services.check(true).await.unwrap();
        assert!(report.is_clean() && report.repaired == 3, "{report:?}");
        assert_eq!(root.get_json("/api/admin/users/").await["count"], 1);
    }
}

api_test! {
    async fn everybodys_jobs_are_counted_and_the_failed_ones_are_listed(app) {
        let root = app.admin("root@example.com").await;
        let ada = app.user("ada@example.com").await;
        ada.upload(picture(1, 8, 8), "a.png").await;
        let broken = ada.upload(png(2), "b.png").await;
        app.drain_jobs().await;
        ada.upload(picture(3, 8, 8), "c.png").await;
        let page = root.get_json("/api/admin/jobs/").await;
        assert_eq!(page["counts"], json!({"pending": 1, "processing": 0, "completed": 1, "failed": 1}));
        assert_eq!(page["count"], 1);
        let job = &page["results"][0];
        assert_eq!((&job["file"], &job["owner"], &job["status"]), (&broken["id"], &json!(ada.id), &json!("failed")));
        assert!(job["error_message"].as_str().is_some_and(|message| !message.is_empty()), "{job}");
        assert_time(&job["created_at"]);
        let waiting = root.get_json("/api/admin/jobs/?status=pending&page_size=1").await;
        assert_eq!((&waiting["count"], &waiting["results"][0]["attempts"]), (&json!(1), &json!(0)));
        let reply = root.get("/api/admin/jobs/?status=lost").fetch().await;
        assert_error(&reply, 400, "Not valid: expected pending, processing, completed or failed.");
        assert_refused(&ada.get("/api/admin/jobs/").fetch().await, 403);
    }
}
