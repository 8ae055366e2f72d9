//! `[shares]`: the actor that admits downloads by the links of shares.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharesConfig {
    /// Downloads waiting to be admitted, of all links; one more is answered `Busy`.
    pub queue: usize,
    pub call_timeout: Span,
}

impl Default for SharesConfig {
    fn default() -> Self {
        Self { queue: 4096, call_timeout: Span::from_secs(5) }
    }
}

impl SharesConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("shares.queue", self.queue);
        checks.above_zero("shares.call_timeout", self.call_timeout);
    }
}
