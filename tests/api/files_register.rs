//! `POST /api/cdn/files/upload/`: registering a file that is on a CDN already.

use serde_json::{Value, json};

use crate::harness::{
    Fetch, GOOD_NAMES, NASTY_NAMES, assert_error, assert_field_error, assert_file, assert_refused, md5_hex,
    merged, registration, sha256_hex,
};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

api_test! {
    async fn a_registration_answers_the_file_with_every_field(app) {
        let ada = app.user("ada@example.com").await;
        let body = merged(
            registration("Photo.JPG"),
            json!({
                "cdn_url": "https://files.example/a%20b.jpg?x=1&y=2", "file_size": 1_153_434,
                "mime_type": "image/jpeg",
                "original_filename": "DSC_0001.JPG", "unknown": {"ignored": true},
            }),
        );
        let file = ada.register(&body).await;
        assert_file(&file);
        for field in
            ["filename", "original_filename", "cdn_url", "file_size", "mime_type", "md5_hash", "sha256_hash"]
        {
            assert_eq!(file[field], body[field], "{field}");
        }
        assert_eq!(file["file_extension"], ".jpg");
        assert_eq!(file["file_size_human"], "1.1 MB");
        assert_eq!(file["owner"], ada.id);
        assert_eq!(file["owner_detail"]["username"], "ada@example.com");
        assert_eq!(file["folder"], ada.root().await["id"]);
        assert_eq!(file["folder_detail"]["full_path"], "Root");
        assert_eq!(file["versions"], json!([]));
        assert_eq!(file["versions_count"], 0);
        assert_eq!(file["is_starred"], false);
        assert_eq!(file["thumbnail_url"], Value::Null);
        assert_eq!((&file["processing_status"], &file["is_processed"]), (&json!("pending"), &json!(false)));
        assert_eq!(file["created_at"], file["updated_at"]);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200), file);
    }
}

api_test! {
    async fn a_file_that_nothing_is_made_from_counts_as_processed(app) {
        let ada = app.user("ada@example.com").await;
        let text = ada.register(&registration("a.txt")).await;
        assert_eq!(text["processing_status"], "completed");
        assert_eq!(text["is_processed"], true);
    }
}

api_test! {
    async fn missing_fields_are_named(app) {
        let ada = app.user("ada@example.com").await;
        for field in ["filename", "cdn_url", "file_size", "md5_hash", "sha256_hash"] {
            let mut body = registration("a.txt");
            body.as_object_mut().unwrap().remove(field);
            let answer = assert_field_error(&ada.try_register(&body).await, field);
            assert_eq!(answer["details"], json!({field: ["This field is required."]}));
            body[field] = Value::Null;
            assert_field_error(&ada.try_register(&body).await, field);
        }
        let answer = assert_refused(&ada.try_register(&json!({})).await, 400);
        assert!(answer["details"].as_object().unwrap().contains_key("filename"), "{answer}");
    }
}

api_test! {
    async fn bad_fields_are_named(app) {
        let ada = app.user("ada@example.com").await;
        let long_url = format!("https://files.example/{}", "x".repeat(100_000));
        let bad = [
            ("filename", json!([5, [], {}])),
            (
                "cdn_url",
                json!([
                    "",
                    "files.example/a",
                    "/a",
                    "ftp://files.example/a",
                    "file:///etc/passwd",
                    "javascript:alert(1)",
                    "data:text/html,x",
                    "https://",
                    "https:files.example/a",
                    "http://a b/",
                    "https://files.example/a\nb",
                    "https://files.example/a\0b",
                    long_url,
                    5,
                ]),
            ),
            ("file_size", json!([0, -1, 1.5, "many", true, [1], 1e300])),
            ("md5_hash", json!(["", "a".repeat(31), "a".repeat(33), "g".repeat(32), 5])),
            ("sha256_hash", json!(["", "a".repeat(63), "a".repeat(65), "é".repeat(32), 5])),
            ("mime_type", json!(["text", "text/html\r\nX-A: b", "a/b\0", "x".repeat(5000), 5])),
        ];
        let mut accepted = Vec::new();
        for (field, values) in bad {
            for value in values.as_array().unwrap() {
                let reply = ada.try_register(&merged(registration("a.txt"), json!({field: value}))).await;
                match reply.status {
                    400 => {
                        assert_field_error(&reply, field);
                    }
                    status => accepted.push(format!("{field} {value:.80}: {status}")),
                }
            }
        }
        assert!(accepted.is_empty(), "{}", accepted.join("\n"));
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
    }
}

