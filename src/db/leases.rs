//! Leases of jobs: who works on what until when, and how a turn ends. A statement that ends a turn names its lease,
//! so that nobody ends another's.

use super::{
    Db, DbError, Engine, Tx,
    events::Event,
    placeholders,
    processing::{JobStatus, Priority},
};
use cdn_actors::domain::ids::{FileId, InstanceId, JobId, LeaseId, UserId};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A job as the process that took it needs it.
#[derive(Debug, Clone, FromRow)]
pub struct LeasedRow {
    pub id: Uuid,
    pub attempts: i64,
    pub max_attempts: i64,
}

/// What a job is about: the content its file has now.
#[derive(Debug, Clone, FromRow)]
pub struct JobSource {
    pub file_id: Uuid,
    pub owner_id: i64,
    pub is_renewal: bool,
    pub mime_type: String,
    pub file_extension: String,
    pub file_size: i64,
    pub blob_id: Option<Uuid>,
    pub cdn_url: Option<String>,
}

impl JobSource {
    /// What its renditions are kept by.
    pub fn source_id(&self) -> Uuid {
        self.blob_id.unwrap_or(self.file_id)
    }
}

/// A job as listeners are told of it.
#[derive(FromRow)]
struct ToldJob {
    id: Uuid,
    file_id: Uuid,
    owner_id: i64,
    job_type: String,
    status: String,
    attempts: i64,
}

/// Under what conditions jobs are taken.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTerms {
    pub id: LeaseId,
    pub instance: InstanceId,
    pub now: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub max_attempts: u32,
}

/// Takes a job's lease away; each statement that ends a turn sets these.
const NO_LEASE: &str = "lease_id = NULL, instance_id = NULL, lease_expires_at = NULL";

/// What a job says whose attempts ended with the process that made them.
const INTERRUPTED: &str = "The server was interrupted each time it worked on this file.";

