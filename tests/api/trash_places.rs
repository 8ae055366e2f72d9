//! Where things come back to from the trash, and what comes back with them.

use serde_json::{Value, json};

use crate::harness::{Client, Fetch, assert_error, merged, names_of, noise, registration};

/// Names of folders and files directly in a folder.
async fn inside(client: &Client, folder: &Value) -> (Vec<String>, Vec<String>) {
    let contents = client.contents(folder).await;
    (names_of(&contents["folders"]), names_of(&contents["files"]))
}

async fn restore(client: &Client, thing: &Value) {
    client.restore(&client.item_of(thing).await).await;
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

api_test! {
    async fn a_file_goes_back_where_it_was(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register_in(&folder, "a.txt").await;
        ada.trash_file(&file).await;
        assert_eq!(ada.folder(&folder["id"]).await.expect_json(200)["files_count"], 0);
        // The folder may have another name and place by then.
        let target = ada.create_folder("target", None).await;
        ada.patch_folder(&folder, json!({"name": "renamed", "parent": target["id"]})).await.expect_json(200);
        restore(&ada, &file).await;
        let shown = ada.file(&file["id"]).await.expect_json(200);
        assert_eq!((&shown["folder"], &shown["filename"]), (&folder["id"], &json!("a.txt")));
        assert_eq!(shown["storage_path"], "Root/target/renamed/a.txt");
        assert_eq!(ada.folder(&folder["id"]).await.expect_json(200)["files_count"], 1);
    }
}

api_test! {
    async fn onto_a_taken_name_it_gets_the_next_free_one(app) {
        let ada = app.user("ada@example.com").await;
        let mut files = Vec::new();
        for _ in 0..3 {
            let file = ada.register(&registration("a.tar.gz")).await;
            assert_eq!(file["filename"], "a.tar.gz", "what is in the trash holds no name");
            ada.trash_file(&file).await;
            files.push(file);
        }
        for (file, name) in files.iter().zip(["a.tar.gz", "a.tar (1).gz", "a.tar (2).gz"]) {
            restore(&ada, file).await;
            let shown = ada.file(&file["id"]).await.expect_json(200);
            assert_eq!((&shown["filename"], &shown["original_filename"]), (&json!(name), &json!("a.tar.gz")));
        }
        let first = ada.create_folder("same", None).await;
        ada.create_folder("below", Some(&first)).await;
        ada.trash_folder(&first).await;
        let second = ada.create_folder("same", None).await;
        restore(&ada, &first).await;
        let shown = ada.folder(&first["id"]).await.expect_json(200);
        assert_eq!((&shown["name"], &shown["full_path"]), (&json!("same (1)"), &json!("Root/same (1)")));
        let below = ada.contents(&first).await["folders"][0].clone();
        assert_eq!(below["full_path"], "Root/same (1)/below");
        assert_eq!(ada.folder(&second["id"]).await.expect_json(200)["name"], "same");
    }
}

api_test! {
    async fn from_a_folder_that_is_gone_it_goes_to_the_nearest_living_one(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let middle = ada.create_folder("middle", Some(&top)).await;
        let low = ada.create_folder("low", Some(&middle)).await;
        let leaf = ada.create_folder("leaf", Some(&low)).await;
        let (one, two) = (ada.register_in(&low, "one.txt").await, ada.register_in(&low, "two.txt").await);
        ada.register_in(&leaf, "three.txt").await;
        ada.trash_file(&one).await;
        ada.trash_file(&two).await;
        ada.trash_folder(&leaf).await;
        ada.trash_folder(&middle).await;
        restore(&ada, &one).await;
        restore(&ada, &leaf).await;
        assert_eq!(inside(&ada, &top).await, (texts(&["leaf"]), texts(&["one.txt"])));
        assert_eq!(ada.folder(&leaf["id"]).await.expect_json(200)["full_path"], "Root/top/leaf");
        assert_eq!(inside(&ada, &leaf).await.1, ["three.txt"]);
        ada.trash_folder(&top).await;
        restore(&ada, &two).await;
        assert_eq!(inside(&ada, &ada.root().await).await, (texts(&[]), texts(&["two.txt"])));
        // What went first comes back without what has moved on.
        restore(&ada, &middle).await;
        assert_eq!(ada.folder(&middle["id"]).await.expect_json(200)["full_path"], "Root/middle");
        assert_eq!(inside(&ada, &low).await, (texts(&[]), texts(&[])));
        restore(&ada, &top).await;
        assert_eq!(inside(&ada, &top).await, (texts(&["leaf"]), texts(&["one.txt"])));
    }
}

api_test! {
    async fn a_folder_brings_back_exactly_what_it_took(app) {
        let ada = app.user("ada@example.com").await;
        let outer = ada.create_folder("outer", None).await;
        let inner = ada.create_folder("inner", Some(&outer)).await;
        let early = ada.create_folder("early", Some(&outer)).await;
        ada.register_in(&early, "in early.txt").await;
        let before = ada.register_in(&inner, "before.txt").await;
        ada.register_in(&inner, "with it.txt").await;
        ada.trash_file(&before).await;
        ada.trash_folder(&early).await;
        ada.trash_folder(&outer).await;
        assert_eq!(ada.trash_items().await.len(), 3);
        restore(&ada, &outer).await;
        assert_eq!(inside(&ada, &outer).await, (texts(&["inner"]), texts(&[])));
        assert_eq!(inside(&ada, &inner).await, (texts(&[]), texts(&["with it.txt"])));
        assert_eq!(ada.trash_items().await.len(), 2, "what was in the trash before stays there");
        assert_error(&ada.file(&before["id"]).await, 404, "Not found.");
        let shown = ada.folder(&outer["id"]).await.expect_json(200);
        assert_eq!((&shown["children_count"], &shown["files_count"]), (&json!(1), &json!(0)));
        restore(&ada, &before).await;
        restore(&ada, &early).await;
        assert_eq!(inside(&ada, &outer).await.0, ["early", "inner"]);
        assert_eq!(inside(&ada, &inner).await.1, ["before.txt", "with it.txt"]);
        assert_eq!(inside(&ada, &early).await.1, ["in early.txt"]);
        assert_eq!(ada.stats().await["total_files"], 3);
    }
}

api_test! {
    async fn what_was_trashed_before_its_folder_outlives_the_folders_purge(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let outer = ada.create_folder("outer", Some(&top)).await;
        let inner = ada.create_folder("inner", Some(&outer)).await;
        let early = ada.create_folder("early", Some(&inner)).await;
        let deep = ada.create_folder("deep", Some(&early)).await;
        ada.upload_to(&deep, noise(1, 100), "deep.bin").await;
        let alone = ada.upload_to(&inner, noise(2, 100), "alone.bin").await;
        ada.upload_to(&inner, noise(3, 100), "goes.bin").await;
        ada.trash_folder(&early).await;
        ada.trash_file(&alone).await;
        ada.trash_folder(&outer).await;
        ada.purge(&ada.item_of(&outer).await).await;
        app.expect_stored_objects(2).await;
        assert_eq!(ada.trash_items().await.len(), 2);
        restore(&ada, &alone).await;
        restore(&ada, &early).await;
        assert_eq!(inside(&ada, &top).await, (texts(&["early"]), texts(&["alone.bin"])));
        assert_eq!(ada.folder(&deep["id"]).await.expect_json(200)["full_path"], "Root/top/early/deep");
        assert_eq!(inside(&ada, &deep).await.1, ["deep.bin"]);
        assert_eq!(ada.stats().await["storage_used"], 200);
        // The folder is a full member of the tree again.
        ada.patch_folder(&top, json!({"name": "renamed"})).await.expect_json(200);
        ada.patch_folder(&early, json!({"parent": null, "name": "moved"})).await.expect_json(200);
        assert_eq!(ada.folder(&deep["id"]).await.expect_json(200)["full_path"], "Root/moved/deep");
    }
}

api_test! {
    async fn trees_inside_trees_come_back_in_any_order(app) {
        let ada = app.user("ada@example.com").await;
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let mut folders = vec![ada.create_folder("a", None).await];
            for name in ["b", "c"] {
                folders.push(ada.create_folder(name, folders.last()).await);
            }
            for folder in &folders {
                ada.register_in(folder, "file.txt").await;
            }
            for folder in folders.iter().rev() {
                ada.trash_folder(folder).await;
            }
            for nth in order {
                restore(&ada, &folders[nth]).await;
                assert_eq!(inside(&ada, &folders[nth]).await.1, ["file.txt"]);
            }
            let path = ada.folder(&folders[2]["id"]).await.expect_json(200)["full_path"].clone();
            let expected = match order {
                [0, 1, 2] => "Root/a/b/c",
                [2, ..] => "Root/c",
                [1, 0, 2] => "Root/b/c",
                _ => "Root/b/c",
            };
            assert_eq!(path, expected, "{order:?}");
            for folder in ada.contents(&ada.root().await).await["folders"].as_array().unwrap() {
                ada.trash_folder(folder).await;
            }
            ada.empty_trash().await;
        }
    }
}

