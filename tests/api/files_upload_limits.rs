//! The limits of uploads, and what is left when one does not end well: nothing.

use serde_json::json;

use crate::harness::{
    Client, Fetch, Form, RawConnection, TestApp, assert_error, assert_refused, eventually, id_of, noise,
    set_tier,
};

const UPLOADS: &str = "/api/cdn/uploads/";
const KIB: usize = 1 << 10;

macro_rules! small_tier_test {
    (async fn $name:ident($app:ident) $body:block) => {
        api_test! {
            with |config| { set_tier(config, "small", 100 << 10, 250 << 10); }
            async fn $name($app) $body
        }
    };
}

fn chunked(bytes: &[u8]) -> reqwest::Body {
    let parts: Vec<_> = bytes.chunks(7_000).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect();
    reqwest::Body::wrap_stream(futures_util::stream::iter(parts))
}

/// The head of an upload request up to and with its empty line.
fn head(ada: &Client, method_and_path: &str, headers: &str) -> String {
    let token = &ada.session.access;
    format!(
        "{method_and_path} HTTP/1.1\r\nHost: cdn.example\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
    )
}

/// Waits until the server has begun with this many uploads: what has not begun can't leave anything yet.
async fn expect_under_way(app: &TestApp, count: usize) {
    eventually(&format!("{count} uploads are under way"), || async {
        app.leftovers().await.contains(&format!("reservations: {count}"))
    })
    .await;
}

/// Nothing is stored, nothing is charged and nothing stays reserved.
async fn expect_nothing_left(app: &TestApp, ada: &Client, room: usize) {
    app.expect_stored_objects(0).await;
    assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
    eventually("the reservation is given back", || async { ada.used_bytes().await == 0 }).await;
    // All of the quota is free again, and the name as well.
    for seed in 0..(room / (50 * KIB)) as u64 {
        ada.upload(noise(seed, 50 * KIB), &format!("{seed}.bin")).await;
    }
}

small_tier_test! {
    async fn a_file_over_the_tiers_size_is_413_and_leaves_nothing(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let bytes = noise(1, 100 * KIB + 1);
        let replies = [
            ada.try_upload(bytes.clone(), "a.bin").await,
            ada.try_upload(chunked(&bytes), "a.bin").await,
            Form::new().file("a.bin", &bytes).on(ada.post(UPLOADS)).fetch().await,
        ];
        for reply in replies {
            assert_refused(&reply, 413);
        }
        expect_nothing_left(app, &ada, 250 * KIB).await;
    }
}

small_tier_test! {
    async fn a_file_of_exactly_the_tiers_size_is_stored(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        ada.upload(noise(1, 100 * KIB), "a.bin").await;
        ada.upload(chunked(&noise(2, 100 * KIB)), "b.bin").await;
        assert_eq!(ada.used_bytes().await, 200 << 10);
    }
}

small_tier_test! {
    async fn an_upload_over_the_quota_is_402_and_leaves_nothing(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        ada.upload(noise(1, 100 * KIB), "a.bin").await;
        ada.upload(noise(2, 100 * KIB), "b.bin").await;
        let bytes = noise(3, 50 * KIB + 1);
        let replies = [
            ada.try_upload(bytes.clone(), "c.bin").await,
            ada.try_upload(chunked(&bytes), "c.bin").await,
            Form::new().file("c.bin", &bytes).on(ada.post(UPLOADS)).fetch().await,
        ];
        for reply in replies {
            let body = assert_error(&reply, 402, "Storage quota exceeded");
            assert_eq!(body["quota"]["storage_used"], 200 << 10);
            assert_eq!(body["quota"]["storage_limit"], 250 << 10);
            assert_eq!(body["quota"]["quota_tier"], "small");
            assert_eq!(body["quota"]["percentage_used"].as_f64(), Some(80.0));
        }
        app.expect_stored_objects(2).await;
        // The last byte fits.
        ada.upload(noise(4, 50 * KIB), "d.bin").await;
        assert_eq!(ada.used_bytes().await, 250 << 10);
    }
}

small_tier_test! {
    async fn a_multipart_upload_of_exactly_the_rest_of_the_quota_fits(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        ada.upload(noise(1, 100 * KIB), "a.bin").await;
        ada.upload(noise(2, 100 * KIB), "b.bin").await;
        // The request is longer than the file in it.
        Form::new().file("c.bin", &noise(3, 50 * KIB)).on(ada.post(UPLOADS)).fetch().await.expect_json(201);
        assert_eq!(ada.used_bytes().await, 250 << 10);
    }
}

