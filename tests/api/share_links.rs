//! `/api/cdn/shares/public/`: what a link opens, and what it keeps to itself.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    Fetch, assert_error, assert_refused, encode, id_of, link_path, merged, names_of, noise, registration,
};

/// What a public answer must not tell of a stored file: its id makes the URL that anybody may read.
fn assert_tells_no_way(answer: &Value, file: &Value) {
    let text = answer.to_string();
    for secret in [id_of(file), "/f/", file["cdn_url"].as_str().unwrap(), "@example.com"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

/// The restrictions of which each alone makes the share's own URLs the only way.
fn restrictions() -> [Value; 4] {
    let ends = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    [
        json!({"download_limit": 50}),
        json!({"password": "secret"}),
        json!({"expires_at": ends}),
        json!({"allow_download": false}),
    ]
}

api_test! {
    async fn a_token_is_needed_and_must_be_one(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let (visitor, path) = (app.anonymous(), "/api/cdn/shares/public/");
        for missing in ["", "?token=", "?tokens=x"] {
            assert_error(&visitor.get(&format!("{path}{missing}")).fetch().await, 400, "Token required");
            assert_error(&visitor.get(&format!("{path}download/{missing}")).fetch().await, 400, "Token required");
        }
        assert_error(&visitor.post(path).json(&json!({})).fetch().await, 400, "Token required");
        for wrong in ["x".to_owned(), id_of(&share).to_owned(), "a".repeat(43), "%00".to_owned()] {
            assert_error(&visitor.get(&format!("{path}?token={wrong}")).fetch().await, 404, "Invalid token");
        }
        ada.patch_share(&share, json!({"is_public": false})).await.expect_json(200);
        assert_error(&visitor.open_link(&share, "").await, 404, "Invalid token");
        assert_error(&visitor.download_by_link(&share, "").fetch().await, 404, "Invalid token");
    }
}

api_test! {
    async fn an_open_link_shows_the_file_and_nothing_about_people(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 2000), "a b.bin").await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let reply = app.anonymous().open_link(&share, "").await;
        assert_eq!(reply.header("cache-control"), "private, no-store");
        let opened = reply.expect_json(200);
        let shown = &opened["resource"];
        for field in ["id", "filename", "file_size", "file_size_human", "mime_type", "file_extension", "cdn_url", "sha256_hash", "created_at"] {
            assert_eq!(shown[field], file[field], "{field}");
        }
        assert_eq!((&opened["share"]["resource_id"], &opened["share"]["resource_detail"]["filename"]), (&file["id"], &json!("a b.bin")));
        assert_eq!((&opened["share"]["can_download"], &opened["share"]["password_protected"]), (&json!(true), &json!(false)));
        assert_eq!(opened["share"]["owner_detail"]["full_name"], "User ada@example.com");
        let mut told = opened.clone();
        told["share"]["owner_detail"]["full_name"] = Value::Null;
        let text = told.to_string();
        for secret in ["ada@example.com", id_of(&file["folder_detail"]), "storage_path", share["public_token"].as_str().unwrap()] {
            // The share's own URL has the token, which the visitor has too.
            let is_url = secret == share["public_token"];
            assert!(is_url || !text.contains(secret), "{secret} is in {text}");
        }
        for absent in ["owner", "folder", "folder_detail", "versions", "public_token", "access_logs_count"] {
            assert!(shown.get(absent).is_none() && opened["share"].get(absent).is_none(), "{absent}: {opened}");
        }
        assert_eq!(app.anonymous().get(&app.local(&shown["cdn_url"])).fetch().await.body, noise(1, 2000));
        assert_eq!(app.anonymous().get(&app.local(&shown["download_url"])).fetch().await.body, noise(1, 2000));
    }
}

