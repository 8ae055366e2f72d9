//! A look into the database beside the server, on either engine by the same text.

use super::home::Home;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::time::Duration;

pub enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    /// The SQLite file of a home; locks are not waited for.
    pub async fn sqlite(home: &Home) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(home.path().join("data/cdn.db"))
            .foreign_keys(true)
            .busy_timeout(Duration::ZERO);
        Self::Sqlite(SqliteConnection::connect_with(&options).await.expect("the database"))
    }

    pub async fn postgres(url: &str) -> Self {
        Self::Postgres(PgConnection::connect(url).await.expect("the database"))
    }

    /// One number.
    pub async fn number(&mut self, sql: &str) -> i64 {
        let sql_text = AssertSqlSafe(sql.to_owned());
        let number = match self {
            Self::Sqlite(connection) => sqlx::query_scalar(sql_text).fetch_one(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(sql_text).fetch_one(connection).await,
        };
        number.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub async fn execute(&mut self, sql: &str) {
        let sql_text = AssertSqlSafe(sql.to_owned());
        let outcome = match self {
            Self::Sqlite(connection) => sqlx::raw_sql(sql_text).execute(connection).await.map(drop),
            Self::Postgres(connection) => sqlx::raw_sql(sql_text).execute(connection).await.map(drop),
        };
        outcome.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Whether a transaction of the server is open and has changed something.
    pub async fn has_open_change(&mut self) -> bool {
        match self {
            Self::Sqlite(connection) => {
                if sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.is_err() {
                    return true;
                }
                sqlx::raw_sql("ROLLBACK").execute(connection).await.expect("it was begun");
                false
            }
            Self::Postgres(_) => {
                let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                            AND state = 'idle in transaction' AND backend_xid IS NOT NULL";
                self.number(open).await > 0
            }
        }
    }

    pub async fn blobs_in_state(&mut self, state: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM blobs WHERE state = '{state}'")).await
    }

    /// Bytes and rows that are set aside for uploads under way.
    pub async fn reserved(&mut self) -> (i64, i64) {
        let bytes =
            self.number("SELECT CAST(COALESCE(SUM(storage_reserved), 0) AS BIGINT) FROM accounts").await;
        (bytes, self.number("SELECT COUNT(*) FROM reservations").await)
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.expect("it closes"),
            Self::Postgres(connection) => connection.close().await.expect("it closes"),
        }
    }
}
