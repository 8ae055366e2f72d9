//! One file on its way: what the uploading actor calls for each attempt.

use super::{
    form::{Envelope, Fields},
    spool::Spool,
};
use crate::net::upload_host::{Delivery, SourceError, UploadHost};
use bytes::Bytes;
use cdn_actors::ports::{AttemptError, AttemptFuture, HostAnswer, HostUpload};
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use prometheus::IntCounter;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

/// What is to be uploaded; cheap to clone.
#[derive(Clone)]
pub struct Job(Arc<Parts>);

struct Parts {
    host: UploadHost,
    spool: Spool,
    filename: String,
    media_type: String,
    /// Size of the file, if it is as large as the client says: lets the first attempt begin at once.
    declared: Option<u64>,
    /// Fields before the file.
    early: Fields,
    /// All fields, once the form has been read to its end. Set before the spool is complete.
    fields: OnceLock<Fields>,
    attempts: AtomicU32,
    limit_secs: AtomicU64,
    sent: IntCounter,
}

impl Job {
    pub fn new(
        host: UploadHost,
        spool: Spool,
        (filename, media_type): (String, String),
        declared: Option<u64>,
        early: Fields,
        sent: IntCounter,
    ) -> Self {
        Self(Arc::new(Parts {
            host,
            spool,
            filename,
            media_type,
            declared,
            early,
            fields: OnceLock::new(),
            attempts: AtomicU32::new(0),
            limit_secs: AtomicU64::new(0),
            sent,
        }))
    }

    pub fn filename(&self) -> &str {
        &self.0.filename
    }

    pub fn media_type(&self) -> &str {
        &self.0.media_type
    }

    pub fn host_name(&self) -> &str {
        self.0.host.name()
    }

    /// The fields of the whole form; to be told before the spool is finished.
    pub fn set_fields(&self, fields: Fields) {
        // Told once: the form has one end.
        let _ = self.0.fields.set(fields);
    }

    /// Attempts begun so far.
    pub fn attempts(&self) -> u32 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    /// Time limit of the present or last attempt, in seconds.
    pub fn limit_secs(&self) -> u64 {
        self.0.limit_secs.load(Ordering::Relaxed)
    }

    /// Bytes of the file: all, or as many as there are so far.
    pub fn size(&self) -> u64 {
        self.0.spool.taken()
    }

    /// Sends while the client sends. `None`: the form turned out to be another one than announced, which the
    /// host can't have taken for whole, because it never had its end.
    async fn send_through(&self, declared: u64, limit: Duration) -> Option<Result<HostAnswer, AttemptError>> {
        let envelope = self.envelope(&self.0.early);
        let is_other = Arc::new(AtomicBool::new(false));
        let (job, other, tail) = (self.clone(), Arc::clone(&is_other), Bytes::from(envelope.tail.clone()));
        let end = stream::once(async move {
            let size = job.0.spool.complete().await?;
            if size == declared && job.0.fields.get() == Some(&job.0.early) {
                return Ok(tail);
            }
            other.store(true, Ordering::Relaxed);
            Err(SourceError("another size or other fields than announced".to_owned()))
        });
        let outcome = self.send(envelope, declared, end, limit).await;
        (!is_other.load(Ordering::Relaxed)).then_some(outcome)
    }

    async fn send_whole(&self, limit: Duration) -> Result<HostAnswer, AttemptError> {
        let size = self.0.spool.complete().await.map_err(no_source)?;
        let envelope = self.envelope(self.0.fields.get().unwrap_or(&self.0.early));
        let tail = Bytes::from(envelope.tail.clone());
        self.send(envelope, size, stream::once(future::ok(tail)), limit).await
    }

    fn envelope(&self, fields: &Fields) -> Envelope {
        Envelope::new(fields, &self.0.filename, &self.0.media_type)
    }

    async fn send(
        &self,
        envelope: Envelope,
        size: u64,
        end: impl Stream<Item = Result<Bytes, SourceError>> + 'static,
        limit: Duration,
    ) -> Result<HostAnswer, AttemptError> {
        let length = envelope.length(size);
        let head = stream::once(future::ok(Bytes::from(envelope.head)));
        let sent = self.0.sent.clone();
        let body = head
            .chain(self.0.spool.read(size))
            .chain(end)
            .inspect_ok(move |bytes| sent.inc_by(bytes.len() as u64));
        self.0.host.send(Delivery { content_type: envelope.content_type, length, body }, limit).await
    }
}

impl HostUpload for Job {
    fn prepare(&self, attempt: u32) -> AttemptFuture<u64> {
        let job = self.clone();
        Box::pin(async move {
            match job.0.declared {
                Some(declared) if attempt == 1 => Ok(job.0.spool.size().unwrap_or(declared)),
                // Later ones wait: what has failed once is not worth half a file again.
                _ => job.0.spool.complete().await.map_err(no_source),
            }
        })
    }

    fn attempt(&self, limit: Duration) -> AttemptFuture<HostAnswer> {
        let job = self.clone();
        Box::pin(async move {
            job.0.attempts.fetch_add(1, Ordering::Relaxed);
            job.0.limit_secs.store(limit.as_secs(), Ordering::Relaxed);
            if let (Some(declared), None) = (job.0.declared, job.0.spool.size())
                && let Some(outcome) = job.send_through(declared, limit).await
            {
                return outcome;
            }
            job.send_whole(limit).await
        })
    }
}

fn no_source(error: SourceError) -> AttemptError {
    AttemptError::Source(error.0)
}
