//! `[events]`: the live streams of what happens to a user's things.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// How long an event can be caught up on.
    pub retention: Span,
    pub heartbeat: Span,
    /// The longest time between two looks at what other processes have written.
    pub poll_interval: Span,
    /// The longest time that a reader may take for one message.
    pub stall_timeout: Span,
    pub max_streams: usize,
    pub max_streams_per_user: usize,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            retention: Span::from_mins(10),
            heartbeat: Span::from_secs(15),
            poll_interval: Span::from_secs(1),
            stall_timeout: Span::from_secs(30),
            max_streams: 5000,
            max_streams_per_user: 20,
        }
    }
}

impl EventsConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("events.retention", self.retention);
        checks.above_zero("events.heartbeat", self.heartbeat);
        checks.above_zero("events.poll_interval", self.poll_interval);
        checks.above_zero("events.stall_timeout", self.stall_timeout);
    }
}
