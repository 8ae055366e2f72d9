//! Folders: a tree by `parent_id`, with each one's full path and counts kept on the row.

use super::{
    Db, DbError, Tx, placeholders,
    users::{OwnerRow, owner_columns},
};
use cdn_actors::domain::{
    filename::{FolderName, FreeNumberSearch, fold_case},
    ids::{FolderId, TrashId, UserId},
    page::Page,
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use std::collections::HashSet;
use uuid::Uuid;

/// The name of every user's root folder, and the head of every path.
pub const ROOT_NAME: &str = "Root";

#[derive(Debug, Clone, FromRow)]
pub struct FolderRow {
    pub folder_id: Uuid,
    pub folder_parent_id: Option<Uuid>,
    pub folder_name: String,
    pub folder_path: String,
    pub folder_depth: i64,
    pub folder_is_root: bool,
    pub folder_children_count: i64,
    pub folder_files_count: i64,
    pub folder_created_at: DateTime<Utc>,
    pub folder_updated_at: DateTime<Utc>,
    #[sqlx(flatten)]
    pub owner: OwnerRow,
}

impl FolderRow {
    pub fn id(&self) -> FolderId {
        FolderId(self.folder_id)
    }
}

/// The `FolderRow` columns of `folders d JOIN users o`, without the owner's.
macro_rules! folder_columns {
    () => {
        "d.id AS folder_id, d.parent_id AS folder_parent_id, d.name AS folder_name, d.path AS folder_path, \
         d.depth AS folder_depth, d.is_root AS folder_is_root, d.children_count AS folder_children_count, \
         d.files_count AS folder_files_count, d.created_at AS folder_created_at, \
         d.updated_at AS folder_updated_at"
    };
}
pub(super) use folder_columns;

macro_rules! folder_query {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            folder_columns!(),
            ", ",
            owner_columns!(),
            " FROM folders d JOIN users o ON o.id = d.owner_id ",
            $rest
        )
    };
}

/// A folder's place in the tree, as changes need it.
#[derive(Debug, Clone, FromRow)]
pub struct FolderPlace {
    pub id: Uuid,
    pub parent_id: Option<Uuid>,
    pub name: String,
    pub path: String,
    pub depth: i64,
    pub is_root: bool,
}

impl FolderPlace {
    pub fn id(&self) -> FolderId {
        FolderId(self.id)
    }
}

/// A folder and all below it, trashed or not. `$1` is the folder.
macro_rules! subtree {
    () => {
        "WITH RECURSIVE tree (id) AS (
             SELECT id FROM folders WHERE id = $1
             UNION ALL
             SELECT f.id FROM folders f JOIN tree t ON f.parent_id = t.id
         ) "
    };
}

const READ_FOLDER: &str = folder_query!("WHERE d.id = $1 AND d.trash_id IS NULL");
const FIND_FOLDER: &str = folder_query!("WHERE d.id = $1 AND d.owner_id = $2 AND d.trash_id IS NULL");

impl Db {
    /// A living folder of this owner.
    pub async fn find_folder(&self, owner: UserId, id: FolderId) -> Result<Option<FolderRow>, DbError> {
        self.q(FIND_FOLDER).bind(id).bind(owner).opt().await
    }

    /// A living folder of anybody: whether the caller may see it is for `access` to say.
    pub async fn read_folder(&self, id: FolderId) -> Result<Option<FolderRow>, DbError> {
        self.q(READ_FOLDER).bind(id).opt().await
    }

    /// A living folder by its full path, whose last name is given beside it for the index.
    pub async fn find_folder_by_path(
        &self,
        owner: UserId,
        name: &str,
        path: &str,
    ) -> Result<Option<FolderRow>, DbError> {
        self.q(folder_query!("WHERE d.owner_id = $1 AND d.name = $2 AND d.path = $3 AND d.trash_id IS NULL"))
            .bind(owner)
            .bind(name)
            .bind(path)
            .opt()
            .await
    }

    pub async fn find_root(&self, owner: UserId) -> Result<Option<FolderRow>, DbError> {
        self.q(folder_query!("WHERE d.owner_id = $1 AND d.is_root")).bind(owner).opt().await
    }

