//! The janitor's sweep, with a clock that the test moves: what goes after thirty days, and what never at once.

use chrono::TimeDelta;
use serde_json::Value;

use crate::harness::{Client, Fetch, PASSWORD, TestApp, noise, registration};

async fn trashed(client: &Client, seeds: std::ops::Range<u64>) -> Vec<Value> {
    let mut files = Vec::new();
    for seed in seeds {
        let file = client.upload(noise(seed, 100), &format!("{seed}.bin")).await;
        client.trash_file(&file).await;
        files.push(file);
    }
    files
}

/// The test user, by a login that is valid now.
async fn again(app: &TestApp) -> Client {
    app.login("ada@example.com", PASSWORD).await
}

async fn days_left(client: &Client) -> Vec<i64> {
    client
        .trash_items()
        .await
        .iter()
        .map(|item| item["days_until_permanent_delete"].as_i64().unwrap())
        .collect()
}

api_test! {
    async fn on_day_29_it_stays_and_on_day_30_it_goes(app) {
        let ada = app.user("ada@example.com").await;
        let files = trashed(&ada, 0..2).await;
        let folder = ada.create_folder("folder", None).await;
        ada.upload_to(&folder, noise(2, 100), "inside.bin").await;
        let kept = ada.upload(noise(3, 100), "kept.bin").await;
        ada.trash_folder(&folder).await;
        app.clock.advance(TimeDelta::days(29));
        let report = app.services.sweep(false).await.unwrap();
        assert_eq!((report.purged.items, report.held_back), (0, 0), "{report:?}");
        let ada = again(app).await;
        assert_eq!(days_left(&ada).await, [1, 1, 1]);
        ada.restore(&ada.item_of(&files[1]).await).await;
        // A minute before the thirtieth day is over.
        app.clock.advance(TimeDelta::hours(23) + TimeDelta::minutes(59));
        let report = app.services.sweep(false).await.unwrap();
        assert_eq!(report.purged.items, 0, "{report:?}");
        app.expect_stored_objects(4).await;
        app.clock.advance(TimeDelta::minutes(1));
        let report = app.services.sweep(false).await.unwrap();
        assert_eq!((report.purged.items, report.purged.bytes, report.blobs), (2, 200, 2), "{report:?}");
        assert_eq!((report.held_back, &report.failures), (0, &vec![]), "{report:?}");
        let ada = again(app).await;
        assert_eq!(ada.trash_items().await, [Value::Null; 0]);
        assert_eq!(ada.stats().await["storage_used"], 200);
        app.expect_stored_objects(2).await;
        for file in [&files[1], &kept] {
            app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await.expect_status(200);
        }
        let report = app.services.sweep(false).await.unwrap();
        assert_eq!((report.purged.items, report.blobs), (0, 0), "{report:?}");
    }
}

api_test! {
    async fn what_is_due_but_not_swept_yet_has_no_days_left_and_can_come_back(app) {
        let ada = app.user("ada@example.com").await;
        let files = trashed(&ada, 0..1).await;
        app.clock.advance(TimeDelta::days(40));
        let ada = again(app).await;
        assert_eq!(days_left(&ada).await, [0]);
        ada.restore(&ada.item_of(&files[0]).await).await;
        assert_eq!(app.services.sweep(false).await.unwrap().purged.items, 0);
        app.anonymous().get(&app.local(&files[0]["cdn_url"])).fetch().await.expect_status(200);
    }
}

api_test! {
    with |config| { config.trash.retention = hackclub_cdn::config::Span::from_days(2); }
    async fn the_retention_is_configurable(app) {
        let ada = app.user("ada@example.com").await;
        trashed(&ada, 0..1).await;
        assert_eq!(days_left(&ada).await, [2]);
        app.clock.advance(TimeDelta::days(1));
        assert_eq!(app.services.sweep(false).await.unwrap().purged.items, 0);
        app.clock.advance(TimeDelta::days(1));
        assert_eq!(app.services.sweep(false).await.unwrap().purged.items, 1);
    }
}

api_test! {
    with |config| { config.janitor.unusual_items = 3; }
    async fn a_clock_that_jumps_a_year_purges_nothing_until_it_is_forced(app) {
        let ada = app.user("ada@example.com").await;
        let files = trashed(&ada, 0..5).await;
        app.clock.advance(TimeDelta::days(365));
        for _ in 0..2 {
            let report = app.services.sweep(false).await.unwrap();
            assert_eq!((report.purged.items, report.held_back), (0, 5), "{report:?}");
            assert_eq!(report.failures, [], "{report:?}");
        }
        app.expect_stored_objects(5).await;
        let ada = again(app).await;
        ada.restore(&ada.item_of(&files[0]).await).await;
        let report = app.services.sweep(true).await.unwrap();
        assert_eq!((report.purged.items, report.purged.bytes, report.held_back), (4, 400, 0), "{report:?}");
        assert_eq!(ada.trash_items().await, [Value::Null; 0]);
        app.expect_stored_objects(1).await;
        app.anonymous().get(&app.local(&files[0]["cdn_url"])).fetch().await.expect_status(200);
    }
}

