//! The sweep by hand, what a stop writes down, and a purge that is cut off.

use crate::support::{
    SOON,
    client::{Client, Stored},
    database::Database,
    eventually,
    home::Home,
    random::content,
    server::Server,
};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// Puts all of them into the trash in one moment, so that they are due in one moment, too.
async fn trash(client: &Client, files: &[Stored]) {
    let items: Vec<_> = files.iter().map(|file| json!({ "type": "file", "id": file.id })).collect();
    let request = client.request(Method::POST, "/api/cdn/bulk/");
    let answer = request.json(&json!({ "action": "trash", "items": items })).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

/// A stopped server's home, in which so many files are in the trash.
async fn with_trash(home: &Home, files: u64) {
    let server = Server::start(home);
    let client = server.sign_in().await;
    let mut stored = Vec::new();
    for seed in 0..files {
        stored.push(client.upload(&format!("{seed}.bin"), &content(seed, 1000)).await);
    }
    trash(&client, &stored).await;
    server.stop().await;
    assert_eq!(home.stored_files().len() as u64, files);
}

#[tokio::test]
async fn a_sweep_by_hand_purges_what_is_due_and_reports() {
    let home = Home::new().with("trash.retention", "1s");
    with_trash(&home, 3).await;
    eventually("the trash is due", SOON, async || {
        let report = home.run_well(&["janitor", "--once"]);
        assert!(report.contains("trash items purged:"), "{report}");
        home.stored_files().is_empty()
    })
    .await;
    home.assert_check_is_clean();
}

#[tokio::test]
async fn trash_that_is_not_due_stays() {
    let home = Home::new();
    with_trash(&home, 1).await;
    let report = home.run_well(&["janitor", "--once"]);
    assert!(report.contains("trash items purged:        0"), "{report}");
    assert_eq!(home.stored_files().len(), 1);
    home.assert_check_is_clean();
}

#[tokio::test]
async fn an_unusual_amount_waits_for_yes() {
    let home = Home::new().with("trash.retention", "1s").with("janitor.unusual_items", "2");
    with_trash(&home, 3).await;
    eventually("three items are due", SOON, async || {
        let ended = home.run(&["janitor", "--once"]);
        ended.code == Some(1) && ended.stdout.contains("held back: 3 items")
    })
    .await;
    assert_eq!(home.stored_files().len(), 3);
    let report = home.run_well(&["janitor", "--once", "--yes"]);
    assert!(report.contains("trash items purged:        3"), "{report}");
    assert!(home.stored_files().is_empty());
    home.assert_check_is_clean();
}

#[tokio::test]
async fn a_stop_writes_buffered_views_down() {
    let home = Home::new().with("accounts.flush_interval", "1h");
    let server = Server::start(&home);
    let client = server.sign_in().await;
    let stored = client.upload("a.bin", b"some bytes").await;
    client.assert_has(&stored).await;
    client.assert_has(&stored).await;
    server.stop().await;
    let mut database = Database::sqlite(&home).await;
    assert_eq!(database.number("SELECT SUM(view_count) FROM file_analytics").await, 2);
    database.close().await;
}

#[tokio::test]
async fn a_purge_that_was_killed_is_finished_after_the_restart() {
    let home = Home::new();
    let server = Server::start_with(&home, &[("FAILPOINTS", "trash::between_steps=pause")]);
    let client = server.sign_in().await;
    let stored = client.upload("a.bin", &content(1, 1000)).await;
    trash(&client, &[stored]).await;
    let request = client.request(Method::POST, "/api/cdn/trash/empty/").send();
    let emptying = tokio::spawn(request);
    let mut database = Database::sqlite(&home).await;
    eventually("the first batch is gone and the item is not", SOON, async || {
        database.number("SELECT COUNT(*) FROM files").await == 0
            && database.number("SELECT COUNT(*) FROM trash_items WHERE purging_at IS NOT NULL").await == 1
    })
    .await;
    server.kill();
    assert!(emptying.await.expect("the task ends").is_err(), "the request has no answer");
    let server = Server::start(&home);
    eventually("the purge is finished", SOON, async || {
        home.stored_files().is_empty() && database.number("SELECT COUNT(*) FROM trash_items").await == 0
    })
    .await;
    server.stop().await;
    database.close().await;
    home.assert_check_is_clean();
}
