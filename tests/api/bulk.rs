//! `POST /api/cdn/bulk/`: one action on many things, one transaction, a result for each.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, assert_error, assert_field_error, assert_refused, names_of, noise, registration,
};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn registered(client: &Client, names: &[&str]) -> Vec<Value> {
    let mut files = Vec::new();
    for name in names {
        files.push(client.register(&registration(name)).await);
    }
    files
}

fn statuses(answer: &Value) -> Vec<u64> {
    answer["results"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|result| result["status"].as_u64().expect("a status"))
        .collect()
}

/// All succeeded, with a result for each.
fn assert_all(answer: &Value, count: usize) {
    assert_eq!((&answer["succeeded"], &answer["failed"]), (&json!(count), &json!(0)), "{answer}");
    assert_eq!(statuses(answer), vec![200; count]);
}

api_test! {
    async fn every_action_works_on_files_and_folders(app) {
        let ada = app.user("ada@example.com").await;
        let files = registered(&ada, &["a.txt", "b.txt"]).await;
        let (folder, target) = (ada.create_folder("folder", None).await, ada.create_folder("target", None).await);
        let items = [("file", &files[0]), ("file", &files[1]), ("folder", &folder)];
        assert_all(&ada.bulk("star", &items).await, 3);
        assert_eq!(names_of(&ada.get_json("/api/cdn/files/starred/").await).len(), 2);
        assert!(!ada.toggle_star("folders", &folder).await);
        // To star what is starred, or not to, is no mistake.
        assert_all(&ada.bulk("star", &items).await, 3);
        assert_all(&ada.bulk("unstar", &items).await, 3);
        assert_all(&ada.bulk("unstar", &items).await, 3);
        assert_eq!(ada.get_json("/api/cdn/files/starred/").await, json!([]));
        assert!(ada.toggle_star("folders", &folder).await);
        let ids: Vec<Value> = items.iter().map(|(kind, thing)| json!({"type": kind, "id": thing["id"]})).collect();
        let moved = ada.try_bulk(&json!({"action": "move", "items": ids, "target": target["id"]})).await.expect_json(200);
        assert_all(&moved, 3);
        let contents = ada.contents(&target).await;
        assert_eq!((names_of(&contents["files"]), names_of(&contents["folders"])), (vec!["a.txt".into(), "b.txt".into()], vec!["folder".into()]));
        assert_all(&ada.bulk("trash", &items).await, 3);
        assert_eq!(ada.trash_items().await.len(), 3);
        assert_eq!(ada.contents(&target).await, json!({"folders": [], "files": []}));
        assert_all(&ada.bulk("restore", &items).await, 3);
        assert_eq!(ada.trash_items().await.len(), 0);
        assert_eq!(ada.contents(&target).await["files"].as_array().unwrap().len(), 2);
        // Without a target: to the root.
        for target in [json!({}), json!({"target": null})] {
            let body = crate::harness::merged(json!({"action": "move", "items": ids}), target);
            assert_all(&ada.try_bulk(&body).await.expect_json(200), 3);
            assert_eq!(ada.root().await["files_count"], 2);
        }
    }
}

api_test! {
    async fn each_thing_has_its_own_result_in_the_order_of_the_request(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let files = registered(&ada, &["a.txt", "b.txt"]).await;
        let hers = grace.register(&registration("hers.txt")).await;
        let root = ada.root().await;
        let items = json!([
            {"type": "file", "id": files[0]["id"]}, {"type": "file", "id": UNKNOWN_ID}, {"type": "file", "id": hers["id"]},
            {"type": "folder", "id": files[1]["id"]}, {"type": "file", "id": "no-uuid"}, {"type": "folder", "id": root["id"]},
            {"type": "user", "id": files[1]["id"]}, {"type": "file", "id": files[0]["id"]}, {"type": "file", "id": files[1]["id"]},
        ]);
        let answer = ada.try_bulk(&json!({"action": "trash", "items": items})).await.expect_json(200);
        assert_eq!(statuses(&answer), [200, 404, 404, 404, 404, 400, 404, 404, 200], "{answer}");
        assert_eq!((&answer["succeeded"], &answer["failed"]), (&json!(2), &json!(7)));
        for (result, item) in answer["results"].as_array().unwrap().iter().zip(items.as_array().unwrap()) {
            assert_eq!((&result["type"], &result["id"]), (&item["type"], &item["id"]));
            match result["status"].as_u64() {
                Some(200) => assert_eq!(result["error"], Value::Null),
                Some(404) => assert_eq!(result["error"], "Not found."),
                _ => assert!(result["error"].as_str().is_some_and(|error| !error.is_empty()), "{result}"),
            }
        }
        assert_eq!(ada.trash_items().await.len(), 2);
        grace.file(&hers["id"]).await.expect_json(200);
    }
}

