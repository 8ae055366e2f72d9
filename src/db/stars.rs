//! Stars on files and folders.

use super::{
    Db, DbError, Tx,
    files::{FileRow, file_query},
    trash::ResourceType,
};
use cdn_actors::domain::ids::UserId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

impl Db {
    /// Also those of others, which the user may have lost since.
    pub async fn list_starred_files(&self, user: UserId) -> Result<Vec<FileRow>, DbError> {
        self.q(file_query!(
            "WHERE s.user_id = $1 AND f.trash_id IS NULL ORDER BY s.starred_at DESC, f.id DESC"
        ))
        .bind(user)
        .all()
        .await
    }

    pub async fn list_recent_files(&self, user: UserId, limit: u32) -> Result<Vec<FileRow>, DbError> {
        self.q(file_query!(
            "WHERE f.owner_id = $1 AND f.trash_id IS NULL ORDER BY f.last_accessed DESC, f.id DESC LIMIT $2"
        ))
        .bind(user)
        .bind(limit)
        .all()
        .await
    }
}

impl Tx {
    pub async fn is_starred(&mut self, user: UserId, kind: ResourceType, id: Uuid) -> Result<bool, DbError> {
        let sql = match kind {
            ResourceType::File => "SELECT user_id FROM file_stars WHERE user_id = $1 AND file_id = $2",
            ResourceType::Folder => "SELECT user_id FROM folder_stars WHERE user_id = $1 AND folder_id = $2",
        };
        Ok(self.q(sql).bind(user).bind(id).opt::<(i64,)>().await?.is_some())
    }

    pub async fn put_star(
        &mut self,
        user: UserId,
        kind: ResourceType,
        id: Uuid,
        is_starred: bool,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let (insert, delete) = match kind {
            ResourceType::File => (
                "INSERT INTO file_stars (user_id, file_id, starred_at) VALUES ($1, $2, $3)
                 ON CONFLICT (user_id, file_id) DO NOTHING",
                "DELETE FROM file_stars WHERE user_id = $1 AND file_id = $2",
            ),
            ResourceType::Folder => (
                "INSERT INTO folder_stars (user_id, folder_id, starred_at) VALUES ($1, $2, $3)
                 ON CONFLICT (user_id, folder_id) DO NOTHING",
                "DELETE FROM folder_stars WHERE user_id = $1 AND folder_id = $2",
            ),
        };
        if is_starred {
            self.q(insert).bind(user).bind(id).bind(now).exec().await?;
        } else {
            self.q(delete).bind(user).bind(id).exec().await?;
        }
        Ok(())
    }
}
