//! Keeps one actor alive: starts it from its factory, and starts a new one after a panic.

use super::lock;
use actix::{Actor, Addr, ArbiterHandle, Context, dev::channel::channel};
use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// Capacity of the mailbox. It bounds nothing that we use (see the module's head).
const MAILBOX: usize = 16;

/// An actor that lived this long is forgiven its earlier deaths.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// When a dead actor is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revive {
    /// By itself, as soon as the backoff allows: for actors with work of their own.
    AtOnce,
    /// By the next call: for actors of which there are many.
    OnCall,
}

/// How long to wait before the next start, after so many deaths in a row before this one.
///
/// The first restart is immediate, for one poisoned message should not cost the next caller anything.
/// Then 50 ms, doubling, at most 5 s: an actor that can't live must not eat a core.
pub fn restart_delay(earlier_deaths: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5);
    match earlier_deaths.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_millis(50)
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
            .min(LONGEST),
    }
}

enum State<A: Actor> {
    Running(Addr<A>),
    Down { next_start: Instant },
    Stopped,
}

struct Slot<A: Actor> {
    state: State<A>,
    /// Counts the starts. Tells a late notice about an old actor from one about the present one.
    generation: u64,
    /// Deaths since the actor last lived for long enough.
    deaths: u32,
    started: Instant,
}

/// Why there is no address to send to.
pub(super) enum NoAddress {
    /// Dead, and the backoff is not over. With the generation that died.
    Resting(u64),
    Stopped,
}

pub(super) struct Guardian<A: Actor<Context = Context<A>>> {
    name: &'static str,
    arbiter: ArbiterHandle,
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    revive: Revive,
    slot: Mutex<Slot<A>>,
    /// The last generation that is known to have ended.
    ended: watch::Sender<u64>,
    restarts: AtomicU64,
}

impl<A: Actor<Context = Context<A>>> Guardian<A> {
    pub(super) fn start(
        name: &'static str,
        revive: Revive,
        arbiter: ArbiterHandle,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Arc<Self> {
        let now = Instant::now();
        let guardian = Arc::new(Self {
            name,
            arbiter,
            factory: Arc::new(factory),
            revive,
            slot: Mutex::new(Slot {
                state: State::Down { next_start: now },
                generation: 0,
                deaths: 0,
                started: now,
            }),
            ended: watch::Sender::new(0),
            restarts: AtomicU64::new(0),
        });
        drop(guardian.address());
        guardian
    }

    /// The living actor's address and generation; starts the actor if it is dead and may be started.
    pub(super) fn address(self: &Arc<Self>) -> Result<(Addr<A>, u64), NoAddress> {
        let (address, generation, start) = {
            let mut slot = lock(&self.slot);
            // The notice of a death comes from the actor's thread and may be a moment late; the
            // closed mailbox is seen at once.
            if matches!(&slot.state, State::Running(address) if !address.connected()) {
                slot.bury();
            }
            match &slot.state {
                State::Running(address) => (address.clone(), slot.generation, None),
                State::Stopped => return Err(NoAddress::Stopped),
                State::Down { next_start } if Instant::now() < *next_start => {
                    return Err(NoAddress::Resting(slot.generation));
                }
                State::Down { .. } => {
                    let (sender, receiver) = channel(MAILBOX);
                    let address = Addr::new(sender);
                    slot.state = State::Running(address.clone());
                    slot.generation += 1;
                    slot.started = Instant::now();
                    (address, slot.generation, Some(receiver))
                }
            }
        };
        // Outside the lock: on a dead arbiter the notice is dropped right here, and wants the lock.
        if let Some(receiver) = start {
            if generation > 1 {
                self.restarts.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(actor = self.name, generation, "actor started again");
            }
            let factory = Arc::clone(&self.factory);
            let notice = EndNotice { guardian: Arc::downgrade(self), generation };
            self.arbiter.spawn_fn(move || {
                // Dropped by whatever ends the actor, a panic in the factory included.
                let notice = notice;
                let actor = factory();
                let life = Context::with_receiver(receiver).into_future(actor);
                actix::spawn(async move {
                    // Locals are dropped in reverse, so the mailbox is closed when the notice goes.
                    let _notice = notice;
                    life.await;
                });
            });
        }
        Ok((address, generation))
    }

    /// Waits until another try can work after `generation` failed: it is known to be dead and the
    /// backoff is over. Returns early at `until`.
    pub(super) async fn recovered(&self, generation: u64, until: Instant) {
        // A caller learns of a death by its dropped reply, which may be before the mailbox closes;
        // asking again at once could reach the same dying actor.
        let mut ended = self.ended.subscribe();
        let wait = ended.wait_for(|dead| *dead >= generation);
        drop(tokio::time::timeout_at(until, wait).await);
        let next_start = match &lock(&self.slot).state {
            State::Down { next_start } => *next_start,
            State::Running(_) | State::Stopped => return,
        };
        tokio::time::sleep_until(next_start.min(until)).await;
    }

    /// Takes the address away. Without one, an actor with an empty mailbox and no work ends.
    /// `false`: it had not ended when `grace` was over.
    pub(super) async fn stop(&self, grace: Duration) -> bool {
        let (before, generation) = {
            let mut slot = lock(&self.slot);
            let before = std::mem::replace(&mut slot.state, State::Stopped);
            (before, slot.generation)
        };
        match before {
            State::Running(address) => drop(address),
            State::Down { .. } => return true,
            State::Stopped => {}
        }
        let mut ended = self.ended.subscribe();
        let wait = ended.wait_for(|dead| *dead >= generation);
        tokio::time::timeout(grace, wait).await.is_ok()
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(super) fn alive(&self) -> bool {
        matches!(&lock(&self.slot).state, State::Running(address) if address.connected())
    }

    fn on_end(self: &Arc<Self>, generation: u64, panicked: bool) {
        if panicked {
            tracing::error!(actor = self.name, generation, "actor panicked");
        }
        let next_start = {
            let mut slot = lock(&self.slot);
            if slot.generation == generation && matches!(slot.state, State::Running(_)) {
                slot.bury();
            }
            match slot.state {
                State::Down { next_start } => Some(next_start),
                State::Running(_) | State::Stopped => None,
            }
        };
        self.ended.send_if_modified(|last| {
            let newer = generation > *last;
            *last = generation.max(*last);
            newer
        });
        if let (Revive::AtOnce, Some(next_start)) = (self.revive, next_start) {
            let guardian = Arc::downgrade(self);
            self.arbiter.spawn(async move {
                tokio::time::sleep_until(next_start).await;
                if let Some(guardian) = guardian.upgrade() {
                    drop(guardian.address());
                }
            });
        }
    }
}

impl<A: Actor> Slot<A> {
    fn bury(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.started) >= STABLE_AFTER {
            self.deaths = 0;
        }
        self.state = State::Down { next_start: now + restart_delay(self.deaths) };
        self.deaths = self.deaths.saturating_add(1);
    }
}

/// Tells the guardian by being dropped: there is no way to end an actor that skips it.
struct EndNotice<A: Actor<Context = Context<A>>> {
    // Weak: an actor must not keep its own address alive, or it would never end.
    guardian: Weak<Guardian<A>>,
    generation: u64,
}

impl<A: Actor<Context = Context<A>>> Drop for EndNotice<A> {
    fn drop(&mut self) {
        if let Some(guardian) = self.guardian.upgrade() {
            guardian.on_end(self.generation, std::thread::panicking());
        }
    }
}
