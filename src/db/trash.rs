//! The trash list. A thing is in it exactly once: by its own item, or inside the folder that was trashed.

use super::{
    Db, DbError, Tx,
    events::Event,
    folders::FolderPlace,
    users::{OwnerRow, owner_columns},
};
use cdn_actors::domain::{
    ids::{FolderId, TrashId, UserId},
    page::Page,
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
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
        self.add_to_trash_count(item.user, 1).await
    }
}

#[derive(Debug, Clone, FromRow)]
pub struct TrashRow {
    pub id: Uuid,
    pub resource_type: String,
    pub resource_id: Uuid,
    pub original_name: String,
    pub original_path: String,
    pub deleted_at: DateTime<Utc>,
    pub permanent_delete_at: DateTime<Utc>,
    #[sqlx(flatten)]
    pub owner: OwnerRow,
}

/// An item as restoring and purging need it.
#[derive(Debug, Clone, FromRow)]
pub struct TrashPlace {
    pub id: Uuid,
    pub user_id: i64,
    pub resource_type: String,
    pub resource_id: Uuid,
    pub original_name: String,
}

impl TrashPlace {
    pub fn id(&self) -> TrashId {
        TrashId(self.id)
    }

    pub fn user(&self) -> UserId {
        UserId(self.user_id)
    }
}

/// A folder of a trash item with what it needs to come back.
#[derive(Debug, Clone, FromRow)]
pub struct TrashedFolder {
    pub id: Uuid,
    pub parent_id: Option<Uuid>,
    pub name: String,
    pub path: String,
    pub depth: i64,
}

const PLACE: &str = "SELECT id, user_id, resource_type, resource_id, original_name FROM trash_items";

