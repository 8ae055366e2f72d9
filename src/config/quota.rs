//! `[quota]`: how much each tier of account may store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Checks;
use super::units::ByteSize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaConfig {
    /// The tier of a new account; a key of `tiers`.
    pub default_tier: String,
    pub count_registered: bool,
    pub tiers: BTreeMap<String, TierConfig>,
}

/// The limits of one tier. Both are at most 2^63 - 1 bytes, which is what the database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierConfig {
    pub max_file_size: ByteSize,
    pub max_total: ByteSize,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        let tier = |max_file_size, max_total| TierConfig { max_file_size, max_total };
        let unverified = tier(ByteSize::from_mib(10), ByteSize::from_mib(50));
        let verified = tier(ByteSize::from_mib(100), ByteSize::from_gib(50));
        let unlimited = tier(ByteSize::from_mib(500), ByteSize::from_gib(300));
        Self {
            default_tier: "verified".to_owned(),
            count_registered: true,
            tiers: BTreeMap::from([
                ("unverified".to_owned(), unverified),
                ("verified".to_owned(), verified),
                ("unlimited".to_owned(), unlimited),
            ]),
        }
    }
}

impl QuotaConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        let names: Vec<&str> = self.tiers.keys().map(String::as_str).collect();
        checks.require(
            self.tiers.contains_key(&self.default_tier),
            "quota.default_tier",
            &self.default_tier,
            format!("the name of a tier: {}", names.join(", ")),
        );
        for (name, tier) in &self.tiers {
            tier.check(checks, name);
        }
    }
}

impl TierConfig {
    fn check(&self, checks: &mut Checks, name: &str) {
        let key = format!("quota.tiers.{name}");
        // Lower case, so that the environment reaches every tier.
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
        checks.require(is_name, &key, name, "a name of small letters, digits, `_` and `-`");
        checks.above_zero(&format!("{key}.max_file_size"), self.max_file_size);
        checks.require(
            self.max_total >= self.max_file_size,
            format!("{key}.max_total"),
            self.max_total,
            format!("at least `{key}.max_file_size` ({:?})", self.max_file_size),
        );
        checks.require(
            i64::try_from(self.max_total.bytes()).is_ok(),
            format!("{key}.max_total"),
            self.max_total,
            "at most 9223372036854775807 bytes",
        );
    }
}
