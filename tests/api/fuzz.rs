//! Input that nobody thought of: whatever is sent, the answer is one of the contract's, and never a failure
//! of the server.
//!
//! `CDN_FUZZ_CASES` sets how many inputs each test tries (default 150); the seed is fixed, so that a failure
//! comes again. `CDN_FUZZ_SEED` takes another one.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::Method;
use reqwest::header::HeaderValue;

use crate::harness::{
    Client, Fetch, Form, RawConnection, Reply, TestApp, assert_refused, encode, noise, status_of,
};

const CASES: u32 = 150;

/// Inputs of a strategy; the same ones each time.
fn inputs<S: Strategy>(strategy: S) -> impl Iterator<Item = S::Value> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u32>().expect(name));
    let cases = number("CDN_FUZZ_CASES").unwrap_or(CASES);
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number("CDN_FUZZ_SEED").unwrap_or(0).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..cases).map(move |_| strategy.new_tree(&mut runner).expect("an input").current())
}

/// One of these statuses; an error in the contract's shape.
#[track_caller]
fn assert_answered(reply: &Reply, statuses: &[u16], input: &dyn std::fmt::Debug) {
    assert!(statuses.contains(&reply.status), "{input:?}: {}: {}", reply.status, reply.text());
    if reply.status >= 400 && reply.status != 416 {
        assert_refused(reply, reply.status);
    }
}

/// Any value that a header may have (RFC 9110, 5.5), now and then one that nearly fits.
fn header(near: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![3 => near, 1 => "[\\x20-\\x7e]{0,80}", 1 => "[ -~\\u{80}-\\u{ff}]{0,40}"]
}

fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

api_test! {
    async fn any_range_header_gets_exactly_what_it_says_or_all_or_416(app) {
        let ada = app.user("ada@example.com").await;
        let content = noise(1, 5000);
        let file = ada.upload(content.clone(), "a.bin").await;
        let path = app.local(&file["cdn_url"]);
        let near = "bytes ?= ?(([0-9]{0,5}|99999999999999999999)-([0-9]{0,5}|18446744073709551616)(, ?)?){1,4}";
        for text in inputs(header(near)) {
            let Some(value) = header_value(&text) else { continue };
            let reply = app.anonymous().get(&path).header("range", value).fetch().await;
            assert_answered(&reply, &[200, 206, 416], &text);
            match reply.status {
                200 => assert_eq!(reply.body, content, "{text:?}"),
                206 if !reply.header("content-type").starts_with("multipart/") => {
                    let range = reply.header("content-range").strip_prefix("bytes ").expect("a range");
                    let (range, total) = range.split_once('/').expect("a total");
                    let (first, last) = range.split_once('-').expect("two ends");
                    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                    assert_eq!(total, "5000", "{text:?}");
                    assert_eq!(reply.body, content[first..=last], "{text:?}");
                }
                206 => assert!(!reply.body.is_empty(), "{text:?}"),
                _ => assert_eq!(reply.header("content-range"), "bytes */5000", "{text:?}"),
            }
        }
    }
}

api_test! {
    async fn any_file_name_is_stored_as_a_harmless_one_or_refused(app) {
        let ada = app.user("ada@example.com").await;
        let names = prop_oneof![2 => "\\PC{1,30}", 1 => ".{1,20}", 1 => "[./\\\\~%:*?\"<>| a]{1,12}", 1 => "\\PC{200,300}"];
        // A URL can't end with these: clients take them for a step in the path.
        let names = names.prop_filter("a step in a path", |name| ![".", ".."].contains(&name.as_str()));
        for (number, name) in inputs(names).enumerate() {
            let reply = ada.try_upload(format!("content {number}"), &name).await;
            assert_answered(&reply, &[201, 400, 404], &name);
            if reply.status == 201 {
                let stored = reply.expect_json(201);
                let stored = stored["filename"].as_str().unwrap();
                let is_harmless = !stored.is_empty()
                    && stored.len() <= 255
                    && ![".", ".."].contains(&stored)
                    && !stored.chars().any(|c| c.is_control() || c == '/' || c == '\\');
                assert!(is_harmless, "{name:?}: {stored:?}");
            }
        }
    }
}

api_test! {
    async fn any_multipart_body_is_an_upload_or_an_error(app) {
        let ada = app.user("ada@example.com").await;
        let boundary = "----test-boundary-7d81b516112d";
        let line = prop_oneof![
            3 => Just("\r\n".to_owned()),
            2 => Just(format!("--{boundary}\r\n")),
            1 => Just(format!("--{boundary}--\r\n")),
            1 => Just("Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n".to_owned()),
            1 => Just("Content-Disposition: form-data; name=\"folder_id\"\r\n".to_owned()),
            1 => "Content-Disposition: form-data; name=\"?(file|folder_id|x)\"?;? ?filename\\*?=\"?[ -~]{0,10}\"?\r\n",
            1 => "Content-(Type|Length|Transfer-Encoding): [ -~]{0,20}\r\n",
            1 => "\\PC{0,20}(\r\n)?",
        ];
        let bodies = proptest::collection::vec(line, 0..12).prop_map(|lines| lines.concat());
        for body in inputs(bodies) {
            let request = ada.post("/api/cdn/uploads/").header("content-type", Form::content_type());
            let reply = request.body(body.clone()).fetch().await;
            assert_answered(&reply, &[201, 400, 404, 409, 413], &body);
        }
        let types = "multipart/form-data(; ?boundary=\"?[ -~]{0,80}\"?)?(; ?charset=[a-z]{0,8})?";
        for media_type in inputs(header(types)) {
            let Some(value) = header_value(&media_type) else { continue };
            let request = ada.post("/api/cdn/uploads/").header("content-type", value);
            let reply = request.body(Form::new().file("b.txt", b"b").finished()).fetch().await;
            assert_answered(&reply, &[201, 400, 409, 415], &media_type);
        }
    }
}

