//! Blobs and who refers to them. A blob is `pending` while it is written, `live` once a file refers to it, and
//! `deleting` from the moment nobody may take a new reference until its object is gone.

use super::{Db, DbError, Tx, Value, placeholders};
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

    /// Takes references of one owner back: the last one frees the owner's quota, and nobody's reference
    /// left marks the blob for removal. Gives the bytes freed.
    pub async fn release_blobs(&mut self, user: UserId, references: &[(Uuid, i64)]) -> Result<i64, DbError> {
        let mut freed = 0;
        for chunk in references.chunks(RELEASE_CHUNK) {
            freed += self.release_chunk(user, chunk).await?;
        }
        Ok(freed)
    }

    async fn release_chunk(&mut self, user: UserId, references: &[(Uuid, i64)]) -> Result<i64, DbError> {
        let rows: Vec<_> =
            (0..references.len()).map(|i| format!("(${}, ${})", 2 * i + 2, 2 * i + 3)).collect();
        let refs = format!("WITH refs (blob_id, n) AS (VALUES {}) ", rows.join(","));
        let mut values = vec![Value::from(user)];
        for (blob, count) in references {
            values.push((*blob).into());
            values.push((*count).into());
        }
        let freed: i64 = self
            .q_built(format!(
                "{refs} SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM refs r
                 JOIN blob_owners o ON o.blob_id = r.blob_id AND o.user_id = $1 AND o.ref_count <= r.n
                 JOIN blobs b ON b.id = r.blob_id"
            ))
            .bind_all(values.clone())
            .scalar()
            .await?;
        self.q_built(format!(
            "{refs} DELETE FROM blob_owners WHERE user_id = $1 AND EXISTS
                 (SELECT 1 FROM refs r WHERE r.blob_id = blob_owners.blob_id AND blob_owners.ref_count <= r.n)"
        ))
        .bind_all(values.clone())
        .exec()
        .await?;
        self.q_built(format!(
            "{refs} UPDATE blob_owners SET ref_count = blob_owners.ref_count - r.n FROM refs r
             WHERE blob_owners.user_id = $1 AND blob_owners.blob_id = r.blob_id"
        ))
        .bind_all(values.clone())
        .exec()
        .await?;
        self.q_built(format!(
            "{refs} UPDATE blobs SET ref_count = blobs.ref_count - r.n,
                 state = CASE WHEN blobs.ref_count <= r.n THEN 'deleting' ELSE blobs.state END
             FROM refs r WHERE blobs.id = r.blob_id AND CAST($1 AS BIGINT) IS NOT NULL"
        ))
        .bind_all(values)
        .exec()
        .await?;
        let blobs: Vec<Uuid> = references.iter().map(|(blob, _)| *blob).collect();
        self.drop_renditions_of_removed(&blobs).await?;
        Ok(freed)
    }

    /// Deletes files with their versions, stars and statistics, and gives their quota back. They must be
    /// in the trash: the counts of living things don't change.
    pub async fn delete_files(&mut self, user: UserId, files: &[Uuid]) -> Result<i64, DbError> {
        let list = placeholders(1, files.len());
        let references: Vec<(Uuid, i64)> = self
            .q_built(format!(
                "SELECT blob_id, COUNT(*) FROM (
                     SELECT blob_id FROM files WHERE id IN ({list}) AND blob_id IS NOT NULL
                     UNION ALL SELECT blob_id FROM file_versions WHERE file_id IN ({list}) AND blob_id IS NOT NULL
                 ) AS c GROUP BY blob_id ORDER BY blob_id"
            ))
            .bind_all(files.iter().copied())
            .all()
            .await?;
        let charged: i64 = self
            .q_built(format!(
                "SELECT CAST(COALESCE((SELECT SUM(charged) FROM files WHERE id IN ({list})), 0)
                     + COALESCE((SELECT SUM(charged) FROM file_versions WHERE file_id IN ({list})), 0) AS BIGINT)"
            ))
            .bind_all(files.iter().copied())
            .scalar()
            .await?;
        // Those of registered contents; a stored one's go with its blob.
        self.drop_renditions(files).await?;
        self.q_built(format!("DELETE FROM files WHERE id IN ({list})"))
            .bind_all(files.iter().copied())
            .exec()
            .await?;
        let freed = charged + self.release_blobs(user, &references).await?;
        self.add_to_storage_used(user, -freed).await?;
        Ok(freed)
    }
}

/// Blobs released by one statement: two values each, well under the engines' limits for one statement
/// (SQLite takes 32,766 values, PostgreSQL 65,535).
const RELEASE_CHUNK: usize = 5000;
