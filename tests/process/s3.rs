//! The same server over a store that speaks S3: one process or several, and a store that is busy, silent, slow or
//! breaks off.

use crate::support::{
    SOON,
    bucket::Mood,
    client::{Client, Stored, assert_error},
    eventually,
    random::{content, sha256},
    raw::RawPut,
    server::Server,
    world::World,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::{io::Cursor, path::Path, time::Duration};

const MIB: usize = 1024 * 1024;
const PART: usize = 5 * MIB;
const LAST: [u8; 1] = *b"!";
const UNAVAILABLE: &str = "The server can't do this right now. Try again in a moment.";

async fn assert_range(client: &Client, stored: &Stored, range: &str, expected: &[u8]) {
    let request = client.request(Method::GET, &stored.path).header("Range", range);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{range}");
    assert!(response.bytes().await.expect("the range") == expected, "{range}");
}

async fn delete_for_good(client: &Client, stored: &Stored) {
    let path = format!("/api/cdn/files/{}/", stored.id);
    let response = client.request(Method::DELETE, &path).send().await.expect("an answer");
    assert!(response.status().is_success(), "{response:?}");
    let response = client.request(Method::POST, "/api/cdn/trash/empty/").send().await.expect("an answer");
    assert!(response.status().is_success(), "{response:?}");
}

/// An upload of which the last byte is missing, with parts of it in the store.
async fn begun(world: &World, server: &Server, client: &Client, length: usize) -> RawPut {
    let whole = length + LAST.len();
    let mut upload = RawPut::begin(server, &client.token, "a.bin", whole).await.expect("a connection");
    upload.send(&content(4, length)).await.expect("the server reads");
    eventually("a part is in the store", SOON, async || !world.bucket().unfinished().is_empty()).await;
    upload
}

#[tokio::test]
async fn a_bucket_keeps_files_of_one_part_and_of_several() {
    let world = World::on_sqlite().in_bucket();
    let (server, client) = world.first_start().await;
    let small = client.upload("small.txt", b"hello").await;
    let bytes = content(1, 2 * PART + 12_345);
    let large = client.upload("large.bin", &bytes).await;
    let even = client.upload("even.bin", &content(2, 2 * PART)).await;
    for stored in [&small, &large, &even] {
        client.assert_has(stored).await;
    }
    assert_range(&client, &small, "bytes=1-3", b"ell").await;
    assert_range(&client, &large, &format!("bytes={}-{}", PART - 3, PART + 2), &bytes[PART - 3..PART + 3])
        .await;
    assert_range(&client, &large, "bytes=-7", &bytes[bytes.len() - 7..]).await;
    let head = client.request(Method::HEAD, &large.path).send().await.expect("an answer");
    assert_eq!(head.headers()["content-length"], bytes.len().to_string().as_str());

    assert_eq!((world.stored().len(), world.bucket().unfinished().len()), (3, 0));
    delete_for_good(&client, &large).await;
    eventually("the object goes with its file", SOON, async || world.stored().len() == 2).await;
    world.assert_sound(server).await;
}

#[tokio::test]
async fn archives_and_pictures_come_out_of_a_bucket() {
    let mut world = World::on_sqlite().in_bucket();
    world.home.set("thumbnails.enabled", "true");
    let (server, client) = world.first_start().await;
    let mut png = Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(640, 480, |x, y| {
        image::Rgb([0, 1, 2].map(|c| (x * c + y).to_le_bytes()[0]))
    });
    picture.write_to(&mut png, image::ImageFormat::Png).expect("it fits");
    let stored = client.upload("picture.png", png.get_ref()).await;
    let mut thumbnail = String::new();
    eventually("a thumbnail", SOON, async || {
        let (_, file) = client.get_json(&format!("/api/cdn/files/{}/", stored.id)).await;
        thumbnail = file["thumbnail_url"].as_str().unwrap_or_default().to_owned();
        !thumbnail.is_empty()
    })
    .await;
    let path = &thumbnail[thumbnail.find("/f/").expect("a path")..];
    assert_eq!(client.get(path).await.status(), StatusCode::OK);

    let (_, root) = client.get_json("/api/cdn/folders/root/").await;
    let id = root["root_folder"]["id"].as_str().expect("an id");
    let archive = client.get(&format!("/api/cdn/folders/{id}/zip/")).await.bytes().await.expect("an archive");
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).expect("an archive");
    let mut unpacked = Vec::new();
    let mut entry = archive.by_name("Root/picture.png").expect("the picture");
    std::io::copy(&mut entry, &mut unpacked).expect("the checksum is right");
    assert_eq!(sha256(&unpacked), stored.sha256);
    world.assert_sound(server).await;
}

