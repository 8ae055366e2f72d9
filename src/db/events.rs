//! Events: what happened to a user's things, written in the transaction of the change.
//!
//! Each user's events are numbered without a gap by a counter on the account's row. The number is taken under
//! that row's lock, so events become visible in the order of their numbers.

use super::{Db, DbError, Tx, activity::Action, trash::ResourceType};
use cdn_actors::domain::ids::{FileId, UserId};
use chrono::{DateTime, Utc};
use dashmap::{DashMap, Entry};
use serde::Serialize;
use sqlx::FromRow;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// What a listener is told.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type")]
pub enum Event {
    #[serde(rename = "file.created")]
    FileCreated { id: Uuid, name: String },
    #[serde(rename = "file.changed")]
    FileChanged { id: Uuid, name: String, change: Change },
    #[serde(rename = "file.trashed")]
    FileTrashed { id: Uuid, name: String },
    #[serde(rename = "file.restored")]
    FileRestored { id: Uuid, name: String },
    /// Deleted for good.
    #[serde(rename = "file.deleted")]
    FileDeleted { id: Uuid, name: String },
    /// Thumbnail and preview are there, or have failed; `processing_status` as on the file.
    #[serde(rename = "file.processed")]
    FileProcessed { id: FileId, processing_status: String },
    #[serde(rename = "folder.created")]
    FolderCreated { id: Uuid, name: String },
    #[serde(rename = "folder.changed")]
    FolderChanged { id: Uuid, name: String, change: Change },
    #[serde(rename = "folder.trashed")]
    FolderTrashed { id: Uuid, name: String },
    #[serde(rename = "folder.restored")]
    FolderRestored { id: Uuid, name: String },
    #[serde(rename = "folder.deleted")]
    FolderDeleted { id: Uuid, name: String },
    #[serde(rename = "trash.emptied")]
    TrashEmptied,
    /// A processing job has moved on; `status` as on the job.
    #[serde(rename = "job.changed")]
    JobChanged { id: Uuid, file: FileId, job_type: String, status: String, attempts: i64 },
    /// Visitors came by a share's link, some at a time; `access_type` as in its access log.
    #[serde(rename = "share.opened")]
    ShareOpened { id: Uuid, resource_type: String, resource_id: Uuid, access_type: String, visits: usize },
    /// Listeners are told the limit beside it.
    #[serde(rename = "quota.changed")]
    QuotaChanged { storage_used: i64 },
}

/// What of a thing is different now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Renamed,
    Moved,
    /// A file's content, or its former contents.
    Content,
}

impl Event {
    pub const QUOTA_CHANGED: &str = "quota.changed";

    /// The event of a recorded action; `None` for what changes nothing that is listed.
    pub(super) fn of_action(
        action: Action,
        (resource_type, id): (ResourceType, Uuid),
        name: &str,
        metadata: &serde_json::Value,
    ) -> Option<Self> {
        let name = name.to_owned();
        let is_file = resource_type == ResourceType::File;
        let changed = |change| match resource_type {
            ResourceType::File => Self::FileChanged { id, name: name.clone(), change },
            ResourceType::Folder => Self::FolderChanged { id, name: name.clone(), change },
        };
        match action {
            // Activity on a version names it; the file stays where it is.
            Action::Upload | Action::Restore | Action::Delete if metadata.get("version").is_some() => {
                Some(changed(Change::Content))
            }
            Action::Upload | Action::Copy if is_file => Some(Self::FileCreated { id, name }),
            Action::Upload | Action::Copy => Some(Self::FolderCreated { id, name }),
            Action::Rename => Some(changed(Change::Renamed)),
            Action::Move => Some(changed(Change::Moved)),
            Action::Delete if is_file => Some(Self::FileTrashed { id, name }),
            Action::Delete => Some(Self::FolderTrashed { id, name }),
            Action::Restore if is_file => Some(Self::FileRestored { id, name }),
            Action::Restore => Some(Self::FolderRestored { id, name }),
            Action::Download | Action::View | Action::Share => None,
        }
    }

    pub(super) fn of_deletion(resource_type: ResourceType, id: Uuid, name: String) -> Self {
        match resource_type {
            ResourceType::File => Self::FileDeleted { id, name },
            ResourceType::Folder => Self::FolderDeleted { id, name },
        }
    }
}

#[derive(Debug, Clone, FromRow)]
pub struct EventRow {
    pub id: i64,
    pub kind: String,
    pub data: sqlx::types::Json<serde_json::Value>,
    pub created_at: DateTime<Utc>,
}

/// What an event's number is taken with.
#[derive(FromRow)]
struct Numbered {
    user_id: i64,
    last_event_id: i64,
    storage_used: i64,
    told_storage_used: i64,
}

/// Ends a statement that takes a number.
macro_rules! numbered {
    ($owner:literal) => {
        concat!(
            "UPDATE accounts SET last_event_id = last_event_id + 1 WHERE user_id = ",
            $owner,
            " RETURNING user_id, last_event_id, storage_used, told_storage_used"
        )
    };
}

impl Tx {
    /// Tells a user's listeners, once this transaction is committed. The user's account must be locked, or be
    /// the only one that this transaction takes.
    pub async fn record_event(
        &mut self,
        user: UserId,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let numbered = self.q(numbered!("$1")).bind(user).one().await?;
        self.insert_event(numbered, event, now).await
    }

