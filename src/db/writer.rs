//! The one writer of a SQLite database: many callers' changes, one transaction, one fsync, then the answers.
//!
//! Each change is a closure over the transaction. A batch runs plainly; when one change fails after it
//! wrote something, the whole batch is rolled back and every change runs again in a transaction of its
//! own. So closures must be repeatable: they may not keep anything from one run to the next.

use super::{DbError, Tx, events::News};
use futures_util::{FutureExt, future::LocalBoxFuture};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use std::panic::AssertUnwindSafe;
use tokio::sync::{mpsc, oneshot};

/// Most changes in one transaction; beyond a few hundred the commit's share of the cost is gone.
const BATCH: usize = 256;
/// Most changes waiting; a full queue is refused, not absorbed.
const QUEUE: usize = 4096;

/// The sending end; every clone of `Db` has one.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Box<dyn Change>>,
}

trait Change: Send {
    /// Runs once and keeps the outcome; `true` when it succeeded.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> LocalBoxFuture<'a, bool>;
    /// Answers the caller; `lost` when the transaction did not commit.
    fn answer(self: Box<Self>, lost: Option<DbError>);
}

struct Pending<F, T, E> {
    work: F,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Change for Pending<F, T, E>
where
    F: AsyncFn(&mut Tx) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> LocalBoxFuture<'a, bool> {
        async move {
            // A panic in one caller's closure must not take the writer, and all later writes, with it.
            let outcome = AssertUnwindSafe((self.work)(tx))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(DbError::Other(sqlx::Error::WorkerCrashed).into()));
            let is_ok = outcome.is_ok();
            self.outcome = Some(outcome);
            is_ok
        }
        .boxed_local()
    }

    fn answer(self: Box<Self>, lost: Option<DbError>) {
        let answer = match (lost, self.outcome) {
            (Some(error), Some(Ok(_)) | None) => Err(error.into()),
            (_, Some(outcome)) => outcome,
            (None, None) => Err(DbError::Unavailable("the change was not run".into()).into()),
        };
        // A caller that went away changes nothing: what is committed is committed.
        let _ = self.reply.send(answer);
    }
}

impl Writer {
    /// Starts the writer's thread on a connection of its own.
    ///
    /// # Errors
    /// When the database can't be opened or the thread can't be started.
    pub async fn start(options: &SqliteConnectOptions, news: News) -> Result<Self, DbError> {
        let connection = options.connect().await?;
        let (queue, changes) = mpsc::channel(QUEUE);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(sqlx::Error::Io)?;
        std::thread::Builder::new()
            .name("db-writer".into())
            .spawn(move || runtime.block_on(write_batches(Tx::sqlite(connection, news), changes)))
            .map_err(sqlx::Error::Io)?;
        Ok(Self { queue })
    }

    /// Runs one change, in a transaction shared with others.
    ///
    /// # Errors
    /// The closure's own, or the database's.
    pub async fn write<F, T, E>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Box::new(Pending { work, outcome: None, reply }))
            .map_err(|_| DbError::Unavailable("the write queue is full".into()))?;
        answer.await.unwrap_or_else(|_| Err(DbError::Unavailable("the writer stopped".into()).into()))
    }
}

async fn write_batches(mut tx: Tx, mut changes: mpsc::Receiver<Box<dyn Change>>) {
    let mut batch = Vec::new();
    while changes.recv_many(&mut batch, BATCH).await > 0 {
        let mut batch_now = std::mem::take(&mut batch);
        match run_together(&mut tx, &mut batch_now).await {
            Together::Committed => batch_now.into_iter().for_each(|change| change.answer(None)),
            Together::NotBegun(error) | Together::NotCommitted(error) if batch_now.len() == 1 => {
                batch_now.into_iter().for_each(|change| change.answer(Some(copy_of(&error))));
            }
            Together::NotBegun(_) | Together::NotCommitted(_) | Together::Spoilt => {
                for mut change in batch_now {
                    let lost = run_alone(&mut tx, change.as_mut()).await;
                    change.answer(lost);
                }
            }
        }
    }
}

enum Together {
    Committed,
    /// A change failed after it had written.
    Spoilt,
    NotBegun(DbError),
    NotCommitted(DbError),
}

async fn run_together(tx: &mut Tx, batch: &mut [Box<dyn Change>]) -> Together {
    if let Err(error) = begin(tx).await {
        return Together::NotBegun(error);
    }
    for change in batch {
        tx.has_written = false;
        if !change.run(tx).await && tx.has_written {
            rollback(tx).await;
            return Together::Spoilt;
        }
    }
    match commit(tx).await {
        Ok(()) => Together::Committed,
        Err(error) => {
            rollback(tx).await;
            Together::NotCommitted(error)
        }
    }
}

/// The error that kept the change from being committed, if the change itself succeeded.
async fn run_alone(tx: &mut Tx, change: &mut dyn Change) -> Option<DbError> {
    if let Err(error) = begin(tx).await {
        return Some(error);
    }
    if !change.run(tx).await {
        rollback(tx).await;
        return None;
    }
    match commit(tx).await {
        Ok(()) => None,
        Err(error) => {
            rollback(tx).await;
            Some(error)
        }
    }
}

async fn begin(tx: &mut Tx) -> Result<(), DbError> {
    tx.fresh.clear();
    execute(tx, "BEGIN IMMEDIATE").await
}

async fn commit(tx: &mut Tx) -> Result<(), DbError> {
    execute(tx, "COMMIT").await?;
    tx.announce();
    Ok(())
}

/// SQLite may have rolled back by itself (full disk, I/O error); then there is nothing to undo.
async fn rollback(tx: &mut Tx) {
    let _ = execute(tx, "ROLLBACK").await;
}

async fn execute(tx: &mut Tx, sql: &'static str) -> Result<(), DbError> {
    tx.q(sql).exec().await.map(|_| ())
}

/// A transaction's one error, for each of its callers.
fn copy_of(error: &DbError) -> DbError {
    match error {
        DbError::Full => DbError::Full,
        DbError::UniqueViolation => DbError::UniqueViolation,
        DbError::Conflict => DbError::Conflict,
        DbError::RowNotFound => DbError::RowNotFound,
        DbError::Unavailable(reason) => DbError::Unavailable(reason.clone()),
        DbError::Other(error) => DbError::Unavailable(error.to_string()),
    }
}

/// Keeps the connection's type in one place.
pub(super) type WriterConnection = SqliteConnection;
