//! A host for uploads that does what a test tells it, down to the byte and the reset.

use std::{
    cell::RefCell,
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hackclub_cdn::config::{Config, Endpoint, Span};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::wait::eventually;

/// What the host does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Reads all of the request, then sends this. The connection stays open.
    Answer(Vec<u8>),
    /// The same, and closes after it.
    AnswerAndClose(Vec<u8>),
    /// Sends this as soon as the head is there, and closes with the rest unread: the client meets a reset.
    Early(Vec<u8>),
    /// Sends this as soon as the head is there, and then neither reads nor closes.
    EarlyAndDeaf(Vec<u8>),
    /// Sends this when connected, reads nothing, closes.
    Greet(Vec<u8>),
    /// Closes at once.
    HangUp,
    /// Resets the connection after so many bytes of the body.
    ResetAfter(usize),
    /// Reads the head and nothing more.
    Deaf,
    /// Reads everything and says nothing.
    Mute,
    /// Reads everything, then sends this over and over, one byte at a time.
    Drip(Vec<u8>),
}

/// A request as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
    pub is_whole: bool,
    /// Which connection it came by, from 0.
    pub connection: usize,
    /// The other side is gone.
    pub is_closed: bool,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The parts of the form: the head of each, and its content.
    pub fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let content_type = self.header("content-type").expect("a content type");
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("a form");
        let delimiter = format!("\r\n--{boundary}");
        let body = [b"\r\n", self.body.as_slice()].concat();
        let mut pieces = split(&body, delimiter.as_bytes());
        assert_eq!(pieces.pop().expect("an end"), b"--\r\n", "the form ends with its delimiter");
        assert_eq!(pieces.remove(0), b"", "nothing comes before the first part");
        let part = |piece: &[u8]| {
            let end = piece.windows(4).position(|four| four == b"\r\n\r\n").expect("a part has a head");
            (String::from_utf8(piece[2..end].to_vec()).expect("text"), piece[end + 4..].to_vec())
        };
        pieces.into_iter().map(part).collect()
    }

    /// The file of the form.
    pub fn file(&self) -> Vec<u8> {
        let parts = self.parts();
        let file = parts.into_iter().find(|(head, _)| head.contains("name=\"file\"")).expect("a file");
        file.1
    }

    /// The value of a field of the form.
    pub fn field(&self, name: &str) -> Option<String> {
        let parts = self.parts();
        let part = parts.into_iter().find(|(head, _)| head.contains(&format!("name=\"{name}\"")))?;
        Some(String::from_utf8(part.1).expect("text"))
    }
}

fn split<'a>(mut bytes: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = bytes.windows(delimiter.len()).position(|window| window == delimiter) {
        pieces.push(&bytes[..at]);
        bytes = &bytes[at + delimiter.len()..];
    }
    pieces.push(bytes);
    pieces
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Act>>,
    requests: Mutex<Vec<Received>>,
    connections: Mutex<Vec<AbortHandle>>,
}

pub struct UploadHost {
    state: Arc<State>,
    listener: JoinHandle<()>,
    front: Option<JoinHandle<()>>,
}

/// Signs the certificate of a host behind TLS.
pub const CA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/harness/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/host.pem");
const KEY: &[u8] = include_bytes!("tls/host.key.pem");

thread_local! {
    /// Bound before the server starts, whose configuration names its port; not yet listening.
    static RESERVED: RefCell<Option<TcpSocket>> = const { RefCell::new(None) };
    /// The same for the port that speaks TLS, where there is one.
    static RESERVED_TLS: RefCell<Option<TcpSocket>> = const { RefCell::new(None) };
}

/// A 200 with a URL, as the host says it when all is well.
pub fn url_answer() -> Vec<u8> {
    answer(200, "Content-Type: text/plain\r\n", "https://host.example/abc.txt\n")
}

/// An answer with a length.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

impl UploadHost {
    /// For a test's configuration: uploads go to a port of this machine that refuses connections until
    /// [`UploadHost::start`]. Times are short.
    pub fn reserve(config: &mut Config) {
        let (socket, port) = bind();
        RESERVED.set(Some(socket));
        config.upload_0x0.endpoint = endpoint(&format!("http://127.0.0.1:{port}/"));
        config.upload_0x0.backoff = Span::from_millis(1);
        config.auth.access_ttl = Span::from_days(20);
    }

    /// The same for a host that is reached over TLS only.
    pub fn reserve_behind_tls(config: &mut Config) {
        Self::reserve(config);
        let (socket, port) = bind();
        RESERVED_TLS.set(Some(socket));
        config.upload_0x0.endpoint = endpoint(&format!("https://127.0.0.1:{port}/"));
        config.upload_0x0.ca_file = CA_FILE.into();
    }

    /// Starts to listen. What is not in the script is answered with [`url_answer`].
    pub fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let socket = RESERVED.take().expect("the test's configuration has reserved a port");
        let port = socket.local_addr().expect("it is bound").port();
        let listener = socket.listen(64).expect("a listener");
        let front = RESERVED_TLS.take().map(|socket| tokio::spawn(speak_tls(socket, port)));
        let state = Arc::new(State { script: Mutex::new(script.into_iter().collect()), ..State::default() });
        let shared = Arc::clone(&state);
        let listener = tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let task = tokio::spawn(serve(stream, number, Arc::clone(&shared)));
                shared.connections.lock().expect("no panic").push(task.abort_handle());
                number += 1;
            }
        });
        Self { state, listener, front }
    }

    /// The requests so far, as far as they were read.
    pub fn requests(&self) -> Vec<Received> {
        self.state.requests.lock().expect("no panic").clone()
    }

    /// The one request that there was.
    pub fn only_request(&self) -> Received {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{:?}", requests.iter().map(|r| &r.head).collect::<Vec<_>>());
        requests.remove(0)
    }

    pub fn connections(&self) -> usize {
        self.state.connections.lock().expect("no panic").len()
    }

    /// Waits until the request is as the test wants it.
    pub async fn expect_request(&self, number: usize, what: &str, is_so: impl Fn(&Received) -> bool) {
        eventually(what, || async { self.requests().get(number).is_some_and(&is_so) }).await;
    }
}

