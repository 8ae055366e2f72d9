//! Renditions: pictures made of a content, kept by the content and not charged to anybody.

use super::{Db, DbError, Tx, placeholders};
use cdn_actors::domain::ids::{BlobId, FileId};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, FromRow)]
pub struct RenditionRow {
    pub max_side: i64,
    pub format: String,
    pub blob_id: Uuid,
    pub width: i64,
    pub height: i64,
    pub is_animated: bool,
    pub size: i64,
    pub sha256: String,
    pub created_at: DateTime<Utc>,
}

impl RenditionRow {
    pub fn blob(&self) -> BlobId {
        BlobId(self.blob_id)
    }
}

/// A rendition whose bytes are in the store.
#[derive(Debug, Clone)]
pub struct RenditionSpec {
    pub blob: BlobId,
    pub max_side: u32,
    pub format: &'static str,
    pub width: u32,
    pub height: u32,
    pub is_animated: bool,
    pub size: u64,
    pub sha256: String,
}

/// A living file as serving its thumbnails needs it.
#[derive(Debug, Clone, FromRow)]
pub struct PictureRow {
    pub owner_id: i64,
    pub mime_type: String,
    pub file_extension: String,
    pub file_size: i64,
    pub blob_id: Option<Uuid>,
    pub processing_status: String,
}

const SELECT: &str = "SELECT max_side, format, blob_id, width, height, is_animated, size, sha256, created_at
    FROM renditions WHERE source_id = $1 ORDER BY max_side, format";

impl Db {
    /// For anyone who has the file's URL.
    pub async fn find_picture(&self, file: FileId) -> Result<Option<PictureRow>, DbError> {
        self.q("SELECT f.owner_id, f.mime_type, f.file_extension, f.file_size, f.blob_id,
                    COALESCE(j.status, 'completed') AS processing_status
                FROM files f LEFT JOIN processing_jobs j ON j.file_id = f.id AND j.job_type = 'thumbnail'
                WHERE f.id = $1 AND f.trash_id IS NULL")
            .bind(file)
            .opt()
            .await
    }

    /// All renditions of a content, the smallest first.
    pub async fn list_renditions(&self, source: Uuid) -> Result<Vec<RenditionRow>, DbError> {
        self.q(SELECT).bind(source).all().await
    }
}

impl Tx {
    pub async fn list_renditions(&mut self, source: Uuid) -> Result<Vec<RenditionRow>, DbError> {
        self.q(SELECT).bind(source).all().await
    }

    /// What the renditions of a file's present content are kept by; `None` when the file is gone.
    pub async fn source_of(&mut self, file: FileId) -> Result<Option<Uuid>, DbError> {
        let found: Option<(Uuid,)> =
            self.q("SELECT COALESCE(blob_id, id) FROM files WHERE id = $1").bind(file).opt().await?;
        Ok(found.map(|(source,)| source))
    }

    /// Keeps a rendition and makes its bytes live; `false` when there is one of this size and form already,
    /// or the bytes were given up meanwhile.
    pub async fn insert_rendition(
        &mut self,
        source: Uuid,
        rendition: &RenditionSpec,
        now: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let inserted = self
            .q("INSERT INTO renditions (source_id, max_side, format, blob_id, width, height, is_animated, size, sha256,
                    created_at)
                SELECT $1, CAST($2 AS BIGINT), $3, b.id, CAST($5 AS BIGINT), CAST($6 AS BIGINT), $7,
                    CAST($8 AS BIGINT), $9, $10
                FROM blobs b WHERE b.id = $4 AND b.state = 'pending'
                ON CONFLICT (source_id, max_side, format) DO NOTHING")
            .bind(source)
            .bind(rendition.max_side)
            .bind(rendition.format)
            .bind(rendition.blob)
            .bind(rendition.width)
            .bind(rendition.height)
            .bind(rendition.is_animated)
            .bind(rendition.size)
            .bind(&rendition.sha256)
            .bind(now)
            .exec()
            .await?;
        if inserted == 0 {
            return Ok(false);
        }
        self.q("UPDATE blobs SET state = 'live', size = $2, ref_count = 1 WHERE id = $1")
            .bind(rendition.blob)
            .bind(rendition.size)
            .exec()
            .await?;
        Ok(true)
    }

    /// Gives up all renditions of these contents; their objects are removed like those of any blob.
    pub async fn drop_renditions(&mut self, sources: &[Uuid]) -> Result<(), DbError> {
        if sources.is_empty() {
            return Ok(());
        }
        let list = placeholders(1, sources.len());
        self.q_built(format!(
            "UPDATE blobs SET state = 'deleting', ref_count = 0 WHERE id IN
                 (SELECT blob_id FROM renditions WHERE source_id IN ({list}))"
        ))
        .bind_all(sources.iter().copied())
        .exec()
        .await?;
        self.q_built(format!("DELETE FROM renditions WHERE source_id IN ({list})"))
            .bind_all(sources.iter().copied())
            .exec()
            .await?;
        Ok(())
    }

    /// The same for those of these blobs that nobody refers to any more.
    pub(super) async fn drop_renditions_of_removed(&mut self, blobs: &[Uuid]) -> Result<(), DbError> {
        let list = placeholders(1, blobs.len());
        let rows: Vec<(Uuid,)> = self
            .q_built(format!(
                "SELECT DISTINCT r.source_id FROM renditions r JOIN blobs b ON b.id = r.source_id
                 WHERE b.state = 'deleting' AND b.id IN ({list})"
            ))
            .bind_all(blobs.iter().copied())
            .all()
            .await?;
        let sources: Vec<Uuid> = rows.into_iter().map(|(source,)| source).collect();
        self.drop_renditions(&sources).await
    }

    /// Where a file's thumbnail and preview are, as path and query on this server.
    pub async fn set_pictures(
        &mut self,
        file: FileId,
        thumbnail: Option<String>,
        preview: Option<String>,
    ) -> Result<(), DbError> {
        self.q("UPDATE files SET thumbnail_url = $2, preview_url = $3 WHERE id = $1")
            .bind(file)
            .bind(thumbnail)
            .bind(preview)
            .exec()
            .await?;
        Ok(())
    }
}
