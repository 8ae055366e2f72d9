//! What a level permits on a thing and on all below it, and what nobody is shown who was not given it.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Form, assert_error, assert_file, assert_refused, id_of, merged, names_of, noise,
    registration, set_tier,
};

const FORBIDDEN: &str = "You do not have permission to perform this action.";

async fn refused_bulk(client: &Client, action: &str, items: &[(&str, &Value)]) -> Vec<u64> {
    let answer = client.bulk(action, items).await;
    answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

api_test! {
    async fn the_highest_of_several_grants_counts(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let top = ada.create_folder("top", None).await;
        let low = ada.create_folder("low", Some(&top)).await;
        let file = ada.register_in(&low, "a.txt").await;
        ada.give("folder", &top, &bob, "view").await;
        assert_error(&bob.patch_file(&file, json!({"filename": "b.txt"})).await, 403, FORBIDDEN);
        let edit = ada.give("file", &file, &bob, "edit").await;
        bob.patch_file(&file, json!({"filename": "b.txt"})).await.expect_json(200);
        assert_error(&bob.patch_folder(&low, json!({"name": "lower"})).await, 403, FORBIDDEN);
        ada.give("folder", &low, &bob, "admin").await;
        bob.patch_folder(&low, json!({"name": "lower"})).await.expect_json(200);
        ada.remove_user(&edit, &bob.email).await;
        bob.trash_file(&file).await;
        assert_error(&bob.patch_folder(&top, json!({"name": "upper"})).await, 403, FORBIDDEN);
    }
}

api_test! {
    async fn what_was_taken_back_is_gone_with_the_next_request(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.give("file", &file, &bob, "admin").await;
        bob.file(&file["id"]).await.expect_json(200);
        ada.remove_user(&share, &bob.email).await;
        assert_error(&bob.file(&file["id"]).await, 404, "Not found.");
        assert_eq!(bob.shares().await, [] as [Value; 0]);
        let added = ada.try_add_user(&share, json!({"user_email": bob.email})).await.expect_json(200);
        assert_eq!(added, json!({"message": "User added", "user_email": "bob@example.com", "permission_level": "admin"}));
        bob.file(&file["id"]).await.expect_json(200);
        ada.remove(&crate::harness::share_path(&share, "")).await;
        assert_error(&bob.file(&file["id"]).await, 404, "Not found.");
    }
}

api_test! {
    async fn an_expired_share_gives_nothing(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register_in(&folder, "a.txt").await;
        let share = ada.give("folder", &folder, &bob, "edit").await;
        let ends = (Utc::now() + TimeDelta::minutes(10)).to_rfc3339();
        assert_eq!(ada.patch_share(&share, json!({"expires_at": ends})).await.expect_json(200)["is_expired"], false);
        app.clock.advance(TimeDelta::minutes(9));
        bob.file(&file["id"]).await.expect_json(200);
        assert_eq!(bob.shares().await.len(), 1);
        app.clock.advance(TimeDelta::minutes(1));
        assert_error(&bob.file(&file["id"]).await, 404, "Not found.");
        assert_error(&bob.try_register(&merged(registration("b.txt"), json!({"folder_id": folder["id"]}))).await, 404, "Not found.");
        assert_eq!(bob.get_json("/api/cdn/folders/").await["count"], 0);
        assert_eq!(bob.shares().await, [] as [Value; 0]);
        let own = ada.shares().await;
        assert_eq!((&own[0]["is_expired"], &own[0]["can_download"]), (&json!(true), &json!(false)));
        ada.patch_share(&share, json!({"expires_at": null})).await.expect_json(200);
        bob.file(&file["id"]).await.expect_json(200);
    }
}

api_test! {
    async fn what_is_put_into_a_shared_folder_is_its_owners_and_the_deed_is_the_doers(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let folder = ada.create_folder("folder", None).await;
        ada.give("folder", &folder, &bob, "edit").await;
        let registered = bob.register_in(&folder, "registered.txt").await;
        let uploaded = bob.upload_to(&folder, noise(1, 500), "uploaded.bin").await;
        // The folder after the file: by then the bytes are there already.
        let late = Form::new().file("late.bin", &noise(2, 300)).field("folder_id", id_of(&folder));
        let late = late.on(bob.post("/api/cdn/uploads/")).fetch().await.expect_json(201);
        let version = bob.add_version(&uploaded, noise(3, 700)).await;
        let made = bob.try_create_folder("made", Some(&folder)).await.expect_json(201);
        for thing in [&registered, &uploaded, &late, &version, &made] {
            assert_eq!((&thing["owner"], &thing["owner_detail"]["email"]), (&json!(ada.id), &json!(ada.email)), "{thing}");
        }
        assert_eq!(version["versions"][0]["created_by"], json!(bob.id));
        assert_eq!((ada.used_bytes().await, bob.used_bytes().await), (1000 + 500 + 300 + 700, 0));
        assert_eq!(names_of(&ada.contents(&folder).await["files"]), ["late.bin", "registered.txt", "uploaded.bin"]);
        assert_eq!(ada.stats().await["total_files"], 3);
        assert_eq!(bob.stats().await["total_files"], 0);
        let uploads = async |client: &Client| client.get_json("/api/cdn/activity/?action_type=upload").await["count"].clone();
        assert_eq!((uploads(&ada).await, uploads(&bob).await), (json!(0), json!(4)));
    }
}

api_test! {
    with |config| { set_tier(config, "small", 400, 1000); }
    async fn the_owners_quota_and_the_owners_tier_decide(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let bob = app.user("bob@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        ada.give("folder", &folder, &bob, "edit").await;
        let path = format!("/api/cdn/uploads/a.bin?folder_id={}", id_of(&folder));
        assert_error(&bob.put(&path).body(noise(1, 401)).fetch().await, 413, "File too large");
        let late = Form::new().file("late.bin", &noise(2, 401)).field("folder_id", id_of(&folder));
        assert_error(&late.on(bob.post("/api/cdn/uploads/")).fetch().await, 413, "File too large");
        bob.upload_to(&folder, noise(3, 400), "a.bin").await;
        bob.upload_to(&folder, noise(4, 400), "b.bin").await;
        let reply = bob.put(&path).body(noise(5, 201)).fetch().await;
        assert_eq!(assert_error(&reply, 402, "Storage quota exceeded")["quota"]["storage_used"], 800);
        let late = Form::new().file("late.bin", &noise(6, 201)).field("folder_id", id_of(&folder));
        assert_error(&late.on(bob.post("/api/cdn/uploads/")).fetch().await, 402, "Storage quota exceeded");
        bob.upload(noise(7, 5000), "own.bin").await;
        assert_eq!((ada.used_bytes().await, bob.used_bytes().await), (800, 5000));
    }
}

api_test! {
    async fn nothing_can_be_moved_out_of_what_was_shared(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let shared = ada.create_folder("shared", None).await;
        let inner = ada.create_folder("inner", Some(&shared)).await;
        let file = ada.register_in(&shared, "a.txt").await;
        let single = ada.register(&registration("single.txt")).await;
        let other = ada.create_folder("other", None).await;
        let hidden = ada.create_folder("hidden", None).await;
        let own = bob.create_folder("own", None).await;
        let mine = bob.register(&registration("mine.txt")).await;
        ada.give("folder", &shared, &bob, "admin").await;
        ada.give("folder", &other, &bob, "edit").await;
        ada.give("file", &single, &bob, "admin").await;
        // Inside it, anything.
        bob.patch_file(&file, json!({"folder": inner["id"]})).await.expect_json(200);
        bob.patch_file(&file, json!({"folder": shared["id"]})).await.expect_json(200);
        for (target, status) in [(json!(null), 403), (own["id"].clone(), 403), (other["id"].clone(), 403), (hidden["id"].clone(), 404)] {
            assert_refused(&bob.patch_file(&file, json!({"folder": target})).await, status);
            assert_refused(&bob.patch_folder(&inner, json!({"parent": target})).await, status);
            assert_refused(&bob.patch_file(&single, json!({"folder": target})).await, status);
            assert_refused(&bob.patch_folder(&shared, json!({"parent": target})).await, status);
        }
        assert_refused(&bob.patch_file(&mine, json!({"folder": shared["id"]})).await, 403);
        assert_refused(&bob.patch_folder(&own, json!({"parent": shared["id"]})).await, 403);
        let body = json!({"action": "move", "target": null, "items": [{"type": "file", "id": file["id"]}, {"type": "file", "id": mine["id"]}]});
        let answer = bob.try_bulk(&body).await.expect_json(200);
        assert_eq!((&answer["results"][0]["status"], &answer["results"][1]["status"]), (&json!(403), &json!(200)));
        // Only its owner may.
        ada.patch_file(&file, json!({"folder": null})).await.expect_json(200);
        assert_error(&bob.file(&file["id"]).await, 404, "Not found.");
    }
}

api_test! {
    async fn nothing_above_what_was_shared_is_shown(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let secret = ada.create_folder("secret plans", None).await;
        let shared = ada.create_folder("shared", Some(&secret)).await;
        let inner = ada.create_folder("inner", Some(&shared)).await;
        let file = ada.register_in(&inner, "a.txt").await;
        let single = ada.register_in(&secret, "single.txt").await;
        ada.give("folder", &shared, &bob, "admin").await;
        ada.give("file", &single, &bob, "admin").await;
        let shown = bob.file(&file["id"]).await.expect_json(200);
        assert_file(&shown);
        assert_eq!((&shown["storage_path"], &shown["folder_detail"]["full_path"]), (&json!("shared/inner/a.txt"), &json!("shared/inner")));
        let shown = bob.folder(&shared["id"]).await.expect_json(200);
        assert_eq!(shown["full_path"], "shared");
        assert_error(&bob.folder(&secret["id"]).await, 404, "Not found.");
        let shown = bob.file(&single["id"]).await.expect_json(200);
        assert_file(&shown);
        assert_eq!(shown["storage_path"], "single.txt");
        let mut told = vec![shown, bob.contents(&shared).await, bob.get_json("/api/cdn/folders/").await, bob.get_json("/api/cdn/shares/").await];
        told.push(bob.get_json("/api/cdn/search/?q=single").await);
        told.push(bob.patch_folder(&inner, json!({"name": "renamed"})).await.expect_json(200));
        told.push(bob.try_create_folder("new", Some(&inner)).await.expect_json(201));
        bob.patch_file(&file, json!({"folder": shared["id"]})).await.expect_json(200);
        bob.trash_folder(&inner).await;
        bob.trash_file(&file).await;
        told.push(bob.get_json("/api/cdn/activity/").await);
        for answer in told {
            assert!(!answer.to_string().contains("secret"), "{answer}");
        }
        assert_eq!(ada.item_of(&inner).await["original_path"], "Root/secret plans/shared/renamed");
    }
}

api_test! {
    async fn whoever_may_only_look_is_shown_no_way_to_the_bytes(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let folder = ada.create_folder("folder", None).await;
        let stored = ada.upload_to(&folder, noise(1, 100), "stored.bin").await;
        let registered = ada.register_in(&folder, "registered.txt").await;
        let share = ada.give("folder", &folder, &bob, "view").await;
        ada.give("file", &stored, &bob, "view").await;
        bob.toggle_star("files", &stored).await;
        let contents = bob.contents(&folder).await;
        let told = [
            contents.clone(), bob.get_json("/api/cdn/search/?q=stored").await, bob.get_json("/api/cdn/files/starred/").await,
            bob.get_json("/api/cdn/shares/").await, bob.get_json(&format!("/api/cdn/files/?folder_id={}", id_of(&folder))).await,
        ];
        for answer in &told {
            let text = answer.to_string();
            assert!(text.contains("stored.bin"), "{text}");
            for secret in [id_of(&stored), id_of(&registered), registered["cdn_url"].as_str().unwrap(), "/f/"] {
                assert!(!text.contains(secret), "{secret} is in {text}");
            }
        }
        let files = contents["files"].as_array().unwrap();
        for shown in files {
            assert_file(shown);
            assert_eq!(shown["cdn_url"], Value::Null);
            app.anonymous().get(&format!("/f/{}/a", id_of(shown))).fetch().await.expect_status(404);
            // The id that is shown is as good as the file's own for everything else.
            let again = bob.file(&shown["id"]).await.expect_json(200);
            assert_eq!((&again["id"], &again["filename"]), (&shown["id"], &shown["filename"]));
            assert_error(&bob.get(&format!("/api/cdn/files/{}/download/", id_of(shown))).fetch().await, 403, FORBIDDEN);
            assert_error(&bob.try_add_version(shown, noise(9, 9)).await, 403, FORBIDDEN);
            assert_eq!(bob.versions(shown).await, json!([]));
        }
        assert!(!bob.toggle_star("files", &files[1]).await, "it was starred by its own id");
        assert_eq!(bob.bulk("star", &[("file", &files[1])]).await["succeeded"], 1);
        bob.try_share_status("file", &files[1]).await.expect_json(200);
        // It is nobody else's.
        let grace = app.user("grace@example.com").await;
        ada.give("folder", &folder, &grace, "view").await;
        assert_error(&grace.file(&files[0]["id"]).await, 404, "Not found.");
        ada.try_add_user(&share, json!({"user_email": bob.email, "permission_level": "download"})).await.expect_json(200);
        let files = bob.contents(&folder).await["files"].clone();
        assert_eq!((&files[1]["id"], &files[1]["cdn_url"]), (&stored["id"], &stored["cdn_url"]));
        assert_eq!(files[0]["cdn_url"], registered["cdn_url"]);
    }
}

api_test! {
    async fn the_list_of_folders_has_those_that_were_shared_among_ones_own(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        bob.create_folder("b", None).await;
        for name in ["a", "c", "d"] {
            let folder = ada.create_folder(name, None).await;
            ada.create_folder("below", Some(&folder)).await;
            if name != "d" {
                let share = ada.give("folder", &folder, &bob, "view").await;
                // Twice is once.
                ada.give("folder", &folder, &bob, "edit").await;
                assert_eq!(share["resource_detail"]["name"], name);
            }
        }
        let page = bob.get_json("/api/cdn/folders/").await;
        assert_eq!((&page["count"], names_of(&page["results"])), (&json!(4), vec!["Root".into(), "a".into(), "b".into(), "c".into()]));
        let second = bob.get_json("/api/cdn/folders/?page=2&page_size=2").await;
        assert_eq!((names_of(&second["results"]), &second["next"]), (vec!["b".into(), "c".into()], &Value::Null));
        assert_eq!(ada.get_json("/api/cdn/folders/").await["count"], 7);
    }
}

api_test! {
    async fn search_goes_over_what_one_owns_and_what_one_was_given(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let shared = ada.create_folder("needle shared", None).await;
        let deep = ada.create_folder("needle deep", Some(&shared)).await;
        ada.register_in(&deep, "needle one.txt").await;
        let single = ada.register(&registration("needle two.txt")).await;
        ada.register(&registration("needle hidden.txt")).await;
        ada.create_folder("needle hidden", None).await;
        bob.register(&registration("needle mine.txt")).await;
        assert_eq!(bob.found("needle").await, (vec!["needle mine.txt".to_owned()], vec![]));
        let share = ada.give("folder", &shared, &bob, "view").await;
        ada.give("file", &single, &bob, "view").await;
        let (files, folders) = bob.found("NEEDLE").await;
        assert_eq!(files, ["needle mine.txt", "needle two.txt", "needle one.txt"]);
        assert_eq!(folders, ["needle deep", "needle shared"]);
        ada.remove_user(&share, &bob.email).await;
        assert_eq!(bob.found("ne").await, (vec!["needle mine.txt".to_owned(), "needle two.txt".to_owned()], vec![]));
        assert_eq!(bob.found("100%_").await, (vec![], vec![]));
    }
}

api_test! {
    async fn a_star_on_what_was_taken_back_is_not_listed(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.give("file", &file, &bob, "download").await;
        assert!(bob.toggle_star("files", &file).await);
        assert_eq!(bob.file(&file["id"]).await.expect_json(200)["is_starred"], true);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200)["is_starred"], false);
        assert_eq!(names_of(&bob.get_json("/api/cdn/files/starred/").await), ["a.txt"]);
        assert_eq!(ada.get_json("/api/cdn/files/starred/").await, json!([]));
        ada.remove_user(&share, &bob.email).await;
        assert_eq!(bob.get_json("/api/cdn/files/starred/").await, json!([]));
    }
}

