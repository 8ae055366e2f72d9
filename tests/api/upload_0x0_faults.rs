//! `/api/cdn/upload-0x0/` when the host, the network or the client fails: each told apart, nothing made up.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use hackclub_cdn::config::{Config, Span};
use serde_json::{Value, json};

use crate::harness::{
    Act, Client, Fetch, Form, Reply, TestApp, UploadHost, answer, assert_error, endpoint, eventually, noise,
    url_answer,
};
use crate::upload_0x0::{PATH, all_ended, begin_raw, only_upload, pass_on, uploads};

/// More than the buffers between two sockets hold.
const LARGE: usize = 24 << 20;

fn short(config: &mut Config, base_millis: u32, stall_millis: u32) {
    UploadHost::reserve(config);
    config.upload_0x0.base_timeout = Span::from_millis(base_millis);
    config.upload_0x0.timeout_per_mib = Span::from_millis(0);
    config.upload_0x0.stall_timeout = Span::from_millis(stall_millis);
}

/// One line of activity, with this status and so many retries; and a slot for everybody.
async fn expect_recorded(client: &Client, status: u16, outcome: &str, retries: u32) {
    let row = only_upload(client).await;
    let metadata = &row["metadata"];
    assert_eq!(metadata["status_code"], status, "{row}");
    assert_eq!(metadata["outcome"], outcome, "{row}");
    assert_eq!(metadata["retry_count"], retries, "{row}");
    assert_eq!(metadata["max_retries"], 2, "{row}");
    all_ended(client).await;
}

fn expect_unreachable(reply: &Reply) {
    assert_eq!(assert_error(reply, 503, "Connection error")["details"], json!({}));
}

fn expect_failed(reply: &Reply) {
    assert_eq!(assert_error(reply, 502, "Failed to upload to external service")["details"], json!({}));
}

