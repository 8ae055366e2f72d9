//! The thumbnail coordinator's hands: where its jobs are kept, and what working on one means.

use super::{
    ServiceError, Services, WeakServices,
    error::port_error,
    renditions::{StoredRendition, find, insert_renditions, picture_path, settle},
    sessions::time_delta,
};
use crate::{
    blob::BlobError,
    config::ThumbnailsConfig,
    db::{
        DbError, Tx,
        leases::{JobSource, LeaseTerms, LeasedRow},
        renditions::RenditionRow,
    },
    media::render::{OutputFormat, OutputSpec, RenderError, RenderRequest, Rendered},
    net::FetchError,
};
use cdn_actors::{
    domain::ids::{BlobId, FileId, JobId, LeaseId, UserId},
    ports::{JobEnd, JobLease, JobOutcome, JobRunner, JobStore, OpenJobs, PortError, PortFuture},
    runtime::Ticker,
    thumbnails::{Thumbnails, ThumbnailsConfig as CoordinatorConfig},
};
use chrono::{DateTime, Utc};
use fail::fail_point;
use std::{sync::Arc, time::Duration};
use tokio::fs::File;

/// How long shutdown waits for files that are worked on; the rest is given back.
const GRACE: Duration = Duration::from_secs(5);

/// What an owner reads when the stored bytes are not there.
const BYTES_MISSING: &str = "The file's bytes are missing on the server.";

/// The services as the coordinator sees them. Weak, because they own the coordinator.
struct ServiceJobs(WeakServices);

impl Services {
    /// Starts working on jobs, where this process is to.
    pub fn start_thumbnails(&self) {
        if self.config.thumbnails.enabled {
            self.coordinator();
        }
    }

    /// The coordinator, started by the first who asks.
    fn coordinator(&self) -> &Thumbnails {
        self.thumbnails.get_or_init(|| {
            let jobs = Arc::new(ServiceJobs(self.downgrade()));
            let config = coordinator_config(&self.config.thumbnails);
            let ticker = if self.config.thumbnails.enabled {
                Ticker::now_and_every(config.look_every)
            } else {
                // Works when it is told to.
                Ticker::by_hand().0
            };
            let store = Arc::<ServiceJobs>::clone(&jobs);
            Thumbnails::start_ticked(store, jobs, Arc::clone(&self.clock), config, ticker)
        })
    }

    pub fn thumbnails(&self) -> Option<&Thumbnails> {
        self.thumbnails.get()
    }

    /// Says that there may be a job; after the transaction that made it.
    pub(super) fn wake_thumbnails(&self) {
        if let Some(thumbnails) = self.thumbnails.get().filter(|_| self.config.thumbnails.enabled) {
            thumbnails.wake();
        }
    }

    /// Works until no job is due and none runs, also in a process that else leaves jobs to others.
    ///
    /// # Errors
    /// When jobs can't be looked for, or it takes too long.
    pub async fn drain_jobs(&self) -> Result<(), ServiceError> {
        let drained = self.coordinator().drain().await;
        drained.map_err(|error| ServiceError::Unavailable(error.to_string()))
    }

    pub(super) fn resize_thumbnails(&self, workers: usize) {
        self.renders.resize(workers);
        if let Some(thumbnails) = self.thumbnails.get() {
            thumbnails.resize(workers);
        }
    }

    pub(super) async fn stop_thumbnails(&self) {
        if let Some(thumbnails) = self.thumbnails.get()
            && !thumbnails.stop(GRACE).await
        {
            tracing::info!("thumbnail jobs were given back unfinished");
        }
    }

    async fn run_job(&self, lease: JobLease) -> Result<JobOutcome, ServiceError> {
        let Some(source) = self.db.find_job_source(lease.job, lease.lease).await? else {
            return Ok(JobOutcome::Superseded);
        };
        let present =
            if source.is_renewal { Vec::new() } else { self.db.list_renditions(source.source_id()).await? };
        let outputs = missing_outputs(&self.config.thumbnails, &present);
        let mut rendered = None;
        let mut stored = Vec::new();
        if !outputs.is_empty() {
            let opened = match self.open_source(&source).await? {
                Ok(opened) => opened,
                Err(failure) => return Ok(failure),
            };
            fail_point!("thumbnails::opened");
            let request = RenderRequest {
                media_type: source.mime_type.clone(),
                extension: source.file_extension.clone(),
                outputs,
            };
            let made = match self.renders.render(opened, &request).await {
                Ok(made) => made,
                Err(error) => return Ok(render_failure(&error)),
            };
            fail_point!("thumbnails::rendered");
            stored = self.store_renditions(&request.outputs, &made).await?;
            rendered = Some(made);
        }
        fail_point!("thumbnails::stored");
        self.record_job(lease, &source, rendered.as_ref(), stored).await
    }