api_test! {
    async fn nasty_names_are_refused(app) {
        let ada = app.user("ada@example.com").await;
        for name in NASTY_NAMES.iter() {
            let reply = ada.try_register(&merged(registration("a.txt"), json!({"filename": name}))).await;
            assert_field_error(&reply, "filename");
            if !name.trim().is_empty() {
                let reply = ada
                    .try_register(&merged(registration("a.txt"), json!({"original_filename": name})))
                    .await;
                assert_field_error(&reply, "original_filename");
            }
        }
    }
}

api_test! {
    async fn unusual_names_are_kept_as_they_are(app) {
        let ada = app.user("ada@example.com").await;
        for name in GOOD_NAMES.iter() {
            let file = ada.register(&registration(name)).await;
            assert_eq!(file["filename"], name.as_str());
            assert_eq!(file["original_filename"], name.as_str());
        }
    }
}

api_test! {
    async fn names_are_composed_and_extensions_are_in_lower_case(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("Cafe\u{301}.TXT")).await;
        assert_eq!(file["filename"], "Caf\u{e9}.TXT");
        for (name, extension) in [
            ("a.TAR.GZ", ".gz"),
            ("README", ""),
            (".bashrc", ""),
            ("a.", ""),
            ("é.ÄÖ", ".äö"),
            ("a b.c d", ".c d"),
        ] {
            let file = ada.register(&merged(registration("x"), json!({"original_filename": name}))).await;
            assert_eq!(file["file_extension"], extension, "{name}");
        }
    }
}

api_test! {
    async fn an_empty_media_type_comes_from_the_name(app) {
        let ada = app.user("ada@example.com").await;
        for (name, media_type) in [
            ("a.png", "image/png"),
            ("a.PDF", "application/pdf"),
            ("a.unknownx", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ] {
            for empty in [json!(""), Value::Null] {
                let file = ada.register(&merged(registration(name), json!({"mime_type": empty}))).await;
                assert_eq!(file["mime_type"], media_type, "{name}");
            }
        }
        let mut body = registration("a.png");
        body.as_object_mut().unwrap().remove("mime_type");
        assert_eq!(ada.register(&body).await["mime_type"], "image/png");
    }
}

api_test! {
    async fn the_folder_may_be_named_or_left_to_the_root(app) {
        let ada = app.user("ada@example.com").await;
        let root = ada.root().await;
        let folder = ada.create_folder("target", None).await;
        for (value, expected) in [
            (Value::Null, &root),
            (json!("null"), &root),
            (json!(""), &root),
            (folder["id"].clone(), &folder),
        ] {
            let file = ada.register(&merged(registration("a.txt"), json!({"folder_id": value}))).await;
            assert_eq!(file["folder"], expected["id"]);
        }
        assert_eq!(ada.folder(&folder["id"]).await.expect_json(200)["files_count"], 1);
    }
}

api_test! {
    async fn a_folder_that_is_not_the_callers_is_404(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.create_folder("hers", None).await;
        for id in [hers["id"].clone(), json!(UNKNOWN_ID), json!("no-uuid")] {
            let reply = ada.try_register(&merged(registration("a.txt"), json!({"folder_id": id}))).await;
            assert_error(&reply, 404, "Not found.");
        }
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
        assert_eq!(grace.folder(&hers["id"]).await.expect_json(200)["files_count"], 0);
    }
}

api_test! {
    async fn the_same_pair_of_hashes_is_409_with_the_existing_file(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("elsewhere", None).await;
        let first = registration("a.txt");
        let existing = ada.register(&first).await;
        let again =
            merged(first.clone(), json!({"filename": "b.txt", "folder_id": folder["id"], "file_size": 2}));
        let body = assert_error(&ada.try_register(&again).await, 409, "File already exists");
        assert_eq!(body["message"], "File already exists");
        assert_file(&body["existing_file"]);
        assert_eq!(body["existing_file"], existing);
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 1);
        assert_eq!(ada.used_bytes().await, 1000);
    }
}

api_test! {
    async fn hashes_in_upper_case_are_the_same_hashes(app) {
        let ada = app.user("ada@example.com").await;
        let body = registration("a.txt");
        ada.register(&body).await;
        let upper = |field: &str| body[field].as_str().unwrap().to_uppercase();
        let again =
            merged(body.clone(), json!({"md5_hash": upper("md5_hash"), "sha256_hash": upper("sha256_hash")}));
        assert_error(&ada.try_register(&again).await, 409, "File already exists");
    }
}

