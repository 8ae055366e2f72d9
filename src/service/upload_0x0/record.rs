//! The one line in a user's activity that every upload to the host leaves, however it ends.

use super::{hashing::Hashing, job::Job};
use crate::{
    blob::Hashes,
    db::{
        DbError, Tx,
        activity::{Action, Origin},
    },
    service::{ServiceError, Services},
};
use cdn_actors::{domain::ids::ActivityId, ports::HostAnswer};
use prometheus::IntCounterVec;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// An upload that has not been written down yet. Dropped, it is written down as one whose client went away.
pub(super) struct Record {
    services: Services,
    origin: Origin,
    job: Job,
    ended: IntCounterVec,
    is_open: bool,
}

/// How it ended, for the metadata.
pub(super) struct End {
    pub outcome: &'static str,
    /// As the client was told; `None` when nobody was there to be told.
    pub status: Option<u16>,
    pub hashing: Option<Hashing>,
    pub answer: Option<HostAnswer>,
}

impl Record {
    pub fn open(services: &Services, origin: &Origin, job: &Job, ended: IntCounterVec) -> Self {
        let (services, origin, job) = (services.clone(), origin.clone(), job.clone());
        Self { services, origin, job, ended, is_open: true }
    }

    /// Writes it down. An upload that did happen is not undone because that fails.
    pub async fn close(mut self, mut end: End) {
        self.is_open = false;
        let hashing = end.hashing.take();
        // In a task of its own: once begun it is finished, also when the client goes away now.
        let written = actix_web::rt::spawn(write(self.row(end), hashing));
        if let Err(error) = written.await {
            tracing::error!(%error, "an upload's activity was not written");
        }
    }

    fn row(&self, end: End) -> Row {
        self.ended.with_label_values(&[end.outcome]).inc();
        let attempts = self.job.attempts();
        let mut metadata = json!({
            "file_size": self.job.size(),
            "mime_type": self.job.media_type(),
            "external_service": self.job.host_name(),
            "status_code": end.status,
            "timeout_used": self.job.limit_secs(),
            "retry_count": attempts.saturating_sub(1),
            "max_retries": self.services.config.upload_0x0.attempts.saturating_sub(1),
            "outcome": end.outcome,
        });
        if let Some(answer) = end.answer {
            metadata["expires"] = answer.expires.into();
            metadata["token"] = answer.token.into();
        }
        Row {
            services: self.services.clone(),
            origin: self.origin.clone(),
            name: self.job.filename().to_owned(),
            metadata,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.is_open {
            let end = End { outcome: "client_gone", status: None, hashing: None, answer: None };
            actix_web::rt::spawn(write(self.row(end), None));
        }
    }
}

struct Row {
    services: Services,
    origin: Origin,
    name: String,
    metadata: Value,
}

async fn write(mut row: Row, hashing: Option<Hashing>) {
    let late = match hashing {
        Some(hashing) => row.add_unless_late(hashing).await,
        None => None,
    };
    let activity = match row.insert().await {
        Ok(activity) => activity,
        Err(error) => return tracing::error!(%error, "an upload's activity was not written"),
    };
    if let Some((hashing, permit)) = late {
        // Not here: this thread may end as soon as the client has its answer.
        let services = row.services.clone();
        services.upload_0x0.spawn(async move {
            let stopping = row.services.upload_0x0.stopping();
            if let Some(hashes) = hashing.end(stopping).await {
                row.add(&hashes);
                if let Err(error) = row.amend(activity).await {
                    tracing::error!(%error, "an upload's hashes were not written");
                }
            }
            drop(permit);
        });
    }
}

impl Row {
    /// Adds the hashes, or gives back those that come later, with the leave for it.
    async fn add_unless_late(&mut self, mut hashing: Hashing) -> Option<(Hashing, OwnedSemaphorePermit)> {
        let hashes = match hashing.ready() {
            Some(hashes) => Some(hashes),
            None => match Arc::clone(&self.services.upload_0x0.late).try_acquire_owned() {
                Ok(permit) => return Some((hashing, permit)),
                // Enough are behind, each with its file on the disk.
                Err(_) => hashing.hurry().await,
            },
        };
        if let Some(hashes) = hashes {
            self.add(&hashes);
        }
        None
    }

    fn add(&mut self, hashes: &Hashes) {
        self.metadata["sha256_hash"] = hashes.sha256.as_str().into();
        self.metadata["md5_hash"] = hashes.md5.as_str().into();
    }

    async fn insert(&self) -> Result<ActivityId, DbError> {
        let now = self.services.clock.now();
        let (origin, name, metadata) = (self.origin.clone(), self.name.clone(), self.metadata.clone());
        let work = async move |tx: &mut Tx| {
            tx.record_activity(&origin, Action::Upload, None, &name, metadata.clone(), now).await
        };
        self.services.db.write(work).await
    }

    async fn amend(&self, activity: ActivityId) -> Result<(), DbError> {
        let metadata = self.metadata.clone();
        let work = async move |tx: &mut Tx| tx.amend_activity(activity, metadata.clone()).await;
        self.services.db.write(work).await
    }
}

/// What a refused client is told, as the contract has it for these errors.
pub(super) fn status_of(error: &ServiceError) -> u16 {
    match error {
        ServiceError::TooLarge { .. } => 413,
        ServiceError::Stalled => 408,
        ServiceError::BodyBroken(_) | ServiceError::BadRequest(_) | ServiceError::Invalid(_) => 400,
        ServiceError::HostTimeout { .. } => 504,
        ServiceError::HostFailed(_) => 502,
        ServiceError::StorageFull => 507,
        ServiceError::HostUnreachable(_) | ServiceError::Unavailable(_) | ServiceError::Busy => 503,
        _ => 500,
    }
}
