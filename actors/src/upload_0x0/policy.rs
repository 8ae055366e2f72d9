//! How often, for how long and with which pauses an upload is tried: pure functions of size and attempt.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// The rules of retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// An attempt's time for the smallest file.
    pub base_timeout: Duration,
    /// What each whole MiB adds to it.
    pub timeout_per_mib: Duration,
    /// The first pause; each later one is twice as long.
    pub backoff: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            base_timeout: Duration::from_secs(120),
            timeout_per_mib: Duration::from_secs(30),
            backoff: Duration::from_secs(2),
        }
    }
}

impl RetryPolicy {
    /// Time limit of one attempt with a file of this many bytes.
    pub fn attempt_limit(&self, bytes: u64) -> Duration {
        let mib = u32::try_from(bytes / MIB).unwrap_or(u32::MAX);
        self.base_timeout.saturating_add(self.timeout_per_mib.saturating_mul(mib))
    }

    /// The pause after the given failed attempt (from 1); `None` after the last one.
    pub fn pause_after(&self, attempt: u32) -> Option<Duration> {
        let doublings = attempt.saturating_sub(1);
        (attempt < self.attempts)
            .then(|| self.backoff.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_has_two_minutes_and_half_a_minute_for_each_whole_mib() {
        let policy = RetryPolicy::default();
        for (bytes, seconds) in
            [(0, 120), (MIB - 1, 120), (MIB, 150), (2 * MIB - 1, 150), (200 * MIB, 120 + 6_000)]
        {
            assert_eq!(policy.attempt_limit(bytes), Duration::from_secs(seconds), "{bytes}");
        }
        assert!(policy.attempt_limit(u64::MAX) > Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn pauses_double_and_end_with_the_last_attempt() {
        let policy = RetryPolicy::default();
        let pauses: Vec<_> = (1..=4).map(|attempt| policy.pause_after(attempt)).collect();
        assert_eq!(pauses, [Some(Duration::from_secs(2)), Some(Duration::from_secs(4)), None, None]);
        let patient = RetryPolicy { attempts: u32::MAX, ..policy };
        assert!(patient.pause_after(1_000) > patient.pause_after(30), "it doesn't wrap around");
    }
}