small_tier_test! {
    async fn a_multipart_upload_of_exactly_the_tiers_size_fits(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        Form::new().file("a.bin", &noise(1, 100 * KIB)).on(ada.post(UPLOADS)).fetch().await.expect_json(201);
    }
}

small_tier_test! {
    async fn a_declared_length_over_the_limit_is_refused_before_the_body_is_sent(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        for headers in
            ["Content-Length: 1073741824\r\n", "Content-Length: 1073741824\r\nExpect: 100-continue\r\n"]
        {
            let mut connection = RawConnection::open(app).await;
            connection.send(head(&ada, "PUT /api/cdn/uploads/a.bin", headers)).await;
            let status = match connection.read_status().await {
                // Said by the HTTP layer to whoever asks, before the request is looked at.
                100 => connection.read_status().await,
                status => status,
            };
            assert_eq!(status, 413);
        }
        expect_nothing_left(app, &ada, 250 * KIB).await;
    }
}

api_test! {
    async fn who_is_refused_in_the_middle_of_chunks_gets_to_the_answer(app) {
        let ada = app.user("ada@example.com").await;
        let bob = app.user("bob@example.com").await;
        let folder = bob.create_folder("Bob's", None).await;
        let into_bobs = format!("PUT /api/cdn/uploads/a.bin?folder_id={}", id_of(&folder));
        for (client, path, status) in [
            (&ada, into_bobs.as_str(), 404),
            (&ada, "POST /api/cdn/uploads/", 415),
            (&ada, "POST /api/cdn/upload-0x0/", 415),
            (&ada, "PATCH /api/cdn/uploads/", 405),
            (&app.anonymous(), "PUT /api/cdn/uploads/a.bin", 401),
        ] {
            let mut connection = RawConnection::open(app).await;
            let chunk = [b"10000\r\n".as_slice(), &noise(1, 64 * KIB), b"\r\n"].concat();
            connection.send(head(client, path, "Transfer-Encoding: chunked\r\n")).await;
            // More than connections hold: without being read on, this would not end.
            let mut rounds = 0;
            while rounds < 400 && connection.try_send(&chunk).await {
                rounds += 1;
            }
            assert_eq!(connection.read_status().await, status, "{path}");
        }
        app.expect_stored_objects(0).await;
    }
}

small_tier_test! {
    async fn an_upload_without_a_login_is_refused_before_the_body_is_sent(app) {
        let mut connection = RawConnection::open(app).await;
        let head =
            "PUT /api/cdn/uploads/a.bin HTTP/1.1\r\nHost: cdn.example\r\nContent-Length: 50000\r\n\r\n";
        connection.send(head).await;
        assert_eq!(connection.read_status().await, 401);
    }
}

api_test! {
    async fn a_client_that_asks_before_it_sends_is_told_to_go_on(app) {
        let ada = app.user("ada@example.com").await;
        let mut connection = RawConnection::open(app).await;
        connection
            .send(head(&ada, "PUT /api/cdn/uploads/a.txt", "Content-Length: 5\r\nExpect: 100-continue\r\n"))
            .await;
        assert_eq!(connection.read_status().await, 100);
        connection.send("hello").await;
        assert_eq!(connection.read_status().await, 201);
    }
}

small_tier_test! {
    async fn a_client_that_goes_away_in_a_raw_body_leaves_nothing(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        for sent in [0, 1, 40 * KIB, 100 * KIB - 1] {
            let mut connection = RawConnection::open(app).await;
            let headers = format!("Content-Length: {}\r\n", 100 * KIB);
            connection.send(head(&ada, "PUT /api/cdn/uploads/a.bin", &headers)).await;
            connection.send(noise(1, sent)).await;
            expect_under_way(app, 1).await;
            drop(connection);
            app.expect_stored_objects(0).await;
        }
        expect_nothing_left(app, &ada, 250 * KIB).await;
    }
}

small_tier_test! {
    async fn a_client_that_goes_away_in_a_chunked_body_leaves_nothing(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let mut connection = RawConnection::open(app).await;
        connection.send(head(&ada, "PUT /api/cdn/uploads/a.bin", "Transfer-Encoding: chunked\r\n")).await;
        connection.send("a000\r\n").await;
        connection.send(noise(1, 40 * KIB)).await;
        connection.send("\r\na000\r\nhalf").await;
        expect_under_way(app, 1).await;
        drop(connection);
        expect_nothing_left(app, &ada, 250 * KIB).await;
    }
}

