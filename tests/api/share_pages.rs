//! `/s/{token}`: what people see who open a link in a browser, without script and without a login.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, Form, PUBLIC_URL, Reply, assert_security_headers, encode, id_of, names_of, noise, png,
};

fn page_of(share: &Value) -> String {
    format!("/s/{}", share["public_token"].as_str().expect("a token"))
}

/// A page of this status; answers with its HTML.
#[track_caller]
fn html(reply: &Reply, status: u16) -> String {
    reply.expect_status(status);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert_security_headers(reply);
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("script-src"), "{policy}");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("referrer-policy"), "same-origin");
    let text = reply.text();
    assert!(text.starts_with("<!DOCTYPE html>") && text.contains("<html lang=\"en\">"), "{text}");
    assert!(!text.contains("<script"), "{text}");
    text
}

async fn show(client: &Client, share: &Value, query: &str) -> Reply {
    client.get(&format!("{}{query}", page_of(share))).fetch().await
}

/// The address in an attribute, as a browser reads it.
fn attribute<'a>(page: &'a str, start: &str) -> Option<String> {
    let rest: &'a str = page.split_once(start)?.1;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

#[track_caller]
fn link(page: &str, start: &str) -> String {
    attribute(page, start).unwrap_or_else(|| panic!("no {start} in {page}"))
}

fn meta(page: &str, name: &str) -> Option<String> {
    attribute(page, &format!("<meta property=\"{name}\" content=\""))
}

async fn unlock(client: &Client, share: &Value, password: &str) -> Reply {
    fill_in(client.post(&page_of(share)), password).fetch().await
}

/// As a browser sends the form.
fn fill_in(request: RequestBuilder, password: &str) -> RequestBuilder {
    let form = format!("password={}", encode(password));
    request.header("content-type", "application/x-www-form-urlencoded").body(form)
}

api_test! {
    async fn a_file_is_shown_with_its_name_size_and_download(app) {
        let ada = app.user("ada@example.com").await;
        let content = noise(1, 2048);
        let file = ada.upload(content.clone(), "report.bin").await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let stranger = app.anonymous();
        let page = html(&show(&stranger, &share, "").await, 200);
        assert!(page.contains("<h1 dir=\"auto\">report.bin</h1>"), "{page}");
        assert!(page.contains("2.0 KB · application/octet-stream"), "{page}");
        assert_eq!(meta(&page, "og:title").as_deref(), Some("report.bin"));
        let about = "2.0 KB · application/octet-stream · shared by User ada@example.com";
        assert_eq!(meta(&page, "og:description").as_deref(), Some(about));
        assert_eq!(meta(&page, "og:url").as_deref(), Some(format!("{PUBLIC_URL}{}", page_of(&share)).as_str()));
        assert_eq!(meta(&page, "og:image"), None);
        let download = stranger.get(&link(&page, "class=\"button\" href=\"")).fetch().await;
        download.expect_status(200);
        assert!(download.header("content-disposition").starts_with("attachment; "), "{:?}", download.headers);
        assert_eq!(download.body, content);
        let shown = ada.shown_share(&share).await;
        assert_eq!((&shown["download_count"], &shown["access_logs_count"]), (&json!(1), &json!(2)));
    }
}

api_test! {
    async fn a_picture_is_shown_in_the_page_and_beside_the_link(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(png(1), "cat.png").await;
        let share = ada.share_by_link("file", &file, json!({})).await;
        let stranger = app.anonymous();
        let page = html(&show(&stranger, &share, "").await, 200);
        let source = link(&page, "<img src=\"");
        let picture = stranger.get(&source).fetch().await;
        picture.expect_status(200);
        assert_eq!(picture.header("content-type"), "image/png");
        assert_eq!(picture.header("x-frame-options"), "SAMEORIGIN");
        assert_eq!(picture.body, png(1));
        assert_eq!(meta(&page, "og:image"), Some(format!("{PUBLIC_URL}{source}")));
        assert_eq!(ada.shown_share(&share).await["download_count"], 0, "looking is no download");
        let logs = ada.get_json(&format!("/api/cdn/shares/{}/access_logs/", id_of(&share))).await;
        assert_eq!(logs["results"][0]["access_type"], "preview", "{logs}");
    }
}

api_test! {
    async fn players_and_frames_are_for_what_browsers_show(app) {
        let ada = app.user("ada@example.com").await;
        let stranger = app.anonymous();
        let mp4 = [b"\0\0\0\x18ftypisom\0\0\0\0isomiso2".to_vec(), noise(1, 100)].concat();
        let pdf = [b"%PDF-1.4\n".to_vec(), noise(2, 100)].concat();
        let mp3 = [b"ID3\x03\0\0\0\0\0\0".to_vec(), noise(3, 100)].concat();
        for (name, content, element) in [
            ("film.mp4", mp4, "<video controls"),
            ("paper.pdf", pdf, "<iframe src="),
            ("song.mp3", mp3, "<audio controls"),
        ] {
            let file = ada.upload(content, name).await;
            let share = ada.share_by_link("file", &file, json!({})).await;
            let page = html(&show(&stranger, &share, "").await, 200);
            assert!(page.contains(element), "{page}");
        }
        // These could act on the page's origin.
        for (name, content) in [("x.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"), ("x.html", "<html>x</html>")] {
            let file = ada.upload(content, name).await;
            let share = ada.share_by_link("file", &file, json!({})).await;
            let page = html(&show(&stranger, &share, "").await, 200);
            assert!(!page.contains("class=\"preview\""), "{page}");
            html(&stranger.get(&format!("{}/preview", page_of(&share))).fetch().await, 404);
        }
    }
}

api_test! {
    async fn what_a_share_does_not_show_is_not_in_its_page(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(png(1), "cat.png").await;
        let stranger = app.anonymous();
        for (settings, has_download) in [
            (json!({"allow_preview": false}), true),
            (json!({"download_limit": 5}), true),
            (json!({"allow_download": false}), false),
        ] {
            let share = ada.share_by_link("file", &file, settings.clone()).await;
            let page = html(&show(&stranger, &share, "").await, 200);
            assert!(!page.contains("<img"), "{settings}: {page}");
            assert_eq!(meta(&page, "og:image"), None);
            assert_eq!(page.contains("class=\"button\""), has_download, "{settings}: {page}");
            html(&stranger.get(&format!("{}/preview", page_of(&share))).fetch().await, 403);
            if settings.get("allow_preview").is_none() {
                assert!(!page.contains(id_of(&file)), "the file's id makes its public URL: {page}");
            }
        }
    }
}

api_test! {
    async fn a_spent_limit_is_told_and_a_download_past_it_is_410(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 10), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"download_limit": 1})).await;
        let stranger = app.anonymous();
        let address = format!("{}/download", page_of(&share));
        stranger.get(&address).fetch().await.expect_status(200);
        let page = html(&show(&stranger, &share, "").await, 200);
        assert!(page.contains("All downloads of this link are used up."), "{page}");
        let gone = html(&stranger.get(&address).fetch().await, 410);
        assert!(gone.contains("<h1>This link is over</h1>"), "{gone}");
    }
}

