//! `/api/cdn/folders/{id}/`: rename, move, trash.

use serde_json::{Value, json};

use crate::harness::{
    Fetch, NASTY_NAMES, assert_error, assert_field_error, assert_folder, assert_refused, names_of,
    registration,
};

const NAME_TAKEN: &str = "A folder with this name already exists in the specified location.";

fn path_of(folder: &Value) -> String {
    format!("/api/cdn/folders/{}/", folder["id"].as_str().unwrap())
}

api_test! {
    async fn put_and_patch_rename_a_folder(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("one", None).await;
        for (method, name) in [("PATCH", "two"), ("PUT", "three")] {
            let request = ada.request(method.parse().unwrap(), &path_of(&folder));
            let renamed = request.json(&json!({"name": name})).fetch().await.expect_json(200);
            assert_folder(&renamed);
            assert_eq!(renamed["id"], folder["id"]);
            assert_eq!(renamed["name"], name);
            assert_eq!(renamed["full_path"], format!("Root/{name}"));
            assert_eq!(renamed["created_at"], folder["created_at"]);
            assert!(renamed["updated_at"].as_str() > folder["updated_at"].as_str(), "{renamed}");
            assert_eq!(ada.folder(&folder["id"]).await.expect_json(200), renamed);
        }
    }
}

api_test! {
    async fn renaming_a_folder_renames_the_paths_of_all_below(app) {
        let ada = app.user("ada@example.com").await;
        let a = ada.create_folder("a", None).await;
        let b = ada.create_folder("b", Some(&a)).await;
        let c = ada.create_folder("c", Some(&b)).await;
        // A sibling whose name starts with the other's, and characters that mean something in patterns.
        let sibling = ada.create_folder("a2", None).await;
        let below_sibling = ada.create_folder("x", Some(&sibling)).await;
        let mut file = registration("f.txt");
        file["folder_id"] = c["id"].clone();
        let file = ada.register(&file).await;

        ada.patch_folder(&a, json!({"name": "100%_ \"new\""})).await.expect_json(200);
        let path =
            async |folder: &Value| ada.folder(&folder["id"]).await.expect_json(200)["full_path"].clone();
        assert_eq!(path(&b).await, "Root/100%_ \"new\"/b");
        assert_eq!(path(&c).await, "Root/100%_ \"new\"/b/c");
        assert_eq!(path(&sibling).await, "Root/a2");
        assert_eq!(path(&below_sibling).await, "Root/a2/x");
        let file = ada.file(&file["id"]).await.expect_json(200);
        assert_eq!(file["folder_detail"]["full_path"], "Root/100%_ \"new\"/b/c");
        // And once more, now that the path has such characters.
        ada.patch_folder(&a, json!({"name": "plain"})).await.expect_json(200);
        assert_eq!(path(&c).await, "Root/plain/b/c");
    }
}

api_test! {
    async fn moving_a_folder_moves_all_below(app) {
        let ada = app.user("ada@example.com").await;
        let a = ada.create_folder("a", None).await;
        let b = ada.create_folder("b", Some(&a)).await;
        let c = ada.create_folder("c", Some(&b)).await;
        let target = ada.create_folder("target", None).await;

        let moved = ada.patch_folder(&b, json!({"parent": target["id"]})).await.expect_json(200);
        assert_folder(&moved);
        assert_eq!(moved["parent"], target["id"]);
        assert_eq!(moved["full_path"], "Root/target/b");
        assert_eq!(ada.folder(&c["id"]).await.expect_json(200)["full_path"], "Root/target/b/c");
        assert_eq!(ada.folder(&a["id"]).await.expect_json(200)["children_count"], 0);
        assert_eq!(ada.folder(&target["id"]).await.expect_json(200)["children_count"], 1);
        assert_eq!(names_of(&ada.contents(&target).await["folders"]), ["b"]);
    }
}

