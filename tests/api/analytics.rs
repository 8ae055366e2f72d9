//! `GET /api/cdn/analytics/`: one row for a file and a day.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, PASSWORD, TestApp, assert_error, assert_field_error, assert_file, eventually, id_of,
    noise, registration,
};

async fn rows(client: &Client, query: &str) -> Vec<Value> {
    client.get_json(&format!("/api/cdn/analytics/{query}")).await.as_array().expect("an array").clone()
}

async fn view(app: &TestApp, file: &Value) {
    app.anonymous().get(&app.local(&file["cdn_url"])).fetch().await.expect_status(200);
}

async fn download(client: &Client, file: &Value) -> Value {
    client.get_json(&format!("/api/cdn/files/{}/download/", id_of(file))).await
}

fn today() -> String {
    Utc::now().format("%Y-%m-%d").to_string()
}

api_test! {
    async fn views_and_downloads_are_counted_by_file_and_day(app) {
        let ada = app.user("ada@example.com").await;
        assert_eq!(ada.get_json("/api/cdn/analytics/").await, json!([]));
        let seen = ada.upload(noise(1, 100), "seen.bin").await;
        let unseen = ada.upload(noise(2, 100), "unseen.bin").await;
        for _ in 0..3 {
            view(app, &seen).await;
        }
        download(&ada, &seen).await;
        app.flush().await;
        view(app, &seen).await;
        app.flush().await;
        let rows = rows(&ada, "").await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let row = &rows[0];
        assert!(row["id"].is_string());
        assert_eq!(row["file"], seen["id"]);
        assert_file(&row["file_detail"]);
        assert_eq!(row["file_detail"]["filename"], "seen.bin");
        assert_ne!(row["file"], unseen["id"]);
        assert_eq!(row["access_date"], today());
        assert_eq!((&row["view_count"], &row["download_count"]), (&json!(4), &json!(1)));
        for field in ["country_code", "region", "city", "referrer_domain"] {
            assert_eq!(row[field], "", "{field}");
        }
        assert!(row["avg_response_time"].as_u64().is_some_and(|ms| (1..10_000).contains(&ms)), "{row}");
        assert!(row.get("cache_hit_ratio").is_some_and(Value::is_null), "{row}");
    }
}

api_test! {
    async fn a_download_is_counted_once_and_by_its_link(app) {
        let ada = app.user("ada@example.com").await;
        let stored = ada.upload(noise(1, 100), "stored.bin").await;
        let registered = ada.register(&registration("registered.txt")).await;
        let link = download(&ada, &stored).await;
        assert_eq!(link["size"], 100);
        app.anonymous().get(&app.local(&link["download_url"])).fetch().await.expect_status(200);
        let link = download(&ada, &registered).await;
        let expected = json!({
            "download_url": registered["cdn_url"], "filename": "registered.txt", "size": 1000, "mime_type": "text/plain",
        });
        assert_eq!(link, expected);
        app.flush().await;
        for row in rows(&ada, "").await {
            assert_eq!((&row["view_count"], &row["download_count"]), (&json!(0), &json!(1)), "{row}");
            assert_eq!(row["avg_response_time"], Value::Null, "no bytes were sent: {row}");
        }
        assert_eq!(rows(&ada, "").await.len(), 2);
    }
}

api_test! {
    async fn only_an_answer_with_the_first_byte_is_a_view(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let path = app.local(&file["cdn_url"]);
        let tag = app.anonymous().head(&path).fetch().await.header("etag").to_owned();
        app.anonymous().get(&path).header("range", "bytes=1-").fetch().await.expect_status(206);
        app.anonymous().get(&path).header("range", "bytes=-5").fetch().await.expect_status(206);
        app.anonymous().get(&path).header("range", "bytes=100-").fetch().await.expect_status(416);
        app.anonymous().get(&path).header("if-none-match", tag).fetch().await.expect_status(304);
        app.anonymous().options(&path).fetch().await;
        app.anonymous().get(&format!("{path}?version=1")).fetch().await.expect_status(404);
        app.flush().await;
        assert_eq!(rows(&ada, "").await, [Value::Null; 0]);
        app.anonymous().get(&path).header("range", "bytes=0-").fetch().await.expect_status(206);
        app.anonymous().get(&path).header("range", "bytes=0-0").fetch().await.expect_status(206);
        // Several ranges at once are answered with all of it.
        app.anonymous().get(&path).header("range", "bytes=5-6,8-9").fetch().await.expect_status(200);
        app.flush().await;
        assert_eq!(rows(&ada, "").await[0]["view_count"], 3);
    }
}

api_test! {
    async fn the_domain_that_sent_the_last_visitor_is_kept(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let path = app.local(&file["cdn_url"]);
        for (referrer, kept) in [
            ("https://Blog.Example:8443/post?id=1#top", "blog.example"),
            ("http://forum.example/", "forum.example"),
            ("not a url", "forum.example"),
            ("about:blank", "forum.example"),
        ] {
            app.anonymous().get(&path).header("referer", referrer).fetch().await.expect_status(200);
            app.flush().await;
            assert_eq!(rows(&ada, "").await[0]["referrer_domain"], kept, "{referrer}");
        }
        view(app, &file).await;
        app.flush().await;
        let row = &rows(&ada, "").await[0];
        assert_eq!((&row["referrer_domain"], &row["view_count"]), (&json!("forum.example"), &json!(5)));
    }
}