api_test! {
    async fn a_password_is_asked_for_by_a_form_and_remembered_by_a_cookie_of_this_page_alone(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(png(1), "secret.png").await;
        let share = ada.share_by_link("file", &file, json!({"password": "open sesame"})).await;
        let stranger = app.anonymous();
        let form = html(&show(&stranger, &share, "").await, 401);
        assert!(form.contains("<form method=\"post\">") && form.contains("type=\"password\""), "{form}");
        assert!(!form.contains("secret.png") && meta(&form, "og:image").is_none(), "{form}");

        let wrong = unlock(&stranger, &share, "open barley").await;
        let again = html(&wrong, 401);
        assert!(again.contains("That was not the right password.") && !again.contains("barley"), "{again}");
        wrong.expect_no_cookies();

        let right = unlock(&stranger, &share, "open sesame").await;
        right.expect_status(303);
        assert_eq!(right.header("location"), page_of(&share));
        let cookie = right.cookie("share_pass");
        assert_eq!(cookie.path(), Some(page_of(&share).as_str()));
        assert_eq!(cookie.http_only(), Some(true));
        assert_eq!(cookie.same_site(), Some(actix_web::cookie::SameSite::Lax));
        assert!(cookie.max_age().is_some_and(|age| age.whole_seconds() == 3600), "{cookie}");
        assert!(!cookie.value().contains("sesame"), "{cookie}");

        let page = html(&show(&stranger, &share, "").await, 200);
        assert!(page.contains("secret.png"), "{page}");
        assert_eq!(meta(&page, "og:image"), None, "strangers may not see it");
        let source = link(&page, "<img src=\"");
        assert_eq!(stranger.get(&source).fetch().await.body, png(1));
        let download = link(&page, "class=\"button\" href=\"");
        assert!(!download.contains("pass"), "{download}");
        assert_eq!(stranger.get(&download).fetch().await.body, png(1));
        for address in [page_of(&share), source, download] {
            html(&app.anonymous().get(&address).fetch().await, 401);
        }
        let other = ada.share_by_link("file", &file, json!({"password": "another"})).await;
        let stolen = app.anonymous().get(&page_of(&other)).header("Cookie", format!("share_pass={}", cookie.value()));
        html(&stolen.fetch().await, 401);
        app.clock.advance(chrono::TimeDelta::minutes(61));
        html(&show(&stranger, &share, "").await, 401);
    }
}

