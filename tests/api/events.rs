//! `/api/cdn/events/`: what is told to whom, in which order, and when a stream is over.

use cdn_actors::domain::ids::{FileId, UserId};
use chrono::TimeDelta;
use hackclub_cdn::config::Span;
use hackclub_cdn::db::events::Event;
use hackclub_cdn::db::{DbError, Tx};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::harness::{
    Client, Fetch, TestApp, assert_error, assert_field_error, assert_refused, eventually, id_of, noise,
    picture, png, registration,
};

async fn record(app: &TestApp, user: i64, events: Vec<Event>) {
    let now = app.services.clock.now();
    let work = async move |tx: &mut Tx| {
        for event in &events {
            tx.record_event(UserId(user), event, now).await?;
        }
        Ok::<_, DbError>(())
    };
    app.services.db.write(work).await.expect("the events are written");
}

fn count_streams(app: &TestApp) -> usize {
    app.services.db.news().listeners()
}

/// The id of the last event of a user, as a fresh stream tells it.
async fn last_id(client: &Client) -> i64 {
    client.listen_after(None).await.1.id
}

api_test! {
    async fn every_change_of_a_file_is_told(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("Photos", None).await;
        let mut stream = ada.listen().await;

        let file = ada.upload(noise(1, 1000), "a.bin").await;
        let created = stream.expect("file.created").await;
        assert_eq!(created.data["id"], file["id"]);
        assert_eq!(created.data["name"], "a.bin");
        assert!(created.data["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{created:?}");
        let quota = stream.expect("quota.changed").await;
        assert_eq!(quota.data["storage_used"], 1000, "{quota:?}");
        assert_eq!(quota.data["quota_tier"], "verified", "{quota:?}");
        assert_eq!(quota.data["storage_limit"], 50_u64 << 30, "{quota:?}");
        assert!(quota.data["percentage_used"].is_number(), "{quota:?}");

        ada.patch_file(&file, json!({"filename": "b.bin"})).await.expect_json(200);
        let renamed = stream.expect("file.changed").await;
        assert_eq!((&renamed.data["change"], &renamed.data["name"]), (&json!("renamed"), &json!("b.bin")));
        ada.patch_file(&file, json!({"folder": folder["id"]})).await.expect_json(200);
        assert_eq!(stream.expect("file.changed").await.data["change"], "moved");

        ada.add_version(&file, noise(2, 500)).await;
        assert_eq!(stream.expect("file.changed").await.data["change"], "content");
        assert_eq!(stream.expect("quota.changed").await.data["storage_used"], 1500);

        ada.trash_file(&file).await;
        assert_eq!(stream.expect("file.trashed").await.data["id"], file["id"]);
        let item = ada.item_of(&file).await;
        ada.restore(&item).await;
        assert_eq!(stream.expect("file.restored").await.data["id"], file["id"]);
        ada.trash_file(&file).await;
        stream.expect("file.trashed").await;
        let item = ada.item_of(&file).await;
        ada.purge(&item).await;
        let deleted = stream.expect("file.deleted").await;
        assert_eq!((&deleted.data["id"], &deleted.data["name"]), (&file["id"], &json!("b.bin")));
        assert_eq!(stream.expect("quota.changed").await.data["storage_used"], 0);
    }
}

api_test! {
    async fn every_change_of_a_folder_is_told(app) {
        let ada = app.user("ada@example.com").await;
        let mut stream = ada.listen().await;
        let folder = ada.create_folder("one", None).await;
        let created = stream.expect("folder.created").await;
        assert_eq!((&created.data["id"], &created.data["name"]), (&folder["id"], &json!("one")));
        let other = ada.create_folder("other", None).await;
        stream.expect("folder.created").await;
        ada.patch_folder(&folder, json!({"name": "two", "parent": other["id"]})).await.expect_json(200);
        assert_eq!(stream.expect("folder.changed").await.data["change"], "renamed");
        assert_eq!(stream.expect("folder.changed").await.data["change"], "moved");
        ada.trash_folder(&folder).await;
        assert_eq!(stream.expect("folder.trashed").await.data["id"], folder["id"]);
        ada.empty_trash().await;
        stream.expect("trash.emptied").await;
    }
}

api_test! {
    async fn a_new_tier_is_told_with_its_limit(app) {
        let ada = app.user("ada@example.com").await;
        let mut stream = ada.listen().await;
        app.services.set_tier(UserId(ada.id), "unlimited".to_owned()).await.expect("the tier exists");
        let quota = stream.expect("quota.changed").await;
        assert_eq!(quota.data["quota_tier"], "unlimited", "{quota:?}");
        assert_eq!(quota.data["storage_limit"], 300_u64 << 30, "{quota:?}");
    }
}

api_test! {
    async fn what_other_parts_record_is_told_as_it_is(app) {
        let ada = app.user("ada@example.com").await;
        let mut stream = ada.listen().await;
        let (file, thing) = (FileId::new(), Uuid::now_v7());
        let events = vec![
            Event::FileProcessed { id: file, processing_status: "completed".to_owned() },
            Event::JobChanged {
                id: thing,
                file,
                job_type: "thumbnail".to_owned(),
                status: "failed".to_owned(),
                attempts: 2,
            },
            Event::ShareOpened {
                id: thing,
                resource_type: "file".to_owned(),
                resource_id: file.get(),
                access_type: "view".to_owned(),
                visits: 3,
            },
        ];
        record(app, ada.id, events).await;
        let processed = stream.expect("file.processed").await;
        assert_eq!(processed.data["id"], file.to_string());
        assert_eq!(processed.data["processing_status"], "completed");
        let job = stream.expect("job.changed").await;
        assert_eq!((&job.data["status"], &job.data["attempts"]), (&json!("failed"), &json!(2)));
        let opened = stream.expect("share.opened").await;
        assert_eq!((&opened.data["access_type"], &opened.data["visits"]), (&json!("view"), &json!(3)));
    }
}

api_test! {
    async fn thumbnails_are_told_when_they_are_there_and_when_they_fail(app) {
        let ada = app.user("ada@example.com").await;
        let right = ada.upload(picture(1, 40, 20), "a.png").await;
        let wrong = ada.upload(png(2), "b.png").await;
        let mut stream = ada.listen().await;
        app.drain_jobs().await;
        let mut told = Vec::new();
        for _ in 0..2 {
            let job = stream.expect("job.changed").await;
            assert_eq!((&job.data["job_type"], &job.data["attempts"]), (&json!("thumbnail"), &json!(1)), "{job:?}");
            let file = stream.expect("file.processed").await;
            assert_eq!((&file.data["id"], &file.data["processing_status"]), (&job.data["file"], &job.data["status"]));
            told.push((file.data["id"].clone(), file.data["processing_status"].clone()));
        }
        told.sort_by_key(|(_, status)| status.to_string());
        assert_eq!(told, [(right["id"].clone(), json!("completed")), (wrong["id"].clone(), json!("failed"))]);
    }
}

api_test! {
    async fn a_stream_tells_nothing_of_others(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let mut stream = ada.listen().await;
        bob.create_folder("Bob's", None).await;
        ada.create_folder("Ada's", None).await;
        assert_eq!(stream.expect("folder.created").await.data["name"], "Ada's");
    }
}

api_test! {
    async fn a_cookie_and_a_token_open_a_stream_and_nothing_else_does(app) {
        let ada = app.user("ada@example.com").await;
        let (mut by_cookie, mut by_token) = (ada.listen().await, ada.bearer().listen().await);
        ada.create_folder("x", None).await;
        by_cookie.expect("folder.created").await;
        by_token.expect("folder.created").await;
        let refused = app.anonymous().get("/api/cdn/events/").fetch().await;
        assert_error(&refused, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn a_stream_goes_on_after_the_last_event_that_was_read(app) {
        let ada = app.user("ada@example.com").await;
        let mut stream = ada.listen().await;
        ada.create_folder("one", None).await;
        let read = stream.expect("folder.created").await;
        drop(stream);
        for name in ["two", "three", "four"] {
            ada.create_folder(name, None).await;
        }
        let (mut stream, first) = ada.listen_after(Some(read.id)).await;
        assert_eq!((first.event.as_str(), first.id), ("ready", read.id));
        for (nth, name) in (1..).zip(["two", "three", "four"]) {
            let message = stream.expect("folder.created").await;
            assert_eq!((&message.data["name"], message.id), (&json!(name), read.id + nth));
        }
        // The first request of a page can't set the header.
        let by_query = ada.get(&format!("/api/cdn/events/?last_event_id={}", read.id)).send().await.unwrap();
        let mut stream = crate::harness::Listener::of(by_query);
        assert_eq!(stream.expect("ready").await.id, read.id);
        assert_eq!(stream.expect("folder.created").await.data["name"], "two");
    }
}

api_test! {
    async fn more_events_than_one_read_takes_come_in_order_and_without_a_gap(app) {
        let ada = app.user("ada@example.com").await;
        let before = last_id(&ada).await;
        let name = |n: i64| format!("{n}");
        record(app, ada.id, (1..=350).map(|n| Event::FolderCreated { id: Uuid::now_v7(), name: name(n) }).collect())
            .await;
        let (mut stream, _) = ada.listen_after(Some(before)).await;
        for n in 1..=350 {
            let message = stream.expect("folder.created").await;
            assert_eq!((message.id, &message.data["name"]), (before + n, &json!(name(n))));
        }
    }
}

api_test! {
    async fn parallel_changes_are_all_told_in_the_order_of_their_ids(app) {
        let ada = app.user("ada@example.com").await;
        let mut stream = ada.listen().await;
        let making = futures_util::future::join_all((0..40).map(|n| {
            let ada = ada.clone();
            async move { ada.register(&registration(&format!("{n}.txt"))).await["id"].clone() }
        }));
        let mut made: Vec<Value> = making.await;
        let (mut told, mut last) = (Vec::new(), None);
        while told.len() < made.len() {
            let message = stream.next().await;
            assert!(last.is_none_or(|last| message.id == last + 1), "{message:?} after {last:?}");
            last = Some(message.id);
            if message.event == "file.created" {
                told.push(message.data["id"].clone());
            }
        }
        let text = |id: &Value| id.as_str().unwrap().to_owned();
        made.sort_by_key(text);
        told.sort_by_key(text);
        assert_eq!(told, made);
    }
}

api_test! {
    async fn what_can_not_be_caught_up_on_is_a_reset(app) {
        let ada = app.user("ada@example.com").await;
        let before = last_id(&ada).await;
        ada.create_folder("one", None).await;
        app.clock.advance(TimeDelta::minutes(9));
        app.services.sweep(false).await.expect("a sweep");
        let (mut stream, first) = ada.listen_after(Some(before)).await;
        assert_eq!(first.event, "ready", "kept for ten minutes: {first:?}");
        stream.expect("folder.created").await;
        app.clock.advance(TimeDelta::minutes(2));
        ada.create_folder("two", None).await;
        let report = app.services.sweep(false).await.expect("a sweep");
        assert!(report.cleared >= 1, "{report:?}");
        let (mut stream, first) = ada.listen_after(Some(before)).await;
        assert_eq!((first.event.as_str(), first.id), ("reset", before + 2));
        // A number that was never given, as after a restored backup.
        assert_eq!(ada.listen_after(Some(before + 1000)).await.1.event, "reset");
        ada.create_folder("three", None).await;
        assert_eq!(stream.expect("folder.created").await.data["name"], "three");
    }
}

api_test! {
    async fn an_id_that_is_none_is_refused(app) {
        let ada = app.user("ada@example.com").await;
        for bad in ["x", "-1", "1.5", "99999999999999999999"] {
            let reply = ada.get(&format!("/api/cdn/events/?last_event_id={bad}")).fetch().await;
            assert_field_error(&reply, "last_event_id");
            let reply = ada.get("/api/cdn/events/").header("Last-Event-ID", bad).fetch().await;
            assert_field_error(&reply, "last_event_id");
        }
    }
}

api_test! {
    with |config| { config.events.heartbeat = Span::from_millis(50); }
    async fn a_stream_beats_and_ends_with_its_session(app) {
        let ada = app.user("ada@example.com").await;
        let other_session = app.login("ada@example.com", crate::harness::PASSWORD).await;
        let (mut stream, mut other) = (ada.listen().await, other_session.listen().await);
        stream.heartbeat().await;
        stream.heartbeat().await;
        ada.post("/api/auth/logout").fetch().await.expect_json(200);
        stream.ended().await;
        other_session.create_folder("x", None).await;
        other.expect("folder.created").await;
        app.set_active(&ada, false).await;
        other.ended().await;
        eventually("nobody listens", || async { count_streams(app) == 0 }).await;
    }
}

api_test! {
    with |config| {
        config.events.max_streams_per_user = 2;
        config.events.heartbeat = Span::from_millis(50);
    }
    async fn a_user_has_a_bounded_number_of_streams(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let (first, _second) = (ada.listen().await, ada.listen().await);
        assert_refused(&ada.get("/api/cdn/events/").fetch().await, 503);
        let _bobs = bob.listen().await;
        drop(first);
        // The server hears of it when it writes.
        ada.create_folder("x", None).await;
        eventually("a place is free", || async { count_streams(app) == 2 }).await;
        ada.listen().await;
    }
}

api_test! {
    with |config| {
        config.events.max_streams_per_user = 1;
        config.events.stall_timeout = Span::from_millis(200);
    }
    async fn a_reader_that_takes_nothing_is_dropped(app) {
        let ada = app.user("ada@example.com").await;
        let mut silent = tokio::net::TcpStream::connect(("127.0.0.1", app.port)).await.expect("a connection");
        let head = format!(
            "GET /api/cdn/events/ HTTP/1.1\r\nHost: cdn.example\r\nCookie: {}\r\n\r\n",
            ada.session.cookies()
        );
        silent.write_all(head.as_bytes()).await.expect("the server reads");
        eventually("the stream is open", || async { count_streams(app) == 1 }).await;
        // More than all buffers between the two hold.
        let name = "n".repeat(60_000);
        let event = |_| Event::FolderCreated { id: Uuid::now_v7(), name: name.clone() };
        record(app, ada.id, (0..400).map(event).collect()).await;
        eventually("the stream is gone", || async { count_streams(app) == 0 }).await;
        ada.listen().await;
    }
}

api_test! {
    async fn a_change_that_is_refused_is_not_told(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("one", None).await;
        let mut stream = ada.listen().await;
        assert_refused(&ada.try_create_folder("one", None).await, 409);
        assert_refused(&ada.patch_folder(&folder, json!({"parent": folder["id"]})).await, 400);
        let bulk = ada.bulk("trash", &[("folder", &folder), ("folder", &json!({"id": Uuid::now_v7()}))]).await;
        assert_eq!(bulk["results"].as_array().map(Vec::len), Some(2), "{bulk}");
        assert_eq!(stream.expect("folder.trashed").await.data["id"], id_of(&folder));
    }
}

api_test! {
    async fn open_streams_are_measured(app) {
        let ada = app.user("ada@example.com").await;
        let _stream = ada.listen().await;
        let text = app.anonymous().get("/metrics").fetch().await.text();
        assert!(text.contains("\ncdn_event_streams 1\n"), "{text}");
    }
}
