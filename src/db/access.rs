//! What was given to whom: the grants on a thing and on all folders above it, each by one statement.
//!
//! Things in the trash are the caller's to leave out; what lives has nothing trashed above it.

use super::{Db, DbError, Query, Tx, placeholders};
use cdn_actors::domain::ids::{FileId, FolderId, UserId};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use std::borrow::Cow;
use uuid::Uuid;

/// What a statement that only reads can run on.
pub trait Read {
    fn read(&mut self, sql: Cow<'static, str>) -> Query<'_>;
}

impl Read for Tx {
    fn read(&mut self, sql: Cow<'static, str>) -> Query<'_> {
        self.query(sql)
    }
}

impl Read for &Db {
    fn read(&mut self, sql: Cow<'static, str>) -> Query<'_> {
        self.query(sql)
    }
}

/// A living thing's place, as access to it needs it.
#[derive(Debug, Clone, FromRow)]
pub struct OwnedRow {
    pub id: Uuid,
    pub owner_id: i64,
    /// The folder itself, or the one that the file is in.
    pub folder_id: Uuid,
}

/// What a user was given of a thing. A rank of nothing is no grant.
#[derive(Debug, Clone, Copy, Default, FromRow)]
pub struct ReachRow {
    pub level: Option<i64>,
    /// Depth of the highest folder that was given; nothing when only the file itself was.
    pub from_depth: Option<i64>,
}

/// The same of one of several files or folders.
#[derive(Debug, Clone, FromRow)]
pub struct ReachedRow {
    pub thing_id: Uuid,
    pub level: Option<i64>,
    pub from_depth: Option<i64>,
}

/// A folder (`$1`) and all above it.
macro_rules! up {
    () => {
        "WITH RECURSIVE up (id, parent_id, depth) AS (
             SELECT id, parent_id, depth FROM folders WHERE id = $1
             UNION ALL
             SELECT d.id, d.parent_id, d.depth FROM folders d JOIN up ON d.id = up.parent_id
         ) "
    };
}

/// The user's (`$2`) grants on these folders, of shares that have not expired (`$3`).
macro_rules! granted {
    () => {
        "up JOIN shares s ON s.folder_id = up.id JOIN share_grants g ON g.share_id = s.id AND g.user_id = $2
         WHERE (s.expires_at IS NULL OR s.expires_at > $3)"
    };
}

/// The living folders that were given to `$1`, and all below them. `$2` is now.
macro_rules! given {
    () => {
        "WITH RECURSIVE given (id) AS (
             SELECT d.id FROM share_grants g JOIN shares s ON s.id = g.share_id JOIN folders d ON d.id = s.folder_id
             WHERE g.user_id = $1 AND (s.expires_at IS NULL OR s.expires_at > $2) AND d.trash_id IS NULL
             UNION
             SELECT d.id FROM folders d JOIN given ON d.parent_id = given.id WHERE d.trash_id IS NULL
         ) "
    };
}
pub(super) use given;

/// A living file by either of two ids.
pub async fn find_owned_file(on: &mut impl Read, id: Uuid, other: Uuid) -> Result<Option<OwnedRow>, DbError> {
    on.read("SELECT id, owner_id, folder_id FROM files WHERE id IN ($1, $2) AND trash_id IS NULL".into())
        .bind(id)
        .bind(other)
        .opt()
        .await
}

pub async fn find_owned_folder(on: &mut impl Read, id: FolderId) -> Result<Option<OwnedRow>, DbError> {
    on.read("SELECT id, owner_id, id AS folder_id FROM folders WHERE id = $1 AND trash_id IS NULL".into())
        .bind(id)
        .opt()
        .await
}

/// What the user was given of a folder.
pub async fn folder_reach(
    on: &mut impl Read,
    user: UserId,
    folder: FolderId,
    now: DateTime<Utc>,
) -> Result<ReachRow, DbError> {
    // Starts with SELECT, so that the writer knows it for a statement that changes nothing.
    on.read(
        concat!(
            "SELECT level, from_depth FROM (",
            up!(),
            "SELECT MAX(g.level) AS level, MIN(up.depth) AS from_depth FROM ",
            granted!(),
            ") AS reach"
        )
        .into(),
    )
    .bind(folder)
    .bind(user)
    .bind(now)
    .one()
    .await
}

/// What the user was given of a file, by itself or with a folder.
pub async fn file_reach(
    on: &mut impl Read,
    user: UserId,
    file: FileId,
    folder: FolderId,
    now: DateTime<Utc>,
) -> Result<ReachRow, DbError> {
    on.read(
        concat!(
            "SELECT MAX(level) AS level, MIN(depth) AS from_depth FROM (",
            up!(),
            "SELECT g.level AS level, up.depth AS depth FROM ",
            granted!(),
            " UNION ALL
              SELECT g.level, NULL FROM shares s JOIN share_grants g ON g.share_id = s.id AND g.user_id = $2
              WHERE s.file_id = $4 AND (s.expires_at IS NULL OR s.expires_at > $3)) AS reach"
        )
        .into(),
    )
    .bind(folder)
    .bind(user)
    .bind(now)
    .bind(file)
    .one()
    .await
}

