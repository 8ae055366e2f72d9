//! `/api/cdn/shares/`: made, listed, shown, changed and ended.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    Fetch, assert_error, assert_field_error, assert_profile, assert_refused, assert_time, id_of, merged,
    noise, registration, share_path,
};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const FORBIDDEN: &str = "You do not have permission to perform this action.";

/// Every field of the contract's section 3 with its type.
fn assert_share(share: &Value) {
    assert_profile(&share["owner_detail"]);
    assert_eq!(share["owner"], share["owner_detail"]["id"], "{share}");
    for field in [
        "is_public",
        "password_protected",
        "allow_download",
        "allow_preview",
        "is_expired",
        "can_download",
        "allow_upload",
    ] {
        assert!(share[field].is_boolean(), "{field}: {share}");
    }
    for field in ["download_count", "access_logs_count", "uploads_count"] {
        assert!(share[field].is_u64(), "{field}: {share}");
    }
    for field in ["public_token", "expires_at", "download_limit", "max_files", "max_size"] {
        assert!(share.get(field).is_some(), "{field}: {share}");
    }
    assert_time(&share["created_at"]);
    assert_time(&share["updated_at"]);
    let detail = &share["resource_detail"];
    assert_eq!(detail["id"], share["resource_id"], "{share}");
    let fields = match share["resource_type"].as_str() {
        Some("file") => ["filename", "file_size", "mime_type", "thumbnail_url"].as_slice(),
        Some("folder") => &["name", "path", "files_count"],
        other => panic!("{other:?}"),
    };
    assert!(fields.iter().all(|field| detail.get(*field).is_some()), "{share}");
}

api_test! {
    async fn a_share_of_nothing_but_the_thing_has_careful_defaults(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let folder = ada.create_folder("folder", None).await;
        ada.register_in(&folder, "b.txt").await;
        let share = ada.share("file", &file, json!({})).await;
        assert_share(&share);
        let expected = json!({
            "resource_type": "file", "resource_id": file["id"], "owner": ada.id, "permission_level": "view", "is_public": false,
            "public_token": null, "password_protected": false, "expires_at": null, "allow_download": true, "allow_preview": true,
            "download_limit": null, "download_count": 0, "is_expired": false, "can_download": true, "access_logs_count": 0,
            "allow_upload": false, "max_files": null, "max_size": null, "uploads_count": 0,
        });
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&share[field], value, "{field}");
        }
        let detail = json!({"id": file["id"], "filename": "a.bin", "file_size": 100, "mime_type": file["mime_type"], "thumbnail_url": null});
        assert_eq!(share["resource_detail"], detail);
        let share = ada.share("folder", &folder, json!({})).await;
        assert_share(&share);
        assert_eq!(share["resource_detail"], json!({"id": folder["id"], "name": "folder", "path": "Root/folder", "files_count": 1}));
    }
}

