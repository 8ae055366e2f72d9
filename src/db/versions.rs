//! Former contents of files.

use super::{Db, DbError, placeholders};
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
    pub created_at: DateTime<Utc>,
    pub created_by: Option<i64>,
    pub creator_email: Option<String>,
    pub creator_name: Option<String>,
    pub creator_image: Option<String>,
}

impl Db {
    /// The versions of several files, newest first for each.
    pub async fn list_versions(&self, files: &[Uuid]) -> Result<Vec<VersionRow>, DbError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT v.id, v.file_id, v.version_number, v.mime_type, v.file_size, v.sha256_hash, v.created_at,
                    v.created_by, u.email AS creator_email, u.name AS creator_name, u.image AS creator_image
             FROM file_versions v LEFT JOIN users u ON u.id = v.created_by
             WHERE v.file_id IN ({}) ORDER BY v.file_id, v.version_number DESC",
            placeholders(1, files.len())
        );
        self.q_built(sql).bind_all(files.iter().copied()).all().await
    }
}