api_test! {
    async fn each_restriction_makes_the_shares_own_url_the_only_way(app) {
        let ada = app.user("ada@example.com").await;
        let stored = ada.upload(noise(1, 100), "stored.bin").await;
        let registered = ada.register(&registration("registered.txt")).await;
        let folder = ada.create_folder("folder", None).await;
        let inside = ada.upload_to(&folder, noise(2, 100), "inside.bin").await;
        for restriction in restrictions() {
            for (kind, thing, file) in [("file", &stored, &stored), ("file", &registered, &registered), ("folder", &folder, &inside)] {
                let share = ada.share_by_link(kind, thing, restriction.clone()).await;
                let request = app.anonymous().get(&link_path(&share, "", "")).header("x-share-password", "secret");
                let mut opened = request.fetch().await.expect_json(200);
                opened["share"]["owner_detail"] = Value::Null;
                assert_tells_no_way(&opened, file);
                let shown = if kind == "file" { &opened["resource"] } else { &opened["resource"][0] };
                let url = app.local(&shown["cdn_url"]);
                assert!(url.starts_with("/api/cdn/shares/public/download/?"), "{url}");
                assert_eq!(shown["download_url"], shown["cdn_url"]);
                for guess in [&shown["id"], &opened["share"]["resource_id"], &opened["share"]["id"]] {
                    app.anonymous().get(&format!("/f/{}/a", guess.as_str().unwrap())).fetch().await.expect_status(404);
                }
                // A plain link: what the password was for is in it.
                let reply = app.anonymous().get(&url).fetch().await;
                match (restriction.get("allow_download"), file["cdn_url"].as_str().unwrap().contains("/f/")) {
                    (Some(_), _) => drop(assert_refused(&reply, 403)),
                    (None, true) => reply.expect_status(200),
                    (None, false) => assert_eq!((reply.status, reply.header("location")), (302, file["cdn_url"].as_str().unwrap())),
                }
                assert!(!reply.header("cache-control").contains("public"), "{}", reply.header("cache-control"));
            }
        }
    }
}

api_test! {
    async fn a_folder_link_walks_down_and_never_up(app) {
        let ada = app.user("ada@example.com").await;
        let secret = ada.create_folder("secret", None).await;
        let shared = ada.create_folder("shared", Some(&secret)).await;
        let inner = ada.create_folder("in ner", Some(&shared)).await;
        let deep = ada.create_folder("deep", Some(&inner)).await;
        ada.register_in(&shared, "top.txt").await;
        ada.register_in(&deep, "deep.txt").await;
        let beside = ada.register_in(&secret, "beside.txt").await;
        let sibling = ada.create_folder("shared too", Some(&secret)).await;
        ada.register_in(&sibling, "sibling.txt").await;
        let share = ada.share_by_link("folder", &shared, json!({})).await;
        let visitor = app.anonymous();
        let opened = visitor.open_link(&share, "").await.expect_json(200);
        assert_eq!(names_of(&opened["resource"]), ["top.txt"]);
        assert_eq!((&opened["folder"]["name"], &opened["folder"]["path"], &opened["folder"]["files_count"]), (&json!("shared"), &json!(""), &json!(1)));
        assert_eq!((&opened["folders"][0]["name"], &opened["folders"][0]["path"]), (&json!("in ner"), &json!("in ner")));
        assert!(!opened.to_string().contains("secret") && !opened.to_string().contains(id_of(&secret)), "{opened}");
        for path in ["in ner/deep", "/in ner/deep/", "in ner//deep"] {
            let deep = visitor.open_link(&share, &format!("&path={}", encode(path))).await.expect_json(200);
            assert_eq!((names_of(&deep["resource"]), &deep["folder"]["path"]), (vec!["deep.txt".into()], &json!("in ner/deep")));
        }
        // What comes later is there too.
        ada.register_in(&deep, "later.txt").await;
        let deep = visitor.open_link(&share, "&path=in%20ner/deep").await.expect_json(200);
        assert_eq!(names_of(&deep["resource"]), ["deep.txt", "later.txt"]);
        for path in ["..", "../shared", "in ner/..", "nothing", "Root/secret/shared", "../secret", " too", "in ner/../..", "in%2e"] {
            assert_error(&visitor.open_link(&share, &format!("&path={}", encode(path))).await, 404, "Not found.");
        }
        for file in [&beside, &ada.register(&registration("root.txt")).await] {
            let reply = visitor.download_by_link(&share, &format!("&file={}", id_of(file))).fetch().await;
            assert_error(&reply, 404, "Not found.");
        }
        assert_refused(&visitor.download_by_link(&share, "").fetch().await, 400);
        assert_refused(&visitor.download_by_link(&share, "&file=x").fetch().await, 400);
    }
}

