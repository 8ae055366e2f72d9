//! Byte ranges and conditional requests of `/f/{id}/{filename}` (RFC 9110, sections 13 and 14).

use crate::harness::{Fetch, Reply, TestApp, noise, sha256_hex};

const SIZE: usize = 300_000;

/// An uploaded file of `SIZE` bytes of noise, and how to ask for it.
struct Served<'a> {
    app: &'a TestApp,
    path: String,
    bytes: Vec<u8>,
}

impl<'a> Served<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let bytes = noise(1, SIZE);
        let file = app.user("ada@example.com").await.upload(bytes.clone(), "noise.bin").await;
        Self { app, path: app.local(&file["cdn_url"]), bytes }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Reply {
        self.ask("GET", headers).await
    }

    async fn ask(&self, method: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.app.anonymous().request(method.parse().unwrap(), &self.path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.fetch().await
    }

    #[track_caller]
    fn expect_part(&self, reply: &Reply, first: usize, last: usize) {
        reply.expect_status(206);
        assert_eq!(reply.header("content-range"), format!("bytes {first}-{last}/{SIZE}"));
        assert_eq!(reply.header("content-length"), (last - first + 1).to_string());
        assert!(reply.body == self.bytes[first..=last], "the bytes from {first} to {last} differ");
        assert!(!reply.header("etag").is_empty() && !reply.header("content-type").is_empty());
    }

    #[track_caller]
    fn expect_whole(&self, reply: &Reply) {
        reply.expect_status(200);
        assert_eq!(reply.header("content-range"), "");
        assert_eq!(sha256_hex(&reply.body), sha256_hex(&self.bytes));
    }
}

api_test! {
    async fn a_single_range_answers_exactly_these_bytes(app) {
        let served = Served::new(app).await;
        for (range, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=0-99", 0, 99),
            ("bytes=100-199999", 100, 199_999),
            ("bytes=299999-299999", 299_999, 299_999),
            // Open, beyond the end, and from the end.
            ("bytes=299000-", 299_000, 299_999),
            ("bytes=0-", 0, 299_999),
            ("bytes=1-999999999", 1, 299_999),
            ("bytes=0-18446744073709551615", 0, 299_999),
            ("bytes=-1", 299_999, 299_999),
            ("bytes=-1000", 299_000, 299_999),
            ("bytes=-999999", 0, 299_999),
        ] {
            let reply = served.get(&[("range", range)]).await;
            assert!(reply.status == 206, "{range}: {}", reply.status);
            served.expect_part(&reply, first, last);
        }
    }
}

api_test! {
    async fn parts_put_together_are_the_file(app) {
        let served = Served::new(app).await;
        let mut bytes = Vec::new();
        for start in (0..SIZE).step_by(65_537) {
            let end = (start + 65_536).min(SIZE - 1);
            let reply = served.get(&[("range", &format!("bytes={start}-{end}"))]).await;
            served.expect_part(&reply, start, end);
            bytes.extend(reply.body);
        }
        assert_eq!(sha256_hex(&bytes), sha256_hex(&served.bytes));
    }
}

api_test! {
    async fn an_unsatisfiable_range_is_416_with_the_size(app) {
        let served = Served::new(app).await;
        for range in [
            "bytes=300000-",
            "bytes=300000-300001",
            "bytes=999999999-",
            "bytes=-0",
            "bytes=18446744073709551615-",
        ] {
            let reply = served.get(&[("range", range)]).await;
            assert_eq!(reply.status, 416, "{range}");
            assert_eq!(reply.header("content-range"), format!("bytes */{SIZE}"));
            assert!(reply.body.len() < 1000, "{range}: {} bytes", reply.body.len());
        }
    }
}

