//! What passing an upload on costs: 100 MiB through this server to a host, against the same file straight to
//! the host, over loopback, taking turns in one run.
//!
//! `cargo bench --bench proxy [-- --mib 100] [--rounds 101] [--host keep|hash|drop]`
//! The host reads the form and, by `--host`, keeps the file as 0x0.st does (hashed, and written to a file), only
//! hashes it, or drops it. The hashes for the activity may come after the answer; they are waited for before the
//! next upload, so that none of it is counted for another. With client, host and server on two cores the ratio of
//! nine rounds wanders by a tenth either way, hence so many. Exit code 1 when the way through takes more than 1.3
//! times as long.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that can't go on has failed")]

use bytes::Bytes;
use futures_util::stream;
use hackclub_cdn::{
    config::{Config, Endpoint},
    service::accounts::NewUser,
    startup::Application,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// The most that the way through the server may take, against the direct one.
const LIMIT: f64 = 1.3;
const PASSWORD: &str = "correct horse battery";
const PIECE: usize = 64 * 1024;
const OPENING: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large.bin\"\r\n\r\n";
const CLOSING: &str = "\r\n--b--\r\n";

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Keep,
    Hash,
    Drop,
}

struct Options {
    mib: usize,
    rounds: usize,
    work: Work,
}

fn main() {
    let options = parse_options();
    // reqwest comes without a TLS provider of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let host = start_host(options.work);
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.bind = "127.0.0.1:0".parse().unwrap();
    config.storage.url = format!("file://{}", folder.path().join("blobs").display());
    config.auth.secret_file = folder.path().join("secret.key");
    config.database.url = format!("sqlite://{}", folder.path().join("cdn.db").display());
    config.upload_0x0.endpoint = Endpoint::Host(host.parse().unwrap());
    let is_slow = actix_web::rt::System::new().block_on(run(config, &host, &options));
    std::process::exit(i32::from(is_slow));
}

fn parse_options() -> Options {
    let mut options = Options { mib: 100, rounds: 101, work: Work::Keep };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = |name| arguments.next().and_then(|n| n.parse().ok()).expect(name);
        match argument.as_str() {
            "--mib" => options.mib = number("--mib N"),
            "--rounds" => options.rounds = number("--rounds N"),
            "--host" => {
                options.work = match arguments.next().as_deref() {
                    Some("keep") => Work::Keep,
                    Some("hash") => Work::Hash,
                    Some("drop") => Work::Drop,
                    _ => panic!("--host keep|hash|drop"),
                }
            }
            // What `cargo bench` itself adds.
            "--bench" => {}
            _ => {
                println!(
                    "usage: cargo bench --bench proxy [-- --mib N] [--rounds N] [--host keep|hash|drop]"
                );
                std::process::exit(i32::from(argument != "--help") * 2);
            }
        }
    }
    options
}

async fn run(config: Config, host: &str, options: &Options) -> bool {
    let application = Application::build(config).await.expect("the server starts");
    let through = format!("{}/api/cdn/upload-0x0/", application.base_url());
    let login = format!("{}/api/auth/login", application.base_url());
    let activity = format!("{}/api/cdn/activity/?page_size=1", application.base_url());
    let (services, stopper) = (application.services(), application.stopper());
    let server = actix_web::rt::spawn(application.run_until_stopped());
    let email = "bench@example.com".to_owned();
    let user = NewUser {
        email: email.clone(),
        name: "Bench".into(),
        password: Some(PASSWORD.into()),
        tier: None,
        is_admin: false,
    };
    services.create_user(user).await.unwrap();
    let client = reqwest::Client::new();
    let body = json!({"email": email, "password": PASSWORD});
    let answer = client.post(login).json(&body).send().await.unwrap();
    let cookies = answer.headers().get_all("set-cookie").iter();
    let token = cookies
        .filter_map(|cookie| cookie.to_str().ok()?.split(';').next()?.strip_prefix("access_token="))
        .next();
    let token = token.expect("an access token").to_owned();

    let file =
        Bytes::from((0..options.mib << 20).map(|n| (n * 31 + (n >> 8)).to_le_bytes()[0]).collect::<Vec<_>>());
    let sha256: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = if options.work == Work::Drop { "" } else { &sha256 };
    let (mut direct, mut passed) = (Vec::new(), Vec::new());
    // The first round warms up.
    for round in 0..=options.rounds {
        for (url, times) in [(host, &mut direct), (through.as_str(), &mut passed)] {
            let took = upload(&client, url, &token, &file, expected).await;
            if url != host {
                wait_for_hashes(&client, &activity, &token, round + 1, &sha256).await;
            }
            if round > 0 {
                times.push(took);
            }
        }
    }
    let (direct, passed) = (median(direct), median(passed));
    let ratio = passed.as_secs_f64() / direct.as_secs_f64();
    let mib = options.mib;
    println!(
        "{mib} MiB directly {direct:.1?}, through the server {passed:.1?}: {ratio:.2} times (at most {LIMIT})"
    );
    stopper.stop().await;
    server.await.unwrap().unwrap();
    ratio > LIMIT
}