api_test! {
    async fn a_refused_move_changes_nothing_and_spoils_none(app) {
        let ada = app.user("ada@example.com").await;
        let target = ada.create_folder("target", None).await;
        let below = ada.create_folder("below", Some(&target)).await;
        let same = ada.create_folder("below", None).await;
        ada.register_in(&target, "a.txt").await;
        let files = registered(&ada, &["a.txt", "b.txt"]).await;
        let items = json!([
            {"type": "file", "id": files[0]["id"]}, {"type": "folder", "id": target["id"]}, {"type": "folder", "id": same["id"]},
            {"type": "folder", "id": below["id"]}, {"type": "file", "id": files[1]["id"]},
        ]);
        let body = json!({"action": "move", "items": items, "target": target["id"]});
        let answer = ada.try_bulk(&body).await.expect_json(200);
        assert_eq!(statuses(&answer), [409, 400, 409, 200, 200], "{answer}");
        assert_eq!(names_of(&ada.contents(&target).await["files"]), ["a.txt", "b.txt"]);
        let root = ada.contents(&ada.root().await).await;
        assert_eq!((names_of(&root["files"]), names_of(&root["folders"])), (vec!["a.txt".into()], vec!["below".into(), "target".into()]));
        let body = json!({"action": "move", "items": items, "target": UNKNOWN_ID});
        let reply = ada.try_bulk(&body).await;
        if reply.status == 200 {
            assert_eq!(statuses(&reply.expect_json(200)), [404; 5]);
        } else {
            assert_refused(&reply, 404);
        }
    }
}

api_test! {
    async fn the_order_of_things_matters_as_if_they_came_one_by_one(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let inside = ada.register_in(&folder, "inside.txt").await;
        let answer = ada.bulk("trash", &[("folder", &folder), ("file", &inside)]).await;
        assert_eq!(statuses(&answer), [200, 404], "the folder took the file with it");
        let answer = ada.bulk("restore", &[("file", &inside), ("folder", &folder), ("folder", &folder)]).await;
        assert_eq!(statuses(&answer), [404, 200, 404], "the file is no item of its own");
        let answer = ada.bulk("trash", &[("file", &inside), ("folder", &folder)]).await;
        assert_eq!(statuses(&answer), [200, 200]);
        assert_eq!(ada.trash_items().await.len(), 2);
        let answer = ada.bulk("restore", &[("file", &inside), ("folder", &folder)]).await;
        assert_eq!(statuses(&answer), [200, 200]);
        assert_eq!(names_of(&ada.contents(&ada.root().await).await["files"]), ["inside.txt"]);
    }
}

api_test! {
    async fn restoring_many_finds_a_free_name_for_each(app) {
        let ada = app.user("ada@example.com").await;
        let mut files = Vec::new();
        for seed in 0..4 {
            let file = ada.upload(noise(seed, 10), "a.bin").await;
            ada.trash_file(&file).await;
            files.push(file);
        }
        let items: Vec<_> = files.iter().map(|file| ("file", file)).collect();
        assert_all(&ada.bulk("restore", &items).await, 4);
        let names = names_of(&ada.contents(&ada.root().await).await["files"]);
        assert_eq!(names, ["a (1).bin", "a (2).bin", "a (3).bin", "a.bin"]);
    }
}

api_test! {
    async fn five_hundred_things_are_the_most(app) {
        let ada = app.user("ada@example.com").await;
        let root = ada.root().await;
        app.seed_files(&ada, &root, (0..500).map(|nth| format!("{nth}.txt")).collect()).await;
        let mut items = Vec::new();
        for page in 1..=5 {
            let list = ada.get_json(&format!("/api/cdn/files/?page_size=100&page={page}")).await;
            items.extend(list["results"].as_array().unwrap().iter().map(|file| json!({"type": "file", "id": file["id"]})));
        }
        for action in ["star", "trash", "restore"] {
            let answer = ada.try_bulk(&json!({"action": action, "items": items})).await.expect_json(200);
            assert_all(&answer, 500);
        }
        assert_eq!(ada.stats().await["total_files"], 500);
        items.push(json!({"type": "folder", "id": root["id"]}));
        assert_field_error(&ada.try_bulk(&json!({"action": "trash", "items": items})).await, "items");
        assert_eq!(ada.stats().await["total_files"], 500);
    }
}

api_test! {
    async fn a_request_that_makes_no_sense_is_400_and_does_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let items = json!([{"type": "file", "id": file["id"]}]);
        for (body, field) in [
            (json!({"items": items}), "action"),
            (json!({"action": "eat", "items": items}), "action"),
            (json!({"action": "trash"}), "items"),
            (json!({"action": "trash", "items": []}), "items"),
            (json!({"action": null, "items": items}), "action"),
        ] {
            assert_field_error(&ada.try_bulk(&body).await, field);
        }
        for body in [
            json!({"action": "trash", "items": "all"}), json!({"action": "trash", "items": [1]}),
            json!({"action": "trash", "items": [{"type": "file"}]}), json!([]), json!({"action": ["trash"], "items": items}),
        ] {
            assert_refused(&ada.try_bulk(&body).await, 400);
        }
        assert_eq!(ada.trash_items().await.len(), 0);
        let reply = app.anonymous().try_bulk(&json!({"action": "trash", "items": items})).await;
        assert_error(&reply, 401, "Authentication credentials were not provided.");
        assert_refused(&ada.get("/api/cdn/bulk/").fetch().await, 405);
    }
}

api_test! {
    async fn each_thing_is_an_action_of_its_own(app) {
        let ada = app.user("ada@example.com").await;
        let files = registered(&ada, &["a.txt", "b.txt"]).await;
        let items = [("file", &files[0]), ("file", &files[1]), ("file", &files[0])];
        ada.bulk("trash", &items).await;
        ada.bulk("restore", &items).await;
        ada.bulk("star", &items).await;
        let count = async |action: &str| ada.get_json(&format!("/api/cdn/activity/?action_type={action}")).await["count"].clone();
        assert_eq!((count("delete").await, count("restore").await), (json!(2), json!(2)));
        assert_eq!(ada.get_json("/api/cdn/activity/").await["count"], 6);
    }
}
