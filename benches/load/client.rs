//! The calls that are measured, each of which is an error unless it answers as it should.

use super::{
    Failure,
    content::{Content, Digest, Digester},
    drive,
    server::{EMAIL, House, PASSWORD, Server},
};
use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

/// A signed-in user.
pub struct Account {
    base: String,
    token: String,
}

impl Account {
    pub fn log_in(house: &House, server: &Server) -> Result<Self, Failure> {
        let base = server.base().to_owned();
        let body = json!({"email": house.unique(EMAIL), "password": PASSWORD});
        let login = async |client: &Client| {
            let request = client.post(format!("{base}/api/auth/login")).json(&body);
            expect(request, StatusCode::OK).await
        };
        let answer = drive::once(login)?;
        let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
        let token = cookies
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next()?.strip_prefix("access_token="))
            .next();
        Ok(Self { token: token.ok_or("the login set no access token")?.to_owned(), base })
    }

    /// The session outlives the process it began in.
    pub fn move_to(&mut self, server: &Server) {
        server.base().clone_into(&mut self.base);
    }

    pub async fn get(&self, client: &Client, path: &str) -> Result<Bytes, Failure> {
        let request = client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        Ok(expect(request, StatusCode::OK).await?.bytes().await?)
    }

    pub async fn register(&self, client: &Client) -> Result<(), Failure> {
        let id: u128 = rand::random();
        let body = json!({
            "filename": format!("{id:032x}.jpg"), "cdn_url": format!("https://cdn.example/{id:032x}.jpg"),
            "file_size": 1000, "mime_type": "image/jpeg",
            "md5_hash": format!("{id:032x}"), "sha256_hash": format!("{id:064x}"),
        });
        let request = client.post(format!("{}/api/cdn/files/upload/", self.base)).json(&body);
        expect(request.bearer_auth(&self.token), StatusCode::CREATED).await?.bytes().await?;
        Ok(())
    }

    /// Stores the content as a file, and gives its URL.
    pub async fn upload(&self, client: &Client, content: Content) -> Result<String, Failure> {
        let url = format!("{}/api/cdn/uploads/{}.bin", self.base, content.name());
        let request = client.put(url).bearer_auth(&self.token).header(header::CONTENT_LENGTH, content.size());
        let answer = expect(request.body(content.body()), StatusCode::CREATED).await?;
        let file: Value = answer.json().await?;
        let url = file.get("cdn_url").and_then(Value::as_str).ok_or("the file has no URL")?;
        Ok(url.to_owned())
    }
}

pub async fn fetch(client: &Client, url: &str) -> Result<Bytes, Failure> {
    Ok(expect(client.get(url), StatusCode::OK).await?.bytes().await?)
}

/// The SHA-256 of what is at the URL, with no more than a chunk of it in memory.
pub async fn fetch_digest(client: &Client, url: &str) -> Result<Digest, Failure> {
    let mut answer = expect(client.get(url), StatusCode::OK).await?;
    let mut digester = Digester::default();
    while let Some(chunk) = answer.chunk().await? {
        digester.update(&chunk);
    }
    Ok(digester.finish())
}

async fn expect(request: RequestBuilder, status: StatusCode) -> Result<Response, Failure> {
    let answer = request.send().await?;
    if answer.status() == status {
        return Ok(answer);
    }
    let (url, status) = (answer.url().clone(), answer.status());
    Err(format!("{url}: {status}: {}", answer.text().await.unwrap_or_default()).into())
}
