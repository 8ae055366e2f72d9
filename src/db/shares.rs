//! Shares: a thing, its link, and the people it was given to.
//!
//! A share of something in the trash is as if it were not there until the thing comes back.

use super::{
    Db, DbError, Tx, Value,
    access::Read,
    placeholders,
    trash::ResourceType,
    users::{OwnerRow, owner_columns},
};
use cdn_actors::domain::{
    ids::{FileId, FolderId, ShareId, UserId},
    page::Page,
    permission::Permission,
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A share with its thing and the thing's owner.
#[derive(Debug, Clone, FromRow)]
pub struct ShareRow {
    pub share_id: Uuid,
    pub file_id: Option<Uuid>,
    pub folder_id: Option<Uuid>,
    pub level: i64,
    pub is_public: bool,
    pub token_nonce: Vec<u8>,
    pub token_hash: Vec<u8>,
    pub password_hash: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub allow_download: bool,
    pub allow_preview: bool,
    pub download_limit: Option<i64>,
    pub download_count: i64,
    pub access_logs_count: i64,
    pub allow_upload: bool,
    pub max_files: Option<i64>,
    /// Bytes of one file.
    pub max_size: Option<i64>,
    pub uploads_count: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Of the file or the folder.
    pub thing_name: String,
    /// Of the folder.
    pub thing_path: Option<String>,
    pub thing_files_count: Option<i64>,
    /// Of the file.
    pub thing_size: Option<i64>,
    pub thing_type: Option<String>,
    pub thing_thumbnail: Option<String>,
    #[sqlx(flatten)]
    pub owner: OwnerRow,
}

impl ShareRow {
    pub fn id(&self) -> ShareId {
        ShareId(self.share_id)
    }

    pub fn owner(&self) -> UserId {
        UserId(self.owner.owner_id)
    }

    pub fn kind(&self) -> ResourceType {
        if self.file_id.is_some() { ResourceType::File } else { ResourceType::Folder }
    }

    /// The id of the file or the folder.
    pub fn thing(&self) -> Uuid {
        self.file_id.or(self.folder_id).unwrap_or_default()
    }

    pub fn permission(&self) -> Permission {
        Permission::of_rank(self.level).unwrap_or(Permission::View)
    }

    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub fn is_spent(&self) -> bool {
        self.download_limit.is_some_and(|limit| self.download_count >= limit)
    }
}

/// What a share's owner decides.
#[derive(Debug, Clone)]
pub struct ShareSettings {
    pub level: Permission,
    pub is_public: bool,
    pub token_nonce: Vec<u8>,
    pub token_hash: Vec<u8>,
    pub password_hash: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub allow_download: bool,
    pub allow_preview: bool,
    pub download_limit: Option<i64>,
    pub allow_upload: bool,
    pub max_files: Option<i64>,
    pub max_size: Option<i64>,
}

impl ShareSettings {
    /// In the order of the columns from `level` to `max_size`.
    fn values(&self) -> [Value; 12] {
        [
            self.level.rank().into(),
            self.is_public.into(),
            self.token_nonce.clone().into(),
            self.token_hash.clone().into(),
            self.password_hash.clone().into(),
            self.expires_at.into(),
            self.allow_download.into(),
            self.allow_preview.into(),
            self.download_limit.into(),
            self.allow_upload.into(),
            self.max_files.into(),
            self.max_size.into(),
        ]
    }
}

#[derive(Debug, Clone, FromRow)]
pub struct GrantRow {
    pub share_id: Uuid,
    pub user_id: i64,
    pub email: String,
    pub level: i64,
}

impl GrantRow {
    pub fn permission(&self) -> Permission {
        Permission::of_rank(self.level).unwrap_or(Permission::View)
    }
}

macro_rules! share_query {
    ($rest:literal) => {
        concat!(
            "SELECT s.id AS share_id, s.file_id, s.folder_id, s.level, s.is_public, s.token_nonce, s.token_hash,
                s.password_hash, s.expires_at, s.allow_download, s.allow_preview, s.download_limit, s.download_count,
                s.access_logs_count, s.allow_upload, s.max_files, s.max_size, s.uploads_count, s.created_at,
                s.updated_at, COALESCE(f.filename, d.name) AS thing_name, d.path AS thing_path,
                d.files_count AS thing_files_count, f.file_size AS thing_size, f.mime_type AS thing_type,
                f.thumbnail_url AS thing_thumbnail, ",
            owner_columns!(),
            " FROM shares s JOIN users o ON o.id = s.owner_id LEFT JOIN files f ON f.id = s.file_id
              LEFT JOIN folders d ON d.id = s.folder_id
              WHERE f.trash_id IS NULL AND d.trash_id IS NULL ",
            $rest
        )
    };
}

/// The living shares of `$1`: owned, or given and not expired at `$2`.
macro_rules! shares_of_user {
    () => {
        "AND s.id IN (
             SELECT id FROM shares WHERE owner_id = $1
             UNION
             SELECT g.share_id FROM share_grants g JOIN shares x ON x.id = g.share_id
             WHERE g.user_id = $1 AND (x.expires_at IS NULL OR x.expires_at > $2)) "
    };
}

