//! Load on the server from outside: `cargo bench --bench load [-- --help]`.
//!
//! Starts the release binary on a free port in a folder of its own and measures requests a second and latency,
//! then many parallel uploads and one very large one. Client and server share the machine, so what counts is the
//! share of the bare server's figure: the same client against an actix-web server that does nothing else.

#[path = "load/bare.rs"]
mod bare;
#[path = "load/client.rs"]
mod client;
#[path = "load/content.rs"]
mod content;
#[path = "load/drive.rs"]
mod drive;
#[path = "load/report.rs"]
mod report;
#[path = "load/server.rs"]
mod server;

use clap::Parser;
use client::Account;
use content::Content;
use drive::{Figures, Pace, measure, spread};
use report::Report;
use server::House;
use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Content of the upload and download rows.
const SMALL: u64 = 64 * KIB;
/// Files there are when the list is measured: so many at a time, so often.
const LISTED: (usize, usize) = (20, 50);
/// Uploads at the same time, and the size of each.
const PARALLEL: (usize, u64) = (200, 10 * MIB);
const LARGE: u64 = 1 << 30;
/// What one upload or download, of whatever size, may add to the server's memory.
const MEMORY_LIMIT: u64 = 32 * MIB;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures the server under load. Exit codes: 0 all right, 1 an error or a limit not held, 2 bad arguments.
///
/// Needs about 5 GiB of disk in the target folder for the time it runs, and Linux to measure memory.
#[derive(Parser)]
#[command(name = "cargo bench --bench load --")]
struct Arguments {
    /// "sqlite", or the postgres:// URL of a database that may be filled: rows are left in it
    #[arg(long, default_value = "sqlite", value_parser = parse_engine)]
    engine: String,
    /// How long each kind of request is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Requests at the same time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// The server to start
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_hackclub-cdn"), hide_default_value = true)]
    server: PathBuf,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_engine(text: &str) -> Result<String, String> {
    let is_known = text == "sqlite" || text.starts_with("postgres://") || text.starts_with("postgresql://");
    if is_known { Ok(text.to_owned()) } else { Err("either sqlite or a postgres:// URL".to_owned()) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The client is built without a TLS implementation of its own; it never uses one here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(&arguments) {
        Ok(report) => report.conclude(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, Failure> {
    let house = House::new(&arguments.server, &arguments.engine)?;
    let mut report = Report::begin(&arguments.engine, arguments.seconds, arguments.connections);
    let pace = Pace::new(arguments.connections.into(), Duration::from_secs(arguments.seconds));
    measure_requests(&house, pace, &mut report)?;
    send_many(&house, &mut report)?;
    send_large(&house, &mut report)?;
    report.note_check(house.check()?);
    report.note_log(&house.failures()?);
    Ok(report)
}

/// The rows of the table.
fn measure_requests(house: &House, pace: Pace, report: &mut Report) -> Result<(), Failure> {
    let server = house.start()?;
    let account = Account::log_in(house, &server)?;
    let me = drive::once(async |client| account.get(client, "/api/auth/me").await)?;
    let bare = bare::start(me, Content::new(SMALL).bytes())?;

    report.progress("me");
    let figures = measure(pace, async |client| account.get(client, "/api/auth/me").await)?;
    let floor = measure(pace, async |client| client::fetch(client, &format!("{bare}/me")).await)?;
    report.row("me", figures, Some(floor));

    report.progress("list: making files");
    let register_many = async |client: &_, _| -> Result<(), Failure> {
        for _ in 0..LISTED.1 {
            account.register(client).await?;
        }
        Ok(())
    };
    spread(LISTED.0, register_many)?.into_iter().collect::<Result<(), Failure>>()?;
    report.progress("list");
    let list = "/api/cdn/files/?page_size=20";
    report.row("list", measure(pace, async |client| account.get(client, list).await)?, None);

    report.progress("register");
    report.row("register", measure(pace, async |client| account.register(client).await)?, None);

    report.progress("upload");
    let upload = async |client: &_| account.upload(client, Content::new(SMALL)).await;
    report.row("upload", measure(pace, upload)?, None);

    report.progress("download");
    let url = drive::once(async |client| account.upload(client, Content::new(SMALL)).await)?;
    let figures: Figures = measure(pace, async |client| client::fetch(client, &url).await)?;
    let floor = measure(pace, async |client| client::fetch(client, &format!("{bare}/content")).await)?;
    report.row("download", figures, Some(floor));
    server.stop()
}

/// Many uploads at once, each checked by its SHA-256 when it comes back.
fn send_many(house: &House, report: &mut Report) -> Result<(), Failure> {
    let (count, size) = PARALLEL;
    let server = house.start()?;
    let account = Account::log_in(house, &server)?;
    let contents: Vec<_> = (0..count).map(|_| Content::new(size)).collect();
    let content = |job: usize| contents.get(job).copied().ok_or("no such job");

    report.progress("parallel uploads");
    let begun = Instant::now();
    let sent = spread(count, async |client, job| {
        Ok::<_, Failure>((content(job)?, account.upload(client, content(job)?).await?))
    })?;
    let up = begun.elapsed();
    let stored = report.keep_good(sent);

    report.progress("parallel downloads");
    let begun = Instant::now();
    let fetched = spread(stored.len(), async |client, job| {
        let (content, url) = stored.get(job).ok_or("no such job")?;
        Ok::<_, Failure>((*content, client::fetch_digest(client, url).await?))
    })?;
    let down = begun.elapsed();
    let fetched = report.keep_good(fetched);

    report.progress("checking digests");
    let is_right = spread(fetched.len(), async |_, job| {
        fetched.get(job).is_some_and(|(content, digest)| content.sha256() == *digest)
    })?;
    let right = is_right.into_iter().filter(|is_right| *is_right).count();
    report.note_many(PARALLEL, right, up, down);
    server.stop()
}

/// One file of 1 GiB up and down, in a fresh process, with what it adds to the peak of the server's memory.
fn send_large(house: &House, report: &mut Report) -> Result<(), Failure> {
    let server = house.start()?;
    let mut account = Account::log_in(house, &server)?;
    server.stop()?;
    // Hashing the password takes 19 MiB that the process keeps, and a transfer would hide in them.
    let server = house.start()?;
    account.move_to(&server);
    // The first request of a kind pays for what all later ones share.
    let warm = drive::once(async |client| account.upload(client, Content::new(MIB)).await)?;
    drive::once(async |client| client::fetch(client, &warm).await)?;

    report.progress("large upload");
    let content = Content::new(LARGE);
    let (begun, memory) = (Instant::now(), server.watch_memory());
    let url = drive::once(async |client| account.upload(client, content).await)?;
    report.note_large("upload", LARGE, begun.elapsed(), memory.growth(), MEMORY_LIMIT);

    report.progress("large download");
    let (begun, memory) = (Instant::now(), server.watch_memory());
    let digest = drive::once(async |client| client::fetch_digest(client, &url).await)?;
    report.note_large("download", LARGE, begun.elapsed(), memory.growth(), MEMORY_LIMIT);
    if digest != content.sha256() {
        report.fail("the large file came back with another SHA-256");
    }
    server.stop()
}
