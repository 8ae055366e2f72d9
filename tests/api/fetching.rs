//! Registered files, fetched from their addresses for a thumbnail: from the open internet only.

use chrono::TimeDelta;
use hackclub_cdn::config::{ByteSize, Config};
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Origin, TestApp, assert_job, eventually, id_of, merged, noise, picture, registration,
};

const UNREACHABLE: &str = "The address of the file can't be fetched.";

/// Lets the server fetch from this machine.
fn local_origins(config: &mut Config) {
    config.fetch.allow_private = true;
    config.fetch.allowed_ports = (1..=u16::MAX).collect();
}

async fn jobs(client: &Client, query: &str) -> Vec<Value> {
    client.get_json(&format!("/api/cdn/processing/{query}")).await.as_array().expect("an array").clone()
}

/// The only job of the client.
async fn only_job(client: &Client) -> Value {
    let jobs = jobs(client, "").await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_job(&jobs[0]);
    jobs[0].clone()
}

/// A registration of a picture at this address.
fn at(url: &str) -> Value {
    merged(registration("a.png"), json!({"cdn_url": url, "mime_type": "image/png"}))
}

async fn registered(app: &TestApp, client: &Client, url: &str) -> Value {
    client.register(&at(url)).await;
    app.drain_jobs().await;
    only_job(client).await
}

