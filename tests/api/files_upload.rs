//! `POST /api/cdn/uploads/` and `PUT /api/cdn/uploads/{filename}`: bytes that the server stores itself.

use serde_json::json;

use crate::harness::{
    Fetch, Form, GOOD_NAMES, NASTY_NAMES, PUBLIC_URL, assert_error, assert_field_error, assert_file,
    assert_refused, encode, md5_hex, merged, noise, png, registration, sha256_hex,
};

const UPLOADS: &str = "/api/cdn/uploads/";

api_test! {
    async fn a_multipart_upload_answers_the_file_with_every_field(app) {
        let ada = app.user("ada@example.com").await;
        let bytes = png(1);
        let file = Form::new().file("Photo.PNG", &bytes).on(ada.post(UPLOADS)).fetch().await.expect_json(201);
        assert_file(&file);
        assert_eq!(file["filename"], "Photo.PNG");
        assert_eq!(file["original_filename"], "Photo.PNG");
        assert_eq!(file["file_extension"], ".png");
        assert_eq!(file["file_size"], bytes.len());
        assert_eq!(file["mime_type"], "image/png");
        assert_eq!(file["sha256_hash"], sha256_hex(&bytes));
        assert_eq!(file["md5_hash"], md5_hex(&bytes));
        assert_eq!(file["owner"], ada.id);
        assert_eq!(file["folder"], ada.root().await["id"]);
        assert_eq!(file["versions"], json!([]));
        assert_eq!(ada.file(&file["id"]).await.expect_json(200), file);
        assert_eq!(ada.used_bytes().await, bytes.len() as u64);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn a_raw_upload_is_the_same_as_a_multipart_one(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let bytes = png(2);
        let mut raw = ada.upload(bytes.clone(), "a.png").await;
        let form = Form::new().file("a.png", &bytes).on(grace.post(UPLOADS));
        let multipart = form.fetch().await.expect_json(201);
        for field in [
            "filename",
            "original_filename",
            "file_size",
            "mime_type",
            "md5_hash",
            "sha256_hash",
            "processing_status",
        ] {
            assert_eq!(raw[field].take(), multipart[field], "{field}");
        }
    }
}

api_test! {
    async fn the_cdn_url_is_on_this_server_and_answers_the_bytes(app) {
        let ada = app.user("ada@example.com").await;
        let bytes = noise(3, 300_000);
        let file = ada.upload(bytes.clone(), "noise.bin").await;
        let url = file["cdn_url"].as_str().unwrap();
        assert_eq!(url, format!("{PUBLIC_URL}/f/{}/noise.bin", file["id"].as_str().unwrap()));
        let reply = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await;
        reply.expect_status(200);
        assert_eq!(sha256_hex(&reply.body), sha256_hex(&bytes));
    }
}

api_test! {
    async fn a_body_without_a_declared_length_is_stored_whole(app) {
        let ada = app.user("ada@example.com").await;
        // More than one step of growth of the reservation.
        let bytes = noise(4, 3_500_000);
        let parts: Vec<_> = bytes.chunks(70_000).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
        let file = ada.upload(body, "chunked.bin").await;
        assert_eq!(file["file_size"], bytes.len());
        assert_eq!(file["sha256_hash"], sha256_hex(&bytes));
        assert_eq!(ada.used_bytes().await, bytes.len() as u64);
    }
}

api_test! {
    async fn unusual_names_survive_upload_link_and_download(app) {
        let ada = app.user("ada@example.com").await;
        for (seed, name) in (100..).zip(GOOD_NAMES.iter()) {
            let bytes = noise(seed, 50);
            let file = ada.upload(bytes.clone(), name).await;
            assert_eq!(file["filename"], name.as_str());
            let reply = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await;
            reply.expect_status(200);
            assert_eq!(reply.body, bytes, "{name}");
        }
    }
}

api_test! {
    async fn multipart_names_may_be_utf_8(app) {
        let ada = app.user("ada@example.com").await;
        for (seed, name) in
            (200..).zip(["Grüße aus Köln.txt", "日本語.txt", "two  spaces; and.txt", "a%20b.txt"])
        {
            let file =
                Form::new().file(name, &noise(seed, 20)).on(ada.post(UPLOADS)).fetch().await.expect_json(201);
            assert_eq!(file["filename"], name);
        }
    }
}

api_test! {
    async fn nasty_names_are_refused_and_nothing_is_stored(app) {
        let ada = app.user("ada@example.com").await;
        for name in NASTY_NAMES.iter() {
            // A URL can't carry these as a last segment, a header not those.
            if !matches!(name.trim(), "" | "." | "..") {
                let reply = ada.put(&format!("{UPLOADS}{}", encode(name))).body("x").fetch().await;
                assert_eq!(reply.status, 400, "{name:?}: {}", reply.text());
                assert_refused(&reply, 400);
            }
            if !name.is_empty() && !name.chars().any(|c| c.is_ascii_control()) && !name.contains('\\') {
                let reply = Form::new().file(name, b"x").on(ada.post(UPLOADS)).fetch().await;
                assert_eq!(reply.status, 400, "{name:?}: {}", reply.text());
                assert_refused(&reply, 400);
            }
        }
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
        assert_eq!(ada.used_bytes().await, 0);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn the_folder_may_come_before_or_after_the_bytes(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("target", None).await;
        let id = folder["id"].as_str().unwrap();
        let before = Form::new().field("folder_id", id).file("a.txt", b"before").on(ada.post(UPLOADS));
        assert_eq!(before.fetch().await.expect_json(201)["folder"], folder["id"]);
        let after = Form::new().file("b.txt", b"after").field("folder_id", id).on(ada.post(UPLOADS));
        assert_eq!(after.fetch().await.expect_json(201)["folder"], folder["id"]);
        let raw =
            ada.put(&format!("{UPLOADS}c.txt?folder_id={id}")).body("raw").fetch().await.expect_json(201);
        assert_eq!(raw["folder"], folder["id"]);
        for empty in ["", "null"] {
            let body = noise(empty.len() as u64, 30);
            let form = Form::new().field("folder_id", empty).file("d.txt", &body).on(ada.post(UPLOADS));
            assert_eq!(form.fetch().await.expect_json(201)["folder"], ada.root().await["id"]);
        }
    }
}

api_test! {
    async fn a_folder_that_is_not_the_callers_is_404_and_nothing_is_stored(app) {
        let ada = app.user("ada@example.com").await;
        let hers = app.user("grace@example.com").await.create_folder("hers", None).await;
        for id in [hers["id"].as_str().unwrap(), "01890a5d-ac96-774b-bcce-b302099a8057", "no-uuid"] {
            let before = Form::new().field("folder_id", id).file("a.txt", b"before").on(ada.post(UPLOADS));
            assert_error(&before.fetch().await, 404, "Not found.");
            let after = Form::new().file("a.txt", b"after").field("folder_id", id).on(ada.post(UPLOADS));
            assert_error(&after.fetch().await, 404, "Not found.");
            let raw = ada.put(&format!("{UPLOADS}a.txt?folder_id={id}")).body("raw").fetch().await;
            assert_error(&raw, 404, "Not found.");
        }
        assert_eq!(ada.used_bytes().await, 0);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn the_bytes_decide_the_type_and_the_name_where_they_are_silent(app) {
        let ada = app.user("ada@example.com").await;
        for (name, content, media_type) in [
            ("a.txt", png(5), "image/png"),
            ("b", b"%PDF-1.7\n...".to_vec(), "application/pdf"),
            ("c.txt", b"plain text".to_vec(), "text/plain"),
            ("d.csv", b"a,b\n1,2\n".to_vec(), "text/csv"),
            ("e.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "image/svg+xml"),
            ("f", vec![0, 1, 2, 3, 255], "application/octet-stream"),
        ] {
            let file = ada.upload(content, name).await;
            assert_eq!(file["mime_type"], media_type, "{name}");
        }
        let disguised = ada.upload("<!doctype html><script>alert(1)</script>", "photo.jpg").await;
        assert_ne!(disguised["mime_type"], "image/jpeg");
    }
}

api_test! {
    async fn the_same_bytes_again_are_409_with_the_existing_file(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("the same", "a.txt").await;
        let replies = [
            ada.try_upload("the same", "b.txt").await,
            Form::new().file("c.txt", b"the same").on(ada.post(UPLOADS)).fetch().await,
        ];
        for reply in replies {
            let body = assert_error(&reply, 409, "File already exists");
            assert_eq!(body["message"], "File already exists");
            assert_eq!(body["existing_file"], file);
        }
        assert_eq!(ada.used_bytes().await, 8);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn an_upload_of_what_was_registered_by_the_same_hashes_is_409(app) {
        let ada = app.user("ada@example.com").await;
        let claim = json!({"md5_hash": md5_hex(b"both"), "sha256_hash": sha256_hex(b"both"), "file_size": 4});
        ada.register(&merged(registration("a.txt"), claim)).await;
        assert_error(&ada.try_upload("both", "b.txt").await, 409, "File already exists");
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn the_same_bytes_of_two_users_are_stored_once_and_charged_to_both(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let bytes = noise(6, 10_000);
        let hers = ada.upload(bytes.clone(), "a.bin").await;
        let other = grace.upload(bytes.clone(), "b.bin").await;
        assert_ne!(hers["id"], other["id"]);
        app.expect_stored_objects(1).await;
        assert_eq!(ada.used_bytes().await, 10_000);
        assert_eq!(grace.used_bytes().await, 10_000);
        // One owner's trash is not the other's loss.
        ada.trash_file(&hers).await;
        let reply = app.anonymous().get(&app.local(&other["cdn_url"])).fetch().await;
        reply.expect_status(200);
        assert_eq!(reply.body, bytes);
    }
}

api_test! {
    async fn bytes_in_the_trash_are_no_duplicate_and_are_charged_once(app) {
        let ada = app.user("ada@example.com").await;
        let bytes = noise(7, 5_000);
        let first = ada.upload(bytes.clone(), "a.bin").await;
        ada.trash_file(&first).await;
        let second = ada.upload(bytes.clone(), "a.bin").await;
        assert_ne!(first["id"], second["id"]);
        assert_eq!(second["filename"], "a.bin");
        assert_eq!(ada.used_bytes().await, 5_000);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn a_taken_name_gets_the_next_free_number(app) {
        let ada = app.user("ada@example.com").await;
        let mut names = Vec::new();
        for seed in 0..3 {
            let file = ada.upload(noise(seed, 10), "a.jpg").await;
            assert_eq!(file["original_filename"], "a.jpg");
            let reply = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await;
            assert_eq!(reply.body, noise(seed, 10));
            names.push(file["filename"].as_str().unwrap().to_owned());
        }
        assert_eq!(names, ["a.jpg", "a (1).jpg", "a (2).jpg"]);
    }
}

api_test! {
    async fn a_form_without_a_file_is_400(app) {
        let ada = app.user("ada@example.com").await;
        for form in [Form::new(), Form::new().field("folder_id", "null"), Form::new().field("other", "text")]
        {
            assert_field_error(&form.on(ada.post(UPLOADS)).fetch().await, "file");
        }
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn a_file_without_a_name_is_called_upload(app) {
        let ada = app.user("ada@example.com").await;
        let file =
            Form::new().field("file", "no file name").on(ada.post(UPLOADS)).fetch().await.expect_json(201);
        assert_eq!(file["filename"], "upload");
        let file = Form::new().file("", b"an empty one").on(ada.post(UPLOADS)).fetch().await.expect_json(201);
        assert_eq!(file["filename"], "upload (1)");
    }
}

api_test! {
    async fn an_empty_file_is_400_and_leaves_nothing(app) {
        let ada = app.user("ada@example.com").await;
        assert_field_error(&Form::new().file("a.txt", b"").on(ada.post(UPLOADS)).fetch().await, "file");
        assert_field_error(&ada.try_upload("", "a.txt").await, "file");
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn a_broken_form_is_400_and_leaves_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let whole = Form::new().file("a.txt", b"content");
        let bodies = [b"no boundary in here".to_vec(), Vec::new(), whole.unfinished()];
        for body in bodies {
            let request = ada.post(UPLOADS).header("content-type", Form::content_type()).body(body);
            assert_refused(&request.fetch().await, 400);
        }
        let request =
            ada.post(UPLOADS).header("content-type", "multipart/form-data").body(Form::new().finished());
        let reply = request.fetch().await;
        assert!(matches!(reply.status, 400 | 415), "no boundary: {}", reply.status);
        assert_refused(&reply, reply.status);
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn an_upload_of_another_content_type_is_415(app) {
        let ada = app.user("ada@example.com").await;
        for media_type in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
            let request = ada.post(UPLOADS).header("content-type", media_type).body("{}");
            assert_refused(&request.fetch().await, 415);
        }
        assert_refused(&ada.post(UPLOADS).body("x").fetch().await, 415);
    }
}