/// A share of a living thing.
pub async fn find_share(on: &mut impl Read, id: ShareId) -> Result<Option<ShareRow>, DbError> {
    on.read(share_query!("AND s.id = $1").into()).bind(id).opt().await
}

/// The people that a share was given to, in the order they came.
pub async fn list_grants(on: &mut impl Read, share: ShareId) -> Result<Vec<GrantRow>, DbError> {
    on.read(
        "SELECT g.share_id, g.user_id, u.email, g.level FROM share_grants g JOIN users u ON u.id = g.user_id
         WHERE g.share_id = $1 ORDER BY g.granted_at, g.user_id"
            .into(),
    )
    .bind(share)
    .all()
    .await
}

pub async fn find_grant(
    on: &mut impl Read,
    share: ShareId,
    user: UserId,
) -> Result<Option<Permission>, DbError> {
    let found: Option<(i64,)> = on
        .read("SELECT level FROM share_grants WHERE share_id = $1 AND user_id = $2".into())
        .bind(share)
        .bind(user)
        .opt()
        .await?;
    Ok(found.and_then(|(level,)| Permission::of_rank(level)))
}

/// Whether a folder is `above` or lies anywhere below it.
pub async fn lies_within(on: &mut impl Read, folder: FolderId, above: FolderId) -> Result<bool, DbError> {
    let found: Option<(Uuid,)> = on
        .read(
            "SELECT id FROM (WITH RECURSIVE up (id, parent_id) AS (
                 SELECT id, parent_id FROM folders WHERE id = $1
                 UNION ALL
                 SELECT d.id, d.parent_id FROM folders d JOIN up ON d.id = up.parent_id
             ) SELECT id FROM up) AS line WHERE id = $2"
                .into(),
        )
        .bind(folder)
        .bind(above)
        .opt()
        .await?;
    Ok(found.is_some())
}

impl Db {
    /// A public share by its token's hash.
    pub async fn find_share_by_token(&self, token_hash: Vec<u8>) -> Result<Option<ShareRow>, DbError> {
        self.q(share_query!("AND s.token_hash = $1 AND s.is_public")).bind(token_hash).opt().await
    }