#[tokio::test]
async fn two_processes_share_one_bucket() {
    let Some(world) = World::on_postgres().await else { return };
    let world = world.in_bucket();
    let (first, client) = world.first_start().await;
    let second = Server::start(&world.home);
    let there = client.at(&second);
    let stored = client.upload("a.bin", &content(3, PART + 1)).await;
    there.assert_has(&stored).await;
    let other = there.upload("b.bin", &content(4, 100)).await;
    client.assert_has(&other).await;
    delete_for_good(&there, &stored).await;
    assert_eq!(client.get(&stored.path).await.status(), StatusCode::NOT_FOUND);
    eventually("the object is gone", SOON, async || world.stored().len() == 1).await;
    client.assert_has(&other).await;
    second.stop().await;
    world.assert_sound(first).await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_an_upload_leaves_no_object_and_no_bytes_in_use() {
    let world = World::on_sqlite().in_bucket();
    let (server, client) = world.first_start().await;
    let upload = begun(&world, &server, &client, 2 * PART).await;
    server.kill();
    drop(upload);
    let server = Server::start(&world.home);
    world.tidied().await;
    assert!(world.stored().is_empty());
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_an_upload_leaves_not_even_parts() {
    let world = World::on_sqlite().in_bucket();
    let (server, client) = world.first_start().await;
    let upload = begun(&world, &server, &client, 2 * PART).await;
    drop(upload);
    eventually("the parts are given up", SOON, async || world.bucket().unfinished().is_empty()).await;
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_client_that_goes_while_its_upload_is_being_finished_leaves_all_or_nothing() {
    let world = World::on_sqlite().in_bucket();
    let (server, client) = world.first_start().await;
    let mut upload = begun(&world, &server, &client, PART).await;
    world.bucket().requests();
    world.bucket().set(Mood::Silent);
    upload.send(&LAST).await.expect("the server reads");
    eventually("the last part is on its way", SOON, async || !world.bucket().requests().is_empty()).await;
    drop(upload);
    world.bucket().set(Mood::Good);
    eventually("all parts are an object, or gone", SOON, async || world.bucket().unfinished().is_empty())
        .await;
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_store_that_is_busy_is_said_to_be_and_nothing_is_left() {
    let mut world = World::on_sqlite().in_bucket();
    world.home.set("janitor.sweep_interval", "1s");
    let (server, client) = world.first_start().await;
    let before = client.upload("before.txt", b"stored before").await;
    world.bucket().set(Mood::Busy);
    let (status, health) = client.get_json("/readyz").await;
    assert_eq!((status.as_u16(), &health["checks"]["blob_store"]), (503, &json!("unavailable")), "{health}");
    let small = client.put("small.txt", b"not stored".to_vec());
    let large = client.put("large.bin", content(5, PART + 1));
    let (small, large, read) = futures_util::join!(small, large, client.get_json(&before.path));
    for answer in [small, large, read] {
        assert_error(&answer, 503, UNAVAILABLE);
    }
    let tried = world.bucket().reads();
    assert!(tried > 1, "once more is cheap: {tried}");
    world.bucket().set(Mood::Good);
    assert_eq!(client.get("/readyz").await.status(), StatusCode::OK);
    client.assert_has(&before).await;
    client.upload("small.txt", b"not stored").await;
    assert_eq!(client.files().await.len(), 2);
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_store_that_says_nothing_is_given_up() {
    let mut world = World::on_sqlite().in_bucket();
    world.home.set("storage.s3_timeout", "400ms");
    world.home.set("janitor.sweep_interval", "1s");
    let (server, client) = world.first_start().await;
    let before = client.upload("before.txt", b"stored before").await;
    world.bucket().set(Mood::Silent);
    let upload = client.put("small.txt", b"not stored".to_vec());
    let (upload, read) = futures_util::join!(upload, client.get_json(&before.path));
    for answer in [upload, read] {
        assert_error(&answer, 503, UNAVAILABLE);
    }
    world.bucket().set(Mood::Good);
    client.assert_has(&before).await;
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_taken_up_where_it_did() {
    let world = World::on_sqlite().in_bucket();
    let (server, client) = world.first_start().await;
    let stored = client.upload("a.bin", &content(6, 300_000)).await;
    world.bucket().requests();
    world.bucket().set(Mood::Cuts(2));
    client.assert_has(&stored).await;
    let reads = world.bucket().reads();
    assert_eq!(reads, 3);
    world.bucket().set(Mood::Cuts(usize::MAX));
    let response = client.get(&stored.path).await;
    assert_eq!(response.status(), StatusCode::OK, "the head was sent before anything broke");
    assert!(response.bytes().await.is_err(), "less than the whole must not look like the whole");
    world.bucket().set(Mood::Good);
    client.assert_has(&stored).await;
    world.assert_sound(server).await;
}

#[tokio::test]
async fn a_body_may_take_longer_than_the_time_limit_of_each_read() {
    let mut world = World::on_sqlite().in_bucket();
    world.home.set("storage.s3_timeout", "2s");
    let (server, client) = world.first_start().await;
    let stored = client.upload("a.bin", &content(7, 100_000)).await;
    world.bucket().requests();
    world.bucket().set(Mood::Drips(20, Duration::from_millis(150)));
    client.assert_has(&stored).await;
    let reads = world.bucket().reads();
    assert_eq!(reads, 1, "nothing was cut off and tried again");
    world.assert_sound(server).await;
}

#[tokio::test]
async fn credentials_that_are_refused_are_seen_at_once() {
    let mut world = World::on_sqlite().in_bucket();
    world.home.set("storage.s3_secret_access_key", "another secret");
    let (server, client) = world.first_start().await;
    let (status, health) = client.get_json("/readyz").await;
    assert_eq!((status.as_u16(), &health["checks"]["blob_store"]), (503, &json!("unavailable")), "{health}");
    assert_error(&client.put("a.txt", b"bytes".to_vec()).await, 503, UNAVAILABLE);
    assert!(server.stderr().contains("SignatureDoesNotMatch"), "the log says why: {}", server.stderr());
    server.stop().await;
}

#[tokio::test]
async fn a_proxy_of_the_usual_variables_is_used() {
    let world = World::on_sqlite().in_bucket();
    let (server, client) = world.first_start().await;
    assert_eq!(client.get("/readyz").await.status(), StatusCode::OK);
    server.stop().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let proxy = format!("http://{}", nobody.expect("a free port"));
    let server = Server::start_with(&world.home, &[("AWS_PROXY_URL", &proxy)]);
    world.bucket().requests();
    let (status, health) = server.anonymous().get_json("/readyz").await;
    assert_eq!((status.as_u16(), &health["checks"]["blob_store"]), (503, &json!("unavailable")), "{health}");
    assert!(world.bucket().requests().is_empty(), "not past the proxy");
    server.stop().await;
}

#[tokio::test]
async fn check_finds_what_should_not_be_in_the_bucket_and_what_should() {
    let world = World::on_sqlite().in_bucket();
    let (server, client) = world.first_start().await;
    let kept = client.upload("kept.bin", b"kept").await;
    client.upload("lost.bin", b"lost").await;
    server.stop().await;
    let objects = world.stored();
    let lost = objects.iter().find(|object| std::fs::read(object).is_ok_and(|bytes| bytes == b"lost"));
    let lost = lost.expect("the object");
    let folder = lost.parent().and_then(Path::parent).expect("the prefix").join("4f");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::rename(lost, folder.join("01920000-0000-7000-8000-00000000004f")).expect("it moves");
    let ended = world.home.run(&["check"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains(" 2 problems"), "{ended:?}");
    world.home.run(&["check", "--repair"]);
    assert_eq!(world.stored().len(), 1, "the stray one is removed");
    let server = Server::start(&world.home);
    client.at(&server).assert_has(&kept).await;
    server.stop().await;
}
