//! `/api/cdn/processing/`: what is made of files, and another try.

use hackclub_cdn::service::processing::Requeued;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    Client, Fetch, TestApp, assert_error, assert_field_error, assert_file, assert_job, assert_refused,
    eventually, id_of, noise, picture, png,
};

const JOBS: &str = "/api/cdn/processing/";

async fn jobs(client: &Client, query: &str) -> Vec<Value> {
    client.get_json(&format!("{JOBS}{query}")).await.as_array().expect("an array").clone()
}

/// The only job of the client.
async fn only_job(client: &Client) -> Value {
    let jobs = jobs(client, "").await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_job(&jobs[0]);
    jobs[0].clone()
}

async fn retry(client: &Client, job: &Value) -> crate::harness::Reply {
    client.post(&format!("{JOBS}{}/retry/", id_of(job))).fetch().await
}

/// Queues the files of all users again.
async fn requeue(app: &TestApp, is_renewal: bool) -> Requeued {
    let mut done = Requeued::default();
    while let Some(further) = app.services.requeue(done, is_renewal).await.expect("the database is there") {
        done = further;
    }
    done
}

api_test! {
    async fn a_picture_has_a_job_that_tells_how_far_it_is_and_what_came_of_it(app) {
        let ada = app.user("ada@example.com").await;
        assert_eq!(jobs(&ada, "").await, [] as [Value; 0]);
        let file = ada.upload(picture(1, 640, 480), "a.png").await;
        ada.upload(noise(1, 50), "b.bin").await;
        let waiting = only_job(&ada).await;
        assert_eq!((&waiting["file"], &waiting["file_detail"]["filename"]), (&file["id"], &json!("a.png")));
        assert_eq!((&waiting["job_type"], &waiting["status"]), (&json!("thumbnail"), &json!("pending")));
        assert_eq!((&waiting["attempts"], &waiting["max_attempts"]), (&json!(0), &json!(3)));
        assert_eq!((&waiting["result_data"], &waiting["error_message"]), (&json!({}), &json!("")));
        assert_eq!((&waiting["started_at"], &waiting["completed_at"]), (&Value::Null, &Value::Null));
        app.drain_jobs().await;
        let done = only_job(&ada).await;
        assert_eq!((&done["status"], &done["attempts"]), (&json!("completed"), &json!(1)));
        let source = &done["result_data"]["source"];
        assert_eq!((&source["width"], &source["height"]), (&json!(640), &json!(480)));
        assert!(source["milliseconds"].is_u64() && source["format"] == "png", "{source}");
        let made = done["result_data"]["renditions"].as_array().expect("renditions");
        let sizes: Vec<_> = made.iter().map(|one| (one["width"].clone(), one["height"].clone())).collect();
        assert_eq!(sizes, [(json!(320), json!(240)), (json!(640), json!(480))]);
        assert!(made.iter().all(|one| one["format"] == "webp" && one["size"].as_u64() > Some(0)), "{made:?}");
        assert!(done["completed_at"].as_str() >= done["started_at"].as_str());
        assert_eq!(ada.get_json(&format!("{JOBS}{}/", id_of(&done))).await, done);
        assert_file(&done["file_detail"]);
        assert!(done["file_detail"]["thumbnail_url"].is_string());
    }
}

api_test! {
    async fn jobs_are_filtered_and_paged(app) {
        let ada = app.user("ada@example.com").await;
        let good = ada.upload(picture(2, 20, 20), "good.png").await;
        let bad = ada.upload(png(2), "bad.png").await;
        app.drain_jobs().await;
        let late = ada.upload(picture(3, 20, 20), "late.png").await;
        let files = |jobs: &[Value]| jobs.iter().map(|job| job["file"].clone()).collect::<Vec<_>>();
        assert_eq!(files(&jobs(&ada, "").await), [late["id"].clone(), bad["id"].clone(), good["id"].clone()]);
        for (status, file) in [("completed", &good), ("failed", &bad), ("pending", &late)] {
            assert_eq!(files(&jobs(&ada, &format!("?status={status}")).await), [file["id"].clone()], "{status}");
        }
        assert_eq!(files(&jobs(&ada, &format!("?file={}", id_of(&bad))).await), [bad["id"].clone()]);
        assert_eq!(jobs(&ada, "?job_type=preview").await, [] as [Value; 0]);
        assert_eq!(jobs(&ada, "?job_type=thumbnail").await.len(), 3);
        let page = ada.get_json(&format!("{JOBS}?page=2&page_size=2&job_type=thumbnail")).await;
        assert_eq!((&page["count"], &page["next"]), (&json!(3), &Value::Null));
        assert_eq!(files(page["results"].as_array().expect("results")), [good["id"].clone()]);
        assert!(page["previous"].as_str().is_some_and(|url| url.contains("/api/cdn/processing/?page_size=2")));
        assert_error(&ada.get(&format!("{JOBS}?page=9")).fetch().await, 404, "Invalid page.");
        assert_field_error(&ada.get(&format!("{JOBS}?status=done")).fetch().await, "status");
        assert_field_error(&ada.get(&format!("{JOBS}?file=x")).fetch().await, "file");
    }
}

