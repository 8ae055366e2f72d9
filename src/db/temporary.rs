//! Files with an end: kept until a moment, then deleted for good.

use super::{Db, DbError, Tx, folders::FolderPlace};
use cdn_actors::domain::{
    filename::FolderName,
    ids::{FileId, FolderId, UserId},
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A living file whose time is over.
#[derive(Debug, Clone, FromRow)]
pub struct ExpiredFile {
    id: Uuid,
    owner_id: i64,
}

impl ExpiredFile {
    pub fn id(&self) -> FileId {
        FileId(self.id)
    }

    pub fn owner(&self) -> UserId {
        UserId(self.owner_id)
    }
}

/// What deleting an expired file takes.
#[derive(Debug, Clone, FromRow)]
struct Expired {
    folder_id: Uuid,
    mime_type: String,
    kind: String,
    file_size: i64,
}

impl Db {
    /// Up to `limit` living files past their time.
    pub async fn list_expired_files(
        &self,
        now: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<ExpiredFile>, DbError> {
        self.q("SELECT id, owner_id FROM files WHERE expires_at <= $1 AND trash_id IS NULL
                ORDER BY expires_at, id LIMIT $2")
            .bind(now)
            .bind(limit)
            .all()
            .await
    }

    /// Living files past their time, and all that will have one.
    pub async fn count_expiring_files(&self, now: DateTime<Utc>) -> Result<(i64, i64), DbError> {
        self.q("SELECT COUNT(CASE WHEN expires_at <= $1 THEN 1 END), COUNT(*) FROM files
                WHERE expires_at IS NOT NULL AND trash_id IS NULL")
            .bind(now)
            .one()
            .await
    }
}

impl Tx {
    /// The owner's living file of this content that is kept for a while.
    pub async fn find_temporary(
        &mut self,
        owner: UserId,
        sha256: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<FileId>, DbError> {
        let found: Option<(Uuid,)> = self
            .q("SELECT id FROM files WHERE owner_id = $1 AND sha256_hash = $2 AND blob_id IS NOT NULL
                AND expires_at > $3 AND trash_id IS NULL ORDER BY created_at, id LIMIT 1")
            .bind(owner)
            .bind(sha256)
            .bind(now)
            .opt()
            .await?;
        Ok(found.map(|(id,)| FileId(id)))
    }

    pub async fn set_expiry(&mut self, file: FileId, at: DateTime<Utc>) -> Result<(), DbError> {
        self.q("UPDATE files SET expires_at = $2 WHERE id = $1").bind(file).bind(at).exec().await?;
        Ok(())
    }

    /// The folder of this name directly in `parent`, made if there is none. The account must be locked.
    pub async fn ensure_folder(
        &mut self,
        owner: UserId,
        parent: &FolderPlace,
        name: &FolderName,
        now: DateTime<Utc>,
    ) -> Result<FolderId, DbError> {
        let found: Option<(Uuid,)> = self
            .q("SELECT id FROM folders WHERE parent_id = $1 AND name = $2 AND trash_id IS NULL")
            .bind(parent.id)
            .bind(name.as_str())
            .opt()
            .await?;
        match found {
            Some((id,)) => Ok(FolderId(id)),
            None => self.insert_folder(owner, parent, name, now).await,
        }
    }

    /// Deletes a living file whose time is over, with all that belongs to it; gives the bytes of quota freed,
    /// `None` when it isn't there any more or has got more time. The account must be locked.
    pub async fn delete_expired_file(
        &mut self,
        owner: UserId,
        file: FileId,
        now: DateTime<Utc>,
    ) -> Result<Option<i64>, DbError> {
        let found: Option<Expired> = self
            .q("SELECT folder_id, mime_type, kind, file_size FROM files
                WHERE id = $1 AND owner_id = $2 AND expires_at <= $3 AND trash_id IS NULL")
            .bind(file)
            .bind(owner)
            .bind(now)
            .opt()
            .await?;
        let Some(expired) = found else { return Ok(None) };
        self.add_to_files_count(FolderId(expired.folder_id), -1).await?;
        self.count_living_files(owner, &expired.mime_type, &expired.kind, -1, -expired.file_size).await?;
        self.delete_files(owner, &[file.get()]).await.map(Some)
    }
}
