//! `/f/{id}/thumbnail`: pictures of files, by jobs and on demand.

use futures_util::future::join_all;
use hackclub_cdn::config::Config;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Reply, TestApp, assert_error, assert_field_error, assert_file, assert_refused, id_of,
    noise, picture, png, sha256_hex,
};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

fn three_sizes(config: &mut Config) {
    config.thumbnails.sizes = vec![64, 128, 256];
}

/// The file as it is now.
async fn again(client: &Client, file: &Value) -> Value {
    client.file(&file["id"]).await.expect_json(200)
}

/// An uploaded picture whose job is done.
async fn drained(app: &TestApp, client: &Client, bytes: Vec<u8>, name: &str) -> Value {
    let file = client.upload(bytes, name).await;
    app.drain_jobs().await;
    again(client, &file).await
}

async fn thumbnail(app: &TestApp, file: &Value, query: &str) -> Reply {
    app.anonymous().get(&format!("/f/{}/thumbnail?{query}", id_of(file))).fetch().await
}

/// Width and height.
fn size_of(reply: &Reply) -> (u32, u32) {
    let decoded = image::load_from_memory(&reply.body).expect("a picture");
    (decoded.width(), decoded.height())
}

api_test! {
    async fn an_uploaded_picture_gets_a_thumbnail_and_a_preview(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(picture(1, 2000, 1000), "a.png").await;
        assert_file(&file);
        assert_eq!((&file["processing_status"], &file["is_processed"]), (&json!("pending"), &json!(false)));
        assert_eq!((&file["thumbnail_url"], &file["preview_url"]), (&Value::Null, &Value::Null));
        app.drain_jobs().await;
        let file = again(&ada, &file).await;
        assert_file(&file);
        assert_eq!((&file["processing_status"], &file["is_processed"]), (&json!("completed"), &json!(true)));
        for (field, size) in [("thumbnail_url", (320, 160)), ("preview_url", (1600, 800))] {
            let reply = app.anonymous().get(&app.local(&file[field])).fetch().await;
            reply.expect_status(200);
            assert_eq!((reply.header("content-type"), size_of(&reply)), ("image/webp", size), "{field}");
            assert_eq!(reply.header("cache-control"), IMMUTABLE, "{field}");
            assert_eq!(reply.header("access-control-allow-origin"), "*", "{field}");
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{field}");
            assert_eq!(reply.header("etag"), format!("\"{}\"", sha256_hex(&reply.body)), "{field}");
        }
    }
}

api_test! {
    async fn small_pictures_are_not_made_larger(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(2, 40, 30), "a.png").await;
        let reply = app.anonymous().get(&app.local(&file["preview_url"])).fetch().await;
        reply.expect_status(200);
        assert_eq!(size_of(&reply), (40, 30));
    }
}

api_test! {
    async fn known_pictures_are_not_sent_again_and_heads_have_no_body(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(3, 50, 50), "a.png").await;
        let url = app.local(&file["thumbnail_url"]);
        let whole = app.anonymous().get(&url).fetch().await;
        whole.expect_status(200);
        let etag = whole.header("etag").to_owned();
        let known = app.anonymous().get(&url).header("If-None-Match", &etag).fetch().await;
        known.expect_status(304);
        assert!(known.body.is_empty());
        assert_eq!((known.header("etag"), known.header("cache-control")), (etag.as_str(), IMMUTABLE));
        let stale = app.anonymous().get(&url).header("If-Match", "\"other\"").fetch().await;
        stale.expect_status(412);
        let head = app.anonymous().head(&url).fetch().await;
        head.expect_status(200);
        assert!(head.body.is_empty());
        assert_eq!(head.header("content-length"), whole.body.len().to_string());
    }
}

api_test! {
    async fn only_the_url_with_the_right_version_may_be_kept_for_ever(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(4, 50, 50), "a.png").await;
        for query in ["w=320", "w=320&v=", "w=320&v=0123456789abcdef"] {
            let reply = thumbnail(app, &file, query).await;
            reply.expect_status(200);
            assert_eq!(reply.header("cache-control"), "public, max-age=3600", "{query}");
        }
    }
}

