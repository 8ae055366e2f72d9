//! Thumbnail jobs, whatever dies: `kill -9` of the server at the named moments of a job and of its decoders, and
//! what SIGHUP and the `process` command do.

use crate::support::{
    SOON,
    client::Client,
    database::Database,
    eventually,
    server::{Server, signal},
    world::World,
};
use reqwest::{Method, StatusCode};
use std::{
    fs,
    io::Cursor,
    process::{Child, Stdio},
    time::Duration,
};

/// How long all jobs may take that a dead process held.
const RECOVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Leased,
    Opened,
    Rendered,
    Stored,
    InTransaction,
    Committed,
}

impl Moment {
    fn failpoint(self) -> &'static str {
        match self {
            Self::Leased => "thumbnails::leased=pause",
            Self::Opened => "thumbnails::opened=pause",
            Self::Rendered => "thumbnails::rendered=pause",
            Self::Stored => "thumbnails::stored=pause",
            Self::InTransaction => "thumbnails::in_transaction=pause",
            Self::Committed => "thumbnails::committed=pause",
        }
    }

    async fn is_reached(self, database: &mut Database) -> bool {
        let leased = jobs_in_state(database, "processing").await;
        match self {
            Self::Leased | Self::Opened | Self::Rendered => leased > 0,
            Self::Stored => leased > 0 && database.blobs_in_state("pending").await >= 2,
            Self::InTransaction => {
                leased > 0
                    && database.blobs_in_state("pending").await >= 2
                    && database.has_open_change().await
            }
            Self::Committed => jobs_in_state(database, "completed").await > 0,
        }
    }
}

async fn jobs_in_state(database: &mut Database, state: &str) -> i64 {
    database.number(&format!("SELECT COUNT(*) FROM processing_jobs WHERE status = '{state}'")).await
}

fn picture(seed: u32, side: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let byte = |value: u32| value.to_le_bytes()[0];
        image::Rgb([byte(x * seed), byte(y * 3), byte(x ^ y)])
    };
    let mut png = Cursor::new(Vec::new());
    image::RgbImage::from_fn(side, side, pixel).write_to(&mut png, image::ImageFormat::Png).expect("it fits");
    png.into_inner()
}

/// Quick to notice the dead, and to try again.
fn hasty(world: &mut World) {
    world.home.set("thumbnails.enabled", "true");
    world.home.set("thumbnails.workers", "2");
    world.home.set("thumbnails.look_interval", "200ms");
    world.home.set("thumbnails.lease", "3s");
    world.home.set("thumbnails.retry_delay", "100ms");
}

async fn all_completed(world: &World, count: i64) {
    let mut database = world.database().await;
    eventually("every job is completed", RECOVERY, async || {
        assert_eq!(jobs_in_state(&mut database, "failed").await, 0, "a job failed");
        jobs_in_state(&mut database, "completed").await == count
    })
    .await;
    let renditions = database.number("SELECT COUNT(*) FROM renditions").await;
    assert_eq!(renditions, 2 * count, "a thumbnail and a preview each, none twice");
    database.close().await;
}

fn kill(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

async fn kill_at(moment: Moment, mut world: World) {
    world.home.set("thumbnails.enabled", "false");
    let (server, client) = world.first_start().await;
    for seed in 1..=3 {
        client.upload(&format!("{seed}.png"), &picture(seed, 400)).await;
    }
    server.stop().await;

    hasty(&mut world);
    // Its main thread stands still at the moment, perhaps before it has said that it serves.
    let mut command = world.home.command(&[]);
    command.env("FAILPOINTS", moment.failpoint()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("the binary runs");
    let mut database = world.database().await;
    eventually("the failpoint", SOON, async || moment.is_reached(&mut database).await).await;
    database.close().await;
    kill(child);

    let server = Server::start(&world.home);
    let client = client.at(&server);
    all_completed(&world, 3).await;
    let (_, page) = client.get_json("/api/cdn/files/").await;
    for file in page["results"].as_array().expect("results") {
        assert_eq!(file["processing_status"], "completed", "{file}");
        for field in ["thumbnail_url", "preview_url"] {
            let url = file[field].as_str().expect("a URL");
            let path = &url[url.find("/f/").expect("a path")..];
            assert_eq!(client.get(path).await.status(), StatusCode::OK, "{url}");
        }
    }
    world.assert_sound(server).await;
}

macro_rules! kill_tests {
    ($($sqlite:ident, $postgres:ident: $moment:ident;)*) => {$(
        #[tokio::test]
        async fn $sqlite() {
            kill_at(Moment::$moment, World::on_sqlite()).await;
        }

        #[tokio::test]
        async fn $postgres() {
            if let Some(world) = World::on_postgres().await {
                kill_at(Moment::$moment, world).await;
            }
        }
    )*};
}

kill_tests! {
    a_kill_with_leases_loses_no_job_on_sqlite, a_kill_with_leases_loses_no_job_on_postgres: Leased;
    a_kill_before_rendering_loses_no_job_on_sqlite, a_kill_before_rendering_loses_no_job_on_postgres: Opened;
    a_kill_after_rendering_loses_no_job_on_sqlite, a_kill_after_rendering_loses_no_job_on_postgres: Rendered;
    a_kill_after_storing_leaves_no_object_on_sqlite, a_kill_after_storing_leaves_no_object_on_postgres: Stored;
    a_kill_in_the_transaction_makes_nothing_twice_on_sqlite,
    a_kill_in_the_transaction_makes_nothing_twice_on_postgres: InTransaction;
    a_kill_after_the_commit_makes_nothing_twice_on_sqlite,
    a_kill_after_the_commit_makes_nothing_twice_on_postgres: Committed;
}

/// Decoder processes that the server runs now.
fn decoders(server: &Server) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let ids: Vec<u32> = children.flat_map(|text| ids_of(&text)).collect();
    let is_decoder = |id: &u32| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("render-worker"))
    };
    ids.into_iter().filter(is_decoder).collect()
}

