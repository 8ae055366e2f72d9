//! Memory stays flat, and slow clients cost a time limit.

use crate::support::{
    client::{Client, assert_error},
    home::Home,
    random::{content, hex, sha256},
    raw::RawPut,
    server::{Server, peak, reset_peak},
    world::World,
};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const MIB: usize = 1024 * 1024;
const LARGE: usize = 256 * MIB;
const ALLOWED_KIB: u64 = 32 * 1024;

#[tokio::test]
async fn an_upload_a_download_and_an_archive_of_256_mib_take_less_than_32_mib_of_memory() {
    let home = Home::new().with("quota.tiers.verified.max_file_size", "1 GiB");
    let server = Server::start(&home);
    let client = server.sign_in().await;
    let first = client.upload("warm-up.bin", &content(1, 2 * MIB)).await;
    client.assert_has(&first).await;

    let before = reset_peak(&server);
    let piece = content(2, MIB);
    let mut hash = Sha256::new();
    let mut upload = RawPut::begin(&server, &client.token, "large.bin", LARGE).await.expect("a connection");
    for _ in 0..LARGE / MIB {
        hash.update(&piece);
        upload.send(&piece).await.expect("the server reads");
    }
    let (status, file) = upload.answer().await.expect("an answer");
    let expected = hex(&hash.finalize());
    assert_eq!(status, 201, "{file}");
    assert_eq!(file["sha256_hash"], expected.as_str(), "{file}");
    assert_eq!(file["file_size"], LARGE, "{file}");
    let grown = peak(&server) - before;
    println!("upload: {grown} KiB over {before} KiB");
    assert!(grown < ALLOWED_KIB, "the upload took {grown} KiB");

    let before = reset_peak(&server);
    assert_eq!(download(&client, &file).await, expected);
    let grown = peak(&server) - before;
    println!("download: {grown} KiB over {before} KiB");
    assert!(grown < ALLOWED_KIB, "the download took {grown} KiB");

    let before = reset_peak(&server);
    let (_, root) = client.get_json("/api/cdn/folders/root/").await;
    let id = root["root_folder"]["id"].as_str().expect("an id");
    let mut response = client.get(&format!("/api/cdn/folders/{id}/zip/")).await;
    assert_eq!(response.status(), 200);
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.expect("the whole archive") {
        received += chunk.len();
    }
    let grown = peak(&server) - before;
    println!("archive: {grown} KiB over {before} KiB");
    assert!(received > LARGE, "{received} bytes");
    assert!(grown < ALLOWED_KIB, "the archive took {grown} KiB");
    server.stop().await;
    home.assert_check_is_clean();
}

async fn download(client: &Client, file: &serde_json::Value) -> String {
    let stored = crate::support::client::Stored::from_view(file);
    let mut response = client.get(&stored.path).await;
    assert_eq!(response.status(), 200);
    let mut hash = Sha256::new();
    while let Some(chunk) = response.chunk().await.expect("the whole content") {
        hash.update(&chunk);
    }
    hex(&hash.finalize())
}

#[tokio::test]
async fn a_body_without_progress_is_answered_408_and_leaves_nothing() {
    let mut world = World::on_sqlite();
    world.home.set("uploads.stall_timeout", "1s");
    let (server, client) = world.first_start().await;
    for sent in [0, 10, 300_000] {
        let mut upload =
            RawPut::begin(&server, &client.token, "slow.bin", 400_000).await.expect("a connection");
        upload.send(&content(3, sent)).await.expect("the server reads");
        let start = Instant::now();
        let answer = upload.answer().await.expect("an answer");
        assert_error(&answer, 408, "The request body made no progress.");
        assert!(start.elapsed() > Duration::from_millis(500), "{sent}: {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(5), "{sent}: {:?}", start.elapsed());
        world.tidied().await;
    }
    assert_eq!(client.files().await.len(), 0);
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_body_that_is_slow_but_goes_on_is_taken() {
    let mut world = World::on_sqlite();
    world.home.set("uploads.stall_timeout", "1s");
    let (server, client) = world.first_start().await;
    let body = content(4, 6);
    let mut upload =
        RawPut::begin(&server, &client.token, "slow.bin", body.len()).await.expect("a connection");
    // The pace of the client is what is tested: longer in all than the limit, shorter each time.
    let mut pace = tokio::time::interval(Duration::from_millis(300));
    for byte in body.chunks(1) {
        pace.tick().await;
        upload.send(byte).await.expect("the server reads");
    }
    let (status, file) = upload.answer().await.expect("an answer");
    assert_eq!(status, 201, "{file}");
    assert_eq!(file["sha256_hash"], sha256(&body).as_str(), "{file}");
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_closed_and_others_are_served() {
    let home = Home::new().with("server.request_head_timeout", "1s").with("server.workers", "1");
    let server = Server::start(&home);
    for head in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: cdn.example\r\n"] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        let start = Instant::now();
        assert_eq!(server.anonymous().get("/healthz").await.status(), 200);
        assert!(start.elapsed() < Duration::from_millis(900), "{head:?}: {:?}", start.elapsed());
        let mut answer = String::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
        closed.unwrap_or_else(|_| panic!("{head:?}: still open")).expect("closed in order");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{head:?}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_body_leaves_nothing() {
    let world = World::on_sqlite();
    let (server, client) = world.first_start().await;
    for sent in [0, 1, 300_000] {
        let mut upload =
            RawPut::begin(&server, &client.token, "gone.bin", 400_000).await.expect("a connection");
        upload.send(&content(5, sent)).await.expect("the server reads");
        drop(upload);
        world.tidied().await;
    }
    assert_eq!(client.files().await.len(), 0);
    world.assert_sound(server).await;
}
