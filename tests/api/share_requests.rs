//! Upload requests: anybody with the link puts files into a folder and sees nothing of it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Form, Reply, TestApp, assert_error, assert_field_error, assert_refused, link_path, merged,
    names_of, noise, picture, set_tier,
};

async fn send(client: &Client, share: &Value, filename: &str, content: &[u8]) -> Reply {
    Form::new().file(filename, content).on(client.post(&link_path(share, "upload", ""))).fetch().await
}

/// A folder with something in it, and a link by which anybody may upload.
async fn requested(app: &TestApp, more: Value) -> (Client, Value, Value) {
    let ada = app.user("ada@example.com").await;
    let folder = ada.create_folder("folder", None).await;
    ada.upload_to(&folder, noise(1, 100), "present.bin").await;
    let wanted = merged(json!({"permission_level": "edit", "allow_upload": true}), more);
    let share = ada.share_by_link("folder", &folder, wanted).await;
    (ada, folder, share)
}

api_test! {
    async fn a_stranger_uploads_on_the_owners_quota(app) {
        let (ada, folder, share) = requested(app, json!({})).await;
        let answer = send(&app.anonymous(), &share, "new.txt", b"hello").await.expect_json(201);
        assert_eq!(answer, json!({"filename": "new.txt", "file_size": 5, "file_size_human": "5.0 B", "mime_type": "text/plain"}));
        let files = ada.contents(&folder).await["files"].clone();
        assert_eq!(names_of(&files), ["new.txt", "present.bin"]);
        assert_eq!(files[0]["owner"], json!(ada.id));
        assert_eq!(ada.used_bytes().await, 105);
        let row = ada.get_json("/api/cdn/activity/?action_type=upload").await["results"][0].clone();
        assert_eq!((&row["resource_name"], &row["metadata"]["share"]), (&json!("new.txt"), &share["id"]));
        assert_eq!(ada.shown_share(&share).await["uploads_count"], 1);
    }
}

api_test! {
    async fn an_uploader_sees_nothing_of_what_is_there(app) {
        let (ada, folder, share) = requested(app, json!({})).await;
        ada.create_folder("below", Some(&folder)).await;
        let present = ada.contents(&folder).await["files"][0].clone();
        let visitor = app.anonymous();
        let opened = visitor.open_link(&share, "").await.expect_json(200);
        assert_eq!((&opened["resource"], &opened["folders"]), (&json!([]), &json!([])));
        assert_eq!((&opened["folder"]["files_count"], &opened["folder"]["children_count"]), (&json!(0), &json!(0)));
        assert_eq!((&opened["share"]["allow_upload"], &opened["share"]["can_download"]), (&json!(true), &json!(false)));
        assert_eq!(opened["share"]["resource_detail"]["files_count"], 0);
        let file = format!("&file={}", present["id"].as_str().unwrap());
        assert_refused(&visitor.download_by_link(&share, &file).fetch().await, 403);
        assert_error(&visitor.open_link(&share, "&path=below").await, 404, "Not found.");
        // Neither a name nor a content that is there is told.
        let same = send(&visitor, &share, "present.bin", &noise(1, 100)).await.expect_json(201);
        assert_eq!(same["filename"], "present.bin");
        assert_eq!(names_of(&ada.contents(&folder).await["files"]), ["present (1).bin", "present.bin"]);
        assert_eq!(ada.used_bytes().await, 100);
    }
}

api_test! {
    async fn only_a_public_share_of_a_folder_at_edit_takes_uploads(app) {
        let (ada, folder, share) = requested(app, json!({})).await;
        let visitor = app.anonymous();
        for change in [json!({"allow_upload": false}), json!({"allow_upload": true, "permission_level": "download"})] {
            ada.patch_share(&share, change).await.expect_json(200);
            assert_refused(&send(&visitor, &share, "a.txt", b"a").await, 403);
        }
        ada.patch_share(&share, json!({"permission_level": "admin", "is_public": false})).await.expect_json(200);
        assert_error(&send(&visitor, &share, "a.txt", b"a").await, 404, "Invalid token");
        ada.patch_share(&share, json!({"is_public": true})).await.expect_json(200);
        send(&visitor, &share, "a.txt", b"a").await.expect_json(201);
        ada.patch_share(&share, json!({"password": "secret"})).await.expect_json(200);
        assert_error(&send(&visitor, &share, "b.txt", b"b").await, 401, "Password required");
        ada.trash_folder(&folder).await;
        assert_error(&send(&visitor, &share, "c.txt", b"c").await, 404, "Invalid token");
    }
}

api_test! {
    async fn no_more_files_are_taken_than_were_asked_for(app) {
        let (ada, folder, share) = requested(app, json!({"max_files": 3})).await;
        let visitor = app.anonymous();
        let replies = join_all((0..10).map(|seed| {
            let (visitor, share) = (visitor.clone(), share.clone());
            async move { send(&visitor, &share, &format!("{seed}.bin"), &noise(10 + seed, 40)).await }
        })).await;
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_error(reply, 410, "Upload limit reached");
        }
        assert_eq!(ada.contents(&folder).await["files"].as_array().unwrap().len(), 4);
        assert_eq!(ada.shown_share(&share).await["uploads_count"], 3);
        app.expect_stored_objects(4).await;
    }
}

api_test! {
    with |config| { set_tier(config, "small", 400, 1000); }
    async fn no_file_is_larger_than_was_asked_for_and_the_quota_holds(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let folder = ada.create_folder("folder", None).await;
        let wanted = json!({"permission_level": "edit", "allow_upload": true});
        let share = ada.share_by_link("folder", &folder, wanted).await;
        let visitor = app.anonymous();
        assert_error(&send(&visitor, &share, "a.bin", &noise(1, 401)).await, 413, "File too large");
        ada.patch_share(&share, json!({"max_size": 300})).await.expect_json(200);
        assert_error(&send(&visitor, &share, "a.bin", &noise(1, 301)).await, 413, "File too large");
        for seed in 2..5 {
            send(&visitor, &share, "a.bin", &noise(seed, 300)).await.expect_json(201);
        }
        let reply = send(&visitor, &share, "b.bin", &noise(5, 200)).await;
        // How much its owner has stored is nobody's business here.
        assert_eq!(assert_error(&reply, 402, "Storage quota exceeded")["quota"], Value::Null);
        let form = Form::new().field("a", "b").on(visitor.post(&link_path(&share, "upload", "")));
        assert_field_error(&form.fetch().await, "file");
        app.expect_stored_objects(3).await;
    }
}

api_test! {
    async fn a_picture_that_was_sent_gets_a_thumbnail(app) {
        let (ada, folder, share) = requested(app, json!({})).await;
        send(&app.anonymous(), &share, "new.png", &picture(1, 40, 20)).await.expect_json(201);
        app.drain_jobs().await;
        let file = ada.contents(&folder).await["files"][0].clone();
        assert_eq!(file["filename"], "new.png");
        assert!(file["thumbnail_url"].is_string(), "{file}");
    }
}
