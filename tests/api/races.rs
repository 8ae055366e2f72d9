//! Restore, purge, empty, upload and sweep at once: each ends in one right state.

use chrono::TimeDelta;
use futures_util::future::{join, join_all, join3};
use serde_json::Value;

use crate::harness::{Client, Fetch, PASSWORD, Reply, TestApp, id_of, names_of, noise};

const ROUNDS: u64 = 8;

/// A folder with a file below it, in the trash; and the file.
async fn trashed_tree(client: &Client, seed: u64) -> (Value, Value) {
    let folder = client.create_folder(&format!("folder {seed}"), None).await;
    let below = client.create_folder("below", Some(&folder)).await;
    let file = client.upload_to(&below, noise(seed, 100), "inside.bin").await;
    client.trash_folder(&folder).await;
    (client.item_of(&folder).await, file)
}

/// The file is there whole or gone for good, as the answers say; and nothing is left in the trash.
async fn assert_one_state(app: &TestApp, client: &Client, file: &Value, is_back: bool) {
    let status = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await.status;
    assert_eq!(status, if is_back { 200 } else { 404 });
    assert_eq!(client.file(&file["id"]).await.status, status);
    assert_eq!(client.trash_items().await.len(), 0);
    let bytes = if is_back { 100 } else { 0 };
    assert_eq!(client.stats().await["storage_used"], bytes);
    app.expect_stored_objects(usize::from(is_back)).await;
    client.empty_trash().await;
    assert_eq!(app.check().await, [""; 0]);
}

api_test! {
    async fn of_restore_and_delete_one_wins(app) {
        for round in 0..ROUNDS {
            let email = format!("{round}@example.com");
            let ada = app.user(&email).await;
            let (item, file) = trashed_tree(&ada, round).await;
            let (restored, purged) = if round % 2 == 0 {
                join(ada.try_restore(&item), ada.try_purge(&item)).await
            } else {
                let (purged, restored) = join(ada.try_purge(&item), ada.try_restore(&item)).await;
                (restored, purged)
            };
            let is_back = restored.status == 200;
            assert_eq!((restored.status, purged.status), if is_back { (200, 404) } else { (404, 204) });
            assert_one_state(app, &ada, &file, is_back).await;
            clear(&ada).await;
        }
    }
}

/// Deletes all that the user has, for good.
async fn clear(client: &Client) {
    let root = client.contents(&client.root().await).await;
    for folder in root["folders"].as_array().unwrap() {
        client.trash_folder(folder).await;
    }
    for file in root["files"].as_array().unwrap() {
        client.trash_file(file).await;
    }
    client.empty_trash().await;
}

api_test! {
    async fn of_restore_and_empty_one_wins(app) {
        let ada = app.user("ada@example.com").await;
        for round in 0..ROUNDS {
            let (item, file) = trashed_tree(&ada, round).await;
            let empty = || ada.post("/api/cdn/trash/empty/").fetch();
            let (first, restored, second) = join3(empty(), ada.try_restore(&item), empty()).await;
            assert_eq!((first.status, second.status), (200, 200));
            assert!(matches!(restored.status, 200 | 404), "{}", restored.text());
            assert_one_state(app, &ada, &file, restored.status == 200).await;
            clear(&ada).await;
        }
    }
}

api_test! {
    async fn of_restore_and_the_janitor_one_wins(app) {
        let ada = app.user("ada@example.com").await;
        let mut trees = Vec::new();
        for round in 0..ROUNDS {
            trees.push(trashed_tree(&ada, round).await);
        }
        app.clock.advance(TimeDelta::days(30));
        let ada = app.login("ada@example.com", PASSWORD).await;
        let restores = join_all(trees.iter().map(|(item, _)| ada.try_restore(item)));
        let (report, restores, other) = join3(app.services.sweep(true), restores, app.services.sweep(true)).await;
        let count = restores.iter().filter(|reply| reply.status == 200).count();
        let purged = report.unwrap().purged.items + other.unwrap().purged.items;
        assert!(purged >= ROUNDS - count as u64, "{purged} purged, {count} restored");
        for (reply, (_, file)) in restores.iter().zip(&trees) {
            assert!(matches!(reply.status, 200 | 404), "{}", reply.text());
            assert_eq!(ada.file(&file["id"]).await.status, reply.status);
        }
        assert_eq!(ada.trash_items().await.len(), 0);
        assert_eq!(ada.stats().await["storage_used"], 100 * count);
        app.expect_stored_objects(count).await;
    }
}

