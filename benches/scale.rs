//! How calls slow down with the size of an account: a user with 200,000 files beside one with 1,000, in one run.
//!
//! `cargo bench --bench scale [-- --database postgres://…] [--files 200000] [--rounds 200]`
//! Exit code 1 when a call takes more than three times as long for the large account.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that can't go on has failed")]

use cdn_actors::domain::ids::UserId;
use hackclub_cdn::{
    config::Config,
    db::{Db, DbError, Engine, Tx},
    service::accounts::NewUser,
    startup::Application,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Files of the small account, and of each folder.
const SMALL: i64 = 1_000;
/// The slowest that the large account may be against the small one.
const LIMIT: f64 = 3.0;
const PASSWORD: &str = "correct horse battery";

struct Options {
    database: Option<String>,
    files: i64,
    rounds: usize,
}

fn main() {
    let options = parse_options();
    // reqwest comes without a TLS provider of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.bind = "127.0.0.1:0".parse().unwrap();
    config.storage.url = format!("file://{}", folder.path().join("blobs").display());
    config.auth.secret_file = folder.path().join("secret.key");
    // One client asks as fast as it can.
    config.limits.network_requests_per_minute = 0;
    config.limits.account_requests_per_minute = 0;
    let default = format!("sqlite://{}", folder.path().join("cdn.db").display());
    config.database.url = options.database.clone().unwrap_or(default);
    let is_slow = actix_web::rt::System::new().block_on(run(config, &options));
    std::process::exit(i32::from(is_slow));
}

fn parse_options() -> Options {
    let mut options = Options { database: None, files: 200_000, rounds: 200 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--database" => options.database = arguments.next(),
            "--files" => options.files = arguments.next().and_then(|n| n.parse().ok()).expect("--files N"),
            "--rounds" => options.rounds = arguments.next().and_then(|n| n.parse().ok()).expect("--rounds N"),
            // What `cargo bench` itself adds.
            "--bench" => {}
            _ => {
                println!("usage: cargo bench --bench scale [-- --database URL] [--files N] [--rounds N]");
                std::process::exit(i32::from(argument != "--help") * 2);
            }
        }
    }
    options
}

async fn run(config: Config, options: &Options) -> bool {
    let application = Application::build(config).await.expect("the server starts");
    let base = application.base_url().to_owned();
    let services = application.services();
    let stopper = application.stopper();
    let server = actix_web::rt::spawn(application.run_until_stopped());
    let run_id = uuid::Uuid::now_v7();
    let mut accounts = Vec::new();
    for (name, files) in [("small", SMALL), ("large", options.files)] {
        let email = format!("{name}-{run_id}@example.com");
        let user = NewUser {
            email: email.clone(),
            name: name.into(),
            password: Some(PASSWORD.into()),
            tier: Some("unlimited".into()),
            is_admin: false,
        };
        let id = services.create_user(user).await.expect("the user is made");
        fill(&services.db, id, files).await.expect("the files are made");
        println!("{name}: {files} files");
        accounts.push((email, id));
    }
    services.check(true).await.expect("the counters are put right");
    assert!(services.check(false).await.expect("the check runs").is_clean(), "the data is sound");
    let small = Client::sign_in(&base, &accounts[0].0).await;
    let large = Client::sign_in(&base, &accounts[1].0).await;
    println!("{:<28} {:>12} {:>12} {:>8}", "call", "1,000", options.files, "ratio");
    let mut is_slow = false;
    for (name, path) in [
        ("list, page 1", "/api/cdn/files/"),
        ("list, by type", "/api/cdn/files/?type=images"),
        ("list, by size", "/api/cdn/files/?ordering=-file_size"),
        ("dashboard", "/api/cdn/dashboard/"),
        ("a folder's contents", "CONTENTS"),
        ("search, one match", "/api/cdn/search/?q=file-777-"),
        ("search, every name", "/api/cdn/search/?q=file"),
        ("search, no match", "/api/cdn/search/?q=zzzzzz"),
    ] {
        // In turn, so that a busy machine is busy for both.
        let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            of_small.push(small.time(path).await);
            of_large.push(large.time(path).await);
        }
        let (of_small, of_large) = (median(of_small), median(of_large));
        let ratio = of_large.as_secs_f64() / of_small.as_secs_f64();
        is_slow |= ratio > LIMIT;
        println!("{name:<28} {:>9} µs {:>9} µs {ratio:>8.2}", of_small.as_micros(), of_large.as_micros());
    }
    stopper.stop().await;
    server.await.expect("the server ends").expect("the server ends well");
    println!("{}", if is_slow { "slower than 3 times" } else { "none slower than 3 times" });
    is_slow
}

