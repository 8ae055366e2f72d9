//! A custodian in memory: counts of what there is to do.

use super::Controls;
use crate::{
    ports::{Custodian, DueTrash, PortFuture, Purged},
    runtime::lock,
};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// What waits for the janitor.
#[derive(Debug, Clone, Default)]
struct Work {
    /// Items of trash by the moment at which they are due.
    trash: BTreeMap<DateTime<Utc>, u64>,
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

    /// Trash that has long been due, and trash that never is.
    pub fn put_trash(&self, due: u64, kept: u64) {
        self.put_trash_due_at(DateTime::<Utc>::MIN_UTC, due);
        self.put_trash_due_at(DateTime::<Utc>::MAX_UTC, kept);
    }

    pub fn put_trash_due_at(&self, moment: DateTime<Utc>, items: u64) {
        lock(&self.0.work).trash.insert(moment, items);
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
        lock(&self.0.work).trash.values().sum()
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

fn take(from: &mut u64, limit: u64) -> u64 {
    let taken = (*from).min(limit);
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

    fn due(&self, as_of: DateTime<Utc>) -> PortFuture<DueTrash> {
        self.does("due", move |work| DueTrash {
            due: work.trash.range(..=as_of).map(|(_, items)| items).sum(),
            total: work.trash.values().sum(),
        })
    }

    fn purge_trash(&self, as_of: DateTime<Utc>, limit: u32) -> PortFuture<Purged> {
        self.does("purge_trash", move |work| {
            let mut items = 0;
            for (_, due) in work.trash.range_mut(..=as_of) {
                items += take(due, u64::from(limit) - items);
            }
            Purged { items, bytes: items * 10 }
        })
    }

    fn collect_blobs(&self, _: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.does("collect_blobs", move |work| take(&mut work.blobs, limit.into()))
    }

    fn reclaim_dead(&self, _: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.does("reclaim_dead", move |work| take(&mut work.dead, limit.into()))
    }

    fn clear_expired(&self, _: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.does("clear_expired", move |work| take(&mut work.expired, limit.into()))
    }
}
