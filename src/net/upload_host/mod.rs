//! One attempt to upload to a host elsewhere, over awc: what it answered, or why it did not.
//!
//! awc writes the whole body before it reads, so the connection ([`line::Line`]) watches for an answer while it
//! writes. Its clients are not `Send`: each arbiter has one of its own, with a pool of kept connections.

mod line;
mod pace;

use crate::config::{Endpoint, Upload0x0Config};
use actix_http::{body::SizedStream, error::ParseError};
use awc::{
    Client, ClientResponse, Connector,
    error::{ConnectError, PayloadError, SendRequestError},
    http::header::{self, HeaderMap, HeaderName},
};
use bytes::Bytes;
use cdn_actors::ports::{AttemptError, HostAnswer};
use futures_util::{Stream, StreamExt};
use line::{Dialler, LineError};
use pace::{ATTEMPT, Attempt, Paced};
use std::{cell::RefCell, error::Error, io, rc::Rc, sync::Arc, time::Duration};

/// Longest answer that is passed on, in bytes. It is a URL, or a sentence about what is wrong.
const MAX_ANSWER: usize = 1 << 20;
/// How long an unused connection is kept: less than servers do, or uploads meet ones that were just closed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where uploads go, and how. Cheap to clone.
#[derive(Clone)]
pub struct UploadHost(Arc<Settings>);

struct Settings {
    dialler: Dialler,
    /// For awc, which leaves TLS to the dialler: always `http`, and always with its port.
    url: String,
    /// The `Host` header.
    host: String,
    user_agent: String,
    stall: Duration,
}

/// What is sent in one attempt: the whole body of a request, whose length is known before.
pub struct Delivery<S> {
    pub content_type: String,
    pub length: u64,
    pub body: S,
}

/// Why the body of a delivery broke off.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

thread_local! {
    static CLIENT: RefCell<Option<(Arc<Settings>, Client)>> = const { RefCell::new(None) };
}

impl UploadHost {
    /// `None` when no host elsewhere is configured.
    ///
    /// # Errors
    /// Certificates that can't be read, in words for the operator.
    pub fn new(config: &Upload0x0Config) -> Result<Option<Self>, String> {
        let Endpoint::Host(url) = &config.endpoint else { return Ok(None) };
        let limit = config.connect_timeout.duration();
        let dialler = match url.scheme() {
            "https" => Dialler::tls(limit, config.ca_path())?,
            _ => Dialler::plain(limit),
        };
        let name = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let path = url.path();
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Ok(Some(Self(Arc::new(Settings {
            dialler,
            url: format!("http://{name}:{port}{path}"),
            host,
            user_agent: config.user_agent.clone(),
            stall: config.stall_timeout.duration(),
        }))))
    }

    /// The host's name, with its port when that isn't the usual one.
    pub fn name(&self) -> &str {
        &self.0.host
    }

    /// Sends once, and reads the answer. Time that the body keeps it waiting doesn't count.
    ///
    /// # Errors
    /// Whatever stands in the way of an answer. A success that comes before the host can have the whole body
    /// is none.
    pub async fn send<S>(&self, delivery: Delivery<S>, limit: Duration) -> Result<HostAnswer, AttemptError>
    where
        S: Stream<Item = Result<Bytes, SourceError>> + 'static,
    {
        let attempt = Rc::new(Attempt::new());
        let exchange = ATTEMPT.scope(Rc::clone(&attempt), self.exchange(delivery, Rc::clone(&attempt)));
        tokio::select! {
            answer = exchange => answer,
            late = attempt.overrun(limit, self.0.stall) => Err(late),
        }
    }

