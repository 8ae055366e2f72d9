//! `[thumbnails]` and `[fetch]`: what is made of pictures, and how files at other addresses are fetched for it.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::{ByteSize, Span};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThumbnailsConfig {
    /// Whether this process works on jobs; they are queued all the same.
    pub enabled: bool,
    /// 0: one for each core.
    pub workers: u32,
    /// Pixels of the longer side, ascending: the first is the thumbnail's, the last the preview's.
    pub sizes: Vec<u32>,
    pub max_attempts: u32,
    /// Until the second attempt; four times as long each time after.
    pub retry_delay: Span,
    /// Several times `look_interval`.
    pub lease: Span,
    pub look_interval: Span,
    /// One attempt, the fetch included.
    pub attempt_timeout: Span,
    /// The largest file that is looked at.
    pub max_source: ByteSize,
    /// Of a decoder process.
    pub max_memory: ByteSize,
    /// For one file, of a decoder process.
    pub cpu_time: Span,
    /// For one file.
    pub wall_time: Span,
}

impl Default for ThumbnailsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            workers: 0,
            sizes: vec![320, 1600],
            max_attempts: 3,
            retry_delay: Span::from_secs(30),
            lease: Span::from_mins(1),
            look_interval: Span::from_secs(5),
            attempt_timeout: Span::from_mins(5),
            max_source: ByteSize::from_mib(500),
            max_memory: ByteSize::from_gib(1),
            cpu_time: Span::from_secs(30),
            wall_time: Span::from_mins(1),
        }
    }
}

impl ThumbnailsConfig {
    /// How many workers that is on this machine.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        match usize::try_from(self.workers) {
            Ok(0) => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            Ok(workers) => workers,
            Err(_) => usize::MAX,
        }
    }

    /// Pixels of a thumbnail's longer side.
    #[must_use]
    pub fn thumbnail_size(&self) -> u32 {
        self.sizes.first().copied().unwrap_or(1)
    }

    /// Pixels of a preview's longer side.
    #[must_use]
    pub fn preview_size(&self) -> u32 {
        self.sizes.last().copied().unwrap_or(1)
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        let is_ascending = self.sizes.is_sorted_by(|a, b| a < b);
        let is_in_range = self.sizes.iter().all(|size| (16..=8192).contains(size));
        checks.require(
            !self.sizes.is_empty() && self.sizes.len() <= 16 && is_ascending && is_in_range,
            "thumbnails.sizes",
            &self.sizes,
            "1 to 16 sizes from 16 to 8192, each larger than the one before",
        );
        checks.above_zero("thumbnails.max_attempts", self.max_attempts);
        checks.above_zero("thumbnails.retry_delay", self.retry_delay);
        checks.above_zero("thumbnails.look_interval", self.look_interval);
        checks.require(
            self.lease.duration() >= self.look_interval.duration().saturating_mul(3),
            "thumbnails.lease",
            self.lease,
            format!("at least three times `thumbnails.look_interval` ({:?})", self.look_interval),
        );
        checks.above_zero("thumbnails.attempt_timeout", self.attempt_timeout);
        checks.above_zero("thumbnails.max_source", self.max_source);
        checks.above_zero("thumbnails.max_memory", self.max_memory);
        checks.above_zero("thumbnails.cpu_time", self.cpu_time);
        checks.above_zero("thumbnails.wall_time", self.wall_time);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchConfig {
    pub max_size: ByteSize,
    /// All of it, redirects included.
    pub timeout: Span,
    pub connect_timeout: Span,
    pub allowed_ports: Vec<u16>,
    pub allow_private: bool,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            max_size: ByteSize::from_mib(100),
            timeout: Span::from_secs(60),
            connect_timeout: Span::from_secs(5),
            allowed_ports: vec![80, 443],
            allow_private: false,
        }
    }
}

impl FetchConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("fetch.max_size", self.max_size);
        checks.above_zero("fetch.timeout", self.timeout);
        checks.above_zero("fetch.connect_timeout", self.connect_timeout);
        checks.require(
            !self.allowed_ports.is_empty() && !self.allowed_ports.contains(&0),
            "fetch.allowed_ports",
            &self.allowed_ports,
            "at least one port, such as [80, 443]",
        );
    }
}