    /// The bytes of the file, or how the attempt ended without them.
    async fn open_source(&self, source: &JobSource) -> Result<Result<File, JobOutcome>, ServiceError> {
        let permanent = |message: String| JobOutcome::Failed { message, is_permanent: true };
        if let Some(blob) = source.blob_id {
            let limit = self.config.thumbnails.max_source.bytes();
            if u64::try_from(source.file_size).is_ok_and(|size| size > limit) {
                let reason = format!("it has {} bytes, and {limit} are the limit", source.file_size);
                return Ok(Err(render_failure(&RenderError::TooLarge(reason))));
            }
            return match self.open_blob(BlobId(blob), source.file_size).await {
                Ok(file) => Ok(Ok(file)),
                Err(BlobError::NotFound) => Ok(Err(permanent(BYTES_MISSING.into()))),
                Err(error) => Err(error.into()),
            };
        }
        match self.fetcher.fetch(source.cdn_url.as_deref().unwrap_or_default()).await {
            Ok(file) => Ok(Ok(file)),
            Err(FetchError::Local(error)) => Err(ServiceError::Unavailable(error.to_string())),
            Err(error) => {
                let reason = if let FetchError::Unreachable(reason) = &error { reason } else { "" };
                tracing::info!(file = %source.file_id, owner = source.owner_id, reason, "fetch refused or failed");
                let is_permanent = !matches!(error, FetchError::Unreachable(_));
                Ok(Err(JobOutcome::Failed { message: error.to_string(), is_permanent }))
            }
        }
    }

    /// The one transaction that makes renditions the file's and ends the job, unless the lease is over.
    async fn record_job(
        &self,
        lease: JobLease,
        source: &JobSource,
        rendered: Option<&Rendered>,
        stored: Vec<StoredRendition>,
    ) -> Result<JobOutcome, ServiceError> {
        let now = self.clock.now();
        let specs: Vec<_> = stored.iter().map(|one| one.spec.clone()).collect();
        let (owner, file) = (UserId(source.owner_id), source.file_id);
        let (source_id, is_renewal) = (source.source_id(), source.is_renewal);
        let sizes = (self.config.thumbnails.thumbnail_size(), self.config.thumbnails.preview_size());
        let origin = rendered.map(source_view);
        let work = async move |tx: &mut Tx| {
            tx.lock_account(owner).await?;
            if !tx.lock_leased_job(lease.job, lease.lease).await? {
                return Ok(None);
            }
            if is_renewal {
                tx.drop_renditions(&[source_id]).await?;
            }
            let kept = insert_renditions(tx, source_id, &specs, now).await?;
            let all = tx.list_renditions(source_id).await?;
            let path = |side| find(&all, side, OutputFormat::WebP).map(|one| picture_path(file, one));
            let (Some(thumbnail), Some(preview)) = (path(sizes.0), path(sizes.1)) else {
                // Its bytes were taken for a dead process's, or went with another file meanwhile.
                return Err(ServiceError::Unavailable("a rendition was given up meanwhile".into()));
            };
            tx.set_pictures(FileId(file), Some(thumbnail), Some(preview)).await?;
            tx.complete_job(lease.job, lease.lease, result_view(origin.as_ref(), &all), now).await?;
            tx.tell_job(lease.job, now).await?;
            fail_point!("thumbnails::in_transaction");
            Ok(Some(kept))
        };
        let kept = self.db.write(work).await;
        fail_point!("thumbnails::committed");
        let published = kept.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
        settle(stored, published).await;
        if is_renewal {
            self.clear_unreferenced_blobs().await;
        }
        Ok(if kept?.is_some() { JobOutcome::Completed } else { JobOutcome::Superseded })
    }
}

fn coordinator_config(config: &ThumbnailsConfig) -> CoordinatorConfig {
    CoordinatorConfig {
        workers: config.worker_count(),
        lease: config.lease.duration(),
        look_every: config.look_interval.duration(),
        attempt_timeout: config.attempt_timeout.duration(),
        retry_delay: config.retry_delay.duration(),
        ..CoordinatorConfig::default()
    }
}

/// Thumbnail and preview, without what is there already.
fn missing_outputs(config: &ThumbnailsConfig, present: &[RenditionRow]) -> Vec<OutputSpec> {
    let (thumbnail, preview) = (config.thumbnail_size(), config.preview_size());
    let mut sides = vec![thumbnail];
    if preview != thumbnail {
        sides.push(preview);
    }
    sides.retain(|side| find(present, *side, OutputFormat::WebP).is_none());
    let output = |max_side: u32| OutputSpec {
        max_side,
        format: OutputFormat::WebP,
        keep_animation: max_side == preview && preview != thumbnail,
    };
    sides.into_iter().map(output).collect()
}