api_test! {
    async fn what_is_no_picture_has_none(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, noise(1, 100), "a.bin").await;
        assert_eq!(file["processing_status"], "completed");
        assert_eq!((&file["thumbnail_url"], &file["preview_url"]), (&Value::Null, &Value::Null));
        assert_error(&thumbnail(app, &file, "w=320").await, 404, "Not found.");
        let nobody = app.anonymous().get("/f/01890000-0000-7000-8000-000000000000/thumbnail?w=320").fetch().await;
        assert_error(&nobody, 404, "Not found.");
    }
}

api_test! {
    async fn other_sizes_and_formats_are_refused(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(5, 50, 50), "a.png").await;
        for width in ["321", "0", "-1", "4294967296", "1e3", "x"] {
            assert_field_error(&thumbnail(app, &file, &format!("w={width}")).await, "w");
        }
        assert_field_error(&thumbnail(app, &file, "w=320&format=png").await, "format");
        app.expect_stored_objects(3).await;
    }
}

api_test! {
    async fn a_picture_that_waits_is_not_there_yet_and_a_broken_one_has_none(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(png(6), "broken.png").await;
        assert_refused(&thumbnail(app, &file, "w=320").await, 503);
        app.drain_jobs().await;
        let file = again(&ada, &file).await;
        assert_eq!((&file["processing_status"], &file["is_processed"]), (&json!("failed"), &json!(false)));
        assert_eq!(file["thumbnail_url"], Value::Null);
        assert_error(&thumbnail(app, &file, "w=320").await, 404, "Not found.");
        assert_eq!(app.services.renders.renders(), 1, "asking makes nobody try again");
    }
}

api_test! {
    async fn pictures_of_trashed_files_are_gone_at_once_and_back_with_them(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(7, 50, 50), "a.png").await;
        let url = app.local(&file["thumbnail_url"]);
        ada.trash_file(&file).await;
        assert_error(&app.anonymous().get(&url).fetch().await, 404, "Not found.");
        let item = ada.get_json("/api/cdn/trash/").await["results"][0]["id"].clone();
        let item = item.as_str().expect("an id").to_owned();
        ada.post(&format!("/api/cdn/trash/{item}/restore/")).fetch().await.expect_json(200);
        app.anonymous().get(&url).fetch().await.expect_status(200);
        assert_eq!(again(&ada, &file).await["thumbnail_url"], file["thumbnail_url"]);
        ada.trash_file(&file).await;
        ada.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    with |config| { three_sizes(config); }
    async fn many_who_ask_for_a_new_size_at_once_get_the_one_that_is_made(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(8, 500, 250), "a.png").await;
        app.expect_stored_objects(3).await;
        assert_eq!(app.services.renders.renders(), 1);
        let replies = join_all((0..12).map(|_| thumbnail(app, &file, "w=128"))).await;
        for reply in &replies {
            reply.expect_status(200);
            assert_eq!(reply.body, replies[0].body);
        }
        assert_eq!(size_of(&replies[0]), (128, 64));
        assert_eq!(app.services.renders.renders(), 2, "one for all");
        app.expect_stored_objects(4).await;
        thumbnail(app, &file, "w=128").await.expect_status(200);
        assert_eq!(app.services.renders.renders(), 2, "and for later ones");
    }
}

api_test! {
    with |config| { three_sizes(config); }
    async fn a_jpeg_is_made_for_who_asks_for_one(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(9, 500, 250), "a.png").await;
        for (query, size) in [("w=64&format=jpeg", (64, 32)), ("w=256&format=jpeg", (256, 128))] {
            let reply = thumbnail(app, &file, query).await;
            reply.expect_status(200);
            assert_eq!((reply.header("content-type"), size_of(&reply)), ("image/jpeg", size), "{query}");
            assert_eq!(image::guess_format(&reply.body).expect("known"), image::ImageFormat::Jpeg);
        }
        let webp = thumbnail(app, &file, "w=64&format=webp").await;
        webp.expect_status(200);
        assert_eq!(webp.header("content-type"), "image/webp");
        app.expect_stored_objects(5).await;
    }
}

