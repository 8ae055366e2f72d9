//! `…/versions/`: new content for the same file, the former one kept, and the way back.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Form, Reply, TestApp, assert_error, assert_field_error, assert_file, id_of, noise, png,
    registration, sha256_hex,
};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// What a registration of new content consists of.
fn registered_content(size: u64) -> Value {
    let mut body = registration("unused");
    body["file_size"] = json!(size);
    body.as_object_mut().expect("an object").remove("filename");
    body
}

async fn register_version(client: &Client, file: &Value, body: &Value) -> Reply {
    client.post(&format!("/api/cdn/files/{}/versions/", id_of(file))).json(body).fetch().await
}

async fn send_form(client: &Client, file: &Value, content: &[u8]) -> Reply {
    let request = client.post(&format!("/api/cdn/files/{}/versions/", id_of(file)));
    Form::new().file("other-name.bin", content).on(request).fetch().await
}

async fn read(app: &TestApp, file: &Value) -> Vec<u8> {
    let reply = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await;
    reply.expect_status(200);
    reply.body
}

fn numbers(versions: &Value) -> Vec<i64> {
    versions
        .as_array()
        .expect("an array")
        .iter()
        .map(|version| version["version_number"].as_i64().expect("a number"))
        .collect()
}

api_test! {
    async fn a_file_without_versions_has_an_empty_list(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        assert_eq!((&file["versions"], &file["versions_count"]), (&json!([]), &json!(0)));
        assert_eq!(ada.versions(&file).await, json!([]));
    }
}

api_test! {
    async fn new_content_comes_as_a_body_a_form_or_a_registration(app) {
        let ada = app.user("ada@example.com").await;
        let contents = [noise(1, 100), noise(2, 200), noise(3, 300)];
        let file = ada.upload(contents[0].clone(), "a.bin").await;
        let by_body = ada.add_version(&file, contents[1].clone()).await;
        assert_file(&by_body);
        assert_eq!(read(app, &file).await, contents[1]);
        let by_form = send_form(&ada, &file, &contents[2]).await.expect_json(201);
        assert_eq!(read(app, &file).await, contents[2]);
        let body = registered_content(4000);
        let registered = register_version(&ada, &file, &body).await.expect_json(201);
        assert_eq!(registered["cdn_url"], body["cdn_url"]);
        assert_eq!(registered["sha256_hash"], body["sha256_hash"]);
        assert_eq!(registered["mime_type"], "text/plain");
        for (nth, (shown, size)) in (1..).zip([(&by_body, 200), (&by_form, 300), (&registered, 4000)]) {
            assert_eq!(shown["id"], file["id"]);
            assert_eq!(shown["filename"], "a.bin", "new content has the old name");
            assert_eq!(shown["created_at"], file["created_at"]);
            assert_eq!((&shown["file_size"], &shown["versions_count"]), (&json!(size), &json!(nth)));
        }
        let versions = ada.versions(&file).await;
        assert_eq!(versions, registered["versions"]);
        assert_eq!(versions, ada.get_json("/api/cdn/files/").await["results"][0]["versions"]);
        assert_eq!(numbers(&versions), [3, 2, 1]);
        for (version, content) in versions.as_array().unwrap().iter().zip(contents.iter().rev()) {
            assert_eq!(version["file_size"], content.len());
            assert_eq!(version["sha256_hash"], sha256_hex(content));
            assert_eq!(version["mime_type"], "application/octet-stream");
            assert_eq!(version["created_by"], ada.id);
            assert_eq!(version["created_by_detail"]["email"], "ada@example.com");
            assert!(version["file_size_human"].is_string() && version["created_at"].is_string(), "{version}");
        }
        app.expect_stored_objects(3).await;
    }
}

api_test! {
    async fn the_type_follows_the_content_and_so_do_filters(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("plain text", "thing").await;
        assert_eq!(file["mime_type"], "text/plain");
        assert_eq!(ada.add_version(&file, png(1)).await["mime_type"], "image/png");
        let tag = app.anonymous().head(&app.local(&file["cdn_url"])).fetch().await.header("etag").to_owned();
        assert!(tag.contains(&sha256_hex(&png(1))) || tag.len() > 2, "{tag}");
        assert_eq!(ada.get_json("/api/cdn/files/?type=images").await["count"], 1);
        assert_eq!(ada.get_json("/api/cdn/files/?type=documents").await["count"], 0);
        ada.post(&Client::version_path(&file, 1, "restore")).fetch().await.expect_json(200);
        assert_eq!(ada.get_json("/api/cdn/files/?type=images").await["count"], 0);
        let reply = app.anonymous().get(&app.local(&file["cdn_url"])).header("if-none-match", tag).fetch().await;
        reply.expect_status(200);
        assert_eq!(reply.text(), "plain text");
    }
}

