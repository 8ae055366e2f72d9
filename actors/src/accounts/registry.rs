//! Which users have an actor: starts one on demand and ends it when it is idle.

use super::{
    AccountsConfig, AccountsSnapshot, QuotaError,
    journal::Journal,
    user::{Flush, Nudge, Outbox, ReadUsage, UserActor},
};
use crate::{
    domain::{
        clock::Clock,
        ids::{ReservationId, UserId},
        quota::Usage,
    },
    ports::{AccessJournal, PortError, QuotaLedger},
    runtime::{ActorConfig, CallError, Handle, Revive, Ticker, lock},
};
use actix::{Arbiter, ArbiterHandle};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// One user's way to their actor. Held by each call in flight and each open reservation, so an entry
/// that only the registry holds has nothing to do.
pub(super) struct UserEntry {
    user: UserId,
    handle: Handle<UserActor>,
    outbox: Arc<Outbox>,
    /// In milliseconds since 1970.
    last_used: AtomicI64,
}

impl UserEntry {
    pub(super) fn user(&self) -> UserId {
        self.user
    }

    pub(super) fn handle(&self) -> &Handle<UserActor> {
        &self.handle
    }

    pub(super) fn give_back(&self, id: ReservationId) {
        self.outbox.add(id);
        // When nobody takes it, the id is in the outbox still, and the next tick nudges again.
        self.handle.tell(Nudge);
    }

    pub(super) async fn usage(&self, deadline: Duration) -> Result<Usage, CallError<QuotaError>> {
        self.handle.ask_idempotent(|permit| ReadUsage { permit }, deadline).await
    }

    async fn flush(&self, deadline: Duration) -> Result<(), CallError<PortError>> {
        self.handle.ask_idempotent(|permit| Flush { permit }, deadline).await
    }
}

#[derive(Default)]
struct Users {
    entries: HashMap<UserId, Arc<UserEntry>>,
    closed: bool,
    /// Counts of entries that are gone, so that the totals never go down.
    gone_restarts: u64,
    gone_refused: u64,
}

pub(super) struct Registry {
    ledger: Arc<dyn QuotaLedger>,
    clock: Arc<dyn Clock>,
    config: AccountsConfig,
    journal: Journal,
    users: Mutex<Users>,
    /// Never empty. They live as long as the actix system: connections that a port opened on one of
    /// these threads may still be used by others.
    arbiters: Vec<ArbiterHandle>,
}

impl Registry {
    pub(super) fn start(
        ledger: Arc<dyn QuotaLedger>,
        journal: Arc<dyn AccessJournal>,
        clock: Arc<dyn Clock>,
        config: AccountsConfig,
        mut ticker: Ticker,
    ) -> Arc<Self> {
        let here = Arbiter::current();
        let mut arbiters: Vec<_> = (0..config.arbiters).map(|_| Arbiter::new().handle()).collect();
        if arbiters.is_empty() {
            arbiters.push(here.clone());
        }
        let journal = Journal::start(journal, config.max_buffered, config.call_timeout, here.clone());
        let registry = Arc::new(Self { ledger, clock, config, journal, users: Mutex::default(), arbiters });
        let weak = Arc::downgrade(&registry);
        here.spawn(async move {
            while let Some(_tick) = ticker.next().await {
                let Some(registry) = weak.upgrade() else { return };
                if lock(&registry.users).closed {
                    return;
                }
                registry.tick().await;
            }
        });
        registry
    }

