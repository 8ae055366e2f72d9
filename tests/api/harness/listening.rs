//! A listener to the stream of events, which reads it as the standard says (HTML standard, section 9.2).

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use super::client::Client;

/// Longer than anything takes that comes at all.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// One message. A heartbeat is one without an event.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub id: i64,
    pub event: String,
    pub data: Value,
}

pub struct Listener {
    answer: Response,
    received: Vec<u8>,
}

impl Client {
    /// Opens the stream, which must begin with `ready`.
    pub async fn listen(&self) -> Listener {
        let (listener, first) = self.listen_after(None).await;
        assert_eq!(first.event, "ready", "{first:?}");
        listener
    }

    /// Opens the stream as a browser that comes back, and reads its first message.
    pub async fn listen_after(&self, last: Option<i64>) -> (Listener, Message) {
        let mut request = self.get("/api/cdn/events/");
        if let Some(id) = last {
            request = request.header("Last-Event-ID", id);
        }
        let mut listener = Listener::of(request.send().await.expect("an answer"));
        let first = listener.next().await;
        (listener, first)
    }
}

impl Listener {
    pub fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Self { answer, received: Vec::new() }
    }

    /// The next message that is no heartbeat.
    pub async fn next(&mut self) -> Message {
        loop {
            let message = self.read().await.expect("the stream goes on");
            if !message.event.is_empty() {
                return message;
            }
        }
    }

    /// The next message, which must be this event.
    pub async fn expect(&mut self, event: &str) -> Message {
        let message = self.next().await;
        assert_eq!(message.event, event, "{message:?}");
        assert_eq!(message.data["type"], event, "{message:?}");
        message
    }

    pub async fn heartbeat(&mut self) {
        let message = self.read().await.expect("the stream goes on");
        assert!(message.event.is_empty(), "{message:?}");
    }

    /// Reads heartbeats until the server ends the stream; nothing else may come.
    pub async fn ended(&mut self) {
        while let Some(message) = self.read().await {
            assert!(message.event.is_empty(), "{message:?}");
        }
    }

    async fn read(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.received.drain(..end + 2).collect();
                return Some(parse(std::str::from_utf8(&text).expect("UTF-8")));
            }
            let chunk = timeout(READ_LIMIT, self.answer.chunk()).await.expect("a message in time");
            self.received.extend(chunk.expect("an orderly end")?);
        }
    }
}

fn parse(text: &str) -> Message {
    let mut message = Message::default();
    for line in text.lines().filter(|line| !line.starts_with(':') && !line.is_empty()) {
        let (field, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line}"));
        match field {
            "id" => message.id = value.parse().expect("a number"),
            "event" => message.event = value.to_owned(),
            "data" => message.data = serde_json::from_str(value).expect("JSON"),
            "retry" => assert!(value.parse::<u32>().is_ok(), "{line}"),
            _ => panic!("an unknown field: {line}"),
        }
    }
    message
}
