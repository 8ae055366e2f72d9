//! `GET /api/cdn/activity/`: what the caller did, one row an action.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Form, PASSWORD, assert_error, assert_field_error, assert_refused, id_of, noise,
    registration,
};

const ACTIONS: [&str; 9] =
    ["upload", "download", "view", "share", "delete", "restore", "move", "rename", "copy"];

async fn page(client: &Client, query: &str) -> Value {
    client.get_json(&format!("/api/cdn/activity/?page_size=100&{query}")).await
}

/// Action, kind and name of each row, newest first; the count must agree.
async fn rows(client: &Client, query: &str) -> Vec<(String, String, String)> {
    let page = page(client, query).await;
    let results = page["results"].as_array().expect("an array");
    assert_eq!(page["count"], results.len(), "{page}");
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    results
        .iter()
        .map(|row| (text(row, "action_type"), text(row, "resource_type"), text(row, "resource_name")))
        .collect()
}

fn row(action: &str, kind: &str, name: &str) -> (String, String, String) {
    (action.to_owned(), kind.to_owned(), name.to_owned())
}

api_test! {
    async fn each_action_on_a_file_is_one_row(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let registered = ada.register(&registration("registered.txt")).await;
        ada.upload(noise(1, 10), "raw.bin").await;
        Form::new().file("form.bin", &noise(2, 10)).on(ada.post("/api/cdn/uploads/")).fetch().await.expect_json(201);
        ada.patch_file(&registered, json!({"filename": "renamed.txt"})).await.expect_json(200);
        ada.patch_file(&registered, json!({"folder": folder["id"]})).await.expect_json(200);
        ada.get_json(&format!("/api/cdn/files/{}/download/", id_of(&registered))).await;
        app.flush().await;
        ada.add_version(&registered, noise(3, 10)).await;
        ada.trash_file(&registered).await;
        ada.restore(&ada.item_of(&registered).await).await;
        let expected = [
            row("restore", "file", "renamed.txt"),
            row("delete", "file", "renamed.txt"),
            row("upload", "file", "renamed.txt"),
            row("download", "file", "renamed.txt"),
            row("move", "file", "renamed.txt"),
            row("rename", "file", "renamed.txt"),
            row("upload", "file", "form.bin"),
            row("upload", "file", "raw.bin"),
            row("upload", "file", "registered.txt"),
        ];
        assert_eq!(rows(&ada, "").await, expected);
        let of_it: Vec<_> = rows(&ada, &format!("resource_id={}", id_of(&registered))).await;
        assert_eq!(of_it.len(), 7);
    }
}

api_test! {
    async fn each_action_on_a_folder_is_one_row_whatever_is_in_it(app) {
        let ada = app.user("ada@example.com").await;
        let (folder, target) = (ada.create_folder("folder", None).await, ada.create_folder("target", None).await);
        ada.create_folder("below", Some(&folder)).await;
        ada.register_in(&folder, "inside.txt").await;
        ada.patch_folder(&folder, json!({"name": "renamed", "parent": target["id"]})).await.expect_json(200);
        ada.trash_folder(&folder).await;
        ada.restore(&ada.item_of(&folder).await).await;
        let expected = [
            row("restore", "folder", "renamed"),
            row("delete", "folder", "renamed"),
            row("move", "folder", "renamed"),
            row("rename", "folder", "renamed"),
        ];
        assert_eq!(rows(&ada, "resource_type=folder").await, expected);
    }
}

api_test! {
    async fn a_row_says_who_did_what_from_where_and_when(app) {
        let ada = app.user("ada@example.com").await;
        let request = ada.post("/api/cdn/files/upload/").header("user-agent", "Tester/1.0");
        let file = request.json(&registration("a.txt")).fetch().await.expect_json(201);
        let page = page(&ada, "").await;
        let row = &page["results"][0];
        assert!(row["id"].is_string());
        assert_eq!(row["user"], ada.id);
        assert_eq!(row["user_detail"]["id"], ada.id);
        assert_eq!(row["user_detail"]["username"], "ada@example.com");
        assert_eq!(row["resource_id"], file["id"]);
        assert!(row["metadata"].is_object(), "{row}");
        assert_eq!(row["metadata"]["file_size"], 1000);
        assert_eq!(row["ip_address"], "127.0.0.1");
        assert_eq!(row["user_agent"], "Tester/1.0");
        assert_eq!(row["created_at"], file["created_at"]);
    }
}

api_test! {
    async fn what_was_refused_is_no_action(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.register(&registration("hers.txt")).await;
        let (file, other) = (ada.register(&registration("a.txt")).await, ada.register(&registration("b.txt")).await);
        let before = page(&ada, "").await;
        assert_refused(&ada.patch_file(&file, json!({"filename": "b.txt"})).await, 409);
        assert_refused(&ada.patch_file(&hers, json!({"filename": "mine.txt"})).await, 404);
        assert_refused(&ada.delete(&format!("/api/cdn/files/{}/", id_of(&hers))).fetch().await, 404);
        assert_refused(&ada.get(&format!("/api/cdn/files/{}/download/", id_of(&hers))).fetch().await, 404);
        ada.patch_file(&other, json!({"filename": "b.txt"})).await.expect_json(200);
        ada.patch_file(&other, json!({})).await.expect_json(200);
        ada.file(&file["id"]).await.expect_json(200);
        app.flush().await;
        assert_eq!(page(&ada, "").await, before);
        assert_eq!(rows(&grace, "").await, [row("upload", "file", "hers.txt")]);
    }
}