api_test! {
    async fn each_day_has_its_row_and_the_newest_comes_first(app) {
        let ada = app.user("ada@example.com").await;
        let (first, second) = (ada.upload(noise(1, 100), "1.bin").await, ada.upload(noise(2, 100), "2.bin").await);
        let days: Vec<String> = (0..3).map(|day| (Utc::now() + TimeDelta::days(day)).format("%Y-%m-%d").to_string()).collect();
        view(app, &first).await;
        app.clock.advance(TimeDelta::days(1));
        view(app, &first).await;
        view(app, &second).await;
        app.clock.advance(TimeDelta::days(1));
        view(app, &second).await;
        app.flush().await;
        let ada = app.login("ada@example.com", PASSWORD).await;
        let dates = async |query: &str| -> Vec<String> {
            rows(&ada, query).await.iter().map(|row| row["access_date"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(dates("").await, [&*days[2], &days[1], &days[1], &days[0]]);
        assert_eq!(dates(&format!("?file={}", id_of(&first))).await, [&*days[1], &days[0]]);
        assert_eq!(dates(&format!("?since={}", days[1])).await, [&*days[2], &days[1], &days[1]]);
        assert_eq!(dates(&format!("?until={}", days[0])).await, [&*days[0]]);
        assert_eq!(dates(&format!("?since={0}&until={0}&file={1}", days[1], id_of(&second))).await, [&*days[1]]);
        assert_eq!(dates(&format!("?since={}T12:00:00Z", days[2])).await, [&*days[2]]);
        assert_eq!(dates("?since=2100-01-01").await, [""; 0]);
        assert_eq!(dates("?file=01890a5d-ac96-774b-bcce-b302099a8057").await, [""; 0]);
        let page = ada.get_json(&format!("/api/cdn/analytics/?page=1&page_size=2&since={}", days[1])).await;
        assert_eq!((&page["count"], &page["previous"]), (&json!(3), &Value::Null));
        let next = app.local(&page["next"]);
        assert!(next.contains("page=2") && next.contains("page_size=2") && next.contains("since="), "{next}");
        let last = ada.get_json(&next).await;
        assert_eq!(last["results"].as_array().unwrap().len(), 1);
        assert_eq!(last["next"], Value::Null);
        assert_error(&ada.get("/api/cdn/analytics/?page=9").fetch().await, 404, "Invalid page.");
    }
}

api_test! {
    async fn a_bad_filter_is_400(app) {
        let ada = app.user("ada@example.com").await;
        for (field, value) in [("file", "no-uuid"), ("since", "yesterday"), ("until", "2026-13-01"), ("since", "1"), ("until", "-0001-12-31")] {
            assert_field_error(&ada.get(&format!("/api/cdn/analytics/?{field}={value}")).fetch().await, field);
        }
        assert_error(&app.anonymous().get("/api/cdn/analytics/").fetch().await, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn without_a_page_a_hundred_rows_are_shown(app) {
        let ada = app.user("ada@example.com").await;
        for nth in 0..103 {
            let file = ada.register(&registration(&format!("{nth}.txt"))).await;
            download(&ada, &file).await;
        }
        app.flush().await;
        assert_eq!(rows(&ada, "").await.len(), 100);
        let page = ada.get_json("/api/cdn/analytics/?page=1").await;
        assert_eq!((&page["count"], page["results"].as_array().unwrap().len()), (&json!(103), 20));
        let page = ada.get_json("/api/cdn/analytics/?page=2&page_size=100").await;
        assert_eq!(page["results"].as_array().unwrap().len(), 3);
    }
}

api_test! {
    async fn only_the_owner_sees_the_figures_and_not_those_of_trash(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        grace.get(&app.local(&file["cdn_url"])).fetch().await.expect_status(200);
        app.flush().await;
        assert_eq!(rows(&grace, "").await, [Value::Null; 0]);
        assert_eq!(rows(&grace, &format!("?file={}", id_of(&file))).await, [Value::Null; 0]);
        let before = rows(&ada, "").await;
        assert_eq!(before[0]["view_count"], 1);
        ada.trash_file(&file).await;
        assert_eq!(rows(&ada, "").await, [Value::Null; 0]);
        assert_eq!(ada.get_json("/api/cdn/analytics/?page=1").await["count"], 0);
        ada.restore(&ada.item_of(&file).await).await;
        assert_eq!(rows(&ada, "").await[0]["id"], before[0]["id"]);
        ada.trash_file(&file).await;
        ada.purge(&ada.item_of(&file).await).await;
        assert_eq!(rows(&ada, "").await, [Value::Null; 0]);
    }
}

api_test! {
    async fn figures_appear_within_moments_by_themselves(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        view(app, &file).await;
        eventually("the view counts", || async { rows(&ada, "").await.len() == 1 }).await;
    }
}