api_test! {
    async fn what_is_asked_for_is_what_is_kept(app) {
        let ada = app.user("ada@example.com").await;
        app.user("bob@example.com").await;
        app.user("eve@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let ends = "2199-01-02T03:04:05.678901Z";
        let wanted = json!({
            "permission_level": "edit", "is_public": true, "expires_at": ends, "allow_download": false, "allow_preview": false,
            "download_limit": 7, "allow_upload": true, "max_files": 3, "max_size": 1000,
        });
        let people = json!({
            "password": "open sesame",
            "shared_users": [{"user_email": "bob@example.com"}, {"user_email": {"username": "EVE@example.com"}, "permission_level": "admin"}],
        });
        let share = ada.share("folder", &folder, merged(wanted.clone(), people)).await;
        assert_share(&share);
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(&share[field], value, "{field}");
        }
        assert_eq!((&share["password_protected"], &share["can_download"]), (&json!(true), &json!(false)));
        assert!(!share.to_string().contains("sesame") && !share.to_string().contains("argon2"), "{share}");
        let token = share["public_token"].as_str().expect("a token");
        assert!(token.len() >= 22 && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{token}");
        assert_eq!(ada.shown_share(&share).await, share);
        let users = ada.get_json(&share_path(&share, "shared_users")).await;
        let levels: Vec<_> = users.as_array().unwrap().iter().map(|user| (user["username"].clone(), user["permission_level"].clone())).collect();
        assert_eq!(levels, [(json!("bob@example.com"), json!("edit")), (json!("eve@example.com"), json!("admin"))]);
    }
}

api_test! {
    async fn a_share_that_makes_no_sense_is_refused_and_nothing_is_made(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let past = (Utc::now() - TimeDelta::seconds(1)).to_rfc3339();
        for (more, field) in [
            (json!({"resource_type": null}), "resource_type"),
            (json!({"resource_type": "user"}), "resource_type"),
            (json!({"resource_id": null}), "resource_id"),
            (json!({"permission_level": "owner"}), "permission_level"),
            (json!({"permission_level": 4}), "permission_level"),
            (json!({"is_public": "yes"}), "is_public"),
            (json!({"expires_at": past}), "expires_at"),
            (json!({"expires_at": "tomorrow"}), "expires_at"),
            (json!({"download_limit": 0}), "download_limit"),
            (json!({"download_limit": -1}), "download_limit"),
            (json!({"download_limit": 1.5}), "download_limit"),
            (json!({"max_files": 0}), "max_files"),
            (json!({"max_size": 0}), "max_size"),
            (json!({"allow_upload": true}), "allow_upload"),
            (json!({"password": 12}), "password"),
            (json!({"password": "x".repeat(2000)}), "password"),
            (json!({"shared_users": [{"permission_level": "view"}]}), "user_email"),
            (json!({"shared_users": [{"user_email": "ada@example.com"}]}), "user_email"),
            (json!({"shared_users": "bob@example.com"}), "shared_users"),
        ] {
            assert_field_error(&ada.try_share("file", &file, more).await, field);
        }
        app.user("bob@example.com").await;
        for unknown in ["nobody@example.com", "no address", "x@y@z"] {
            let people = json!([{"user_email": "bob@example.com"}, {"user_email": unknown}]);
            let reply = ada.try_share("file", &file, json!({"shared_users": people})).await;
            assert_error(&reply, 404, "User not found");
        }
        assert_eq!(ada.shares().await, [] as [Value; 0]);
        assert_eq!(ada.get_json("/api/cdn/activity/?action_type=share").await["count"], 0);
    }
}

api_test! {
    async fn only_what_is_ones_own_or_was_given_as_admin_can_be_shared(app) {
        let (ada, bob, eve) = (app.user("ada@example.com").await, app.user("bob@example.com").await, app.user("eve@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let folder = ada.create_folder("folder", None).await;
        for thing in [json!({"id": UNKNOWN_ID}), json!({"id": "no-uuid"}), file.clone(), json!({"id": folder["id"]})] {
            assert_error(&bob.try_share("file", &thing, json!({})).await, 404, "Not found.");
        }
        assert_error(&ada.try_share("folder", &file, json!({})).await, 404, "Not found.");
        let share = ada.give("file", &file, &bob, "edit").await;
        assert_error(&bob.try_share("file", &file, json!({})).await, 404, "Not found.");
        ada.try_add_user(&share, json!({"user_email": bob.email, "permission_level": "admin"})).await.expect_json(200);
        // A grant of one's own making would outlive the one that allowed it.
        assert_field_error(&bob.try_share("file", &file, json!({"shared_users": [{"user_email": bob.email}]})).await, "user_email");
        let on = bob.give("file", &file, &eve, "download").await;
        assert_eq!((&on["owner"], &on["permission_level"]), (&json!(ada.id), &json!("download")));
        eve.file(&file["id"]).await.expect_json(200);
        // The owner knows of it, and may end it.
        assert_eq!(ada.shares().await[0], on);
        ada.remove(&share_path(&on, "")).await;
        assert_error(&eve.file(&file["id"]).await, 404, "Not found.");
    }
}

api_test! {
    async fn the_list_has_what_one_shares_and_was_given_newest_first(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let folder = bob.create_folder("folder", None).await;
        let first = ada.give("file", &file, &bob, "download").await;
        let second = bob.give("folder", &folder, &ada, "view").await;
        let third = ada.share_by_link("file", &file, json!({})).await;
        let ids = |shares: &[Value]| shares.iter().map(|share| share["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&ada.shares().await), [third["id"].clone(), second["id"].clone(), first["id"].clone()]);
        assert_eq!(ids(&bob.shares().await), [second["id"].clone(), first["id"].clone()]);
        for share in ada.shares().await.iter().chain(&bob.shares().await) {
            assert_share(share);
        }
        let page = ada.get_json("/api/cdn/shares/?page=2&page_size=2").await;
        assert_eq!((&page["count"], ids(page["results"].as_array().unwrap())), (&json!(3), vec![first["id"].clone()]));
        assert_error(&ada.get("/api/cdn/shares/?page=3&page_size=2").fetch().await, 404, "Invalid page.");
    }
}

api_test! {
    async fn only_owners_and_admins_see_the_token(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.share_by_link("file", &file, json!({"shared_users": [{"user_email": bob.email}]})).await;
        let token = share["public_token"].clone();
        for level in ["view", "download", "edit"] {
            ada.try_add_user(&share, json!({"user_email": bob.email, "permission_level": level})).await.expect_json(200);
            assert_eq!(bob.shares().await[0]["public_token"], Value::Null, "{level}");
            assert!(!bob.try_share_status("file", &file).await.text().contains(token.as_str().unwrap()), "{level}");
            for call in ["", "shared_users", "access_logs"] {
                assert_error(&bob.get(&share_path(&share, call)).fetch().await, 403, FORBIDDEN);
            }
            assert_error(&bob.patch_share(&share, json!({"permission_level": "admin"})).await, 403, FORBIDDEN);
            let raise = json!({"user_email": bob.email, "permission_level": "admin"});
            assert_error(&bob.try_add_user(&share, raise).await, 403, FORBIDDEN);
            assert_error(&bob.try_remove_user(&share, "ada@example.com").await, 403, FORBIDDEN);
            assert_error(&bob.delete(&share_path(&share, "")).fetch().await, 403, FORBIDDEN);
        }
        ada.try_add_user(&share, json!({"user_email": bob.email, "permission_level": "admin"})).await.expect_json(200);
        assert_eq!(bob.shown_share(&share).await["public_token"], token);
        assert_eq!(bob.shares().await[0]["public_token"], token);
    }
}

api_test! {
    async fn a_change_changes_what_it_names_and_null_clears(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let limits = json!({"expires_at": "2199-01-01T00:00:00Z", "download_limit": 5, "password": "secret"});
        let share = ada.share_by_link("file", &file, limits).await;
        for (change, field, value) in [
            (json!({"permission_level": "download"}), "permission_level", json!("download")),
            (json!({"allow_download": false}), "allow_download", json!(false)),
            (json!({"allow_preview": false}), "allow_preview", json!(false)),
            (json!({"download_limit": 9}), "download_limit", json!(9)),
            (json!({"download_limit": null}), "download_limit", Value::Null),
            (json!({"expires_at": null}), "expires_at", Value::Null),
            (json!({"password": null}), "password_protected", json!(false)),
            (json!({"password": "again"}), "password_protected", json!(true)),
            (json!({"password": ""}), "password_protected", json!(false)),
            (json!({"is_public": false}), "public_token", Value::Null),
            (json!({"is_public": true}), "public_token", share["public_token"].clone()),
            // What is shared is not to be changed.
            (json!({"resource_id": UNKNOWN_ID, "owner": 1, "download_count": 3}), "resource_id", file["id"].clone()),
        ] {
            let before = ada.shown_share(&share).await;
            let after = ada.patch_share(&share, change.clone()).await.expect_json(200);
            assert_share(&after);
            assert_eq!(after[field], value, "{change}");
            for other in ["permission_level", "is_public", "expires_at", "allow_download", "allow_preview", "download_limit", "password_protected", "download_count"] {
                let follows = field == other || (field == "public_token" && other == "is_public");
                assert!(follows || after[other] == before[other], "{other} after {change}");
            }
        }
        let put = ada.put(&share_path(&share, "")).json(&json!({"allow_preview": true})).fetch().await.expect_json(200);
        assert_eq!((&put["allow_preview"], &put["allow_download"]), (&json!(true), &json!(false)));
        for (change, field) in [
            (json!({"download_limit": 0}), "download_limit"), (json!({"permission_level": "root"}), "permission_level"),
            (json!({"expires_at": "2020-01-01T00:00:00Z"}), "expires_at"), (json!({"allow_upload": true}), "allow_upload"),
        ] {
            assert_field_error(&ada.patch_share(&share, change).await, field);
        }
        assert!(time(&put["updated_at"]) > time(&share["updated_at"]));
    }
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

api_test! {
    async fn a_rotated_token_ends_the_old_link(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let rotated = ada.patch_share(&share, json!({"rotate_token": true})).await.expect_json(200);
        assert_ne!(rotated["public_token"], share["public_token"]);
        let visitor = app.anonymous();
        assert_error(&visitor.open_link(&share, "").await, 404, "Invalid token");
        assert_error(&visitor.download_by_link(&share, "").fetch().await, 404, "Invalid token");
        visitor.open_link(&rotated, "").await.expect_json(200);
        let kept = ada.patch_share(&share, json!({"rotate_token": false})).await.expect_json(200);
        assert_eq!(kept["public_token"], rotated["public_token"]);
    }
}

api_test! {
    async fn an_ended_share_is_gone(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        ada.remove(&share_path(&share, "")).await;
        assert_error(&ada.delete(&share_path(&share, "")).fetch().await, 404, "Not found.");
        assert_error(&ada.get(&share_path(&share, "")).fetch().await, 404, "Not found.");
        assert_error(&app.anonymous().open_link(&share, "").await, 404, "Invalid token");
        ada.file(&file["id"]).await.expect_json(200);
        for id in [UNKNOWN_ID, "no-uuid"] {
            assert_refused(&ada.get(&format!("/api/cdn/shares/{id}/")).fetch().await, 404);
        }
    }
}

api_test! {
    async fn sharing_is_an_activity_of_who_shares(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.give("file", &file, &bob, "view").await;
        ada.try_add_user(&share, json!({"user_email": bob.email, "permission_level": "edit"})).await.expect_json(200);
        let rows = ada.get_json("/api/cdn/activity/?action_type=share").await;
        assert_eq!(rows["count"], 2);
        for row in rows["results"].as_array().unwrap() {
            assert_eq!((&row["resource_id"], &row["resource_name"]), (&file["id"], &json!("a.txt")));
            assert_eq!((&row["metadata"]["share"], &row["metadata"]["shared_with"]), (&share["id"], &json!([bob.email])));
        }
        assert_eq!(ada.get_json("/api/cdn/dashboard/").await["recent_activity"][0]["action_type"], "share");
        assert_eq!(bob.get_json("/api/cdn/activity/").await["count"], 0);
        assert!(!id_of(&share).is_empty());
    }
}