    pub async fn list_folders(&self, owner: UserId, page: Page) -> Result<Vec<FolderRow>, DbError> {
        self.q(folder_query!(
            "WHERE d.owner_id = $1 AND d.trash_id IS NULL ORDER BY d.name, d.id LIMIT $2 OFFSET $3"
        ))
        .bind(owner)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    /// The user's folders and those that were given to the user, by name.
    pub async fn list_folders_with_given(
        &self,
        user: UserId,
        now: DateTime<Utc>,
        page: Page,
    ) -> Result<Vec<FolderRow>, DbError> {
        self.q(folder_query!(
            "WHERE d.trash_id IS NULL AND (d.owner_id = $1 OR d.id IN (
                 SELECT s.folder_id FROM share_grants g JOIN shares s ON s.id = g.share_id
                 WHERE g.user_id = $1 AND s.folder_id IS NOT NULL AND (s.expires_at IS NULL OR s.expires_at > $2)))
             ORDER BY d.name, d.id LIMIT $3 OFFSET $4"
        ))
        .bind(user)
        .bind(now)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    /// How many living folders of others were given to the user; what is below them is not counted. Grants
    /// expire by themselves, so there is no counter that could be kept.
    pub async fn count_given_folders(&self, user: UserId, now: DateTime<Utc>) -> Result<i64, DbError> {
        self.q("SELECT COUNT(DISTINCT d.id) FROM share_grants g JOIN shares s ON s.id = g.share_id
                JOIN folders d ON d.id = s.folder_id
                WHERE g.user_id = $1 AND (s.expires_at IS NULL OR s.expires_at > $2)
                  AND d.trash_id IS NULL AND d.owner_id <> $1")
            .bind(user)
            .bind(now)
            .scalar()
            .await
    }

    pub async fn list_subfolders(&self, parent: FolderId) -> Result<Vec<FolderRow>, DbError> {
        self.q(folder_query!("WHERE d.parent_id = $1 AND d.trash_id IS NULL ORDER BY d.name"))
            .bind(parent)
            .all()
            .await
    }
}

const PLACE: &str = "SELECT id, parent_id, name, path, depth, is_root FROM folders";

impl Tx {
    /// A living folder as this transaction leaves it, for the answer to a change.
    pub async fn read_folder(&mut self, id: FolderId) -> Result<Option<FolderRow>, DbError> {
        self.q(READ_FOLDER).bind(id).opt().await
    }

    /// A living folder of this owner, as changes need it.
    pub async fn find_folder_place(
        &mut self,
        owner: UserId,
        id: FolderId,
    ) -> Result<Option<FolderPlace>, DbError> {
        self.q_built(format!("{PLACE} WHERE id = $1 AND owner_id = $2 AND trash_id IS NULL"))
            .bind(id)
            .bind(owner)
            .opt()
            .await
    }

