//! A custodian in memory: counts of what there is to do.

use super::Controls;
use crate::{
    ports::{Custodian, DueTrash, PortFuture, Purged},
    runtime::lock,
};
use chrono::{DateTime, Utc};
use std::sync::{Arc, Mutex};

/// What waits for the janitor.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    due: u64,
    kept: u64,
    blobs: u64,
    dead: u64,
    expired: u64,
    lease_elsewhere: bool,
    leased: bool,
    last_heartbeat: Option<DateTime<Utc>>,
}

#[derive(Default)]
struct Inner {
    controls: Controls,
    work: Mutex<Work>,
}

/// Clones share one custodian. Each trash item is ten bytes large.
#[derive(Clone, Default)]
pub struct MemoryCustodian(Arc<Inner>);

impl MemoryCustodian {
    /// Operations are the methods of [`Custodian`].
    pub fn controls(&self) -> &Controls {
        &self.0.controls
    }

    /// Trash past its time, and trash that is not.
    pub fn put_trash(&self, due: u64, kept: u64) {
        let mut work = lock(&self.0.work);
        (work.due, work.kept) = (due, kept);
    }

    pub fn put_blobs(&self, blobs: u64) {
        lock(&self.0.work).blobs = blobs;
    }

    /// Reservations and uploads of dead processes.
    pub fn put_dead(&self, dead: u64) {
        lock(&self.0.work).dead = dead;
    }

    pub fn put_expired(&self, expired: u64) {
        lock(&self.0.work).expired = expired;
    }

    /// Another process takes the lease, or gives it up.
    pub fn lease_elsewhere(&self, taken: bool) {
        lock(&self.0.work).lease_elsewhere = taken;
    }

    /// Whether this process holds the lease.
    pub fn leased(&self) -> bool {
        lock(&self.0.work).leased
    }

    pub fn last_heartbeat(&self) -> Option<DateTime<Utc>> {
        lock(&self.0.work).last_heartbeat
    }

    /// All trash that is left.
    pub fn trash(&self) -> u64 {
        let work = lock(&self.0.work);
        work.due + work.kept
    }

    fn does<T: 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Work) -> T + 'static,
    ) -> PortFuture<T> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.controls.pass(operation).await?;
            Ok(work(&mut lock(&inner.work)))
        })
    }
}

fn take(from: &mut u64, limit: u32) -> u64 {
    let taken = (*from).min(u64::from(limit));
    *from -= taken;
    taken
}

impl Custodian for MemoryCustodian {
    fn heartbeat(&self, now: DateTime<Utc>) -> PortFuture<()> {
        self.does("heartbeat", move |work| work.last_heartbeat = Some(now))
    }

    fn acquire_lease(&self, _: DateTime<Utc>) -> PortFuture<bool> {
        self.does("acquire_lease", |work| {
            work.leased = !work.lease_elsewhere;
            work.leased
        })
    }

    fn release_lease(&self) -> PortFuture<()> {
        self.does("release_lease", |work| work.leased = false)
    }

    fn due(&self, _: DateTime<Utc>) -> PortFuture<DueTrash> {
        self.does("due", |work| DueTrash { due: work.due, total: work.due + work.kept })
    }

    fn purge_trash(&self, _: DateTime<Utc>, limit: u32) -> PortFuture<Purged> {
        self.does("purge_trash", move |work| {
            let items = take(&mut work.due, limit);
            Purged { items, bytes: items * 10 }
        })
    }

    fn collect_blobs(&self, _: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.does("collect_blobs", move |work| take(&mut work.blobs, limit))
    }

    fn reclaim_dead(&self, _: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.does("reclaim_dead", move |work| take(&mut work.dead, limit))
    }

    fn clear_expired(&self, _: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.does("clear_expired", move |work| take(&mut work.expired, limit))
    }
}
