//! `GET /api/cdn/files/recent/`: what was accessed last.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, TestApp, assert_error, assert_file, eventually, id_of, names_of, noise, registration,
};

async fn recent(client: &Client) -> Vec<String> {
    names_of(&client.get_json("/api/cdn/files/recent/").await)
}

async fn upload_all(client: &Client, names: &[&str]) -> Vec<Value> {
    let mut files = Vec::new();
    for (seed, name) in (1..).zip(names) {
        files.push(client.upload(noise(seed, 100), name).await);
    }
    files
}

async fn view(app: &TestApp, file: &Value) {
    app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await.expect_status(200);
}

api_test! {
    async fn views_and_downloads_bring_a_file_to_the_front(app) {
        let ada = app.user("ada@example.com").await;
        let files = upload_all(&ada, &["a.bin", "b.bin", "c.bin"]).await;
        assert_eq!(recent(&ada).await, ["c.bin", "b.bin", "a.bin"]);
        view(app, &files[0]).await;
        app.flush().await;
        assert_eq!(recent(&ada).await, ["a.bin", "c.bin", "b.bin"]);
        ada.get_json(&format!("/api/cdn/files/{}/download/", id_of(&files[1]))).await;
        app.flush().await;
        assert_eq!(recent(&ada).await, ["b.bin", "a.bin", "c.bin"]);
        let list = ada.get_json("/api/cdn/files/recent/").await;
        for file in list.as_array().unwrap() {
            assert_file(file);
        }
        assert!(list[0]["last_accessed"].as_str() > list[1]["last_accessed"].as_str(), "{list}");
        assert!(list[0]["last_accessed"].as_str() > files[1]["last_accessed"].as_str(), "{list}");
        assert_eq!(list[0]["updated_at"], files[1]["updated_at"], "an access changes nothing of the file");
    }
}

api_test! {
    async fn an_access_shows_within_moments_by_itself(app) {
        let ada = app.user("ada@example.com").await;
        let files = upload_all(&ada, &["a.bin", "b.bin"]).await;
        view(app, &files[0]).await;
        eventually("the view counts", || async { recent(&ada).await == ["a.bin", "b.bin"] }).await;
    }
}

api_test! {
    async fn what_sends_no_beginning_of_the_file_is_no_access(app) {
        let ada = app.user("ada@example.com").await;
        let files = upload_all(&ada, &["a.bin", "b.bin"]).await;
        let path = app.local(&files[0]["cdn_url"]);
        let tag = app.anonymous().head(&path).fetch().await.header("etag").to_owned();
        app.anonymous().get(&path).header("range", "bytes=10-").fetch().await.expect_status(206);
        app.anonymous().get(&path).header("range", "bytes=1000-").fetch().await.expect_status(416);
        app.anonymous().get(&path).header("if-none-match", tag).fetch().await.expect_status(304);
        app.anonymous().get(&path).header("if-match", "\"other\"").fetch().await.expect_status(412);
        app.flush().await;
        assert_eq!(recent(&ada).await, ["b.bin", "a.bin"]);
        app.anonymous().get(&path).header("range", "bytes=0-9").fetch().await.expect_status(206);
        app.flush().await;
        assert_eq!(recent(&ada).await, ["a.bin", "b.bin"]);
    }
}

api_test! {
    async fn twenty_are_shown(app) {
        let ada = app.user("ada@example.com").await;
        for nth in 0..23 {
            ada.register(&registration(&format!("{nth:02}.txt"))).await;
        }
        let newest: Vec<String> = (3..23).rev().map(|nth| format!("{nth:02}.txt")).collect();
        assert_eq!(recent(&ada).await, newest);
    }
}

api_test! {
    async fn nothing_trashed_and_nothing_of_others_is_recent(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        grace.register(&registration("hers.txt")).await;
        assert_eq!(ada.get_json("/api/cdn/files/recent/").await, json!([]));
        let folder = ada.create_folder("folder", None).await;
        ada.register_in(&folder, "inside.txt").await;
        let files = upload_all(&ada, &["a.bin", "b.bin"]).await;
        ada.trash_file(&files[1]).await;
        ada.trash_folder(&folder).await;
        assert_eq!(recent(&ada).await, ["a.bin"]);
        // Restored, a file is as recent as it was.
        ada.restore(&ada.item_of(&files[1]).await).await;
        ada.restore(&ada.item_of(&folder).await).await;
        assert_eq!(recent(&ada).await, ["b.bin", "a.bin", "inside.txt"]);
        assert_eq!(recent(&grace).await, ["hers.txt"]);
        assert_error(&app.anonymous().get("/api/cdn/files/recent/").fetch().await, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn an_access_before_the_file_went_is_no_trouble_after(app) {
        let ada = app.user("ada@example.com").await;
        let files = upload_all(&ada, &["a.bin", "b.bin"]).await;
        for file in &files {
            view(app, file).await;
            ada.get_json(&format!("/api/cdn/files/{}/download/", id_of(file))).await;
            ada.trash_file(file).await;
        }
        ada.purge(&ada.item_of(&files[0]).await).await;
        app.flush().await;
        assert_eq!(recent(&ada).await, [""; 0]);
        ada.restore(&ada.item_of(&files[1]).await).await;
        assert_eq!(recent(&ada).await, ["b.bin"]);
    }
}
