//! Uploads to a host elsewhere: a bounded number at a time, tried again when the host can't be reached.
//!
//! The actor gives out slots and counts attempts; what one attempt does is behind the port
//! [`HostUpload`]. An upload lives as long as its [`Upload`] handle: dropped, it gives its slot back.

mod actor;
mod memory;
mod policy;
mod run;

pub use memory::{Ending, Failure};
pub use policy::RetryPolicy;

use crate::{
    domain::clock::Clock,
    ports::{AttemptError, HostAnswer, HostUpload},
    runtime::{ActorConfig, ActorSnapshot, CallError, Handle, Revive, Ticker, lock},
};
use actix::{Arbiter, ArbiterHandle};
use actor::{Left, Resized, UploadActor};
use memory::Memory;
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// How closely pauses follow the clock.
const PULSE: Duration = Duration::from_millis(100);
/// Longer than any upload: it ends by its attempts' limits, or with its handle.
const NEVER: Duration = Duration::from_secs(30 * 86_400);
/// More than slots and line ever hold; they are what bounds uploads, and can be resized.
const MAILBOX: usize = 1 << 16;

/// Why an upload was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// All slots are taken, and the line is as long as it may be.
    #[error("too many uploads are waiting")]
    Full,
}

/// How many uploads, and how they are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upload0x0Config {
    /// Uploads at the same time, at least 1.
    pub max_concurrent: usize,
    /// Uploads that may wait for a slot.
    pub queue: usize,
    pub policy: RetryPolicy,
}

/// How an upload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The host's answer, or why the last attempt had none.
    pub outcome: Result<HostAnswer, AttemptError>,
    /// At least 1.
    pub attempts: u32,
    /// Time limit of the last attempt.
    pub limit: Duration,
}

/// The uploads at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload0x0Snapshot {
    pub actor: ActorSnapshot,
    pub slots: usize,
    pub running: usize,
    pub queue: usize,
    pub waiting: usize,
    /// Since the start.
    pub attempts: u64,
    /// Ended uploads since the start, by how they ended.
    pub ended: BTreeMap<Ending, u64>,
    /// The latest failures, newest first.
    pub failures: Vec<Failure>,
}

/// What outlives the actor.
struct Shared {
    clock: Arc<dyn Clock>,
    config: Upload0x0Config,
    slots: AtomicUsize,
    running: AtomicUsize,
    waiting: AtomicUsize,
    attempts: AtomicU64,
    refused: AtomicU64,
    memory: Mutex<Memory>,
    /// Wakes the uploads that pause, to look at the clock.
    pulse: watch::Sender<()>,
}

/// The handle to the uploads of this process. Clones reach the same ones.
#[derive(Clone)]
pub struct Uploads0x0 {
    shared: Arc<Shared>,
    handle: Handle<UploadActor>,
}

impl Uploads0x0 {
    /// Starts on the given arbiter, which all attempts then run on.
    pub fn start(clock: Arc<dyn Clock>, config: Upload0x0Config, arbiter: &ArbiterHandle) -> Self {
        Self::start_ticked(clock, config, arbiter, Ticker::every(PULSE))
    }

    /// Starts on the arbiter of the caller with the given ticks, at which the clock is looked at.
    ///
    /// # Panics
    /// Outside an actix system.
    pub fn start_here(clock: Arc<dyn Clock>, config: Upload0x0Config, ticker: Ticker) -> Self {
        Self::start_ticked(clock, config, &Arbiter::current(), ticker)
    }

