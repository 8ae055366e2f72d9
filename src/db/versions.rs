//! Former contents of files. A version's content moves between the file's row and its own, never copied.

use super::{
    Db, DbError, Tx,
    files::{ContentAt, FilePlace},
    placeholders,
};
use cdn_actors::domain::{
    ids::{BlobId, FileId, UserId, VersionId},
    kind::FileKind,
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, FromRow)]
pub struct VersionRow {
    pub id: Uuid,
    pub file_id: Uuid,
    pub version_number: i64,
    pub mime_type: String,
    pub file_size: i64,
    pub sha256_hash: String,
    pub blob_id: Option<Uuid>,
    pub cdn_url: Option<String>,
    pub content_changed_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub created_by: Option<i64>,
    pub creator_email: Option<String>,
    pub creator_name: Option<String>,
    pub creator_image: Option<String>,
}

/// A content on its way between a file and its versions.
#[derive(Debug, Clone, FromRow)]
pub struct ContentSnapshot {
    pub mime_type: String,
    pub file_size: i64,
    pub md5_hash: String,
    pub sha256_hash: String,
    pub blob_id: Option<Uuid>,
    pub cdn_url: Option<String>,
    pub charged: i64,
    pub created_by: Option<i64>,
    pub content_changed_at: DateTime<Utc>,
}

impl ContentSnapshot {
    /// A content that has just come in.
    pub fn new(
        mime_type: String,
        size: u64,
        hashes: (String, String),
        content: &ContentAt,
        by: UserId,
        now: DateTime<Utc>,
    ) -> Self {
        let (blob_id, cdn_url, charged) = match content {
            ContentAt::Stored(blob) => (Some(blob.get()), None, 0),
            ContentAt::Registered { cdn_url, charged } => (None, Some(cdn_url.clone()), *charged),
        };
        let (sha256_hash, md5_hash) = hashes;
        Self {
            mime_type,
            file_size: i64::try_from(size).unwrap_or(i64::MAX),
            md5_hash,
            sha256_hash,
            blob_id,
            cdn_url,
            charged: i64::try_from(charged).unwrap_or(i64::MAX),
            created_by: Some(by.get()),
            content_changed_at: now,
        }
    }

    pub fn blob(&self) -> Option<BlobId> {
        self.blob_id.map(BlobId)
    }
}

const SELECT: &str = "SELECT v.id, v.file_id, v.version_number, v.mime_type, v.file_size, v.sha256_hash, v.blob_id,
    v.cdn_url, v.content_changed_at, v.created_at, v.created_by, u.email AS creator_email, u.name AS creator_name,
    u.image AS creator_image FROM file_versions v LEFT JOIN users u ON u.id = v.created_by";

impl Db {
    /// The versions of several files, newest first for each.
    pub async fn list_versions(&self, files: &[Uuid]) -> Result<Vec<VersionRow>, DbError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let list = placeholders(1, files.len());
        self.q_built(format!(
            "{SELECT} WHERE v.file_id IN ({list}) ORDER BY v.file_id, v.version_number DESC"
        ))
        .bind_all(files.iter().copied())
        .all()
        .await
    }

    pub async fn find_version(&self, file: FileId, number: i64) -> Result<Option<VersionRow>, DbError> {
        self.q_built(format!("{SELECT} WHERE v.file_id = $1 AND v.version_number = $2"))
            .bind(file)
            .bind(number)
            .opt()
            .await
    }
}

const CONTENT: &str =
    "mime_type, file_size, md5_hash, sha256_hash, blob_id, cdn_url, charged, content_changed_at";

impl Tx {
    /// The versions of one file, newest first.
    pub async fn list_versions(&mut self, file: FileId) -> Result<Vec<VersionRow>, DbError> {
        self.q_built(format!("{SELECT} WHERE v.file_id = $1 ORDER BY v.version_number DESC"))
            .bind(file)
            .all()
            .await
    }