    /// The owner's root, made on first use. The account must be locked.
    pub async fn ensure_root(&mut self, owner: UserId, now: DateTime<Utc>) -> Result<FolderPlace, DbError> {
        let root = self.q_built(format!("{PLACE} WHERE owner_id = $1 AND is_root")).bind(owner).opt().await?;
        if let Some(root) = root {
            return Ok(root);
        }
        let id = FolderId::new();
        self.q("INSERT INTO folders (id, owner_id, name, path, depth, is_root, created_at, updated_at, search_name)
                VALUES ($1, $2, $3, $3, 0, $4, $5, $5, $6)")
            .bind(id)
            .bind(owner)
            .bind(ROOT_NAME)
            .bind(true)
            .bind(now)
            .bind(fold_case(ROOT_NAME))
            .exec()
            .await?;
        self.add_to_folders_count(owner, 1).await?;
        let name = ROOT_NAME.to_owned();
        Ok(FolderPlace { id: id.get(), parent_id: None, path: name.clone(), name, depth: 0, is_root: true })
    }

    pub async fn is_folder_name_taken(
        &mut self,
        parent: FolderId,
        name: &FolderName,
    ) -> Result<bool, DbError> {
        let found: Option<(Uuid,)> = self
            .q("SELECT id FROM folders WHERE parent_id = $1 AND name = $2 AND trash_id IS NULL")
            .bind(parent)
            .bind(name.as_str())
            .opt()
            .await?;
        Ok(found.is_some())
    }

    /// Makes a folder below `parent` and counts it there.
    pub async fn insert_folder(
        &mut self,
        owner: UserId,
        parent: &FolderPlace,
        name: &FolderName,
        now: DateTime<Utc>,
    ) -> Result<FolderId, DbError> {
        let id = FolderId::new();
        self.q("INSERT INTO folders (id, owner_id, parent_id, name, path, depth, created_at, updated_at, search_name)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)")
            .bind(id)
            .bind(owner)
            .bind(parent.id)
            .bind(name.as_str())
            .bind(format!("{}/{}", parent.path, name.as_str()))
            .bind(parent.depth + 1)
            .bind(now)
            .bind(fold_case(name.as_str()))
            .exec()
            .await?;
        self.add_to_children_count(parent.id(), 1).await?;
        self.add_to_folders_count(owner, 1).await?;
        Ok(id)
    }

    /// Whether `folder` is `above` or lies anywhere below it.
    pub async fn is_within(&mut self, folder: FolderId, above: FolderId) -> Result<bool, DbError> {
        let found: Option<(Uuid,)> = self
            .q("WITH RECURSIVE up (id, parent_id) AS (
                    SELECT id, parent_id FROM folders WHERE id = $1
                    UNION ALL
                    SELECT f.id, f.parent_id FROM folders f JOIN up ON f.id = up.parent_id
                ) SELECT id FROM up WHERE id = $2")
            .bind(folder)
            .bind(above)
            .opt()
            .await?;
        Ok(found.is_some())
    }

    /// The name itself, or the next free numbered one below this parent.
    pub async fn free_folder_name(
        &mut self,
        parent: FolderId,
        wanted: &FolderName,
    ) -> Result<FolderName, DbError> {
        if !self.is_folder_name_taken(parent, wanted).await? {
            return Ok(wanted.clone());
        }
        let free = self
            .free_number(
                "SELECT name FROM folders WHERE parent_id = $1 AND trash_id IS NULL AND name IN",
                parent,
                |n| wanted.numbered(n).as_str().to_owned(),
            )
            .await?;
        Ok(wanted.numbered(free))
    }

    /// The first number whose numbered name is free; `taken` selects the taken ones among a list of names.
    pub(super) async fn free_number(
        &mut self,
        taken: &str,
        folder: FolderId,
        numbered: impl Fn(u64) -> String,
    ) -> Result<u64, DbError> {
        let mut search = FreeNumberSearch::default();
        loop {
            let probe = search.probe();
            let sql = format!("{taken} ({})", placeholders(2, probe.len()));
            let names = probe.iter().map(|n| numbered(*n));
            let found: Vec<(String,)> = self.q_built(sql).bind(folder).bind_all(names).all().await?;
            let found: HashSet<String> = found.into_iter().map(|(name,)| name).collect();
            if let Some(free) = search.narrow(&probe, |n| found.contains(&numbered(n))) {
                return Ok(free);
            }
        }
    }

    /// How many levels the folder's subtree goes down; 0 when nothing is below it.
    pub async fn subtree_height(&mut self, folder: &FolderPlace) -> Result<i64, DbError> {
        let deepest: i64 = self
            .q(concat!(subtree!(), "SELECT MAX(depth) FROM folders WHERE id IN (SELECT id FROM tree)"))
            .bind(folder.id)
            .scalar()
            .await?;
        Ok(deepest - folder.depth)
    }

    /// Gives a folder its new name and parent; the paths of everything below follow. The parents' counts are
    /// the caller's to keep.
    pub async fn place_folder(
        &mut self,
        folder: &FolderPlace,
        parent: &FolderPlace,
        name: &FolderName,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let path = format!("{}/{}", parent.path, name.as_str());
        self.q(
            "UPDATE folders SET name = $2, parent_id = $3, updated_at = $4, search_name = $5 WHERE id = $1",
        )
        .bind(folder.id)
        .bind(name.as_str())
        .bind(parent.id)
        .bind(now)
        .bind(fold_case(name.as_str()))
        .exec()
        .await?;
        self.q(concat!(
            subtree!(),
            "UPDATE folders SET path = $2 || substr(path, $3), depth = depth + $4 WHERE id IN (SELECT id FROM tree)"
        ))
        .bind(folder.id)
        .bind(path)
        // substr counts characters from 1 in both engines; PostgreSQL takes it as a 32-bit integer.
        .bind_i32(folder.path.chars().count() + 1)
        .bind(parent.depth + 1 - folder.depth)
        .exec()
        .await?;
        Ok(())
    }

    /// Takes all living folders of a subtree into a trash item; gives how many.
    pub async fn trash_subtree_folders(&mut self, folder: FolderId, trash: TrashId) -> Result<u64, DbError> {
        self.q("WITH RECURSIVE tree (id) AS (
                    SELECT id FROM folders WHERE id = $1
                    UNION ALL
                    SELECT f.id FROM folders f JOIN tree t ON f.parent_id = t.id WHERE f.trash_id IS NULL
                )
                UPDATE folders SET trash_id = $2 WHERE id IN (SELECT id FROM tree)")
            .bind(folder)
            .bind(trash)
            .exec()
            .await
    }

    pub async fn add_to_children_count(&mut self, folder: FolderId, by: i64) -> Result<(), DbError> {
        self.q("UPDATE folders SET children_count = children_count + $2 WHERE id = $1")
            .bind(folder)
            .bind(by)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn add_to_files_count(&mut self, folder: FolderId, by: i64) -> Result<(), DbError> {
        self.q("UPDATE folders SET files_count = files_count + $2 WHERE id = $1")
            .bind(folder)
            .bind(by)
            .exec()
            .await?;
        Ok(())
    }
}
