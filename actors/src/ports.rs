//! What the actors need from outside, as small traits shaped by the actor that calls them.

use crate::domain::{
    ids::{FileId, ReservationId, TokenHash, UserId},
    quota::Usage,
};
use chrono::{DateTime, Utc};
use std::{future::Future, pin::Pin, time::Duration};

/// A port's answer. Deliberately not `Send`: it is polled on the arbiter of the actor that asked.
/// An implementation must not depend on being polled to the end: a dropped call is a call whose
/// outcome nobody knows.
pub type PortFuture<T> = Pin<Box<dyn Future<Output = Result<T, PortError>>>>;

/// Why a port has no answer. `Clone`, because one failed batch is reported to many callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Away for now: another try later may work.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// No room left for what was asked to be written.
    #[error("no space left")]
    Full,
    /// A defect: trying again will not help.
    #[error("failed: {0}")]
    Failed(String),
}

/// Gives a call up after `limit`: a port that never answers must not hold up its actor for ever.
pub(crate) async fn within<T>(limit: Duration, call: PortFuture<T>) -> Result<T, PortError> {
    tokio::time::timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(PortError::Unavailable("no answer in time".to_owned())))
}

/// The bytes somebody wants set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaAsk {
    pub id: ReservationId,
    pub bytes: u64,
}

/// The answer to one [`QuotaAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaAnswer {
    Granted,
    /// It does not fit. The usage is the one that was compared, earlier grants of the batch included.
    Refused(Usage),
    UnknownUser,
}

/// Keeps reservations; called by a user's account actor, one call at a time for each user and process.
pub trait QuotaLedger: Send + Sync + 'static {
    /// Admits greedily in the order given, in one transaction, and answers in the same order.
    /// An ask with the id of an existing reservation of the user makes that one larger by `bytes`.
    fn reserve(&self, user: UserId, asks: Vec<QuotaAsk>) -> PortFuture<Vec<QuotaAnswer>>;

    /// Gives reservations back whole. Ids that are unknown, committed or given back already are no error.
    fn release(&self, user: UserId, ids: Vec<ReservationId>) -> PortFuture<()>;

    /// `None` for an unknown user.
    fn usage(&self, user: UserId) -> PortFuture<Option<Usage>>;
}

/// What was done with a public file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessKind {
    View,
    Download,
}

/// One view or download, as the owner's statistics keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEvent {
    pub owner: UserId,
    pub file: FileId,
    pub kind: AccessKind,
    /// `None` for an anonymous visitor.
    pub accessor: Option<UserId>,
    pub at: DateTime<Utc>,
    /// Until the first byte of the answer, in milliseconds.
    pub response_ms: u32,
    pub referrer_domain: String,
    pub ip_address: Option<String>,
    pub user_agent: String,
    pub country_code: String,
}

/// Keeps views and downloads.
pub trait AccessJournal: Send + Sync + 'static {
    /// Writes the events, oldest first, all or none. A batch whose outcome was not learnt is sent again.
    fn append(&self, events: Vec<AccessEvent>) -> PortFuture<()>;
}

/// How much of the trash is past its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DueTrash {
    /// Items that a purge would remove now.
    pub due: u64,
    /// All items in the trash, those due included.
    pub total: u64,
}

/// What one purge removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    pub items: u64,
    pub bytes: u64,
}

/// The janitor's hands. A call with a `limit` does at most that many items, so that no transaction
/// grows large; the janitor calls again until less than the limit was done.
pub trait Custodian: Send + Sync + 'static {
    /// Notes that this process is alive, so that nobody reclaims what it is working on.
    fn heartbeat(&self, now: DateTime<Utc>) -> PortFuture<()>;

    /// Takes the one janitor's lease, or renews it for its holder. `false`: another process has it.
    fn acquire_lease(&self, now: DateTime<Utc>) -> PortFuture<bool>;

    /// Gives the lease up early. Without effect for anybody but the holder.
    fn release_lease(&self) -> PortFuture<()>;

    /// Counts the trash, as the guard against a jumping clock wants to know it.
    fn due(&self, now: DateTime<Utc>) -> PortFuture<DueTrash>;

    /// Removes trash past its time, for good.
    fn purge_trash(&self, now: DateTime<Utc>, limit: u32) -> PortFuture<Purged>;

    /// Removes objects that no file refers to, and says how many.
    fn collect_blobs(&self, now: DateTime<Utc>, limit: u32) -> PortFuture<u64>;

    /// Clears the reservations and unfinished uploads of processes without a recent heartbeat.
    fn reclaim_dead(&self, now: DateTime<Utc>, limit: u32) -> PortFuture<u64>;

    /// Clears expired sessions and codes.
    fn clear_expired(&self, now: DateTime<Utc>, limit: u32) -> PortFuture<u64>;
}

/// Somebody who wants to download by a share's link, as its access log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// `None` for a visitor who is not signed in.
    pub user: Option<UserId>,
    pub ip_address: Option<String>,
    pub user_agent: String,
    pub at: DateTime<Utc>,
}

/// The answer to a batch of visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// So many of them, the first ones, were counted; the limit has no room for the rest.
    Admitted(usize),
    /// The link admits nobody: it is gone, has expired, or its downloads are off.
    Closed,
}

/// Keeps count of the downloads of shares; called by the shares actor, one call at a time for each link and process.
pub trait DownloadGate: Send + Sync + 'static {
    /// Counts and logs as many of the visits as the limit admits, in one transaction.
    fn admit(&self, token: TokenHash, visits: Vec<Visit>) -> PortFuture<Admission>;
}
