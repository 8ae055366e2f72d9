//! Processing jobs as their owners and operators see them: made with a file's content, listed, tried again.

use super::{ServiceError, Services, files::FileDetails};
use crate::{
    db::{
        DbError, Tx,
        processing::{JobFilter, JobRow, JobStatus, Priority},
    },
    media::render::is_renderable,
};
use cdn_actors::domain::{
    ids::{FileId, JobId, UserId},
    page::Page,
};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// Jobs that the list shows without pages.
pub const JOB_ROWS: u64 = 100;
/// Files that one transaction queues jobs of.
const REQUEUE_BATCH: u32 = 500;

/// How far a pass over all files has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Where the next batch begins.
    pub position: Uuid,
    /// Files looked at, and jobs queued, by all batches so far.
    pub files: u64,
    pub jobs: u64,
}

impl Services {
    /// Jobs of the user's living files with the files, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_jobs(
        &self,
        user: UserId,
        filter: &JobFilter,
        page: Page,
    ) -> Result<Vec<(JobRow, FileDetails)>, ServiceError> {
        let rows = self.db.list_jobs(user, filter, page).await?;
        self.with_files(user, rows).await
    }

    /// # Errors
    /// The database's.
    pub async fn count_jobs(&self, user: UserId, filter: &JobFilter) -> Result<i64, ServiceError> {
        Ok(self.db.count_jobs(user, filter).await?)
    }

    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn job(&self, user: UserId, id: JobId) -> Result<(JobRow, FileDetails), ServiceError> {
        let row = self.db.find_job(user, id).await?.ok_or(ServiceError::NotFound)?;
        self.with_files(user, vec![row]).await?.pop().ok_or(ServiceError::NotFound)
    }

    /// Gives a failed job all its attempts again.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`]; a conflict unless it failed.
    pub async fn retry_job(&self, user: UserId, id: JobId) -> Result<(JobRow, FileDetails), ServiceError> {
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            tx.lock_account(user).await?;
            let job = tx.find_job(user, id).await?.ok_or(ServiceError::NotFound)?;
            if !tx.retry_job(user, id, now).await? {
                return Err(ServiceError::Conflict("Only a failed job can be tried again.".into()));
            }
            Ok(JobRow {
                status: JobStatus::Pending.as_str().into(),
                priority: Priority::Retry.get(),
                attempts: 0,
                error_message: String::new(),
                started_at: None,
                completed_at: None,
                ..job
            })
        };
        let job = self.db.write(work).await?;
        self.wake_thumbnails();
        self.with_files(user, vec![job]).await?.pop().ok_or(ServiceError::NotFound)
    }

    /// How many files [`Services::requeue`] looks at.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_requeue_candidates(&self) -> Result<u64, ServiceError> {
        Ok(u64::try_from(self.db.count_candidates().await?).unwrap_or(0))
    }

    /// Queues the jobs of the next batch of all users' files; `None` after the last one. A renewal makes all
    /// renditions again, else only what is missing is made.
    ///
    /// # Errors
    /// The database's.
    pub async fn requeue(
        &self,
        before: Requeued,
        is_renewal: bool,
    ) -> Result<Option<Requeued>, ServiceError> {
        let candidates = self.db.list_candidates(before.position, REQUEUE_BATCH).await?;
        let Some(last) = candidates.last() else { return Ok(None) };
        let (position, looked_at) = (last.id, candidates.len() as u64);
        let files: Vec<Uuid> =
            candidates.iter().filter(|file| is_renderable(&file.mime_type)).map(|file| file.id).collect();
        let (now, config) = (self.clock.now(), &self.config.thumbnails);
        let sizes = (config.thumbnail_size(), config.preview_size());
        let jobs = if files.is_empty() {
            0
        } else {
            let work = async move |tx: &mut Tx| tx.requeue_files(&files, is_renewal, sizes, now).await;
            self.db.write::<_, _, DbError>(work).await?
        };
        Ok(Some(Requeued { position, files: before.files + looked_at, jobs: before.jobs + jobs }))
    }

    async fn with_files(
        &self,
        user: UserId,
        rows: Vec<JobRow>,
    ) -> Result<Vec<(JobRow, FileDetails)>, ServiceError> {
        let mut ids: Vec<Uuid> = rows.iter().map(|row| row.file_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let files = self.with_versions(self.db.find_files(user, &ids).await?).await?;
        let files: HashMap<Uuid, FileDetails> = files.into_iter().map(|file| (file.row.id, file)).collect();
        // A file that went into the trash in between takes its job with it.
        let with_file = |row: JobRow| files.get(&row.file_id).cloned().map(|file| (row, file));
        Ok(rows.into_iter().filter_map(with_file).collect())
    }
}

/// Queues what is to be made of a file's new content, and forgets what was made or queued of the former one.
/// The account must be locked.
pub(super) async fn queue_processing(
    tx: &mut Tx,
    owner: UserId,
    file: FileId,
    mime_type: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tx.delete_jobs_of(file).await?;
    // Of a registered content; those of a stored one belong to its blob.
    tx.drop_renditions(&[file.get()]).await?;
    if is_renderable(mime_type) {
        tx.insert_job(owner, file, Priority::Fresh, now).await?;
    }
    Ok(())
}