api_test! {
    with |config| { config.janitor.unusual_items = 3; }
    async fn the_usual_amount_and_a_small_share_go_without_a_question(app) {
        let ada = app.user("ada@example.com").await;
        trashed(&ada, 0..3).await;
        app.clock.advance(TimeDelta::days(30));
        assert_eq!(app.services.sweep(false).await.unwrap().purged.items, 3, "no more than is usual");
        let ada = again(app).await;
        trashed(&ada, 10..15).await;
        app.clock.advance(TimeDelta::days(29));
        let ada = again(app).await;
        trashed(&ada, 20..30).await;
        app.clock.advance(TimeDelta::days(1));
        let report = app.services.sweep(false).await.unwrap();
        assert_eq!((report.purged.items, report.held_back), (5, 0), "a third of all trash: {report:?}");
        assert_eq!(again(app).await.trash_items().await.len(), 10);
    }
}

api_test! {
    with |config| { config.janitor.batch = 2; }
    async fn small_batches_come_to_the_same_end(app) {
        let ada = app.user("ada@example.com").await;
        trashed(&ada, 0..5).await;
        app.clock.advance(TimeDelta::days(31));
        let report = app.services.sweep(false).await.unwrap();
        assert_eq!((report.purged.items, report.blobs, report.ended_early), (5, 5, None), "{report:?}");
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn a_large_tree_goes_in_batches(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let mut parent = top.clone();
        for nth in 0..230 {
            let folder = ada.create_folder(&format!("{nth}"), Some(&parent)).await;
            // Twenty levels, then twenty more from the top.
            parent = if nth % 20 == 19 { top.clone() } else { folder };
        }
        app.seed_files(&ada, &top, (0..450).map(|nth| format!("{nth}.txt")).collect()).await;
        ada.upload_to(&parent, noise(1, 100), "deep.bin").await;
        let alone = ada.register_in(&parent, "alone.txt").await;
        ada.trash_file(&alone).await;
        ada.trash_folder(&top).await;
        assert_eq!(ada.trash_items().await.len(), 2);
        assert_eq!(ada.stats().await["total_files"], 0);
        ada.purge(&ada.item_of(&top).await).await;
        assert_eq!(ada.get_json("/api/cdn/folders/").await["count"], 1);
        app.expect_stored_objects(0).await;
        ada.restore(&ada.item_of(&alone).await).await;
        assert_eq!(ada.file(&alone["id"]).await.expect_json(200)["storage_path"], "Root/alone.txt");
    }
}

api_test! {
    async fn a_sweep_ends_expired_sessions_and_leaves_the_others(app) {
        let ada = app.user("ada@example.com").await;
        app.clock.advance(TimeDelta::days(20));
        let current = again(app).await;
        app.clock.advance(TimeDelta::days(11));
        let report = app.services.sweep(false).await.unwrap();
        assert!(report.cleared >= 1, "{report:?}");
        let refresh = async |client: &Client| {
            app.anonymous().post("/api/auth/refresh").header("cookie", client.session.cookies()).fetch().await.status
        };
        assert_eq!(refresh(&ada).await, 401);
        assert_eq!(refresh(&current).await, 200);
    }
}

api_test! {
    async fn sweeps_of_all_users_trash_keep_each_ones_figures(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        trashed(&ada, 0..2).await;
        // The same bytes as one of hers, and one that is not trashed.
        trashed(&grace, 1..4).await;
        let shared = grace.upload(noise(0, 100), "shared.bin").await;
        grace.register(&registration("registered.txt")).await;
        app.clock.advance(TimeDelta::days(30));
        assert_eq!(app.services.sweep(false).await.unwrap().purged.items, 5);
        assert_eq!(again(app).await.stats().await["storage_used"], 0);
        let grace = app.login("grace@example.com", PASSWORD).await;
        assert_eq!(grace.stats().await["storage_used"], 1100);
        app.anonymous().get(&app.local(&shared["cdn_url"])).fetch().await.expect_status(200);
        app.expect_stored_objects(1).await;
    }
}
