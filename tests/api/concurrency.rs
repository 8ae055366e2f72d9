//! Many at once: limits hold to the byte, and of several that want one thing one gets it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Fetch, Form, Reply, assert_error, assert_refused, merged, noise, registration, set_tier, sha256_hex,
};

const KIB: usize = 1 << 10;

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}

api_test! {
    with |config| { set_tier(config, "three", 100 << 10, 350 << 10); }
    async fn eight_parallel_uploads_fit_a_quota_for_three_exactly_three_times(app) {
        let ada = app.user_in_tier("ada@example.com", "three").await;
        let uploads = (0..8_u64).map(|seed| {
            let ada = &ada;
            async move {
                let (bytes, name) = (noise(seed, 100 * KIB), format!("{seed}.bin"));
                // All three ways of sending the bytes.
                match seed % 3 {
                    0 => ada.try_upload(bytes, &name).await,
                    1 => Form::new().file(&name, &bytes).on(ada.post("/api/cdn/uploads/")).fetch().await,
                    _ => {
                        let parts: Vec<_> =
                            bytes.chunks(9_000).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect();
                        ada.try_upload(reqwest::Body::wrap_stream(futures_util::stream::iter(parts)), &name)
                            .await
                    }
                }
            }
        });
        let replies = join_all(uploads).await;
        assert_eq!(count(&replies, 201), 3, "{:?}", statuses(&replies));
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_error(reply, 402, "Storage quota exceeded");
        }
        assert_eq!(ada.used_bytes().await, 300 << 10);
        app.expect_stored_objects(3).await;
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 3);
        // Nothing stays reserved: the rest is free to the byte.
        ada.upload(noise(100, 50 * KIB), "rest.bin").await;
        assert_error(&ada.try_upload("x", "one more.bin").await, 402, "Storage quota exceeded");
    }
}

api_test! {
    with |config| { set_tier(config, "three", 100 << 10, 350 << 10); }
    async fn parallel_registrations_and_uploads_share_one_quota(app) {
        let ada = app.user_in_tier("ada@example.com", "three").await;
        let calls = (0..12_u64).map(|seed| {
            let ada = &ada;
            async move {
                if seed % 2 == 0 {
                    return ada.try_upload(noise(seed, 100 * KIB), &format!("{seed}.bin")).await;
                }
                ada.try_register(&merged(
                    registration(&format!("{seed}.txt")),
                    json!({"file_size": 100 * KIB}),
                ))
                .await
            }
        });
        let replies = join_all(calls).await;
        assert_eq!((count(&replies, 201), count(&replies, 402)), (3, 9), "{:?}", statuses(&replies));
        assert_eq!(ada.used_bytes().await, 300 << 10);
    }
}

api_test! {
    async fn parallel_registrations_of_the_same_hashes_make_one_file(app) {
        let ada = app.user("ada@example.com").await;
        let body = registration("a.txt");
        let replies = join_all((0..20).map(|_| ada.try_register(&body))).await;
        assert_eq!((count(&replies, 201), count(&replies, 409)), (1, 19), "{:?}", statuses(&replies));
        let made = replies.iter().find(|reply| reply.status == 201).unwrap().expect_json(201);
        for reply in replies.iter().filter(|reply| reply.status == 409) {
            let body = assert_error(reply, 409, "File already exists");
            assert_eq!(body["existing_file"]["id"], made["id"]);
        }
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 1);
        assert_eq!(ada.used_bytes().await, 1000);
    }
}