    fn start_ticked(
        clock: Arc<dyn Clock>,
        config: Upload0x0Config,
        arbiter: &ArbiterHandle,
        mut ticker: Ticker,
    ) -> Self {
        let shared = Arc::new(Shared {
            clock,
            config,
            slots: AtomicUsize::new(config.max_concurrent.max(1)),
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            attempts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            memory: Mutex::default(),
            pulse: watch::Sender::new(()),
        });
        let actor = ActorConfig { name: "upload_0x0", queue: MAILBOX, revive: Revive::AtOnce };
        let seed = Arc::clone(&shared);
        let handle = Handle::start(actor, arbiter.clone(), move || UploadActor::new(Arc::clone(&seed)));
        let pulsing = Arc::downgrade(&shared);
        arbiter.spawn(async move {
            while let Some(_tick) = ticker.next().await {
                let Some(shared) = pulsing.upgrade() else { return };
                shared.pulse.send_replace(());
            }
        });
        Self { shared, handle }
    }

    /// Puts an upload into the line. It goes on by itself until the handle that comes back is dropped.
    pub fn begin(&self, job: Arc<dyn HostUpload>) -> Upload {
        let (turn, is_turn) = oneshot::channel();
        let (alive, gone) = oneshot::channel();
        let handle = self.handle.clone();
        let answer =
            async move { handle.ask(|permit| actor::Upload { job, turn, gone, permit }, NEVER).await };
        Upload {
            leaving: Leaving { handle: self.handle.clone(), alive: Some(alive) },
            answer: Box::pin(answer),
            turn: is_turn,
        }
    }

    /// Changes how many uploads run at the same time. Those that run already go on.
    pub fn resize(&self, max_concurrent: usize) {
        self.shared.slots.store(max_concurrent.max(1), Ordering::Relaxed);
        self.handle.tell(Resized);
    }

    /// Refuses new uploads, lets those in hand finish, and ends the actor. `false`: not within `grace`.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.handle.stop(grace).await
    }

    /// The uploads now.
    pub fn snapshot(&self) -> Upload0x0Snapshot {
        let shared = &self.shared;
        let (ended, failures) = {
            let memory = lock(&shared.memory);
            (memory.ended.clone(), memory.failures.iter().cloned().collect())
        };
        let mut actor = self.handle.snapshot();
        actor.refused += shared.refused.load(Ordering::Relaxed);
        actor.capacity = shared.slots.load(Ordering::Relaxed) + shared.config.queue;
        Upload0x0Snapshot {
            actor,
            slots: shared.slots.load(Ordering::Relaxed),
            running: shared.running.load(Ordering::Relaxed),
            queue: shared.config.queue,
            waiting: shared.waiting.load(Ordering::Relaxed),
            attempts: shared.attempts.load(Ordering::Relaxed),
            ended,
            failures,
        }
    }
}

/// Says, by being dropped, that nobody waits for the upload any more.
struct Leaving {
    handle: Handle<UploadActor>,
    alive: Option<oneshot::Sender<()>>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        drop(self.alive.take());
        // A running upload hears of it by the channel; one in the line is told by this.
        self.handle.tell(Left);
    }
}

/// An upload in the line or under way. Dropped, it ends.
pub struct Upload {
    // In this order: the answer's end is closed before the actor is told to look.
    answer: Pin<Box<dyn Future<Output = Result<Report, CallError<Refused>>> + Send>>,
    turn: oneshot::Receiver<()>,
    #[expect(dead_code, reason = "held, not read")]
    leaving: Leaving,
}

impl Upload {
    /// Waits for a slot.
    ///
    /// # Errors
    /// [`Refused::Full`] in `Domain`, the others as in [`CallError`]. There is no report then.
    pub async fn turn(&mut self) -> Result<(), CallError<Refused>> {
        tokio::select! {
            biased;
            Ok(()) = &mut self.turn => Ok(()),
            answer = &mut self.answer => match answer {
                // An upload can't end before its turn has come.
                Ok(_) => Err(CallError::Restarted),
                Err(error) => Err(error),
            },
        }
    }

    /// Waits for the end. To be called after [`turn`](Self::turn), and not again once it is ready.
    ///
    /// # Errors
    /// As in [`CallError`], when the actor died or is stopping.
    pub async fn report(&mut self) -> Result<Report, CallError<Refused>> {
        (&mut self.answer).await
    }
}
