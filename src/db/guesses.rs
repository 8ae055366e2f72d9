//! Counters of attempts to guess a secret; each begins anew when its window is over.

use super::{Db, DbError, Tx, placeholders};
use chrono::{DateTime, Utc};
use sqlx::FromRow;

#[derive(Debug, Clone, FromRow)]
pub struct GuessRow {
    pub key: Vec<u8>,
    pub taken: i64,
    pub window_ends_at: DateTime<Utc>,
}

impl Db {
    /// The counters of these keys whose windows are open.
    pub async fn count_guesses(
        &self,
        keys: &[Vec<u8>],
        now: DateTime<Utc>,
    ) -> Result<Vec<GuessRow>, DbError> {
        let places = placeholders(2, keys.len());
        self.q_built(format!(
            "SELECT key, taken, window_ends_at FROM guesses WHERE window_ends_at > $1 AND key IN ({places})"
        ))
        .bind(now)
        .bind_all(keys)
        .all()
        .await
    }
}

impl Tx {
    /// Adds one to each counter and gives what they are then. Give the keys in order, so that two transactions
    /// never wait for each other.
    pub async fn add_guess(
        &mut self,
        keys: &[Vec<u8>],
        now: DateTime<Utc>,
        window_ends_at: DateTime<Utc>,
    ) -> Result<Vec<GuessRow>, DbError> {
        let rows: Vec<_> = (0..keys.len()).map(|at| format!("(${}, 1, $2)", at + 3)).collect();
        let rows = rows.join(", ");
        self.q_built(format!(
            "INSERT INTO guesses (key, taken, window_ends_at) VALUES {rows}
             ON CONFLICT (key) DO UPDATE SET
                 taken = CASE WHEN guesses.window_ends_at > $1 THEN guesses.taken + 1 ELSE 1 END,
                 window_ends_at = CASE WHEN guesses.window_ends_at > $1 THEN guesses.window_ends_at ELSE $2 END
             RETURNING key, taken, window_ends_at"
        ))
        .bind(now)
        .bind(window_ends_at)
        .bind_all(keys)
        .all()
        .await
    }

    /// Takes one off each counter.
    pub async fn subtract_guess(&mut self, keys: &[Vec<u8>]) -> Result<(), DbError> {
        let places = placeholders(1, keys.len());
        self.q_built(format!("UPDATE guesses SET taken = taken - 1 WHERE taken > 0 AND key IN ({places})"))
            .bind_all(keys)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn forget_guess(&mut self, key: &Vec<u8>) -> Result<(), DbError> {
        self.q("DELETE FROM guesses WHERE key = $1").bind(key).exec().await?;
        Ok(())
    }

    /// Removes up to `limit` counters whose windows are over.
    pub async fn delete_expired_guesses(&mut self, now: DateTime<Utc>, limit: u32) -> Result<u64, DbError> {
        self.q(
            "DELETE FROM guesses WHERE key IN (SELECT key FROM guesses WHERE window_ends_at <= $1 LIMIT $2)",
        )
        .bind(now)
        .bind(limit)
        .exec()
        .await
    }
}
