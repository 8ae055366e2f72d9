//! Processing jobs: what is to be made of files, and how it ended.

use super::{Db, DbError, Tx, Value};
use cdn_actors::domain::{
    ids::{FileId, JobId, UserId},
    page::Page,
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

/// The kind of job that makes a file's thumbnail and preview.
pub const THUMBNAIL: &str = "thumbnail";

/// What goes first: higher before lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    Backlog = 10,
    Retry = 50,
    Fresh = 100,
}

impl Priority {
    pub fn get(self) -> i64 {
        self as i64
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    Pending,
    Processing,
    Completed,
    Failed,
}

impl JobStatus {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Processing, Self::Completed, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

#[derive(Debug, Clone, FromRow)]
pub struct JobRow {
    pub id: Uuid,
    pub file_id: Uuid,
    pub job_type: String,
    pub status: String,
    pub priority: i64,
    pub attempts: i64,
    pub max_attempts: i64,
    pub error_message: String,
    pub result_data: Json<serde_json::Value>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

/// A file that something may be to be made of.
#[derive(Debug, Clone, FromRow)]
pub struct Candidate {
    pub id: Uuid,
    pub mime_type: String,
}

/// What a list of jobs is filtered by.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub status: Option<JobStatus>,
    pub job_type: Option<String>,
    pub file: Option<FileId>,
}

impl JobFilter {
    /// `$1` is the owner.
    fn conditions(&self, values: &mut Vec<Value>) -> String {
        let mut sql = "j.owner_id = $1 AND f.trash_id IS NULL".to_owned();
        let mut add = |column: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {column} = ${}", values.len()));
        };
        if let Some(status) = self.status {
            add("j.status", status.as_str().into());
        }
        if let Some(job_type) = &self.job_type {
            add("j.job_type", job_type.into());
        }
        if let Some(file) = self.file {
            add("j.file_id", file.into());
        }
        sql
    }
}

const SELECT: &str = "SELECT j.id, j.file_id, j.job_type, j.status, j.priority, j.attempts, j.max_attempts,
    j.error_message, j.result_data, j.created_at, j.started_at, j.completed_at
    FROM processing_jobs j JOIN files f ON f.id = j.file_id";

impl Db {
    /// Newest first, without those of files in the trash.
    pub async fn list_jobs(
        &self,
        owner: UserId,
        filter: &JobFilter,
        page: Page,
    ) -> Result<Vec<JobRow>, DbError> {
        let mut values = vec![Value::from(owner)];
        let conditions = filter.conditions(&mut values);
        let (limit, offset) = (values.len() + 1, values.len() + 2);
        self.q_built(format!(
            "{SELECT} WHERE {conditions} ORDER BY j.created_at DESC, j.id DESC LIMIT ${limit} OFFSET ${offset}"
        ))
        .bind_all(values)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    pub async fn count_jobs(&self, owner: UserId, filter: &JobFilter) -> Result<i64, DbError> {
        let mut values = vec![Value::from(owner)];
        let conditions = filter.conditions(&mut values);
        self.q_built(format!(
            "SELECT COUNT(*) FROM processing_jobs j JOIN files f ON f.id = j.file_id WHERE {conditions}"
        ))
        .bind_all(values)
        .scalar()
        .await
    }

    pub async fn find_job(&self, owner: UserId, id: JobId) -> Result<Option<JobRow>, DbError> {
        self.q_built(format!("{SELECT} WHERE j.id = $2 AND j.owner_id = $1 AND f.trash_id IS NULL"))
            .bind(owner)
            .bind(id)
            .opt()
            .await
    }

    /// Living files after `after` in the order of their ids.
    pub async fn list_candidates(&self, after: Uuid, limit: u32) -> Result<Vec<Candidate>, DbError> {
        self.q("SELECT id, mime_type FROM files WHERE id > $1 AND trash_id IS NULL ORDER BY id LIMIT $2")
            .bind(after)
            .bind(limit)
            .all()
            .await
    }

    /// Living files, for a progress bar.
    pub async fn count_candidates(&self) -> Result<i64, DbError> {
        self.q("SELECT CAST(COALESCE(SUM(files_count), 0) AS BIGINT) FROM accounts").scalar().await
    }
}

impl Tx {
    /// Forgets what was to be made of a file's former content.
    pub async fn delete_jobs_of(&mut self, file: FileId) -> Result<(), DbError> {
        self.q("DELETE FROM processing_jobs WHERE file_id = $1").bind(file).exec().await?;
        Ok(())
    }

