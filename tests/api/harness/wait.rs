//! Waiting for an effect that comes a moment after its cause.

use std::future::Future;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(15);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Polls until `condition` holds.
///
/// # Panics
/// When it does not hold within 15 s.
pub async fn eventually<F, Fut>(what: &str, condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    wait_until(|| what.to_owned(), condition).await;
}

/// The same with a description that is made when it failed.
pub async fn wait_until<F, Fut>(what: impl Fn() -> String, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "did not happen within {} s: {}", DEADLINE.as_secs(), what());
        tokio::time::sleep(POLL_EVERY).await;
    }
}
