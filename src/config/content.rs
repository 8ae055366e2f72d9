//! `[uploads]`, `[content]`, `[trash]`, `[versions]`: the life of a file, from its first byte to its last.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::{ByteSize, Span};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadsConfig {
    pub max_concurrent: usize,
    /// The longest time between two pieces of one body.
    pub stall_timeout: Span,
    pub json_limit: ByteSize,
}

impl Default for UploadsConfig {
    fn default() -> Self {
        Self { max_concurrent: 256, stall_timeout: Span::from_secs(30), json_limit: ByteSize::from_mib(1) }
    }
}

impl UploadsConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("uploads.max_concurrent", self.max_concurrent);
        checks.above_zero("uploads.stall_timeout", self.stall_timeout);
        checks.above_zero("uploads.json_limit", self.json_limit);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentConfig {
    /// `Cache-Control: max-age`; zero is allowed.
    pub max_age: Span,
}

impl Default for ContentConfig {
    fn default() -> Self {
        Self { max_age: Span::from_hours(1) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrashConfig {
    pub retention: Span,
}

impl Default for TrashConfig {
    fn default() -> Self {
        Self { retention: Span::from_days(30) }
    }
}

impl TrashConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("trash.retention", self.retention);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionsConfig {
    /// Earlier versions of one file, the current one not counted; 0 keeps none.
    pub keep: u32,
}

impl Default for VersionsConfig {
    fn default() -> Self {
        Self { keep: 20 }
    }
}
