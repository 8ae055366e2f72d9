//! The people of a share, its status for each of them, and its access log.

use serde_json::{Value, json};

use crate::harness::{
    Fetch, assert_error, assert_field_error, assert_profile, assert_refused, assert_time, id_of, noise,
    registration, share_path,
};

const NO_ACCESS: &str = "User doesn't have access to this share!";

api_test! {
    async fn people_are_added_given_another_level_and_removed(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.share("file", &file, json!({"permission_level": "download"})).await;
        let list = async || ada.get_json(&share_path(&share, "shared_users")).await;
        assert_eq!(list().await, json!([]));
        let answer = |message: &str, level: &str| json!({"message": message, "user_email": "bob@example.com", "permission_level": level});
        let added = ada.try_add_user(&share, json!({"user_email": "Bob@Example.com"})).await.expect_json(200);
        assert_eq!(added, answer("User added", "download"));
        let changed = ada.try_add_user(&share, json!({"user_email": bob.email, "permission_level": "edit"})).await.expect_json(200);
        assert_eq!(changed, answer("Permission updated", "edit"));
        assert_eq!(list().await, json!([{"user_id": bob.id, "username": "bob@example.com", "permission_level": "edit"}]));
        ada.remove_user(&share, "BOB@example.com").await;
        assert_eq!(list().await, json!([]));
        for email in ["bob@example.com", "nobody@example.com", "no address", "ada@example.com"] {
            assert_error(&ada.try_remove_user(&share, email).await, 400, NO_ACCESS);
        }
        assert_refused(&ada.try_remove_user(&share, "").await, 400);
        for (body, field) in [(json!({}), "user_email"), (json!({"user_email": ""}), "user_email"), (json!({"user_email": bob.email, "permission_level": "all"}), "permission_level"), (json!({"user_email": ada.email}), "user_email")] {
            assert_field_error(&ada.try_add_user(&share, body).await, field);
        }
        assert_error(&ada.try_add_user(&share, json!({"user_email": "nobody@example.com"})).await, 404, "User not found");
        assert_eq!(list().await, json!([]));
    }
}

api_test! {
    async fn the_status_of_a_thing_shows_each_what_concerns_them(app) {
        let (ada, bob, eve) = (app.user("ada@example.com").await, app.user("bob@example.com").await, app.user("eve@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        assert_eq!(ada.try_share_status("file", &file).await.expect_json(200), json!([]));
        let link = ada.share_by_link("file", &file, json!({"password": "x", "expires_at": "2199-01-01T00:00:00Z"})).await;
        let given = ada.give("file", &file, &bob, "edit").await;
        let owners = ada.try_share_status("file", &file).await.expect_json(200);
        assert_eq!(owners, json!([
            {"share_id": link["id"], "owner": "ada@example.com", "is_public": true, "public_token": link["public_token"],
             "expires_at": "2199-01-01T00:00:00.000000Z", "password_protected": true, "your_permission": null, "shared_with": []},
            {"share_id": given["id"], "owner": "ada@example.com", "is_public": false, "public_token": null, "expires_at": null,
             "password_protected": false, "your_permission": null,
             "shared_with": [{"user_id": bob.id, "username": "bob@example.com", "permission_level": "edit"}]},
        ]));
        let bobs = bob.try_share_status("file", &file).await.expect_json(200);
        assert_eq!(bobs, json!([
            {"share_id": given["id"], "owner": "ada@example.com", "is_public": false, "public_token": null, "expires_at": null,
             "password_protected": false, "your_permission": "edit", "shared_with": []},
        ]));
        assert_error(&eve.try_share_status("file", &file).await, 404, "Not found.");
        ada.try_add_user(&given, json!({"user_email": bob.email, "permission_level": "admin"})).await.expect_json(200);
        let bobs = bob.try_share_status("file", &file).await.expect_json(200);
        assert_eq!((&bobs[0]["public_token"], &bobs[1]["your_permission"]), (&link["public_token"], &json!("admin")));
        assert_eq!(bobs[1]["shared_with"].as_array().unwrap().len(), 1);
        for query in ["", "?resource_type=file", "?resource_type=user&resource_id=1", "?resource_type=file&resource_id=1"] {
            assert_refused(&ada.get(&format!("/api/cdn/shares/status/{query}")).fetch().await, 400);
        }
        assert_error(&ada.try_share_status("folder", &file).await, 404, "Not found.");
    }
}

api_test! {
    async fn the_access_log_says_who_came_by_the_link(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        app.anonymous().open_link(&share, "").await.expect_json(200);
        bob.open_link(&share, "").await.expect_json(200);
        bob.download_by_link(&share, "").header("user-agent", "Tester/1").fetch().await.expect_status(200);
        let page = ada.get_json(&share_path(&share, "access_logs")).await;
        assert_eq!(page["count"], 3);
        let logs = page["results"].as_array().unwrap();
        let seen: Vec<_> = logs.iter().map(|log| (log["access_type"].as_str().unwrap(), log["accessed_by_user"].clone())).collect();
        assert_eq!(seen, [("download", json!(bob.id)), ("view", json!(bob.id)), ("view", Value::Null)]);
        for log in logs {
            assert_eq!((&log["share"], &log["ip_address"]), (&share["id"], &json!("127.0.0.1")));
            assert_time(&log["accessed_at"]);
            assert!(id_of(log).len() == 36 && log["user_agent"].is_string(), "{log}");
        }
        assert_profile(&logs[0]["accessed_by_detail"]);
        assert_eq!((&logs[0]["user_agent"], &logs[2]["accessed_by_detail"]), (&json!("Tester/1"), &Value::Null));
        let shown = ada.shown_share(&share).await;
        assert_eq!((&shown["access_logs_count"], &shown["download_count"]), (&json!(3), &json!(1)));
        let second = ada.get_json(&format!("{}?page=2&page_size=2", share_path(&share, "access_logs"))).await;
        assert_eq!(second["results"][0], logs[2]);
    }
}
