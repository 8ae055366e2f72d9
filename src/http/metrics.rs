//! Prometheus metrics: requests by route and status, actors, bytes.

use crate::service::{BuildError, Services};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Upper bounds of the latency buckets in seconds: from a cached read to a slow upload.
const LATENCY_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The server's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    in_flight: IntGauge,
    actor_queue: IntGaugeVec,
    actor_restarts: IntGaugeVec,
    actor_refused: IntGaugeVec,
    actors_live: IntGaugeVec,
    thumbnail_jobs: IntGaugeVec,
    thumbnail_queue: IntGaugeVec,
    thumbnail_workers: IntGaugeVec,
    thumbnail_renders: IntGauge,
    event_streams: IntGauge,
}

impl Metrics {
    /// # Errors
    /// Two metrics of one name.
    pub fn new(services: &Services) -> Result<Self, BuildError> {
        Self::build(services).map_err(|error| BuildError(format!("metrics: {error}")))
    }

    fn build(services: &Services) -> Result<Self, prometheus::Error> {
        let actors = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["actor"]);
        let by = |name: &str, help: &str, label: &str| IntGaugeVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("cdn_http_requests_total", "Requests answered, by route, method and status."),
                &["route", "method", "status"],
            )?,
            latency: HistogramVec::new(
                HistogramOpts::new(
                    "cdn_http_request_duration_seconds",
                    "Time until the head of the answer, by route and method.",
                )
                .buckets(LATENCY_BUCKETS.to_vec()),
                &["route", "method"],
            )?,
            in_flight: IntGauge::new("cdn_http_requests_in_flight", "Requests being answered.")?,
            actor_queue: actors("cdn_actor_queue_depth", "Calls queued or running.")?,
            actor_restarts: actors("cdn_actor_restarts", "New actors in the place of dead ones.")?,
            actor_refused: actors("cdn_actor_refused", "Calls refused because the queue was full.")?,
            actors_live: actors("cdn_actors_live", "Actors running.")?,
            thumbnail_jobs: by(
                "cdn_thumbnail_jobs",
                "Turns at jobs that ended in this process, by outcome.",
                "outcome",
            )?,
            thumbnail_queue: by(
                "cdn_thumbnail_queue_depth",
                "Jobs of all processes that are not finished, as of the last look.",
                "state",
            )?,
            thumbnail_workers: by("cdn_thumbnail_workers", "Workers of this process.", "state")?,
            thumbnail_renders: IntGauge::new(
                "cdn_thumbnail_renders",
                "Files given to a decoder, for jobs and requests.",
            )?,
            event_streams: IntGauge::new("cdn_event_streams", "Live streams of events.")?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.latency.clone()))?;
        metrics.registry.register(Box::new(metrics.in_flight.clone()))?;
        metrics.registry.register(Box::new(metrics.actor_queue.clone()))?;
        metrics.registry.register(Box::new(metrics.actor_restarts.clone()))?;
        metrics.registry.register(Box::new(metrics.actor_refused.clone()))?;
        metrics.registry.register(Box::new(metrics.actors_live.clone()))?;
        metrics.registry.register(Box::new(metrics.thumbnail_jobs.clone()))?;
        metrics.registry.register(Box::new(metrics.thumbnail_queue.clone()))?;
        metrics.registry.register(Box::new(metrics.thumbnail_workers.clone()))?;
        metrics.registry.register(Box::new(metrics.thumbnail_renders.clone()))?;
        metrics.registry.register(Box::new(metrics.event_streams.clone()))?;
        metrics.registry.register(Box::new(services.traffic.received.clone()))?;
        metrics.registry.register(Box::new(services.traffic.sent.clone()))?;
        for collector in services.upload_0x0.collectors() {
            metrics.registry.register(collector)?;
        }
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    pub fn begin_request(&self) {
        self.in_flight.inc();
    }

    /// `route` is the pattern, never the path: its number of values must stay small.
    pub fn end_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.in_flight.dec();
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.latency.with_label_values(&[route, method]).observe(took.as_secs_f64());
    }

    /// All metrics as text (Prometheus exposition format 0.0.4).
    ///
    /// # Errors
    /// Never in practice: the text encoder fails on metrics without a name only.
    pub fn render(&self, services: &Services) -> Result<Vec<u8>, prometheus::Error> {
        self.observe_actors(services);
        self.observe_thumbnails(services);
        let streams = services.db.news().listeners();
        self.event_streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn observe_actors(&self, services: &Services) {
        let clamp = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let accounts = services.accounts.snapshot();
        self.actors_live.with_label_values(&["accounts"]).set(clamp(accounts.live as u64));
        self.actor_queue.with_label_values(&["accounts"]).set(clamp(accounts.queued as u64));
        self.actor_restarts.with_label_values(&["accounts"]).set(clamp(accounts.restarts));
        self.actor_refused.with_label_values(&["accounts"]).set(clamp(accounts.refused));
        let janitor = services.janitor().map(|janitor| janitor.snapshot().actor);
        let uploads = services.upload_0x0.observe();
        let shares = Some(services.shares.snapshot());
        let thumbnails = services.thumbnails().map(|thumbnails| thumbnails.snapshot().actor);
        for actor in [Some(accounts.journal), shares, janitor, thumbnails, uploads].into_iter().flatten() {
            self.actors_live.with_label_values(&[actor.name]).set(i64::from(actor.alive));
            self.actor_queue.with_label_values(&[actor.name]).set(clamp(actor.queued as u64));
            self.actor_restarts.with_label_values(&[actor.name]).set(clamp(actor.restarts));
            self.actor_refused.with_label_values(&[actor.name]).set(clamp(actor.refused));
        }
    }

    fn observe_thumbnails(&self, services: &Services) {
        let clamp = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.thumbnail_renders.set(clamp(services.renders.renders()));
        let Some(thumbnails) = services.thumbnails() else { return };
        let now = thumbnails.snapshot();
        for (outcome, count) in [
            ("completed", now.completed),
            ("failed", now.failed),
            ("postponed", now.postponed),
            ("superseded", now.superseded),
            ("returned", now.returned),
            ("reclaimed", now.reclaimed),
        ] {
            self.thumbnail_jobs.with_label_values(&[outcome]).set(clamp(count));
        }
        self.thumbnail_queue.with_label_values(&["pending"]).set(clamp(now.open.waiting));
        self.thumbnail_queue.with_label_values(&["processing"]).set(clamp(now.open.leased));
        self.thumbnail_workers.with_label_values(&["busy"]).set(clamp(now.busy as u64));
        self.thumbnail_workers.with_label_values(&["all"]).set(clamp(now.workers as u64));
    }
}
