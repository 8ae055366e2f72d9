//! The database goes away and comes back: 503 within the time limit, and no restart needed.

use crate::support::{SOON, client::Client, client::assert_error, eventually, world::World};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

const UNAVAILABLE: &str = "The server can't do this right now. Try again in a moment.";
/// `database.acquire_timeout` is 2 s; the rest is for a busy machine.
const REFUSED_WITHIN: Duration = Duration::from_millis(3500);
const HEALED_WITHIN: Duration = Duration::from_secs(5);

async fn assert_unavailable(client: &Client) {
    let login = json!({"email": "admin@localhost", "password": "whatever it is"});
    let requests = [
        client.request(Method::GET, "/api/auth/me"),
        client.request(Method::GET, "/api/cdn/files/"),
        client.request(Method::POST, "/api/auth/login").json(&login),
        client.request(Method::PUT, "/api/cdn/uploads/a.txt").body("bytes"),
        client.request(Method::GET, "/f/01920000-0000-7000-8000-00000000004f/a.txt"),
    ];
    for request in requests {
        let start = Instant::now();
        let response = request.send().await.expect("an answer");
        let (url, retry) = (response.url().path().to_owned(), response.headers().get("retry-after").cloned());
        let answer = crate::support::client::answer(response).await;
        assert!(start.elapsed() < REFUSED_WITHIN, "{url}: {answer:?} after {:?}", start.elapsed());
        assert_error(&answer, 503, UNAVAILABLE);
        assert_eq!(retry.as_ref().and_then(|seconds| seconds.to_str().ok()), Some("1"), "{url}");
    }
    let (status, health) = client.get_json("/readyz").await;
    assert_eq!(status, 503, "{health}");
    assert_eq!(health["checks"]["database"], "unavailable", "{health}");
    assert_eq!(client.get("/healthz").await.status(), 200, "the process itself is well");
}

async fn assert_heals(client: &Client) {
    let start = Instant::now();
    eventually("requests work again", SOON, async || client.get("/api/auth/me").await.status() == 200).await;
    assert!(start.elapsed() < HEALED_WITHIN, "{:?}", start.elapsed());
    assert_eq!(client.get("/readyz").await.status(), 200);
}

#[tokio::test]
async fn a_database_that_has_ended_gives_503_and_heals() {
    let Some(mut world) = World::on_postgres().await else { return };
    let (server, client) = world.first_start().await;
    let before = client.upload("before.txt", b"stored before the database went").await;
    world.cluster.as_mut().expect("a cluster").end();
    assert_unavailable(&client).await;
    world.cluster.as_mut().expect("a cluster").start_again().await;
    assert_heals(&client).await;
    client.assert_has(&before).await;
    let after = client.upload("after.txt", b"stored after it came back").await;
    client.assert_has(&after).await;
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_gives_503_and_heals() {
    let Some(world) = World::on_postgres().await else { return };
    let (server, client) = world.first_start().await;
    let before = client.upload("before.txt", b"stored before the database stood still").await;
    let cluster = world.cluster.as_ref().expect("a cluster");
    cluster.freeze();
    assert_unavailable(&client).await;
    cluster.thaw();
    assert_heals(&client).await;
    client.assert_has(&before).await;
    client.upload("after.txt", b"stored after it went on").await;
    world.assert_sound(server).await;
}
