//! Counters kept in the transaction of each change, so that no page and no dashboard counts rows.

use super::{DbError, Tx};
use cdn_actors::domain::ids::{TrashId, UserId};

impl Tx {
    /// Adds living files of one media type, or takes them away; sizes in bytes.
    pub async fn count_living_files(
        &mut self,
        user: UserId,
        mime_type: &str,
        kind: &str,
        files: i64,
        bytes: i64,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO media_type_totals (user_id, mime_type, kind, files_count, total_size)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (user_id, mime_type) DO UPDATE SET
                    files_count = media_type_totals.files_count + excluded.files_count,
                    total_size = media_type_totals.total_size + excluded.total_size")
            .bind(user)
            .bind(mime_type)
            .bind(kind)
            .bind(files)
            .bind(bytes)
            .exec()
            .await?;
        self.q("UPDATE accounts SET files_count = files_count + $2 WHERE user_id = $1")
            .bind(user)
            .bind(files)
            .exec()
            .await?;
        Ok(())
    }

    /// Takes everything of a trash item out of the counts of living things.
    pub async fn discount_trashed_files(&mut self, user: UserId, trash: TrashId) -> Result<(), DbError> {
        self.count_trash_item_files(user, trash, "-").await
    }

    /// Puts everything of a trash item, which is about to come back, into the counts of living things.
    pub async fn count_restored_files(&mut self, user: UserId, trash: TrashId) -> Result<(), DbError> {
        self.count_trash_item_files(user, trash, "+").await
    }

    async fn count_trash_item_files(
        &mut self,
        user: UserId,
        trash: TrashId,
        sign: &str,
    ) -> Result<(), DbError> {
        self.q_built(format!(
            "UPDATE media_type_totals AS m
             SET files_count = m.files_count {sign} t.files, total_size = m.total_size {sign} t.bytes
             FROM (SELECT mime_type, COUNT(*) AS files, CAST(SUM(file_size) AS BIGINT) AS bytes
                   FROM files WHERE trash_id = $2 GROUP BY mime_type) AS t
             WHERE m.user_id = $1 AND m.mime_type = t.mime_type"
        ))
        .bind(user)
        .bind(trash)
        .exec()
        .await?;
        self.q_built(format!(
            "UPDATE accounts SET files_count = files_count {sign} (SELECT COUNT(*) FROM files WHERE trash_id = $2)
             WHERE user_id = $1"
        ))
        .bind(user)
        .bind(trash)
        .exec()
        .await?;
        Ok(())
    }

    pub async fn add_to_folders_count(&mut self, user: UserId, by: i64) -> Result<(), DbError> {
        self.q("UPDATE accounts SET folders_count = folders_count + $2 WHERE user_id = $1")
            .bind(user)
            .bind(by)
            .exec()
            .await?;
        Ok(())
    }
}
