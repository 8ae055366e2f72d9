//! `[janitor]`: heartbeats of processes and the sweep after what they leave behind.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JanitorConfig {
    pub heartbeat: Span,
    /// More than `heartbeat`.
    pub dead_after: Span,
    pub sweep_interval: Span,
    /// Rows in one statement.
    pub batch: u32,
    /// Items in one sweep.
    pub unusual_items: u32,
}

impl Default for JanitorConfig {
    fn default() -> Self {
        Self {
            heartbeat: Span::from_secs(10),
            dead_after: Span::from_secs(60),
            sweep_interval: Span::from_mins(10),
            batch: 500,
            unusual_items: 1000,
        }
    }
}

impl JanitorConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("janitor.heartbeat", self.heartbeat);
        checks.require(
            self.dead_after > self.heartbeat,
            "janitor.dead_after",
            self.dead_after,
            format!("more than `janitor.heartbeat` ({:?})", self.heartbeat),
        );
        checks.above_zero("janitor.sweep_interval", self.sweep_interval);
        checks.above_zero("janitor.batch", self.batch);
        checks.above_zero("janitor.unusual_items", self.unusual_items);
    }
}
