//! Users as administrators see them, and figures of the whole site.

use super::{Db, DbError, Tx, files::contains_pattern, processing::JobStatus, users::UserRow};
use cdn_actors::domain::{ids::UserId, page::Page};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A user with what is kept about their storage.
#[derive(Debug, Clone, FromRow)]
pub struct UserOverviewRow {
    #[sqlx(flatten)]
    pub user: UserRow,
    pub created_at: DateTime<Utc>,
    pub storage_used: i64,
    pub storage_reserved: i64,
    pub files_count: i64,
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// Sums of what is kept for each account.
#[derive(Debug, Clone, FromRow)]
pub struct SiteFiguresRow {
    pub users: i64,
    pub storage_used: i64,
    pub storage_reserved: i64,
    pub files: i64,
    pub folders: i64,
    pub trash_items: i64,
}

/// Living files of one kind of media.
#[derive(Debug, Clone, FromRow)]
pub struct KindFiguresRow {
    pub kind: String,
    pub files: i64,
    /// Bytes.
    pub size: i64,
}

/// What an administrator may change of a user; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub tier: Option<String>,
    pub is_active: Option<bool>,
    pub is_admin: Option<bool>,
}

const OVERVIEW: &str =
    "SELECT u.id, u.email, u.name, u.image, u.password_hash, u.tier, u.is_active, u.is_admin,
    u.created_at, a.storage_used, a.storage_reserved, a.files_count,
    (SELECT MAX(s.last_seen_at) FROM sessions s WHERE s.user_id = u.id) AS last_seen_at
    FROM users u JOIN accounts a ON a.user_id = u.id";

/// A processing job as administrators see it.
#[derive(Debug, Clone, FromRow)]
pub struct JobOverviewRow {
    pub id: Uuid,
    pub file_id: Uuid,
    pub owner_id: i64,
    pub job_type: String,
    pub status: String,
    pub priority: i64,
    pub attempts: i64,
    pub max_attempts: i64,
    pub error_message: String,
    pub due_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

impl Db {
    /// How many jobs of everybody there are in each state that any is in.
    pub async fn count_jobs_by_status(&self) -> Result<Vec<(String, i64)>, DbError> {
        self.q("SELECT status, COUNT(*) FROM processing_jobs GROUP BY status").all().await
    }

    /// Everybody's jobs in a state, newest first.
    pub async fn list_all_jobs(&self, status: JobStatus, page: Page) -> Result<Vec<JobOverviewRow>, DbError> {
        self.q("SELECT id, file_id, owner_id, job_type, status, priority, attempts, max_attempts, error_message, due_at,
                    created_at, started_at, completed_at
                FROM processing_jobs WHERE status = $1 ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3")
            .bind(status.as_str())
            .bind(page.size)
            .bind(page.offset())
            .all()
            .await
    }

    /// Users by id; a needle is looked for in addresses and names.
    pub async fn list_user_overviews(
        &self,
        search: Option<&str>,
        page: Page,
    ) -> Result<Vec<UserOverviewRow>, DbError> {
        match search {
            Some(needle) => {
                self.q_built(format!(
                    "{OVERVIEW} WHERE u.search_name LIKE $1 ESCAPE '\\' ORDER BY u.id LIMIT $2 OFFSET $3"
                ))
                .bind(contains_pattern(needle))
                .bind(page.size)
                .bind(page.offset())
                .all()
                .await
            }
            None => {
                self.q_built(format!("{OVERVIEW} ORDER BY u.id LIMIT $1 OFFSET $2"))
                    .bind(page.size)
                    .bind(page.offset())
                    .all()
                    .await
            }
        }
    }

    pub async fn count_users(&self, search: Option<&str>) -> Result<i64, DbError> {
        match search {
            Some(needle) => {
                self.q("SELECT COUNT(*) FROM users WHERE search_name LIKE $1 ESCAPE '\\'")
                    .bind(contains_pattern(needle))
                    .scalar()
                    .await
            }
            None => self.q("SELECT total FROM site_totals WHERE name = 'users'").scalar().await,
        }
    }

    pub async fn find_user_overview(&self, user: UserId) -> Result<Option<UserOverviewRow>, DbError> {
        self.q_built(format!("{OVERVIEW} WHERE u.id = $1")).bind(user).opt().await
    }

    pub async fn site_figures(&self) -> Result<SiteFiguresRow, DbError> {
        self.q("SELECT (SELECT total FROM site_totals WHERE name = 'users') AS users,
                       CAST(COALESCE(SUM(storage_used), 0) AS BIGINT) AS storage_used,
                       CAST(COALESCE(SUM(storage_reserved), 0) AS BIGINT) AS storage_reserved,
                       CAST(COALESCE(SUM(files_count), 0) AS BIGINT) AS files,
                       CAST(COALESCE(SUM(folders_count), 0) AS BIGINT) AS folders,
                       CAST(COALESCE(SUM(trash_count), 0) AS BIGINT) AS trash_items
                FROM accounts")
            .one()
            .await
    }

    pub async fn figures_by_kind(&self) -> Result<Vec<KindFiguresRow>, DbError> {
        self.q(
            "SELECT kind, CAST(SUM(files_count) AS BIGINT) AS files, CAST(SUM(total_size) AS BIGINT) AS size
                FROM media_type_totals GROUP BY kind ORDER BY kind",
        )
        .all()
        .await
    }
}

impl Tx {
    /// The active administrators' ids, locked in one order: who is the last is for one transaction at a
    /// time to say.
    pub async fn lock_administrators(&mut self) -> Result<Vec<(i64,)>, DbError> {
        let lock = self.for_update();
        self.q_built(format!("SELECT id FROM users WHERE is_admin AND is_active ORDER BY id{lock}"))
            .all()
            .await
    }

    pub async fn user_overview(&mut self, user: UserId) -> Result<Option<UserOverviewRow>, DbError> {
        self.q_built(format!("{OVERVIEW} WHERE u.id = $1")).bind(user).opt().await
    }

    pub async fn change_user(
        &mut self,
        user: UserId,
        change: &UserChange,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE users SET tier = COALESCE($2, tier), is_active = COALESCE($3, is_active),
                is_admin = COALESCE($4, is_admin), updated_at = $5 WHERE id = $1")
            .bind(user)
            .bind(change.tier.clone())
            .bind(change.is_active)
            .bind(change.is_admin)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }
}