api_test! {
    async fn a_form_of_the_page_gets_through_while_one_of_another_site_does_not(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 10), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"password": "open sesame"})).await;
        let post = |origin: &str| {
            fill_in(ada.post(&page_of(&share)).header("Origin", origin), "open sesame")
        };
        // Signed in, too: what the browser adds by itself must not turn the form away.
        post(PUBLIC_URL).fetch().await.expect_status(303);
        assert_eq!(post("https://evil.example").fetch().await.status, 403);
        assert_eq!(post("null").fetch().await.status, 403);
    }
}

api_test! {
    async fn a_form_of_another_type_is_refused(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 10), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"password": "open sesame"})).await;
        let body = json!({"password": "open sesame"});
        html(&app.anonymous().post(&page_of(&share)).json(&body).fetch().await, 415);
    }
}

api_test! {
    async fn guesses_at_the_password_end_in_429(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 10), "a.bin").await;
        let share = ada.share_by_link("file", &file, json!({"password": "open sesame"})).await;
        let stranger = app.anonymous();
        let mut refused = None;
        for nth in 0..100 {
            let reply = unlock(&stranger, &share, &format!("guess {nth}")).await;
            if reply.status == 429 {
                refused = Some((nth, reply));
                break;
            }
            html(&reply, 401);
        }
        let (nth, reply) = refused.expect("a limit");
        assert!(nth < 50, "{nth}");
        assert!(reply.header("retry-after").parse::<u32>().is_ok(), "{:?}", reply.headers);
        assert!(html(&reply, 429).contains("<h1>Too many attempts</h1>"));
    }
}

api_test! {
    async fn a_folder_is_walked_by_links_down_and_up(app) {
        let ada = app.user("ada@example.com").await;
        let above = ada.create_folder("above", None).await;
        let top = ada.create_folder("Top & more", Some(&above)).await;
        let middle = ada.create_folder("mid/dle".replace('/', " ").as_str(), Some(&top)).await;
        let low = ada.create_folder("low?", Some(&middle)).await;
        ada.upload_to(&top, noise(1, 10), "in top.bin").await;
        let content = noise(2, 1500);
        ada.upload_to(&low, content.clone(), "in low.bin").await;
        let share = ada.share_by_link("folder", &top, json!({})).await;
        let stranger = app.anonymous();
        let page = html(&show(&stranger, &share, "").await, 200);
        assert!(page.contains("<h1 dir=\"auto\">Top &amp; more</h1>") && page.contains("1 folder, 1 file"), "{page}");
        assert!(!page.contains("above<") && !page.contains("Folders above"), "nothing above is shown: {page}");
        assert!(page.contains("<bdi>in top.bin</bdi>"), "{page}");
        let middle_page = html(&stranger.get(&link(&page, "<span class=\"name\"><a href=\"")).fetch().await, 200);
        let low_page = html(&stranger.get(&link(&middle_page, "<span class=\"name\"><a href=\"")).fetch().await, 200);
        assert!(low_page.contains("<h1 dir=\"auto\">low?</h1>") && low_page.contains("1.5 KB"), "{low_page}");
        assert_eq!(low_page.matches("<li><a href=").count(), 2, "the shared folder and the one between: {low_page}");
        let top_again = html(&stranger.get(&link(&low_page, "<li><a href=\"")).fetch().await, 200);
        assert!(top_again.contains("Top &amp; more"), "{top_again}");
        let file_page = html(&stranger.get(&link(&low_page, "<span class=\"name\"><a href=\"")).fetch().await, 200);
        assert!(file_page.contains("in low.bin"), "{file_page}");
        assert_eq!(stranger.get(&link(&file_page, "class=\"button\" href=\"")).fetch().await.body, content);
        let back = html(&stranger.get(&link(&file_page, "<nav><a href=\"")).fetch().await, 200);
        assert!(back.contains("low?"), "{back}");
        let zip = stranger.get(&link(&low_page, "class=\"button\" href=\"")).fetch().await;
        zip.expect_status(200);
        assert_eq!(zip.header("content-type"), "application/zip");
        let outside = ada.upload(noise(3, 10), "outside.bin").await;
        html(&show(&stranger, &share, &format!("?file={}", id_of(&outside))).await, 404);
        html(&show(&stranger, &share, "?file=nothing").await, 404);
        html(&show(&stranger, &share, "?path=..").await, 404);
    }
}

