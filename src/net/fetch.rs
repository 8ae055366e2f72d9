//! Fetches a file from an address that a user named: http and https, allowed ports, global addresses, at each redirect
//! anew, within limits of size, time and type.

use super::{address::is_global, resolve::CheckedResolver};
use crate::config::FetchConfig;
use reqwest::{Client, Response, StatusCode, header, redirect::Policy};
use std::{
    io::{self, SeekFrom},
    net::IpAddr,
    sync::Arc,
};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
};
use url::{Host, Url};

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// Why there is no file. Its text is for the user who named the address, and the same whatever is or isn't there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Refused by us, away, too slow, or an answer that isn't a file. The reason is for the log only.
    #[error("The address of the file can't be fetched.")]
    Unreachable(String),
    #[error("The file at this address is too large.")]
    TooLarge,
    /// The server there says that it is no media.
    #[error("There is no picture, film or PDF at this address.")]
    WrongType,
    /// Ours: the temporary file.
    #[error("no room for a fetched file: {0}")]
    Local(#[from] io::Error),
}

/// Fetches within the limits of the configuration; cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    config: Arc<FetchConfig>,
}

impl Fetcher {
    /// # Errors
    /// When TLS can't be set up, in words for the operator.
    pub fn new(config: &FetchConfig) -> Result<Self, String> {
        let client = Client::builder()
            .user_agent(concat!("hackclub-cdn/", env!("CARGO_PKG_VERSION"), " (thumbnails)"))
            .dns_resolver(Arc::new(CheckedResolver { allow_private: config.allow_private }))
            // Each one is checked here first.
            .redirect(Policy::none())
            // A proxy would resolve the names itself.
            .no_proxy()
            .referer(false)
            .connect_timeout(config.connect_timeout.duration())
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, config: Arc::new(config.clone()) })
    }

    /// Fetches a picture, a film or a PDF into a temporary file without a name, which is at its start.
    ///
    /// # Errors
    /// As [`FetchError`] says.
    pub async fn fetch(&self, url: &str) -> Result<File, FetchError> {
        let limit = self.config.timeout.duration();
        let fetched = tokio::time::timeout(limit, self.fetch_in_time(url)).await;
        fetched.unwrap_or_else(|_| Err(FetchError::Unreachable("took too long".into())))
    }

    async fn fetch_in_time(&self, url: &str) -> Result<File, FetchError> {
        let mut url = Url::parse(url).map_err(|error| FetchError::Unreachable(error.to_string()))?;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let sent = self.client.get(url.clone()).send().await;
            let response = sent.map_err(|error| FetchError::Unreachable(in_full(&error.without_url())))?;
            match response.status() {
                StatusCode::OK => return self.receive(response).await,
                status if status.is_redirection() => {
                    let location = response.headers().get(header::LOCATION);
                    let next = location.and_then(|value| url.join(value.to_str().ok()?).ok());
                    url = next.ok_or_else(|| FetchError::Unreachable(format!("{status} to nowhere")))?;
                }
                status => return Err(FetchError::Unreachable(format!("answered {status}"))),
            }
        }
        Err(FetchError::Unreachable("too many redirects".into()))
    }

    /// What the resolver doesn't see: scheme, port, and addresses written as such, in any spelling (the URL parser
    /// has made them plain by now).
    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let refuse = |reason: &str| Err(FetchError::Unreachable(reason.into()));
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("neither http nor https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("credentials in the URL");
        }
        if !url.port_or_known_default().is_some_and(|port| self.config.allowed_ports.contains(&port)) {
            return refuse("port not allowed");
        }
        let literal = match url.host() {
            None => return refuse("no host"),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        };
        if !self.config.allow_private && literal.is_some_and(|address| !is_global(address)) {
            return refuse("address not global");
        }
        Ok(())
    }

    async fn receive(&self, mut response: Response) -> Result<File, FetchError> {
        let max_size = self.config.max_size.bytes();
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_none_or(may_be_media) {
            return Err(FetchError::WrongType);
        }
        if response.content_length().is_some_and(|length| length > max_size) {
            return Err(FetchError::TooLarge);
        }
        let mut file = File::from_std(tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(lost)??);
        let mut size = 0;
        while let Some(chunk) =
            response.chunk().await.map_err(|error| FetchError::Unreachable(in_full(&error.without_url())))?
        {
            size += chunk.len() as u64;
            if size > max_size {
                return Err(FetchError::TooLarge);
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        file.seek(SeekFrom::Start(0)).await?;
        Ok(file)
    }
}

/// Many stores call everything an octet stream, and the bytes are looked at anyway; a web page is none.
fn may_be_media(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("image/")
        || essence.starts_with("video/")
        || matches!(
            essence.as_str(),
            "application/pdf" | "application/octet-stream" | "binary/octet-stream" | ""
        )
}

fn lost(error: tokio::task::JoinError) -> FetchError {
    FetchError::Local(io::Error::other(error))
}

/// An error with its causes.
fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher() -> Fetcher {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Fetcher::new(&FetchConfig::default()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether the URL gets past the checks that need no resolver.
    fn passes(url: &str) -> bool {
        fetcher().check(&Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))).is_ok()
    }

    #[test]
    fn an_inner_address_is_refused_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://①②⑦.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1/",
            "http://192.168.1.1/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(!passes(url), "{url}");
        }
    }

    #[test]
    fn only_web_schemes_and_ports_are_let_through() {
        for url in
            ["http://example.com/", "https://example.com/", "http://example.com:443/", "https://8.8.8.8/"]
        {
            assert!(passes(url), "{url}");
        }
        for url in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "data:image/png,x",
            "http://example.com:22/",
            "http://example.com:8080/",
            "https://user:secret@example.com/",
            "http://user@example.com/",
        ] {
            assert!(!passes(url), "{url}");
        }
    }

    #[test]
    fn web_pages_are_no_media() {
        for media_type in
            ["image/png", "IMAGE/JPEG", "video/mp4", "application/pdf", "application/octet-stream", ""]
        {
            assert!(may_be_media(media_type), "{media_type}");
        }
        for media_type in ["text/html; charset=utf-8", "application/json", "text/plain"] {
            assert!(!may_be_media(media_type), "{media_type}");
        }
    }

    #[test]
    fn every_refusal_says_the_same() {
        for reason in ["address not global", "answered 404", "connection refused"] {
            let error = FetchError::Unreachable(reason.into());
            assert_eq!(error.to_string(), "The address of the file can't be fetched.");
        }
    }
}
