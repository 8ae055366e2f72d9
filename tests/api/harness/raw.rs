//! HTTP by hand over a TCP connection, for clients that stop in the middle or send what no library would.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::TestApp;

/// Longer than every time limit of the server for a request's head.
const READ_LIMIT: Duration = Duration::from_secs(20);

pub struct RawConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl RawConnection {
    pub async fn open(app: &TestApp) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", app.port)).await.expect("the server listens");
        Self { stream, received: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Sends although the server may have refused and closed already.
    ///
    /// # Panics
    /// When the server neither reads nor closes for 20 s.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = timeout(READ_LIMIT, self.stream.write_all(bytes.as_ref())).await;
        sent.unwrap_or_else(|_| {
            panic!("the server neither reads nor closes within {} s", READ_LIMIT.as_secs())
        })
        .is_ok()
    }

    /// The head of the next answer, without its empty line.
    ///
    /// # Panics
    /// When the server closes first, or sends nothing for 20 s.
    pub async fn read_head(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect::<Vec<u8>>();
                return String::from_utf8_lossy(&head[..end]).into_owned();
            }
            assert!(self.read_some().await > 0, "closed before an answer: {:?}", self.received);
        }
    }

    /// The status of the next answer.
    pub async fn read_status(&mut self) -> u16 {
        let head = self.read_head().await;
        status_of(&head).unwrap_or_else(|| panic!("no status line: {head}"))
    }

    /// Everything that is still sent until the server closes the connection.
    pub async fn read_until_closed(&mut self) -> String {
        while self.read_some().await > 0 {}
        String::from_utf8_lossy(&self.received).into_owned()
    }

    async fn read_some(&mut self) -> usize {
        match timeout(READ_LIMIT, self.stream.read_buf(&mut self.received)).await {
            Ok(Ok(count)) => count,
            // Reset by the server: as good as closed.
            Ok(Err(_)) => 0,
            Err(_) => panic!("the server neither answers nor closes within {} s", READ_LIMIT.as_secs()),
        }
    }
}

/// The status in a head, if it begins with a status line.
pub fn status_of(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
