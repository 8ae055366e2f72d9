//! Thumbnails and previews of what is shared: for whoever may look, by URLs that lead to nothing else.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Client, Fetch, Reply, TestApp, assert_error, id_of, link_path, picture};

const NO_PREVIEWS: &str = "Previews are disabled for this share.";

/// A picture whose thumbnail and preview are made.
async fn pictured(app: &TestApp, owner: &Client, folder: Option<&Value>) -> Value {
    let file = match folder {
        Some(folder) => owner.upload_to(folder, picture(1, 400, 200), "cat.png").await,
        None => owner.upload(picture(2, 400, 200), "cat.png").await,
    };
    app.drain_jobs().await;
    owner.file(&file["id"]).await.expect_json(200)
}

#[track_caller]
fn assert_picture(reply: &Reply, width: u32) {
    reply.expect_status(200);
    assert_eq!(reply.header("content-type"), "image/webp");
    let size = image::ImageReader::new(std::io::Cursor::new(&reply.body))
        .with_guessed_format()
        .expect("it can be read")
        .into_dimensions()
        .expect("a picture");
    assert_eq!(size.0, width);
}

async fn get(app: &TestApp, client: &Client, url: &Value) -> Reply {
    client.get(&app.local(url)).fetch().await
}

api_test! {
    async fn a_restricted_link_shows_pictures_by_urls_of_its_own(app) {
        let ada = app.user("ada@example.com").await;
        let file = pictured(app, &ada, None).await;
        let share = ada.share_by_link("file", &file, json!({"allow_download": false})).await;
        let stranger = app.anonymous();
        let answer = stranger.get_json(&link_path(&share, "", "")).await;
        assert!(!answer.to_string().contains(id_of(&file)), "{answer}");
        let resource = &answer["resource"];
        for (url, width) in [
            (&resource["thumbnail_url"], 320),
            (&resource["preview_url"], 400),
            (&answer["share"]["resource_detail"]["thumbnail_url"], 320),
        ] {
            let reply = get(app, &stranger, url).await;
            assert_picture(&reply, width);
            assert_eq!(reply.header("cache-control"), "private, no-store");
        }
        assert_eq!(ada.shown_share(&share).await["download_count"], 0);
        // It ends with the share.
        ada.patch_share(&share, json!({"allow_preview": false})).await.expect_json(200);
        assert_error(&get(app, &stranger, &resource["preview_url"]).await, 403, NO_PREVIEWS);
        let answer = stranger.get_json(&link_path(&share, "", "")).await;
        assert_eq!(answer["resource"]["thumbnail_url"], Value::Null);
        assert_eq!(answer["resource"]["preview_url"], Value::Null);
    }
}

api_test! {
    async fn pictures_behind_a_password_need_it_or_what_its_answer_gave(app) {
        let ada = app.user("ada@example.com").await;
        let file = pictured(app, &ada, None).await;
        let share = ada.share_by_link("file", &file, json!({"password": "open sesame"})).await;
        let stranger = app.anonymous();
        let path = link_path(&share, "thumbnail", "&w=320");
        assert_error(&stranger.get(&path).fetch().await, 401, "Password required");
        let asked = stranger.get(&path).header("x-share-password", "open sesame").fetch().await;
        assert_picture(&asked, 320);
        let body = json!({"token": share["public_token"], "password": "open sesame"});
        let answer = stranger.post("/api/cdn/shares/public/").json(&body).fetch().await.expect_json(200);
        assert_picture(&get(app, &stranger, &answer["resource"]["preview_url"]).await, 400);
        app.clock.advance(TimeDelta::hours(1));
        let late = get(app, &stranger, &answer["resource"]["preview_url"]).await;
        assert_error(&late, 401, "Password required");
    }
}

api_test! {
    async fn pictures_end_with_their_share(app) {
        let ada = app.user("ada@example.com").await;
        let file = pictured(app, &ada, None).await;
        let ends = app.services.clock.now() + TimeDelta::hours(1);
        let share = ada.share_by_link("file", &file, json!({"expires_at": ends.to_rfc3339()})).await;
        let stranger = app.anonymous();
        let url = stranger.get_json(&link_path(&share, "", "")).await["resource"]["preview_url"].clone();
        assert_picture(&get(app, &stranger, &url).await, 400);
        app.clock.advance(TimeDelta::hours(1));
        assert_error(&get(app, &stranger, &url).await, 410, "Share expired");
    }
}

api_test! {
    async fn a_link_to_a_folder_shows_pictures_of_what_is_in_it_and_of_nothing_else(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("shown", None).await;
        let inside = pictured(app, &ada, Some(&folder)).await;
        let outside = pictured(app, &ada, None).await;
        let share = ada.share_by_link("folder", &folder, json!({"download_limit": 1})).await;
        let stranger = app.anonymous();
        let answer = stranger.get_json(&link_path(&share, "", "")).await;
        assert_picture(&get(app, &stranger, &answer["resource"][0]["thumbnail_url"]).await, 320);
        assert!(!answer.to_string().contains(id_of(&inside)), "{answer}");
        let other = link_path(&share, "thumbnail", &format!("&w=320&file={}", id_of(&outside)));
        assert_error(&stranger.get(&other).fetch().await, 404, "Not found.");
        assert_eq!(ada.shown_share(&share).await["download_count"], 0, "looking is no download");
    }
}

api_test! {
    async fn whoever_may_only_look_gets_pictures_by_an_id_that_leads_to_nothing_else(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let folder = ada.create_folder("shown", None).await;
        let file = pictured(app, &ada, Some(&folder)).await;
        let share = ada.give("folder", &folder, &bob, "view").await;
        let shown = bob.contents(&folder).await["files"][0].clone();
        assert!(!shown.to_string().contains(id_of(&file)), "{shown}");
        for (url, width) in [(&shown["thumbnail_url"], 320), (&shown["preview_url"], 400)] {
            let reply = get(app, &bob, url).await;
            assert_picture(&reply, width);
            assert_eq!(reply.header("cache-control"), "private, no-cache");
            get(app, &app.anonymous(), url).await.expect_json(401);
        }
        let eve = app.user("eve@example.com").await;
        assert_error(&get(app, &eve, &shown["thumbnail_url"]).await, 404, "Not found.");
        ada.remove_user(&share, &bob.email).await;
        assert_error(&get(app, &bob, &shown["thumbnail_url"]).await, 404, "Not found.");
    }
}

api_test! {
    async fn the_page_of_a_limited_link_shows_the_preview_and_not_the_bytes(app) {
        let ada = app.user("ada@example.com").await;
        let file = pictured(app, &ada, None).await;
        let share = ada.share_by_link("file", &file, json!({"download_limit": 1})).await;
        let token = share["public_token"].as_str().expect("a token");
        let stranger = app.anonymous();
        let page = stranger.get(&format!("/s/{token}")).fetch().await;
        page.expect_status(200);
        assert!(page.text().contains(&format!("<img src=\"/s/{token}/preview\"")), "{}", page.text());
        assert_picture(&stranger.get(&format!("/s/{token}/preview")).fetch().await, 400);
        assert_eq!(ada.shown_share(&share).await["download_count"], 0);
    }
}