async fn upload(client: &reqwest::Client, url: &str, token: &str, file: &Bytes, expected: &str) -> Duration {
    let mut pieces = vec![Bytes::from_static(OPENING.as_bytes())];
    pieces.extend((0..file.len()).step_by(PIECE).map(|at| file.slice(at..file.len().min(at + PIECE))));
    pieces.push(Bytes::from_static(CLOSING.as_bytes()));
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let body = reqwest::Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)));
    let start = Instant::now();
    let request = client
        .post(url)
        .bearer_auth(token)
        .header("content-type", "multipart/form-data; boundary=b")
        .header("content-length", length)
        .body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), expected, "the file arrives as it was sent");
    start.elapsed()
}

/// Waits until the newest of so many lines of activity has the hash of the file.
async fn wait_for_hashes(client: &reqwest::Client, url: &str, token: &str, lines: usize, sha256: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.get(url).bearer_auth(token).send().await.unwrap();
        let list: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(list["count"], lines, "one line an upload: {list}");
        let hash = &list["results"][0]["metadata"]["sha256_hash"];
        if !hash.is_null() {
            assert_eq!(hash, sha256, "the file's hash");
            return;
        }
        assert!(Instant::now() < deadline, "no hashes after a minute: {list}");
        actix_web::rt::time::sleep(Duration::from_millis(10)).await;
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Takes forms on threads of its own; its answer is the SHA-256 of the file. Gives its URL.
fn start_host(work: Work) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || while serve(&stream, work).is_some() {});
        }
    });
    url
}

fn serve(mut stream: &TcpStream, work: Work) -> Option<()> {
    let mut buffer = Vec::new();
    let head = read_until(stream, &mut buffer, b"\r\n\r\n")?;
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut left = length.parse::<usize>().unwrap() - buffer.len();
    let buffered = buffer.len();
    let part = read_until(stream, &mut buffer, b"\r\n\r\n")?;
    left -= part.len() + buffer.len() - buffered;
    let tail = part.windows(2).position(|two| two == b"\r\n").unwrap() + 6;
    let mut kept = (work == Work::Keep).then(|| tempfile::tempfile().unwrap());
    let mut hash = Sha256::new();
    let mut take = |bytes: &[u8]| {
        if work != Work::Drop {
            hash.update(bytes);
        }
        if let Some(kept) = &mut kept {
            kept.write_all(bytes).unwrap();
        }
    };
    let mut piece = vec![0; PIECE];
    loop {
        let certain = buffer.len().saturating_sub(tail);
        take(&buffer[..certain]);
        buffer.drain(..certain);
        if left == 0 {
            break;
        }
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        left -= count;
        buffer.extend_from_slice(&piece[..count]);
    }
    let body = match work {
        Work::Drop => String::new(),
        _ => hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).ok()
}

/// Takes the bytes up to the end of `mark` from what comes; the rest stays in the buffer.
fn read_until(mut stream: &TcpStream, buffer: &mut Vec<u8>, mark: &[u8]) -> Option<Vec<u8>> {
    let mut piece = vec![0; PIECE];
    loop {
        if let Some(at) = buffer.windows(mark.len()).position(|window| window == mark) {
            return Some(buffer.drain(..at + mark.len()).collect());
        }
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        buffer.extend_from_slice(&piece[..count]);
    }
}