api_test! {
    async fn every_file_below_a_shared_folder_can_be_downloaded_by_the_link(app) {
        let ada = app.user("ada@example.com").await;
        let shared = ada.create_folder("shared", None).await;
        let inner = ada.create_folder("inner", Some(&shared)).await;
        ada.upload_to(&inner, noise(1, 300), "a.bin").await;
        let share = ada.share_by_link("folder", &shared, json!({"download_limit": 2})).await;
        let opened = app.anonymous().open_link(&share, "&path=inner").await.expect_json(200);
        let url = app.local(&opened["resource"][0]["cdn_url"]);
        let reply = app.anonymous().get(&url).fetch().await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, noise(1, 300).as_slice()));
        assert!(reply.header("content-disposition").starts_with("attachment"), "{}", reply.header("content-disposition"));
        assert_eq!(ada.shown_share(&share).await["download_count"], 1);
        // The link of another share doesn't lead there with this one's id.
        let other = ada.share_by_link("folder", &shared, json!({"download_limit": 2})).await;
        let id = opened["resource"][0]["id"].as_str().unwrap();
        assert_error(&app.anonymous().download_by_link(&other, &format!("&file={id}")).fetch().await, 404, "Not found.");
    }
}

api_test! {
    async fn a_share_with_a_password_opens_with_it_only(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"password": "pässword"})).await;
        let visitor = app.anonymous();
        for call in ["", "download"] {
            let path = link_path(&share, call, "");
            assert_error(&visitor.get(&path).fetch().await, 401, "Password required");
            assert_error(&visitor.get(&path).header("x-share-password", "").fetch().await, 401, "Password required");
            assert_error(&visitor.get(&path).header("x-share-password", "wrong").fetch().await, 401, "Wrong password");
            assert_error(&visitor.get(&format!("{path}&pass=9999999999.AAAA")).fetch().await, 401, "Password required");
            visitor.get(&path).header("x-share-password", "pässword".as_bytes()).fetch().await.expect_status(200);
        }
        let token = &share["public_token"];
        let post = async |body: Value| visitor.post("/api/cdn/shares/public/").json(&body).fetch().await;
        assert_error(&post(json!({"token": token})).await, 401, "Password required");
        assert_error(&post(json!({"token": token, "password": "wrong"})).await, 401, "Wrong password");
        let opened = post(json!({"token": token, "password": "pässword"})).await.expect_json(200);
        let url = app.local(&opened["resource"]["cdn_url"]);
        visitor.get(&url).fetch().await.expect_status(200);
        // Its owner has no other way in either.
        assert_error(&ada.open_link(&share, "").await, 401, "Password required");
        // What stood for the old password ends with it.
        ada.patch_share(&share, json!({"password": "another"})).await.expect_json(200);
        assert_error(&visitor.get(&url).fetch().await, 401, "Password required");
        let opened = post(json!({"token": token, "password": "another"})).await.expect_json(200);
        let url = app.local(&opened["resource"]["cdn_url"]);
        visitor.get(&url).fetch().await.expect_status(200);
        app.clock.advance(TimeDelta::minutes(61));
        assert_error(&visitor.get(&url).fetch().await, 401, "Password required");
    }
}

api_test! {
    async fn an_expired_link_is_410(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let ends = (Utc::now() + TimeDelta::minutes(10)).to_rfc3339();
        let share = ada.share_by_link("file", &file, json!({"expires_at": ends, "password": "x"})).await;
        let visitor = app.anonymous();
        app.clock.advance(TimeDelta::minutes(9));
        assert_error(&visitor.open_link(&share, "").await, 401, "Password required");
        app.clock.advance(TimeDelta::minutes(1));
        assert_error(&visitor.open_link(&share, "").await, 410, "Share expired");
        assert_error(&visitor.download_by_link(&share, "").fetch().await, 410, "Share expired");
        ada.patch_share(&share, json!({"expires_at": null, "password": null})).await.expect_json(200);
        visitor.open_link(&share, "").await.expect_json(200);
    }
}