/// Rows as registration makes them, a thousand to a folder; the counters are put right afterwards.
async fn fill(db: &Db, user: UserId, files: i64) -> Result<(), DbError> {
    let (number, uuid) = match db.engine() {
        Engine::Sqlite => (
            "WITH RECURSIVE n (i) AS (SELECT $3 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $3 + $4)",
            "randomblob(16)",
        ),
        Engine::Postgres => ("WITH n (i) AS (SELECT generate_series($3, $3 + $4 - 1))", "gen_random_uuid()"),
    };
    let sql = format!(
        "{number} INSERT INTO files (id, owner_id, folder_id, filename, original_filename, file_extension, search_name,
             mime_type, kind, file_size, md5_hash, sha256_hash, cdn_url, charged,
             content_changed_at, created_at, updated_at, last_accessed)
         SELECT {uuid}, $1, $2, 'file-' || i || '-.png', 'file-' || i || '-.png', '.png', 'file-' || i || '-.png',
             CASE WHEN i % 3 = 0 THEN 'image/png' ELSE 'text/plain' END,
             CASE WHEN i % 3 = 0 THEN 'images' ELSE 'documents' END,
             i % 1000 + 1, CAST(i AS TEXT), CAST(i AS TEXT), 'https://example.com/' || i, 0, $5, $5, $5, $5
         FROM n"
    );
    for first in (0..files).step_by(usize::try_from(SMALL).unwrap()) {
        let sql = sql.clone();
        db.write::<_, _, DbError>(async move |tx: &mut Tx| {
            let now = chrono::Utc::now();
            let root = tx.ensure_root(user, now).await?;
            let name = cdn_actors::domain::filename::FolderName::parse(&format!("folder {first}")).unwrap();
            let folder = tx.insert_folder(user, &root, &name, now).await?;
            tx.q_built(sql.clone()).bind(user).bind(folder).bind(first).bind(SMALL).bind(now).exec().await
        })
        .await?;
    }
    // As an operator's database has them after a while.
    db.write::<_, _, DbError>(async |tx: &mut Tx| tx.q("ANALYZE").exec().await).await?;
    let kinds = "INSERT INTO media_type_totals (user_id, mime_type, kind, files_count, total_size)
                 VALUES ($1, 'image/png', 'images', 0, 0), ($1, 'text/plain', 'documents', 0, 0)";
    db.write::<_, _, DbError>(async move |tx: &mut Tx| tx.q(kinds).bind(user).exec().await).await?;
    Ok(())
}

struct Client {
    http: reqwest::Client,
    base: String,
    /// A folder with a thousand files.
    folder: String,
}

impl Client {
    async fn sign_in(base: &str, email: &str) -> Self {
        let http = reqwest::Client::builder().cookie_store(true).build().unwrap();
        let body = json!({"email": email, "password": PASSWORD});
        let answer = http.post(format!("{base}/api/auth/login")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let page: Value =
            http.get(format!("{base}/api/cdn/folders/")).send().await.unwrap().json().await.unwrap();
        let folders = page["results"].as_array().unwrap();
        let folder = folders.iter().find(|folder| folder["files_count"] == SMALL).expect("a full folder");
        let folder = folder["id"].as_str().unwrap().to_owned();
        Self { http, base: base.to_owned(), folder }
    }

    async fn time(&self, path: &str) -> Duration {
        let contents = format!("/api/cdn/folders/{}/contents/", self.folder);
        let path = if path == "CONTENTS" { &contents } else { path };
        let started = Instant::now();
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap();
        started.elapsed()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