    /// The present content of a file.
    pub async fn file_content(&mut self, file: FileId) -> Result<ContentSnapshot, DbError> {
        self.q_built(format!("SELECT {CONTENT}, content_by AS created_by FROM files WHERE id = $1"))
            .bind(file)
            .one()
            .await
    }

    pub async fn version_content(
        &mut self,
        file: FileId,
        number: i64,
    ) -> Result<Option<ContentSnapshot>, DbError> {
        self.q_built(format!(
            "SELECT {CONTENT}, created_by FROM file_versions WHERE file_id = $1 AND version_number = $2"
        ))
        .bind(file)
        .bind(number)
        .opt()
        .await
    }

    /// Keeps a file's present content as its newest version.
    pub async fn keep_as_version(
        &mut self,
        file: FileId,
        content: &ContentSnapshot,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let number: i64 = self
            .q("UPDATE files SET last_version = last_version + 1, versions_count = versions_count + 1
                WHERE id = $1 RETURNING last_version")
            .bind(file)
            .scalar()
            .await?;
        self.q("INSERT INTO file_versions (id, file_id, version_number, mime_type, file_size, md5_hash, sha256_hash,
                    blob_id, cdn_url, charged, created_by, content_changed_at, created_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
            .bind(VersionId::new())
            .bind(file)
            .bind(number)
            .bind(&content.mime_type)
            .bind(content.file_size)
            .bind(&content.md5_hash)
            .bind(&content.sha256_hash)
            .bind(content.blob_id)
            .bind(content.cdn_url.clone())
            .bind(content.charged)
            .bind(content.created_by)
            .bind(content.content_changed_at)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    /// Makes a content the file's present one; the counts of living files follow, the quota is the caller's.
    pub async fn set_file_content(
        &mut self,
        owner: UserId,
        file: &FilePlace,
        content: &ContentSnapshot,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let kind = FileKind::of_media_type(&content.mime_type).as_str();
        self.q("UPDATE files SET mime_type = $2, kind = $3, file_size = $4, md5_hash = $5, sha256_hash = $6,
                    blob_id = $7, cdn_url = $8, charged = $9, content_by = $10, content_changed_at = $11,
                    updated_at = $12, thumbnail_url = NULL, preview_url = NULL WHERE id = $1")
            .bind(file.id)
            .bind(&content.mime_type)
            .bind(kind)
            .bind(content.file_size)
            .bind(&content.md5_hash)
            .bind(&content.sha256_hash)
            .bind(content.blob_id)
            .bind(content.cdn_url.clone())
            .bind(content.charged)
            .bind(content.created_by)
            // What Last-Modified tells must move forward, also when an old content comes back.
            .bind(now)
            .bind(now)
            .exec()
            .await?;
        self.count_living_files(owner, &file.mime_type, &file.kind, -1, -file.file_size).await?;
        self.count_living_files(owner, &content.mime_type, kind, 1, content.file_size).await
    }

    /// Takes a version's row away; its content is the caller's to keep or to release.
    pub async fn remove_version(&mut self, file: FileId, number: i64) -> Result<bool, DbError> {
        let removed = self
            .q("DELETE FROM file_versions WHERE file_id = $1 AND version_number = $2")
            .bind(file)
            .bind(number)
            .exec()
            .await?;
        if removed == 1 {
            self.q("UPDATE files SET versions_count = versions_count - 1 WHERE id = $1")
                .bind(file)
                .exec()
                .await?;
        }
        Ok(removed == 1)
    }

    /// The numbers of the versions beyond the newest `keep`.
    pub async fn list_surplus_versions(&mut self, file: FileId, keep: u32) -> Result<Vec<i64>, DbError> {
        let rows: Vec<(i64,)> = self
            .q("SELECT version_number FROM file_versions WHERE file_id = $1
                ORDER BY version_number DESC LIMIT 1000 OFFSET $2")
            .bind(file)
            .bind(keep)
            .all()
            .await?;
        Ok(rows.into_iter().map(|(number,)| number).collect())
    }
}