impl Db {
    /// Last deleted first; what is being purged is gone already.
    pub async fn list_trash(&self, user: UserId, page: Page) -> Result<Vec<TrashRow>, DbError> {
        self.q(concat!(
            "SELECT t.id, t.resource_type, t.resource_id, t.original_name, t.original_path, t.deleted_at,
                    t.permanent_delete_at, ",
            owner_columns!(),
            " FROM trash_items t JOIN users o ON o.id = t.user_id
              WHERE t.user_id = $1 AND t.purging_at IS NULL ORDER BY t.deleted_at DESC, t.id DESC LIMIT $2 OFFSET $3"
        ))
        .bind(user)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    /// Up to `limit` items that a purge has begun with, of one user or of all.
    pub async fn list_purging(&self, user: Option<UserId>, limit: u32) -> Result<Vec<TrashPlace>, DbError> {
        self.q_built(format!(
            "{PLACE} WHERE purging_at IS NOT NULL AND user_id = COALESCE($1, user_id) ORDER BY id LIMIT $2"
        ))
        .bind(user)
        .bind(limit)
        .all()
        .await
    }

    /// Up to `limit` items past their time.
    pub async fn list_due_trash(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<TrashPlace>, DbError> {
        self.q_built(format!(
            "{PLACE} WHERE permanent_delete_at <= $1 AND purging_at IS NULL ORDER BY permanent_delete_at, id LIMIT $2"
        ))
        .bind(now)
        .bind(limit)
        .all()
        .await
    }

    /// Items past their time, and all items.
    pub async fn count_trash(&self, now: DateTime<Utc>) -> Result<(i64, i64), DbError> {
        self.q("SELECT COUNT(CASE WHEN permanent_delete_at <= $1 THEN 1 END), COUNT(*) FROM trash_items
                WHERE purging_at IS NULL")
            .bind(now)
            .one()
            .await
    }
}

impl Tx {
    /// An item of this user that nobody has begun to purge. The account must be locked.
    pub async fn find_trash_place(
        &mut self,
        user: UserId,
        id: TrashId,
    ) -> Result<Option<TrashPlace>, DbError> {
        self.q_built(format!("{PLACE} WHERE id = $1 AND user_id = $2 AND purging_at IS NULL"))
            .bind(id)
            .bind(user)
            .opt()
            .await
    }

    /// The item that a thing was put into the trash by itself with.
    pub async fn find_trash_of(
        &mut self,
        user: UserId,
        resource_type: ResourceType,
        resource: Uuid,
    ) -> Result<Option<TrashPlace>, DbError> {
        self.q_built(format!(
            "{PLACE} WHERE resource_id = $1 AND resource_type = $2 AND user_id = $3 AND purging_at IS NULL"
        ))
        .bind(resource)
        .bind(resource_type.as_str())
        .bind(user)
        .opt()
        .await
    }

    pub async fn delete_trash_item(&mut self, id: TrashId) -> Result<(), DbError> {
        self.q("DELETE FROM trash_items WHERE id = $1").bind(id).exec().await?;
        Ok(())
    }

    pub async fn add_to_trash_count(&mut self, user: UserId, by: i64) -> Result<(), DbError> {
        self.q("UPDATE accounts SET trash_count = trash_count + $2 WHERE user_id = $1")
            .bind(user)
            .bind(by)
            .exec()
            .await?;
        Ok(())
    }

    /// Takes an item out of everybody's reach; `false` when it is so already or gone.
    pub async fn mark_purging(
        &mut self,
        user: UserId,
        id: TrashId,
        now: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let marked: Option<(String, Uuid, String)> = self
            .q("UPDATE trash_items SET purging_at = $3 WHERE id = $1 AND user_id = $2 AND purging_at IS NULL
                RETURNING resource_type, resource_id, original_name")
            .bind(id)
            .bind(user)
            .bind(now)
            .opt()
            .await?;
        let Some((resource_type, resource, name)) = marked else { return Ok(false) };
        self.add_to_trash_count(user, -1).await?;
        let resource_type = ResourceType::parse(&resource_type).unwrap_or(ResourceType::File);
        self.record_event(user, &Event::of_deletion(resource_type, resource, name), now).await?;
        Ok(true)
    }

    pub async fn mark_all_purging(&mut self, user: UserId, now: DateTime<Utc>) -> Result<(), DbError> {
        let marked = self
            .q("UPDATE trash_items SET purging_at = $2 WHERE user_id = $1 AND purging_at IS NULL")
            .bind(user)
            .bind(now)
            .exec()
            .await?;
        if marked == 0 {
            return Ok(());
        }
        self.add_to_trash_count(user, -i64::try_from(marked).unwrap_or(i64::MAX)).await?;
        self.record_event(user, &Event::TrashEmptied, now).await
    }

    /// The nearest living folder at or above this one.
    pub async fn nearest_living_folder(&mut self, folder: Uuid) -> Result<Option<FolderPlace>, DbError> {
        self.q("WITH RECURSIVE up (id, parent_id, name, path, depth, is_root, trash_id, level) AS (
                    SELECT id, parent_id, name, path, depth, is_root, trash_id, 0 FROM folders WHERE id = $1
                    UNION ALL
                    SELECT f.id, f.parent_id, f.name, f.path, f.depth, f.is_root, f.trash_id, up.level + 1
                    FROM folders f JOIN up ON f.id = up.parent_id
                ) SELECT id, parent_id, name, path, depth, is_root FROM up WHERE trash_id IS NULL ORDER BY level LIMIT 1")
            .bind(folder)
            .opt()
            .await
    }

    pub async fn find_trashed_folder(&mut self, id: Uuid) -> Result<Option<TrashedFolder>, DbError> {
        self.q("SELECT id, parent_id, name, path, depth FROM folders WHERE id = $1 AND trash_id IS NOT NULL")
            .bind(id)
            .opt()
            .await
    }

    /// Brings all folders and files of an item back to life; gives how many folders.
    pub async fn revive_tree(&mut self, trash: TrashId) -> Result<u64, DbError> {
        self.q("UPDATE files SET trash_id = NULL WHERE trash_id = $1").bind(trash).exec().await?;
        self.q("UPDATE folders SET trash_id = NULL WHERE trash_id = $1").bind(trash).exec().await
    }

    /// Up to `limit` files of an item.
    pub async fn list_trash_files(&mut self, trash: TrashId, limit: u32) -> Result<Vec<Uuid>, DbError> {
        let rows: Vec<(Uuid,)> =
            self.q("SELECT id FROM files WHERE trash_id = $1 LIMIT $2").bind(trash).bind(limit).all().await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Moves what was put into the trash on its own, from folders that are about to go, to a living folder.
    pub async fn rehome_from_trash_folders(&mut self, trash: TrashId, to: FolderId) -> Result<(), DbError> {
        self.q("UPDATE files SET folder_id = $2 WHERE trash_id <> $1
                AND folder_id IN (SELECT id FROM folders WHERE trash_id = $1)")
            .bind(trash)
            .bind(to)
            .exec()
            .await?;
        self.q("UPDATE folders SET parent_id = $2 WHERE trash_id <> $1
                AND parent_id IN (SELECT id FROM folders WHERE trash_id = $1)")
            .bind(trash)
            .bind(to)
            .exec()
            .await?;
        Ok(())
    }

    /// Deletes up to `limit` folders of an item, the deepest first; gives how many.
    pub async fn delete_trash_folders(&mut self, trash: TrashId, limit: u32) -> Result<u64, DbError> {
        self.q("DELETE FROM folders WHERE id IN
                    (SELECT id FROM folders WHERE trash_id = $1 ORDER BY depth DESC LIMIT $2)")
            .bind(trash)
            .bind(limit)
            .exec()
            .await
    }
}
