//! What the actors need from outside, as small traits shaped by the actor that calls them.

use crate::domain::{
    ids::{FileId, JobId, LeaseId, ReservationId, TokenHash, UserId},
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

/// What the host of an upload answered, to be passed back as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAnswer {
    pub status: u16,
    pub content_type: Option<String>,
    /// `X-Expires`, as the host wrote it.
    pub expires: Option<String>,
    /// `X-Token`, with which the file can be managed at the host.
    pub token: Option<String>,
    pub body: Vec<u8>,
}

/// Why an attempt to upload brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The host can't be reached, or hung up before it answered.
    #[error("no connection: {0}")]
    Connection(String),
    /// Too slow: the attempt's time is over, or nothing moved for too long.
    #[error("timed out: {0}")]
    Timeout(String),
    /// The host answered something that can't be passed on as its answer.
    #[error("unusable answer: {0}")]
    Answer(String),
    /// The bytes to be uploaded are not to be had.
    #[error("no bytes to send: {0}")]
    Source(String),
    /// A defect on our side.
    #[error("failed: {0}")]
    Failed(String),
}

impl AttemptError {
    /// Whether the same attempt may work a moment later. An answer of the host, whatever it says, is final.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Timeout(_))
    }
}

/// A step of an upload. Not `Send`: it is polled on the arbiter of the actor, and given up by being dropped.
pub type AttemptFuture<T> = Pin<Box<dyn Future<Output = Result<T, AttemptError>>>>;

/// A file on its way to a host elsewhere; called by the uploading actor, one call at a time.
pub trait HostUpload: Send + Sync + 'static {
    /// Waits until the given attempt (from 1) has what it needs, and tells the file's size in bytes.
    fn prepare(&self, attempt: u32) -> AttemptFuture<u64>;

    /// Sends the file once and waits for the answer. Gives up by itself after `limit`, in which time spent
    /// waiting for bytes of the file doesn't count.
    fn attempt(&self, limit: Duration) -> AttemptFuture<HostAnswer>;
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
    fn due(&self, as_of: DateTime<Utc>) -> PortFuture<DueTrash>;

    /// Removes trash that was past its time at that moment, for good. What came due since then stays: the
    /// guard has not counted it.
    fn purge_trash(&self, as_of: DateTime<Utc>, limit: u32) -> PortFuture<Purged>;

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

/// A job that this process works on until the lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLease {
    pub job: JobId,
    pub lease: LeaseId,
    /// This one included: 1 is the first.
    pub attempt: u32,
    pub max_attempts: u32,
}

/// How a turn at a job ended that brought no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// For good, with what its owner reads.
    Failed { message: String },
    /// Another attempt is due at that time.
    Postponed { message: String, due_at: DateTime<Utc> },
    /// Not the job's fault: the turn counts as none.
    Returned { due_at: DateTime<Utc> },
}

/// Jobs that are not finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenJobs {
    /// Those included that are due later only.
    pub waiting: u64,
    /// In every process.
    pub leased: u64,
}

/// Where thumbnail jobs are kept. Every process has one over the same jobs.
pub trait JobStore: Send + Sync + 'static {
    /// Takes up to `limit` due jobs for this process, the most urgent first.
    fn lease(&self, now: DateTime<Utc>, expires_at: DateTime<Utc>, limit: u32) -> PortFuture<Vec<JobLease>>;

    /// Prolongs the leases of this process's jobs.
    fn renew(&self, jobs: Vec<JobId>, expires_at: DateTime<Utc>) -> PortFuture<()>;

    /// Puts jobs back whose lease is over, or whose process is no more, or that this process took and
    /// doesn't know of (`running` are those it does), and says how many.
    fn reclaim(&self, now: DateTime<Utc>, running: Vec<JobId>) -> PortFuture<u64>;

    /// Ends a turn. Without effect when its lease is over.
    fn end(&self, lease: JobLease, end: JobEnd) -> PortFuture<()>;

    fn count_open(&self) -> PortFuture<OpenJobs>;
}

/// What came of working on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// The result is recorded, and the job with it.
    Completed,
    /// The lease is over or the file has other content by now: nothing was recorded.
    Superseded,
    /// `message` is for the file's owner. Permanent: another attempt can't help.
    Failed { message: String, is_permanent: bool },
}

/// Does the work of one job: gets the source, renders it, stores and records the result. The returned
/// future may be dropped at any point; then nothing is left behind. An error is one of the
/// infrastructure, not of the job.
pub trait JobRunner: Send + Sync + 'static {
    fn run(&self, lease: JobLease) -> PortFuture<JobOutcome>;
}
