//! Download limits of shares across processes, and when one of them is killed.

use crate::support::{SOON, client::Client, eventually, random::content, server::Server, world::World};
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const LIMIT: i64 = 100;
const VISITORS: usize = 2000;
/// Requests under way at a time.
const AT_ONCE: usize = 400;

/// A file and a link to it that admits [`LIMIT`] downloads; gives the path of the download.
async fn share(client: &Client) -> String {
    let file = client.upload("a.bin", &content(1, 64)).await;
    let body = json!({
        "resource_type": "file", "resource_id": file.id, "is_public": true, "download_limit": LIMIT,
    });
    let request = client.request(Method::POST, "/api/cdn/shares/").json(&body);
    let (status, share) = crate::support::client::answer(request.send().await.expect("an answer")).await;
    assert_eq!(status, 201, "{share}");
    let token = share["public_token"].as_str().expect("a token");
    format!("/api/cdn/shares/public/download/?token={token}")
}

/// The status of a download that came through to its end; `None` when the server went away.
async fn download(visitor: &Client, path: &str) -> Option<u16> {
    let response = visitor.request(Method::GET, path).send().await.ok()?;
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?;
    if status == 200 {
        assert_eq!(body.len(), 64);
    }
    Some(status)
}

async fn counted(world: &World) -> (i64, i64) {
    let mut database = world.database().await;
    let count = database.number("SELECT download_count FROM shares").await;
    let logged =
        database.number("SELECT COUNT(*) FROM share_access_logs WHERE access_type = 'download'").await;
    database.close().await;
    (count, logged)
}

#[tokio::test]
async fn of_2000_downloads_from_two_processes_exactly_100_succeed() {
    let Some(world) = World::on_postgres().await else { return };
    let (first, client) = world.first_start().await;
    let second = Server::start(&world.home);
    let path = share(&client).await;
    let visitors = [first.anonymous(), second.anonymous()];
    let statuses: Vec<Option<u16>> = stream::iter(0..VISITORS)
        .map(|nth| download(&visitors[nth % 2], &path))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == Some(wanted)).count();
    assert_eq!((count(200), count(410)), (100, VISITORS - 100), "{statuses:?}");
    assert_eq!(counted(&world).await, (LIMIT, LIMIT));
    first.stop().await;
    world.assert_sound(second).await;
}

/// Kills one server in the middle; `survivor` is the one that goes on, or is started after it.
async fn kill_in_between(world: &World, killed: Server, other: Option<Server>, path: &str) {
    let succeeded = AtomicUsize::new(0);
    let mut visitors = vec![killed.anonymous()];
    visitors.extend(other.as_ref().map(Server::anonymous));
    let requests = stream::iter(0..VISITORS).map(|nth| {
        let (visitors, succeeded) = (&visitors, &succeeded);
        async move {
            if download(&visitors[nth % visitors.len()], path).await == Some(200) {
                succeeded.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let all = requests.buffer_unordered(40).collect::<Vec<()>>();
    let kill = async {
        eventually("some downloads", SOON, async || succeeded.load(Ordering::SeqCst) >= 20).await;
        killed.kill();
    };
    tokio::join!(all, kill);
    let survivor = other.unwrap_or_else(|| Server::start(&world.home));
    // What is left of the limit can be had, and no more: what was counted for the dead is not given again.
    let before = succeeded.load(Ordering::SeqCst);
    let visitor = survivor.anonymous();
    let mut later = 0;
    while download(&visitor, path).await == Some(200) {
        later += 1;
    }
    assert_eq!(download(&visitor, path).await, Some(410));
    println!("{before} around the kill, {later} after it");
    assert!(before + later <= 100, "{before} + {later}");
    assert_eq!(counted(world).await, (LIMIT, LIMIT));
    world.assert_sound(survivor).await;
}

#[tokio::test]
async fn a_process_that_is_killed_in_between_admits_nobody_beyond_the_limit() {
    let world = World::on_sqlite();
    let (server, client) = world.first_start().await;
    let path = share(&client).await;
    kill_in_between(&world, server, None, &path).await;
}

#[tokio::test]
async fn of_two_processes_one_killed_in_between_the_limit_holds() {
    let Some(world) = World::on_postgres().await else { return };
    let (first, client) = world.first_start().await;
    let second = Server::start(&world.home);
    let path = share(&client).await;
    kill_in_between(&world, first, Some(second), &path).await;
}

#[tokio::test]
async fn a_link_that_one_process_ends_is_ended_for_the_other() {
    let Some(world) = World::on_postgres().await else { return };
    let (first, client) = world.first_start().await;
    let second = Server::start(&world.home);
    let path = share(&client).await;
    let visitor = second.anonymous();
    assert_eq!(download(&visitor, &path).await, Some(200));
    let (_, shares) = client.get_json("/api/cdn/shares/").await;
    let id = shares["results"][0]["id"].as_str().expect("an id");
    for (change, status) in [
        (json!({"password": "secret"}), 401),
        (json!({"password": null, "allow_download": false}), 403),
        (json!({"allow_download": true, "rotate_token": true}), 404),
    ] {
        let request = client.request(Method::PATCH, &format!("/api/cdn/shares/{id}/")).json(&change);
        let (changed, share): (_, Value) =
            crate::support::client::answer(request.send().await.expect("an answer")).await;
        assert_eq!(changed, 200, "{share}");
        assert_eq!(download(&visitor, &path).await, Some(status), "{change}");
    }
    first.stop().await;
    world.assert_sound(second).await;
}
