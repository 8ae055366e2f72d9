//! Blobs and who refers to them. A blob is `pending` while it is written, `live` once a file refers to it, and
//! `deleting` from the moment nobody may take a new reference until its object is gone.

use super::{Db, DbError, Tx};
use cdn_actors::domain::{
    hash::Sha256,
    ids::{BlobId, InstanceId, UserId},
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

impl Db {
    /// Up to `limit` blobs whose object is to be removed.
    pub async fn list_deleting_blobs(&self, limit: u32) -> Result<Vec<BlobId>, DbError> {
        let rows: Vec<(Uuid,)> =
            self.q("SELECT id FROM blobs WHERE state = 'deleting' LIMIT $1").bind(limit).all().await?;
        Ok(rows.into_iter().map(|(id,)| BlobId(id)).collect())
    }
}

impl Tx {
    /// Records the intent to write a blob, before its first byte.
    pub async fn insert_pending_blob(
        &mut self,
        id: BlobId,
        instance: InstanceId,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO blobs (id, state, instance_id, created_at) VALUES ($1, 'pending', $2, $3)")
            .bind(id)
            .bind(instance)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    /// Takes a reference to the live blob with this content, if there is one.
    pub async fn reuse_blob(&mut self, sha256: &Sha256) -> Result<Option<BlobId>, DbError> {
        let found: Option<(Uuid,)> = self
            .q("UPDATE blobs SET ref_count = ref_count + 1 WHERE sha256 = $1 AND state = 'live' RETURNING id")
            .bind(sha256)
            .opt()
            .await?;
        Ok(found.map(|(id,)| BlobId(id)))
    }

    /// Makes a written blob live with its first reference; `false` when it was given up meanwhile.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when the same content became live in this moment: run again, and reuse it.
    pub async fn publish_blob(&mut self, id: BlobId, sha256: &Sha256, size: u64) -> Result<bool, DbError> {
        let changed = self
            .q("UPDATE blobs SET state = 'live', sha256 = $2, size = $3, ref_count = 1
                WHERE id = $1 AND state = 'pending'")
            .bind(id)
            .bind(sha256)
            .bind(size)
            .exec()
            .await
            .map_err(|error| match error {
                DbError::UniqueViolation => DbError::Conflict,
                error => error,
            })?;
        Ok(changed == 1)
    }

    /// Marks a written blob that nothing refers to for removal; `false` when it is live or gone.
    pub async fn discard_pending_blob(&mut self, id: BlobId) -> Result<bool, DbError> {
        let changed = self
            .q("UPDATE blobs SET state = 'deleting' WHERE id = $1 AND state = 'pending'")
            .bind(id)
            .exec()
            .await?;
        Ok(changed == 1)
    }

    /// Counts an owner's reference; `true` when it is the owner's first, which the quota is charged for.
    pub async fn add_blob_owner(&mut self, user: UserId, blob: BlobId) -> Result<bool, DbError> {
        let references: i64 = self
            .q("INSERT INTO blob_owners (user_id, blob_id, ref_count) VALUES ($1, $2, 1)
                ON CONFLICT (user_id, blob_id) DO UPDATE SET ref_count = blob_owners.ref_count + 1
                RETURNING ref_count")
            .bind(user)
            .bind(blob)
            .scalar()
            .await?;
        Ok(references == 1)
    }

    /// Forgets a blob whose object has been removed.
    pub async fn delete_removed_blob(&mut self, id: BlobId) -> Result<(), DbError> {
        self.q("DELETE FROM blobs WHERE id = $1 AND state = 'deleting'").bind(id).exec().await?;
        Ok(())
    }
}
