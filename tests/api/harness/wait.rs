//! Waiting for an effect that comes a moment after its cause.

use std::future::Future;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(15);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Polls until `condition` holds.
///
/// # Panics
/// When it does not hold within 15 s.
pub async fn eventually<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "did not happen within {} s: {what}", DEADLINE.as_secs());
        tokio::time::sleep(POLL_EVERY).await;
    }
}
