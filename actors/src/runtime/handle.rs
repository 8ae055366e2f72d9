//! The way to an actor: typed calls that are bounded, have a deadline and outlive a restart.

use super::{
    CallError, Revive,
    guardian::{Guardian, NoAddress},
};
use actix::{Actor, ArbiterHandle, Context, Handler, Message};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, timeout, timeout_at},
};

/// A place in an actor's queue. It travels inside the message and is given back when the message
/// is dropped: handled, skipped or lost. So the bound holds for what the actor really has in hand,
/// also when callers went away or ran into their deadline.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// What a handle is told about its actor.
#[derive(Debug, Clone, Copy)]
pub struct ActorConfig {
    /// For logs and metrics.
    pub name: &'static str,
    /// How many calls may be queued or running, at least 1.
    pub queue: usize,
    pub revive: Revive,
}

/// An actor at one moment, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorSnapshot {
    pub name: &'static str,
    pub alive: bool,
    /// Calls queued or running now.
    pub queued: usize,
    /// The most that `queued` can be.
    pub capacity: usize,
    /// New actors in the place of dead ones, since the start.
    pub restarts: u64,
    /// Calls refused because the queue was full, since the start.
    pub refused: u64,
    /// Calls that ran into their deadline, since the start.
    pub late: u64,
}

struct Shared<A: Actor<Context = Context<A>>> {
    guardian: Arc<Guardian<A>>,
    permits: Arc<Semaphore>,
    capacity: usize,
    stopping: AtomicBool,
    refused: AtomicU64,
    late: AtomicU64,
}

/// A cheap clone that reaches the same actor, whichever generation lives. The actor ends with its
/// last handle.
pub struct Handle<A: Actor<Context = Context<A>>>(Arc<Shared<A>>);

impl<A: Actor<Context = Context<A>>> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor<Context = Context<A>>> Handle<A> {
    /// Starts an actor on the arbiter. The factory runs there too, once for each life of the actor,
    /// so an actor need not be `Send`; what must survive a death belongs outside and is shared in.
    pub fn start(
        config: ActorConfig,
        arbiter: ArbiterHandle,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Self {
        let capacity = config.queue.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            guardian: Guardian::start(config.name, config.revive, arbiter, factory),
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            stopping: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }))
    }

    /// Asks, and waits for the answer for at most `deadline`. Dropping the returned future cancels
    /// the message if it is still queued.
    ///
    /// # Errors
    /// See [`CallError`]. After `Deadline` and `Restarted` the outcome is not known.
    pub async fn ask<M, T, E>(
        &self,
        message: impl FnOnce(Permit) -> M,
        deadline: Duration,
    ) -> Result<T, CallError<E>>
    where
        A: Handler<M>,
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.attempt(message, Instant::now() + deadline).await.map_err(|(error, _)| error)
    }

    /// Like [`ask`](Self::ask), and asks once more, within the same deadline, when the actor died
    /// meanwhile. For messages that may be handled twice.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ask_idempotent<M, T, E>(
        &self,
        mut message: impl FnMut(Permit) -> M,
        deadline: Duration,
    ) -> Result<T, CallError<E>>
    where
        A: Handler<M>,
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let until = Instant::now() + deadline;
        match self.attempt(&mut message, until).await {
            Err((CallError::Restarted, generation)) => {
                self.0.guardian.recovered(generation, until).await;
                self.attempt(message, until).await.map_err(|(error, _)| error)
            }
            outcome => outcome.map_err(|(error, _)| error),
        }
    }

    /// Hands a message over without an answer; it is never cancelled. Not bounded: for messages of
    /// which there can only be so many. `false`: nobody is there to take it. `true` is no promise
    /// that it is handled, for the actor may die first.
    pub fn tell<M>(&self, message: M) -> bool
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        match self.0.guardian.address() {
            Ok((address, _)) => {
                address.do_send(message);
                true
            }
            Err(_) => false,
        }
    }

    /// Refuses new calls, lets those in hand finish, and ends the actor. `false`: `grace` was over
    /// before that.
    pub async fn stop(&self, grace: Duration) -> bool {
        let until = Instant::now() + grace;
        self.0.stopping.store(true, Ordering::Release);
        let everything = u32::try_from(self.0.capacity).unwrap_or(u32::MAX);
        let drained = timeout(grace, self.0.permits.acquire_many(everything)).await;
        self.0.permits.close();
        let left = until.saturating_duration_since(Instant::now());
        let ended = self.0.guardian.stop(left).await;
        drained.is_ok() && ended
    }

    /// The actor now.
    pub fn snapshot(&self) -> ActorSnapshot {
        ActorSnapshot {
            name: self.0.guardian.name(),
            alive: self.0.guardian.alive(),
            queued: self.0.capacity - self.0.permits.available_permits().min(self.0.capacity),
            capacity: self.0.capacity,
            restarts: self.0.guardian.restarts(),
            refused: self.0.refused.load(Ordering::Relaxed),
            late: self.0.late.load(Ordering::Relaxed),
        }
    }

    /// One try. An error comes with the generation it is about.
    async fn attempt<M, T, E>(
        &self,
        message: impl FnOnce(Permit) -> M,
        until: Instant,
    ) -> Result<T, (CallError<E>, u64)>
    where
        A: Handler<M>,
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err((CallError::Stopped, 0));
        }
        let permit = match Arc::clone(&self.0.permits).try_acquire_owned() {
            Ok(permit) => Permit(permit),
            Err(TryAcquireError::Closed) => return Err((CallError::Stopped, 0)),
            Err(TryAcquireError::NoPermits) => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                return Err((CallError::Busy, 0));
            }
        };
        let (address, generation) = match self.0.guardian.address() {
            Ok(found) => found,
            Err(NoAddress::Resting(generation)) => return Err((CallError::Restarted, generation)),
            Err(NoAddress::Stopped) => return Err((CallError::Stopped, 0)),
        };
        // `address` is a fresh clone, which is never parked: the message is queued right here.
        let request = address.send(message(permit));
        // Not held while waiting: an address keeps its actor from ending.
        drop(address);
        match timeout_at(until, request).await {
            Ok(Ok(answer)) => answer.map_err(|error| (CallError::Domain(error), generation)),
            Ok(Err(_)) if self.0.stopping.load(Ordering::Acquire) => Err((CallError::Stopped, generation)),
            Ok(Err(_)) => Err((CallError::Restarted, generation)),
            Err(_) => {
                self.0.late.fetch_add(1, Ordering::Relaxed);
                Err((CallError::Deadline, generation))
            }
        }
    }
}
