//! Removes what nobody needs any more: expired trash, unreferenced objects, what dead processes left.
//!
//! Each process runs one and says with heartbeats that it lives; a lease lets one of them sweep.

mod actor;
mod sweep;

pub use sweep::{EndedEarly, Step, StepFailure, SweepReport};

use crate::{
    domain::clock::Clock,
    ports::{Custodian, DueTrash, PortError},
    runtime::{ActorConfig, ActorSnapshot, CallError, Handle, Permit, Revive, Ticker, lock},
};
use actix::{
    Arbiter,
    dev::{MessageResponse, ToEnvelope},
};
use actor::{Beat, JanitorActor, Sweep};
use chrono::{DateTime, Utc};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Why there was no sweep at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JanitorError {
    /// Whether another process sweeps could not be learnt.
    #[error("the lease could not be taken: {0}")]
    Lease(PortError),
}

/// How the janitor works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JanitorConfig {
    /// Well under the time after which the custodian takes a process for dead.
    pub heartbeat_every: Duration,
    pub sweep_every: Duration,
    /// The longest that a caller waits for a sweep. The sweep itself goes on.
    pub sweep_timeout: Duration,
    /// The longest that one call to the custodian may take.
    pub call_timeout: Duration,
    /// Items in one call to the custodian, at least 1.
    pub batch: u32,
    /// Up to this many items of due trash are purged without a question.
    pub unusual_items: u64,
    /// More than that, and more than this share of all trash in percent, is held back.
    pub max_share_of_trash: u8,
}

impl Default for JanitorConfig {
    fn default() -> Self {
        Self {
            heartbeat_every: Duration::from_secs(10),
            sweep_every: Duration::from_secs(300),
            sweep_timeout: Duration::from_secs(600),
            call_timeout: Duration::from_secs(60),
            batch: 200,
            unusual_items: 1_000,
            max_share_of_trash: 50,
        }
    }
}

impl JanitorConfig {
    /// Whether so much is due at once that the clock, rather than the users, may have put it there.
    /// A purge can't be undone, and waiting for somebody to look costs only space.
    pub fn is_unusual(&self, trash: DueTrash) -> bool {
        let share = u128::from(trash.due) * 100;
        let allowed = u128::from(trash.total) * u128::from(self.max_share_of_trash);
        trash.due > self.unusual_items && share > allowed
    }
}

/// The janitor at one moment, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JanitorSnapshot {
    pub actor: ActorSnapshot,
    /// Since the start.
    pub heartbeats: u64,
    /// Heartbeats that did not get through, since the start.
    pub missed_heartbeats: u64,
    /// When the last sweep of this process that had the lease ended.
    pub last_sweep: Option<DateTime<Utc>>,
    pub last_report: Option<SweepReport>,
}

/// What outlives the actor.
#[derive(Default)]
struct Memory {
    heartbeats: u64,
    missed_heartbeats: u64,
    last: Option<(DateTime<Utc>, SweepReport)>,
}

struct Shared {
    custodian: Arc<dyn Custodian>,
    clock: Arc<dyn Clock>,
    config: JanitorConfig,
    stopping: AtomicBool,
    memory: Mutex<Memory>,
}

/// The handle to this process's janitor. Clones reach the same one.
#[derive(Clone)]
pub struct Janitor {
    shared: Arc<Shared>,
    handle: Handle<JanitorActor>,
}

impl Janitor {
    /// Starts with a heartbeat now and every `heartbeat_every`, and a sweep after each `sweep_every`.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start(custodian: Arc<dyn Custodian>, clock: Arc<dyn Clock>, config: JanitorConfig) -> Self {
        let heartbeats = Ticker::now_and_every(config.heartbeat_every);
        let sweeps = Ticker::every(config.sweep_every);
        Self::start_ticked(custodian, clock, config, heartbeats, sweeps)
    }

    /// Starts with the given ticks.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start_ticked(
        custodian: Arc<dyn Custodian>,
        clock: Arc<dyn Clock>,
        config: JanitorConfig,
        heartbeats: Ticker,
        sweeps: Ticker,
    ) -> Self {
        let here = Arbiter::current();
        let shared = Arc::new(Shared {
            custodian,
            clock,
            config,
            stopping: AtomicBool::new(false),
            memory: Mutex::default(),
        });
        let actor = ActorConfig { name: "janitor", queue: 16, revive: Revive::AtOnce };
        let seed = Arc::clone(&shared);
        let handle = Handle::start(actor, here.clone(), move || JanitorActor::new(Arc::clone(&seed)));
        let janitor = Self { shared, handle };
        let beat_limit = janitor.shared.config.heartbeat_every;
        here.spawn(repeat(heartbeats, janitor.handle.clone(), beat_limit, |permit| Beat { permit }));
        let sweep_limit = janitor.shared.config.sweep_timeout;
        here.spawn(repeat(sweeps, janitor.handle.clone(), sweep_limit, |permit| Sweep {
            force: false,
            permit,
        }));
        janitor
    }

    /// Sweeps now, after the sweep that runs already, if any. `force` purges the trash also when an
    /// unusual amount is due.
    ///
    /// # Errors
    /// [`JanitorError`] when the lease is not to be had because of a failure. A step that failed is in
    /// the report. The others as in [`CallError`].
    pub async fn sweep_now(&self, force: bool) -> Result<SweepReport, CallError<JanitorError>> {
        self.handle.ask_idempotent(|permit| Sweep { force, permit }, self.shared.config.sweep_timeout).await
    }

    /// Ends a running sweep after its present batch, and then the actor. `false`: not within `grace`.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        self.handle.stop(grace).await
    }

    /// The janitor now.
    pub fn snapshot(&self) -> JanitorSnapshot {
        let memory = lock(&self.shared.memory);
        JanitorSnapshot {
            actor: self.handle.snapshot(),
            heartbeats: memory.heartbeats,
            missed_heartbeats: memory.missed_heartbeats,
            last_sweep: memory.last.as_ref().map(|(at, _)| *at),
            last_report: memory.last.as_ref().map(|(_, report)| report.clone()),
        }
    }
}

/// Asks at each tick, until the janitor is stopped. The actor has logged what went wrong.
async fn repeat<M, T, E>(
    mut ticker: Ticker,
    handle: Handle<JanitorActor>,
    limit: Duration,
    message: impl Fn(Permit) -> M + Send,
) where
    JanitorActor: actix::Handler<M>,
    <JanitorActor as actix::Actor>::Context: ToEnvelope<JanitorActor, M>,
    <JanitorActor as actix::Handler<M>>::Result: MessageResponse<JanitorActor, M>,
    M: actix::Message<Result = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    while let Some(_tick) = ticker.next().await {
        if let Err(CallError::Stopped) = handle.ask(&message, limit).await {
            return;
        }
    }
}
