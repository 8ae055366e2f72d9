//! `/api/cdn/upload-0x0/`: the way to the host and back, limits, and what is kept of it.

use serde_json::Value;

use crate::harness::{
    Act, Client, Fetch, Form, RawConnection, Reply, TestApp, UploadHost, answer, assert_error,
    assert_refused, eventually, md5_hex, noise, sha256_hex, status_of, url_answer,
};

pub const PATH: &str = "/api/cdn/upload-0x0/";
const STATUS: &str = "/api/cdn/upload-0x0/status/";

pub async fn pass_on(client: &Client, content: &[u8]) -> Reply {
    Form::new().file("notes.txt", content).on(client.post(PATH)).fetch().await
}

/// The metadata of the caller's uploads, newest first.
pub async fn uploads(client: &Client) -> Vec<Value> {
    let page = client.get_json("/api/cdn/activity/?action_type=upload").await;
    let rows = page["results"].as_array().expect("results").clone();
    for row in &rows {
        assert_eq!(row["user"], client.id, "{row}");
    }
    rows
}

/// The one line of activity that an upload left.
pub async fn only_upload(client: &Client) -> Value {
    let mut rows = uploads(client).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

/// A raw request that sends the head and the beginning of a form whose file has `file_size` bytes.
pub async fn begin_raw(app: &TestApp, client: &Client, file: &[u8], sent: usize) -> (RawConnection, Vec<u8>) {
    let form = Form::new().file("notes.txt", file).finished();
    let mut connection = RawConnection::open(app).await;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: cdn.example\r\nAuthorization: Bearer {}\r\nContent-Type: {}\r\n\
         Content-Length: {}\r\n\r\n",
        client.session.access,
        Form::content_type(),
        form.len()
    );
    connection.send(head).await;
    connection.send(&form[..sent]).await;
    (connection, form)
}

