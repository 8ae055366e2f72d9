//! All SQL of the server, over SQLite or PostgreSQL by the same text.
//!
//! Reads go through [`Db::q`]; every change goes through [`Db::write`].

pub mod access;
pub mod activity;
pub mod admin;
pub mod analytics;
pub mod api_keys;
pub mod audit;
pub mod blobs;
mod counters;
mod error;
pub mod events;
pub mod files;
pub mod folders;
pub mod guesses;
pub mod identities;
mod instances;
pub mod leases;
pub mod processing;
mod query;
mod quota;
pub mod renditions;
mod search;
pub mod sessions;
pub mod share_links;
pub mod shares;
mod stars;
pub mod temporary;
pub mod trash;
pub mod tree;
pub mod users;
pub mod versions;
mod writer;

pub use error::DbError;
pub use query::{Query, Row, Value, placeholders};

use crate::config::Config;
use cdn_actors::domain::ids::UserId;
use events::News;
use query::On;
use sqlx::{
    PgPool, Postgres, SqlitePool, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use writer::Writer;

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a write waits for another process's write on the same SQLite file.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a change waits for its turn on PostgreSQL.
const WRITE_WAIT: Duration = Duration::from_secs(15);
/// How often a transaction that lost against another is run again.
const MAX_ATTEMPTS: u32 = 6;

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub enum Db {
    Sqlite {
        readers: SqlitePool,
        writer: Writer,
        news: News,
    },
    /// Writers wait in a line of their own, so that many changes of one account, which run one after the
    /// other, leave connections for everybody else's reads.
    Postgres {
        pool: PgPool,
        writers: Arc<Semaphore>,
        news: News,
    },
}

/// Which engine is behind, for the few places where the dialects differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl Db {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// A URL that is none, a database that can't be reached, a migration that fails.
    pub async fn connect(config: &Config) -> Result<Self, DbError> {
        let url = &config.database.url;
        if url.starts_with("sqlite:") { open_sqlite(config).await } else { open_postgres(config).await }
    }

    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite { .. } => Engine::Sqlite,
            Self::Postgres { .. } => Engine::Postgres,
        }
    }

    /// Where this process hears of events that are committed.
    pub fn news(&self) -> &News {
        match self {
            Self::Sqlite { news, .. } | Self::Postgres { news, .. } => news,
        }
    }

    /// A statement that only reads.
    pub fn q(&self, sql: &'static str) -> Query<'_> {
        self.query(sql.into())
    }

    /// The same for text put together from literals and placeholders, never from input.
    pub fn q_built(&self, sql: String) -> Query<'_> {
        self.query(sql.into())
    }

    fn query(&self, sql: std::borrow::Cow<'static, str>) -> Query<'_> {
        let on = match self {
            Self::Sqlite { readers, .. } => On::SqlitePool(readers),
            Self::Postgres { pool, .. } => On::PostgresPool(pool),
        };
        Query { on, sql, values: Vec::new(), is_cached: true }
    }

    /// Runs a change in a transaction that is committed when the closure gives `Ok`.
    ///
    /// The closure may be run more than once, so it may not keep anything from one run to the next.
    /// The commit is durable when this returns.
    ///
    /// # Errors
    /// The closure's own, or the database's.
    pub async fn write<F, T, E>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + AsDbError + Send + 'static,
    {
        match self {
            Self::Sqlite { writer, .. } => writer.write(work).await,
            Self::Postgres { pool, writers, news } => {
                let turn = tokio::time::timeout(WRITE_WAIT, writers.acquire()).await;
                let _turn = turn.map_err(|_| DbError::Unavailable("too many writes are waiting".into()))?;
                write_postgres(pool, news, work).await
            }
        }
    }

    /// Ends all connections; the writer's thread ends with the last clone of this handle.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, .. } => readers.close().await,
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }
}

/// Lets a caller's error type say whether the database asks for another run.
pub trait AsDbError {
    fn as_db_error(&self) -> Option<&DbError>;
}

impl AsDbError for DbError {
    fn as_db_error(&self) -> Option<&DbError> {
        Some(self)
    }
}

