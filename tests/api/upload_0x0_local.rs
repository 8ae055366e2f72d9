//! `/api/cdn/upload-0x0/` with the endpoint "local": kept here for a while, and then gone for good.

use chrono::{TimeDelta, Utc};
use hackclub_cdn::config::{Config, Endpoint, Span};
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Form, Reply, TestApp, assert_error, assert_field_error, assert_file, assert_refused,
    md5_hex, merged, noise, picture, registration, set_tier, sha256_hex,
};
use crate::upload_0x0::{PATH, only_upload, pass_on, uploads};

fn local(config: &mut Config) {
    config.upload_0x0.endpoint = Endpoint::Local;
    config.auth.access_ttl = Span::from_days(90);
    config.auth.refresh_ttl = Span::from_days(100);
}

/// The URL of an answer that must be one.
#[track_caller]
fn url_of(reply: &Reply) -> Value {
    reply.expect_status(200);
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    let text = reply.text();
    let url = text.strip_suffix('\n').expect("a line");
    assert!(!url.contains('\n'), "{text}");
    json!(url)
}

async fn files(client: &Client) -> Vec<Value> {
    client.get_json("/api/cdn/files/").await["results"].as_array().expect("results").clone()
}

async fn sweep(app: &TestApp) {
    let report = app.services.sweep(true).await.expect("a sweep");
    assert!(report.failures.is_empty(), "{report:?}");
}

api_test! {
    with |config| { local(config); }
    async fn the_file_is_here_and_its_url_is_the_answer(app) {
        let ada = app.user("ada@example.com").await;
        let content = noise(1, 100_000);
        let reply = pass_on(&ada, &content).await;
        let url = url_of(&reply);
        let expires: i64 = reply.header("x-expires").parse().expect("milliseconds");
        let days = (expires - Utc::now().timestamp_millis()) / 86_400_000;
        assert!((29..=30).contains(&days), "{days}");
        let fetched = app.anonymous().get(&app.local(&url)).fetch().await;
        fetched.expect_status(200);
        assert!(fetched.body == content);

        let files = files(&ada).await;
        assert_eq!(files.len(), 1);
        assert_file(&files[0]);
        assert_eq!(files[0]["cdn_url"], url);
        assert_eq!(files[0]["folder_detail"]["full_path"], "Root/Temporary uploads");
        assert!(files[0]["expires_at"].is_string(), "{}", files[0]);
        assert_eq!(ada.used_bytes().await, 100_000);
        let row = only_upload(&ada).await;
        assert_eq!((&row["resource_id"], &row["resource_name"]), (&files[0]["id"], &json!("notes.txt")), "{row}");
        assert_eq!(row["metadata"]["external_service"], "local", "{row}");
        assert_eq!((&row["metadata"]["status_code"], &row["metadata"]["file_size"]), (&json!(200), &json!(100_000)));
        let status = ada.get_json("/api/cdn/upload-0x0/status/").await;
        assert_eq!((&status["endpoint"], &status["running"]), (&json!("local"), &json!(0)), "{status}");
        // Other files have no end.
        assert_eq!(ada.upload(noise(2, 10), "b.txt").await["expires_at"], Value::Null);
    }
}

api_test! {
    with |config| { local(config); }
    async fn after_its_time_it_is_gone_for_good_and_gives_its_quota_back(app) {
        let ada = app.user("ada@example.com").await;
        let kept = ada.upload(noise(3, 1_000), "kept.txt").await;
        let url = url_of(&pass_on(&ada, &noise(4, 5_000)).await);
        app.clock.advance(TimeDelta::days(29));
        sweep(app).await;
        app.anonymous().get(&app.local(&url)).fetch().await.expect_status(200);
        app.clock.advance(TimeDelta::days(1));
        sweep(app).await;
        assert_refused(&app.anonymous().get(&app.local(&url)).fetch().await, 404);
        let left = files(&ada).await;
        assert_eq!(left.len(), 1);
        assert_eq!(left[0]["id"], kept["id"]);
        assert_eq!(ada.used_bytes().await, 1_000);
        assert_eq!(ada.get_json("/api/cdn/trash/").await["count"], 0);
        app.expect_stored_objects(1).await;
        assert_eq!(ada.root().await["children_count"], 1, "the folder stays");
        assert_eq!(ada.get_json("/api/cdn/dashboard/").await["stats"]["total_files"], 1);
    }
}