    async fn exchange<S>(
        &self,
        delivery: Delivery<S>,
        attempt: Rc<Attempt>,
    ) -> Result<HostAnswer, AttemptError>
    where
        S: Stream<Item = Result<Bytes, SourceError>> + 'static,
    {
        let request = self
            .client()
            .post(&self.0.url)
            .insert_header((header::HOST, self.0.host.as_str()))
            .insert_header((header::USER_AGENT, self.0.user_agent.as_str()))
            .insert_header((header::CONTENT_TYPE, delivery.content_type));
        let body = Paced::new(Box::pin(delivery.body), delivery.length, Rc::clone(&attempt));
        let mut response =
            request.send_body(SizedStream::new(delivery.length, body)).await.map_err(attempt_error)?;
        let status = response.status();
        if attempt.was_cut_short() && !(status.is_client_error() || status.is_server_error()) {
            return Err(AttemptError::Answer(format!("{status} before the file was there")));
        }
        attempt.begin_answer();
        let body = read_body(&mut response, &attempt).await?;
        let headers = response.headers();
        Ok(HostAnswer {
            status: status.as_u16(),
            content_type: text(headers, header::CONTENT_TYPE),
            expires: text(headers, HeaderName::from_static("x-expires")),
            token: text(headers, HeaderName::from_static("x-token")),
            body,
        })
    }

    /// This arbiter's client.
    fn client(&self) -> Client {
        CLIENT.with_borrow_mut(|kept| match kept {
            Some((settings, client)) if Arc::ptr_eq(settings, &self.0) => client.clone(),
            _ => {
                let client = self.new_client();
                *kept = Some((Arc::clone(&self.0), client.clone()));
                client
            }
        })
    }

    fn new_client(&self) -> Client {
        let connector = Connector::new()
            .connector(self.0.dialler.clone())
            // The dialler has its own limits, and says which step they were for.
            .timeout(Duration::from_secs(86_400))
            .conn_keep_alive(KEEP_ALIVE)
            .limit(0);
        Client::builder().connector(connector).disable_redirects().disable_timeout().finish()
    }
}

/// Reads the answer to its end, and makes sure that it is the end.
async fn read_body(response: &mut ClientResponse, attempt: &Attempt) -> Result<Vec<u8>, AttemptError> {
    let length = text(response.headers(), header::CONTENT_LENGTH);
    let is_chunked = response.headers().contains_key(header::TRANSFER_ENCODING);
    let mut body = Vec::new();
    while let Some(chunk) = response.next().await {
        let chunk = chunk.map_err(|error: PayloadError| AttemptError::Answer(error.to_string()))?;
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(AttemptError::Answer(format!("more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    // awc takes the end of the connection for the end of any body.
    let is_whole = match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if !is_chunked => body.len() == length || !has_body(response),
        _ if is_chunked => !attempt.has_hung_up(),
        _ => true,
    };
    if is_whole { Ok(body) } else { Err(AttemptError::Answer("cut off".to_owned())) }
}

/// Answers of these kinds have none, whatever they say (RFC 9112, section 6.3).
fn has_body(response: &ClientResponse) -> bool {
    !matches!(response.status().as_u16(), 204 | 304)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn attempt_error(error: SendRequestError) -> AttemptError {
    let lost = |error: &dyn Error| AttemptError::Connection(error.to_string());
    match error {
        SendRequestError::Connect(ConnectError::Io(error)) => line_error(&error),
        SendRequestError::Connect(ConnectError::Disconnected) => {
            AttemptError::Connection("closed before an answer".to_owned())
        }
        SendRequestError::Connect(error) => lost(&error),
        SendRequestError::Send(error) => lost(&error),
        // An end in the middle of the head is one of these, too: the host has not said anything yet.
        SendRequestError::Response(ParseError::Io(error)) => lost(&error),
        SendRequestError::Response(error) => AttemptError::Answer(error.to_string()),
        SendRequestError::Body(error) => AttemptError::Source(error.to_string()),
        SendRequestError::Timeout => AttemptError::Timeout("no answer".to_owned()),
        error => AttemptError::Failed(error.to_string()),
    }
}

/// What went wrong before there was a connection, with the step that it went wrong in.
fn line_error(error: &io::Error) -> AttemptError {
    let step = error.get_ref().and_then(|inner| inner.downcast_ref::<LineError>());
    AttemptError::Connection(step.map_or_else(|| error.to_string(), ToString::to_string))
}
