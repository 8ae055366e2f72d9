//! The storage ledger: bytes used and reserved, on the account's row.

use super::{DbError, Tx};
use cdn_actors::domain::ids::{InstanceId, ReservationId, UserId};
use chrono::{DateTime, Utc};

impl Tx {
    /// Sets bytes aside under this id, or more under one that has some. The account must be locked and the
    /// caller must have seen that they fit.
    pub async fn add_reservation(
        &mut self,
        id: ReservationId,
        user: UserId,
        bytes: u64,
        instance: InstanceId,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO reservations (id, user_id, instance_id, bytes, created_at) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (id) DO UPDATE SET bytes = reservations.bytes + excluded.bytes")
            .bind(id)
            .bind(user)
            .bind(instance)
            .bind(bytes)
            .bind(now)
            .exec()
            .await?;
        self.q("UPDATE accounts SET storage_reserved = storage_reserved + $2 WHERE user_id = $1")
            .bind(user)
            .bind(bytes)
            .exec()
            .await?;
        Ok(())
    }

    /// Ends a reservation and gives its bytes; `None` when it has ended already.
    pub async fn end_reservation(&mut self, user: UserId, id: ReservationId) -> Result<Option<u64>, DbError> {
        let ended: Option<(i64,)> = self
            .q("DELETE FROM reservations WHERE id = $1 AND user_id = $2 RETURNING bytes")
            .bind(id)
            .bind(user)
            .opt()
            .await?;
        let Some((bytes,)) = ended else { return Ok(None) };
        self.q("UPDATE accounts SET storage_reserved = storage_reserved - $2 WHERE user_id = $1")
            .bind(user)
            .bind(bytes)
            .exec()
            .await?;
        Ok(Some(u64::try_from(bytes).unwrap_or(0)))
    }

    /// Ends up to `limit` reservations of processes that are no more; gives how many.
    pub async fn end_dead_reservations(
        &mut self,
        own: InstanceId,
        alive_since: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, DbError> {
        let lock = if self.for_update().is_empty() { "" } else { " FOR UPDATE SKIP LOCKED" };
        let dead: Vec<(uuid::Uuid, i64)> = self
            .q_built(format!(
                "SELECT id, user_id FROM reservations WHERE instance_id <> $3 AND instance_id NOT IN
                     (SELECT id FROM instances WHERE last_seen_at >= $1) ORDER BY user_id LIMIT $2{lock}"
            ))
            .bind(alive_since)
            .bind(limit)
            .bind(own)
            .all()
            .await?;
        for (id, user) in &dead {
            self.end_reservation(UserId(*user), ReservationId(*id)).await?;
        }
        Ok(dead.len() as u64)
    }

    /// Adds to what is used; negative frees.
    pub async fn add_to_storage_used(&mut self, user: UserId, bytes: i64) -> Result<(), DbError> {
        self.q("UPDATE accounts SET storage_used = storage_used + $2 WHERE user_id = $1")
            .bind(user)
            .bind(bytes)
            .exec()
            .await?;
        Ok(())
    }
}