async fn write_postgres<F, T, E>(pool: &PgPool, news: &News, work: F) -> Result<T, E>
where
    F: AsyncFn(&mut Tx) -> Result<T, E>,
    E: From<DbError> + AsDbError,
{
    let mut attempt = 1;
    loop {
        let transaction = pool.begin().await.map_err(DbError::from)?;
        let mut tx = Tx::new(TxOn::Postgres(transaction), news.clone());
        let outcome = match work(&mut tx).await {
            Ok(value) => tx.commit_postgres().await.map(|()| value).map_err(E::from),
            Err(error) => Err(error),
        };
        match outcome {
            Err(error)
                if attempt < MAX_ATTEMPTS && matches!(error.as_db_error(), Some(DbError::Conflict)) =>
            {
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// A transaction under way.
pub struct Tx {
    on: TxOn,
    /// Whether a statement other than a SELECT has run since the writer last looked.
    has_written: bool,
    /// Events of this transaction, for those who listen once it is committed.
    fresh: Vec<(UserId, i64)>,
    news: News,
}

enum TxOn {
    Sqlite(writer::WriterConnection),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    fn new(on: TxOn, news: News) -> Self {
        Self { on, has_written: false, fresh: Vec::new(), news }
    }

    fn sqlite(connection: writer::WriterConnection, news: News) -> Self {
        Self::new(TxOn::Sqlite(connection), news)
    }

    /// Wakes those who listen for what has been committed.
    fn announce(&mut self) {
        for (user, id) in self.fresh.drain(..) {
            self.news.tell(user, id);
        }
    }

    pub fn engine(&self) -> Engine {
        match self.on {
            TxOn::Sqlite(_) => Engine::Sqlite,
            TxOn::Postgres(_) => Engine::Postgres,
        }
    }

    /// A statement of this transaction.
    pub fn q(&mut self, sql: &'static str) -> Query<'_> {
        self.query(sql.into())
    }

    /// The same for text put together from literals and placeholders, never from input.
    pub fn q_built(&mut self, sql: String) -> Query<'_> {
        self.query(sql.into())
    }

    fn query(&mut self, sql: std::borrow::Cow<'static, str>) -> Query<'_> {
        self.has_written |= !sql.trim_start().starts_with("SELECT");
        let on = match &mut self.on {
            TxOn::Sqlite(connection) => On::Sqlite(connection),
            TxOn::Postgres(transaction) => On::Postgres(transaction),
        };
        Query { on, sql, values: Vec::new(), is_cached: true }
    }

    /// The clause that locks the rows of a SELECT; SQLite's one writer needs none.
    pub fn for_update(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE",
        }
    }

    async fn commit_postgres(self) -> Result<(), DbError> {
        if let TxOn::Postgres(transaction) = self.on {
            transaction.commit().await?;
        }
        for (user, id) in self.fresh {
            self.news.tell(user, id);
        }
        Ok(())
    }
}

async fn open_sqlite(config: &Config) -> Result<Db, DbError> {
    if let Some(folder) = sqlite_path(&config.database.url).parent() {
        std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
    }
    let options = SqliteConnectOptions::from_str(&config.database.url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .statement_cache_capacity(256)
        .pragma("temp_store", "memory")
        .pragma("cache_size", "-16384");
    let migrating = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    SQLITE_MIGRATIONS.run(&migrating).await.map_err(migration_error)?;
    migrating.close().await;
    let news = News::default();
    let writer = Writer::start(&options, news.clone()).await?;
    // All readers are opened at the start and kept: opening one takes several trips to its thread, which
    // a burst of requests would wait for.
    let readers = SqlitePoolOptions::new()
        .max_connections(config.database.max_connections)
        .min_connections(config.database.max_connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(config.database.acquire_timeout.duration())
        .connect_with(options.read_only(true).create_if_missing(false))
        .await?;
    Ok(Db::Sqlite { readers, writer, news })
}

/// The file behind a `sqlite:` URL.
pub fn sqlite_path(url: &str) -> PathBuf {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    PathBuf::from(path.split('?').next().unwrap_or(path))
}

async fn open_postgres(config: &Config) -> Result<Db, DbError> {
    let options = PgConnectOptions::from_str(&config.database.url)?
        .application_name("hackclub-cdn")
        .statement_cache_capacity(256)
        .options([("timezone", "UTC")]);
    let pool = PgPoolOptions::new()
        .max_connections(config.database.max_connections)
        .acquire_timeout(config.database.acquire_timeout.duration())
        .connect_with(options)
        .await?;
    POSTGRES_MIGRATIONS.run(&pool).await.map_err(migration_error)?;
    // A quarter of the connections is for reads only.
    let writers = config.database.max_connections.div_ceil(4).saturating_mul(3).max(1);
    let writers = Arc::new(Semaphore::new(usize::try_from(writers).unwrap_or(1)));
    Ok(Db::Postgres { pool, writers, news: News::default() })
}

fn migration_error(error: sqlx::migrate::MigrateError) -> DbError {
    DbError::Other(sqlx::Error::Migrate(Box::new(error)))
}
