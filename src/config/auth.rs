//! `[auth]`: signing key, lifetime of tokens, cost of passwords.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    pub secret_file: PathBuf,
    pub access_ttl: Span,
    pub refresh_ttl: Span,
    /// 0: one for each core.
    pub password_hash_concurrency: usize,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            secret_file: PathBuf::from("data/secret.key"),
            access_ttl: Span::from_mins(15),
            refresh_ttl: Span::from_days(30),
            password_hash_concurrency: 0,
        }
    }
}

impl AuthConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.require(
            !self.secret_file.as_os_str().is_empty(),
            "auth.secret_file",
            &self.secret_file,
            "the path of a file",
        );
        // Token claims count whole seconds (RFC 7519, 2: NumericDate).
        checks.require(
            self.access_ttl >= Span::from_secs(1),
            "auth.access_ttl",
            self.access_ttl,
            "at least \"1s\"",
        );
        checks.require(
            self.refresh_ttl > self.access_ttl,
            "auth.refresh_ttl",
            self.refresh_ttl,
            format!("more than `auth.access_ttl` ({:?})", self.access_ttl),
        );
    }
}
