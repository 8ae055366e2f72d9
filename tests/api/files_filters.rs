//! `GET /api/cdn/files/` with `folder_id`, `search` and `type`.

use serde_json::{Value, json};

use crate::harness::{Client, Fetch, assert_refused, encode, merged, names_of, registration};

async fn list(client: &Client, query: &str) -> Value {
    client.get_json(&format!("/api/cdn/files/?{query}&page_size=100")).await
}

/// Names that a search finds, sorted; the count must agree.
async fn search(client: &Client, needle: &str) -> Vec<String> {
    let page = list(client, &format!("search={}", encode(needle))).await;
    let mut names = names_of(&page["results"]);
    assert_eq!(page["count"], names.len(), "{needle}");
    names.sort();
    names
}

async fn register_all(client: &Client, names: &[&str]) {
    for name in names {
        client.register(&registration(name)).await;
    }
}

api_test! {
    async fn folder_id_shows_what_is_directly_in_that_folder(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let below = ada.create_folder("below", Some(&top)).await;
        ada.register(&registration("in root.txt")).await;
        for (folder, name) in [(&top, "in top.txt"), (&below, "in below.txt")] {
            ada.register(&merged(registration(name), json!({"folder_id": folder["id"]}))).await;
        }
        for (folder, name) in
            [(&ada.root().await, "in root.txt"), (&top, "in top.txt"), (&below, "in below.txt")]
        {
            let page = list(&ada, &format!("folder_id={}", folder["id"].as_str().unwrap())).await;
            assert_eq!(names_of(&page["results"]), [name]);
            assert_eq!(page["count"], 1);
        }
    }
}

api_test! {
    async fn a_folder_of_somebody_else_answers_like_one_that_is_not_there(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.create_folder("hers", None).await;
        grace.register(&merged(registration("hers.txt"), json!({"folder_id": hers["id"]}))).await;
        ada.register(&registration("mine.txt")).await;
        let theirs =
            ada.get(&format!("/api/cdn/files/?folder_id={}", hers["id"].as_str().unwrap())).fetch().await;
        let nobodys = ada.get("/api/cdn/files/?folder_id=01890a5d-ac96-774b-bcce-b302099a8057").fetch().await;
        assert_eq!((theirs.status, theirs.text()), (nobodys.status, nobodys.text()));
        assert!(!theirs.text().contains(".txt"), "{}", theirs.text());
        assert!(matches!(theirs.status, 200 | 404), "{}", theirs.status);
        let bad = ada.get("/api/cdn/files/?folder_id=no-uuid").fetch().await;
        assert!(matches!(bad.status, 400 | 404), "{}", bad.status);
        assert_refused(&bad, bad.status);
    }
}

api_test! {
    async fn search_finds_a_part_of_either_name(app) {
        let ada = app.user("ada@example.com").await;
        ada.register(&merged(registration("report.pdf"), json!({"original_filename": "scan-0042.pdf"})))
            .await;
        ada.register(&registration("holiday.jpg")).await;
        for needle in ["report", "port.p", ".pdf", "scan", "0042", "r", "re", "rep"] {
            assert_eq!(search(&ada, needle).await, ["report.pdf"], "{needle}");
        }
        assert_eq!(search(&ada, "o").await, ["holiday.jpg", "report.pdf"]);
        assert_eq!(search(&ada, "nothing like it").await, [""; 0]);
        // The end of one name and the start of the other are not one text.
        assert_eq!(search(&ada, "pdfscan").await, [""; 0]);
    }
}

api_test! {
    async fn search_knows_no_case_in_any_script(app) {
        let ada = app.user("ada@example.com").await;
        register_all(&ada, &["Äpfel und ÖL.txt", "Привет МИР.txt", "Ελλάδα.txt", "ÉCOLE.txt", "plain.TXT"])
            .await;
        for (needle, found) in [
            ("äPFEL", "Äpfel und ÖL.txt"),
            ("öl", "Äpfel und ÖL.txt"),
            ("Ä", "Äpfel und ÖL.txt"),
            ("ПРИВЕТ", "Привет МИР.txt"),
            ("мир", "Привет МИР.txt"),
            ("ΕΛΛΆΔΑ", "Ελλάδα.txt"),
            ("école", "ÉCOLE.txt"),
            // The same letter as two code points.
            ("e\u{301}cole", "ÉCOLE.txt"),
            ("PLAIN.txt", "plain.TXT"),
        ] {
            assert_eq!(search(&ada, needle).await, [found], "{needle}");
        }
    }
}

api_test! {
    async fn search_finds_scripts_without_spaces_and_pictographs(app) {
        let ada = app.user("ada@example.com").await;
        register_all(&ada, &["日本語の写真.png", "🎉🎂.gif"]).await;
        for needle in ["日本語", "写真", "の", "本語の"] {
            assert_eq!(search(&ada, needle).await, ["日本語の写真.png"], "{needle}");
        }
        assert_eq!(search(&ada, "🎂").await, ["🎉🎂.gif"]);
    }
}