fn render_failure(error: &RenderError) -> JobOutcome {
    JobOutcome::Failed { message: error.to_string(), is_permanent: error.is_permanent() }
}

fn source_view(rendered: &Rendered) -> serde_json::Value {
    serde_json::json!({
        "width": rendered.source_width,
        "height": rendered.source_height,
        "format": rendered.source_format,
        "milliseconds": rendered.millis,
    })
}

/// What a job says of its result. Nothing of the source when the same content had been rendered before.
fn result_view(source: Option<&serde_json::Value>, renditions: &[RenditionRow]) -> serde_json::Value {
    let view = |one: &RenditionRow| {
        serde_json::json!({
            "max_side": one.max_side,
            "format": one.format,
            "width": one.width,
            "height": one.height,
            "size": one.size,
            "is_animated": one.is_animated,
        })
    };
    let renditions: Vec<_> = renditions.iter().map(view).collect();
    serde_json::json!({ "source": source, "renditions": renditions })
}

impl ServiceJobs {
    fn with<T, F>(&self, work: impl FnOnce(Services) -> F + 'static) -> PortFuture<T>
    where
        T: 'static,
        F: Future<Output = Result<T, ServiceError>> + 'static,
    {
        let services = self.0.upgrade();
        Box::pin(async move {
            let services = services.ok_or_else(|| PortError::Unavailable("the server is ending".into()))?;
            work(services).await.map_err(port_error)
        })
    }
}

impl JobStore for ServiceJobs {
    fn lease(&self, now: DateTime<Utc>, expires_at: DateTime<Utc>, limit: u32) -> PortFuture<Vec<JobLease>> {
        self.with(move |services| async move {
            let id = LeaseId::new();
            let terms = LeaseTerms {
                id,
                instance: services.instance,
                now,
                expires_at,
                max_attempts: services.config.thumbnails.max_attempts,
            };
            let rows = services.db.write(async move |tx: &mut Tx| tx.lease_jobs(&terms, limit).await).await?;
            if !rows.is_empty() {
                fail_point!("thumbnails::leased");
            }
            let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
            let lease = |row: &LeasedRow| JobLease {
                job: JobId(row.id),
                lease: id,
                attempt: count(row.attempts),
                max_attempts: count(row.max_attempts),
            };
            Ok(rows.iter().map(lease).collect())
        })
    }

    fn renew(&self, jobs: Vec<JobId>, expires_at: DateTime<Utc>) -> PortFuture<()> {
        self.with(move |services| async move {
            let own = services.instance;
            let work = async move |tx: &mut Tx| tx.renew_leases(own, &jobs, expires_at).await;
            Ok(services.db.write(work).await?)
        })
    }

    fn reclaim(&self, now: DateTime<Utc>, running: Vec<JobId>) -> PortFuture<u64> {
        self.with(move |services| async move {
            let own = services.instance;
            let alive_since = now - time_delta(services.config.janitor.dead_after.duration());
            let work = async move |tx: &mut Tx| tx.reclaim_jobs(own, &running, now, alive_since).await;
            Ok(services.db.write(work).await?)
        })
    }

    fn end(&self, lease: JobLease, end: JobEnd) -> PortFuture<()> {
        self.with(move |services| async move {
            let now = services.clock.now();
            let work = async move |tx: &mut Tx| {
                let (job, lease) = (lease.job, lease.lease);
                if !tx.lock_job_owner(job).await? {
                    return Ok(());
                }
                let has_ended = match &end {
                    JobEnd::Failed { message } => tx.fail_job(job, lease, message, now).await?,
                    JobEnd::Postponed { message, due_at } => {
                        tx.postpone_job(job, lease, message, *due_at).await?
                    }
                    JobEnd::Returned { due_at } => {
                        return tx.return_job(job, lease, *due_at).await.map(|_| ());
                    }
                };
                if has_ended { tx.tell_job(job, now).await } else { Ok(()) }
            };
            services.db.write::<_, _, DbError>(work).await?;
            Ok(())
        })
    }

    fn count_open(&self) -> PortFuture<OpenJobs> {
        self.with(|services| async move {
            let (waiting, leased) = services.db.count_open_jobs().await?;
            let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
            Ok(OpenJobs { waiting: unsigned(waiting), leased: unsigned(leased) })
        })
    }
}

impl JobRunner for ServiceJobs {
    fn run(&self, lease: JobLease) -> PortFuture<JobOutcome> {
        self.with(move |services| async move { Box::pin(services.run_job(lease)).await })
    }
}