api_test! {
    async fn a_range_that_is_none_is_ignored_or_refused(app) {
        let served = Served::new(app).await;
        for range in [
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5",
            "bytes=9-5",
            "bytes",
            "0-5",
            "bytes=0-5x",
            "bytes= 0 - 5",
            "",
            "BYTES=5-6",
            "bytes=--5",
            "bytes=99999999999999999999999-",
            "bytes=-99999999999999999999999",
        ] {
            let reply = served.get(&[("range", range)]).await;
            match reply.status {
                200 => served.expect_whole(&reply),
                206 => {
                    assert!(served.bytes.windows(reply.body.len()).any(|part| part == reply.body), "{range}")
                }
                400 | 416 => {}
                other => panic!("{range}: {other}"),
            }
        }
        let reply = served.get(&[("range", "lines=1-5")]).await;
        served.expect_whole(&reply);
    }
}

api_test! {
    async fn several_ranges_are_answered_whole_or_as_parts(app) {
        let served = Served::new(app).await;
        for range in ["bytes=0-9,20-29", "bytes=0-0, -1", "bytes=5-5,5-5", "bytes=0-,0-,0-"] {
            let reply = served.get(&[("range", range)]).await;
            match reply.status {
                200 => served.expect_whole(&reply),
                206 if reply.header("content-range").is_empty() => {
                    let media_type = reply.header("content-type");
                    assert!(media_type.starts_with("multipart/byteranges; boundary="), "{media_type}");
                    assert!(reply.body.windows(14).any(|part| part.eq_ignore_ascii_case(b"content-range:")));
                }
                // Ranges that are one may be sent as one.
                206 => assert!(reply.body.len() <= SIZE),
                other => panic!("{range}: {other}"),
            }
        }
    }
}

api_test! {
    async fn a_thousand_ranges_do_not_multiply_the_answer(app) {
        let served = Served::new(app).await;
        let range = format!("bytes={}", vec!["0-"; 1000].join(","));
        let reply = served.get(&[("range", &range)]).await;
        assert!(matches!(reply.status, 200 | 206 | 400 | 416 | 431), "{}", reply.status);
        assert!(reply.body.len() <= 2 * SIZE, "{} bytes", reply.body.len());
    }
}

api_test! {
    async fn head_with_a_range_has_no_body(app) {
        let served = Served::new(app).await;
        let reply = served.ask("HEAD", &[("range", "bytes=0-9")]).await;
        assert!(matches!(reply.status, 200 | 206), "{}", reply.status);
        assert!(reply.body.is_empty());
        let length = if reply.status == 200 { SIZE } else { 10 };
        assert_eq!(reply.header("content-length"), length.to_string());
    }
}

api_test! {
    async fn if_range_gives_the_part_only_of_the_same_file(app) {
        let served = Served::new(app).await;
        let whole = served.get(&[]).await;
        let (tag, modified) = (whole.header("etag"), whole.header("last-modified"));
        let weak = format!("W/{tag}");
        for (condition, is_same) in [
            (tag, true),
            (modified, true),
            ("\"another\"", false),
            // If-Range compares strongly.
            (&weak, false),
            ("Thu, 01 Jan 1970 00:00:00 GMT", false),
            ("Fri, 01 Jan 2100 00:00:00 GMT", false),
            ("garbage", false),
        ] {
            let reply = served.get(&[("range", "bytes=10-19"), ("if-range", condition)]).await;
            assert_eq!(reply.status, if is_same { 206 } else { 200 }, "If-Range: {condition}");
            if is_same { served.expect_part(&reply, 10, 19) } else { served.expect_whole(&reply) }
        }
        // Without a range it means nothing; and where it fails, an unsatisfiable range is no error.
        served.expect_whole(&served.get(&[("if-range", tag)]).await);
        served.expect_whole(&served.get(&[("range", "bytes=999999-"), ("if-range", "\"another\"")]).await);
    }
}

