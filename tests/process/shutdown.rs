//! SIGTERM: what is in flight is finished, nothing new is taken, and the process ends.

use crate::support::{
    SOON,
    client::Stored,
    eventually,
    random::{content, sha256},
    raw::RawPut,
    server::Server,
    world::World,
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Waits until the server takes no more connections.
async fn refuses_connections(server: &Server) {
    let port = server.port;
    eventually("new connections are refused", SOON, async || {
        TcpStream::connect(("127.0.0.1", port)).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn an_upload_in_flight_is_finished_before_the_process_ends() {
    let world = World::on_sqlite();
    let (mut server, client) = world.first_start().await;
    let body = content(1, 400_000);
    let mut upload =
        RawPut::begin(&server, &client.token, "slow.bin", body.len()).await.expect("a connection");
    upload.send(&body[..200_000]).await.expect("the server reads");
    let mut database = world.database().await;
    eventually("the upload has begun", SOON, async || database.blobs_in_state("pending").await == 1).await;
    database.close().await;
    server.terminate();
    refuses_connections(&server).await;
    upload.send(&body[200_000..]).await.expect("the server still reads");
    let (status, file) = upload.answer().await.expect("an answer");
    assert_eq!(status, 201, "{file}");
    assert_eq!(Stored::from_view(&file).sha256, sha256(&body), "{file}");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
    world.home.assert_check_is_clean();
    let server = Server::start(&world.home);
    client.at(&server).assert_has(&Stored::from_view(&file)).await;
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_download_in_flight_is_finished_before_the_process_ends() {
    let world = World::on_sqlite();
    let (mut server, client) = world.first_start().await;
    // More than all buffers between the two hold.
    let body = content(2, 32 * 1024 * 1024);
    let stored = client.upload("large.bin", &body).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.expect("a connection");
    let head = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", stored.path);
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut received = vec![0; 1000];
    stream.read_exact(&mut received).await.expect("the download has begun");
    server.terminate();
    refuses_connections(&server).await;
    stream.read_to_end(&mut received).await.expect("the whole download");
    let end = received.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert!(received.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&received[..end]));
    assert_eq!(received.len() - end, body.len());
    assert_eq!(sha256(&received[end..]), stored.sha256);
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let world = World::on_sqlite();
    let (mut server, client) = world.first_start().await;
    // Kept open by the client after this.
    assert_eq!(client.get("/healthz").await.status(), 200);
    let start = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_never_ends_does_not_hold_up_the_end_for_longer_than_configured() {
    let mut world = World::on_sqlite();
    world.home.set("server.shutdown_timeout", "2s");
    let (mut server, client) = world.first_start().await;
    let mut upload = RawPut::begin(&server, &client.token, "stuck.bin", 1000).await.expect("a connection");
    upload.send(b"no more than this").await.expect("the server reads");
    let mut database = world.database().await;
    eventually("the upload has begun", SOON, async || database.blobs_in_state("pending").await == 1).await;
    database.close().await;
    let start = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
    assert!(start.elapsed() > Duration::from_secs(1), "it had {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let server = Server::start(&world.home);
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_stop_right_after_the_start_is_announced_is_orderly() {
    let world = World::on_sqlite();
    for _ in 0..5 {
        Server::announced(&world.home, &[]).stop().await;
    }
    world.home.assert_check_is_clean();
}
