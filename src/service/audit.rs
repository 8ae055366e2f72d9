//! The audit: refusals are summed in memory and written with the heartbeat, so that an attack costs a few
//! rows a minute; what administrators do is written in the transaction that does it.

use super::{ServiceError, Services};
use crate::db::{
    DbError, Tx,
    audit::{AuditFilter, AuditKind, AuditRow, RefusalKey},
};
use cdn_actors::domain::page::Page;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Sums that are told apart by network between two writes; the rest is summed without it.
const MAX_NETWORKS: usize = 200;

/// Refusals that are not written yet.
#[derive(Default)]
pub struct RefusalLog(Mutex<BTreeMap<RefusalKey, i64>>);

impl RefusalLog {
    fn sums(&self) -> MutexGuard<'_, BTreeMap<RefusalKey, i64>> {
        // Each sum is whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, mut key: RefusalKey, times: i64) {
        let mut sums = self.sums();
        if sums.len() >= MAX_NETWORKS && !sums.contains_key(&key) {
            // Events and routes are few, so this adds a few more at most.
            key.network.clear();
        }
        let sum = sums.entry(key).or_insert(0);
        *sum = sum.saturating_add(times);
    }
}

impl Services {
    /// Notes that a request was refused. `route` is a pattern, never a path: their number must stay small.
    pub fn note_refusal(&self, event: &'static str, network: String, route: String) {
        let now = self.clock.now();
        self.refusals.add(RefusalKey { minute: minute_of(now), event, network, route }, 1);
    }

    /// Writes what has been noted.
    ///
    /// # Errors
    /// The database's; what could not be written is kept for the next time.
    pub async fn write_refusals(&self) -> Result<(), ServiceError> {
        let sums = std::mem::take(&mut *self.refusals.sums());
        if sums.is_empty() {
            return Ok(());
        }
        let written = sums.clone();
        let work = async move |tx: &mut Tx| {
            let mut new_rows = 0;
            for (key, times) in &written {
                new_rows += tx.add_refusals(key, *times).await?;
            }
            tx.count_audit_rows(AuditKind::Refusal, new_rows).await
        };
        let outcome = self.db.write::<_, _, DbError>(work).await;
        if outcome.is_err() {
            for (key, times) in sums {
                self.refusals.add(key, times);
            }
        }
        Ok(outcome?)
    }

    /// A page of the audit, newest first, and how many rows there are.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_audit(
        &self,
        filter: &AuditFilter,
        page: Page,
    ) -> Result<(i64, Vec<AuditRow>), ServiceError> {
        // What this process has refused up to now is a part of the answer.
        self.write_refusals().await?;
        Ok((self.db.count_audit(filter).await?, self.db.list_audit(filter, page).await?))
    }
}

fn minute_of(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::minutes(1)).unwrap_or(time)
}