api_test! {
    async fn a_file_named_thumbnail_keeps_its_content(app) {
        let ada = app.user("ada@example.com").await;
        let bytes = picture(10, 60, 40);
        let file = drained(app, &ada, bytes.clone(), "thumbnail").await;
        let content = app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await;
        content.expect_status(200);
        assert_eq!((content.header("content-type"), &content.body[..]), ("image/png", &bytes[..]));
        let preflight = app.anonymous().options(&app.local(&file["cdn_url"])).fetch().await;
        preflight.expect_empty(204);
        let reply = thumbnail(app, &file, "w=320").await;
        reply.expect_status(200);
        assert_eq!(reply.header("content-type"), "image/webp");
    }
}

api_test! {
    async fn the_same_content_of_two_owners_is_rendered_once_and_charged_to_nobody(app) {
        let (ada, grace) = (app.user("ada@example.com").await, app.user("grace@example.com").await);
        let bytes = picture(11, 400, 400);
        let size = u64::try_from(bytes.len()).unwrap();
        let first = drained(app, &ada, bytes.clone(), "a.png").await;
        let second = drained(app, &grace, bytes, "b.png").await;
        assert_eq!(app.services.renders.renders(), 1);
        app.expect_stored_objects(3).await;
        assert_eq!((ada.used_bytes().await, grace.used_bytes().await), (size, size));
        ada.trash_file(&first).await;
        ada.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        app.expect_stored_objects(3).await;
        app.anonymous().get(&app.local(&second["preview_url"])).fetch().await.expect_status(200);
        grace.trash_file(&second).await;
        grace.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        app.expect_stored_objects(0).await;
    }
}

api_test! {
    async fn new_content_gets_pictures_of_its_own_and_the_way_back_finds_the_old_ones(app) {
        let ada = app.user("ada@example.com").await;
        let former = drained(app, &ada, picture(12, 100, 50), "a.png").await;
        let path = format!("/api/cdn/files/{}/versions/", id_of(&former));
        let form = crate::harness::Form::new().file("a.png", &picture(13, 50, 100));
        let changed = form.on(ada.post(&path)).fetch().await.expect_json(201);
        assert_eq!((&changed["processing_status"], &changed["thumbnail_url"]), (&json!("pending"), &Value::Null));
        app.drain_jobs().await;
        let changed = again(&ada, &former).await;
        assert_ne!(changed["thumbnail_url"], former["thumbnail_url"]);
        let reply = app.anonymous().get(&app.local(&changed["thumbnail_url"])).fetch().await;
        assert_eq!(size_of(&reply), (50, 100));
        // Whoever has the old URL gets the present picture, and doesn't keep it.
        let reply = app.anonymous().get(&app.local(&former["thumbnail_url"])).fetch().await;
        reply.expect_status(200);
        assert_eq!((size_of(&reply), reply.header("cache-control")), ((50, 100), "public, max-age=3600"));
        ada.post(&format!("{path}1/restore/")).fetch().await.expect_json(200);
        app.drain_jobs().await;
        assert_eq!(again(&ada, &former).await["thumbnail_url"], former["thumbnail_url"]);
        assert_eq!(app.services.renders.renders(), 2, "the old pictures were still there");
    }
}

api_test! {
    async fn a_tiny_picture_of_a_picture_can_be_uploaded_and_deleted_like_any_file(app) {
        let ada = app.user("ada@example.com").await;
        let file = drained(app, &ada, picture(14, 30, 30), "a.png").await;
        let reply = app.anonymous().get(&app.local(&file["thumbnail_url"])).fetch().await;
        // The very bytes that are stored as a rendition.
        let copy = drained(app, &ada, reply.body.to_vec(), "copy.webp").await;
        assert_eq!(copy["processing_status"], "completed");
        ada.trash_file(&file).await;
        ada.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        app.anonymous().get(&app.local(&copy["cdn_url"])).fetch().await.expect_status(200);
        ada.trash_file(&copy).await;
        ada.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        app.expect_stored_objects(0).await;
    }
}
