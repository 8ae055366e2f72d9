//! Links to a version's bytes: signed, for an hour, and only while the version is there.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, PASSWORD, Reply, TestApp, assert_error, merged, noise, png, registration,
};

async fn link_of(app: &TestApp, client: &Client, file: &Value, number: i64) -> String {
    app.local(&client.get_json(&Client::version_path(file, number, "download")).await["download_url"])
}

async fn open(app: &TestApp, link: &str) -> Reply {
    app.anonymous().get(link).fetch().await
}

api_test! {
    async fn a_link_leads_to_the_versions_bytes(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(png(1), "photo.png").await;
        ada.add_version(&file, noise(1, 50)).await;
        let answer = ada.get_json(&Client::version_path(&file, 1, "download")).await;
        assert_eq!((&answer["filename"], &answer["mime_type"]), (&json!("photo.png"), &json!("image/png")));
        assert_eq!(answer["size"], png(1).len());
        let reply = open(app, &app.local(&answer["download_url"])).await;
        reply.expect_status(200);
        assert_eq!(reply.body, png(1));
        assert_eq!(reply.header("content-type"), "image/png");
        assert!(reply.header("content-disposition").starts_with("attachment"), "{}", reply.header("content-disposition"));
        assert!(!reply.header("cache-control").contains("public"), "{}", reply.header("cache-control"));
        let part = app.anonymous().get(&app.local(&answer["download_url"])).header("range", "bytes=1-3").fetch().await;
        part.expect_status(206);
        assert_eq!(part.body, b"PNG");
        // Looking at a former content is no view of the present one.
        app.flush().await;
        assert_eq!(ada.get_json("/api/cdn/analytics/").await, json!([]));
    }
}

api_test! {
    async fn a_registered_version_leads_to_its_own_cdn(app) {
        let ada = app.user("ada@example.com").await;
        let body = merged(registration("a.txt"), json!({"file_size": 5}));
        let file = ada.register(&body).await;
        ada.add_version(&file, noise(1, 50)).await;
        let answer = ada.get_json(&Client::version_path(&file, 1, "download")).await;
        let expected = json!({"download_url": body["cdn_url"], "filename": "a.txt", "size": 5, "mime_type": "text/plain"});
        assert_eq!(answer, expected);
    }
}

api_test! {
    async fn a_link_that_was_changed_is_404(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("one", "a.txt").await;
        ada.add_version(&file, "two").await;
        ada.add_version(&file, "three").await;
        let other = ada.upload("other one", "b.txt").await;
        ada.add_version(&other, "other two").await;
        let link = link_of(app, &ada, &file, 1).await;
        assert_eq!(open(app, &link).await.text(), "one");
        let (path, query) = link.split_once('?').unwrap();
        let pairs: Vec<(&str, &str)> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).unwrap().1;
        let (expires, signature) = (value("expires"), value("signature"));
        let later = (expires.parse::<i64>().unwrap() + 1).to_string();
        let flipped = format!("{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
        for (number, expires, signature) in [
            ("2", expires, signature), ("0", expires, signature), ("01", expires, ""), ("1", &later, signature),
            ("1", "", signature), ("1", "-1", signature), ("1", "99999999999999999999", signature), ("1", expires, &flipped),
            ("1", expires, ""), ("1", expires, "%00"), ("x", expires, signature), ("1", expires, &signature[1..]),
        ] {
            let changed = format!("{path}?version={number}&expires={expires}&signature={signature}");
            assert_error(&open(app, &changed).await, 404, "Not found.");
        }
        for missing in ["version=1", &format!("version=1&expires={expires}"), &format!("version=1&signature={signature}")] {
            assert_error(&open(app, &format!("{path}?{missing}")).await, 404, "Not found.");
        }
        let elsewhere = link.replace(file["id"].as_str().unwrap(), other["id"].as_str().unwrap());
        assert_error(&open(app, &elsewhere).await, 404, "Not found.");
        assert_eq!(open(app, &link).await.text(), "one");
    }
}

api_test! {
    async fn a_link_works_for_an_hour(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("one", "a.txt").await;
        ada.add_version(&file, "two").await;
        let link = link_of(app, &ada, &file, 1).await;
        app.clock.advance(TimeDelta::minutes(59));
        assert_eq!(open(app, &link).await.text(), "one");
        app.clock.advance(TimeDelta::minutes(1));
        assert_error(&open(app, &link).await, 404, "Not found.");
        let ada = app.login("ada@example.com", PASSWORD).await;
        assert_eq!(open(app, &link_of(app, &ada, &file, 1).await).await.text(), "one");
    }
}

api_test! {
    async fn a_link_ends_with_its_version_and_rests_with_its_file(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("one", "a.txt").await;
        ada.add_version(&file, "two").await;
        ada.add_version(&file, "three").await;
        let (first, second) = (link_of(app, &ada, &file, 1).await, link_of(app, &ada, &file, 2).await);
        ada.trash_file(&file).await;
        assert_error(&open(app, &first).await, 404, "Not found.");
        ada.restore(&ada.item_of(&file).await).await;
        assert_eq!(open(app, &first).await.text(), "one");
        ada.remove(&Client::version_path(&file, 1, "")).await;
        assert_error(&open(app, &first).await, 404, "Not found.");
        assert_eq!(open(app, &second).await.text(), "two");
        ada.trash_file(&file).await;
        ada.empty_trash().await;
        assert_error(&open(app, &second).await, 404, "Not found.");
    }
}
