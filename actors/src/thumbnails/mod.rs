//! Makes thumbnails: takes jobs under a lease, has them worked on by a bounded number of workers, and sees
//! to it that each of them ends done or failed.
//!
//! The coordinator is an actor and may die; the workers' tasks and the list of what runs outlive it. What
//! a process that died had taken is put back when its lease is over or its heartbeat is missing.

mod coordinator;
mod work;

use crate::{
    domain::{clock::Clock, ids::JobId},
    ports::{JobEnd, JobLease, JobRunner, JobStore, OpenJobs, PortError, within},
    runtime::{ActorConfig, ActorSnapshot, CallError, Handle, Revive, Ticker, lock},
};
use actix::Arbiter;
use coordinator::{Coordinator, Drain, Look, Upkeep};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

/// How the coordinator works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThumbnailsConfig {
    /// Jobs at a time, at least 1.
    pub workers: usize,
    /// How long a job is taken for. It is prolonged with each tick.
    pub lease: Duration,
    /// Fallback for wake-ups that got lost, for retries, and for what other processes queued.
    pub look_every: Duration,
    /// The longest that one attempt may take.
    pub attempt_timeout: Duration,
    /// The longest that one call to the store may take.
    pub call_timeout: Duration,
    /// Until the second attempt; see [`retry_delay`].
    pub retry_delay: Duration,
    /// Until the next try after a failure of the infrastructure.
    pub return_delay: Duration,
    /// The longest that [`Thumbnails::drain`] waits.
    pub drain_timeout: Duration,
}

impl Default for ThumbnailsConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            lease: Duration::from_secs(60),
            look_every: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(300),
            call_timeout: Duration::from_secs(20),
            retry_delay: Duration::from_secs(30),
            return_delay: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(120),
        }
    }
}

/// How long after the failure of an attempt (1 is the first) the next one is due: `base`, then four times
/// as long each time, at most a day.
pub fn retry_delay(base: Duration, attempt: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    let factor = 4_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(LONGEST)
}

/// The coordinator at one moment, for metrics. Counts are since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThumbnailsSnapshot {
    pub actor: ActorSnapshot,
    pub workers: usize,
    pub busy: usize,
    pub completed: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Attempts that failed and are tried again.
    pub postponed: u64,
    /// Turns whose result nobody wanted any more.
    pub superseded: u64,
    /// Turns that the infrastructure ended.
    pub returned: u64,
    /// Jobs that were put back after their process or lease had ended.
    pub reclaimed: u64,
    /// As of the last look.
    pub open: OpenJobs,
}

#[derive(Default)]
struct Counts {
    completed: AtomicU64,
    failed: AtomicU64,
    postponed: AtomicU64,
    superseded: AtomicU64,
    returned: AtomicU64,
    reclaimed: AtomicU64,
}

/// A job that is worked on.
struct Running {
    lease: JobLease,
    /// Ends the work; `None` for the moment until it has begun.
    task: Option<AbortHandle>,
}

/// What outlives the actor.
struct Shared {
    store: Arc<dyn JobStore>,
    runner: Arc<dyn JobRunner>,
    clock: Arc<dyn Clock>,
    config: ThumbnailsConfig,
    workers: AtomicUsize,
    running: Mutex<HashMap<JobId, Running>>,
    /// How many run, for those who wait until none does.
    busy: watch::Sender<usize>,
    /// There may be something to take, or room to take it.
    changed: Notify,
    /// An actor has lived before: the present one makes up for what it may have missed.
    started: AtomicBool,
    stopping: AtomicBool,
    counts: Counts,
    open: Mutex<OpenJobs>,
}

