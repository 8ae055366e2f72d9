//! The trash list. A thing is in it exactly once: by its own item, or inside the folder that was trashed.

use super::{DbError, Tx};
use cdn_actors::domain::ids::{TrashId, UserId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What kind of thing a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceType {
    File,
    Folder,
}

impl ResourceType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::File, Self::Folder].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An item to be put into the trash list.
#[derive(Debug, Clone)]
pub struct TrashSpec {
    pub id: TrashId,
    pub user: UserId,
    pub resource_type: ResourceType,
    pub resource: Uuid,
    pub name: String,
    pub path: String,
    pub deleted_at: DateTime<Utc>,
    pub permanent_delete_at: DateTime<Utc>,
}

impl Tx {
    pub async fn insert_trash_item(&mut self, item: &TrashSpec) -> Result<(), DbError> {
        self.q(
            "INSERT INTO trash_items (id, user_id, resource_type, resource_id, original_name, original_path,
                    deleted_at, permanent_delete_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(item.id)
        .bind(item.user)
        .bind(item.resource_type.as_str())
        .bind(item.resource)
        .bind(&item.name)
        .bind(&item.path)
        .bind(item.deleted_at)
        .bind(item.permanent_delete_at)
        .exec()
        .await?;
        Ok(())
    }
}
