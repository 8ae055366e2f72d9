//! `[server]`: where the process listens, who may talk to it, and for how long.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use url::Url;

use super::check::Checks;
use super::redact;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    #[serde(deserialize_with = "bind_address")]
    pub bind: SocketAddr,
    /// Base of every link the server hands out. Empty: `http://` and the bound address; see [`Self::base_url`].
    pub public_url: String,
    /// 0: one for each core.
    pub workers: usize,
    /// As browsers send them in `Origin`: `https://files.example.com`.
    pub frontend_origins: Vec<String>,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub shutdown_timeout: Span,
    pub max_connections: usize,
    pub request_head_timeout: Span,
    pub keep_alive: Span,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8000)),
            public_url: String::new(),
            workers: 0,
            frontend_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            shutdown_timeout: Span::from_secs(30),
            max_connections: 25_000,
            request_head_timeout: Span::from_secs(5),
            keep_alive: Span::from_secs(75),
        }
    }
}

impl ServerConfig {
    /// The start of every public link, without a slash at its end. `bound` is the address really listened on, which
    /// differs from [`Self::bind`] when that asks for port 0.
    #[must_use]
    pub fn base_url(&self, bound: SocketAddr) -> String {
        if self.public_url.is_empty() {
            return format!("http://{bound}");
        }
        self.public_url.trim_end_matches('/').to_owned()
    }

    /// The frontends' origins, and this server's own as far as it is configured.
    pub(super) fn origins(&self) -> Vec<String> {
        let own = Url::parse(&self.public_url).ok().map(|url| url.origin().ascii_serialization());
        self.frontend_origins.iter().cloned().chain(own).collect()
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            self.public_url.is_empty() || is_base_url(&self.public_url),
            "server.public_url",
            redact::url(&self.public_url),
            "an http or https URL without user, query or fragment, such as \"https://cdn.example.com\", or nothing",
        );
        for origin in &self.frontend_origins {
            check_origin(checks, origin);
        }
        checks.above_zero("server.max_connections", self.max_connections);
        checks.above_zero("server.shutdown_timeout", self.shutdown_timeout);
        checks.above_zero("server.request_head_timeout", self.request_head_timeout);
        checks.above_zero("server.keep_alive", self.keep_alive);
    }
}

/// Whether links and requests can be built on this URL.
pub(super) fn is_base_url(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// The text is compared byte by byte with the `Origin` header, so it must be in a browser's own form (RFC 6454, 6.2).
fn check_origin(checks: &mut Checks, origin: &str) {
    let canonical = Url::parse(origin)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .map(|url| url.origin().ascii_serialization());
    let expected = match &canonical {
        Some(form) => {
            format!("scheme://host[:port] as browsers send it, without path: \"{form}\"")
        }
        None => "scheme://host[:port] without path, such as \"https://files.example.com\"".to_owned(),
    };
    checks.require(
        canonical.as_deref() == Some(origin),
        "server.frontend_origins",
        redact::url(origin),
        expected,
    );
}

fn bind_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    struct AddressVisitor;

    impl Visitor<'_> for AddressVisitor {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an IP address and a port such as \"127.0.0.1:8000\" or \"[::]:8000\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(AddressVisitor)
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let networks = Vec::<Network>::deserialize(deserializer)?;
    Ok(networks.into_iter().map(|Network(net)| net).collect())
}

/// A network in CIDR form; a bare address is the network of that address alone.
struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NetworkVisitor;

        impl Visitor<'_> for NetworkVisitor {
            type Value = Network;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a network or an address such as \"10.0.0.0/8\" or \"192.0.2.7\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
                if let Ok(address) = text.parse::<IpAddr>() {
                    return Ok(Network(IpNet::from(address)));
                }
                text.parse().map(Network).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(NetworkVisitor)
    }
}
