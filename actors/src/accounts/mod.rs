//! Quota reservations and activity: one actor a user that is at work, and one journal for all.
//!
//! The database decides; what is here is a batch. Reservations that many uploads of one user ask for
//! while a ledger call is running go into the next call together, so a burst costs a few
//! transactions and every limit still holds in the database's own statement.

mod journal;
mod registry;
mod reservation;
mod user;

pub use reservation::Reservation;

use crate::{
    domain::{clock::Clock, ids::UserId, quota::Usage},
    ports::{AccessEvent, AccessJournal, PortError, QuotaLedger},
    runtime::{ActorSnapshot, CallError, Ticker},
};
use registry::Registry;
use std::{sync::Arc, time::Duration};

/// Why the ledger did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// It does not fit; with the usage it was compared with.
    #[error("the quota is exceeded")]
    Exceeded(Usage),
    #[error("there is no such user")]
    UnknownUser,
    /// The ledger is away for now.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// The ledger has no room left to write to.
    #[error("the ledger is full")]
    Full,
    /// The ledger has a defect; trying again will not help.
    #[error("the ledger failed: {0}")]
    Failed(String),
}

impl From<PortError> for QuotaError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Unavailable(reason) => Self::Unavailable(reason),
            PortError::Full => Self::Full,
            PortError::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// How the accounts work. The default suits a server of any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsConfig {
    /// Calls that may wait for one user's actor; more are `Busy`.
    pub queue: usize,
    /// Deadline of a call, and the longest that one ledger or journal call may take.
    pub call_timeout: Duration,
    /// A user's actor without work for this long is ended.
    pub idle_after: Duration,
    /// The oldest that buffered activity gets.
    pub flush_every: Duration,
    /// Activity kept in memory, in events, all users together; more is dropped and counted.
    pub max_buffered: usize,
    /// Threads for the users' actors; 0 runs them on the arbiter that starts the accounts.
    pub arbiters: usize,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            queue: 256,
            call_timeout: Duration::from_secs(5),
            idle_after: Duration::from_secs(300),
            flush_every: Duration::from_secs(1),
            max_buffered: 10_000,
            arbiters: 1,
        }
    }
}

/// All accounts at one moment, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsSnapshot {
    /// Users with an actor.
    pub live: usize,
    /// Calls queued or running, all users together.
    pub queued: usize,
    /// Users' actors started in the place of dead ones, since the start.
    pub restarts: u64,
    /// Calls refused because a user's queue was full, since the start.
    pub refused: u64,
    /// Reservations given back that the ledger does not know of yet.
    pub unreleased: usize,
    /// Events that wait to be written.
    pub buffered: usize,
    /// Events dropped because the buffer was full, since the start.
    pub dropped: u64,
    /// Journal writes that failed (and were or will be repeated), since the start.
    pub failed_flushes: u64,
    pub journal: ActorSnapshot,
}

/// The handle to all accounts. Clones are cheap and reach the same accounts.
#[derive(Clone)]
pub struct Accounts(Arc<Registry>);

impl Accounts {
    /// Starts with a tick every `config.flush_every`.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start(
        ledger: Arc<dyn QuotaLedger>,
        journal: Arc<dyn AccessJournal>,
        clock: Arc<dyn Clock>,
        config: AccountsConfig,
    ) -> Self {
        let ticker = Ticker::every(config.flush_every);
        Self::start_ticked(ledger, journal, clock, config, ticker)
    }

    /// Starts with the given ticks. Each writes the buffered activity, gives back what could not be
    /// given back before, and ends idle actors.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start_ticked(
        ledger: Arc<dyn QuotaLedger>,
        journal: Arc<dyn AccessJournal>,
        clock: Arc<dyn Clock>,
        config: AccountsConfig,
        ticker: Ticker,
    ) -> Self {
        Self(Registry::start(ledger, journal, clock, config, ticker))
    }

    /// Sets `bytes` aside for an upload of `user`. They are given back when the reservation is
    /// dropped, also when this future is dropped before it is ready.
    ///
    /// # Errors
    /// `Domain` when the ledger refused or could not be asked; the others as in [`CallError`].
    pub async fn reserve(&self, user: UserId, bytes: u64) -> Result<Reservation, CallError<QuotaError>> {
        Reservation::make(self.0.entry(user)?, bytes, self.0.call_timeout()).await
    }

    /// What the user has stored and reserved.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve), without `Exceeded`.
    pub async fn usage(&self, user: UserId) -> Result<Usage, CallError<QuotaError>> {
        self.0.entry(user)?.usage(self.0.call_timeout()).await
    }

    /// Notes a view or download. Never waits; when too much is buffered the event is dropped and counted.
    pub fn record(&self, event: AccessEvent) {
        self.0.journal().record(event);
    }

    /// Writes all buffered activity and gives back all dropped reservations, and waits for it.
    ///
    /// # Errors
    /// The first that came up; what was not written is left to later ticks.
    pub async fn flush_all(&self) -> Result<(), CallError<PortError>> {
        self.0.flush_all().await
    }

    /// Refuses new calls, lets those in hand finish, writes what is buffered, and ends the actors.
    /// Call it when no request is in flight any more. Without effect the second time.
    ///
    /// # Errors
    /// What could not be written. The reservations among it are reclaimed by the next janitor.
    pub async fn shutdown(&self) -> Result<(), CallError<PortError>> {
        self.0.shutdown().await
    }

    /// The accounts now.
    pub fn snapshot(&self) -> AccountsSnapshot {
        self.0.snapshot()
    }
}