api_test! {
    async fn filters_work_alone_and_together(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let file = ada.register(&registration("a.txt")).await;
        ada.register(&registration("b.txt")).await;
        ada.trash_file(&file).await;
        ada.trash_folder(&folder).await;
        for action in ACTIONS {
            let expected = match action {
                "upload" => vec![row("upload", "file", "b.txt"), row("upload", "file", "a.txt")],
                "delete" => vec![row("delete", "folder", "folder"), row("delete", "file", "a.txt")],
                _ => vec![],
            };
            assert_eq!(rows(&ada, &format!("action_type={action}")).await, expected, "{action}");
        }
        assert_eq!(rows(&ada, "resource_type=folder").await, [row("delete", "folder", "folder")]);
        assert_eq!(rows(&ada, "action_type=delete&resource_type=file").await, [row("delete", "file", "a.txt")]);
        let of_file = format!("resource_id={}", id_of(&file));
        assert_eq!(rows(&ada, &of_file).await, [row("delete", "file", "a.txt"), row("upload", "file", "a.txt")]);
        assert_eq!(rows(&ada, &format!("{of_file}&action_type=upload")).await, [row("upload", "file", "a.txt")]);
        assert_eq!(rows(&ada, "resource_id=01890a5d-ac96-774b-bcce-b302099a8057").await, []);
        for (field, value) in [
            ("action_type", "eat"), ("action_type", "UPLOAD"), ("resource_type", "user"), ("resource_id", "1"),
            ("since", "yesterday"), ("until", "2026-02-30"), ("since", "12:00"),
            ("since", "-262143-01-01"), ("since", "%2B262142-12-31"), ("until", "-0001-12-31"), ("until", "10000-01-01"),
        ] {
            assert_field_error(&ada.get(&format!("/api/cdn/activity/?{field}={value}")).fetch().await, field);
        }
    }
}

api_test! {
    async fn since_and_until_include_their_moment_and_their_day(app) {
        let ada = app.user("ada@example.com").await;
        ada.register(&registration("day 0.txt")).await;
        app.clock.advance(TimeDelta::days(1));
        let ada_later = app.login("ada@example.com", PASSWORD).await;
        ada_later.register(&registration("day 1.txt")).await;
        let times: Vec<String> = page(&ada_later, "").await["results"].as_array().unwrap().iter()
            .map(|row| row["created_at"].as_str().unwrap().to_owned()).collect();
        let (new, old) = ([row("upload", "file", "day 1.txt")], [row("upload", "file", "day 0.txt")]);
        let both = [&new[..], &old].concat();
        let client = &ada_later;
        assert_eq!(rows(client, &format!("since={}", times[0])).await, new);
        assert_eq!(rows(client, &format!("until={}", times[1])).await, old);
        assert_eq!(rows(client, &format!("since={}&until={}", times[1], times[0])).await, both);
        // Days are whole days of UTC, as in the statistics.
        let (first, second) = (&times[1][..10], &times[0][..10]);
        assert_eq!(rows(client, &format!("since={second}")).await, new);
        assert_eq!(rows(client, &format!("until={first}")).await, old);
        assert_eq!(rows(client, &format!("since={first}&until={second}")).await, both);
        assert_eq!(rows(client, &format!("since={first}&until={first}")).await, old);
        assert_eq!(rows(client, "until=0000-01-01").await, []);
        assert_eq!(rows(client, "since=0000-01-01&until=9999-12-31").await.len(), 2);
        assert_eq!(rows(client, "since=0000-01-01T00:00:00Z&until=9999-12-31T23:59:59Z").await.len(), 2);
    }
}

api_test! {
    async fn pages_have_right_counts_and_links(app) {
        let ada = app.user("ada@example.com").await;
        for nth in 0..25 {
            let file = ada.register(&registration(&format!("{nth:02}.txt"))).await;
            if nth % 5 == 0 {
                ada.trash_file(&file).await;
            }
        }
        let first = ada.get_json("/api/cdn/activity/").await;
        assert_eq!((&first["count"], first["results"].as_array().unwrap().len()), (&json!(30), 20));
        assert_eq!((&first["previous"], app.local(&first["next"]).as_str()), (&Value::Null, "/api/cdn/activity/?page=2"));
        let second = ada.get_json(&app.local(&first["next"])).await;
        assert_eq!((second["results"].as_array().unwrap().len(), &second["next"]), (10, &Value::Null));
        assert_eq!(app.local(&second["previous"]), "/api/cdn/activity/");
        let uploads = ada.get_json("/api/cdn/activity/?action_type=upload&page_size=10&page=3").await;
        assert_eq!((&uploads["count"], uploads["results"].as_array().unwrap().len()), (&json!(25), 5));
        assert_eq!(uploads["results"][4]["resource_name"], "00.txt");
        assert_error(&ada.get("/api/cdn/activity/?page=3").fetch().await, 404, "Invalid page.");
        assert_error(&ada.get("/api/cdn/activity/?action_type=copy&page=2").fetch().await, 404, "Invalid page.");
        assert_error(&app.anonymous().get("/api/cdn/activity/").fetch().await, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn activity_stays_when_its_file_is_gone_for_good(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        ada.trash_file(&file).await;
        ada.empty_trash().await;
        assert_eq!(rows(&ada, "").await, [row("delete", "file", "a.txt"), row("upload", "file", "a.txt")]);
        assert_eq!(rows(&ada, "action_type=upload").await, [row("upload", "file", "a.txt")]);
    }
}