    /// Tells the listeners of a thing's owner, whoever acted.
    pub(super) async fn record_event_of(
        &mut self,
        (resource_type, id): (ResourceType, Uuid),
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let sql = match resource_type {
            ResourceType::File => numbered!("(SELECT owner_id FROM files WHERE id = $1)"),
            ResourceType::Folder => numbered!("(SELECT owner_id FROM folders WHERE id = $1)"),
        };
        // What is not there has nobody who would want to know.
        let Some(numbered) = self.q(sql).bind(id).opt().await? else { return Ok(()) };
        self.insert_event(numbered, event, now).await
    }

    /// Tells a user's used bytes and limit, which other events tell only when the bytes have changed.
    pub async fn record_quota_event(&mut self, user: UserId, now: DateTime<Utc>) -> Result<(), DbError> {
        let numbered: Numbered = self.q(numbered!("$1")).bind(user).one().await?;
        self.write_quota_event(numbered.user_id, numbered.last_event_id, numbered.storage_used, now).await
    }

    async fn insert_event(
        &mut self,
        numbered: Numbered,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.write_event(numbered.user_id, numbered.last_event_id, event, now).await?;
        if numbered.storage_used == numbered.told_storage_used {
            return Ok(());
        }
        let id: i64 = self
            .q("UPDATE accounts SET last_event_id = last_event_id + 1 WHERE user_id = $1 RETURNING last_event_id")
            .bind(numbered.user_id)
            .scalar()
            .await?;
        self.write_quota_event(numbered.user_id, id, numbered.storage_used, now).await
    }

    async fn write_quota_event(
        &mut self,
        user: i64,
        id: i64,
        storage_used: i64,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE accounts SET told_storage_used = $2 WHERE user_id = $1")
            .bind(user)
            .bind(storage_used)
            .exec()
            .await?;
        self.write_event(user, id, &Event::QuotaChanged { storage_used }, now).await
    }

    async fn write_event(
        &mut self,
        user: i64,
        id: i64,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let data = serde_json::to_value(event)
            .map_err(|error| DbError::Other(sqlx::Error::Encode(Box::new(error))))?;
        let kind = data["type"].as_str().unwrap_or_default().to_owned();
        self.q("INSERT INTO events (user_id, id, kind, data, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(user)
            .bind(id)
            .bind(kind)
            .bind(data)
            .bind(now)
            .exec()
            .await?;
        self.fresh.push((UserId(user), id));
        Ok(())
    }

    /// Removes up to `limit` events from before a time; gives how many.
    pub async fn delete_old_events(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64, DbError> {
        self.q("DELETE FROM events WHERE (user_id, id) IN
                    (SELECT user_id, id FROM events WHERE created_at < $1 ORDER BY created_at LIMIT $2)")
            .bind(before)
            .bind(limit)
            .exec()
            .await
    }
}

impl Db {
    /// A user's events after a number, in their order.
    pub async fn list_events(&self, user: UserId, after: i64, limit: u32) -> Result<Vec<EventRow>, DbError> {
        self.q(
            "SELECT id, kind, data, created_at FROM events WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(user)
        .bind(after)
        .bind(limit)
        .all()
        .await
    }

    /// The number of a user's last event; 0 before the first.
    pub async fn last_event_id(&self, user: UserId) -> Result<i64, DbError> {
        self.q("SELECT last_event_id FROM accounts WHERE user_id = $1").bind(user).scalar().await
    }

    /// The same of many users.
    pub async fn last_event_ids(&self, users: &[UserId]) -> Result<Vec<(i64, i64)>, DbError> {
        let list = super::placeholders(1, users.len());
        self.q_built(format!("SELECT user_id, last_event_id FROM accounts WHERE user_id IN ({list})"))
            .bind_all(users.iter().copied())
            .all()
            .await
    }
}

/// Who listens in this process, and the number of each one's last event that is known here.
///
/// What is committed by this process is told at once; what others commit is told by whoever polls.
#[derive(Clone, Default)]
pub struct News(Arc<DashMap<UserId, watch::Sender<i64>>>);

impl News {
    /// Wakes a user's listeners, if there are any and this is news to them.
    pub fn tell(&self, user: UserId, id: i64) {
        if let Some(latest) = self.0.get(&user) {
            latest.send_if_modified(|latest| {
                let is_news = id > *latest;
                *latest = id.max(*latest);
                is_news
            });
        }
    }

    /// Hears of a user's events from now on; `None` when `max` listeners do so already. Whoever stops
    /// listening says so with [`News::leave`].
    pub fn listen(&self, user: UserId, max: usize) -> Option<watch::Receiver<i64>> {
        match self.0.entry(user) {
            Entry::Occupied(listened) => {
                (listened.get().receiver_count() < max).then(|| listened.get().subscribe())
            }
            Entry::Vacant(_) if max == 0 => None,
            Entry::Vacant(unheard) => {
                let (latest, receiver) = watch::channel(0);
                unheard.insert(latest);
                Some(receiver)
            }
        }
    }

    pub fn leave(&self, user: UserId, listener: watch::Receiver<i64>) {
        drop(listener);
        self.0.remove_if(&user, |_, latest| latest.receiver_count() == 0);
    }

    /// Everybody who is listened for.
    pub fn users(&self) -> Vec<UserId> {
        self.0.iter().map(|entry| *entry.key()).collect()
    }

    /// Listeners of all users.
    pub fn listeners(&self) -> usize {
        self.0.iter().map(|entry| entry.value().receiver_count()).sum()
    }
}