    pub(super) fn call_timeout(&self) -> Duration {
        self.config.call_timeout
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The user's entry, with an actor that runs.
    pub(super) fn entry<E>(&self, user: UserId) -> Result<Arc<UserEntry>, CallError<E>> {
        let now = self.clock.now().timestamp_millis();
        let mut users = lock(&self.users);
        if users.closed {
            return Err(CallError::Stopped);
        }
        let entry = users.entries.entry(user).or_insert_with(|| Arc::new(self.open(user)));
        entry.last_used.store(now, Ordering::Relaxed);
        Ok(Arc::clone(entry))
    }

    fn open(&self, user: UserId) -> UserEntry {
        let outbox = Arc::new(Outbox::default());
        let config = ActorConfig { name: "account", queue: self.config.queue, revive: Revive::OnCall };
        let (ledger, shared, limit) =
            (Arc::clone(&self.ledger), Arc::clone(&outbox), self.config.call_timeout);
        let handle = Handle::start(config, self.arbiter(user), move || {
            UserActor::new(user, Arc::clone(&ledger), Arc::clone(&shared), limit)
        });
        UserEntry { user, handle, outbox, last_used: AtomicI64::new(0) }
    }

    fn arbiter(&self, user: UserId) -> ArbiterHandle {
        let count = i64::try_from(self.arbiters.len()).unwrap_or(1);
        let index = usize::try_from(user.get().rem_euclid(count)).unwrap_or(0);
        self.arbiters.get(index).cloned().unwrap_or_else(Arbiter::current)
    }

    fn entries(&self) -> Vec<Arc<UserEntry>> {
        lock(&self.users).entries.values().cloned().collect()
    }

    async fn tick(&self) {
        for entry in self.entries() {
            if entry.outbox.len() > 0 {
                entry.handle.tell(Nudge);
            }
        }
        self.end_idle();
        // A failure was logged and counted where it happened; the next tick repeats.
        drop(self.journal.flush(self.config.call_timeout).await);
    }

    fn end_idle(&self) {
        let idle = i64::try_from(self.config.idle_after.as_millis()).unwrap_or(i64::MAX);
        let before = self.clock.now().timestamp_millis().saturating_sub(idle);
        let mut users = lock(&self.users);
        let Users { entries, gone_restarts, gone_refused, .. } = &mut *users;
        entries.retain(|_, entry| {
            // Nobody can take another clone while the map is locked, so a count of one stays one.
            let keep = entry.last_used.load(Ordering::Relaxed) > before
                || Arc::strong_count(entry) > 1
                || entry.outbox.len() > 0;
            if !keep {
                // Dropping the last handle ends the actor.
                let last = entry.handle.snapshot();
                *gone_restarts += last.restarts;
                *gone_refused += last.refused;
            }
            keep
        });
    }

    pub(super) async fn flush_all(&self) -> Result<(), CallError<PortError>> {
        let mut outcome = self.journal.flush(self.config.call_timeout).await;
        for entry in self.entries() {
            if entry.outbox.len() == 0 {
                continue;
            }
            // Waiting for a ledger that is away once is enough, however many users there are.
            if outcome.is_ok() {
                outcome = entry.flush(self.config.call_timeout).await;
            } else {
                entry.handle.tell(Nudge);
            }
        }
        outcome
    }

    pub(super) async fn shutdown(&self) -> Result<(), CallError<PortError>> {
        if std::mem::replace(&mut lock(&self.users).closed, true) {
            return Ok(());
        }
        let outcome = self.flush_all().await;
        let until = Instant::now() + self.config.call_timeout;
        for entry in self.entries() {
            entry.handle.stop(until.saturating_duration_since(Instant::now())).await;
        }
        self.journal.stop(self.config.call_timeout).await;
        outcome
    }

    pub(super) fn snapshot(&self) -> AccountsSnapshot {
        let users = lock(&self.users);
        let mut snapshot = AccountsSnapshot {
            live: 0,
            queued: 0,
            restarts: users.gone_restarts,
            refused: users.gone_refused,
            unreleased: 0,
            buffered: self.journal.buffered(),
            dropped: self.journal.dropped(),
            failed_flushes: self.journal.failed(),
            journal: self.journal.snapshot(),
        };
        for entry in users.entries.values() {
            let one = entry.handle.snapshot();
            snapshot.live += usize::from(one.alive);
            snapshot.queued += one.queued;
            snapshot.restarts += one.restarts;
            snapshot.refused += one.refused;
            snapshot.unreleased += entry.outbox.len();
        }
        snapshot
    }
}