api_test! {
    with |config| { local_origins(config); }
    async fn a_registered_picture_is_fetched(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        origin.serve("/a.png", "image/png", picture(7, 700, 350));
        let job = registered(app, &ada, &origin.url("/a.png")).await;
        assert_eq!((&job["status"], &job["error_message"]), (&json!("completed"), &json!("")));
        let url = app.local(&job["file_detail"]["thumbnail_url"]);
        let reply = app.anonymous().get(&url).fetch().await;
        reply.expect_status(200);
        let decoded = image::load_from_memory(&reply.body).expect("a picture");
        assert_eq!((decoded.width(), decoded.height()), (320, 160));
        app.expect_stored_objects(2).await;
        ada.trash_file(&job["file_detail"]).await;
        ada.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    with |config| { local_origins(config); }
    async fn redirects_are_followed_up_to_three(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        origin.serve("/picture", "application/octet-stream", picture(8, 50, 50));
        origin.redirect("/1", "/picture");
        origin.redirect("/2", &origin.url("/1"));
        origin.redirect("/3", "/2");
        origin.redirect("/4", "/3");
        assert_eq!(registered(app, &ada, &origin.url("/3")).await["status"], "completed");
        let grace = app.user("grace@example.com").await;
        let job = registered(app, &grace, &origin.url("/4")).await;
        assert_eq!((&job["status"], &job["error_message"]), (&json!("pending"), &json!(UNREACHABLE)));
    }
}

api_test! {
    with |config| { local_origins(config); }
    async fn redirects_to_anything_but_the_web_are_not_followed(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        for (nth, target) in
            ["file:///etc/passwd", "ftp://127.0.0.1/a.png", "data:image/png;base64,AA", "http://user:pw@127.0.0.1/", "://"]
                .iter()
                .enumerate()
        {
            origin.redirect(&format!("/{nth}"), target);
            ada.register(&at(&origin.url(&format!("/{nth}")))).await;
        }
        app.drain_jobs().await;
        for job in jobs(&ada, "").await {
            assert_eq!(job["error_message"], UNREACHABLE, "{job}");
        }
    }
}

api_test! {
    with |config| { config.fetch.allowed_ports = (1..=u16::MAX).collect(); }
    async fn addresses_inside_are_refused_without_a_look(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        origin.serve("/a.png", "image/png", picture(9, 50, 50));
        let port = origin.port;
        let spellings = [
            format!("http://127.0.0.1:{port}/a.png"),
            format!("http://127.1:{port}/a.png"),
            format!("http://2130706433:{port}/a.png"),
            format!("http://0x7f000001:{port}/a.png"),
            format!("http://0177.0.0.1:{port}/a.png"),
            format!("http://localhost:{port}/a.png"),
            format!("http://LOCALHOST.:{port}/a.png"),
            format!("http://[::1]:{port}/a.png"),
            format!("http://[::ffff:127.0.0.1]:{port}/a.png"),
            format!("http://0.0.0.0:{port}/a.png"),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "http://10.0.0.1/a.png".to_owned(),
            // What isn't there at all looks the same.
            "http://does-not-exist.invalid/a.png".to_owned(),
        ];
        for url in &spellings {
            ada.register(&at(url)).await;
        }
        app.drain_jobs().await;
        let jobs = jobs(&ada, "").await;
        assert_eq!(jobs.len(), spellings.len());
        for job in &jobs {
            assert_eq!((&job["error_message"], &job["status"]), (&json!(UNREACHABLE), &json!("pending")), "{job}");
            assert_eq!((&job["attempts"], &job["result_data"]), (&json!(1), &json!({})), "{job}");
        }
        assert_eq!(origin.hits(), 0, "nobody knocked");
    }
}

api_test! {
    with |config| {
        local_origins(config);
        config.fetch.max_size = ByteSize::from_kib(64);
    }
    async fn too_large_files_and_web_pages_fail_with_their_reason(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        origin.serve("/large", "image/png", noise(1, 65_537));
        origin.answer_with("/lying", 200, &[("Content-Length", "99999999")], picture(1, 10, 10));
        origin.serve("/page", "text/html; charset=utf-8", b"<!doctype html>".to_vec());
        for (path, message) in [
            ("/large", "The file at this address is too large."),
            ("/lying", "The file at this address is too large."),
            ("/page", "There is no picture, film or PDF at this address."),
        ] {
            let file = ada.register(&at(&origin.url(path))).await;
            app.drain_jobs().await;
            let job = jobs(&ada, &format!("?file={}", id_of(&file))).await.remove(0);
            assert_eq!((&job["status"], &job["error_message"]), (&json!("failed"), &json!(message)), "{path}");
            assert_eq!(job["attempts"], 1, "{path}");
        }
    }
}

api_test! {
    with |config| { local_origins(config); }
    async fn a_source_that_is_away_is_tried_three_times_with_growing_delay(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        origin.answer_with("/a.png", 500, &[], Vec::new());
        let job = registered(app, &ada, &origin.url("/a.png")).await;
        assert_eq!((&job["status"], &job["attempts"], origin.hits()), (&json!("pending"), &json!(1), 1));
        assert_eq!(job["error_message"], UNREACHABLE);
        for (wait, attempts) in [(15, 1), (16, 2), (100, 2), (21, 3)] {
            app.clock.advance(TimeDelta::seconds(wait));
            app.drain_jobs().await;
            assert_eq!(origin.hits(), attempts, "{wait}");
        }
        let job = only_job(&ada).await;
        assert_eq!((&job["status"], &job["attempts"]), (&json!("failed"), &json!(3)));
        origin.serve("/a.png", "image/png", picture(10, 50, 50));
        ada.post(&format!("/api/cdn/processing/{}/retry/", id_of(&job))).fetch().await.expect_json(200);
        app.drain_jobs().await;
        let job = only_job(&ada).await;
        assert_eq!((&job["status"], &job["error_message"]), (&json!("completed"), &json!("")));
    }
}

api_test! {
    with |config| { local_origins(config); }
    async fn a_job_whose_file_got_other_content_meanwhile_writes_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        origin.serve("/old.png", "image/png", picture(11, 400, 100));
        origin.serve("/new.png", "image/png", picture(12, 100, 400));
        let file = ada.register(&at(&origin.url("/old.png"))).await;
        origin.close();
        let services = app.services.clone();
        let drain = actix_web::rt::spawn(async move { services.drain_jobs().await });
        eventually("the old content is fetched", || async { origin.hits() == 1 }).await;
        assert_eq!(only_job(&ada).await["status"], "processing");
        assert_eq!(ada.file(&file["id"]).await.expect_json(200)["processing_status"], "processing");
        let version = at(&origin.url("/new.png"));
        let path = format!("/api/cdn/files/{}/versions/", id_of(&file));
        ada.post(&path).json(&version).fetch().await.expect_json(201);
        origin.open();
        drain.await.expect("no panic").expect("no failure");
        let job = only_job(&ada).await;
        assert_eq!((&job["status"], &job["result_data"]["source"]["height"]), (&json!("completed"), &json!(400)));
        assert_eq!(origin.hits(), 2);
        app.expect_stored_objects(2).await;
        let reply = app.anonymous().get(&app.local(&job["file_detail"]["thumbnail_url"])).fetch().await;
        let decoded = image::load_from_memory(&reply.body).expect("a picture");
        assert_eq!((decoded.width(), decoded.height()), (80, 320));
    }
}

api_test! {
    with |config| { local_origins(config); }
    async fn a_file_purged_while_its_job_runs_leaves_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let origin = Origin::start().await;
        origin.serve("/a.png", "image/png", picture(13, 40, 40));
        let file = ada.register(&at(&origin.url("/a.png"))).await;
        origin.close();
        let services = app.services.clone();
        let drain = actix_web::rt::spawn(async move { services.drain_jobs().await });
        eventually("the content is fetched", || async { origin.hits() == 1 }).await;
        ada.trash_file(&file).await;
        ada.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        origin.open();
        drain.await.expect("no panic").expect("no failure");
        app.expect_stored_objects(0).await;
        assert_eq!(jobs(&ada, "").await, [] as [Value; 0]);
    }
}
