//! `/api/cdn/trash/`: the list, the way back, and the way out for good.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, PUBLIC_URL, TestApp, assert_error, assert_file, id_of, merged, names_of, noise,
    registration,
};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn read(app: &TestApp, file: &Value) -> u16 {
    app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await.status
}

fn originals(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["original_name"].as_str().unwrap()).collect()
}

api_test! {
    async fn an_item_says_what_it_was_and_when_it_goes(app) {
        let ada = app.user("ada@example.com").await;
        let page = ada.get_json("/api/cdn/trash/").await;
        assert_eq!(page, json!({"count": 0, "next": null, "previous": null, "results": []}));
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register_in(&folder, "a.txt").await;
        ada.trash_file(&file).await;
        ada.trash_folder(&folder).await;
        let items = ada.trash_items().await;
        assert_eq!(items.len(), 2);
        for (item, kind, thing, name, path) in
            [(&items[0], "folder", &folder, "folder", "Root/folder"), (&items[1], "file", &file, "a.txt", "Root/folder/a.txt")]
        {
            assert_eq!(item["user"], ada.id);
            assert_eq!(item["user_detail"]["username"], "ada@example.com");
            assert_eq!(item["resource_type"], kind);
            assert_eq!(item["resource_id"], thing["id"]);
            assert_eq!(item["original_name"], name);
            assert_eq!(item["original_path"], path);
            assert_eq!(item["days_until_permanent_delete"], 30);
            let time = |field: &str| chrono::DateTime::parse_from_rfc3339(item[field].as_str().unwrap()).unwrap();
            assert_eq!(time("permanent_delete_at") - time("deleted_at"), chrono::TimeDelta::days(30));
            assert_eq!(item["deleted_at"].as_str().unwrap().len(), 27);
        }
    }
}

