//! `[upload_0x0]`: uploads that are passed on to a host elsewhere, or kept here for a while in its place.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use url::Url;

use super::check::Checks;
use super::redact;
use super::units::{ByteSize, Span};

/// Where such an upload goes.
#[derive(Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Nowhere else: the file is kept here for [`Upload0x0Config::local_retention`].
    Local,
    /// A host that takes forms like 0x0.st does.
    Host(Url),
}

const LOCAL: &str = "local";
const ENDPOINT_EXPECTED: &str = "an http or https URL such as \"https://0x0.st\", or \"local\"";

impl Endpoint {
    /// As it is written in the configuration.
    fn text(&self) -> String {
        match self {
            Self::Local => LOCAL.to_owned(),
            // Without the slash that the parser adds to a host alone.
            Self::Host(url) if url.path() == "/" => url.as_str().trim_end_matches('/').to_owned(),
            Self::Host(url) => url.as_str().to_owned(),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redact::url(&self.text()))
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EndpointVisitor;

        impl Visitor<'_> for EndpointVisitor {
            type Value = Endpoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ENDPOINT_EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Endpoint, E> {
                if text == LOCAL {
                    return Ok(Endpoint::Local);
                }
                let url = Url::parse(text).ok().filter(is_endpoint);
                let shown = redact::url(text);
                url.map(Endpoint::Host).ok_or_else(|| E::invalid_value(Unexpected::Str(&shown), &self))
            }
        }

        deserializer.deserialize_str(EndpointVisitor)
    }
}

fn is_endpoint(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload0x0Config {
    pub endpoint: Endpoint,
    /// Empty: the public ones; see [`Self::ca_path`].
    pub ca_file: PathBuf,
    pub user_agent: String,
    pub max_size: ByteSize,
    /// Uploads at the same time, in this process.
    pub max_concurrent: usize,
    /// Uploads that wait for one of these places.
    pub queue: usize,
    /// The first one included.
    pub attempts: u32,
    /// An attempt's time for the smallest file.
    pub base_timeout: Span,
    /// More of it for each whole MiB.
    pub timeout_per_mib: Span,
    /// Also for the TLS handshake, each.
    pub connect_timeout: Span,
    /// The longest time without a byte moving, while there are bytes to be moved.
    pub stall_timeout: Span,
    /// Before the second attempt; doubled before each later one.
    pub backoff: Span,
    /// Life of a file that is kept here.
    pub local_retention: Span,
    /// Name of the folder, directly in the user's root, that files kept here are in.
    pub local_folder: String,
}

impl Default for Upload0x0Config {
    fn default() -> Self {
        Self {
            endpoint: default_endpoint(),
            ca_file: PathBuf::new(),
            user_agent: "FriendlyUploader".to_owned(),
            max_size: ByteSize::from_mib(200),
            max_concurrent: 32,
            queue: 64,
            attempts: 3,
            base_timeout: Span::from_secs(120),
            timeout_per_mib: Span::from_secs(30),
            connect_timeout: Span::from_secs(10),
            stall_timeout: Span::from_secs(30),
            backoff: Span::from_secs(2),
            local_retention: Span::from_days(30),
            local_folder: "Temporary uploads".to_owned(),
        }
    }
}

fn default_endpoint() -> Endpoint {
    // A literal that parses; `local` would be the honest answer if it ever did not.
    Url::parse("https://0x0.st").map_or(Endpoint::Local, Endpoint::Host)
}

impl Upload0x0Config {
    #[must_use]
    pub fn ca_path(&self) -> Option<&Path> {
        let path = self.ca_file.as_path();
        (!path.as_os_str().is_empty()).then_some(path)
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            !self.user_agent.is_empty() && self.user_agent.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "upload_0x0.user_agent",
            &self.user_agent,
            "some printable ASCII characters",
        );
        checks.above_zero("upload_0x0.max_size", self.max_size);
        checks.above_zero("upload_0x0.max_concurrent", self.max_concurrent);
        checks.above_zero("upload_0x0.attempts", self.attempts);
        checks.above_zero("upload_0x0.base_timeout", self.base_timeout);
        checks.above_zero("upload_0x0.connect_timeout", self.connect_timeout);
        checks.above_zero("upload_0x0.stall_timeout", self.stall_timeout);
        checks.above_zero("upload_0x0.local_retention", self.local_retention);
        checks.require(
            cdn_actors::domain::filename::FolderName::parse(&self.local_folder).is_ok(),
            "upload_0x0.local_folder",
            &self.local_folder,
            "the name of a folder",
        );
    }
}
