//! A store that speaks S3, with one bucket in a temporary folder, on a thread of its own: the test's own thread waits
//! for the commands that it runs.

use super::home::Home;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{
    Body, HttpError,
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
};

const BUCKET: &str = "files";
const PREFIX: &str = "cdn/blobs";
const ACCESS_KEY: &str = "AKIATEST";
const SECRET_KEY: &str = "a secret key";

/// How the store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// Answers everything with 503.
    Busy,
    /// Takes requests and says nothing.
    Silent,
    /// Breaks the next so many bodies off in the middle.
    Cuts(usize),
    /// Sends bodies in so many pieces, with a pause before each.
    Drips(usize, Duration),
}

pub struct Bucket {
    port: u16,
    folder: tempfile::TempDir,
    mood: watch::Sender<Mood>,
    /// Method and key of each request, or its path when that is no object's.
    seen: Arc<Mutex<Vec<String>>>,
    /// Ends the thread when it goes.
    _running: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Store {
    service: S3Service,
    mood: watch::Sender<Mood>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Bucket {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cdn-process-s3-").tempdir().expect("a folder");
        fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).expect("a file system"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let (mood, _) = watch::channel(Mood::Good);
        let seen = Arc::default();
        let store = Store { service: builder.build(), mood: mood.clone(), seen: Arc::clone(&seen) };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let (running, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                tokio::select! {
                    () = store.serve(TcpListener::from_std(listener).expect("a socket")) => {}
                    _ = ended => {}
                }
            });
        });
        Self { port, folder, mood, seen, _running: running }
    }

    /// The settings of a server that keeps its files here.
    pub fn keeps(&self, home: Home) -> Home {
        home.with("storage.url", &format!("s3://{BUCKET}/{PREFIX}"))
            .with("storage.s3_endpoint", &format!("http://127.0.0.1:{}", self.port))
            .with("storage.s3_allow_http", "true")
            .with("storage.s3_access_key_id", ACCESS_KEY)
            .with("storage.s3_secret_access_key", SECRET_KEY)
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Requests since the last look, such as `GET 4f/0192…4f`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// How many of the requests since the last look read something.
    pub fn reads(&self) -> usize {
        self.requests().iter().filter(|request| request.starts_with("GET")).count()
    }

    /// The objects under the server's prefix.
    pub fn objects(&self) -> Vec<PathBuf> {
        let mut objects = Vec::new();
        files_under(&self.folder.path().join(BUCKET).join(PREFIX), &mut objects);
        objects
    }

    /// Parts of uploads that are not complete.
    pub fn unfinished(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        files_under(self.folder.path(), &mut files);
        let is_part = |file: &PathBuf| {
            file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".upload_id-"))
        };
        files.into_iter().filter(is_part).collect()
    }
}

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    // Folders go while this looks.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_under(&entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

impl Store {
    async fn serve(self, listener: TcpListener) {
        let connections = tokio::task::LocalSet::new();
        let accept = async {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(self.clone().converse(stream));
            }
        };
        connections.run_until(accept).await;
    }

    async fn converse(self, stream: TcpStream) {
        let answer = service_fn(move |request| self.clone().answer(request));
        // Clients go when they like.
        let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let path = request.uri().path();
        let key = path.strip_prefix(&format!("/{BUCKET}/{PREFIX}/"));
        let is_content = request.method() == Method::GET && key.is_some();
        self.seen.lock().unwrap().push(format!("{} {}", request.method(), key.unwrap_or(path)));
        let mut mood = self.mood.subscribe();
        let now = *mood.borrow_and_update();
        match now {
            Mood::Busy => {
                let mut response =
                    Response::new(Body::from("<Error><Code>SlowDown</Code></Error>".to_owned()));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return Ok(response);
            }
            Mood::Silent => {
                let _test_ended = mood.wait_for(|mood| *mood != Mood::Silent).await;
            }
            Mood::Good | Mood::Cuts(_) | Mood::Drips(..) => {}
        }
        let response = self.service.call(request.map(Body::from)).await?;
        match now {
            Mood::Cuts(left) if left > 0 && is_content => {
                self.mood.send_replace(Mood::Cuts(left - 1));
                Ok(in_pieces(response, 2, Duration::ZERO, true).await)
            }
            Mood::Drips(pieces, pause) if is_content => Ok(in_pieces(response, pieces, pause, false).await),
            _ => Ok(response),
        }
    }
}

/// The answer in so many pieces; one that is cut lacks the last.
async fn in_pieces(response: Response<Body>, pieces: usize, pause: Duration, is_cut: bool) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let body = body.collect().await.expect("the store reads its own file").to_bytes();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let length = body.len().div_ceil(pieces).max(1);
    let mut chunks: Vec<io::Result<Bytes>> =
        (0..body.len()).step_by(length).map(|at| Ok(body.slice(at..body.len().min(at + length)))).collect();
    if is_cut && let Some(last) = chunks.last_mut() {
        *last = Err(io::ErrorKind::ConnectionReset.into());
    }
    let paced = stream::unfold(chunks.into_iter(), move |mut chunks| async move {
        let chunk = chunks.next()?;
        tokio::time::sleep(pause).await;
        Some((chunk.map(Frame::data), chunks))
    });
    Response::from_parts(head, Body::http_body_unsync(StreamBody::new(paced)))
}