api_test! {
    with |config| { local(config); config.janitor.unusual_items = 2; }
    async fn a_clock_that_jumps_does_not_make_them_go(app) {
        let ada = app.user("ada@example.com").await;
        for seed in 0..4 {
            url_of(&pass_on(&ada, &noise(seed, 100)).await);
        }
        app.clock.advance(TimeDelta::days(60));
        let report = app.services.sweep(false).await.expect("a sweep");
        assert_eq!((report.held_back, report.purged.items), (4, 0), "{report:?}");
        let report = app.services.sweep(true).await.expect("a sweep");
        assert_eq!((report.held_back, report.purged.items, report.purged.bytes), (0, 4, 400), "{report:?}");
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    with |config| { local(config); }
    async fn the_three_steps_of_the_old_clients_work_without_another_host(app) {
        let ada = app.user("ada@example.com").await;
        let content = noise(5, 3_000);
        let url = url_of(&pass_on(&ada, &content).await);
        let body = merged(registration("photo.jpg"), json!({
            "cdn_url": url, "file_size": 3_000, "md5_hash": md5_hex(&content), "sha256_hash": sha256_hex(&content),
        }));
        let file = ada.register(&body).await;
        assert_eq!((&file["cdn_url"], &file["filename"], &file["expires_at"]), (&url, &json!("photo.jpg"), &Value::Null));
        // And the real thing beside it.
        assert_error(&ada.try_register(&body).await, 409, "File already exists");
        app.anonymous().get(&app.local(&url)).fetch().await.expect_status(200);
    }
}

api_test! {
    with |config| { local(config); }
    async fn the_same_content_again_is_the_same_file_with_more_time(app) {
        let ada = app.user("ada@example.com").await;
        let content = noise(6, 2_000);
        // Stored for good before: that changes nothing.
        let stored = ada.upload(content.clone(), "a.txt").await;
        let first = pass_on(&ada, &content).await;
        app.clock.advance(TimeDelta::days(10));
        let second = pass_on(&ada, &content).await;
        assert_eq!(url_of(&first), url_of(&second));
        assert_ne!(url_of(&first), stored["cdn_url"]);
        let expires = |reply: &Reply| reply.header("x-expires").parse::<i64>().expect("milliseconds");
        assert!(expires(&second) - expires(&first) >= 10 * 86_400_000);
        assert_eq!(files(&ada).await.len(), 2);
        assert_eq!(ada.used_bytes().await, 2_000, "the same bytes count once");
        let bob = app.user("bob@example.com").await;
        assert_ne!(url_of(&pass_on(&bob, &content).await), url_of(&first), "each has their own");
        app.clock.advance(TimeDelta::days(31));
        sweep(app).await;
        app.anonymous().get(&app.local(&stored["cdn_url"])).fetch().await.expect_status(200);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    with |config| { local(config); }
    async fn a_wish_to_expire_sooner_is_heard(app) {
        let ada = app.user("ada@example.com").await;
        let send = |expires: String, seed: u64| {
            let form = Form::new().file("a.txt", &noise(seed, 100)).field("expires", &expires);
            form.on(ada.post(PATH)).fetch()
        };
        let now = Utc::now().timestamp_millis();
        for (number, (wish, hours)) in
            [("2".to_owned(), 2), ((now + 7_200_000).to_string(), 2), ("99999".to_owned(), 720), (String::new(), 720)]
                .into_iter()
                .enumerate()
        {
            let reply = send(wish.clone(), number as u64).await;
            url_of(&reply);
            let expires: i64 = reply.header("x-expires").parse().expect("milliseconds");
            let minutes_off = (expires - now) / 60_000 - hours * 60;
            assert!((-2..=3).contains(&minutes_off), "{wish}: {minutes_off}");
        }
        for wish in ["soon", "-1", "0", "1650460320001", "1.5"] {
            assert_field_error(&send(wish.to_owned(), 9).await, "expires");
        }
        assert_eq!(files(&ada).await.len(), 4);
    }
}

api_test! {
    with |config| {
        local(config);
        set_tier(config, "small", 10_000, 15_000);
        config.upload_0x0.max_size = hackclub_cdn::config::ByteSize::from_bytes(8_000);
    }
    async fn limits_are_those_of_the_tier_of_the_quota_and_of_the_endpoint(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        assert_error(&pass_on(&ada, &noise(7, 8_001)).await, 413, "File too large");
        assert_error(&Form::new().on(ada.post(PATH)).fetch().await, 400, "No file provided");
        url_of(&pass_on(&ada, &noise(8, 8_000)).await);
        assert_error(&pass_on(&ada, &noise(9, 8_000)).await, 402, "Storage quota exceeded");
        assert_refused(&pass_on(&app.anonymous(), b"hello").await, 401);
        assert_eq!(uploads(&ada).await.len(), 1);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    with |config| { local(config); }
    async fn it_is_the_users_file_until_then(app) {
        let ada = app.user("ada@example.com").await;
        url_of(&pass_on(&ada, &noise(10, 100)).await);
        let file = files(&ada).await.remove(0);
        let renamed = ada.patch_file(&file, json!({"filename": "mine.txt"})).await.expect_json(200);
        assert_eq!((&renamed["filename"], &renamed["expires_at"]), (&json!("mine.txt"), &file["expires_at"]));
        // In the trash it goes by the trash's time, and comes back with its own.
        ada.trash_file(&file).await;
        app.clock.advance(TimeDelta::days(29));
        sweep(app).await;
        let item = ada.get_json("/api/cdn/trash/").await["results"][0]["id"].as_str().expect("an id").to_owned();
        ada.post(&format!("/api/cdn/trash/{item}/restore/")).fetch().await.expect_json(200);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200)["expires_at"], file["expires_at"]);
        app.clock.advance(TimeDelta::days(2));
        sweep(app).await;
        assert_refused(&ada.file(&file["id"]).await, 404);
        // The same folder serves again.
        url_of(&pass_on(&ada, &noise(11, 100)).await);
        assert_eq!(ada.root().await["children_count"], 1);
    }
}

api_test! {
    with |config| { local(config); }
    async fn a_picture_has_a_thumbnail_that_goes_with_it(app) {
        let ada = app.user("ada@example.com").await;
        pass_on(&ada, &picture(1, 40, 20)).await.expect_status(200);
        app.drain_jobs().await;
        let thumbnail = files(&ada).await[0]["thumbnail_url"].clone();
        app.anonymous().get(&app.local(&thumbnail)).fetch().await.expect_status(200);
        app.clock.advance(TimeDelta::days(30));
        sweep(app).await;
        assert_refused(&app.anonymous().get(&app.local(&thumbnail)).fetch().await, 404);
        app.expect_stored_objects(0).await;
    }
}
