//! `/api/cdn/shares/public/zip/`: shared folders as archives, each one download; and what owners are told.

use std::io::Cursor;

use serde_json::{Value, json};
use zip::ZipArchive;

use crate::harness::{Client, Fetch, Reply, assert_error, encode, link_path, noise};

fn names(reply: &Reply) -> Vec<String> {
    reply.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/zip");
    let archive = ZipArchive::new(Cursor::new(&reply.body)).expect("a ZIP archive");
    let mut names: Vec<_> = archive.file_names().map(|name| name.expect("UTF-8").into_owned()).collect();
    names.sort();
    names
}

/// A folder with one file in it and one in a folder below.
async fn folder_of(ada: &Client) -> Value {
    let top = ada.create_folder("top", None).await;
    let below = ada.create_folder("below", Some(&top)).await;
    ada.upload_to(&top, noise(1, 10), "a.bin").await;
    ada.upload_to(&below, noise(2, 10), "b.bin").await;
    top
}

api_test! {
    async fn a_shared_folder_and_one_below_it_are_archives(app) {
        let ada = app.user("ada@example.com").await;
        let top = folder_of(&ada).await;
        let share = ada.share_by_link("folder", &top, json!({})).await;
        let stranger = app.anonymous();
        let whole = stranger.get(&link_path(&share, "zip", "")).fetch().await;
        assert_eq!(names(&whole), ["top/", "top/a.bin", "top/below/", "top/below/b.bin"]);
        let below = stranger.get(&link_path(&share, "zip", "&path=below")).fetch().await;
        assert_eq!(names(&below), ["below/", "below/b.bin"]);
        for path in ["nothing", "..", "below/..", "../top"] {
            let reply = stranger.get(&link_path(&share, "zip", &format!("&path={}", encode(path)))).fetch().await;
            assert_error(&reply, 404, "Not found.");
        }
        assert_eq!(ada.shown_share(&share).await["download_count"], 2);
    }
}

api_test! {
    async fn an_archive_is_one_download_against_the_limit(app) {
        let ada = app.user("ada@example.com").await;
        let top = folder_of(&ada).await;
        let share = ada.share_by_link("folder", &top, json!({"download_limit": 2})).await;
        let stranger = app.anonymous();
        for _ in 0..2 {
            names(&stranger.get(&link_path(&share, "zip", "")).fetch().await);
        }
        let refused = stranger.get(&link_path(&share, "zip", "")).fetch().await;
        assert_error(&refused, 410, "Download limit reached");
        assert_eq!(ada.shown_share(&share).await["download_count"], 2);
    }
}

api_test! {
    async fn an_archive_needs_what_a_download_needs(app) {
        let ada = app.user("ada@example.com").await;
        let top = folder_of(&ada).await;
        let file = ada.upload(noise(3, 10), "c.bin").await;
        let off = ada.share_by_link("folder", &top, json!({"allow_download": false})).await;
        let locked = ada.share_by_link("folder", &top, json!({"password": "open sesame"})).await;
        let request = json!({"permission_level": "edit", "allow_upload": true});
        let upload_only = ada.share_by_link("folder", &top, request).await;
        let of_a_file = ada.share_by_link("file", &file, json!({})).await;
        let stranger = app.anonymous();
        let ask = async |share: &Value| stranger.get(&link_path(share, "zip", "")).fetch().await;
        assert_error(&ask(&off).await, 403, "Downloads are disabled for this share.");
        assert_error(&ask(&locked).await, 401, "Password required");
        assert_error(&ask(&upload_only).await, 403, "Downloads are disabled for this share.");
        assert_error(&ask(&of_a_file).await, 404, "Not found.");
        let without = stranger.get("/api/cdn/shares/public/zip/").fetch().await;
        assert_error(&without, 400, "Token required");
        let opened = stranger.get(&link_path(&locked, "zip", "")).header("X-Share-Password", "open sesame");
        assert_eq!(names(&opened.fetch().await).len(), 4);
    }
}

api_test! {
    async fn an_owner_is_told_who_comes_by_a_link(app) {
        let ada = app.user("ada@example.com").await;
        let top = folder_of(&ada).await;
        let share = ada.share_by_link("folder", &top, json!({"download_limit": 1})).await;
        let stranger = app.anonymous();
        let mut stream = ada.listen().await;
        stranger.get(&link_path(&share, "", "")).fetch().await.expect_status(200);
        let opened = stream.expect("share.opened").await.data;
        assert_eq!((&opened["id"], &opened["resource_id"]), (&share["id"], &top["id"]), "{opened}");
        assert_eq!((&opened["resource_type"], &opened["access_type"]), (&json!("folder"), &json!("view")));
        stranger.get(&link_path(&share, "zip", "")).fetch().await.expect_status(200);
        let downloaded = stream.expect("share.opened").await.data;
        assert_eq!((&downloaded["access_type"], &downloaded["visits"]), (&json!("download"), &json!(1)));
        // Whoever is refused was not there.
        stranger.get(&link_path(&share, "zip", "")).fetch().await.expect_status(410);
        ada.create_folder("x", None).await;
        stream.expect("folder.created").await;
    }
}

api_test! {
    async fn an_owner_is_told_what_others_do_with_what_was_given_to_them(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let top = folder_of(&ada).await;
        ada.give("folder", &top, &bob, "edit").await;
        let (mut to_ada, mut to_bob) = (ada.listen().await, bob.listen().await);
        let file = bob.upload_to(&top, noise(9, 100), "from bob.bin").await;
        assert_eq!(to_ada.expect("file.created").await.data["id"], file["id"]);
        assert_eq!(to_ada.expect("quota.changed").await.data["storage_used"], 120);
        bob.create_folder("Bob's", None).await;
        // Nothing of it is Bob's: neither the file nor the quota.
        assert_eq!(to_bob.expect("folder.created").await.data["name"], "Bob's");
    }
}