api_test! {
    async fn many_at_once_are_judged_one_by_one(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let folder = ada.create_folder("folder", None).await;
        let inside = ada.register_in(&folder, "inside.txt").await;
        let viewed = ada.register(&registration("viewed.txt")).await;
        let hidden = ada.register(&registration("hidden.txt")).await;
        let own = bob.register(&registration("own.txt")).await;
        ada.give("folder", &folder, &bob, "admin").await;
        ada.give("file", &viewed, &bob, "view").await;
        let items = [("file", &inside), ("file", &viewed), ("file", &hidden), ("file", &own)];
        assert_eq!(refused_bulk(&bob, "star", &items).await, [200, 200, 404, 200]);
        assert_eq!(refused_bulk(&bob, "trash", &items).await, [200, 403, 404, 200]);
        // It is in the owner's trash, and for the owner to bring back.
        assert_eq!(bob.trash_items().await.len(), 1);
        assert_eq!(ada.item_of(&inside).await["user"], json!(ada.id));
        assert_eq!(refused_bulk(&bob, "restore", &items).await, [404, 404, 404, 200]);
        assert_eq!(refused_bulk(&ada, "restore", &items).await, [200, 404, 404, 404]);
        assert_eq!(bob.get_json("/api/cdn/activity/?action_type=delete").await["count"], 2);
    }
}

api_test! {
    async fn a_duplicate_is_told_only_where_it_may_be_seen(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let folder = ada.create_folder("folder", None).await;
        ada.upload(noise(1, 100), "private.bin").await;
        ada.give("folder", &folder, &bob, "edit").await;
        let copy = bob.upload_to(&folder, noise(1, 100), "copy.bin").await;
        assert_eq!(copy["filename"], "copy.bin");
        let path = format!("/api/cdn/uploads/again.bin?folder_id={}", id_of(&folder));
        let reply = bob.put(&path).body(noise(1, 100)).fetch().await;
        assert_eq!(assert_error(&reply, 409, "File already exists")["existing_file"]["id"], copy["id"]);
        // The same bytes are stored and charged once.
        assert_eq!(ada.used_bytes().await, 100);
        app.expect_stored_objects(1).await;
    }
}