    /// What the user shares and was given, newest first.
    pub async fn list_shares(
        &self,
        user: UserId,
        now: DateTime<Utc>,
        page: Page,
    ) -> Result<Vec<ShareRow>, DbError> {
        self.q_built(format!(
            "{}{}ORDER BY s.created_at DESC, s.id DESC LIMIT $3 OFFSET $4",
            share_query!(""),
            shares_of_user!()
        ))
        .bind(user)
        .bind(now)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    /// How many these are. Things go to the trash and shares expire without a change here, so no counter is kept.
    pub async fn count_shares(&self, user: UserId, now: DateTime<Utc>) -> Result<i64, DbError> {
        self.q(concat!(
            "SELECT COUNT(*) FROM shares s LEFT JOIN files f ON f.id = s.file_id LEFT JOIN folders d ON d.id = s.folder_id
             WHERE f.trash_id IS NULL AND d.trash_id IS NULL ",
            shares_of_user!()
        ))
        .bind(user)
        .bind(now)
        .scalar()
        .await
    }

    /// All shares of one living thing, oldest first.
    pub async fn list_shares_of(&self, thing: Uuid) -> Result<Vec<ShareRow>, DbError> {
        self.q(share_query!("AND (s.file_id = $1 OR s.folder_id = $1) ORDER BY s.created_at, s.id"))
            .bind(thing)
            .all()
            .await
    }

    /// The people of several shares, in the order they came.
    pub async fn list_grants_of(&self, shares: &[Uuid]) -> Result<Vec<GrantRow>, DbError> {
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let list = placeholders(1, shares.len());
        self.q_built(format!(
            "SELECT g.share_id, g.user_id, u.email, g.level FROM share_grants g JOIN users u ON u.id = g.user_id
             WHERE g.share_id IN ({list}) ORDER BY g.granted_at, g.user_id"
        ))
        .bind_all(shares.iter().copied())
        .all()
        .await
    }

    /// The ids of users by their addresses; unknown ones are left out.
    pub async fn find_user_ids(&self, emails: &[String]) -> Result<Vec<(i64, String)>, DbError> {
        if emails.is_empty() {
            return Ok(Vec::new());
        }
        let list = placeholders(1, emails.len());
        self.q_built(format!("SELECT id, email FROM users WHERE email IN ({list})"))
            .bind_all(emails.iter())
            .all()
            .await
    }
}

impl Tx {
    /// The owner's account must be locked.
    pub async fn insert_share(
        &mut self,
        id: ShareId,
        (owner, by): (UserId, UserId),
        (kind, thing): (ResourceType, Uuid),
        settings: &ShareSettings,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let (file, folder) = match kind {
            ResourceType::File => (Some(FileId(thing)), None),
            ResourceType::Folder => (None, Some(FolderId(thing))),
        };
        self.q("INSERT INTO shares (id, owner_id, created_by, file_id, folder_id, level, is_public, token_nonce,
                    token_hash, password_hash, expires_at, allow_download, allow_preview, download_limit, allow_upload,
                    max_files, max_size, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)")
            .bind(id)
            .bind(owner)
            .bind(by)
            .bind(file)
            .bind(folder)
            .bind_all(settings.values())
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    /// `is_limited_anew`: what was downloaded before doesn't break the limit that is set now.
    pub async fn update_share(
        &mut self,
        id: ShareId,
        settings: &ShareSettings,
        is_limited_anew: bool,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE shares SET level = $2, is_public = $3, token_nonce = $4, token_hash = $5, password_hash = $6,
                    expires_at = $7, allow_download = $8, allow_preview = $9, download_limit = $10, allow_upload = $11,
                    max_files = $12, max_size = $13, updated_at = $14,
                    limited_from = CASE WHEN $15 THEN download_count ELSE limited_from END WHERE id = $1")
            .bind(id)
            .bind_all(settings.values())
            .bind(now)
            .bind(is_limited_anew)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn delete_share(&mut self, id: ShareId) -> Result<(), DbError> {
        self.q("DELETE FROM shares WHERE id = $1").bind(id).exec().await?;
        Ok(())
    }

    pub async fn put_grant(
        &mut self,
        share: ShareId,
        user: UserId,
        level: Permission,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO share_grants (share_id, user_id, level, granted_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (share_id, user_id) DO UPDATE SET level = excluded.level")
            .bind(share)
            .bind(user)
            .bind(level.rank())
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    /// `false` when there was none.
    pub async fn delete_grant(&mut self, share: ShareId, user: UserId) -> Result<bool, DbError> {
        let deleted = self
            .q("DELETE FROM share_grants WHERE share_id = $1 AND user_id = $2")
            .bind(share)
            .bind(user)
            .exec()
            .await?;
        Ok(deleted == 1)
    }
}
