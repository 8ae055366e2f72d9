//! The connection to the host: plain or TLS, and listening while it sends.
//!
//! A host may answer before it has read everything, "413" above all, and then close. Whoever only writes would
//! lose that answer to the reset that follows (RFC 9112, section 9.6). So before each write the line looks
//! whether the host has spoken: if so, the rest of the request is thrown away and the answer is read.

use super::pace::{ATTEMPT, Attempt};
use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use bytes::{Buf, BytesMut};
use futures_util::future::LocalBoxFuture;
use std::{
    fmt,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// The step of connecting that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("the name can't be resolved: {0}")]
    Name(io::Error),
    #[error("the name has no address")]
    NoAddress,
    #[error("can't connect: {0}")]
    Connect(io::Error),
    #[error("can't connect within {0:?}")]
    ConnectTimeout(Duration),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("TLS: no handshake within {0:?}")]
    TlsTimeout(Duration),
}

impl From<LineError> for ConnectError {
    fn from(error: LineError) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// Opens lines.
#[derive(Clone)]
pub(super) struct Dialler {
    tls: Option<TlsConnector>,
    limit: Duration,
}

impl Dialler {
    /// `limit` is for connecting, the name's resolution included.
    pub fn plain(limit: Duration) -> Self {
        Self { tls: None, limit }
    }

    /// The same limit again is for the handshake. `ca_file`: who must have signed the host's certificate, when
    /// that isn't one of the public authorities.
    ///
    /// # Errors
    /// A file without certificates, in words for the operator.
    pub fn tls(limit: Duration, ca_file: Option<&Path>) -> Result<Self, String> {
        let roots = match ca_file {
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            Some(path) => own_roots(path).map_err(|error| format!("{}: {error}", path.display()))?,
        };
        // Named here, for there may be no default in the process yet.
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))), limit })
    }

    async fn open(&self, name: &str, port: u16) -> Result<Line, LineError> {
        let limit = self.limit;
        // URLs have IPv6 addresses in brackets, sockets and certificates without.
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let connected = timeout(limit, connect(name, port)).await;
        let stream = connected.map_err(|_| LineError::ConnectTimeout(limit))??;
        stream.set_nodelay(true).map_err(LineError::Connect)?;
        let Some(tls) = &self.tls else { return Ok(Line::new(Transport::Plain(stream))) };
        let server =
            ServerName::try_from(name.to_owned()).map_err(|error| LineError::Tls(io::Error::other(error)))?;
        let shaken = timeout(limit, tls.connect(server, stream)).await;
        let stream = shaken.map_err(|_| LineError::TlsTimeout(limit))?.map_err(LineError::Tls)?;
        Ok(Line::new(Transport::Tls(Box::new(stream))))
    }
}

fn own_roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("no certificates in it".to_owned()) } else { Ok(roots) }
}

