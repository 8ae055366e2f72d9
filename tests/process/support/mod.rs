//! A server process and its folder, clients, and a look into the database.

pub mod bucket;
pub mod client;
pub mod database;
pub mod home;
pub mod postgres;
pub mod random;
pub mod raw;
pub mod server;
pub mod world;

use std::time::{Duration, Instant};

/// How long anything that must happen soon may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until the condition holds.
///
/// # Panics
/// After the limit, with the name of what was waited for.
pub async fn eventually(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