impl Drop for UploadHost {
    fn drop(&mut self) {
        self.listener.abort();
        if let Some(front) = &self.front {
            front.abort();
        }
        for connection in self.state.connections.lock().expect("no panic").drain(..) {
            connection.abort();
        }
    }
}

fn bind() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let port = socket.local_addr().expect("it is bound").port();
    (socket, port)
}

/// Takes TLS off and passes on what was in it.
async fn speak_tls(socket: TcpSocket, target: u16) {
    let certificates = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates.expect("a certificate"), key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = socket.listen(64).expect("a listener");
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            let inside = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await;
            let _ended = copy_bidirectional(&mut outside, &mut inside.expect("the host listens")).await;
        });
    }
}

/// Another endpoint of the configuration.
pub fn endpoint(url: &str) -> Endpoint {
    Endpoint::Host(url.parse().expect("a URL"))
}

struct Connection {
    stream: TcpStream,
    state: Arc<State>,
    number: usize,
    request: usize,
    buffer: Vec<u8>,
}

async fn serve(stream: TcpStream, number: usize, state: Arc<State>) {
    let mut connection = Connection { stream, state, number, request: 0, buffer: Vec::new() };
    while connection.serve_one().await {}
    let request = connection.request;
    if let Some(received) = connection.state.requests.lock().expect("no panic").get_mut(request) {
        received.is_closed = true;
    }
}

impl Connection {
    fn note(&self, change: impl FnOnce(&mut Received)) {
        let mut requests = self.state.requests.lock().expect("no panic");
        if let Some(received) = requests.get_mut(self.request) {
            change(received);
        }
    }

    /// Whether the connection goes on after this request.
    async fn serve_one(&mut self) -> bool {
        let greets = |act: &Act| matches!(act, Act::Greet(_) | Act::HangUp);
        let first = {
            let mut script = self.state.script.lock().expect("no panic");
            if script.front().is_some_and(greets) { script.pop_front() } else { None }
        };
        match first {
            Some(Act::Greet(bytes)) => {
                let _gone = self.stream.write_all(&bytes).await;
                // Reads what comes, so that the greeting isn't lost to a reset.
                let mut piece = [0; 1024];
                let _bytes = tokio::time::timeout(Duration::from_secs(1), self.stream.read(&mut piece)).await;
                return false;
            }
            Some(_) => return false,
            None => {}
        }
        let Some(length) = self.read_head().await else { return false };
        let act = self.state.script.lock().expect("no panic").pop_front();
        match act.unwrap_or_else(|| Act::Answer(url_answer())) {
            Act::Answer(bytes) => self.read_body(length).await && self.stream.write_all(&bytes).await.is_ok(),
            Act::AnswerAndClose(bytes) => {
                let _done = self.read_body(length).await && self.stream.write_all(&bytes).await.is_ok();
                false
            }
            Act::Early(bytes) => {
                let _gone = self.stream.write_all(&bytes).await;
                false
            }
            Act::EarlyAndDeaf(bytes) => {
                let _gone = self.stream.write_all(&bytes).await;
                std::future::pending().await
            }
            Act::ResetAfter(bytes) => {
                self.read_body(bytes.min(length)).await;
                self.stream.set_zero_linger().expect("an option of every TCP connection");
                false
            }
            Act::Deaf => std::future::pending().await,
            Act::Mute => {
                self.read_body(length).await;
                let mut piece = [0; 1024];
                // Until the other side has enough.
                while self.stream.read(&mut piece).await.is_ok_and(|count| count > 0) {}
                false
            }
            Act::Drip(bytes) => {
                self.read_body(length).await;
                for byte in bytes.iter().cycle() {
                    if self.stream.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                false
            }
            Act::Greet(_) | Act::HangUp => false,
        }
    }

    async fn read_some(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece).await {
            Ok(count) if count > 0 => {
                self.buffer.extend_from_slice(&piece[..count]);
                true
            }
            _ => false,
        }
    }

    /// The length of the body that follows.
    async fn read_head(&mut self) -> Option<usize> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                let received = Received { head, connection: self.number, ..Received::default() };
                let length = received.header("content-length").expect("a length").parse().expect("a number");
                let mut requests = self.state.requests.lock().expect("no panic");
                self.request = requests.len();
                requests.push(received);
                return Some(length);
            }
            if !self.read_some().await {
                return None;
            }
        }
    }

    /// Whether all of the body came.
    async fn read_body(&mut self, length: usize) -> bool {
        let mut got = 0;
        loop {
            let taken = self.buffer.len().min(length - got);
            got += taken;
            let bytes: Vec<u8> = self.buffer.drain(..taken).collect();
            self.note(|received| {
                received.body.extend_from_slice(&bytes);
                received.is_whole = got == length;
            });
            if got == length {
                return true;
            }
            if !self.read_some().await {
                return false;
            }
        }
    }
}
