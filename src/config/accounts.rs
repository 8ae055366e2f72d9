//! `[accounts]`: the actors that hold each user's quota and activity.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsConfig {
    /// Messages waiting for one account; one more is answered `Busy`.
    pub queue: usize,
    pub call_timeout: Span,
    pub idle_after: Span,
    pub flush_interval: Span,
    /// Events.
    pub max_buffered: usize,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            queue: 1024,
            call_timeout: Span::from_secs(5),
            idle_after: Span::from_mins(5),
            flush_interval: Span::from_secs(1),
            max_buffered: 10_000,
        }
    }
}

impl AccountsConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("accounts.queue", self.queue);
        checks.above_zero("accounts.call_timeout", self.call_timeout);
        checks.above_zero("accounts.idle_after", self.idle_after);
        checks.above_zero("accounts.flush_interval", self.flush_interval);
        checks.above_zero("accounts.max_buffered", self.max_buffered);
    }
}
