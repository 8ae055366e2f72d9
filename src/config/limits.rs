//! `[limits]`: how often what may be tried.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::Span;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    pub guesses: GuessLimits,
}

/// Wrong passwords and tokens within one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuessLimits {
    pub window: Span,
    /// Of one account or share, from one network.
    pub per_network_and_secret: u32,
    /// From one network, of all accounts or all shares.
    pub per_network: u32,
    /// Of one account or share, from anywhere.
    pub per_secret: u32,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self { window: Span::from_mins(15), per_network_and_secret: 10, per_network: 100, per_secret: 1000 }
    }
}

impl LimitsConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        let guesses = &self.guesses;
        checks.above_zero("limits.guesses.window", guesses.window);
        checks.above_zero("limits.guesses.per_network_and_secret", guesses.per_network_and_secret);
        checks.above_zero("limits.guesses.per_network", guesses.per_network);
        checks.above_zero("limits.guesses.per_secret", guesses.per_secret);
    }
}