api_test! {
    async fn the_list_has_pages_last_deleted_first(app) {
        let ada = app.user("ada@example.com").await;
        for nth in 0..7 {
            let file = ada.register(&registration(&format!("{nth}.txt"))).await;
            ada.trash_file(&file).await;
        }
        let first = ada.get_json("/api/cdn/trash/?page_size=3").await;
        assert_eq!((&first["count"], &first["previous"]), (&json!(7), &Value::Null));
        assert_eq!(originals(first["results"].as_array().unwrap()), ["6.txt", "5.txt", "4.txt"]);
        assert_eq!(first["next"], format!("{PUBLIC_URL}/api/cdn/trash/?page_size=3&page=2"));
        let last = ada.get_json("/api/cdn/trash/?page_size=3&page=3").await;
        assert_eq!(originals(last["results"].as_array().unwrap()), ["0.txt"]);
        assert_error(&ada.get("/api/cdn/trash/?page=2").fetch().await, 404, "Invalid page.");
        assert_error(&app.anonymous().get("/api/cdn/trash/").fetch().await, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn nothing_trashed_shows_anywhere_else(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let below = ada.create_folder("below", Some(&folder)).await;
        let inside = ada.upload_to(&below, noise(1, 100), "inside.bin").await;
        let file = ada.upload(noise(2, 100), "alone.bin").await;
        for thing in [&inside, &file] {
            ada.toggle_star("files", thing).await;
            assert_eq!(read(app, thing).await, 200);
        }
        app.flush().await;
        ada.trash_file(&file).await;
        ada.trash_folder(&folder).await;
        let root = ada.get_json("/api/cdn/folders/root/").await;
        assert_eq!((&root["folders"], &root["files"]), (&json!([]), &json!([])));
        assert_eq!((&root["root_folder"]["children_count"], &root["root_folder"]["files_count"]), (&json!(0), &json!(0)));
        for path in ["files/", "files/?type=others", "files/?search=bin", "files/?search=b"] {
            let page = ada.get_json(&format!("/api/cdn/{path}")).await;
            assert_eq!((&page["count"], &page["results"]), (&json!(0), &json!([])), "{path}");
        }
        for path in ["files/starred/", "files/recent/", "analytics/"] {
            assert_eq!(ada.get_json(&format!("/api/cdn/{path}")).await, json!([]), "{path}");
        }
        assert_eq!(names_of(&ada.get_json("/api/cdn/folders/").await["results"]), ["Root"]);
        assert_eq!(ada.found("b").await, (vec![], vec![]));
        let dashboard = ada.get_json("/api/cdn/dashboard/").await;
        assert_eq!((&dashboard["stats"]["total_files"], &dashboard["stats"]["total_size"]), (&json!(0), &json!(0)));
        assert_eq!((&dashboard["recent_files"], &dashboard["storage_by_type"]), (&json!([]), &json!([])));
        for path in [
            format!("files/{}/", id_of(&file)), format!("files/{}/", id_of(&inside)), format!("files/{}/download/", id_of(&file)),
            format!("folders/{}/", id_of(&folder)), format!("folders/{}/contents/", id_of(&below)),
        ] {
            assert_error(&ada.get(&format!("/api/cdn/{path}")).fetch().await, 404, "Not found.");
        }
        assert_eq!((read(app, &file).await, read(app, &inside).await), (404, 404));
        // It still counts against the quota.
        assert_eq!(ada.stats().await["storage_used"], 200);
        ada.restore(&ada.item_of(&file).await).await;
        ada.restore(&ada.item_of(&folder).await).await;
        assert_eq!((read(app, &file).await, read(app, &inside).await), (200, 200));
        assert_eq!(ada.trash_items().await, [Value::Null; 0]);
        let shown = ada.file(&file["id"]).await.expect_json(200);
        assert_file(&shown);
        assert_eq!(shown, merged(file, json!({
            "is_starred": true, "folder_detail": shown["folder_detail"], "last_accessed": shown["last_accessed"],
        })));
    }
}

api_test! {
    async fn what_is_in_the_trash_can_not_be_changed_or_used(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let inside = ada.register_in(&folder, "inside.txt").await;
        let other = ada.register(&registration("other.txt")).await;
        ada.trash_folder(&folder).await;
        for reply in [
            ada.patch_file(&inside, json!({"filename": "x"})).await,
            ada.patch_folder(&folder, json!({"name": "x"})).await,
            ada.delete(&format!("/api/cdn/files/{}/", id_of(&inside))).fetch().await,
            ada.delete(&format!("/api/cdn/folders/{}/", id_of(&folder))).fetch().await,
            ada.patch_file(&other, json!({"folder": folder["id"]})).await,
            ada.try_create_folder("new", Some(&folder)).await,
            ada.put(&format!("/api/cdn/uploads/x?folder_id={}", id_of(&folder))).body("x").fetch().await,
            ada.try_register(&merged(registration("x"), json!({"folder_id": folder["id"]}))).await,
        ] {
            assert_error(&reply, 404, "Not found.");
        }
        // Its names and its content are free.
        ada.create_folder("folder", None).await;
        let again = merged(registration("a.txt"), json!({"md5_hash": inside["md5_hash"], "sha256_hash": inside["sha256_hash"]}));
        ada.register(&again).await;
    }
}

api_test! {
    async fn a_deleted_item_is_gone_for_good_with_bytes_and_quota(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        ada.upload_to(&folder, noise(1, 1000), "a.bin").await;
        let shared = ada.upload_to(&folder, noise(2, 500), "b.bin").await;
        let keeper = ada.upload(noise(3, 10), "keeper.bin").await;
        ada.add_version(&keeper, noise(2, 500)).await;
        ada.register_in(&folder, "c.txt").await;
        assert_eq!(ada.stats().await["storage_used"], 1000 + 500 + 10 + 1000);
        ada.trash_folder(&folder).await;
        let item = ada.item_of(&folder).await;
        ada.purge(&item).await;
        assert_eq!(ada.stats().await["storage_used"], 510);
        app.expect_stored_objects(2).await;
        assert_error(&ada.try_purge(&item).await, 404, "Not found.");
        assert_error(&ada.try_restore(&item).await, 404, "Not found.");
        assert_eq!((read(app, &shared).await, read(app, &keeper).await), (404, 200));
        assert_eq!(ada.trash_items().await, [Value::Null; 0]);
    }
}

api_test! {
    async fn empty_deletes_everything_of_the_caller_and_nothing_else(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        ada.empty_trash().await;
        let hers = grace.upload(noise(1, 300), "hers.bin").await;
        grace.trash_file(&hers).await;
        let folder = ada.create_folder("folder", None).await;
        let below = ada.create_folder("below", Some(&folder)).await;
        for seed in 1..4 {
            // One of them has the same bytes as hers.
            ada.upload_to(&below, noise(seed, 300), &format!("{seed}.bin")).await;
        }
        let alone = ada.upload(noise(9, 50), "alone.bin").await;
        let stays = ada.upload(noise(10, 7), "stays.bin").await;
        ada.trash_file(&alone).await;
        ada.trash_folder(&below).await;
        ada.trash_folder(&folder).await;
        assert_eq!(ada.trash_items().await.len(), 3);
        app.expect_stored_objects(5).await;
        ada.empty_trash().await;
        assert_eq!(ada.trash_items().await, [Value::Null; 0]);
        assert_eq!((ada.stats().await["storage_used"].clone(), read(app, &stays).await), (json!(7), 200));
        app.expect_stored_objects(2).await;
        grace.restore(&grace.item_of(&hers).await).await;
        assert_eq!(read(app, &hers).await, 200);
        assert_eq!(grace.stats().await["storage_used"], 300);
    }
}

api_test! {
    async fn nobody_touches_the_trash_of_others(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        ada.trash_file(&file).await;
        let item = ada.item_of(&file).await;
        assert_eq!(grace.trash_items().await, [Value::Null; 0]);
        for id in [id_of(&item), id_of(&file), UNKNOWN_ID, "no-uuid"] {
            let thing = json!({"id": id});
            assert_error(&grace.try_restore(&thing).await, 404, "Not found.");
            assert_error(&grace.try_purge(&thing).await, 404, "Not found.");
            assert_error(&app.anonymous().try_restore(&thing).await, 401, "Authentication credentials were not provided.");
        }
        grace.empty_trash().await;
        ada.restore(&item).await;
        assert_eq!(read(app, &file).await, 200);
    }
}

async fn parallel_statuses(client: &Client, path: &str, method: &str) -> Vec<u16> {
    let request = || client.request(method.parse().unwrap(), path).fetch();
    let mut statuses: Vec<u16> =
        join_all((0..4).map(|_| request())).await.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    statuses
}

api_test! {
    async fn of_several_at_once_one_succeeds(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        ada.upload_to(&folder, noise(1, 10), "inside.bin").await;
        let file = ada.upload(noise(2, 10), "a.bin").await;
        for (collection, thing) in [("files", &file), ("folders", &folder)] {
            let path = format!("/api/cdn/{collection}/{}/", id_of(thing));
            assert_eq!(parallel_statuses(&ada, &path, "DELETE").await, [204, 404, 404, 404], "{collection}");
            let item = ada.item_of(thing).await;
            let path = format!("/api/cdn/trash/{}/restore/", id_of(&item));
            assert_eq!(parallel_statuses(&ada, &path, "POST").await, [200, 404, 404, 404], "{collection}");
        }
        assert_eq!(ada.stats().await["total_files"], 2);
        ada.trash_folder(&folder).await;
        let path = format!("/api/cdn/trash/{}/", id_of(&ada.item_of(&folder).await));
        assert_eq!(parallel_statuses(&ada, &path, "DELETE").await, [204, 404, 404, 404]);
        app.expect_stored_objects(1).await;
    }
}
