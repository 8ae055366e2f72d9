//! One worker's turn at one job, apart from the coordinator: whatever becomes of either, the other goes on.

use super::{Running, Shared, retry_delay};
use crate::{
    domain::ids::JobId,
    ports::{JobEnd, JobLease, JobOutcome, within},
    runtime::lock,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::{JoinError, JoinHandle};

/// What the owner reads of a job whose worker broke down.
const BROKE_DOWN: &str = "The file could not be processed.";
const TOOK_TOO_LONG: &str = "Processing the file took too long.";

/// Begins with a job in a task of its own.
pub(super) fn begin(shared: &Arc<Shared>, lease: JobLease) {
    let place = Place::take(shared, lease);
    let task = actix::spawn(work(Arc::clone(shared), lease, place));
    if let Some(running) = lock(&shared.running).get_mut(&lease.job) {
        running.task = Some(task.abort_handle());
    }
}

async fn work(shared: Arc<Shared>, lease: JobLease, _place: Place) {
    let counts = &shared.counts;
    let limit = shared.config.attempt_timeout;
    // A task again, so that a panic is an outcome. It ends with this one.
    let turn = Turn(actix::spawn(within_time(limit, shared.runner.run(lease))));
    let end = match turn.ended().await {
        Ok(Some(Ok(JobOutcome::Completed))) => return add_one(&counts.completed),
        Ok(Some(Ok(JobOutcome::Superseded))) => return add_one(&counts.superseded),
        Ok(Some(Ok(JobOutcome::Failed { message, is_permanent }))) => {
            ended_badly(&shared, lease, message, is_permanent)
        }
        Ok(Some(Err(error))) => {
            tracing::warn!(job = %lease.job, %error, "a job is given back");
            JobEnd::Returned { due_at: later(&shared, shared.config.return_delay) }
        }
        Ok(None) => ended_badly(&shared, lease, TOOK_TOO_LONG.to_owned(), false),
        Err(_) => {
            tracing::error!(job = %lease.job, "a worker panicked");
            ended_badly(&shared, lease, BROKE_DOWN.to_owned(), false)
        }
    };
    let counted = match &end {
        JobEnd::Failed { .. } => &counts.failed,
        JobEnd::Postponed { .. } => &counts.postponed,
        JobEnd::Returned { .. } => &counts.returned,
    };
    match within(shared.config.call_timeout, shared.store.end(lease, end)).await {
        Ok(()) => add_one(counted),
        // Nobody prolongs the lease from here on, so the job comes back by itself.
        Err(error) => tracing::warn!(job = %lease.job, %error, "the end of a job could not be recorded"),
    }
}

fn ended_badly(shared: &Shared, lease: JobLease, message: String, is_permanent: bool) -> JobEnd {
    if is_permanent || lease.attempt >= lease.max_attempts {
        return JobEnd::Failed { message };
    }
    JobEnd::Postponed {
        message,
        due_at: later(shared, retry_delay(shared.config.retry_delay, lease.attempt)),
    }
}

fn later(shared: &Shared, delay: Duration) -> DateTime<Utc> {
    shared.clock.now() + TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX)
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

async fn within_time<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// A task that ends with its owner.
struct Turn<T>(JoinHandle<T>);

impl<T> Turn<T> {
    async fn ended(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A worker's place, given up however its work ends.
struct Place {
    shared: Arc<Shared>,
    job: JobId,
}

impl Place {
    fn take(shared: &Arc<Shared>, lease: JobLease) -> Self {
        let mut running = lock(&shared.running);
        running.insert(lease.job, Running { lease, task: None });
        shared.busy.send_replace(running.len());
        Self { shared: Arc::clone(shared), job: lease.job }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = lock(&self.shared.running);
        running.remove(&self.job);
        self.shared.busy.send_replace(running.len());
        drop(running);
        self.shared.changed.notify_one();
    }
}
