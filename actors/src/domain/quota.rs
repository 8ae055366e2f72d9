//! What a user may store, and what is stored.

/// A user's storage at one moment. All figures in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Distinct stored contents and registered sizes, versions and trash included.
    pub used: u64,
    /// Set aside for uploads that are still running.
    pub reserved: u64,
    pub limit: u64,
    /// The tier's name as in the configuration.
    pub tier: String,
}

impl Usage {
    /// Used share of the limit in percent, with two decimals; 100 for a limit of zero.
    pub fn percentage_used(&self) -> f64 {
        if self.limit == 0 {
            return 100.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "shown with two decimals only")]
        let share = self.used as f64 / self.limit as f64;
        (share * 10_000.0).round() / 100.0
    }

    /// Whether `bytes` more would still fit beside what is used and reserved.
    pub fn fits(&self, bytes: u64) -> bool {
        self.used
            .checked_add(self.reserved)
            .and_then(|taken| taken.checked_add(bytes))
            .is_some_and(|total| total <= self.limit)
    }
}
