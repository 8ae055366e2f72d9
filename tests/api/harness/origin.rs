//! A web server of somebody else's, which answers as a test says and counts who came.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone)]
struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Inner {
    pages: RefCell<HashMap<String, Page>>,
    hits: Cell<usize>,
    /// Answers wait while it is closed.
    is_open: watch::Sender<bool>,
}

pub struct Origin {
    inner: Rc<Inner>,
    pub port: u16,
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let inner = Rc::new(Inner {
            pages: RefCell::default(),
            hits: Cell::new(0),
            is_open: watch::Sender::new(true),
        });
        let serving = Rc::clone(&inner);
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Rc::clone(&serving);
                inner.hits.set(inner.hits.get() + 1);
                // A client that goes away in the middle is nothing to this server.
                actix_web::rt::spawn(async move { drop(answer(&inner, stream).await) });
            }
        });
        Self { inner, port }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn serve(&self, path: &str, media_type: &str, body: Vec<u8>) {
        self.answer_with(path, 200, &[("Content-Type", media_type)], body);
    }

    pub fn redirect(&self, path: &str, to: &str) {
        self.answer_with(path, 302, &[("Location", to)], Vec::new());
    }

    pub fn answer_with(&self, path: &str, status: u16, headers: &[(&str, &str)], body: Vec<u8>) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.inner.pages.borrow_mut().insert(path.to_owned(), Page { status, headers, body });
    }

    /// Connections so far.
    pub fn hits(&self) -> usize {
        self.inner.hits.get()
    }

    /// Holds every answer until [`Origin::open`].
    pub fn close(&self) {
        self.inner.is_open.send_replace(false);
    }

    pub fn open(&self) {
        self.inner.is_open.send_replace(true);
    }
}

async fn answer(inner: &Inner, mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) => return Err(error),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    drop(inner.is_open.subscribe().wait_for(|is_open| *is_open).await);
    let missing = Page { status: 404, headers: Vec::new(), body: b"nothing here".to_vec() };
    let page = inner.pages.borrow().get(path).cloned().unwrap_or(missing);
    let mut text = format!("HTTP/1.1 {} So\r\nConnection: close\r\n", page.status);
    for (name, value) in &page.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !page.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        text.push_str(&format!("Content-Length: {}\r\n", page.body.len()));
    }
    stream.write_all(text.as_bytes()).await?;
    stream.write_all(b"\r\n").await?;
    stream.write_all(&page.body).await?;
    stream.shutdown().await
}