api_test! {
    async fn a_duplicate_needs_both_hashes_and_the_same_owner(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let body = registration("a.txt");
        ada.register(&body).await;
        ada.register(&merged(body.clone(), json!({"md5_hash": md5_hex(b"other")}))).await;
        ada.register(&merged(body.clone(), json!({"sha256_hash": sha256_hex(b"other")}))).await;
        grace.register(&body).await;
    }
}

api_test! {
    async fn what_is_in_the_trash_is_no_duplicate(app) {
        let ada = app.user("ada@example.com").await;
        let body = registration("a.txt");
        let first = ada.register(&body).await;
        ada.trash_file(&first).await;
        let second = ada.register(&body).await;
        assert_ne!(second["id"], first["id"]);
        assert_eq!(second["filename"], "a.txt");
        // The same by way of its folder.
        let folder = ada.create_folder("gone", None).await;
        let inside = merged(registration("b.txt"), json!({"folder_id": folder["id"]}));
        ada.register(&inside).await;
        ada.trash_folder(&folder).await;
        ada.register(&merged(inside, json!({"folder_id": null}))).await;
    }
}

api_test! {
    async fn a_taken_name_gets_the_next_free_number(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("other", None).await;
        let mut names = Vec::new();
        for _ in 0..3 {
            let file = ada.register(&registration("a.jpg")).await;
            assert_eq!(file["original_filename"], "a.jpg");
            names.push(file);
        }
        let named: Vec<_> = names.iter().map(|file| file["filename"].as_str().unwrap()).collect();
        assert_eq!(named, ["a.jpg", "a (1).jpg", "a (2).jpg"]);
        // A gap is filled, another folder has its own names.
        ada.trash_file(&names[1]).await;
        assert_eq!(ada.register(&registration("a.jpg")).await["filename"], "a (1).jpg");
        let elsewhere = merged(registration("a.jpg"), json!({"folder_id": folder["id"]}));
        assert_eq!(ada.register(&elsewhere).await["filename"], "a.jpg");
        for (name, second) in [("README", "README (1)"), (".env", ".env (1)"), ("b (1).jpg", "b (1) (1).jpg")]
        {
            ada.register(&registration(name)).await;
            assert_eq!(ada.register(&registration(name)).await["filename"], second);
        }
    }
}

api_test! {
    async fn a_numbered_name_keeps_the_limit_of_255_bytes(app) {
        let ada = app.user("ada@example.com").await;
        for name in ["x".repeat(255), format!("{}.jpg", "é".repeat(125))] {
            ada.register(&registration(&name)).await;
            let second = ada.register(&registration(&name)).await;
            let numbered = second["filename"].as_str().unwrap();
            assert!(numbered.len() <= 255 && numbered != name && numbered.contains(" (1)"), "{numbered}");
            assert!(!name.ends_with(".jpg") || numbered.ends_with(".jpg"), "{numbered}");
        }
    }
}

api_test! {
    async fn sizes_are_shown_with_one_decimal_in_steps_of_1024(app) {
        let ada = app.user_in_tier("ada@example.com", "unlimited").await;
        for (size, human) in [
            (1_u64, "1.0 B"),
            (1023, "1023.0 B"),
            (1024, "1.0 KB"),
            (1126, "1.1 KB"),
            (1 << 20, "1.0 MB"),
            (1 << 30, "1.0 GB"),
        ] {
            let file = ada.register(&merged(registration("a.txt"), json!({"file_size": size}))).await;
            assert_eq!(file["file_size_human"], human);
            assert_eq!(file["file_size"], size);
        }
    }
}

api_test! {
    async fn a_registration_gives_no_access_to_stored_bytes_of_the_same_hashes(app) {
        let ada = app.user("ada@example.com").await;
        let secret = ada.upload("a secret of Ada's", "secret.txt").await;
        let eve = app.user("eve@example.com").await;
        let claim = merged(
            registration("mine.txt"),
            json!({
                "file_size": secret["file_size"], "md5_hash": secret["md5_hash"],
                "sha256_hash": secret["sha256_hash"],
            }),
        );
        let file = eve.register(&claim).await;
        assert_eq!(file["cdn_url"], claim["cdn_url"]);
        let path = format!("/f/{}/mine.txt", file["id"].as_str().unwrap());
        let reply = app.anonymous().get(&path).fetch().await;
        assert!(!reply.text().contains("secret of Ada's"), "{}", reply.text());
        assert!(matches!(reply.status, 302 | 307 | 404), "{}", reply.status);
        let download =
            eve.get_json(&format!("/api/cdn/files/{}/download/", file["id"].as_str().unwrap())).await;
        assert_eq!(download["download_url"], claim["cdn_url"]);
    }
}
