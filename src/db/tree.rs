//! What is below a folder, a page at a time, for those who walk all of it.

use super::{Db, DbError};
use cdn_actors::domain::ids::FolderId;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A living file and where its bytes are.
#[derive(Debug, Clone, FromRow)]
pub struct TreeFile {
    pub id: Uuid,
    pub filename: String,
    pub file_size: i64,
    pub blob_id: Option<Uuid>,
    pub cdn_url: Option<String>,
    pub content_changed_at: DateTime<Utc>,
}

/// A living folder.
#[derive(Debug, Clone, FromRow)]
pub struct TreeFolder {
    pub id: Uuid,
    pub name: String,
    pub updated_at: DateTime<Utc>,
}

impl Db {
    /// The files directly in a folder whose names come after this one, by name. No name is empty.
    pub async fn list_tree_files(
        &self,
        folder: FolderId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<TreeFile>, DbError> {
        self.q("SELECT id, filename, file_size, blob_id, cdn_url, content_changed_at FROM files
                WHERE folder_id = $1 AND filename > $2 AND trash_id IS NULL ORDER BY filename LIMIT $3")
            .bind(folder)
            .bind(after)
            .bind(limit)
            .all()
            .await
    }

    /// The folders directly in a folder whose names come after this one, by name.
    pub async fn list_tree_folders(
        &self,
        parent: FolderId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<TreeFolder>, DbError> {
        self.q("SELECT id, name, updated_at FROM folders
                WHERE parent_id = $1 AND name > $2 AND trash_id IS NULL ORDER BY name LIMIT $3")
            .bind(parent)
            .bind(after)
            .bind(limit)
            .all()
            .await
    }

    /// Living files and folders anywhere below a folder, from the kept counts.
    pub async fn count_tree(&self, folder: FolderId) -> Result<i64, DbError> {
        self.q("WITH RECURSIVE tree (id, entries) AS (
                    SELECT id, files_count + children_count FROM folders WHERE id = $1
                    UNION ALL
                    SELECT f.id, f.files_count + f.children_count FROM folders f JOIN tree t ON f.parent_id = t.id
                    WHERE f.trash_id IS NULL
                ) SELECT CAST(COALESCE(SUM(entries), 0) AS BIGINT) FROM tree")
            .bind(folder)
            .scalar()
            .await
    }
}