/// Reads that tell who is asking, with a header that a stranger made up.
async fn ask(client: &Client, name: &'static str, text: &str) -> Option<Reply> {
    Some(client.get("/api/auth/me").header(name, header_value(text)?).fetch().await)
}

api_test! {
    async fn no_cookie_and_no_token_that_somebody_made_up_signs_in(app) {
        let ada = app.user("ada@example.com").await;
        let tokens = "(Bearer|bearer|Basic|)( {0,2})(sk_cdn_)?[A-Za-z0-9_.-]{0,60}";
        for text in inputs(header(tokens)) {
            let Some(reply) = ask(&app.anonymous(), "authorization", &text).await else { continue };
            assert_answered(&reply, &[401], &text);
        }
        let cookies = "((access_token|refresh_token|sign_in|x)(=|==|;)\"?[ -~]{0,30}\"?(; ?)?){0,4}";
        for text in inputs(header(cookies)) {
            let Some(reply) = ask(&app.anonymous(), "cookie", &text).await else { continue };
            assert_answered(&reply, &[401], &text);
            let Some(value) = header_value(&text) else { continue };
            let reply = app.anonymous().post("/api/auth/refresh").header("cookie", value).fetch().await;
            assert_answered(&reply, &[400, 401], &text);
        }
        // A token with one character changed. The last one has bits that encode nothing.
        let right = ada.session.access;
        for (at, new) in inputs((0..right.len() - 1, "[A-Za-z0-9_.-]")) {
            let mut token = right.clone();
            token.replace_range(at..=at, &new);
            if token != right {
                let reply = ask(&app.anonymous(), "authorization", &format!("Bearer {token}")).await.unwrap();
                assert_answered(&reply, &[401], &token);
            }
        }
    }
}

api_test! {
    async fn any_query_is_an_answer_or_400_or_404(app) {
        let ada = app.user("ada@example.com").await;
        ada.upload("hello", "a.txt").await;
        let names = "page|page_size|folder_id|search|type|ordering|q|since|until|action_type|resource_id|file|x";
        let value = prop_oneof![
            2 => "[0-9]{1,22}",
            1 => "-?[0-9]{1,3}(\\.[0-9])?",
            1 => "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{5,8}(Z|\\+[0-9:]{5}))?",
            2 => "\\PC{0,20}",
            1 => ".{0,10}",
        ];
        let pair = (names, value, any::<bool>()).prop_map(|(name, value, is_encoded)| {
            if is_encoded { format!("{name}={}", encode(&value)) } else { format!("{name}={value}") }
        });
        let queries = proptest::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&"));
        let paths = proptest::sample::select(vec![
            "/api/cdn/files/", "/api/cdn/folders/", "/api/cdn/search/", "/api/cdn/activity/", "/api/cdn/analytics/",
            "/api/cdn/trash/",
        ]);
        for (path, query) in inputs((paths, queries)) {
            let reply = ada.request(Method::GET, &format!("{path}?{query}")).fetch().await;
            assert_answered(&reply, &[200, 400, 404], &(path, &query));
        }
    }
}

/// The status of a head sent byte by byte as it is; `None` when the server only closes.
async fn send_raw(app: &TestApp, bytes: &[u8]) -> Option<u16> {
    let mut connection = RawConnection::open(app).await;
    connection.try_send(bytes).await;
    connection.try_send(b"\r\n\r\n").await;
    status_of(&connection.read_until_closed().await)
}

api_test! {
    async fn any_request_line_is_answered_or_cut_off_and_the_server_goes_on(app) {
        let heads = prop_oneof![
            2 => "(GET|HEAD|PUT|X|get) (/[ -~]{0,30}|\\*|http://[a-z.:/]{0,20}) HTTP/1\\.[01]",
            1 => "GET /(f|api/cdn/files|api/auth/me)(/|%[0-9a-fA-F]{2}|%|\\.\\.|[a-z?#]){0,8} HTTP/1\\.1",
            1 => "[ -~]{0,60}",
        ];
        for head in inputs(heads) {
            let request = format!("{head}\r\nHost: cdn\r\nConnection: close\r\nContent-Length: 0");
            if let Some(status) = send_raw(app, request.as_bytes()).await {
                assert!((200..500).contains(&status) || [501, 505].contains(&status), "{head:?}: {status}");
            }
        }
        app.anonymous().get("/healthz").fetch().await.expect_status(200);
    }
}
