//! Uploads over a bare connection, for a client that stops where it likes.

use super::server::Server;
use reqwest::StatusCode;
use serde_json::Value;
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct RawPut {
    stream: TcpStream,
}

impl RawPut {
    /// Connects and sends the head of an upload.
    pub async fn begin(server: &Server, token: &str, name: &str, length: usize) -> io::Result<Self> {
        Self::begin_at(server.port, token, name, length).await
    }

    pub async fn begin_at(port: u16, token: &str, name: &str, length: usize) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let head = format!(
            "PUT /api/cdn/uploads/{name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        Ok(Self { stream })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The answer, once the server has closed; `None` when it went away without a whole one.
    pub async fn answer(mut self) -> Option<(StatusCode, Value)> {
        let mut received = Vec::new();
        // A reset after the answer doesn't take back what was answered.
        let _outcome = self.stream.read_to_end(&mut received).await;
        let text = String::from_utf8(received).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse::<u16>().ok()?;
        Some((StatusCode::from_u16(status).ok()?, serde_json::from_str(body).ok()?))
    }
}
