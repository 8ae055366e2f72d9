//! `GET /api/admin/audit/`: what was refused, and what administrators did.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Client, Fetch, assert_field_error, assert_time};

const AUDIT: &str = "/api/admin/audit/";

async fn rows(root: &Client, query: &str) -> Vec<Value> {
    root.get_json(&format!("{AUDIT}?{query}")).await["results"].as_array().unwrap().clone()
}

async fn fail_to_log_in(client: &Client) {
    let body = json!({"email": "ada@example.com", "password": "wrong"});
    client.post("/api/auth/login").json(&body).fetch().await.expect_status(401);
}

api_test! {
    async fn refusals_are_summed_by_network_and_route(app) {
        let root = app.admin("root@example.com").await;
        let (here, there) = (app.anonymous(), app.anonymous_from(2));
        for _ in 0..3 {
            fail_to_log_in(&here).await;
        }
        fail_to_log_in(&there).await;
        let ada = app.user("ada@example.com").await;
        ada.get(AUDIT).fetch().await.expect_status(403);
        let foreign = ada.post("/api/cdn/folders/").header("origin", "https://evil.example");
        foreign.json(&json!({"name": "x"})).fetch().await.expect_status(403);

        let sum = |rows: &[Value], event: &str, network: &str| -> i64 {
            let of = rows.iter().filter(|row| row["event"] == event && row["network"] == network);
            of.map(|row| row["times"].as_i64().unwrap()).sum()
        };
        let refusals = rows(&root, "kind=refusal").await;
        assert_eq!(sum(&refusals, "credentials_refused", "127.0.0.1"), 3);
        assert_eq!(sum(&refusals, "credentials_refused", "127.0.0.2"), 1);
        assert_eq!(sum(&refusals, "administration_refused", "127.0.0.1"), 1);
        assert_eq!(sum(&refusals, "cross_site_write_refused", "127.0.0.1"), 1);
        // A minute may have passed between them.
        assert!(refusals.len() <= 8, "{refusals:?}");
        let row = refusals.iter().find(|row| row["event"] == "cross_site_write_refused").unwrap();
        assert_eq!(row["route"], "/api/cdn/folders");
        assert_eq!((&row["kind"], &row["actor"], &row["user"]), (&json!("refusal"), &json!(null), &json!(null)));
        assert_time(&row["created_at"]);
        // Being read changes nothing.
        assert_eq!(rows(&root, "kind=refusal").await, refusals);
    }
}

api_test! {
    async fn what_administrators_do_is_kept_with_who_and_to_whom(app) {
        let root = app.admin("root@example.com").await;
        let ada = app.user("ada@example.com").await;
        let path = format!("/api/admin/users/{}/", ada.id);
        root.patch(&path).json(&json!({"tier": "unlimited", "is_active": true})).fetch().await.expect_json(200);
        // What changes nothing is no act.
        root.patch(&path).json(&json!({"tier": "unlimited"})).fetch().await.expect_json(200);
        root.post(&format!("{path}sign-out/")).fetch().await.expect_json(200);
        let page = root.get_json(&format!("{AUDIT}?kind=act")).await;
        assert_eq!(page["count"], 2);
        let (signed_out, changed) = (&page["results"][0], &page["results"][1]);
        assert_eq!(signed_out["event"], "user_signed_out");
        assert_eq!(signed_out["details"], json!({"api_keys_revoked": 0}));
        assert_eq!(changed["event"], "user_changed");
        assert_eq!(changed["details"], json!({"tier": {"from": "verified", "to": "unlimited"}}));
        assert_eq!((&changed["actor"], &changed["user"]), (&json!(root.id), &json!(ada.id)));
        assert_eq!(changed["network"], "127.0.0.1");
        assert_eq!(rows(&root, &format!("user={}", ada.id)).await.len(), 2);
        assert_eq!(rows(&root, "event=user_changed").await, std::slice::from_ref(changed));
        assert_eq!(rows(&root, "since=2100-01-01").await, [] as [Value; 0]);
    }
}

api_test! {
    async fn a_page_of_the_audit_with_a_bad_filter_is_400(app) {
        let root = app.admin("root@example.com").await;
        for (query, field) in [("kind=x", "kind"), ("user=x", "user"), ("since=x", "since"), ("event=%00", "event")] {
            assert_field_error(&root.get(&format!("{AUDIT}?{query}")).fetch().await, field);
        }
    }
}

api_test! {
    with |config| { config.audit.max_refusals = 5; }
    async fn an_attack_can_not_fill_the_audit(app) {
        let root = app.admin("root@example.com").await;
        root.patch(&format!("/api/admin/users/{}/", root.id)).json(&json!({"tier": "unlimited"})).fetch().await.expect_json(200);
        for last in 2..30 {
            fail_to_log_in(&app.anonymous_from(last)).await;
        }
        assert!(rows(&root, "kind=refusal&page_size=100").await.len() >= 28);
        app.services.sweep(false).await.unwrap();
        let left = root.get_json(&format!("{AUDIT}?kind=refusal")).await;
        assert_eq!(left["count"], 5);
        assert_eq!(left["results"].as_array().unwrap().len(), 5);
        // Acts are not pushed out by refusals.
        assert_eq!(rows(&root, "kind=act").await.len(), 1);
    }
}

api_test! {
    async fn what_is_older_than_its_retention_is_removed(app) {
        let root = app.admin("root@example.com").await;
        fail_to_log_in(&app.anonymous()).await;
        root.patch(&format!("/api/admin/users/{}/", root.id)).json(&json!({"tier": "unlimited"})).fetch().await.expect_json(200);
        assert_eq!(rows(&root, "").await.len(), 2);
        app.clock.advance(TimeDelta::days(181));
        app.services.sweep(false).await.unwrap();
        let root = app.login("root@example.com", crate::harness::PASSWORD).await;
        assert_eq!(rows(&root, "").await, [] as [Value; 0]);
    }
}
