//! Running server processes, and what those that died left behind.

use super::{Db, DbError, Tx};
use cdn_actors::domain::ids::InstanceId;
use chrono::{DateTime, Utc};

impl Db {
    pub async fn beat(&self, instance: InstanceId, now: DateTime<Utc>) -> Result<(), DbError> {
        self.write(async move |tx: &mut Tx| {
            tx.q("INSERT INTO instances (id, started_at, last_seen_at) VALUES ($1, $2, $2)
                  ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at")
                .bind(instance)
                .bind(now)
                .exec()
                .await
        })
        .await?;
        Ok(())
    }

    pub async fn forget_instance(&self, instance: InstanceId) -> Result<(), DbError> {
        self.write(async move |tx: &mut Tx| {
            tx.q("DELETE FROM leases WHERE instance_id = $1").bind(instance).exec().await?;
            tx.q("DELETE FROM instances WHERE id = $1").bind(instance).exec().await
        })
        .await?;
        Ok(())
    }

    /// For a database that only one server process may use: all others are dead.
    pub async fn forget_other_instances(&self, instance: InstanceId) -> Result<(), DbError> {
        self.write(async move |tx: &mut Tx| {
            tx.q("DELETE FROM leases WHERE instance_id <> $1").bind(instance).exec().await?;
            tx.q("DELETE FROM instances WHERE id <> $1").bind(instance).exec().await
        })
        .await?;
        Ok(())
    }

    /// Takes or renews a named lease; `false` while another process holds it.
    pub async fn take_lease(
        &self,
        name: &'static str,
        instance: InstanceId,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        self.write(async move |tx: &mut Tx| {
            let taken = tx
                .q("INSERT INTO leases (name, instance_id, expires_at) VALUES ($1, $2, $3)
                    ON CONFLICT (name) DO UPDATE SET instance_id = excluded.instance_id, expires_at = excluded.expires_at
                    WHERE leases.instance_id = excluded.instance_id OR leases.expires_at <= $4")
                .bind(name)
                .bind(instance)
                .bind(expires_at)
                .bind(now)
                .exec()
                .await?;
            Ok::<_, DbError>(taken == 1)
        })
        .await
    }

    pub async fn end_lease(&self, name: &'static str, instance: InstanceId) -> Result<(), DbError> {
        self.write(async move |tx: &mut Tx| {
            tx.q("DELETE FROM leases WHERE name = $1 AND instance_id = $2")
                .bind(name)
                .bind(instance)
                .exec()
                .await
        })
        .await?;
        Ok(())
    }

    /// Marks up to `limit` unfinished uploads of processes that are no more for removal.
    pub async fn discard_dead_uploads(
        &self,
        own: InstanceId,
        alive_since: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, DbError> {
        self.write(async move |tx: &mut Tx| {
            tx.q("UPDATE blobs SET state = 'deleting' WHERE state = 'pending' AND id IN
                    (SELECT id FROM blobs WHERE state = 'pending' AND instance_id <> $3 AND instance_id NOT IN
                        (SELECT id FROM instances WHERE last_seen_at >= $1) LIMIT $2)")
                .bind(alive_since)
                .bind(limit)
                .bind(own)
                .exec()
                .await
        })
        .await
    }

    pub async fn delete_dead_instances(&self, alive_since: DateTime<Utc>) -> Result<(), DbError> {
        self.write(async move |tx: &mut Tx| {
            tx.q("DELETE FROM instances WHERE last_seen_at < $1
                  AND id NOT IN (SELECT instance_id FROM reservations)
                  AND id NOT IN (SELECT instance_id FROM blobs WHERE state = 'pending')")
                .bind(alive_since)
                .exec()
                .await
        })
        .await?;
        Ok(())
    }
}
