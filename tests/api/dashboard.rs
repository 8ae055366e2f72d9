//! `GET /api/cdn/dashboard/`: storage and latest doings.

use serde_json::{Value, json};

use crate::harness::{Fetch, assert_error, assert_file, id_of, merged, names_of, noise, png, registration};

api_test! {
    async fn a_new_user_has_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let dashboard = ada.get_json("/api/cdn/dashboard/").await;
        let stats = json!({
            "total_files": 0, "total_folders": dashboard["stats"]["total_folders"], "total_size": 0, "total_size_human": "0.0 B",
            "storage_used": 0, "storage_limit": 50_u64 << 30, "quota_tier": "verified",
        });
        assert_eq!(dashboard["stats"], stats);
        for field in ["recent_activity", "recent_files", "storage_by_type"] {
            assert_eq!(dashboard[field], json!([]), "{field}");
        }
        assert_error(&app.anonymous().get("/api/cdn/dashboard/").fetch().await, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn the_figures_follow_every_change(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let base = ada.stats().await["total_folders"].as_i64().unwrap();
        let below = ada.create_folder("below", Some(&folder)).await;
        let a = ada.upload(noise(1, 3000), "a.bin").await;
        ada.register_in(&below, "b.txt").await;
        ada.upload_to(&folder, noise(2, 500), "c.bin").await;
        // Files, folders, bytes of living files, bytes that count.
        let figures = async || {
            let stats = ada.stats().await;
            let number = |field: &str| stats[field].as_i64().unwrap();
            (number("total_files"), number("total_folders") - base, number("total_size"), number("storage_used"))
        };
        assert_eq!(figures().await, (3, 1, 4500, 4500));
        assert_eq!(ada.stats().await["total_size_human"], "4.4 KB");
        ada.add_version(&a, noise(3, 200)).await;
        assert_eq!(figures().await, (3, 1, 1700, 4700));
        ada.trash_folder(&folder).await;
        assert_eq!(figures().await, (1, -1, 200, 4700));
        ada.trash_file(&a).await;
        assert_eq!(figures().await, (0, -1, 0, 4700));
        ada.restore(&ada.item_of(&folder).await).await;
        assert_eq!(figures().await, (2, 1, 1500, 4700));
        ada.purge(&ada.item_of(&a).await).await;
        assert_eq!(figures().await, (2, 1, 1500, 1500));
        // The same bytes twice are stored, and counted, once.
        let d = ada.upload(noise(4, 100), "d.bin").await;
        ada.add_version(&d, noise(2, 500)).await;
        assert_eq!(figures().await, (3, 1, 2000, 1600));
        ada.trash_folder(&folder).await;
        ada.trash_file(&d).await;
        ada.empty_trash().await;
        assert_eq!(figures().await, (0, -1, 0, 0));
        assert_eq!(ada.stats().await["total_folders"], ada.get_json("/api/cdn/folders/").await["count"]);
    }
}

api_test! {
    async fn the_five_types_with_most_bytes_are_shown(app) {
        let ada = app.user("ada@example.com").await;
        let types = ["image/png", "video/mp4", "audio/mpeg", "application/pdf", "text/csv", "application/zip"];
        let mut files = Vec::new();
        for (nth, mime_type) in (1..).zip(types) {
            for copy in 0..2 {
                let body = registration(&format!("{nth}-{copy}"));
                let body = merged(body, json!({"mime_type": mime_type, "file_size": nth * 100 + copy}));
                files.push(ada.register(&body).await);
            }
        }
        let by_type = async || ada.get_json("/api/cdn/dashboard/").await["storage_by_type"].clone();
        let expected: Vec<Value> = (1..).zip(types).skip(1).map(|(nth, mime_type)| {
            json!({"mime_type": mime_type, "count": 2, "size": nth * 200 + 1})
        }).collect();
        assert_eq!(by_type().await, Value::from_iter(expected.into_iter().rev()));
        // What goes makes room for the next one, and nothing with no file is shown.
        for file in &files[2..] {
            ada.trash_file(file).await;
        }
        assert_eq!(by_type().await, json!([{"mime_type": "image/png", "count": 2, "size": 201}]));
        ada.add_version(&files[0], png(1)).await;
        assert_eq!(by_type().await[0]["mime_type"], "image/png");
        ada.add_version(&files[0], "plain text, and more of it than before").await;
        assert_eq!(by_type().await.as_array().unwrap().len(), 2, "{}", by_type().await);
    }
}

api_test! {
    async fn the_newest_files_and_actions_are_shown(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        grace.register(&registration("hers.txt")).await;
        let mut files = Vec::new();
        for nth in 0..12 {
            files.push(ada.register(&registration(&format!("{nth:02}.txt"))).await);
        }
        ada.toggle_star("files", &files[11]).await;
        // An access makes no file newer.
        ada.get_json(&format!("/api/cdn/files/{}/download/", id_of(&files[0]))).await;
        app.flush().await;
        ada.trash_file(&files[10]).await;
        let dashboard = ada.get_json("/api/cdn/dashboard/").await;
        let recent = &dashboard["recent_files"];
        assert_eq!(names_of(recent), ["11.txt", "09.txt", "08.txt", "07.txt", "06.txt"]);
        recent.as_array().unwrap().iter().for_each(assert_file);
        assert_eq!(recent[0]["is_starred"], true);
        let actions = dashboard["recent_activity"].as_array().unwrap();
        assert_eq!(actions.len(), 10);
        assert_eq!((&actions[0]["action_type"], &actions[0]["resource_name"]), (&json!("delete"), &json!("10.txt")));
        assert_eq!((&actions[1]["action_type"], &actions[1]["resource_name"]), (&json!("download"), &json!("00.txt")));
        assert_eq!(actions[2]["resource_name"], "11.txt");
        assert_eq!(dashboard["recent_activity"], ada.get_json("/api/cdn/activity/?page_size=10").await["results"]);
    }
}

api_test! {
    with |config| { crate::harness::set_tier(config, "small", 1 << 10, 10 << 10); }
    async fn the_limit_is_the_tiers(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let stats = ada.stats().await;
        assert_eq!((&stats["storage_limit"], &stats["quota_tier"]), (&json!(10 << 10), &json!("small")));
    }
}
