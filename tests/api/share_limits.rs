//! Limits of links hold, however many come at once and whatever they try.

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::harness::{Fetch, assert_error, link_path, noise};

api_test! {
    async fn of_2000_downloads_at_once_exactly_100_succeed(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 64), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"download_limit": 100})).await;
        let visitor = app.anonymous();
        let statuses: Vec<u16> = stream::iter(0..2000)
            .map(|_| async { visitor.download_by_link(&share, "").fetch().await.status })
            .buffer_unordered(500)
            .collect()
            .await;
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(200), count(410)), (100, 1900), "{statuses:?}");
        let shown = ada.shown_share(&share).await;
        assert_eq!((&shown["download_count"], &shown["access_logs_count"]), (&json!(100), &json!(100)));
    }
}

api_test! {
    async fn the_limit_is_of_the_share_whatever_is_downloaded_by_it(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        for seed in 0..3 {
            ada.upload_to(&folder, noise(seed, 50), &format!("{seed}.bin")).await;
        }
        let share = ada.share_by_link("folder", &folder, json!({"download_limit": 4})).await;
        let opened = app.anonymous().open_link(&share, "").await.expect_json(200);
        let urls: Vec<_> = opened["resource"].as_array().unwrap().iter().map(|file| app.local(&file["cdn_url"])).collect();
        let visitor = app.anonymous();
        let all = urls.iter().cycle().take(30);
        let statuses: Vec<u16> = stream::iter(all)
            .map(|url| async { visitor.get(url).fetch().await.status })
            .buffer_unordered(30)
            .collect()
            .await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 4, "{statuses:?}");
    }
}

api_test! {
    async fn a_limit_can_be_raised_and_set_below_what_was_downloaded(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 64), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let visitor = app.anonymous();
        let download = async || visitor.download_by_link(&share, "").fetch().await;
        for _ in 0..3 {
            download().await.expect_status(200);
        }
        ada.patch_share(&share, json!({"download_limit": 2})).await.expect_json(200);
        assert_error(&download().await, 410, "Download limit reached");
        ada.patch_share(&share, json!({"download_limit": 4})).await.expect_json(200);
        download().await.expect_status(200);
        assert_error(&download().await, 410, "Download limit reached");
        ada.patch_share(&share, json!({"download_limit": null})).await.expect_json(200);
        download().await.expect_status(200);
        assert_eq!(ada.shown_share(&share).await["download_count"], 5);
    }
}

api_test! {
    async fn a_hundred_wrong_passwords_are_cut_off_and_the_right_one_works_elsewhere(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 64), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"password": "right"})).await;
        let other = ada.share_by_link("file", &file, json!({"password": "right"})).await;
        let guesser = app.anonymous_from(2);
        let mut refused = 0;
        for nth in 0..100 {
            // By turns with the view and the download.
            let path = link_path(&share, if nth % 2 == 0 { "" } else { "download" }, "");
            let reply = guesser.get(&path).header("x-share-password", format!("wrong {nth}")).fetch().await;
            if reply.status == 429 {
                assert_error(&reply, 429, "Too many attempts. Try again later.");
                assert!(nth >= 10, "after {nth}");
                refused += 1;
            } else {
                assert_error(&reply, 401, "Wrong password");
            }
        }
        assert_eq!(refused, 90);
        let right = |client: &crate::harness::Client, share: &serde_json::Value| {
            client.get(&link_path(share, "", "")).header("x-share-password", "right").fetch()
        };
        assert_error(&right(&guesser, &share).await, 429, "Too many attempts. Try again later.");
        right(&app.anonymous_from(3), &share).await.expect_json(200);
        right(&guesser, &other).await.expect_json(200);
    }
}

api_test! {
    with |config| { config.limits.guesses.per_network = 5; }
    async fn tokens_that_are_none_are_cut_off_too(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 64), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let guesser = app.anonymous_from(2);
        for nth in 0..8 {
            let reply = guesser.get(&format!("/api/cdn/shares/public/?token=guess{nth}")).fetch().await;
            assert_eq!(reply.status, if nth < 5 { 404 } else { 429 }, "{nth}");
        }
        app.anonymous().open_link(&share, "").await.expect_json(200);
    }
}