api_test! {
    async fn a_null_parent_moves_to_the_root_and_both_changes_go_at_once(app) {
        let ada = app.user("ada@example.com").await;
        let a = ada.create_folder("a", None).await;
        let b = ada.create_folder("b", Some(&a)).await;
        let moved = ada.patch_folder(&b, json!({"parent": null, "name": "c"})).await.expect_json(200);
        assert_eq!(moved["parent"], ada.root().await["id"]);
        assert_eq!(moved["full_path"], "Root/c");
    }
}

api_test! {
    async fn a_move_into_itself_or_below_itself_is_400(app) {
        let ada = app.user("ada@example.com").await;
        let a = ada.create_folder("a", None).await;
        let b = ada.create_folder("b", Some(&a)).await;
        let c = ada.create_folder("c", Some(&b)).await;
        for parent in [&a, &b, &c] {
            assert_refused(&ada.patch_folder(&a, json!({"parent": parent["id"]})).await, 400);
        }
        assert_eq!(ada.folder(&c["id"]).await.expect_json(200)["full_path"], "Root/a/b/c");
        // The other way round is fine.
        ada.patch_folder(&c, json!({"parent": a["id"]})).await.expect_json(200);
    }
}

api_test! {
    async fn the_root_can_not_be_renamed_moved_or_deleted(app) {
        let ada = app.user("ada@example.com").await;
        let root = ada.root().await;
        let other = ada.create_folder("other", None).await;
        assert_refused(&ada.patch_folder(&root, json!({"name": "mine"})).await, 400);
        assert_refused(&ada.patch_folder(&root, json!({"parent": other["id"]})).await, 400);
        assert_refused(&ada.put(&path_of(&root)).json(&json!({"name": "mine"})).fetch().await, 400);
        assert_refused(&ada.delete(&path_of(&root)).fetch().await, 400);
        assert_eq!(ada.root().await["name"], "Root");
    }
}

api_test! {
    async fn nasty_names_are_refused_in_a_rename(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("kept", None).await;
        for name in NASTY_NAMES.iter() {
            assert_field_error(&ada.patch_folder(&folder, json!({"name": name})).await, "name");
        }
        assert_field_error(&ada.patch_folder(&folder, json!({"name": 5})).await, "name");
        assert_eq!(ada.folder(&folder["id"]).await.expect_json(200)["name"], "kept");
    }
}

api_test! {
    async fn a_rename_or_move_onto_a_taken_name_is_409(app) {
        let ada = app.user("ada@example.com").await;
        let a = ada.create_folder("a", None).await;
        let b = ada.create_folder("b", None).await;
        let a_in_b = ada.create_folder("a", Some(&b)).await;
        assert_error(&ada.patch_folder(&b, json!({"name": "a"})).await, 409, NAME_TAKEN);
        assert_error(&ada.patch_folder(&a_in_b, json!({"parent": null})).await, 409, NAME_TAKEN);
        assert_error(&ada.patch_folder(&a, json!({"parent": b["id"]})).await, 409, NAME_TAKEN);
        assert_eq!(ada.folder(&a_in_b["id"]).await.expect_json(200)["full_path"], "Root/b/a");
    }
}

api_test! {
    async fn a_change_that_changes_nothing_is_200(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("same", None).await;
        for body in
            [json!({}), json!({"name": "same"}), json!({"parent": folder["parent"]}), json!({"color": "red"})]
        {
            assert_eq!(ada.patch_folder(&folder, body).await.expect_json(200)["full_path"], "Root/same");
        }
    }
}

api_test! {
    async fn read_only_fields_of_a_folder_are_ignored(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let folder = ada.create_folder("mine", None).await;
        let body = json!({
            "id": "01890a5d-ac96-774b-bcce-b302099a8057", "owner": grace.id, "path": "x", "full_path": "x",
            "is_root": true, "children_count": 9, "files_count": 9, "created_at": "2000-01-01T00:00:00Z",
        });
        ada.patch_folder(&folder, body).await.expect_json(200);
        assert_eq!(ada.folder(&folder["id"]).await.expect_json(200), folder);
    }
}

