//! Uploads that are passed on, seen from outside: memory stays flat, and a stop waits for those in flight.

use crate::support::{
    SOON,
    client::Client,
    database::Database,
    eventually,
    home::Home,
    random::{content, hex, sha256},
    server::{Server, peak, reset_peak},
};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

const MIB: usize = 1024 * 1024;
/// Uploads at the same time, and the size of each in MiB. `CDN_TEST_PROXY_MIB` makes them larger.
const PARALLEL: usize = 32;
const SIZE_MIB: usize = 32;
const ALLOWED_KIB: u64 = 64 * 1024;

/// A host that keeps the SHA-256 of each file, and answers once it may.
struct Host {
    port: u16,
    hashes: Arc<Mutex<Vec<String>>>,
    may_answer: watch::Sender<bool>,
}

impl Host {
    async fn start(may_answer: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let hashes = Arc::new(Mutex::new(Vec::new()));
        let (may_answer, is_open) = watch::channel(may_answer);
        let kept = Arc::clone(&hashes);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), is_open.clone()));
            }
        });
        Self { port, hashes, may_answer }
    }

    fn hashes(&self) -> Vec<String> {
        self.hashes.lock().unwrap().clone()
    }

    fn home(&self) -> Home {
        Home::new().with("upload_0x0.endpoint", &format!("http://127.0.0.1:{}", self.port))
    }
}

/// Takes requests, one after the other, without keeping any.
async fn serve(mut stream: TcpStream, hashes: Arc<Mutex<Vec<String>>>, mut is_open: watch::Receiver<bool>) {
    let mut buffer = Vec::new();
    loop {
        let Some(length) = read_head(&mut stream, &mut buffer).await else { return };
        let mut left = length - buffer.len();
        // The file's part begins behind the head of the part, and ends before the last delimiter.
        while !buffer.windows(4).any(|four| four == b"\r\n\r\n") {
            left -= stream.read_buf(&mut buffer).await.expect("the rest of the part's head");
        }
        let start = buffer.windows(4).position(|four| four == b"\r\n\r\n").expect("seen") + 4;
        let boundary = buffer.windows(2).position(|two| two == b"\r\n").expect("a first line");
        let tail = boundary + 6;
        buffer.drain(..start);
        let mut hash = Sha256::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            // So much may still be the end of the form.
            let certain = buffer.len().saturating_sub(tail);
            hash.update(&buffer[..certain]);
            buffer.drain(..certain);
            if left == 0 {
                break;
            }
            let count = stream.read(&mut piece).await.unwrap_or(0);
            if count == 0 {
                return;
            }
            left -= count;
            buffer.extend_from_slice(&piece[..count]);
        }
        assert!(buffer.starts_with(b"\r\n--") && buffer.ends_with(b"--\r\n"), "{buffer:?}");
        buffer.clear();
        hashes.lock().unwrap().push(hex(&hash.finalize()));
        is_open.wait_for(|open| *open).await.expect("the test still runs");
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nyes";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer.drain(..end + 4).collect()).expect("text");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            return Some(length.expect("a length").trim().parse().expect("a number"));
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

const OPENING: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large.bin\"\r\n\r\n";
const CLOSING: &str = "\r\n--b--\r\n";

/// Sends the head of an upload and the form up to the file.
async fn begin(port: u16, client: &Client, file: usize) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    let length = OPENING.len() + file + CLOSING.len();
    let head = format!(
        "POST /api/cdn/upload-0x0/ HTTP/1.1\r\nHost: cdn.example\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{OPENING}",
        client.token
    );
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    stream
}

