//! What can go wrong below the SQL, told apart by what the caller should do.

/// A database error.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database is away or too busy: the same call may work in a moment.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// No room left for a write.
    #[error("the database's disk is full")]
    Full,
    #[error("a unique key is taken")]
    UniqueViolation,
    #[error("no row")]
    RowNotFound,
    /// Two transactions got in each other's way; running the work again is right.
    #[error("the transaction must be run again")]
    Conflict,
    #[error(transparent)]
    Other(sqlx::Error),
}

/// SQLite's primary result codes: https://www.sqlite.org/rescode.html
const SQLITE_BUSY: &str = "5";
const SQLITE_FULL: &str = "13";

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::RowNotFound,
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            sqlx::Error::Database(database) => {
                if database.is_unique_violation() {
                    return Self::UniqueViolation;
                }
                match database.code().as_deref() {
                    // PostgreSQL, appendix A: serialization_failure, deadlock_detected.
                    Some("40001" | "40P01") => Self::Conflict,
                    // disk_full, and SQLite's.
                    Some("53100" | SQLITE_FULL) => Self::Full,
                    Some(SQLITE_BUSY) => Self::Unavailable("locked".into()),
                    // Class 57: shut down, starting up; class 08: connection; 53300: too many connections.
                    Some(code) if code.starts_with("57P") || code.starts_with("08") || code == "53300" => {
                        Self::Unavailable(database.to_string())
                    }
                    _ => Self::Other(error),
                }
            }
            _ => Self::Other(error),
        }
    }
}
