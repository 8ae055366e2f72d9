//! One sweep: the steps in their order, each in batches, each failing for itself.

use super::{JanitorError, Shared};
use crate::ports::{PortError, PortFuture, Purged, within};
use chrono::{DateTime, Utc};
use std::sync::atomic::Ordering;

/// A part of a sweep, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    ReclaimDead,
    CountTrash,
    PurgeTrash,
    CollectBlobs,
    ClearExpired,
    RenewLease,
    ReleaseLease,
}

/// A step that did not get to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    pub step: Step,
    pub error: PortError,
}

/// Why a sweep left the rest to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedEarly {
    /// The lease was lost, or could not be renewed.
    LeaseLost,
    Stopping,
}

/// What one sweep did. Counts are of items, also of those done before a step failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// `false`: another process holds the lease, and nothing was done here.
    pub leased: bool,
    /// Reservations and unfinished uploads of dead processes.
    pub reclaimed: u64,
    pub purged: Purged,
    /// Due trash that was left because it is unusually much; 0 when nothing was held back.
    pub held_back: u64,
    /// Unreferenced objects removed.
    pub blobs: u64,
    /// Expired sessions and codes.
    pub cleared: u64,
    pub ended_early: Option<EndedEarly>,
    pub failures: Vec<StepFailure>,
}

impl SweepReport {
    fn failed(&mut self, step: Step, error: PortError) {
        tracing::warn!(?step, %error, "sweep step failed");
        self.failures.push(StepFailure { step, error });
    }
}

/// The answer of one batch, which can be added up.
trait Tally: Copy {
    fn items(self) -> u64;
    fn add_to(self, total: &mut Self);
}

impl Tally for u64 {
    fn items(self) -> u64 {
        self
    }

    fn add_to(self, total: &mut Self) {
        *total += self;
    }
}

impl Tally for Purged {
    fn items(self) -> u64 {
        self.items
    }

    fn add_to(self, total: &mut Self) {
        total.items += self.items;
        total.bytes += self.bytes;
    }
}

pub(super) async fn sweep(shared: &Shared, force: bool) -> Result<SweepReport, JanitorError> {
    let custodian = &shared.custodian;
    let limit = shared.config.call_timeout;
    let leased = within(limit, custodian.acquire_lease(shared.clock.now())).await;
    let mut report = SweepReport { leased: leased.map_err(JanitorError::Lease)?, ..SweepReport::default() };
    if !report.leased {
        return Ok(report);
    }

    let mut reclaimed = 0;
    let call = |limit| custodian.reclaim_dead(shared.clock.now(), limit);
    shared.in_batches(&mut report, Step::ReclaimDead, &mut reclaimed, call).await;
    report.reclaimed = reclaimed;

    // One moment for the count and the purge: what becomes due in between was never counted.
    let as_of = shared.clock.now();
    if may_purge(shared, &mut report, as_of, force).await {
        let mut purged = Purged::default();
        let call = |limit| custodian.purge_trash(as_of, limit);
        shared.in_batches(&mut report, Step::PurgeTrash, &mut purged, call).await;
        report.purged = purged;
    }

    let mut blobs = 0;
    let call = |limit| custodian.collect_blobs(shared.clock.now(), limit);
    shared.in_batches(&mut report, Step::CollectBlobs, &mut blobs, call).await;
    report.blobs = blobs;

    let mut cleared = 0;
    let call = |limit| custodian.clear_expired(shared.clock.now(), limit);
    shared.in_batches(&mut report, Step::ClearExpired, &mut cleared, call).await;
    report.cleared = cleared;

    // Not vital: a lease that is not given up expires.
    if let Err(error) = within(limit, custodian.release_lease()).await {
        report.failed(Step::ReleaseLease, error);
    }
    Ok(report)
}

/// The guard against a clock that jumped. Without a count there is no purge either.
async fn may_purge(shared: &Shared, report: &mut SweepReport, as_of: DateTime<Utc>, force: bool) -> bool {
    if report.ended_early.is_some() {
        return false;
    }
    let due = shared.custodian.due(as_of);
    match within(shared.config.call_timeout, due).await {
        Ok(trash) if !force && shared.config.is_unusual(trash) => {
            tracing::warn!(
                due = trash.due,
                total = trash.total,
                "unusually much trash is due: nothing purged, check the clock, then force a sweep"
            );
            report.held_back = trash.due;
            false
        }
        Ok(_) => true,
        Err(error) => {
            report.failed(Step::CountTrash, error);
            false
        }
    }
}

impl Shared {
    /// Calls until less than a batch was done. Between batches the lease is renewed, for a long sweep
    /// outlives it, and two janitors at once would be two sets of wrong counts.
    async fn in_batches<T: Tally>(
        &self,
        report: &mut SweepReport,
        step: Step,
        total: &mut T,
        call: impl Fn(u32) -> PortFuture<T>,
    ) {
        let batch = self.config.batch.max(1);
        while report.ended_early.is_none() {
            match within(self.config.call_timeout, call(batch)).await {
                Ok(done) => {
                    done.add_to(total);
                    if done.items() < u64::from(batch) {
                        return;
                    }
                }
                Err(error) => return report.failed(step, error),
            }
            report.ended_early = self.must_end(report).await;
        }
    }

    async fn must_end(&self, report: &mut SweepReport) -> Option<EndedEarly> {
        if self.stopping.load(Ordering::Acquire) {
            return Some(EndedEarly::Stopping);
        }
        let renewed = self.custodian.acquire_lease(self.clock.now());
        match within(self.config.call_timeout, renewed).await {
            Ok(true) => None,
            Ok(false) => Some(EndedEarly::LeaseLost),
            Err(error) => {
                report.failed(Step::RenewLease, error);
                Some(EndedEarly::LeaseLost)
            }
        }
    }
}
