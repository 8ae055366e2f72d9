//! Versions against the quota, the size limit, and how many are kept.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Form, RawConnection, assert_error, eventually, id_of, merged, noise, registration,
    set_tier,
};

const KIB: usize = 1 << 10;

async fn sizes(client: &Client, file: &Value) -> Vec<u64> {
    client
        .versions(file)
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["file_size"].as_u64().unwrap())
        .collect()
}

api_test! {
    with |config| { set_tier(config, "small", 10 << 10, 20 << 10); }
    async fn versions_count_against_the_quota_to_the_byte(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let file = ada.upload(noise(1, 10 * KIB), "a.bin").await;
        ada.add_version(&file, noise(2, 9 * KIB)).await;
        let path = format!("/api/cdn/files/{}/versions/", id_of(&file));
        let registered = merged(registration("x"), json!({"file_size": KIB + 1}));
        for reply in [
            ada.try_add_version(&file, noise(3, KIB + 1)).await,
            Form::new().file("x", &noise(3, KIB + 1)).on(ada.post(&path)).fetch().await,
            ada.post(&path).json(&registered).fetch().await,
        ] {
            let body = assert_error(&reply, 402, "Storage quota exceeded");
            assert_eq!(body["quota"]["storage_used"], 19 * KIB);
        }
        app.expect_stored_objects(2).await;
        assert_eq!(sizes(&ada, &file).await, [10 << 10]);
        ada.add_version(&file, noise(3, KIB)).await;
        assert_eq!(ada.stats().await["storage_used"], 20 * KIB);
        // To go back and forth between contents costs nothing.
        ada.post(&Client::version_path(&file, 1, "restore")).fetch().await.expect_json(200);
        assert_eq!(ada.stats().await["storage_used"], 20 * KIB);
        ada.remove(&Client::version_path(&file, 2, "")).await;
        ada.upload(noise(4, 9 * KIB), "fits again.bin").await;
    }
}

api_test! {
    with |config| { set_tier(config, "small", 10 << 10, 100 << 10); }
    async fn a_version_over_the_tiers_file_size_is_413(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let file = ada.upload("content", "a.txt").await;
        let path = format!("/api/cdn/files/{}/versions/", id_of(&file));
        let stream = futures_util::stream::iter((0..11).map(|seed| Ok::<_, std::io::Error>(noise(seed, KIB))));
        for reply in [
            ada.try_add_version(&file, noise(1, 10 * KIB + 1)).await,
            ada.try_add_version(&file, reqwest::Body::wrap_stream(stream)).await,
            Form::new().file("x", &noise(1, 10 * KIB + 1)).on(ada.post(&path)).fetch().await,
        ] {
            assert_error(&reply, 413, "File too large");
        }
        assert_eq!(ada.versions(&file).await, json!([]));
        app.expect_stored_objects(1).await;
        ada.add_version(&file, noise(1, 10 * KIB)).await;
    }
}

api_test! {
    with |config| { config.versions.keep = 2; }
    async fn the_oldest_versions_beyond_the_limit_go_with_their_bytes(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(0, 1), "a.bin").await;
        for seed in 1..6 {
            ada.add_version(&file, noise(seed, 10_usize.pow(u32::try_from(seed).unwrap()))).await;
        }
        assert_eq!(sizes(&ada, &file).await, [10_000, 1000]);
        assert_eq!(ada.stats().await["storage_used"], 111_000);
        app.expect_stored_objects(3).await;
        let versions = ada.versions(&file).await;
        assert_eq!((&versions[0]["version_number"], &versions[1]["version_number"]), (&json!(5), &json!(4)));
        // Restoring one keeps as many as there were.
        ada.post(&Client::version_path(&file, 4, "restore")).fetch().await.expect_json(200);
        assert_eq!(sizes(&ada, &file).await, [100_000, 10_000]);
        assert_eq!(ada.stats().await["storage_used"], 111_000);
    }
}

api_test! {
    with |config| { config.versions.keep = 1; }
    async fn registered_content_drops_stored_bytes_too(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let path = format!("/api/cdn/files/{}/versions/", id_of(&file));
        ada.post(&path).json(&registration("x")).fetch().await.expect_json(201);
        app.expect_stored_objects(1).await;
        ada.post(&path).json(&registration("x")).fetch().await.expect_json(201);
        assert_eq!(sizes(&ada, &file).await, [1000]);
        app.expect_stored_objects(0).await;
        assert_eq!(ada.stats().await["storage_used"], 2000);
    }
}

api_test! {
    with |config| { config.versions.keep = 0; }
    async fn with_a_limit_of_none_the_former_content_is_gone_at_once(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 100), "a.bin").await;
        let shown = ada.add_version(&file, noise(2, 50)).await;
        assert_eq!((&shown["versions"], &shown["file_size"]), (&json!([]), &json!(50)));
        assert_eq!(ada.stats().await["storage_used"], 50);
        app.expect_stored_objects(1).await;
    }
}

api_test! {
    async fn a_version_whose_client_goes_away_leaves_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        let mut connection = RawConnection::open(app).await;
        let head = format!(
            "POST /api/cdn/files/{}/versions/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nAuthorization: Bearer {}\r\n\r\n",
            id_of(&file), ada.session.access
        );
        connection.send(head).await;
        connection.send(noise(1, 5000)).await;
        eventually("the upload has begun", || async { app.stored_objects().len() > 1 || !app.leftovers().await.is_empty() }).await;
        drop(connection);
        app.expect_stored_objects(1).await;
        assert_eq!(ada.versions(&file).await, json!([]));
        assert_eq!(ada.stats().await["storage_used"], 7);
    }
}