/// Waits until no upload is running or waiting.
pub async fn all_ended(client: &Client) {
    eventually("every slot is free", || async {
        let status = client.get_json(STATUS).await;
        status["running"] == 0 && status["waiting"] == 0
    })
    .await;
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn the_host_gets_the_file_and_its_answer_comes_back_as_it_is(app) {
        let headers = "Content-Type: text/x-url; charset=latin1\r\nX-Expires: 1799999999999\r\nX-Token: t0k3n\r\n\
                       Set-Cookie: a=b\r\n";
        let host = UploadHost::start([Act::Answer(answer(201, headers, "https://host.example/abc.txt\n"))]);
        let ada = app.user("ada@example.com").await;
        let content = noise(1, 300_000);
        let reply = pass_on(&ada, &content).await;
        reply.expect_status(201);
        assert_eq!(reply.text(), "https://host.example/abc.txt\n");
        assert_eq!(reply.header("content-type"), "text/x-url; charset=latin1");
        assert_eq!(reply.header("x-expires"), "1799999999999");
        assert_eq!(reply.header("x-token"), "t0k3n");
        reply.expect_no_cookies();

        let request = host.only_request();
        assert!(request.head.starts_with("POST / HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("user-agent"), Some("FriendlyUploader"));
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        for kept_here in ["authorization", "cookie", "expect", "transfer-encoding"] {
            assert_eq!(request.header(kept_here), None, "{}", request.head);
        }
        let parts = request.parts();
        assert_eq!(parts.len(), 1);
        assert!(parts[0].0.contains("filename=\"notes.txt\""), "{}", parts[0].0);
        assert!(parts[0].0.contains("Content-Type: application/octet-stream"), "{}", parts[0].0);
        assert!(parts[0].1 == content, "the bytes arrive as they were sent");

        let row = only_upload(&ada).await;
        assert_eq!(row["resource_name"], "notes.txt", "{row}");
        assert!(row["resource_type"].is_null() && row["resource_id"].is_null(), "{row}");
        let metadata = &row["metadata"];
        assert_eq!(metadata["file_size"], 300_000, "{row}");
        assert_eq!(metadata["mime_type"], "application/octet-stream", "{row}");
        let name = request.header("host").expect("a host");
        assert_eq!(metadata["external_service"], name, "{row}");
        assert_eq!(metadata["status_code"], 201, "{row}");
        assert_eq!(metadata["timeout_used"], 120, "{row}");
        assert_eq!(metadata["retry_count"], 0, "{row}");
        assert_eq!(metadata["max_retries"], 2, "{row}");
        assert_eq!(metadata["token"], "t0k3n", "{row}");
        assert_eq!(app.stored_objects().len(), 0);
        // Nobody waits for the hashes.
        eventually("the hashes are in the activity", async || {
            let row = only_upload(&ada).await;
            let metadata = &row["metadata"];
            metadata["sha256_hash"] == sha256_hex(&content) && metadata["md5_hash"] == md5_hex(&content)
        })
        .await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn whatever_the_host_answers_is_final(app) {
        let statuses = [400, 403, 413, 451, 500, 503, 302];
        let headers = "Content-Type: text/html\r\nLocation: http://127.0.0.1:1/\r\n";
        let host = UploadHost::start(statuses.map(|status| Act::Answer(answer(status, headers, "<p>No.</p>"))));
        let ada = app.user("ada@example.com").await;
        for (number, status) in statuses.into_iter().enumerate() {
            let reply = pass_on(&ada, b"hello").await;
            reply.expect_status(status);
            assert_eq!((reply.text().as_str(), reply.header("content-type")), ("<p>No.</p>", "text/html"));
            assert_eq!(host.requests().len(), number + 1);
            // What the host says is not ours: it may do nothing in our name.
            assert!(reply.header("content-security-policy").starts_with("default-src 'none'"));
            assert_eq!(reply.header("x-content-type-options"), "nosniff");
        }
        for (row, status) in uploads(&ada).await.iter().rev().zip(statuses) {
            assert_eq!((&row["metadata"]["status_code"], &row["metadata"]["retry_count"]),
                (&Value::from(status), &Value::from(0)), "{row}");
        }
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn an_answer_without_a_body_is_passed_on_too(app) {
        let _host = UploadHost::start([
            Act::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end".to_vec()),
        ]);
        let ada = app.user("ada@example.com").await;
        pass_on(&ada, b"hello").await.expect_empty(204);
        let reply = pass_on(&ada, b"hello").await;
        reply.expect_status(200);
        assert_eq!(reply.text(), "until the end");
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn expires_and_secret_are_passed_on_wherever_they_stand(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        let content = noise(2, 200_000);
        let before = Form::new().field("expires", "24").field("secret", "").file("a.txt", &content);
        before.on(ada.post(PATH)).fetch().await.expect_status(200);
        let after = Form::new().field("secret", "").file("a.txt", &content).field("expires", "24");
        after.on(ada.post(PATH)).fetch().await.expect_status(200);
        let others = Form::new().file("a.txt", &content).field("url", "http://a.example/").field("x", "y");
        others.on(ada.post(PATH)).fetch().await.expect_status(200);
        // What began before the form was known to be another one was never whole.
        let whole: Vec<_> = host.requests().into_iter().filter(|request| request.is_whole).collect();
        assert_eq!(whole.len(), 3);
        for request in &whole {
            assert!(request.file() == content);
        }
        for request in &whole[..2] {
            assert_eq!(request.field("expires").as_deref(), Some("24"));
            assert_eq!(request.field("secret").as_deref(), Some(""));
        }
        assert_eq!(whole[2].parts().len(), 1, "fields that the host doesn't know stay here");
        for row in uploads(&ada).await {
            assert_eq!((&row["metadata"]["retry_count"], &row["metadata"]["status_code"]),
                (&Value::from(0), &Value::from(200)), "{row}");
        }
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn the_host_gets_bytes_while_the_client_still_sends(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        let content = noise(3, 1_000_000);
        let (mut connection, form) = begin_raw(app, &ada, &content, 600_000).await;
        host.expect_request(0, "the host has half of it", |request| request.body.len() > 400_000).await;
        assert!(!host.only_request().is_whole);
        connection.send(&form[600_000..]).await;
        assert_eq!(connection.read_status().await, 200);
        let request = host.only_request();
        assert!(request.is_whole && request.file() == content);
        assert_eq!(only_upload(&ada).await["metadata"]["file_size"], 1_000_000);
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_client_that_does_not_tell_its_length_is_passed_on_with_one(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        let content = noise(4, 300_000);
        let form = Form::new().file("notes.txt", &content).finished();
        let pieces: Vec<_> = form.chunks(7_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let request = ada.post(PATH).header("content-type", Form::content_type()).body(body);
        request.fetch().await.expect_status(200);
        let request = host.only_request();
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        assert!(request.is_whole && request.file() == content);
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn connections_to_the_host_are_kept(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        for _ in 0..3 {
            pass_on(&ada, &noise(5, 10_000)).await.expect_status(200);
        }
        assert_eq!((host.requests().len(), host.connections()), (3, 1));
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_form_without_a_file_or_with_two_is_refused(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        let reply = Form::new().field("expires", "24").on(ada.post(PATH)).fetch().await;
        assert_error(&reply, 400, "No file provided");
        assert_eq!(uploads(&ada).await.len(), 0);
        let two = Form::new().file("a.txt", b"one").file("b.txt", b"two").on(ada.post(PATH)).fetch().await;
        assert_refused(&two, 400);
        assert_refused(&ada.post(PATH).body("hello").fetch().await, 415);
        assert_refused(&pass_on(&app.anonymous(), b"hello").await, 401);
        assert_refused(&app.anonymous().get(STATUS).fetch().await, 401);
        assert!(host.requests().iter().all(|request| !request.is_whole), "{:?}", host.requests());
        all_ended(&ada).await;
    }
}

api_test! {
    with |config| {
        UploadHost::reserve(config);
        config.upload_0x0.max_size = hackclub_cdn::config::ByteSize::from_mib(1);
    }
    async fn a_file_over_the_limit_is_refused_as_soon_as_it_is_known(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        // Said beforehand: not a byte of the file is asked for.
        let content = vec![0; 3 << 20];
        let (mut connection, _) = begin_raw(app, &ada, &content, 300).await;
        let head = connection.read_head().await;
        assert_eq!(status_of(&head), Some(413), "{head}");
        assert_eq!(host.connections(), 0);
        let row = only_upload(&ada).await;
        assert_eq!(row["metadata"]["status_code"], 413, "{row}");

        // Not said, or only just over it: found out on the way.
        let limit: usize = 1 << 20;
        for content in [vec![0; limit + 1], vec![0; 3 * limit]] {
            let form = Form::new().file("large.bin", &content).finished();
            let pieces: Vec<_> = form.chunks(50_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
            let request = ada.post(PATH).header("content-type", Form::content_type()).body(body);
            let body = assert_error(&request.fetch().await, 413, "File too large");
            assert_eq!(body["details"]["max_size"], "1.0 MB", "{body}");
            assert!(body["details"]["file_size"].as_str().is_some_and(|size| size.ends_with(" MB")), "{body}");
        }
        let reply = pass_on(&ada, &vec![0; limit + 1]).await;
        assert_error(&reply, 413, "File too large");
        assert!(host.requests().iter().all(|request| !request.is_whole));
        // What just fits does fit.
        pass_on(&ada, &vec![0; limit]).await.expect_status(200);
        all_ended(&ada).await;
    }
}

api_test! {
    with |config| {
        UploadHost::reserve(config);
        config.upload_0x0.max_concurrent = 2;
        config.upload_0x0.queue = 1;
    }
    async fn beyond_slots_and_line_an_upload_is_refused_and_a_client_that_leaves_makes_room(app) {
        let host = UploadHost::start([Act::Mute, Act::Mute]);
        let ada = app.user("ada@example.com").await;
        let mut connections = Vec::new();
        for taken in 1..=3 {
            let (connection, _) = begin_raw(app, &ada, b"hello", 0).await;
            connections.push(connection);
            let form = Form::new().file("notes.txt", b"hello").finished();
            connections[taken - 1].send(form).await;
            eventually("it has its place", || async {
                let status = ada.get_json(STATUS).await;
                status["running"].as_u64().expect("a count") + status["waiting"].as_u64().expect("a count")
                    == taken as u64
            })
            .await;
        }
        let status = ada.get_json(STATUS).await;
        assert_eq!((&status["slots"], &status["running"]), (&Value::from(2), &Value::from(2)), "{status}");
        assert_eq!((&status["queue"], &status["waiting"]), (&Value::from(1), &Value::from(1)), "{status}");
        assert!(status["recent_failures"].as_array().is_some_and(Vec::is_empty), "{status}");
        let name = host.requests()[0].header("host").expect("a host").to_owned();
        assert_eq!(status["endpoint"], name, "{status}");
        assert_refused(&pass_on(&ada, b"hello").await, 503);

        // The first leaves: its upload ends, and the third one's turn has come.
        drop(connections.remove(0));
        assert_eq!(connections[1].read_status().await, 200);
        drop(connections);
        all_ended(&ada).await;
        pass_on(&ada, b"hello").await.expect_status(200);
        // The one that was refused has left nothing; those that were left have, each once.
        eventually("everything is written down", || async { uploads(&ada).await.len() == 4 }).await;
        let mut outcomes: Vec<_> =
            uploads(&ada).await.iter().map(|row| row["metadata"]["outcome"].as_str().expect("text").to_owned()).collect();
        outcomes.sort();
        assert_eq!(outcomes, ["answered", "answered", "client_gone", "client_gone"]);
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn metrics_tell_of_uploads_that_are_passed_on(app) {
        let _host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        pass_on(&ada, &noise(6, 100_000)).await.expect_status(200);
        pass_on(&ada, &noise(6, 100_000)).await.expect_status(200);
        let metrics = app.anonymous().get("/metrics").fetch().await.text();
        let value = |line: &str| {
            let found = metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse::<u64>().ok());
            found.unwrap_or_else(|| panic!("{line} is not in\n{metrics}"))
        };
        assert_eq!(value("cdn_upload_0x0_total{outcome=\"answered\"}"), 2);
        assert_eq!(value("cdn_upload_0x0_attempts_total"), 2);
        assert!(value("cdn_upload_0x0_sent_bytes_total") > 200_000);
        assert_eq!(value("cdn_upload_0x0_uploads{state=\"running\"}"), 0);
        assert_eq!(value("cdn_upload_0x0_uploads{state=\"waiting\"}"), 0);
        assert_eq!(value("cdn_actors_live{actor=\"upload_0x0\"}"), 1);
    }
}

api_test! {
    with |config| { UploadHost::reserve_behind_tls(config); }
    async fn a_host_behind_tls_is_served_like_any_other(app) {
        let refusal = answer(413, "Content-Type: text/plain\r\n", "Too big for me.\n");
        let host = UploadHost::start([Act::Answer(url_answer()), Act::Answer(url_answer()), Act::EarlyAndDeaf(refusal)]);
        let ada = app.user("ada@example.com").await;
        let content = noise(11, 24 << 20);
        for number in 0..2 {
            let reply = pass_on(&ada, &content).await;
            reply.expect_status(200);
            assert_eq!(reply.text(), "https://host.example/abc.txt\n");
            let request = &host.requests()[number];
            assert!(request.is_whole && request.file() == content);
        }
        assert_eq!(host.connections(), 1, "connections over TLS are kept, too");
        let reply = pass_on(&ada, &content).await;
        reply.expect_status(413);
        assert_eq!(reply.text(), "Too big for me.\n");
        pass_on(&ada, b"hello").await.expect_status(200);
        assert_eq!(host.connections(), 2);
    }
}

api_test! {
    with |config| {
        UploadHost::reserve_behind_tls(config);
        config.upload_0x0.ca_file = std::path::PathBuf::new();
    }
    async fn a_host_whose_certificate_nobody_vouches_for_gets_nothing(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        assert_error(&pass_on(&ada, b"hello").await, 503, "Connection error");
        assert_eq!(host.requests().len(), 0);
    }
}

api_test! {
    with |config| {
        UploadHost::reserve(config);
        config.upload_0x0.max_concurrent = 1;
    }
    async fn more_slots_take_effect_without_a_restart(app) {
        let host = UploadHost::start([Act::Mute, Act::Mute]);
        let ada = app.user("ada@example.com").await;
        let mut connections = Vec::new();
        for _ in 0..2 {
            let (mut connection, form) = begin_raw(app, &ada, b"hello", 0).await;
            connection.send(form).await;
            connections.push(connection);
        }
        eventually("one waits", || async { ada.get_json(STATUS).await["waiting"] == 1 }).await;
        app.services.upload_0x0.resize(2);
        host.expect_request(1, "the host has both", |request| request.is_whole).await;
        let status = ada.get_json(STATUS).await;
        assert_eq!((&status["slots"], &status["running"]), (&Value::from(2), &Value::from(2)), "{status}");
        drop(connections);
        all_ended(&ada).await;
    }
}
