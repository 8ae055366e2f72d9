//! The one line in a user's activity that every upload to the host leaves, however it ends.

use super::{job::Job, spool::Hashes};
use crate::{
    db::{
        DbError, Tx,
        activity::{Action, Origin},
    },
    service::{ServiceError, Services},
};
use cdn_actors::ports::HostAnswer;
use prometheus::IntCounterVec;
use serde_json::{Value, json};

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
    pub hashes: Option<Hashes>,
    pub answer: Option<HostAnswer>,
}

impl Record {
    pub fn open(services: &Services, origin: &Origin, job: &Job, ended: IntCounterVec) -> Self {
        let (services, origin, job) = (services.clone(), origin.clone(), job.clone());
        Self { services, origin, job, ended, is_open: true }
    }

    /// Writes it down. An upload that did happen is not undone because that fails.
    pub async fn close(mut self, end: End) {
        self.is_open = false;
        // In a task of its own: once begun it is finished, also when the client goes away now.
        let written = actix_web::rt::spawn(write(self.row(end)));
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
        if let Some(hashes) = end.hashes {
            metadata["sha256_hash"] = hashes.sha256.as_str().into();
            metadata["md5_hash"] = hashes.md5.as_str().into();
        }
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
            let end = End { outcome: "client_gone", status: None, hashes: None, answer: None };
            actix_web::rt::spawn(write(self.row(end)));
        }
    }
}

struct Row {
    services: Services,
    origin: Origin,
    name: String,
    metadata: Value,
}

async fn write(row: Row) {
    let Row { services, origin, name, metadata } = row;
    let now = services.clock.now();
    let work = async move |tx: &mut Tx| {
        tx.record_activity(&origin, Action::Upload, None, &name, metadata.clone(), now).await
    };
    if let Err(error) = services.db.write::<_, _, DbError>(work).await {
        tracing::error!(%error, "an upload's activity was not written");
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