api_test! {
    async fn if_none_match_answers_304_for_the_same_file(app) {
        let served = Served::new(app).await;
        let whole = served.get(&[]).await;
        let tag = whole.header("etag");
        let weak = format!("W/{tag}");
        let list = format!("\"a\", W/\"b\", {tag}");
        for condition in [tag, "*", &weak, &list] {
            for method in ["GET", "HEAD"] {
                let reply = served.ask(method, &[("if-none-match", condition)]).await;
                reply.expect_empty(304);
                for name in ["etag", "cache-control", "access-control-allow-origin"] {
                    assert_eq!(reply.header(name), whole.header(name), "{method} {condition}: {name}");
                }
            }
        }
        for condition in ["\"another\"", "\"\"", "garbage"] {
            served.expect_whole(&served.get(&[("if-none-match", condition)]).await);
        }
        served.get(&[("if-none-match", tag), ("range", "bytes=0-1")]).await.expect_empty(304);
    }
}

api_test! {
    async fn if_modified_since_answers_304_unless_the_file_is_newer(app) {
        let served = Served::new(app).await;
        let whole = served.get(&[]).await;
        let modified = whole.header("last-modified");
        for condition in [modified, "Fri, 01 Jan 2100 00:00:00 GMT"] {
            served.get(&[("if-modified-since", condition)]).await.expect_empty(304);
        }
        for condition in ["Thu, 01 Jan 1970 00:00:00 GMT", "garbage"] {
            served.expect_whole(&served.get(&[("if-modified-since", condition)]).await);
        }
        // With an entity tag the date does not count.
        let headers = [("if-none-match", "\"another\""), ("if-modified-since", modified)];
        served.expect_whole(&served.get(&headers).await);
    }
}

api_test! {
    async fn if_match_and_if_unmodified_since_answer_412_for_another_file(app) {
        let served = Served::new(app).await;
        let whole = served.get(&[]).await;
        let (tag, modified) = (whole.header("etag"), whole.header("last-modified"));
        for headers in [[("if-match", tag)], [("if-match", "*")], [("if-unmodified-since", modified)]] {
            served.expect_whole(&served.get(&headers).await);
        }
        let weak = format!("W/{tag}");
        for headers in [
            [("if-match", "\"another\"")],
            [("if-match", &weak)],
            [("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        ] {
            let reply = served.get(&headers).await;
            assert_eq!(reply.status, 412, "{headers:?}");
            assert!(reply.body.len() < 1000);
        }
    }
}

api_test! {
    async fn the_entity_tag_is_of_the_content_and_stays(app) {
        let served = Served::new(app).await;
        let tag = served.get(&[]).await.header("etag").to_owned();
        assert_eq!(served.get(&[]).await.header("etag"), tag);
        let grace = app.user("grace@example.com").await;
        let other = grace.upload(noise(2, 100), "other.bin").await;
        let other = app.anonymous().get(&app.local(&other["cdn_url"])).fetch().await;
        assert_ne!(other.header("etag"), tag);
    }
}

api_test! {
    async fn a_rename_changes_neither_entity_tag_nor_date(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload("content", "a.txt").await;
        let path = app.local(&file["cdn_url"]);
        let before = app.anonymous().get(&path).fetch().await;
        ada.patch_file(&file, serde_json::json!({"filename": "b.txt"})).await.expect_json(200);
        let after = app.anonymous().get(&path).fetch().await;
        assert_eq!(before.header("etag"), after.header("etag"));
        assert_eq!(before.header("last-modified"), after.header("last-modified"));
    }
}

api_test! {
    async fn a_file_of_one_byte_has_ranges_too(app) {
        let ada = app.user("ada@example.com").await;
        let path = app.local(&ada.upload("x", "x.txt").await["cdn_url"]);
        for (range, status) in [("bytes=0-0", 206), ("bytes=-1", 206), ("bytes=-5", 206), ("bytes=1-", 416)] {
            let reply = app.anonymous().get(&path).header("range", range).fetch().await;
            assert_eq!(reply.status, status, "{range}");
        }
    }
}