api_test! {
    async fn the_same_content_again_is_409_and_no_version(app) {
        let ada = app.user("ada@example.com").await;
        let stored = ada.upload(noise(1, 100), "stored.bin").await;
        let body = registered_content(1000);
        let registered = ada.register(&registration("registered.txt")).await;
        register_version(&ada, &registered, &body).await.expect_json(201);
        for (file, reply) in [
            (&stored, ada.try_add_version(&stored, noise(1, 100)).await),
            (&stored, send_form(&ada, &stored, &noise(1, 100)).await),
            (&registered, register_version(&ada, &registered, &body).await),
        ] {
            let body = assert_error(&reply, 409, "File already exists");
            assert_eq!(body["message"], "File already exists");
            assert_eq!(body["existing_file"]["id"], file["id"]);
            assert_file(&body["existing_file"]);
        }
        assert_eq!(ada.versions(&stored).await, json!([]));
        assert_eq!(numbers(&ada.versions(&registered).await), [1]);
        app.expect_stored_objects(1).await;
        assert_eq!(ada.stats().await["storage_used"], 100 + 2000);
    }
}

api_test! {
    async fn a_bad_registration_of_content_names_its_fields(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        for (field, value) in [
            ("cdn_url", json!("ftp://files.example/a")), ("cdn_url", json!("https://files.example/a\0b")),
            ("cdn_url", json!("https://files.example/a\u{1}b")), ("mime_type", json!("text/pl\0ain")),
            ("file_size", json!(0)), ("md5_hash", json!("abc")),
            ("sha256_hash", Value::Null), ("mime_type", json!("no type")),
        ] {
            let mut body = registered_content(1000);
            body[field] = value;
            assert_field_error(&register_version(&ada, &file, &body).await, field);
        }
        let request = ada.post(&format!("/api/cdn/files/{}/versions/", id_of(&file)));
        let reply = Form::new().field("note", "no file").on(request).fetch().await;
        assert_field_error(&reply, "file");
        assert_eq!(ada.versions(&file).await, json!([]));
        assert_eq!(read(app, &file).await, b"content");
    }
}

api_test! {
    async fn a_version_is_restored_and_what_was_there_becomes_the_newest(app) {
        let ada = app.user("ada@example.com").await;
        let contents = [noise(1, 100), noise(2, 200), noise(3, 300)];
        let file = ada.upload(contents[0].clone(), "a.bin").await;
        ada.add_version(&file, contents[1].clone()).await;
        ada.add_version(&file, contents[2].clone()).await;
        let restored = ada.post(&Client::version_path(&file, 1, "restore")).fetch().await.expect_json(200);
        assert_file(&restored);
        assert_eq!((&restored["id"], &restored["file_size"]), (&file["id"], &json!(100)));
        assert_eq!(restored["sha256_hash"], sha256_hex(&contents[0]));
        assert_eq!(read(app, &file).await, contents[0]);
        assert_eq!(numbers(&restored["versions"]), [3, 2]);
        assert_eq!(restored["versions"][0]["file_size"], 300);
        assert_error(&ada.post(&Client::version_path(&file, 1, "restore")).fetch().await, 404, "Not found.");
        ada.post(&Client::version_path(&file, 3, "restore")).fetch().await.expect_json(200);
        assert_eq!(read(app, &file).await, contents[2]);
        assert_eq!(numbers(&ada.versions(&file).await), [4, 2]);
        assert_eq!(ada.stats().await["storage_used"], 600);
        assert_eq!(ada.stats().await["total_size"], 300);
        app.expect_stored_objects(3).await;
    }
}

api_test! {
    async fn a_deleted_version_frees_its_bytes_and_no_other(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        ada.add_version(&file, noise(2, 200)).await;
        register_version(&ada, &file, &registered_content(4000)).await.expect_json(201);
        ada.add_version(&file, noise(4, 800)).await;
        assert_eq!(ada.stats().await["storage_used"], 5100);
        ada.remove(&Client::version_path(&file, 2, "")).await;
        assert_eq!(ada.stats().await["storage_used"], 4900);
        app.expect_stored_objects(2).await;
        ada.remove(&Client::version_path(&file, 3, "")).await;
        assert_eq!(ada.stats().await["storage_used"], 900);
        assert_eq!(numbers(&ada.versions(&file).await), [1]);
        assert_error(&ada.delete(&Client::version_path(&file, 3, "")).fetch().await, 404, "Not found.");
        // Numbers are never used again.
        ada.add_version(&file, noise(5, 50)).await;
        assert_eq!(numbers(&ada.versions(&file).await), [4, 1]);
        assert_eq!(read(app, &file).await, noise(5, 50));
    }
}

