//! The server's configuration: built-in defaults, then a file, then the environment, then the caller's flags.
//!
//! `config.toml` at the root of the repository documents every key; a test holds it equal to [`Config::default`].
//! An unknown key or a bad value ends the start with the key's name, so that a typo never runs as a default.

mod accounts;
mod auth;
mod check;
mod content;
mod database;
mod error;
mod events;
mod janitor;
mod layers;
mod limits;
mod observe;
mod quota;
mod redact;
mod server;
mod shares;
mod slack;
mod storage;
mod thumbnails;
mod units;
mod upload_0x0;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::accounts::AccountsConfig;
pub use self::auth::AuthConfig;
pub use self::content::{ContentConfig, TrashConfig, UploadsConfig, VersionsConfig};
pub use self::database::{DatabaseConfig, DatabaseEngine};
pub use self::error::{ConfigError, Origin, Problem};
pub use self::events::EventsConfig;
pub use self::janitor::JanitorConfig;
pub use self::limits::{AuditConfig, GuessLimits, LimitsConfig};
pub use self::observe::{AnalyticsConfig, LogConfig, LogFormat};
pub use self::quota::{QuotaConfig, TierConfig};
pub use self::server::ServerConfig;
pub use self::shares::SharesConfig;
pub use self::slack::SlackConfig;
pub use self::storage::{StorageConfig, StorageLocation};
pub use self::thumbnails::{FetchConfig, ThumbnailsConfig};
pub use self::units::{ByteSize, ParseUnitError, Span};
pub use self::upload_0x0::{Endpoint, Upload0x0Config};

/// Every setting of one server process.
///
/// `Deserialize` wants every key and refuses unknown ones; [`Config::load`] is what lays partial sources over the
/// defaults. `Debug` shows no secrets; `Serialize` does, so print with [`Config::redacted_toml`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: ServerConfig,
    pub database: DatabaseConfig,
    pub storage: StorageConfig,
    pub auth: AuthConfig,
    pub slack: SlackConfig,
    pub audit: AuditConfig,
    pub quota: QuotaConfig,
    pub uploads: UploadsConfig,
    pub upload_0x0: Upload0x0Config,
    pub content: ContentConfig,
    pub accounts: AccountsConfig,
    pub shares: SharesConfig,
    pub janitor: JanitorConfig,
    pub trash: TrashConfig,
    pub versions: VersionsConfig,
    pub limits: LimitsConfig,
    pub thumbnails: ThumbnailsConfig,
    pub fetch: FetchConfig,
    pub analytics: AnalyticsConfig,
    pub events: EventsConfig,
    pub log: LogConfig,
}

impl Config {
    /// Reads the defaults, the file and the environment, each over the one before.
    ///
    /// With a `path` that file must exist; without one, `config.toml` in the working directory is read if it is there.
    /// `environment` is usually [`std::env::vars_os`]; only names that start with `CDN__` are looked at.
    /// The caller then applies its flags and calls [`Config::validate`].
    ///
    /// # Errors
    /// The file can't be read or isn't TOML, a key is unknown, or a value has the wrong type or form.
    pub fn load<K, V>(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        layers::load(Path::new(""), path, environment)
    }

    /// Checks what a single value's type can't: ranges, URLs, and keys that depend on each other.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem found, each of them naming its key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut checks = check::Checks::default();
        self.server.check(&mut checks);
        self.database.check(&mut checks);
        self.storage.check(&mut checks);
        self.auth.check(&mut checks);
        let tiers: Vec<&str> = self.quota.tiers.keys().map(String::as_str).collect();
        self.slack.check(&mut checks, &self.server.origins(), &tiers);
        self.audit.check(&mut checks);
        self.quota.check(&mut checks);
        self.uploads.check(&mut checks);
        self.upload_0x0.check(&mut checks);
        self.accounts.check(&mut checks);
        self.shares.check(&mut checks);
        self.janitor.check(&mut checks);
        self.trash.check(&mut checks);
        self.limits.check(&mut checks);
        self.thumbnails.check(&mut checks);
        self.fetch.check(&mut checks);
        self.events.check(&mut checks);
        self.log.check(&mut checks);
        checks.finish()
    }

    /// The effective configuration as TOML, with `***` in the place of each secret.
    ///
    /// # Errors
    /// A value that TOML can't hold: an integer over 2^63 - 1 or a path that isn't UTF-8. Neither comes from `load`.
    pub fn redacted_toml(&self) -> Result<String, ConfigError> {
        let mut shown = self.clone();
        shown.database.url = redact::url(&shown.database.url);
        shown.storage.url = redact::url(&shown.storage.url);
        shown.storage.s3_endpoint = redact::url(&shown.storage.s3_endpoint);
        shown.storage.s3_secret_access_key = redact::secret(&shown.storage.s3_secret_access_key);
        shown.slack.client_secret = redact::secret(&shown.slack.client_secret);
        shown.server.public_url = redact::url(&shown.server.public_url);
        toml::to_string(&shown).map_err(ConfigError::Render)
    }
}