api_test! {
    async fn parallel_uploads_of_the_same_bytes_make_one_file(app) {
        let ada = app.user("ada@example.com").await;
        let replies = join_all((0..10).map(|number| {
            let ada = &ada;
            async move { ada.try_upload(noise(1, 50 * KIB), &format!("{number}.bin")).await }
        }))
        .await;
        assert_eq!((count(&replies, 201), count(&replies, 409)), (1, 9), "{:?}", statuses(&replies));
        assert_eq!(ada.used_bytes().await, 50 << 10);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn parallel_uploads_of_the_same_bytes_by_several_users_are_stored_once(app) {
        let mut clients = Vec::new();
        for number in 0..6 {
            clients.push(app.user(&format!("user{number}@example.com")).await);
        }
        let files = join_all(clients.iter().map(|client| client.upload(noise(1, 50 * KIB), "a.bin"))).await;
        for (client, file) in clients.iter().zip(&files) {
            assert_eq!(client.used_bytes().await, 50 << 10);
            let reply = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await;
            assert_eq!(sha256_hex(&reply.body), sha256_hex(&noise(1, 50 * KIB)));
        }
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn two_hundred_parallel_uploads_are_all_correct(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("target", None).await;
        let id = folder["id"].as_str().unwrap();
        let files = join_all((0..200_u64).map(|seed| {
            let ada = &ada;
            async move {
                let path = format!("/api/cdn/uploads/same%20name.bin?folder_id={id}");
                ada.put(&path).body(noise(seed, 64 * KIB)).fetch().await.expect_json(201)
            }
        }))
        .await;
        for (seed, file) in (0..).zip(&files) {
            assert_eq!(file["sha256_hash"], sha256_hex(&noise(seed, 64 * KIB)));
        }
        let read =
            join_all(files.iter().map(|file| app.anonymous().get(&app.local(&file["cdn_url"])).fetch()))
                .await;
        for (reply, file) in read.iter().zip(&files) {
            reply.expect_status(200);
            assert_eq!(file["sha256_hash"], sha256_hex(&reply.body));
        }
        let mut names: Vec<_> = files.iter().map(|file| file["filename"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 200);
        assert_eq!(ada.used_bytes().await, 200 * 64 * 1024);
        assert_eq!(ada.folder(&folder["id"]).await.expect_json(200)["files_count"], 200);
        app.expect_stored_objects(200).await;
    }
}

api_test! {
    async fn parallel_files_of_one_name_get_names_of_their_own(app) {
        let ada = app.user("ada@example.com").await;
        let files = join_all((0..15).map(|_| {
            let ada = &ada;
            async move { ada.register(&registration("a.jpg")).await }
        }))
        .await;
        let mut names: Vec<_> =
            files.iter().map(|file| file["filename"].as_str().unwrap().to_owned()).collect();
        names.sort();
        let mut expected: Vec<_> = (1..15).map(|number| format!("a ({number}).jpg")).collect();
        expected.push("a.jpg".to_owned());
        expected.sort();
        assert_eq!(names, expected);
    }
}

api_test! {
    async fn parallel_first_calls_make_one_root(app) {
        let ada = app.user("ada@example.com").await;
        let roots = join_all((0..12).map(|number| {
            let ada = &ada;
            async move {
                match number % 3 {
                    0 => ada.root().await["id"].clone(),
                    1 => ada.create_folder(&format!("folder {number}"), None).await["parent"].clone(),
                    _ => ada.register(&registration("a.txt")).await["folder"].clone(),
                }
            }
        }))
        .await;
        assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
        let root = ada.root().await;
        assert_eq!((&root["children_count"], &root["files_count"]), (&json!(4), &json!(4)));
    }
}

api_test! {
    async fn parallel_folders_of_one_name_have_one_winner(app) {
        let ada = app.user("ada@example.com").await;
        let replies = join_all((0..10).map(|_| ada.try_create_folder("one", None))).await;
        assert_eq!((count(&replies, 201), count(&replies, 409)), (1, 9), "{:?}", statuses(&replies));
        assert_eq!(ada.root().await["children_count"], 1);
    }
}

api_test! {
    async fn parallel_deletes_have_one_winner(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        let folder = ada.create_folder("folder", None).await;
        for path in [
            format!("/api/cdn/files/{}/", file["id"].as_str().unwrap()),
            format!("/api/cdn/folders/{}/", folder["id"].as_str().unwrap()),
        ] {
            let replies = join_all((0..8).map(|_| ada.delete(&path).fetch())).await;
            assert_eq!((count(&replies, 204), count(&replies, 404)), (1, 7), "{:?}", statuses(&replies));
        }
        let root = ada.root().await;
        assert_eq!((&root["children_count"], &root["files_count"]), (&json!(0), &json!(0)));
    }
}

api_test! {
    async fn parallel_renames_to_one_name_have_one_winner(app) {
        let ada = app.user("ada@example.com").await;
        let mut files = Vec::new();
        for number in 0..6 {
            files.push(ada.register(&registration(&format!("{number}.txt"))).await);
        }
        let replies =
            join_all(files.iter().map(|file| ada.patch_file(file, json!({"filename": "won.txt"})))).await;
        assert_eq!((count(&replies, 200), count(&replies, 409)), (1, 5), "{:?}", statuses(&replies));
    }
}

api_test! {
    async fn folders_moved_into_each_other_at_once_make_no_loop(app) {
        let ada = app.user("ada@example.com").await;
        for round in 0..5 {
            let a = ada.create_folder(&format!("a{round}"), None).await;
            let b = ada.create_folder(&format!("b{round}"), None).await;
            let replies = join_all([
                ada.patch_folder(&a, json!({"parent": b["id"]})),
                ada.patch_folder(&b, json!({"parent": a["id"]})),
            ])
            .await;
            assert_eq!((count(&replies, 200), count(&replies, 400)), (1, 1), "{:?}", statuses(&replies));
            for folder in [&a, &b] {
                let path = ada.folder(&folder["id"]).await.expect_json(200)["full_path"].clone();
                assert!(path.as_str().unwrap().starts_with("Root/"), "{path}");
            }
        }
    }
}

api_test! {
    async fn uploads_into_a_folder_that_is_being_deleted_end_well_or_not_at_all(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("going", None).await;
        let id = folder["id"].as_str().unwrap();
        let path = format!("/api/cdn/folders/{id}/");
        let uploads = join_all((0..10_u64).map(|seed| {
            let request =
                ada.put(&format!("/api/cdn/uploads/{seed}.bin?folder_id={id}")).body(noise(seed, 20 * KIB));
            request.fetch()
        }));
        let (uploads, deleted) = futures_util::future::join(uploads, ada.delete(&path).fetch()).await;
        deleted.expect_empty(204);
        for reply in &uploads {
            if reply.status != 201 {
                assert_error(reply, 404, "Not found.");
            }
        }
        // What was stored went to the trash with its folder; what was not has left nothing.
        app.expect_stored_objects(count(&uploads, 201)).await;
        assert_eq!(ada.used_bytes().await, (count(&uploads, 201) * 20 * KIB) as u64);
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
    }
}

api_test! {
    async fn parallel_logins_of_one_user_are_sessions_of_their_own(app) {
        app.create_user("ada@example.com", None).await;
        let clients = join_all((0..6).map(|_| app.login("ada@example.com", crate::harness::PASSWORD))).await;
        clients[0].post("/api/auth/logout").fetch().await.expect_json(200);
        assert_refused(&clients[0].bearer().get("/api/auth/me").fetch().await, 401);
        for client in &clients[1..] {
            assert_eq!(client.get_json("/api/auth/me").await["user"]["id"], json!(clients[0].id));
        }
    }
}

api_test! {
    async fn reads_go_on_while_much_is_written(app) {
        let ada = app.user("ada@example.com").await;
        let writes = join_all((0..40).map(|number| {
            let ada = &ada;
            async move { ada.register(&registration(&format!("{number}.txt"))).await }
        }));
        let reads = join_all((0..40).map(|_| ada.get_json("/api/cdn/files/?page_size=100")));
        let (_, pages) = futures_util::future::join(writes, reads).await;
        for page in pages {
            // A page and its count are read one after the other; neither is ever an error.
            assert!(page["count"].is_u64() && page["results"].is_array(), "{page}");
        }
        assert_eq!(ada.get_json("/api/cdn/files/?page_size=100").await["count"], json!(40));
        let all: Vec<Value> =
            ada.get_json("/api/cdn/files/?page_size=100").await["results"].as_array().unwrap().clone();
        assert_eq!(all.len(), 40);
    }
}
