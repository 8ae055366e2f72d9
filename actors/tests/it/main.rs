//! The actors, over their ports in memory. Time moves by hand or stands still; nothing sleeps.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod janitor;
mod runtime;
mod shares;

use chrono::{DateTime, Utc};

/// Where every test's clock starts.
fn morning() -> DateTime<Utc> {
    "2026-03-01T09:00:00Z".parse().unwrap()
}

/// Gives way to the other tasks of this thread until it is so.
async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::task::yield_now().await;
    }
}