api_test! {
    async fn jobs_of_others_and_of_trashed_files_are_not_there(app) {
        let (ada, grace) = (app.user("ada@example.com").await, app.user("grace@example.com").await);
        let file = ada.upload(png(4), "a.png").await;
        app.drain_jobs().await;
        let job = only_job(&ada).await;
        let path = format!("{JOBS}{}/", id_of(&job));
        assert_error(&grace.get(&path).fetch().await, 404, "Not found.");
        assert_error(&retry(&grace, &job).await, 404, "Not found.");
        assert_eq!(jobs(&grace, "").await, [] as [Value; 0]);
        assert_refused(&app.anonymous().get(&path).fetch().await, 401);
        assert_error(&ada.get(&format!("{JOBS}{}/", Uuid::now_v7())).fetch().await, 404, "Not found.");
        ada.trash_file(&file).await;
        assert_error(&ada.get(&path).fetch().await, 404, "Not found.");
        assert_error(&retry(&ada, &job).await, 404, "Not found.");
        assert_eq!(jobs(&ada, "").await, [] as [Value; 0]);
    }
}

api_test! {
    async fn a_broken_picture_fails_at_once_with_a_reason(app) {
        let ada = app.user("ada@example.com").await;
        ada.upload(png(5), "a.png").await;
        app.drain_jobs().await;
        let job = only_job(&ada).await;
        assert_eq!((&job["status"], &job["attempts"]), (&json!("failed"), &json!(1)));
        assert!(job["error_message"].as_str().is_some_and(|text| text.len() > 10), "{job}");
        assert_eq!(job["file_detail"]["processing_status"], "failed");
        assert!(job["completed_at"].is_string(), "{job}");
    }
}

api_test! {
    async fn only_a_failed_job_is_tried_again_on_request(app) {
        let ada = app.user("ada@example.com").await;
        ada.upload(png(6), "a.png").await;
        let message = "Only a failed job can be tried again.";
        assert_error(&retry(&ada, &only_job(&ada).await).await, 409, message);
        app.drain_jobs().await;
        let again = retry(&ada, &only_job(&ada).await).await.expect_json(200);
        assert_job(&again);
        assert_eq!((&again["status"], &again["attempts"]), (&json!("pending"), &json!(0)));
        assert_eq!((&again["error_message"], &again["completed_at"]), (&json!(""), &Value::Null));
        assert_eq!(only_job(&ada).await, again);
        assert_error(&retry(&ada, &again).await, 409, message);
        app.drain_jobs().await;
        assert_eq!(only_job(&ada).await["status"], "failed");
    }
}

api_test! {
    async fn requeueing_makes_what_is_missing_or_everything_again(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(picture(14, 60, 60), "a.png").await;
        ada.upload(noise(2, 60), "b.bin").await;
        ada.upload(png(14), "broken.png").await;
        assert_eq!(requeue(app, true).await.jobs, 0, "what waits already stays as it is");
        app.drain_jobs().await;
        assert_eq!(app.services.renders.renders(), 2);
        let missing = requeue(app, false).await;
        assert_eq!((missing.files, missing.jobs), (3, 1), "the broken one");
        app.drain_jobs().await;
        assert_eq!(app.services.renders.renders(), 3);
        let before = ada.file(&file["id"]).await.expect_json(200);
        assert_eq!(requeue(app, true).await.jobs, 2);
        let waiting = ada.file(&file["id"]).await.expect_json(200);
        assert_eq!(waiting["processing_status"], "pending");
        assert_eq!(waiting["thumbnail_url"], before["thumbnail_url"], "the old one does until then");
        app.anonymous().get(&app.local(&waiting["thumbnail_url"])).fetch().await.expect_status(200);
        app.drain_jobs().await;
        assert_eq!(app.services.renders.renders(), 5);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200), before);
        app.expect_stored_objects(5).await;
    }
}

api_test! {
    async fn fresh_uploads_go_before_the_backlog(app) {
        let ada = app.user("ada@example.com").await;
        let old = ada.upload(picture(15, 20, 20), "old.png").await;
        app.drain_jobs().await;
        requeue(app, true).await;
        let fresh = ada.upload(picture(16, 20, 20), "fresh.png").await;
        let priority = |jobs: &[Value], file: &Value| {
            jobs.iter().find(|job| job["file"] == file["id"]).expect("its job")["priority"].as_i64()
        };
        let waiting = jobs(&ada, "?status=pending").await;
        assert!(priority(&waiting, &fresh) > priority(&waiting, &old), "{waiting:?}");
        app.drain_jobs().await;
        let done = jobs(&ada, "?status=completed").await;
        let begun = |file: &Value| {
            done.iter().find(|job| job["file"] == file["id"]).expect("its job")["started_at"].as_str().unwrap()
        };
        assert!(begun(&fresh) <= begun(&old), "{done:?}");
    }
}

api_test! {
    with |config| { config.thumbnails.enabled = true; }
    async fn a_running_server_makes_thumbnails_by_itself(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.upload(picture(17, 30, 30), "a.png").await;
        eventually("the thumbnail is there", || async {
            ada.file(&file["id"]).await.expect_json(200)["thumbnail_url"].is_string()
        })
        .await;
        let text = app.anonymous().get("/metrics").fetch().await;
        let text = String::from_utf8(text.body.to_vec()).expect("text");
        assert!(text.contains("cdn_thumbnail_jobs{outcome=\"completed\"} 1\n"), "{text}");
        assert!(text.contains("cdn_actors_live{actor=\"thumbnails\"} 1\n"), "{text}");
    }
}