    pub async fn insert_job(
        &mut self,
        owner: UserId,
        file: FileId,
        priority: Priority,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO processing_jobs (id, file_id, owner_id, job_type, status, priority, result_data, due_at,
                    created_at)
                VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $7)")
            .bind(JobId::new())
            .bind(file)
            .bind(owner)
            .bind(THUMBNAIL)
            .bind(priority.get())
            .bind(serde_json::json!({}))
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    /// Gives a failed job all its attempts again; `false` when it isn't a failed one of this owner.
    pub async fn retry_job(
        &mut self,
        owner: UserId,
        job: JobId,
        now: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let changed = self
            .q("UPDATE processing_jobs SET status = 'pending', attempts = 0, priority = $4, due_at = $3,
                    error_message = '', started_at = NULL, completed_at = NULL
                WHERE id = $1 AND owner_id = $2 AND status = 'failed'")
            .bind(job)
            .bind(owner)
            .bind(now)
            .bind(Priority::Retry.get())
            .exec()
            .await?;
        Ok(changed == 1)
    }

    pub async fn find_job(&mut self, owner: UserId, id: JobId) -> Result<Option<JobRow>, DbError> {
        self.q_built(format!("{SELECT} WHERE j.id = $2 AND j.owner_id = $1 AND f.trash_id IS NULL"))
            .bind(owner)
            .bind(id)
            .opt()
            .await
    }

    /// Queues jobs of these files behind all others; gives how many. One that waits or runs already stays as
    /// it is. A renewal makes everything again; else only files are meant that lack a rendition of one of
    /// the two sizes.
    pub async fn requeue_files(
        &mut self,
        files: &[Uuid],
        is_renewal: bool,
        sizes: (u32, u32),
        now: DateTime<Utc>,
    ) -> Result<u64, DbError> {
        let rows: Vec<_> = (0..files.len()).map(|i| format!("(${}, ${})", 2 * i + 8, 2 * i + 9)).collect();
        let mut values = Vec::with_capacity(2 * files.len());
        for file in files {
            values.push(Value::from(JobId::new()));
            values.push(Value::from(*file));
        }
        self.q_built(format!(
            "WITH wanted (id, file_id) AS (VALUES {})
             INSERT INTO processing_jobs (id, file_id, owner_id, job_type, status, priority, is_renewal, result_data,
                 due_at, created_at)
             SELECT w.id, f.id, f.owner_id, $1, 'pending', CAST($2 AS BIGINT), $3, $4, $5, $5
             FROM wanted w JOIN files f ON f.id = w.file_id WHERE $3 OR f.thumbnail_url IS NULL OR 2 >
                 (SELECT COUNT(DISTINCT r.max_side) + CASE WHEN CAST($6 AS BIGINT) = $7 THEN 1 ELSE 0 END
                  FROM renditions r WHERE r.source_id = COALESCE(f.blob_id, f.id) AND r.format = 'webp'
                      AND r.max_side IN ($6, $7))
             ON CONFLICT (file_id, job_type) DO UPDATE SET status = 'pending', priority = excluded.priority,
                 is_renewal = excluded.is_renewal, attempts = 0, error_message = '', due_at = excluded.due_at,
                 started_at = NULL, completed_at = NULL
             WHERE processing_jobs.status IN ('completed', 'failed')",
            rows.join(",")
        ))
        .bind(THUMBNAIL)
        .bind(Priority::Backlog.get())
        .bind(is_renewal)
        .bind(serde_json::json!({}))
        .bind(now)
        .bind(sizes.0)
        .bind(sizes.1)
        .bind_all(values)
        .exec()
        .await
    }
}
