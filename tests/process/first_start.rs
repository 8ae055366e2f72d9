//! What an empty folder becomes, and what a second server on it is told.

use crate::support::{home::Home, server::Server};
use std::{fs, os::unix::fs::PermissionsExt};

#[tokio::test]
async fn the_first_start_on_an_empty_folder_makes_all_it_needs_and_an_administrator() {
    let home = Home::new();
    let server = Server::start(&home);
    for made in ["data/cdn.db", "data/secret.key", "data/blobs"] {
        assert!(home.path().join(made).exists(), "{made}");
    }
    let (email, password) = server.admin.clone().expect("credentials");
    assert_eq!(server.stdout().matches(&password).count(), 1, "{}", server.stdout());
    assert!(!server.stderr().contains(&password), "the password is in the log");
    let client = server.anonymous().signed_in(&email, &password).await;
    let (status, body) = client.get_json("/api/auth/me").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["user"]["email"], email.as_str(), "{body}");
    server.stop().await;
    assert!(home.run_well(&["user", "list"]).contains(&email));
}

#[tokio::test]
async fn the_second_start_prints_no_credentials_and_keeps_sessions() {
    let home = Home::new();
    let first = Server::start(&home);
    let client = first.sign_in().await;
    first.stop().await;
    let second = Server::start(&home);
    assert_eq!(second.admin, None);
    assert_eq!(second.stdout().lines().count(), 1, "{}", second.stdout());
    let (status, body) = client.at(&second).get_json("/api/auth/me").await;
    assert_eq!(status, 200, "{body}");
    second.stop().await;
}

#[tokio::test]
async fn only_the_owner_can_read_the_secret() {
    let home = Home::new();
    let server = Server::start(&home);
    let mode = fs::metadata(home.path().join("data/secret.key")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    server.stop().await;
}

#[tokio::test]
async fn a_second_server_on_the_same_sqlite_database_is_refused() {
    let home = Home::new();
    let first = Server::start(&home);
    let client = first.sign_in().await;
    let stored = client.upload("kept.txt", b"kept while another tries to start").await;
    let ended = home.run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("another server uses this database"), "{ended:?}");
    assert!(ended.stderr.contains("PostgreSQL"), "{ended:?}");
    assert!(!ended.stdout.contains("Serving on"), "{ended:?}");
    client.assert_has(&stored).await;
    first.stop().await;
}

#[tokio::test]
async fn a_killed_server_does_not_keep_the_database_locked() {
    let home = Home::new();
    Server::start(&home).kill();
    Server::start(&home).stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = Home::new();
    let server = Server::start(&first);
    let second = Home::new().with("server.bind", &format!("127.0.0.1:{}", server.port));
    let ended = second.run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&format!("server.bind: 127.0.0.1:{}", server.port)), "{ended:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_database_that_is_not_there_ends_the_start_without_showing_the_password() {
    let home = Home::new()
        .with("database.url", "postgres://cdn:hunter2hunter2@127.0.0.1:1/cdn")
        .with("database.acquire_timeout", "500ms");
    let ended = home.run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("database.url"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
}