/// The folders at and above this one that were given to the user with at least this rank.
pub async fn list_granting_folders(
    on: &mut impl Read,
    user: UserId,
    folder: FolderId,
    rank: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, DbError> {
    let rows: Vec<(Uuid,)> = on
        .read(
            concat!(
                "SELECT id FROM (",
                up!(),
                "SELECT up.id AS id FROM ",
                granted!(),
                " AND g.level >= $4) AS reach"
            )
            .into(),
        )
        .bind(folder)
        .bind(user)
        .bind(now)
        .bind(rank)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

impl Db {
    /// What the user was given of each of these files; those of which nothing are left out.
    pub async fn reach_of_files(
        &self,
        user: UserId,
        files: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<Vec<ReachedRow>, DbError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let list = placeholders(3, files.len());
        self.q_built(format!(
            "WITH RECURSIVE up (thing_id, id, parent_id, depth) AS (
                 SELECT f.id, d.id, d.parent_id, d.depth FROM files f JOIN folders d ON d.id = f.folder_id WHERE f.id IN ({list})
                 UNION ALL
                 SELECT up.thing_id, d.id, d.parent_id, d.depth FROM folders d JOIN up ON d.id = up.parent_id
             )
             SELECT thing_id, MAX(level) AS level, MIN(depth) AS from_depth FROM (
                 SELECT up.thing_id AS thing_id, g.level AS level, up.depth AS depth
                 FROM up JOIN shares s ON s.folder_id = up.id JOIN share_grants g ON g.share_id = s.id AND g.user_id = $1
                 WHERE (s.expires_at IS NULL OR s.expires_at > $2)
                 UNION ALL
                 SELECT s.file_id, g.level, NULL FROM shares s JOIN share_grants g ON g.share_id = s.id AND g.user_id = $1
                 WHERE s.file_id IN ({list}) AND (s.expires_at IS NULL OR s.expires_at > $2)
             ) AS reach GROUP BY thing_id"
        ))
        .bind(user)
        .bind(now)
        .bind_all(files.iter().copied())
        .all()
        .await
    }

    /// The same of folders.
    pub async fn reach_of_folders(
        &self,
        user: UserId,
        folders: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<Vec<ReachedRow>, DbError> {
        if folders.is_empty() {
            return Ok(Vec::new());
        }
        let list = placeholders(3, folders.len());
        self.q_built(format!(
            "WITH RECURSIVE up (thing_id, id, parent_id, depth) AS (
                 SELECT id, id, parent_id, depth FROM folders WHERE id IN ({list})
                 UNION ALL
                 SELECT up.thing_id, d.id, d.parent_id, d.depth FROM folders d JOIN up ON d.id = up.parent_id
             )
             SELECT up.thing_id AS thing_id, MAX(g.level) AS level, MIN(up.depth) AS from_depth
             FROM up JOIN shares s ON s.folder_id = up.id JOIN share_grants g ON g.share_id = s.id AND g.user_id = $1
             WHERE (s.expires_at IS NULL OR s.expires_at > $2) GROUP BY up.thing_id"
        ))
        .bind(user)
        .bind(now)
        .bind_all(folders.iter().copied())
        .all()
        .await
    }

    /// Whether anything at all was given to the user: most have nothing, and need no wider search.
    pub async fn has_grants(&self, user: UserId) -> Result<bool, DbError> {
        let found: Option<(i64,)> =
            self.q("SELECT user_id FROM share_grants WHERE user_id = $1 LIMIT 1").bind(user).opt().await?;
        Ok(found.is_some())
    }
}

impl Tx {
    /// The owners of these things, lowest id first, so that their accounts can be locked in one order.
    pub async fn owners_of(&mut self, files: &[Uuid], folders: &[Uuid]) -> Result<Vec<UserId>, DbError> {
        let mut owners: Vec<i64> = Vec::new();
        for (table, ids) in [("files", files), ("folders", folders)] {
            if ids.is_empty() {
                continue;
            }
            let list = placeholders(1, ids.len());
            let rows: Vec<(i64,)> = self
                .q_built(format!("SELECT DISTINCT owner_id FROM {table} WHERE id IN ({list})"))
                .bind_all(ids.iter().copied())
                .all()
                .await?;
            owners.extend(rows.into_iter().map(|(owner,)| owner));
        }
        owners.sort_unstable();
        owners.dedup();
        Ok(owners.into_iter().map(UserId).collect())
    }

    /// Locks several accounts; the same two at once elsewhere wait for each other in the same order.
    pub async fn lock_accounts(&mut self, users: &[UserId]) -> Result<(), DbError> {
        let mut users = users.to_vec();
        users.sort_unstable();
        users.dedup();
        for user in users {
            self.lock_account(user).await?;
        }
        Ok(())
    }
}
