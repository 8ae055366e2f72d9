//! Live events of a server as a process: they end with it, and reach listeners of other processes.

use crate::support::{SOON, client::Client, server::Server, world::World};
use reqwest::{Method, Response};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;

async fn listen(client: &Client) -> Response {
    let mut stream = client.get("/api/cdn/events/").await;
    assert_eq!(stream.status(), 200);
    read_until(&mut stream, "event: ready").await;
    stream
}

/// Reads until the text has come.
async fn read_until(stream: &mut Response, text: &str) {
    let mut received = String::new();
    while !received.contains(text) {
        let chunk = timeout(SOON, stream.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("no {text:?} in time: {received}"));
        let chunk = chunk.expect("an orderly stream").unwrap_or_else(|| panic!("ended: {received}"));
        received.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let world = World::on_sqlite();
    let (mut server, client) = world.first_start().await;
    let mut stream = listen(&client).await;
    let start = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(stream.chunk().await.expect("an orderly end").is_none());
    world.home.assert_check_is_clean();
}

#[tokio::test]
async fn an_event_of_one_process_reaches_the_listener_of_another() {
    let Some(world) = World::on_postgres().await else { return };
    let (first, client) = world.first_start().await;
    let second = Server::start(&world.home);
    let mut stream = listen(&client.at(&second)).await;
    let made = client.request(Method::POST, "/api/cdn/folders/").json(&json!({"name": "From the first"}));
    assert_eq!(made.send().await.expect("an answer").status(), 201);
    read_until(&mut stream, "From the first").await;
    drop(stream);
    first.stop().await;
    world.assert_sound(second).await;
}
