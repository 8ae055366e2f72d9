//! `[storage]`: where the bytes of files are kept.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::check::Checks;
use super::redact;
use super::server::is_base_url;
use super::units::Span;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    pub url: String,
    /// Empty: the region's own endpoint at AWS.
    pub s3_endpoint: String,
    pub s3_region: String,
    /// Empty together with the secret: no credentials are configured.
    pub s3_access_key_id: String,
    pub s3_secret_access_key: String,
    pub s3_allow_http: bool,
    /// For each read and each answer, not for the whole of a body.
    pub s3_timeout: Span,
}

/// [`StorageConfig::url`], understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageLocation {
    /// As written after `file://`: relative to the working directory unless it starts with a slash.
    Folder(PathBuf),
    /// The prefix has no slash at either end and may be empty.
    S3 { bucket: String, prefix: String },
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            url: "file://data/blobs".to_owned(),
            s3_endpoint: String::new(),
            s3_region: "us-east-1".to_owned(),
            s3_access_key_id: String::new(),
            s3_secret_access_key: String::new(),
            s3_allow_http: false,
            s3_timeout: Span::from_secs(30),
        }
    }
}

impl fmt::Debug for StorageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageConfig")
            .field("url", &redact::url(&self.url))
            .field("s3_endpoint", &redact::url(&self.s3_endpoint))
            .field("s3_region", &self.s3_region)
            .field("s3_access_key_id", &self.s3_access_key_id)
            .field("s3_secret_access_key", &redact::secret(&self.s3_secret_access_key))
            .field("s3_allow_http", &self.s3_allow_http)
            .field("s3_timeout", &self.s3_timeout)
            .finish()
    }
}

impl StorageConfig {
    /// The place that the URL names; `None` for any other URL, which validation refuses.
    #[must_use]
    pub fn location(&self) -> Option<StorageLocation> {
        if let Some(rest) = self.url.strip_prefix("file:") {
            // Not a job for a URL parser: it takes the first folder of a relative path for a host.
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return (!path.is_empty()).then(|| StorageLocation::Folder(PathBuf::from(path)));
        }
        let rest = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = !bucket.is_empty()
            && bucket.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if !is_bucket || prefix.contains(['?', '#', '@']) {
            return None;
        }
        Some(StorageLocation::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        let location = self.location();
        checks.require(
            location.is_some(),
            "storage.url",
            redact::url(&self.url),
            "\"file://<folder>\" or \"s3://<bucket>/<prefix>\"",
        );
        checks.require(
            self.s3_endpoint.is_empty() || is_base_url(&self.s3_endpoint),
            "storage.s3_endpoint",
            redact::url(&self.s3_endpoint),
            "an http or https URL such as \"https://s3.example.com\", or nothing",
        );
        let is_plain_http = Url::parse(&self.s3_endpoint).is_ok_and(|endpoint| endpoint.scheme() == "http");
        checks.require(
            !is_plain_http || self.s3_allow_http,
            "storage.s3_allow_http",
            self.s3_allow_http,
            "true, because `storage.s3_endpoint` is an http URL",
        );
        checks.require(
            self.s3_secret_access_key.is_empty() || !self.s3_access_key_id.is_empty(),
            "storage.s3_access_key_id",
            "",
            "the access key that belongs to `storage.s3_secret_access_key`",
        );
        checks.require(
            self.s3_access_key_id.is_empty() || !self.s3_secret_access_key.is_empty(),
            "storage.s3_secret_access_key",
            "",
            "the secret that belongs to `storage.s3_access_key_id`",
        );
        checks.require(
            !matches!(location, Some(StorageLocation::S3 { .. })) || !self.s3_region.is_empty(),
            "storage.s3_region",
            &self.s3_region,
            "the bucket's region; \"us-east-1\" suits most stores that have none",
        );
        checks.above_zero("storage.s3_timeout", self.s3_timeout);
    }
}