async fn connect(name: &str, port: u16) -> Result<TcpStream, LineError> {
    let addresses = tokio::net::lookup_host((name, port)).await.map_err(LineError::Name)?;
    let mut outcome = Err(LineError::NoAddress);
    for address in addresses {
        outcome = TcpStream::connect(address).await.map_err(LineError::Connect);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

impl Service<ConnectInfo<Uri>> for Dialler {
    type Response = Connection<Uri, Line>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, to: ConnectInfo<Uri>) -> Self::Future {
        let dialler = self.clone();
        Box::pin(async move {
            let line = dialler.open(to.hostname(), to.port()).await?;
            Ok(Connection::new(to.request().clone(), line))
        })
    }
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Bytes read at once.
const PIECE: usize = 8 * 1024;
/// Longest head that is waited for; awc refuses longer ones.
const MAX_HEAD: usize = 64 * 1024;

/// A connection. It outlives the attempts that use it, one after the other.
pub(super) struct Line {
    transport: Transport,
    /// The attempt that the request under way is of.
    user: Weak<Attempt>,
    /// What the host has sent and awc has not taken yet.
    received: BytesMut,
    /// What is received is of the final answer, whose head has been seen (RFC 9110, section 15.2).
    is_final: bool,
    /// The host answered before the request was whole: nothing more is sent on this line.
    is_spent: bool,
    is_over: bool,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("is_spent", &self.is_spent).finish_non_exhaustive()
    }
}

impl Line {
    fn new(transport: Transport) -> Self {
        Self {
            transport,
            user: Weak::new(),
            received: BytesMut::new(),
            is_final: false,
            is_spent: false,
            is_over: false,
        }
    }

    /// The attempt of the running task, and whether it is another than that of the last request.
    fn current(&self) -> (Option<Rc<Attempt>>, bool) {
        let current = ATTEMPT.try_with(Rc::clone).ok();
        let is_new = match (&current, self.user.upgrade()) {
            (Some(current), Some(user)) => !Rc::ptr_eq(current, &user),
            (Some(_), None) => true,
            (None, _) => false,
        };
        (current, is_new)
    }

    /// Reads until something of a final answer is there, or the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, attempt: Option<&Attempt>) -> Poll<io::Result<()>> {
        loop {
            self.take_head();
            if self.is_over || self.is_final && !self.received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let mut piece = [0; PIECE];
            let mut buf = ReadBuf::new(&mut piece);
            let outcome = ready!(self.transport.poll_read(cx, &mut buf));
            if let Err(error) = outcome {
                if let Some(attempt) = attempt {
                    attempt.note_hang_up();
                }
                return Poll::Ready(Err(error));
            }
            if buf.filled().is_empty() {
                self.is_over = true;
                if let Some(attempt) = attempt {
                    attempt.note_hang_up();
                }
            } else {
                self.received.extend_from_slice(buf.filled());
                if let Some(attempt) = attempt {
                    attempt.note_movement();
                }
            }
        }
    }

    /// Looks whether the host answers before it has everything; then the line is spent.
    fn poll_hear(&mut self, cx: &mut Context<'_>, attempt: Option<&Attempt>) -> Poll<io::Result<()>> {
        ready!(self.poll_receive(cx, attempt))?;
        if self.received.is_empty() {
            // Closed without a word.
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.is_spent = true;
        if let Some(attempt) = attempt {
            attempt.note_early_answer();
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the whole head of the final answer: "100 Continue" and its like are left out, and an answer
    /// that ends with the connection is marked as one of HTTP/1.0, the only ones that awc reads to that end.
    fn take_head(&mut self) {
        while !self.is_final {
            let is_http = self.received.iter().zip(b"HTTP/1.").all(|(found, expected)| found == expected);
            let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") else {
                // What isn't HTTP, or never ends, awc shall refuse.
                self.is_final = !is_http || self.received.len() > MAX_HEAD;
                return;
            };
            let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
            let status = head.split(' ').nth(1).unwrap_or_default();
            if is_http && status.starts_with('1') {
                self.received.advance(end + 4);
                continue;
            }
            let has_end = head.contains("\r\ncontent-length:")
                || head.contains("\r\ntransfer-encoding:")
                || matches!(status, "204" | "304");
            if head.starts_with("http/1.1 ") && !has_end {
                self.received[7] = b'0';
            }
            self.is_final = true;
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let line = &mut *self;
        let (current, is_new) = line.current();
        if is_new {
            if line.is_spent || line.is_over || !line.received.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            line.user = current.as_ref().map(Rc::downgrade).unwrap_or_default();
            line.is_final = false;
        }
        let attempt = current.as_deref();
        if !line.is_spent
            && let Poll::Ready(heard) = line.poll_hear(cx, attempt)
        {
            heard?;
        }
        if !line.is_spent {
            match line.transport.poll_write(cx, buf) {
                Poll::Ready(Ok(written)) => {
                    if let Some(attempt) = attempt {
                        attempt.note_movement();
                    }
                    return Poll::Ready(Ok(written));
                }
                // The host is gone. It may have said why, and that may not have been noticed yet.
                Poll::Ready(Err(error)) => ready!(line.poll_hear(cx, attempt)).map_err(|_| error)?,
                Poll::Pending => return Poll::Pending,
            }
        }
        if let Some(attempt) = attempt {
            attempt.note_cut();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_spent { Poll::Ready(Ok(())) } else { self.transport.poll_flush(cx) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_shutdown(cx)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = &mut *self;
        let (current, is_new) = line.current();
        if is_new {
            // The pool looks whether this line can be used again.
            if line.is_spent || line.is_over || !line.received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            return line.transport.poll_read(cx, buf);
        }
        ready!(line.poll_receive(cx, current.as_deref()))?;
        let len = line.received.len().min(buf.remaining());
        buf.put_slice(&line.received[..len]);
        line.received.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl ActixStream for Line {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let ready = std::pin::pin!(self.transport.socket().ready(tokio::io::Interest::READABLE));
        ready.poll(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let ready = std::pin::pin!(self.transport.socket().ready(tokio::io::Interest::WRITABLE));
        ready.poll(cx)
    }
}
