//! `[database]`: which SQL engine, and how many connections to it.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::check::Checks;
use super::redact;
use super::units::Span;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// May hold a password: log it only through `Debug` or [`super::Config::redacted_toml`].
    pub url: String,
    pub max_connections: u32,
    pub acquire_timeout: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseEngine {
    Sqlite,
    Postgres,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: "sqlite://data/cdn.db".to_owned(),
            max_connections: 16,
            acquire_timeout: Span::from_secs(2),
        }
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &redact::url(&self.url))
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish()
    }
}

impl DatabaseConfig {
    /// The engine that the URL's scheme names; `None` for any other URL, which validation refuses.
    #[must_use]
    pub fn engine(&self) -> Option<DatabaseEngine> {
        let (scheme, rest) = self.url.split_once(':')?;
        match scheme {
            "sqlite" if !rest.trim_start_matches('/').is_empty() => Some(DatabaseEngine::Sqlite),
            "postgres" | "postgresql" if Url::parse(&self.url).is_ok() => Some(DatabaseEngine::Postgres),
            _ => None,
        }
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            self.engine().is_some(),
            "database.url",
            redact::url(&self.url),
            "\"sqlite://<path>\" or \"postgres://<user>:<password>@<host>/<name>\" with special characters \
             percent-encoded",
        );
        checks.above_zero("database.max_connections", self.max_connections);
        checks.above_zero("database.acquire_timeout", self.acquire_timeout);
    }
}