async fn expect_failure_is_listed(client: &Client, outcome: &str, attempts: u32) {
    let status = client.get_json("/api/cdn/upload-0x0/status/").await;
    let failures = status["recent_failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 1, "{status}");
    assert_eq!(
        (&failures[0]["outcome"], &failures[0]["attempts"]),
        (&json!(outcome), &json!(attempts)),
        "{status}"
    );
    assert!(failures[0]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{status}");
}

api_test! {
    with |config| {
        UploadHost::reserve(config);
        // Longer than the test: only a clock that is moved gets past it.
        config.upload_0x0.backoff = Span::from_hours(1);
    }
    async fn a_host_that_is_down_twice_is_asked_again_by_the_clock(app) {
        let host = UploadHost::start([Act::HangUp, Act::HangUp]);
        let ada = app.user("ada@example.com").await;
        let content = noise(1, 100_000);
        let uploading = pass_on(&ada, &content);
        let moving_on = async {
            for (connections, hours) in [(1, 1), (2, 2)] {
                eventually("the host is asked", || async { host.connections() == connections }).await;
                // The pause may begin a moment after the clock was moved: then it is moved again.
                eventually("the pause ends with the clock", || async {
                    app.clock.advance(TimeDelta::hours(hours));
                    tokio::task::yield_now().await;
                    host.connections() > connections
                })
                .await;
            }
        };
        let (reply, ()) = futures_util::join!(uploading, moving_on);
        reply.expect_status(200);
        assert_eq!(reply.body, b"https://host.example/abc.txt\n");
        assert_eq!(host.connections(), 3);
        let request = host.only_request();
        assert!(request.is_whole && request.file() == content);
        expect_recorded(&ada, 200, "answered", 2).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_host_that_refuses_connections_is_tried_three_times(app) {
        // Nobody listens at the reserved port.
        let ada = app.user("ada@example.com").await;
        expect_unreachable(&pass_on(&ada, b"hello").await);
        expect_recorded(&ada, 503, "connection_error", 2).await;
        expect_failure_is_listed(&ada, "connection_error", 3).await;
    }
}

api_test! {
    with |config| {
        UploadHost::reserve(config);
        // Reserved for this purpose (RFC 6761, section 6.4).
        config.upload_0x0.endpoint = endpoint("https://host.invalid");
    }
    async fn a_name_that_cannot_be_resolved_is_a_connection_error(app) {
        let ada = app.user("ada@example.com").await;
        expect_unreachable(&pass_on(&ada, b"hello").await);
        let row = only_upload(&ada).await;
        assert_eq!(row["metadata"]["external_service"], "host.invalid", "{row}");
        expect_recorded(&ada, 503, "connection_error", 2).await;
    }
}

fn over_tls(config: &mut Config) {
    UploadHost::reserve(config);
    let hackclub_cdn::config::Endpoint::Host(url) = &config.upload_0x0.endpoint else { panic!("a host") };
    config.upload_0x0.endpoint = endpoint(&url.as_str().replace("http:", "https:"));
    config.upload_0x0.connect_timeout = Span::from_millis(500);
}

api_test! {
    with |config| { over_tls(config); }
    async fn a_host_that_speaks_no_tls_is_a_connection_error(app) {
        let garbage = || Act::Greet(b"SSH-2.0-OpenSSH_9.2p1\r\n".repeat(20));
        let host = UploadHost::start([garbage(), garbage(), garbage()]);
        let ada = app.user("ada@example.com").await;
        expect_unreachable(&pass_on(&ada, b"hello").await);
        assert_eq!((host.connections(), host.requests().len()), (3, 0));
        expect_recorded(&ada, 503, "connection_error", 2).await;
    }
}

api_test! {
    with |config| { over_tls(config); }
    async fn a_handshake_that_is_never_answered_is_a_connection_error(app) {
        // It waits for the head of a request, which never comes.
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        expect_unreachable(&pass_on(&ada, b"hello").await);
        assert_eq!((host.connections(), host.requests().len()), (3, 0));
        expect_recorded(&ada, 503, "connection_error", 2).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_host_that_hangs_up_before_it_answers_is_tried_again(app) {
        let host = UploadHost::start([
            Act::ResetAfter(LARGE / 2),
            Act::AnswerAndClose(Vec::new()),
            Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        ]);
        let ada = app.user("ada@example.com").await;
        expect_unreachable(&pass_on(&ada, &noise(2, LARGE)).await);
        assert_eq!(host.requests().len(), 3);
        expect_recorded(&ada, 503, "connection_error", 2).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn an_answer_before_the_body_has_ended_is_passed_on_and_ends_the_upload(app) {
        let refusal = answer(413, "Content-Type: text/plain\r\n", "Too big for me.\n");
        let host = UploadHost::start([
            Act::Early(refusal.clone()),
            Act::EarlyAndDeaf(refusal.clone()),
            Act::Answer(url_answer()),
        ]);
        let ada = app.user("ada@example.com").await;
        let content = noise(3, LARGE);
        for number in 0..2 {
            let start = Instant::now();
            let reply = pass_on(&ada, &content).await;
            reply.expect_status(413);
            assert_eq!(reply.text(), "Too big for me.\n");
            assert!(start.elapsed() < Duration::from_secs(15), "{number}: {:?}", start.elapsed());
            assert!(!host.requests()[number].is_whole);
        }
        // A connection that was left in the middle of a request is not used for another.
        pass_on(&ada, &content).await.expect_status(200);
        let requests = host.requests();
        assert_eq!(requests.len(), 3);
        assert!(requests[2].is_whole && requests[2].file() == content && requests[2].connection == 2);
        for row in uploads(&ada).await.iter().skip(1) {
            assert_eq!((&row["metadata"]["status_code"], &row["metadata"]["retry_count"]), (&json!(413), &json!(0)));
        }
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_success_before_the_host_has_everything_is_none(app) {
        let _host = UploadHost::start([Act::EarlyAndDeaf(url_answer())]);
        let ada = app.user("ada@example.com").await;
        expect_failed(&pass_on(&ada, &noise(4, LARGE)).await);
        expect_recorded(&ada, 502, "bad_answer", 0).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn interim_answers_are_not_taken_for_the_answer(app) {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let host = UploadHost::start([
            Act::Answer([interim.as_slice(), &url_answer()].concat()),
            Act::Answer(url_answer()),
        ]);
        let ada = app.user("ada@example.com").await;
        for _ in 0..2 {
            let reply = pass_on(&ada, &noise(5, 100_000)).await;
            reply.expect_status(200);
            assert_eq!(reply.text(), "https://host.example/abc.txt\n");
        }
        assert_eq!(host.connections(), 1);
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn an_answer_in_chunks_is_passed_on_and_one_that_is_cut_off_is_no_answer(app) {
        let chunks = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhttps\r\n";
        let broken: [Vec<u8>; 5] = [
            chunks.into(),
            format!("{chunks}10\r\nhalf").into(),
            format!("{chunks}no number\r\n").into(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhttps://host.exam".to_vec(),
            b"220 mail.example ESMTP ready\r\n\r\n".to_vec(),
        ];
        let mut script = vec![Act::Answer(format!("{chunks}7\r\n://h.ex\r\n0\r\n\r\n").into())];
        script.extend(broken.clone().map(Act::AnswerAndClose));
        let host = UploadHost::start(script);
        let ada = app.user("ada@example.com").await;
        let reply = pass_on(&ada, b"hello").await;
        reply.expect_status(200);
        assert_eq!(reply.text(), "https://h.ex");
        for (number, bytes) in broken.iter().enumerate() {
            let reply = pass_on(&ada, b"hello").await;
            assert_eq!(reply.status, 502, "{}", String::from_utf8_lossy(bytes));
            expect_failed(&reply);
            assert_eq!(host.requests().len(), number + 2, "an answer, however bad, is not asked for again");
        }
        for row in uploads(&ada).await.iter().take(broken.len()) {
            assert_eq!((&row["metadata"]["status_code"], &row["metadata"]["outcome"]),
                (&json!(502), &json!("bad_answer")), "{row}");
        }
        all_ended(&ada).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn an_answer_without_an_end_is_not_kept_in_memory(app) {
        let _host = UploadHost::start([Act::Answer(answer(200, "", &"x".repeat(2 << 20)))]);
        let ada = app.user("ada@example.com").await;
        expect_failed(&pass_on(&ada, b"hello").await);
        expect_recorded(&ada, 502, "bad_answer", 0).await;
    }
}

async fn expect_timeout(app: &TestApp, content: &[u8], timeout_used: u64) {
    let ada = app.user("ada@example.com").await;
    let body = assert_error(&pass_on(&ada, content).await, 504, "Upload timeout");
    assert_eq!(body["details"], json!({"attempts": 3, "timeout_used": timeout_used}), "{body}");
    expect_recorded(&ada, 504, "timeout", 2).await;
    expect_failure_is_listed(&ada, "timeout", 3).await;
}

api_test! {
    with |config| { short(config, 1_000, 30_000); }
    async fn a_host_that_never_answers_is_given_up_in_time(app) {
        let host = UploadHost::start([Act::Mute, Act::Mute, Act::Mute]);
        expect_timeout(app, b"hello", 1).await;
        assert!(host.requests().iter().all(|request| request.is_whole));
    }
}

api_test! {
    with |config| { short(config, 60_000, 300); }
    async fn a_host_that_stops_reading_is_given_up_when_nothing_moves(app) {
        let host = UploadHost::start([Act::Deaf, Act::Deaf, Act::Deaf]);
        expect_timeout(app, &noise(6, LARGE), 60).await;
        assert_eq!(host.requests().len(), 3);
        assert!(!host.requests().iter().any(|request| request.is_whole));
    }
}

api_test! {
    with |config| { short(config, 1_500, 30_000); }
    async fn an_answer_that_drips_without_an_end_is_given_up_in_time(app) {
        let endless = || Act::Drip(format!("HTTP/1.1 200 OK\r\nX-A: {}", "b".repeat(1_000)).into_bytes());
        let _host = UploadHost::start([endless(), endless(), endless()]);
        expect_timeout(app, b"hello", 1).await;
    }
}

api_test! {
    with |config| { short(config, 60_000, 300); }
    async fn a_host_that_thinks_for_long_after_the_last_byte_has_not_stalled(app) {
        let host = UploadHost::start([Act::Drip(url_answer())]);
        let ada = app.user("ada@example.com").await;
        // Some 80 bytes at 20 ms each: longer in all than nothing may move, shorter each time.
        let start = Instant::now();
        pass_on(&ada, b"hello").await.expect_status(200);
        assert!(start.elapsed() > Duration::from_millis(400), "{:?}", start.elapsed());
        assert_eq!(host.requests().len(), 1);
        expect_recorded(&ada, 200, "answered", 0).await;
    }
}

api_test! {
    with |config| { short(config, 400, 200); }
    async fn the_time_that_the_client_takes_is_not_the_hosts(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        let content = noise(7, 400_000);
        let (mut connection, form) = begin_raw(app, &ada, &content, 200_000).await;
        host.expect_request(0, "the host has some of it", |request| request.body.len() > 100_000).await;
        // The client's pace is what is tested: it takes longer than an attempt may, and than nothing may move.
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        connection.send(&form[200_000..]).await;
        assert_eq!(connection.read_status().await, 200);
        assert_eq!(host.requests().len(), 1);
        expect_recorded(&ada, 200, "answered", 0).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_client_that_leaves_in_the_body_ends_its_upload(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        let (connection, _) = begin_raw(app, &ada, &noise(8, 1_000_000), 500_000).await;
        host.expect_request(0, "the host has some of it", |request| request.body.len() > 100_000).await;
        drop(connection);
        host.expect_request(0, "the host is left", |request| request.is_closed).await;
        assert!(!host.only_request().is_whole);
        eventually("it is written down", || async { uploads(&ada).await.len() == 1 }).await;
        let row = only_upload(&ada).await;
        assert_eq!(row["metadata"]["outcome"], "client_gone", "{row}");
        all_ended(&ada).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_client_that_leaves_while_the_host_thinks_ends_its_upload(app) {
        let host = UploadHost::start([Act::Mute]);
        let ada = app.user("ada@example.com").await;
        let (mut connection, form) = begin_raw(app, &ada, b"hello", 0).await;
        connection.send(&form).await;
        host.expect_request(0, "the host has it", |request| request.is_whole).await;
        drop(connection);
        host.expect_request(0, "the host is left", |request| request.is_closed).await;
        eventually("it is written down", || async { uploads(&ada).await.len() == 1 }).await;
        let row = only_upload(&ada).await;
        assert_eq!(row["metadata"]["outcome"], "client_gone", "{row}");
        assert_eq!(row["metadata"]["status_code"], Value::Null, "{row}");
        assert_eq!(row["metadata"]["file_size"], 5, "{row}");
        all_ended(&ada).await;
        pass_on(&ada, b"hello").await.expect_status(200);
    }
}

api_test! {
    with |config| {
        UploadHost::reserve(config);
        config.uploads.stall_timeout = Span::from_millis(300);
    }
    async fn a_client_that_stops_sending_is_refused_and_the_host_is_left(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        let (mut connection, _) = begin_raw(app, &ada, &noise(9, 1_000_000), 500_000).await;
        assert_eq!(connection.read_status().await, 408);
        host.expect_request(0, "the host is left", |request| request.is_closed).await;
        assert!(!host.only_request().is_whole);
        expect_recorded(&ada, 408, "client_gone", 0).await;
    }
}

api_test! {
    with |config| { UploadHost::reserve(config); }
    async fn a_form_that_breaks_after_its_file_is_not_confirmed_to_the_host(app) {
        let host = UploadHost::start([]);
        let ada = app.user("ada@example.com").await;
        // The file is all there; then comes a second one, which is refused.
        let content = noise(10, 200_000);
        let form = Form::new().file("a.txt", &content).file("b.txt", b"another");
        assert_error(&form.on(ada.post(PATH)).fetch().await, 400, "Send one file in a request.");
        assert!(!host.requests().iter().any(|request| request.is_whole));
        let row = only_upload(&ada).await;
        assert_eq!(row["metadata"]["status_code"], 400, "{row}");
        all_ended(&ada).await;
    }
}
