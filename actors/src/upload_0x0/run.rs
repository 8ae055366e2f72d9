//! One upload from its turn to its end: attempts, pauses between them, and its sender going away.

use super::{Report, RetryPolicy, Shared};
use crate::{
    domain::clock::Clock,
    ports::{AttemptError, HostAnswer, HostUpload},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinError, JoinHandle},
};

/// Tries until there is an answer, an error that no further attempt can mend, or no attempt left.
/// `None`: whoever asked is gone.
pub(super) async fn run(
    shared: Arc<Shared>,
    job: Arc<dyn HostUpload>,
    gone: oneshot::Receiver<()>,
) -> Option<Report> {
    tokio::select! {
        // Nothing is ever sent: this is ready when the other end is dropped.
        _ = gone => None,
        report = run_attempts(&shared, job.as_ref()) => Some(report),
    }
}

async fn run_attempts(shared: &Shared, job: &dyn HostUpload) -> Report {
    let policy = shared.config.policy;
    let mut attempt = 1;
    loop {
        let (outcome, limit) = try_once(shared, job, policy, attempt).await;
        let pause = match &outcome {
            Err(error) if error.is_passing() => policy.pause_after(attempt),
            _ => None,
        };
        let Some(pause) = pause else { return Report { outcome, attempts: attempt, limit } };
        pass(shared.clock.as_ref(), shared.pulse.subscribe(), pause).await;
        attempt += 1;
    }
}

async fn try_once(
    shared: &Shared,
    job: &dyn HostUpload,
    policy: RetryPolicy,
    attempt: u32,
) -> (Result<HostAnswer, AttemptError>, Duration) {
    let size = match job.prepare(attempt).await {
        Ok(size) => size,
        Err(error) => return (Err(error), policy.attempt_limit(0)),
    };
    let limit = policy.attempt_limit(size);
    shared.attempts.fetch_add(1, Ordering::Relaxed);
    (job.attempt(limit).await, limit)
}

/// Waits until the clock is past the pause; it is looked at with every pulse.
async fn pass(clock: &dyn Clock, mut pulse: watch::Receiver<()>, pause: Duration) {
    let pause = TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX);
    let until = clock.now().checked_add_signed(pause).unwrap_or(DateTime::<Utc>::MAX_UTC);
    while clock.now() < until {
        if pulse.changed().await.is_err() {
            return;
        }
    }
}

/// A task that ends with whoever waits for it. What panics in it ends that one upload, not the actor.
pub(super) struct Task(pub JoinHandle<Option<Report>>);

impl Future for Task {
    type Output = Result<Option<Report>, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