small_tier_test! {
    async fn a_client_that_goes_away_in_a_form_leaves_nothing(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let whole = Form::new().file("a.bin", &noise(1, 60 * KIB)).finished();
        for sent in [10, 120, 300, 50 * KIB, whole.len() - 1] {
            let mut connection = RawConnection::open(app).await;
            let headers =
                format!("Content-Length: {}\r\nContent-Type: {}\r\n", whole.len(), Form::content_type());
            connection.send(head(&ada, "POST /api/cdn/uploads/", &headers)).await;
            connection.send(&whole[..sent]).await;
            drop(connection);
        }
        app.expect_stored_objects(0).await;
        assert_eq!(ada.get_json("/api/cdn/files/").await["count"], 0);
        assert_eq!(ada.used_bytes().await, 0);
    }
}

small_tier_test! {
    async fn many_clients_that_go_away_leave_nothing(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let mut connections = Vec::new();
        for number in 0..20 {
            let mut connection = RawConnection::open(app).await;
            let path = format!("PUT /api/cdn/uploads/{number}.bin");
            connection.send(head(&ada, &path, "Content-Length: 10000\r\n")).await;
            connection.send(noise(number, 5_000)).await;
            connections.push(connection);
        }
        expect_under_way(app, 20).await;
        drop(connections);
        expect_nothing_left(app, &ada, 250 * KIB).await;
    }
}

small_tier_test! {
    async fn a_refused_upload_gives_its_reservation_back(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        ada.upload(noise(1, 100 * KIB), "a.bin").await;
        for _ in 0..5 {
            // A duplicate is known only when all of it has come.
            assert_error(&ada.try_upload(noise(1, 100 * KIB), "b.bin").await, 409, "File already exists");
            let form = Form::new()
                .field("folder_id", "no-uuid")
                .file("c.bin", &noise(2, 90 * KIB))
                .on(ada.post(UPLOADS));
            assert_error(&form.fetch().await, 404, "Not found.");
            let form = Form::new()
                .file("c.bin", &noise(2, 90 * KIB))
                .field("folder_id", "no-uuid")
                .on(ada.post(UPLOADS));
            assert_error(&form.fetch().await, 404, "Not found.");
        }
        assert_eq!(ada.used_bytes().await, 100 << 10);
        ada.upload(noise(3, 100 * KIB), "d.bin").await;
        ada.upload(noise(4, 50 * KIB), "e.bin").await;
        app.expect_stored_objects(3).await;
    }
}

small_tier_test! {
    async fn a_session_that_ends_does_not_leave_a_half_upload(app) {
        let ada = app.user_in_tier("ada@example.com", "small").await;
        let mut connection = RawConnection::open(app).await;
        connection.send(head(&ada, "PUT /api/cdn/uploads/a.bin", "Content-Length: 10000\r\n")).await;
        connection.send(noise(1, 5_000)).await;
        ada.post("/api/auth/logout").fetch().await.expect_json(200);
        connection.send(noise(2, 5_000)).await;
        let status = connection.read_status().await;
        let again = app.login("ada@example.com", crate::harness::PASSWORD).await;
        let count = again.get_json("/api/cdn/files/").await["count"].clone();
        match status {
            201 => assert_eq!(count, 1),
            401 => assert_eq!(count, 0),
            other => panic!("{other}"),
        }
        app.expect_stored_objects(usize::from(status == 201)).await;
    }
}

api_test! {
    with |config| { config.uploads.stall_timeout = hackclub_cdn::config::Span::from_millis(300); }
    async fn a_body_that_makes_no_progress_is_408_and_leaves_nothing(app) {
        let ada = app.user("ada@example.com").await;
        let mut connection = RawConnection::open(app).await;
        connection.send(head(&ada, "PUT /api/cdn/uploads/a.bin", "Content-Length: 10000\r\n")).await;
        connection.send(noise(1, 5_000)).await;
        assert_eq!(connection.read_status().await, 408);
        app.expect_stored_objects(0).await;
        assert_eq!(
            ada.get_json("/api/cdn/files/").await,
            json!({
                "count": 0, "next": null, "previous": null, "results": [],
            })
        );
    }
}

api_test! {
    with |config| { config.uploads.max_concurrent = 2; }
    async fn an_upload_too_many_is_503_with_retry_after(app) {
        let ada = app.user("ada@example.com").await;
        let mut open = Vec::new();
        for number in 0..2 {
            let mut connection = RawConnection::open(app).await;
            let path = format!("PUT /api/cdn/uploads/{number}.bin");
            connection.send(head(&ada, &path, "Content-Length: 10\r\n")).await;
            connection.send("half ").await;
            open.push(connection);
        }
        expect_under_way(app, 2).await;
        assert_refused(&ada.try_upload(noise(9, 100), "c.bin").await, 503);
        for (number, connection) in open.iter_mut().enumerate() {
            connection.send(format!("{number}half")).await;
            assert_eq!(connection.read_status().await, 201);
        }
        ada.upload(noise(9, 100), "c.bin").await;
    }
}
