//! `/api/cdn/files/{id}/`: look at, rename, move, trash, and the download URL.

use serde_json::{Value, json};

use crate::harness::{
    Fetch, NASTY_NAMES, assert_error, assert_field_error, assert_file, assert_refused, merged, registration,
};

const NAME_TAKEN: &str = "A file with this name already exists in the specified location.";
const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn path_of(file: &Value) -> String {
    format!("/api/cdn/files/{}/", file["id"].as_str().unwrap())
}

api_test! {
    async fn put_and_patch_rename_a_file(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "one.txt").await;
        for (method, name) in [("PATCH", "two.png"), ("PUT", "three.html")] {
            let request = ada.request(method.parse().unwrap(), &path_of(&file));
            let renamed = request.json(&json!({"filename": name})).fetch().await.expect_json(200);
            assert_file(&renamed);
            assert_eq!(renamed["filename"], name);
            assert_eq!(renamed["original_filename"], "one.txt");
            assert_eq!(renamed["file_extension"], ".txt");
            // A name does not change what the bytes are.
            assert_eq!(renamed["mime_type"], "text/plain");
            assert!(renamed["updated_at"].as_str() > file["updated_at"].as_str(), "{renamed}");
            assert_eq!(ada.file(&file["id"]).await.expect_json(200), renamed);
            // Old links and new ones lead to the same bytes.
            for url in [&file["cdn_url"], &renamed["cdn_url"]] {
                assert_eq!(app.anonymous().get(&app.local(url)).fetch().await.text(), "content");
            }
        }
    }
}

api_test! {
    async fn the_original_filename_can_be_changed_and_takes_its_extension_along(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let changed = ada.patch_file(&file, json!({"original_filename": "B.PDF"})).await.expect_json(200);
        assert_eq!(changed["original_filename"], "B.PDF");
        assert_eq!(changed["file_extension"], ".pdf");
        assert_eq!(changed["filename"], "a.txt");
    }
}

api_test! {
    async fn a_file_moves_and_the_counts_follow(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("target", None).await;
        let file = ada.register(&registration("a.txt")).await;
        let moved = ada.patch_file(&file, json!({"folder": folder["id"]})).await.expect_json(200);
        assert_file(&moved);
        assert_eq!(moved["folder"], folder["id"]);
        assert_eq!(moved["folder_detail"]["full_path"], "Root/target");
        assert_eq!(moved["folder_detail"]["files_count"], 1);
        assert_eq!(ada.root().await["files_count"], 0);
        let back =
            ada.patch_file(&file, json!({"folder": ada.root().await["id"], "filename": "b.txt"})).await;
        assert_eq!(back.expect_json(200)["filename"], "b.txt");
        assert_eq!(ada.root().await["files_count"], 1);
        assert_eq!(ada.folder(&folder["id"]).await.expect_json(200)["files_count"], 0);
    }
}

api_test! {
    async fn a_move_to_a_folder_that_is_not_the_callers_is_404(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.create_folder("hers", None).await;
        let file = ada.register(&registration("a.txt")).await;
        for folder in [hers["id"].clone(), json!(UNKNOWN_ID), json!("no-uuid")] {
            assert_error(&ada.patch_file(&file, json!({"folder": folder})).await, 404, "Not found.");
        }
        assert_refused(&ada.patch_file(&file, json!({"folder": 5})).await, 400);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200), file);
    }
}

api_test! {
    async fn a_taken_name_is_409_for_rename_and_move(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("other", None).await;
        ada.register(&registration("a.txt")).await;
        let b = ada.register(&registration("b.txt")).await;
        let elsewhere =
            ada.register(&merged(registration("a.txt"), json!({"folder_id": folder["id"]}))).await;
        assert_error(&ada.patch_file(&b, json!({"filename": "a.txt"})).await, 409, NAME_TAKEN);
        let root = ada.root().await;
        assert_error(&ada.patch_file(&elsewhere, json!({"folder": root["id"]})).await, 409, NAME_TAKEN);
        // With another name at once it fits.
        ada.patch_file(&elsewhere, json!({"folder": root["id"], "filename": "c.txt"})).await.expect_json(200);
    }
}

api_test! {
    async fn the_name_of_a_trashed_file_is_free(app) {
        let ada = app.user("ada@example.com").await;
        let a = ada.register(&registration("a.txt")).await;
        let b = ada.register(&registration("b.txt")).await;
        ada.trash_file(&a).await;
        let renamed = ada.patch_file(&b, json!({"filename": "a.txt"})).await.expect_json(200);
        assert_eq!(renamed["filename"], "a.txt");
    }
}