fn ids_of(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

#[tokio::test]
async fn killed_decoders_cost_their_jobs_an_attempt_and_nothing_else() {
    let mut world = World::on_sqlite();
    hasty(&mut world);
    world.home.set("thumbnails.max_attempts", "20");
    let (server, client) = world.first_start().await;
    for seed in 1..=12 {
        client.upload(&format!("{seed}.png"), &picture(seed, 900)).await;
    }
    let mut killed = 0;
    eventually("six decoders are killed", SOON, async || {
        for id in decoders(&server) {
            if killed < 6 {
                // It may have ended by itself since.
                let done = std::process::Command::new("kill").args(["-9", &id.to_string()]).status();
                killed += i32::from(done.is_ok_and(|status| status.success()));
            }
        }
        let mut database = world.database().await;
        let completed = jobs_in_state(&mut database, "completed").await;
        database.close().await;
        killed == 6 || completed == 12
    })
    .await;
    assert!(killed > 0, "no decoder was there to be killed");
    all_completed(&world, 12).await;
    client.upload("after.png", &picture(99, 100)).await;
    all_completed(&world, 13).await;
    world.assert_sound(server).await;
}

/// What the metrics say of this line.
async fn metric(client: &Client, name: &str) -> Option<String> {
    let text = client.get("/metrics").await.text().await.expect("text");
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

#[tokio::test]
async fn a_hangup_changes_the_number_of_workers_and_a_broken_file_changes_nothing() {
    let world = World::on_sqlite();
    let file = world.home.path().join("config.toml");
    fs::write(&file, "[thumbnails]\nworkers = 1\n").expect("a file");
    let (server, client) = world.first_start().await;
    const WORKERS: &str = "cdn_thumbnail_workers{state=\"all\"}";
    assert_eq!(metric(&client, WORKERS).await.as_deref(), Some("1"));
    fs::write(&file, "[thumbnails]\nworkers = 5\n").expect("a file");
    signal("HUP", server.id());
    eventually("five workers", SOON, async || metric(&client, WORKERS).await.as_deref() == Some("5")).await;
    fs::write(&file, "[thumbnails]\nworkers = \"many\"\n").expect("a file");
    signal("HUP", server.id());
    eventually("the complaint", SOON, async || server.stderr().contains("was not taken over")).await;
    assert_eq!(metric(&client, WORKERS).await.as_deref(), Some("5"));
    // For the commands after this.
    fs::remove_file(&file).expect("it is there");
    client.upload("a.png", &picture(1, 50)).await;
    all_completed(&world, 1).await;
    world.assert_sound(server).await;
}

#[tokio::test]
async fn the_process_command_queues_files_again() {
    let mut world = World::on_sqlite();
    world.home.set("thumbnails.enabled", "false");
    let (server, client) = world.first_start().await;
    client.upload("a.png", &picture(1, 50)).await;
    client.upload("b.txt", b"just text").await;
    server.stop().await;
    assert_eq!(world.home.run_well(&["process", "--all"]), "2 files looked at, 0 jobs queued\n");
    hasty(&mut world);
    let server = Server::start(&world.home);
    all_completed(&world, 1).await;
    server.stop().await;
    assert_eq!(world.home.run_well(&["process", "--all", "--missing"]), "2 files looked at, 0 jobs queued\n");
    world.home.set("thumbnails.sizes", "100,200");
    assert_eq!(world.home.run_well(&["process", "--all", "--missing"]), "2 files looked at, 1 jobs queued\n");
    let server = Server::start(&world.home);
    let client = client.at(&server);
    let mut database = world.database().await;
    eventually("the other sizes", SOON, async || {
        database.number("SELECT COUNT(*) FROM renditions").await == 4
    })
    .await;
    database.close().await;
    let files = client.request(Method::GET, "/api/cdn/files/?search=a.png").send().await.expect("an answer");
    let text = files.text().await.expect("text");
    assert!(text.contains("/thumbnail?w=100&v="), "{text}");
    world.assert_sound(server).await;
    assert_eq!(world.home.run(&["process"]).code, Some(2), "--all is meant to be said");
}
