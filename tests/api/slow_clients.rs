//! Slow, silent and malformed clients cost themselves, and nobody else.

use std::time::{Duration, Instant};

use crate::harness::{Fetch, RawConnection, status_of};

/// A login that must work while something else is going on.
async fn expect_others_are_served(app: &crate::harness::TestApp) {
    let start = Instant::now();
    app.anonymous().get("/healthz").fetch().await.expect_json(200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

api_test! {
    with |config| {
        config.server.request_head_timeout = hackclub_cdn::config::Span::from_millis(500);
    }
    async fn a_head_that_never_ends_is_closed(app) {
        let mut slow = Vec::new();
        for part in
            ["", "G", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nHost: cdn.example\r\nX-A: "]
        {
            let mut connection = RawConnection::open(app).await;
            connection.send(part).await;
            slow.push(connection);
        }
        expect_others_are_served(app).await;
        let start = Instant::now();
        for connection in &mut slow {
            let answer = connection.read_until_closed().await;
            assert!(answer.is_empty() || matches!(status_of(&answer), Some(400 | 408)), "{answer}");
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

api_test! {
    async fn many_silent_connections_do_not_keep_others_waiting(app) {
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(RawConnection::open(app).await);
        }
        expect_others_are_served(app).await;
    }
}

api_test! {
    async fn requests_that_are_none_are_refused(app) {
        for request in [
            "GARBAGE\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost : cdn.example\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: cdn.example\r\nX: a\0b\r\n\r\n",
            "POST /api/auth/login HTTP/1.1\r\nHost: cdn.example\r\nContent-Length: -5\r\n\r\n",
            "POST /api/auth/login HTTP/1.1\r\nHost: cdn.example\r\nContent-Length: x\r\n\r\n",
            "POST /api/auth/login HTTP/1.1\r\nHost: cdn.example\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "POST /api/auth/login HTTP/1.1\r\nHost: cdn.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ] {
            let mut connection = RawConnection::open(app).await;
            connection.send(request).await;
            let answer = connection.read_until_closed().await;
            let status = status_of(&answer);
            let is_refused = answer.is_empty() || status.is_some_and(|status| (400..500).contains(&status));
            assert!(is_refused, "{request:?}: {answer}");
            expect_others_are_served(app).await;
        }
    }
}

api_test! {
    async fn a_head_that_is_too_long_is_refused(app) {
        for head in [
            format!("GET /healthz HTTP/1.1\r\nHost: cdn.example\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20)),
            format!("GET /healthz HTTP/1.1\r\nHost: cdn.example\r\n{}\r\n", "X-Many: x\r\n".repeat(10_000)),
            format!("GET /{} HTTP/1.1\r\nHost: cdn.example\r\n\r\n", "x".repeat(1 << 20)),
        ] {
            let mut connection = RawConnection::open(app).await;
            connection.try_send(head).await;
            let answer = connection.read_until_closed().await;
            // A connection that is reset while the head is still being sent may lose the answer.
            assert!(
                answer.is_empty() || matches!(status_of(&answer), Some(400 | 413 | 414 | 431)),
                "{answer:.200}"
            );
            expect_others_are_served(app).await;
        }
    }
}

api_test! {
    async fn requests_in_one_connection_do_not_mix(app) {
        let ada = app.user("ada@example.com").await;
        let mut connection = RawConnection::open(app).await;
        let with_login = format!(
            "GET /api/auth/me HTTP/1.1\r\nHost: cdn.example\r\nAuthorization: Bearer {}\r\n\r\n",
            ada.session.access
        );
        let without = "GET /api/auth/me HTTP/1.1\r\nHost: cdn.example\r\nConnection: close\r\n\r\n";
        connection.send(format!("{with_login}{without}")).await;
        let answers = connection.read_until_closed().await;
        let second = answers.rfind("HTTP/1.1 ").expect("two answers");
        assert_eq!(status_of(&answers), Some(200), "{answers}");
        assert_eq!(status_of(&answers[second..]), Some(401), "{answers}");
        assert!(!answers[second..].contains("ada@example.com"), "{answers}");
    }
}

api_test! {
    async fn an_upload_that_is_refused_does_not_leave_its_body_as_the_next_request(app) {
        let mut connection = RawConnection::open(app).await;
        let smuggled = "GET /healthz HTTP/1.1\r\nHost: cdn.example\r\n\r\n";
        let head = format!(
            "PUT /api/cdn/uploads/a.txt HTTP/1.1\r\nHost: cdn.example\r\nContent-Length: {}\r\n\r\n",
            smuggled.len()
        );
        connection
            .send(format!(
                "{head}{smuggled}GET /readyz HTTP/1.1\r\nHost: cdn.example\r\nConnection: close\r\n\r\n"
            ))
            .await;
        let answers = connection.read_until_closed().await;
        assert_eq!(status_of(&answers), Some(401), "{answers}");
        assert!(!answers.contains("{\"status\":\"ok\"}"), "the body was taken for a request: {answers}");
    }
}