api_test! {
    async fn bytes_that_several_contents_share_go_with_the_last_of_them(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        ada.add_version(&file, noise(2, 100)).await;
        ada.add_version(&file, noise(1, 100)).await;
        assert_eq!(numbers(&ada.versions(&file).await), [2, 1]);
        assert_eq!(ada.stats().await["storage_used"], 200);
        app.expect_stored_objects(2).await;
        ada.remove(&Client::version_path(&file, 1, "")).await;
        assert_eq!(read(app, &file).await, noise(1, 100));
        assert_eq!(ada.stats().await["storage_used"], 200);
        ada.remove(&Client::version_path(&file, 2, "")).await;
        assert_eq!(ada.stats().await["storage_used"], 100);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn a_number_that_is_not_there_is_404(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("one", "a.txt").await;
        ada.add_version(&file, "two").await;
        for number in ["0", "2", "-1", "x", "1.0", "99999999999999999999", "%20"] {
            assert_error(&ada.get(&Client::version_path(&file, number, "download")).fetch().await, 404, "Not found.");
            assert_error(&ada.post(&Client::version_path(&file, number, "restore")).fetch().await, 404, "Not found.");
            assert_error(&ada.delete(&Client::version_path(&file, number, "")).fetch().await, 404, "Not found.");
        }
        assert_eq!(numbers(&ada.versions(&file).await), [1]);
    }
}

api_test! {
    async fn versions_of_what_is_not_the_callers_or_in_the_trash_are_404(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let file = ada.upload("one", "a.txt").await;
        ada.add_version(&file, "two").await;
        let trashed = grace.upload("three", "b.txt").await;
        grace.add_version(&trashed, "four").await;
        grace.trash_file(&trashed).await;
        for file in [&file, &trashed, &json!({"id": UNKNOWN_ID}), &json!({"id": "no-uuid"})] {
            let list = format!("/api/cdn/files/{}/versions/", id_of(file));
            for reply in [
                grace.get(&list).fetch().await,
                grace.post(&list).body("five").fetch().await,
                send_form(&grace, file, b"five").await,
                register_version(&grace, file, &registered_content(1)).await,
                grace.get(&Client::version_path(file, 1, "download")).fetch().await,
                grace.post(&Client::version_path(file, 1, "restore")).fetch().await,
                grace.delete(&Client::version_path(file, 1, "")).fetch().await,
            ] {
                assert_error(&reply, 404, "Not found.");
            }
            let reply = app.anonymous().get(&list).fetch().await;
            assert_error(&reply, 401, "Authentication credentials were not provided.");
        }
        assert_eq!(read(app, &file).await, b"two");
        assert_eq!(numbers(&ada.versions(&file).await), [1]);
    }
}

api_test! {
    async fn versions_go_to_the_trash_and_come_back_with_their_file(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        ada.add_version(&file, noise(2, 200)).await;
        ada.trash_file(&file).await;
        assert_eq!(ada.stats().await["storage_used"], 300);
        ada.restore(&ada.item_of(&file).await).await;
        assert_eq!(numbers(&ada.versions(&file).await), [1]);
        ada.trash_file(&file).await;
        ada.purge(&ada.item_of(&file).await).await;
        assert_eq!(ada.stats().await["storage_used"], 0);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn parallel_versions_all_get_their_number(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(100, 64), "a.bin").await;
        let replies = join_all((0..8).map(|seed| ada.try_add_version(&file, noise(seed, 64)))).await;
        replies.iter().for_each(|reply| reply.expect_status(201));
        let versions = ada.versions(&file).await;
        assert_eq!(numbers(&versions), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(versions[7]["sha256_hash"], sha256_hex(&noise(100, 64)));
        // One restore of a version wins, and the same deletion happens once.
        let path = Client::version_path(&file, 1, "restore");
        let replies = join_all((0..4).map(|_| ada.post(&path).fetch())).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
        assert_eq!(replies.iter().filter(|reply| reply.status == 404).count(), 3);
        let path = Client::version_path(&file, 2, "");
        let replies = join_all((0..4).map(|_| ada.delete(&path).fetch())).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 204).count(), 1);
        assert_eq!(replies.iter().filter(|reply| reply.status == 404).count(), 3);
        assert_eq!(ada.stats().await["storage_used"], 64 * 8);
        app.expect_stored_objects(8).await;
    }
}