api_test! {
    async fn a_move_to_a_folder_that_is_not_the_callers_is_404(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.create_folder("hers", None).await;
        let mine = ada.create_folder("mine", None).await;
        for parent in [hers["id"].clone(), json!("01890a5d-ac96-774b-bcce-b302099a8057"), json!("no-uuid")] {
            assert_error(&ada.patch_folder(&mine, json!({"parent": parent})).await, 404, "Not found.");
        }
        assert_eq!(ada.folder(&mine["id"]).await.expect_json(200)["full_path"], "Root/mine");
    }
}

api_test! {
    async fn deleting_a_folder_takes_all_below_out_of_sight(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let below = ada.create_folder("below", Some(&top)).await;
        let file = ada.upload("deep down", "deep.txt").await;
        ada.patch_file(&file, json!({"folder": below["id"]})).await.expect_json(200);
        let content = app.local(&file["cdn_url"]);
        app.anonymous().get(&content).fetch().await.expect_status(200);

        ada.delete(&path_of(&top)).fetch().await.expect_empty(204);
        for folder in [&top, &below] {
            assert_error(&ada.folder(&folder["id"]).await, 404, "Not found.");
            let contents = ada.get(&format!("{}contents/", path_of(folder))).fetch().await;
            assert_error(&contents, 404, "Not found.");
            assert_error(&ada.patch_folder(folder, json!({"name": "x"})).await, 404, "Not found.");
            assert_error(&ada.delete(&path_of(folder)).fetch().await, 404, "Not found.");
        }
        assert_error(&ada.file(&file["id"]).await, 404, "Not found.");
        assert_error(&app.anonymous().get(&content).fetch().await, 404, "Not found.");
        let root = ada.get_json("/api/cdn/folders/root/").await;
        assert_eq!(root["folders"], json!([]));
        assert_eq!(root["root_folder"]["children_count"], 0);
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
        let listed = names_of(&ada.get_json("/api/cdn/folders/").await["results"]);
        assert!(listed.iter().all(|name| name == "Root"), "{listed:?}");
        // What is in the trash counts against the quota.
        assert_eq!(ada.used_bytes().await, 9);
    }
}

api_test! {
    async fn a_folder_that_was_trashed_in_parts_goes_as_a_whole(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let early = ada.create_folder("early", Some(&top)).await;
        let file = ada.upload("first", "first.txt").await;
        ada.patch_file(&file, json!({"folder": top["id"]})).await.expect_json(200);
        ada.trash_file(&file).await;
        ada.trash_folder(&early).await;
        // Each item is in the trash exactly once, which the check after every test verifies.
        ada.trash_folder(&top).await;
        assert_error(&ada.folder(&early["id"]).await, 404, "Not found.");
        assert_eq!(ada.used_bytes().await, 5);
    }
}

api_test! {
    async fn folders_end_at_a_depth_instead_of_a_crash(app) {
        let ada = app.user("ada@example.com").await;
        let mut parent = None;
        let mut refused = None;
        for _ in 0..300 {
            let reply = ada.try_create_folder("d", parent.as_ref()).await;
            if reply.status != 201 {
                refused = Some(reply);
                break;
            }
            parent = Some(reply.expect_json(201));
        }
        let deepest = parent.expect("some levels");
        if let Some(reply) = refused {
            assert_refused(&reply, 400);
        }
        let top = ada.get_json("/api/cdn/folders/root/").await["folders"][0].clone();
        ada.patch_folder(&top, json!({"name": "renamed"})).await.expect_json(200);
        let path = ada.folder(&deepest["id"]).await.expect_json(200)["full_path"].clone();
        assert!(path.as_str().unwrap().starts_with("Root/renamed/d/"), "{path}");
    }
}