api_test! {
    async fn empty_while_uploading_takes_only_what_was_in_the_trash(app) {
        let ada = app.user("ada@example.com").await;
        for seed in 0..6 {
            // The uploads bring bytes that are being purged, and others.
            ada.trash_file(&ada.upload(noise(seed, 100), "old.bin").await).await;
        }
        let names: Vec<String> = (0..12).map(|seed| format!("new {seed:02}.bin")).collect();
        let uploads = join_all((0..12_u64).zip(&names).map(|(seed, name)| ada.try_upload(noise(seed, 100), name)));
        let empties = join_all((0..3).map(|_| ada.post("/api/cdn/trash/empty/").fetch()));
        let (uploads, empties) = join(uploads, empties).await;
        uploads.iter().for_each(|reply| reply.expect_status(201));
        empties.iter().for_each(|reply| reply.expect_status(200));
        assert_eq!(names_of(&ada.contents(&ada.root().await).await["files"]), names);
        for (seed, reply) in (0..).zip(&uploads) {
            let path = app.local(&reply.expect_json(201)["cdn_url"]);
            assert_eq!(app.anonymous().get(&path).fetch().await.body, noise(seed, 100));
        }
        assert_eq!(ada.trash_items().await.len(), 0);
        assert_eq!(ada.stats().await["storage_used"], 1200);
        app.expect_stored_objects(12).await;
    }
}

api_test! {
    async fn an_upload_into_a_folder_that_goes_is_refused_or_goes_with_it(app) {
        let ada = app.user("ada@example.com").await;
        for round in 0..ROUNDS {
            let folder = ada.create_folder("folder", None).await;
            let path = format!("/api/cdn/uploads/a.bin?folder_id={}", id_of(&folder));
            let upload = ada.put(&path).body(noise(round, 100)).fetch();
            let trash = ada.delete(&format!("/api/cdn/folders/{}/", id_of(&folder))).fetch();
            let (upload, trash): (Reply, Reply) = join(upload, trash).await;
            trash.expect_empty(204);
            assert!(matches!(upload.status, 201 | 404), "{}", upload.text());
            assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
            let objects = usize::from(upload.status == 201);
            app.expect_stored_objects(objects).await;
            assert_eq!(ada.stats().await["storage_used"], 100 * objects);
            assert_eq!(app.check().await, [""; 0]);
            ada.empty_trash().await;
            app.expect_stored_objects(0).await;
        }
    }
}

api_test! {
    async fn parallel_deletions_and_restores_of_a_whole_trash_end_clean(app) {
        let ada = app.user("ada@example.com").await;
        let mut items = Vec::new();
        for seed in 0..12 {
            // Every second one has the bytes of the one before.
            let file = ada.upload(noise(seed / 2, 100), &format!("{seed}.bin")).await;
            ada.trash_file(&file).await;
            items.push(ada.item_of(&file).await);
        }
        let calls = items.iter().zip(0..).map(|(item, nth)| {
            let ada = &ada;
            async move { if nth % 2 == 0 { ada.try_purge(item).await } else { ada.try_restore(item).await } }
        });
        for (nth, reply) in (0..).zip(join_all(calls).await) {
            reply.expect_status(if nth % 2 == 0 { 204 } else { 200 });
        }
        assert_eq!(ada.stats().await["total_files"], 6);
        assert_eq!(ada.stats().await["storage_used"], 600);
        app.expect_stored_objects(6).await;
        for file in ada.get_json("/api/cdn/files/").await["results"].as_array().unwrap() {
            app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await.expect_status(200);
        }
    }
}

api_test! {
    async fn versions_and_the_trash_at_once_lose_no_byte(app) {
        let ada = app.user("ada@example.com").await;
        for round in 0..ROUNDS {
            let file = ada.upload(noise(100 + round, 50), "a.bin").await;
            let version = ada.try_add_version(&file, noise(200 + round, 70));
            let trash = ada.delete(&format!("/api/cdn/files/{}/", id_of(&file))).fetch();
            let (version, trash) = join(version, trash).await;
            trash.expect_empty(204);
            assert!(matches!(version.status, 201 | 404), "{}", version.text());
            let item = ada.item_of(&file).await;
            ada.restore(&item).await;
            let shown = ada.file(&file["id"]).await.expect_json(200);
            assert_eq!(shown["versions_count"], u8::from(shown["file_size"] == 70));
            clear(&ada).await;
            app.expect_stored_objects(0).await;
        }
    }
}