api_test! {
    async fn downloads_that_are_off_are_403(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"allow_download": false})).await;
        let opened = app.anonymous().open_link(&share, "").await.expect_json(200);
        assert_eq!(opened["share"]["can_download"], false);
        for path in [link_path(&share, "download", ""), app.local(&opened["resource"]["cdn_url"])] {
            assert_refused(&app.anonymous().get(&path).fetch().await, 403);
            app.anonymous().head(&path).fetch().await.expect_empty(403);
        }
        assert_eq!(ada.shown_share(&share).await["download_count"], 0);
    }
}

api_test! {
    async fn a_download_counts_once_and_a_look_counts_not(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 1000), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let visitor = app.anonymous();
        let count = async || ada.shown_share(&share).await["download_count"].as_u64().unwrap();
        let first = visitor.download_by_link(&share, "").fetch().await;
        first.expect_status(200);
        assert_eq!(count().await, 1);
        let head = visitor.head(&link_path(&share, "download", "")).fetch().await;
        head.expect_empty(200);
        assert_eq!(head.header("content-length"), "1000");
        let tag = first.header("etag");
        visitor.download_by_link(&share, "").header("if-none-match", tag).fetch().await.expect_empty(304);
        visitor.open_link(&share, "").await.expect_json(200);
        assert_eq!(count().await, 1);
        // A download in parts is one download.
        for (range, length) in [("bytes=0-499", 500), ("bytes=500-", 500)] {
            let part = visitor.download_by_link(&share, "").header("range", range).fetch().await;
            assert_eq!((part.status, part.body.len()), (206, length));
        }
        assert_eq!(count().await, 2);
        app.flush().await;
        assert_eq!(ada.get_json("/api/cdn/analytics/").await[0]["download_count"], 2);
    }
}

api_test! {
    async fn a_share_with_a_limit_sends_whole_files_only(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 1000), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"download_limit": 2})).await;
        let visitor = app.anonymous();
        for range in ["bytes=500-", "bytes=-1"] {
            let whole = visitor.download_by_link(&share, "").header("range", range).fetch().await;
            assert_eq!((whole.status, whole.body.len(), whole.header("accept-ranges")), (200, 1000, "none"));
        }
        for range in ["bytes=500-", "bytes=0-0"] {
            let reply = visitor.download_by_link(&share, "").header("range", range).fetch().await;
            assert_error(&reply, 410, "Download limit reached");
        }
        // It may still be looked at.
        let opened = visitor.open_link(&share, "").await.expect_json(200);
        assert_eq!(opened["share"]["can_download"], false);
    }
}

api_test! {
    async fn where_a_registered_file_is_is_told_by_a_download_only(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.share_by_link("file", &file, json!({"download_limit": 1})).await;
        let visitor = app.anonymous();
        let head = visitor.head(&link_path(&share, "download", "")).fetch().await;
        assert_eq!((head.status, head.header("location")), (200, ""));
        let reply = visitor.download_by_link(&share, "").fetch().await;
        assert_eq!((reply.status, reply.header("location")), (302, file["cdn_url"].as_str().unwrap()));
        assert_error(&visitor.download_by_link(&share, "").fetch().await, 410, "Download limit reached");
    }
}

api_test! {
    async fn a_script_that_was_shared_can_not_act_on_this_origin(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(b"<html><script>alert(1)</script>".to_vec(), "a.html").await;
        let share = ada.share_by_link("file", &file, merged(json!({}), json!({"download_limit": 9}))).await;
        let reply = app.anonymous().download_by_link(&share, "").fetch().await;
        assert!(reply.header("content-security-policy").contains("sandbox"), "{:?}", reply.headers);
        assert!(reply.header("content-disposition").starts_with("attachment"), "{:?}", reply.headers);
        assert_eq!((reply.header("x-content-type-options"), reply.header("access-control-allow-origin")), ("nosniff", ""));
    }
}
