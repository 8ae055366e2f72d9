//! What a registration counts against the quota.

use serde_json::json;

use crate::harness::{Client, Fetch, assert_error, assert_refused, merged, registration, set_tier};

const KIB: u64 = 1 << 10;

async fn register_sized(client: &Client, size: u64) -> crate::harness::Reply {
    client.try_register(&merged(registration("a.bin"), json!({"file_size": size}))).await
}

macro_rules! small_tier_test {
    (async fn $name:ident($app:ident) $body:block) => {
        api_test! {
            with |config| { set_tier(config, "small", 10 * KIB, 100 * KIB); }
            async fn $name($app) $body
        }
    };
}

small_tier_test! {
    async fn registered_sizes_count_up_to_the_last_byte(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        register_sized(&ada, 60 * KIB).await.expect_json(201);
        assert_error(&register_sized(&ada, 40 * KIB + 1).await, 402, "Storage quota exceeded");
        register_sized(&ada, 40 * KIB).await.expect_json(201);
        assert_error(&register_sized(&ada, 1).await, 402, "Storage quota exceeded");
        assert_eq!(ada.used_bytes().await, 100 * KIB);
    }
}

small_tier_test! {
    async fn the_402_body_tells_the_quota(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        register_sized(&ada, 25 * KIB).await.expect_json(201);
        let body = assert_error(&register_sized(&ada, 90 * KIB).await, 402, "Storage quota exceeded");
        let quota = &body["quota"];
        assert_eq!(quota["storage_used"], 25 * KIB);
        assert_eq!(quota["storage_limit"], 100 * KIB);
        assert_eq!(quota["quota_tier"], "small");
        assert_eq!(quota["percentage_used"].as_f64(), Some(25.0));
    }
}

small_tier_test! {
    async fn the_limit_for_one_file_does_not_apply_to_registrations(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        register_sized(&ada, 50 * KIB).await.expect_json(201);
    }
}

small_tier_test! {
    async fn a_refused_registration_leaves_nothing(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        register_sized(&ada, 101 * KIB).await.expect_json(402);
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
        assert_eq!(ada.used_bytes().await, 0);
        assert_eq!(ada.root().await["files_count"], 0);
    }
}

small_tier_test! {
    async fn a_duplicate_counts_nothing_even_when_the_quota_is_full(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let body = merged(registration("a.bin"), json!({"file_size": 100 * KIB}));
        ada.register(&body).await;
        assert_error(&ada.try_register(&body).await, 409, "File already exists");
        assert_eq!(ada.used_bytes().await, 100 * KIB);
    }
}

small_tier_test! {
    async fn the_trash_counts_against_the_quota(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let file = register_sized(&ada, 80 * KIB).await.expect_json(201);
        ada.trash_file(&file).await;
        assert_eq!(ada.used_bytes().await, 80 * KIB);
        assert_error(&register_sized(&ada, 30 * KIB).await, 402, "Storage quota exceeded");
    }
}

small_tier_test! {
    async fn sizes_at_the_ends_of_the_number_range_are_refused_calmly(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        register_sized(&ada, 1).await.expect_json(201);
        for size in [1 << 53, 1 << 62, i64::MAX as u64 - 1, i64::MAX as u64] {
            assert_error(&register_sized(&ada, size).await, 402, "Storage quota exceeded");
        }
        for size in [i64::MAX as u64 + 1, u64::MAX] {
            let reply = register_sized(&ada, size).await;
            assert!(matches!(reply.status, 400 | 402), "{size}: {} {}", reply.status, reply.text());
            assert_refused(&reply, reply.status);
        }
        let body = serde_json::to_string(&registration("a.bin")).unwrap();
        let body = body.replace("\"file_size\":1000", "\"file_size\":123456789012345678901234567890");
        let request = ada.post("/api/cdn/files/upload/").header("content-type", "application/json");
        let reply = request.body(body).fetch().await;
        assert!(matches!(reply.status, 400 | 402), "{} {}", reply.status, reply.text());
        assert_eq!(ada.used_bytes().await, 1);
    }
}

api_test! {
    with |config| {
        set_tier(config, "small", 10 * KIB, 100 * KIB);
        config.quota.count_registered = false;
    }
    async fn registered_sizes_can_be_left_out_of_the_quota(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        register_sized(&ada, 500 * KIB).await.expect_json(201);
        register_sized(&ada, 1 << 40).await.expect_json(201);
        // Stored bytes still count.
        for number in 0..10 {
            ada.upload(crate::harness::noise(number, 10 * 1024), "a.bin").await;
        }
        let body = assert_error(&ada.try_upload("x", "b.bin").await, 402, "Storage quota exceeded");
        assert_eq!(body["quota"]["storage_used"], 100 * KIB);
    }
}

api_test! {
    async fn users_do_not_share_a_quota(app) {
        let ada = app.user_in_tier("ada@example.com", "unverified").await;
        let grace = app.user_in_tier("grace@example.com", "unverified").await;
        register_sized(&ada, 50 << 20).await.expect_json(201);
        register_sized(&grace, 50 << 20).await.expect_json(201);
        let body = assert_error(&register_sized(&ada, 1).await, 402, "Storage quota exceeded");
        assert_eq!(body["quota"]["quota_tier"], "unverified");
        assert_eq!(body["quota"]["percentage_used"].as_f64(), Some(100.0));
    }
}