api_test! {
    async fn a_duplicate_in_the_trash_may_come_back(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        ada.trash_file(&file).await;
        let again = ada.upload(noise(1, 100), "again.bin").await;
        assert_eq!(ada.stats().await["storage_used"], 100);
        restore(&ada, &file).await;
        let reply = ada.try_upload(noise(1, 100), "third.bin").await;
        assert_eq!(assert_error(&reply, 409, "File already exists")["existing_file"]["id"], file["id"]);
        ada.trash_file(&file).await;
        ada.empty_trash().await;
        assert_eq!(app.anonymous().get(&app.local(&again["cdn_url"])).fetch().await.body, noise(1, 100));
        assert_eq!(ada.stats().await["storage_used"], 100);
    }
}

api_test! {
    with |config| { crate::harness::set_tier(config, "small", 1000, 1000); }
    async fn the_trash_counts_and_coming_back_is_not_checked_again(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let file = ada.register(&merged(registration("a.txt"), json!({"file_size": 1000}))).await;
        ada.trash_file(&file).await;
        let reply = ada.try_register(&merged(registration("b.txt"), json!({"file_size": 1}))).await;
        assert_error(&reply, 402, "Storage quota exceeded");
        restore(&ada, &file).await;
        ada.trash_file(&file).await;
        ada.purge(&ada.item_of(&file).await).await;
        ada.register(&merged(registration("b.txt"), json!({"file_size": 1000}))).await;
    }
}
