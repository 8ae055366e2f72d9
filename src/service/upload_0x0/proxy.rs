//! What a process has for uploads to the host: the actor with a thread of its own, started at the first upload,
//! and its metrics.

use super::spool::Spools;
use crate::{
    config::Upload0x0Config,
    net::upload_host::UploadHost,
    service::{BuildError, Services},
};
use actix_rt::Arbiter;
use cdn_actors::{
    domain::clock::Clock,
    runtime::ActorSnapshot,
    upload_0x0::{RetryPolicy, Upload0x0Config as ActorConfig, Upload0x0Snapshot, Uploads0x0},
};
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, core::Collector};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// How long shutdown waits for uploads whose requests are over already.
const GRACE: Duration = Duration::from_secs(5);
/// Uploads that may be over before they are hashed. Each keeps its temporary file until then.
const LATE: u32 = 32;

pub struct Proxy {
    /// `None`: files are kept here instead.
    pub(super) host: Option<UploadHost>,
    slots: AtomicUsize,
    started: OnceLock<Started>,
    pub(super) ended: IntCounterVec,
    pub(super) sent: IntCounter,
    attempts: IntCounter,
    uploads: IntGaugeVec,
    pub(super) spools: Spools,
    /// For those whose hashes are still to come.
    pub(super) late: Arc<Semaphore>,
    is_stopping: watch::Sender<bool>,
}

struct Started {
    uploads: Uploads0x0,
    arbiter: Arbiter,
}

impl Proxy {
    /// # Errors
    /// Certificates for the host that can't be read.
    pub fn new(config: &Upload0x0Config) -> Result<Self, BuildError> {
        let host =
            UploadHost::new(config).map_err(|error| BuildError(format!("upload_0x0.ca_file: {error}")))?;
        Self::build(config, host).map_err(|error| BuildError(format!("metrics: {error}")))
    }

    fn build(config: &Upload0x0Config, host: Option<UploadHost>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            host,
            slots: AtomicUsize::new(config.max_concurrent),
            started: OnceLock::new(),
            ended: IntCounterVec::new(
                Opts::new("cdn_upload_0x0_total", "Uploads passed on to the host, by how they ended."),
                &["outcome"],
            )?,
            sent: IntCounter::new("cdn_upload_0x0_sent_bytes_total", "Bytes sent to the upload host.")?,
            attempts: IntCounter::new("cdn_upload_0x0_attempts_total", "Attempts to reach the upload host.")?,
            uploads: IntGaugeVec::new(
                Opts::new("cdn_upload_0x0_uploads", "Uploads to the host: running, or waiting for a slot."),
                &["state"],
            )?,
            spools: Spools::default(),
            late: Arc::new(Semaphore::new(LATE as usize)),
            is_stopping: watch::Sender::new(false),
        })
    }

    pub(super) fn start(&self, clock: &Arc<dyn Clock>, config: &Upload0x0Config) -> &Uploads0x0 {
        let started = self.started.get_or_init(|| {
            let arbiter = Arbiter::new();
            let config = ActorConfig {
                max_concurrent: self.slots.load(Ordering::Relaxed),
                queue: config.queue,
                policy: RetryPolicy {
                    attempts: config.attempts,
                    base_timeout: config.base_timeout.duration(),
                    timeout_per_mib: config.timeout_per_mib.duration(),
                    backoff: config.backoff.duration(),
                },
            };
            Started { uploads: Uploads0x0::start(Arc::clone(clock), config, &arbiter.handle()), arbiter }
        });
        &started.uploads
    }

    /// Runs what is left to do for an upload that has begun, until the shutdown has waited for it.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(started) = self.started.get() {
            started.arbiter.spawn(work);
        }
    }

    /// Ready when the process is about to end.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut is_stopping = self.is_stopping.subscribe();
        async move {
            // An error is an end, too.
            let _ = is_stopping.wait_for(|is_stopping| *is_stopping).await;
        }
    }

    /// Changes how many uploads run at the same time; none is dropped for that.
    pub fn resize(&self, max_concurrent: usize) {
        self.slots.store(max_concurrent, Ordering::Relaxed);
        if let Some(started) = self.started.get() {
            started.uploads.resize(max_concurrent);
        }
    }

    /// `None` before the first upload.
    fn snapshot(&self) -> Option<Upload0x0Snapshot> {
        self.started.get().map(|started| started.uploads.snapshot())
    }

    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.ended.clone()),
            Box::new(self.sent.clone()),
            Box::new(self.attempts.clone()),
            Box::new(self.uploads.clone()),
        ]
    }

    /// Brings the metrics up to date, and gives the actor's own.
    pub fn observe(&self) -> Option<ActorSnapshot> {
        let snapshot = self.snapshot();
        let count = |uploads: fn(&Upload0x0Snapshot) -> usize| {
            snapshot.as_ref().map_or(0, |snapshot| i64::try_from(uploads(snapshot)).unwrap_or(i64::MAX))
        };
        self.uploads.with_label_values(&["running"]).set(count(|snapshot| snapshot.running));
        self.uploads.with_label_values(&["waiting"]).set(count(|snapshot| snapshot.waiting));
        let snapshot = snapshot?;
        self.attempts.inc_by(snapshot.attempts.saturating_sub(self.attempts.get()));
        Some(snapshot.actor)
    }

    pub(in crate::service) async fn shut_down(&self) {
        let Some(started) = self.started.get() else { return };
        if !started.uploads.stop(GRACE).await {
            tracing::warn!("uploads to the host did not end in time");
        }
        self.is_stopping.send_replace(true);
        if tokio::time::timeout(GRACE, self.late.acquire_many(LATE)).await.is_err() {
            tracing::warn!("hashes of uploads to the host are missing in the activity");
        }
        started.arbiter.stop();
    }
}

/// The uploads to the host at one moment.
#[derive(Debug, Clone)]
pub struct ProxyStatus {
    /// The host's name, or "local".
    pub endpoint: String,
    pub slots: usize,
    pub running: usize,
    pub queue: usize,
    pub waiting: usize,
    /// Newest first.
    pub failures: Vec<ProxyFailure>,
}

#[derive(Debug, Clone)]
pub struct ProxyFailure {
    pub at: chrono::DateTime<chrono::Utc>,
    pub outcome: &'static str,
    pub attempts: u32,
}

impl Services {
    pub fn upload_0x0_status(&self) -> ProxyStatus {
        let (proxy, config) = (&self.upload_0x0, &self.config.upload_0x0);
        let snapshot = proxy.snapshot();
        let failures = snapshot.iter().flat_map(|snapshot| &snapshot.failures).map(|failure| ProxyFailure {
            at: failure.at,
            outcome: failure.ending.as_str(),
            attempts: failure.attempts,
        });
        ProxyStatus {
            endpoint: proxy.host.as_ref().map_or("local", UploadHost::name).to_owned(),
            slots: proxy.slots.load(Ordering::Relaxed),
            running: snapshot.as_ref().map_or(0, |snapshot| snapshot.running),
            queue: config.queue,
            waiting: snapshot.as_ref().map_or(0, |snapshot| snapshot.waiting),
            failures: failures.collect(),
        }
    }
}
