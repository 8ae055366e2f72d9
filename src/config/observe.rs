//! `[analytics]` and `[log]`: what the operator gets to see.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::check::Checks;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalyticsConfig {
    /// Empty: none; see [`Self::geoip_path`].
    pub geoip_database: PathBuf,
}

impl AnalyticsConfig {
    #[must_use]
    pub fn geoip_path(&self) -> Option<&Path> {
        let path = self.geoip_database.as_path();
        (!path.as_os_str().is_empty()).then_some(path)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// In the syntax of `tracing_subscriber`'s `EnvFilter`, which has the last word on it.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

impl LogConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            !self.level.trim().is_empty(),
            "log.level",
            &self.level,
            "a level or a filter such as \"info\" or \"info,sqlx=warn\"",
        );
    }
}