async fn finish(mut stream: TcpStream) -> String {
    stream.write_all(CLOSING.as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// Uploads so many MiB; gives their SHA-256.
async fn upload(port: u16, client: &Client, seed: u64, mib: usize) -> String {
    let piece = content(seed, MIB);
    let mut stream = begin(port, client, mib * MIB).await;
    let mut hash = Sha256::new();
    for _ in 0..mib {
        hash.update(&piece);
        stream.write_all(&piece).await.expect("the server reads");
    }
    let answer = finish(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nyes"), "{answer}");
    hex(&hash.finalize())
}

#[tokio::test]
async fn many_large_uploads_at_once_take_little_memory_and_arrive_whole() {
    let size_mib = std::env::var("CDN_TEST_PROXY_MIB").ok().and_then(|text| text.parse().ok());
    let size_mib: usize = size_mib.unwrap_or(SIZE_MIB);
    let host = Host::start(true).await;
    let server = Server::start(&host.home());
    let client = server.sign_in().await;
    let upload = async |seed: u64, mib: usize| upload(server.port, &client, seed, mib).await;
    let warm_up = upload(1, 2).await;
    assert_eq!(host.hashes(), [warm_up]);

    let before = reset_peak(&server);
    let uploads = (0..PARALLEL as u64).map(|seed| upload(seed + 2, size_mib));
    let mut expected = futures_util::future::join_all(uploads).await;
    let grown = peak(&server).saturating_sub(before);
    println!("{PARALLEL} uploads of {size_mib} MiB: {grown} KiB over {before} KiB");
    assert!(grown < ALLOWED_KIB, "the uploads took {grown} KiB");
    let mut arrived = host.hashes().split_off(1);
    expected.sort();
    arrived.sort();
    assert!(arrived == expected, "all files arrive, each as it was sent");
    server.stop().await;
}

#[tokio::test]
async fn an_upload_in_flight_is_answered_before_the_process_ends() {
    let host = Host::start(false).await;
    let home = host.home();
    let mut server = Server::start(&home);
    let client = server.sign_in().await;
    let file = content(3, 100_000);
    let mut stream = begin(server.port, &client, file.len()).await;
    stream.write_all(&file).await.expect("the server reads");
    let answer = tokio::spawn(finish(stream));
    eventually("the host has the file", SOON, async || host.hashes() == [sha256(&file)]).await;
    server.terminate();
    let port = server.port;
    eventually("new connections are refused", SOON, async || {
        TcpStream::connect(("127.0.0.1", port)).await.is_err()
    })
    .await;
    assert!(!answer.is_finished());
    host.may_answer.send_replace(true);
    let answer = answer.await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nyes"), "{answer}");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
    home.assert_check_is_clean();
}

#[tokio::test]
async fn an_upload_that_the_host_never_answers_does_not_hold_up_the_end_for_longer_than_configured() {
    let host = Host::start(false).await;
    let home = host.home().with("server.shutdown_timeout", "2s");
    let mut server = Server::start(&home);
    let client = server.sign_in().await;
    let mut stream = begin(server.port, &client, 5).await;
    stream.write_all(b"hello").await.expect("the server reads");
    let answer = tokio::spawn(finish(stream));
    eventually("the host has the file", SOON, async || host.hashes().len() == 1).await;
    let start = std::time::Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
    assert!(start.elapsed() < std::time::Duration::from_secs(15), "{:?}", start.elapsed());
    answer.abort();
    home.assert_check_is_clean();
}

#[tokio::test]
async fn hashes_that_come_after_the_answer_are_not_lost_to_a_stop() {
    let host = Host::start(true).await;
    let home = host.home();
    let mut server = Server::start(&home);
    let client = server.sign_in().await;
    // Large enough that nobody has hashed it when the answer comes.
    let sha256 = upload(server.port, &client, 5, 64).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());

    let again = Server::start(&home);
    let (status, activity) = client.at(&again).get_json("/api/cdn/activity/").await;
    assert_eq!((status.as_u16(), &activity["count"]), (200, &1.into()), "{activity}");
    let metadata = &activity["results"][0]["metadata"];
    assert_eq!(metadata["sha256_hash"], sha256, "{activity}");
    again.stop().await;
}

#[tokio::test]
async fn hashes_that_do_not_come_do_not_hold_up_the_end() {
    let host = Host::start(true).await;
    let home = host.home();
    let mut server = Server::start_with(&home, &[("FAILPOINTS", "upload_0x0::hashing=pause")]);
    let client = server.sign_in().await;
    upload(server.port, &client, 6, 1).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.stderr());
    let mut database = Database::sqlite(&home).await;
    assert_eq!(database.number("SELECT COUNT(*) FROM activity").await, 1);
    database.close().await;
    home.assert_check_is_clean();
}