api_test! {
    async fn nothing_that_people_typed_becomes_markup(app) {
        let ada = app.user("ada@example.com").await;
        let nasty = "\"><img src=x onerror=alert(1)>'&amp;<b>";
        let top = ada.create_folder(nasty, None).await;
        ada.upload_to(&top, noise(1, 10), nasty).await;
        let share = ada.share_by_link("folder", &top, json!({})).await;
        let stranger = app.anonymous();
        let page = html(&show(&stranger, &share, "").await, 200);
        let file_page = html(&stranger.get(&link(&page, "<span class=\"name\"><a href=\"")).fetch().await, 200);
        for page in [page, file_page] {
            assert!(!page.contains("<img") && !page.contains("<b>"), "{page}");
            assert!(page.contains("&quot;&gt;&lt;img src=x onerror=alert(1)&gt;"), "{page}");
        }
        let missing = html(&stranger.get("/s/%3Cscript%3Ealert(1)%3C%2Fscript%3E").fetch().await, 404);
        assert!(!missing.contains("alert"), "{missing}");
        let query = html(&show(&stranger, &share, "?path=%3Cscript%3Ealert(1)").await, 404);
        assert!(!query.contains("alert"), "{query}");
    }
}

api_test! {
    async fn an_upload_request_shows_its_form_and_nothing_else(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("Homework", None).await;
        ada.upload_to(&top, noise(1, 10), "of somebody.bin").await;
        let settings = json!({"permission_level": "edit", "allow_upload": true, "max_files": 1, "max_size": 1000});
        let share = ada.share_by_link("folder", &top, settings).await;
        let stranger = app.anonymous();
        let page = html(&show(&stranger, &share, "").await, 200);
        assert!(page.contains("Upload to <bdi>Homework</bdi>") && page.contains("At most 1000.0 B."), "{page}");
        assert!(!page.contains("of somebody.bin") && !page.contains("class=\"entries\""), "{page}");
        let action = link(&page, "<form method=\"post\" action=\"");
        let large = Form::new().file("large.bin", &noise(2, 2000)).on(stranger.post(&action)).fetch().await;
        html(&large, 413);
        let sent = Form::new().file("mine.bin", &noise(3, 500)).on(stranger.post(&action)).fetch().await;
        sent.expect_status(303);
        let thanks = html(&stranger.get(sent.header("location")).fetch().await, 200);
        assert!(thanks.contains("your file has arrived"), "{thanks}");
        assert_eq!(names_of(&ada.contents(&top).await["files"]), ["mine.bin", "of somebody.bin"]);
        let full = Form::new().file("more.bin", &noise(4, 500)).on(stranger.post(&action)).fetch().await;
        html(&full, 410);
        html(&stranger.get(&format!("{}/zip", page_of(&share))).fetch().await, 403);
        html(&stranger.get(&format!("{}/download", page_of(&share))).fetch().await, 403);
        html(&stranger.get(&format!("{}/preview", page_of(&share))).fetch().await, 404);
    }
}

api_test! {
    async fn what_is_over_or_was_never_there_is_a_page_of_its_status(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(noise(1, 10), "a.bin").await;
        let expires_at = (app.services.clock.now() + chrono::TimeDelta::hours(1)).to_rfc3339();
        let share = ada.share_by_link("file", &file, json!({"expires_at": expires_at})).await;
        let stranger = app.anonymous();
        html(&show(&stranger, &share, "").await, 200);
        let head = stranger.head(&page_of(&share)).fetch().await;
        head.expect_empty(200);
        assert_eq!(head.header("content-type"), "text/html; charset=utf-8");
        app.clock.advance(chrono::TimeDelta::hours(2));
        let gone = html(&show(&stranger, &share, "").await, 410);
        assert!(gone.contains("This link is over") && !gone.contains("a.bin"), "{gone}");
        let missing = html(&stranger.get("/s/nothing").fetch().await, 404);
        assert!(missing.contains("<h1>Nothing here</h1>"), "{missing}");
        let ada = app.login("ada@example.com", crate::harness::PASSWORD).await;
        let open = ada.share_by_link("file", &file, json!({})).await;
        ada.trash_file(&file).await;
        html(&show(&stranger, &open, "").await, 404);
        assert_eq!(stranger.request(reqwest::Method::DELETE, &page_of(&open)).fetch().await.status, 405);
    }
}