api_test! {
    async fn a_change_that_changes_nothing_is_200(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        for body in
            [json!({}), json!({"filename": "a.txt"}), json!({"folder": file["folder"]}), json!({"x": 1})]
        {
            assert_eq!(ada.patch_file(&file, body).await.expect_json(200)["filename"], "a.txt");
        }
    }
}

api_test! {
    async fn read_only_fields_are_ignored(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        let body = json!({
            "id": UNKNOWN_ID, "owner": grace.id, "cdn_url": "https://evil.example/",
            "thumbnail_url": "https://evil.example/",
            "file_size": 1, "md5_hash": "0".repeat(32), "sha256_hash": "0".repeat(64), "mime_type": "text/html",
            "is_starred": true, "created_at": "2000-01-01T00:00:00Z",
            "storage_path": "/etc/passwd", "versions_count": 7,
        });
        ada.patch_file(&file, body.clone()).await.expect_json(200);
        ada.put(&path_of(&file)).json(&body).fetch().await.expect_json(200);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200), file);
        assert_eq!(ada.used_bytes().await, 7);
    }
}

api_test! {
    async fn nasty_names_are_refused_in_a_rename(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("kept.txt")).await;
        for name in NASTY_NAMES.iter() {
            assert_field_error(&ada.patch_file(&file, json!({"filename": name})).await, "filename");
            assert_field_error(
                &ada.patch_file(&file, json!({"original_filename": name})).await,
                "original_filename",
            );
        }
        assert_field_error(&ada.patch_file(&file, json!({"filename": 5})).await, "filename");
        assert_eq!(ada.file(&file["id"]).await.expect_json(200), file);
    }
}

api_test! {
    async fn files_of_others_answer_as_if_they_were_not_there(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.upload("hers", "hers.txt").await;
        for id in [&hers["id"], &json!(UNKNOWN_ID), &json!("no-uuid"), &json!("0"), &json!("%00")] {
            let path = format!("/api/cdn/files/{}/", id.as_str().unwrap());
            for method in ["GET", "PUT", "PATCH", "DELETE"] {
                let request =
                    ada.request(method.parse().unwrap(), &path).json(&json!({"filename": "mine.txt"}));
                assert_error(&request.fetch().await, 404, "Not found.");
            }
            assert_error(&ada.get(&format!("{path}download/")).fetch().await, 404, "Not found.");
        }
        assert_eq!(grace.file(&hers["id"]).await.expect_json(200), hers);
    }
}

api_test! {
    async fn a_deleted_file_is_gone_at_once_and_still_counts(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        let content = app.local(&file["cdn_url"]);
        app.anonymous().get(&content).fetch().await.expect_status(200);
        ada.delete(&path_of(&file)).fetch().await.expect_empty(204);
        assert_error(&app.anonymous().get(&content).fetch().await, 404, "Not found.");
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let request = ada.request(method.parse().unwrap(), &path_of(&file)).json(&json!({}));
            assert_error(&request.fetch().await, 404, "Not found.");
        }
        assert_error(&ada.get(&format!("{}download/", path_of(&file))).fetch().await, 404, "Not found.");
        assert_eq!(ada.root().await["files_count"], 0);
        assert_eq!(ada.used_bytes().await, 7);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn the_download_url_of_a_stored_file_leads_to_its_bytes(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a b.txt").await;
        let download = ada.get_json(&format!("{}download/", path_of(&file))).await;
        assert_eq!(download["filename"], "a b.txt");
        assert_eq!(download["size"], 7);
        assert_eq!(download["mime_type"], "text/plain");
        let reply = app.anonymous().get(&app.local(&download["download_url"])).fetch().await;
        reply.expect_status(200);
        assert_eq!(reply.text(), "content");
    }
}

api_test! {
    async fn the_download_url_of_a_registered_file_is_its_own(app) {
        let ada = app.user("ada@example.com").await;
        let body = registration("a.txt");
        let file = ada.register(&body).await;
        let download = ada.get_json(&format!("{}download/", path_of(&file))).await;
        let expected = json!({
            "download_url": body["cdn_url"], "filename": "a.txt", "size": 1000, "mime_type": "text/plain",
        });
        assert_eq!(download, expected);
    }
}

api_test! {
    async fn a_download_counts_as_an_access(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        ada.get_json(&format!("{}download/", path_of(&file))).await;
        app.flush().await;
        let after = ada.file(&file["id"]).await.expect_json(200);
        assert!(after["last_accessed"].as_str() > file["last_accessed"].as_str(), "{after}");
        assert_eq!(after["updated_at"], file["updated_at"]);
    }
}

api_test! {
    async fn a_body_that_is_no_object_is_400(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        for body in [json!([]), json!("filename"), json!(5), Value::Null] {
            assert_refused(&ada.patch_file(&file, body).await, 400);
        }
    }
}
