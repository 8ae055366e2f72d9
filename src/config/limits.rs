//! `[limits]` and `[audit]`: how much one network or account may ask for and try, and what is kept of refusals.

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::Span;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// 0: no limit.
    pub network_requests_per_minute: u32,
    pub network_burst: u32,
    /// 0: no limit.
    pub account_requests_per_minute: u32,
    pub account_burst: u32,
    pub api_keys_per_user: u32,
    pub guesses: GuessLimits,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            network_requests_per_minute: 12_000,
            network_burst: 4_000,
            account_requests_per_minute: 6_000,
            account_burst: 2_000,
            api_keys_per_user: 50,
            guesses: GuessLimits::default(),
        }
    }
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
        checks.above_zero("limits.network_burst", self.network_burst);
        checks.above_zero("limits.account_burst", self.account_burst);
        let guesses = &self.guesses;
        checks.above_zero("limits.guesses.window", guesses.window);
        checks.above_zero("limits.guesses.per_network_and_secret", guesses.per_network_and_secret);
        checks.above_zero("limits.guesses.per_network", guesses.per_network);
        checks.above_zero("limits.guesses.per_secret", guesses.per_secret);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    pub retention: Span,
    pub max_refusals: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { retention: Span::from_days(180), max_refusals: 100_000 }
    }
}

impl AuditConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.above_zero("audit.retention", self.retention);
        checks.above_zero("audit.max_refusals", self.max_refusals);
    }
}