impl Db {
    /// How many jobs wait, whether or not they are due, and how many are leased.
    pub async fn count_open_jobs(&self) -> Result<(i64, i64), DbError> {
        self.q("SELECT (SELECT COUNT(*) FROM processing_jobs WHERE status = 'pending'),
                    (SELECT COUNT(*) FROM processing_jobs WHERE status = 'processing')")
            .one()
            .await
    }

    /// The content that a leased job is about; `None` once the lease is over.
    pub async fn find_job_source(&self, job: JobId, lease: LeaseId) -> Result<Option<JobSource>, DbError> {
        self.q("SELECT j.file_id, j.owner_id, j.is_renewal, f.mime_type, f.file_extension, f.file_size, f.blob_id,
                    f.cdn_url FROM processing_jobs j JOIN files f ON f.id = j.file_id
                WHERE j.id = $1 AND j.lease_id = $2")
            .bind(job)
            .bind(lease)
            .opt()
            .await
    }
}

impl Tx {
    /// Takes up to `limit` due jobs. Jobs that another process is taking right now are passed over.
    pub async fn lease_jobs(&mut self, terms: &LeaseTerms, limit: u32) -> Result<Vec<LeasedRow>, DbError> {
        let skip = match self.engine() {
            Engine::Sqlite => "",
            Engine::Postgres => "FOR UPDATE SKIP LOCKED",
        };
        let taken = self
            .q_built(format!(
                "UPDATE processing_jobs SET status = 'processing', attempts = attempts + 1, max_attempts = $6,
                     lease_id = $1, instance_id = $2, lease_expires_at = $3, started_at = $4
                 WHERE status = 'pending' AND id IN
                     (SELECT id FROM processing_jobs WHERE status = 'pending' AND due_at <= $4
                      ORDER BY priority DESC, due_at, id LIMIT $5 {skip})"
            ))
            .bind(terms.id)
            .bind(terms.instance)
            .bind(terms.expires_at)
            .bind(terms.now)
            .bind(limit)
            .bind(terms.max_attempts)
            .exec()
            .await?;
        if taken == 0 {
            return Ok(Vec::new());
        }
        self.q("SELECT id, attempts, max_attempts FROM processing_jobs WHERE lease_id = $1 AND status = 'processing'
                ORDER BY priority DESC, due_at, id")
            .bind(terms.id)
            .all()
            .await
    }

    /// Prolongs the leases of the jobs that this process works on.
    pub async fn renew_leases(
        &mut self,
        instance: InstanceId,
        jobs: &[JobId],
        expires_at: DateTime<Utc>,
    ) -> Result<(), DbError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let list = placeholders(3, jobs.len());
        self.q_built(format!(
            "UPDATE processing_jobs SET lease_expires_at = $1
             WHERE status = 'processing' AND instance_id = $2 AND id IN ({list})"
        ))
        .bind(expires_at)
        .bind(instance)
        .bind_all(jobs.iter().copied())
        .exec()
        .await?;
        Ok(())
    }

    /// Puts back what nobody works on any more: leases that are over, those of processes that are no more,
    /// and those of this process that it doesn't know of. A job that has used its attempts up has failed.
    pub async fn reclaim_jobs(
        &mut self,
        own: InstanceId,
        running: &[JobId],
        now: DateTime<Utc>,
        alive_since: DateTime<Utc>,
    ) -> Result<u64, DbError> {
        let known = match running.len() {
            0 => String::new(),
            count => format!("AND id NOT IN ({})", placeholders(6, count)),
        };
        self.q_built(format!(
            "UPDATE processing_jobs SET {NO_LEASE}, due_at = $1, priority = CASE WHEN priority < $4 THEN priority ELSE $4 END,
                 status = CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'pending' END,
                 error_message = CASE WHEN attempts >= max_attempts THEN $5 ELSE error_message END,
                 completed_at = CASE WHEN attempts >= max_attempts THEN $1 ELSE NULL END
             WHERE status = 'processing' AND (lease_expires_at <= $1
                 OR (instance_id = $3 {known})
                 OR (instance_id <> $3 AND instance_id NOT IN (SELECT id FROM instances WHERE last_seen_at >= $2)))"
        ))
        .bind(now)
        .bind(alive_since)
        .bind(own)
        .bind(Priority::Retry.get())
        .bind(INTERRUPTED)
        .bind_all(running.iter().copied())
        .exec()
        .await
    }

    /// Locks a leased job for the transaction that records its result; `false` once the lease is over.
    pub async fn lock_leased_job(&mut self, job: JobId, lease: LeaseId) -> Result<bool, DbError> {
        let lock = self.for_update();
        let found: Option<(Uuid,)> = self
            .q_built(format!("SELECT id FROM processing_jobs WHERE id = $1 AND lease_id = $2{lock}"))
            .bind(job)
            .bind(lease)
            .opt()
            .await?;
        Ok(found.is_some())
    }

    /// Locks the account that a job belongs to; `false` when the job is gone.
    pub async fn lock_job_owner(&mut self, job: JobId) -> Result<bool, DbError> {
        let owner: Option<(i64,)> =
            self.q("SELECT owner_id FROM processing_jobs WHERE id = $1").bind(job).opt().await?;
        let Some((owner,)) = owner else { return Ok(false) };
        self.lock_account(UserId(owner)).await?;
        Ok(true)
    }

    /// Tells the owner's listeners where a job is now and, at its end, that its file is processed. The account
    /// must be locked.
    pub async fn tell_job(&mut self, job: JobId, now: DateTime<Utc>) -> Result<(), DbError> {
        let told: Option<ToldJob> = self
            .q("SELECT id, file_id, owner_id, job_type, status, attempts FROM processing_jobs WHERE id = $1")
            .bind(job)
            .opt()
            .await?;
        let Some(ToldJob { id, file_id, owner_id, job_type, status, attempts }) = told else { return Ok(()) };
        let (owner, file) = (UserId(owner_id), FileId(file_id));
        let is_over =
            [JobStatus::Completed, JobStatus::Failed].map(JobStatus::as_str).contains(&status.as_str());
        let changed = Event::JobChanged { id, file, job_type, status: status.clone(), attempts };
        self.record_event(owner, &changed, now).await?;
        if is_over {
            let processed = Event::FileProcessed { id: file, processing_status: status };
            self.record_event(owner, &processed, now).await?;
        }
        Ok(())
    }

    /// The job is done.
    pub async fn complete_job(
        &mut self,
        job: JobId,
        lease: LeaseId,
        result: serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let changed = self
            .q_built(format!(
                "UPDATE processing_jobs SET status = 'completed', {NO_LEASE}, is_renewal = $5, error_message = '',
                     result_data = $3, completed_at = $4 WHERE id = $1 AND lease_id = $2"
            ))
            .bind(job)
            .bind(lease)
            .bind(result)
            .bind(now)
            .bind(false)
            .exec()
            .await?;
        Ok(changed == 1)
    }

    /// The attempt failed and is the last one.
    pub async fn fail_job(
        &mut self,
        job: JobId,
        lease: LeaseId,
        message: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let changed = self
            .q_built(format!(
                "UPDATE processing_jobs SET status = 'failed', {NO_LEASE}, error_message = $3, completed_at = $4
                 WHERE id = $1 AND lease_id = $2"
            ))
            .bind(job)
            .bind(lease)
            .bind(message)
            .bind(now)
            .exec()
            .await?;
        Ok(changed == 1)
    }

    /// The attempt failed; another one is due later, behind fresh jobs.
    pub async fn postpone_job(
        &mut self,
        job: JobId,
        lease: LeaseId,
        message: &str,
        due_at: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let changed = self
            .q_built(format!(
                "UPDATE processing_jobs SET status = 'pending', {NO_LEASE}, error_message = $3, due_at = $4,
                     priority = CASE WHEN priority < $5 THEN priority ELSE $5 END WHERE id = $1 AND lease_id = $2"
            ))
            .bind(job)
            .bind(lease)
            .bind(message)
            .bind(due_at)
            .bind(Priority::Retry.get())
            .exec()
            .await?;
        Ok(changed == 1)
    }

    /// The turn counts as none.
    pub async fn return_job(
        &mut self,
        job: JobId,
        lease: LeaseId,
        due_at: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let changed = self
            .q_built(format!(
                "UPDATE processing_jobs SET status = 'pending', {NO_LEASE}, attempts = attempts - 1, due_at = $3
                 WHERE id = $1 AND lease_id = $2"
            ))
            .bind(job)
            .bind(lease)
            .bind(due_at)
            .exec()
            .await?;
        Ok(changed == 1)
    }
}