api_test! {
    async fn characters_of_patterns_and_queries_are_just_characters(app) {
        let ada = app.user("ada@example.com").await;
        let names = [
            "100%.txt",
            "a_b.txt",
            "axb.txt",
            "it's.txt",
            "say \"hi\".txt",
            "star*.txt",
            "q?.txt",
            "[x].txt",
            "a-b.txt",
            "c++.txt",
        ];
        register_all(&ada, &names).await;
        for (needle, found) in [
            ("%", "100%.txt"),
            ("100%", "100%.txt"),
            ("_", "a_b.txt"),
            ("a_b", "a_b.txt"),
            ("'", "it's.txt"),
            ("\"", "say \"hi\".txt"),
            ("\"hi\"", "say \"hi\".txt"),
            ("*", "star*.txt"),
            ("?", "q?.txt"),
            ("[x]", "[x].txt"),
            ("[", "[x].txt"),
            ("a-b", "a-b.txt"),
            ("c++", "c++.txt"),
        ] {
            assert_eq!(search(&ada, needle).await, [found], "{needle}");
        }
        for needle in [
            "\\",
            "%%",
            "__",
            "' OR '1'='1",
            "\" OR \"",
            "a AND b",
            "txt OR axb",
            "NOT axb",
            "NEAR(a b)",
            "filename:axb",
            "^axb",
            "(",
            ")",
            "axb*",
            "{}",
            "$1",
            "?1",
            "--",
            ";",
            "/*",
            "\u{202e}",
        ] {
            assert_eq!(search(&ada, needle).await, [""; 0], "{needle}");
        }
    }
}

api_test! {
    async fn an_empty_search_is_no_filter(app) {
        let ada = app.user("ada@example.com").await;
        register_all(&ada, &["a.txt", "b.txt"]).await;
        assert_eq!(search(&ada, "").await, ["a.txt", "b.txt"]);
    }
}

api_test! {
    async fn a_search_that_no_name_can_match_breaks_nothing(app) {
        let ada = app.user("ada@example.com").await;
        register_all(&ada, &["a.txt"]).await;
        for query in ["search=%00", "search=a%00", "search=%ff%fe", "search=%ED%A0%80", "search=%"] {
            let reply = ada.get(&format!("/api/cdn/files/?{query}")).fetch().await;
            match reply.status {
                200 => assert_eq!(reply.expect_json(200)["count"], 0, "{query}"),
                status => {
                    assert_eq!(status, 400, "{query}: {}", reply.text());
                    assert_refused(&reply, 400);
                }
            }
        }
        assert_eq!(search(&ada, &"x".repeat(3000)).await, [""; 0]);
    }
}

api_test! {
    async fn a_renamed_file_is_found_by_its_new_names(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("before.txt")).await;
        ada.patch_file(&file, json!({"filename": "after.txt"})).await.expect_json(200);
        assert_eq!(search(&ada, "after").await, ["after.txt"]);
        assert_eq!(search(&ada, "before").await, ["after.txt"]);
        ada.patch_file(&file, json!({"original_filename": "third.txt"})).await.expect_json(200);
        assert_eq!(search(&ada, "before").await, [""; 0]);
        assert_eq!(search(&ada, "third").await, ["after.txt"]);
    }
}

api_test! {
    async fn search_shows_only_what_is_the_callers_and_alive(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        register_all(&grace, &["needle hers.txt"]).await;
        let gone = ada.register(&registration("needle gone.txt")).await;
        register_all(&ada, &["needle kept.txt"]).await;
        ada.trash_file(&gone).await;
        assert_eq!(search(&ada, "needle").await, ["needle kept.txt"]);
    }
}

api_test! {
    async fn every_file_has_exactly_one_type(app) {
        let ada = app.user("ada@example.com").await;
        let kinds = [
            ("images", vec!["image/png", "image/svg+xml", "image/webp"]),
            ("videos", vec!["video/mp4", "video/webm"]),
            ("audio", vec!["audio/mpeg", "audio/ogg"]),
            (
                "documents",
                vec![
                    "application/pdf",
                    "text/plain",
                    "text/html",
                    "application/msword",
                    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                    "application/vnd.oasis.opendocument.text",
                ],
            ),
            (
                "archives",
                vec![
                    "application/zip",
                    "application/gzip",
                    "application/x-7z-compressed",
                    "application/x-tar",
                ],
            ),
            ("others", vec!["application/octet-stream", "application/wasm", "model/gltf+json", "font/woff2"]),
        ];
        let mut total = 0;
        for (kind, media_types) in &kinds {
            for media_type in media_types {
                let name = format!("{kind} {total}");
                ada.register(&merged(registration(&name), json!({"mime_type": media_type}))).await;
                total += 1;
            }
        }
        for (kind, media_types) in &kinds {
            let page = list(&ada, &format!("type={kind}")).await;
            assert_eq!(page["count"], media_types.len(), "{kind}: {:?}", names_of(&page["results"]));
            assert!(names_of(&page["results"]).iter().all(|name| name.starts_with(kind)), "{kind}");
        }
        assert_eq!(list(&ada, "").await["count"], total);
    }
}

api_test! {
    async fn filters_work_together(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        for (name, media_type, folder) in [
            ("cat.png", "image/png", Some(&folder)),
            ("cat.txt", "text/plain", Some(&folder)),
            ("dog.png", "image/png", Some(&folder)),
            ("cat.png", "image/png", None),
        ] {
            let folder = folder.map(|folder| &folder["id"]);
            ada.register(&merged(registration(name), json!({"mime_type": media_type, "folder_id": folder})))
                .await;
        }
        let id = folder["id"].as_str().unwrap();
        let page = list(&ada, &format!("folder_id={id}&search=CAT&type=images")).await;
        assert_eq!((&page["count"], names_of(&page["results"])), (&json!(1), vec!["cat.png".to_owned()]));
        assert_eq!(list(&ada, "search=cat&type=images").await["count"], 2);
        assert_eq!(list(&ada, &format!("folder_id={id}&type=images")).await["count"], 2);
        assert_eq!(list(&ada, &format!("folder_id={id}&search=cat")).await["count"], 2);
        assert_eq!(list(&ada, "folder_id=&search=&type=").await["count"], 4);
    }
}