impl Shared {
    fn running_jobs(&self) -> Vec<JobId> {
        lock(&self.running).keys().copied().collect()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// The handle to this process's coordinator. Clones reach the same one.
#[derive(Clone)]
pub struct Thumbnails {
    shared: Arc<Shared>,
    handle: Handle<Coordinator>,
}

impl Thumbnails {
    /// Starts, and looks for jobs at once and every `look_every`.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start(
        store: Arc<dyn JobStore>,
        runner: Arc<dyn JobRunner>,
        clock: Arc<dyn Clock>,
        config: ThumbnailsConfig,
    ) -> Self {
        let ticker = Ticker::now_and_every(config.look_every);
        Self::start_ticked(store, runner, clock, config, ticker)
    }

    /// Starts with the given ticks. Without one nothing is done but what [`wake`](Self::wake) and
    /// [`drain`](Self::drain) ask for.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start_ticked(
        store: Arc<dyn JobStore>,
        runner: Arc<dyn JobRunner>,
        clock: Arc<dyn Clock>,
        config: ThumbnailsConfig,
        mut ticker: Ticker,
    ) -> Self {
        let here = Arbiter::current();
        let shared = Arc::new(Shared {
            store,
            runner,
            clock,
            workers: AtomicUsize::new(config.workers.max(1)),
            running: Mutex::default(),
            busy: watch::Sender::new(0),
            changed: Notify::new(),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            counts: Counts::default(),
            open: Mutex::default(),
            config,
        });
        let actor = ActorConfig { name: "thumbnails", queue: 16, revive: Revive::AtOnce };
        let seed = Arc::clone(&shared);
        let handle = Handle::start(actor, here.clone(), move || Coordinator::new(Arc::clone(&seed)));
        let thumbnails = Self { shared, handle };
        here.spawn(thumbnails.clone().listen());
        let (ticked, limit) = (thumbnails.handle.clone(), thumbnails.shared.config.call_timeout * 5);
        here.spawn(async move {
            while let Some(_tick) = ticker.next().await {
                if let Err(CallError::Stopped) = ticked.ask(|permit| Upkeep { permit }, limit).await {
                    return;
                }
            }
        });
        thumbnails
    }

    /// Has the coordinator look after each change. Not a task of the actor's: that would keep it from ending.
    async fn listen(self) {
        while !self.shared.is_stopping() {
            self.shared.changed.notified().await;
            // When nobody is there to take it, the next actor looks at its start.
            self.handle.tell(Look);
        }
    }

    /// Says that there may be a job. Never waits; many calls are as good as one.
    pub fn wake(&self) {
        self.shared.changed.notify_one();
    }

    /// Works until no job is due and none runs.
    ///
    /// # Errors
    /// The store's, and as in [`CallError`].
    pub async fn drain(&self) -> Result<(), CallError<PortError>> {
        let limit = self.shared.config.drain_timeout;
        self.handle.ask_idempotent(|permit| Drain { permit }, limit).await
    }

    /// Changes how many jobs may run at a time. What runs goes on; fewer workers are reached as jobs end.
    pub fn resize(&self, workers: usize) {
        self.shared.workers.store(workers.max(1), Ordering::Release);
        self.shared.changed.notify_one();
    }

    /// Takes no more jobs, lets those that run finish within `grace`, and gives the rest back. `false`:
    /// some had to be given back.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.changed.notify_one();
        let mut busy = self.shared.busy.subscribe();
        let finished = tokio::time::timeout(grace, busy.wait_for(|count| *count == 0)).await.is_ok();
        let left: Vec<JobLease> = {
            let running = lock(&self.shared.running);
            running
                .values()
                .map(|one| {
                    if let Some(task) = &one.task {
                        task.abort();
                    }
                    one.lease
                })
                .collect()
        };
        let now = self.shared.clock.now();
        for lease in left {
            let returned = self.shared.store.end(lease, JobEnd::Returned { due_at: now });
            if let Err(error) = within(self.shared.config.call_timeout, returned).await {
                tracing::warn!(job = %lease.job, %error, "a job could not be given back; its lease will end");
            }
        }
        self.handle.stop(self.shared.config.call_timeout).await && finished
    }

    /// The coordinator now.
    pub fn snapshot(&self) -> ThumbnailsSnapshot {
        let counts = &self.shared.counts;
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        ThumbnailsSnapshot {
            actor: self.handle.snapshot(),
            workers: self.shared.workers.load(Ordering::Acquire),
            busy: *self.shared.busy.borrow(),
            completed: count(&counts.completed),
            failed: count(&counts.failed),
            postponed: count(&counts.postponed),
            superseded: count(&counts.superseded),
            returned: count(&counts.returned),
            reclaimed: count(&counts.reclaimed),
            open: *lock(&self.shared.open),
        }
    }
}
