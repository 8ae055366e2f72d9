//! Who came by the links of shares: counted against their limits, and kept in their access logs.

use super::{Db, DbError, Tx, events::Event, placeholders, trash::ResourceType};
use cdn_actors::domain::{
    ids::{FolderId, ShareId, UserId},
    page::Page,
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, FromRow)]
pub struct AccessLogRow {
    pub id: Uuid,
    pub share_id: Uuid,
    pub access_type: String,
    pub ip_address: Option<String>,
    pub user_agent: String,
    pub accessed_at: DateTime<Utc>,
    pub user_id: Option<i64>,
    pub user_email: Option<String>,
    pub user_name: Option<String>,
    pub user_image: Option<String>,
}

/// What a link leads to and whose it is.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct SharedThing {
    share_id: Uuid,
    owner_id: i64,
    file_id: Option<Uuid>,
    folder_id: Option<Uuid>,
}

impl SharedThing {
    pub fn owner(&self) -> UserId {
        UserId(self.owner_id)
    }

    /// What the owner is told of visitors.
    pub fn opened(&self, access_type: &str, visits: usize) -> Event {
        let kind = if self.file_id.is_some() { ResourceType::File } else { ResourceType::Folder };
        Event::ShareOpened {
            id: self.share_id,
            resource_type: kind.as_str().to_owned(),
            resource_id: self.file_id.or(self.folder_id).unwrap_or_default(),
            access_type: access_type.to_owned(),
            visits,
        }
    }
}

/// Somebody who came by a link.
#[derive(Debug, Clone)]
pub struct AccessLogSpec {
    pub user: Option<UserId>,
    /// `view`, `download` or `preview`.
    pub access_type: &'static str,
    pub ip_address: Option<String>,
    pub user_agent: String,
    pub at: DateTime<Utc>,
}

impl Db {
    /// Newest first.
    pub async fn list_access_logs(&self, share: ShareId, page: Page) -> Result<Vec<AccessLogRow>, DbError> {
        self.q("SELECT l.id, l.share_id, l.access_type, l.ip_address, l.user_agent, l.accessed_at, l.user_id,
                       u.email AS user_email, u.name AS user_name, u.image AS user_image
                FROM share_access_logs l LEFT JOIN users u ON u.id = l.user_id
                WHERE l.share_id = $1 ORDER BY l.accessed_at DESC, l.id DESC LIMIT $2 OFFSET $3")
            .bind(share)
            .bind(page.size)
            .bind(page.offset())
            .all()
            .await
    }
}

impl Tx {
    /// Rows of the access log with their count; a share that is gone meanwhile has none.
    pub async fn add_access_logs(&mut self, share: ShareId, logs: &[AccessLogSpec]) -> Result<(), DbError> {
        let count = i64::try_from(logs.len()).unwrap_or(i64::MAX);
        let counted = self
            .q("UPDATE shares SET access_logs_count = access_logs_count + $2 WHERE id = $1")
            .bind(share)
            .bind(count)
            .exec()
            .await?;
        if counted == 0 || logs.is_empty() {
            return Ok(());
        }
        let rows: Vec<String> =
            (0..logs.len()).map(|row| format!("({})", placeholders(row * 7 + 1, 7))).collect();
        let mut insert = self.q_built(format!(
            "INSERT INTO share_access_logs (id, share_id, user_id, access_type, ip_address, user_agent, accessed_at)
             VALUES {}",
            rows.join(", ")
        ));
        for log in logs {
            insert = insert
                .bind(Uuid::now_v7())
                .bind(share)
                .bind(log.user)
                .bind(log.access_type)
                .bind(log.ip_address.clone())
                .bind(&log.user_agent)
                .bind(log.at);
        }
        insert.exec().await?;
        Ok(())
    }

    /// Takes one of a folder's upload places for strangers; `None` when the share takes no more, or none at all.
    pub async fn take_upload_place(
        &mut self,
        token_hash: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<Option<FolderId>, DbError> {
        let taken: Option<(Uuid,)> = self
            .q("UPDATE shares SET uploads_count = uploads_count + 1
                WHERE token_hash = $1 AND is_public AND allow_upload AND level >= 3
                  AND (expires_at IS NULL OR expires_at > $2) AND (max_files IS NULL OR uploads_count < max_files)
                  AND folder_id IN (SELECT id FROM folders WHERE trash_id IS NULL)
                RETURNING folder_id")
            .bind(token_hash)
            .bind(now)
            .opt()
            .await?;
        Ok(taken.map(|(folder,)| FolderId(folder)))
    }

    /// Locks the account that a link's thing belongs to, for what visitors do and its owner is told.
    pub async fn lock_shared_thing(&mut self, token_hash: Vec<u8>) -> Result<Option<SharedThing>, DbError> {
        let shared: Option<SharedThing> = self
            .q("SELECT id AS share_id, owner_id, file_id, folder_id FROM shares WHERE token_hash = $1")
            .bind(token_hash)
            .opt()
            .await?;
        if let Some(shared) = &shared {
            self.lock_account(shared.owner()).await?;
        }
        Ok(shared)
    }

    /// Counts as many of `wanted` downloads as the share admits now. `None`: it admits none at all, whatever its
    /// limit.
    pub async fn admit_downloads(
        &mut self,
        token_hash: Vec<u8>,
        wanted: u64,
        now: DateTime<Utc>,
    ) -> Result<Option<(ShareId, u64)>, DbError> {
        let lock = self.for_update();
        let found: Option<(Uuid, Option<i64>, i64)> = self
            .q_built(format!(
                "SELECT id, download_limit, download_count FROM shares
                 WHERE token_hash = $1 AND is_public AND allow_download AND (expires_at IS NULL OR expires_at > $2)
                   AND NOT EXISTS (SELECT 1 FROM files f WHERE f.id = file_id AND f.trash_id IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM folders d WHERE d.id = folder_id AND d.trash_id IS NOT NULL){lock}"
            ))
            .bind(token_hash)
            .bind(now)
            .opt()
            .await?;
        let Some((id, limit, count)) = found else { return Ok(None) };
        let left = limit.map_or(wanted, |limit| u64::try_from(limit - count).unwrap_or(0));
        let admitted = wanted.min(left);
        if admitted > 0 {
            self.q("UPDATE shares SET download_count = download_count + $2 WHERE id = $1")
                .bind(id)
                .bind(admitted)
                .exec()
                .await?;
        }
        Ok(Some((ShareId(id), admitted)))
    }
}
