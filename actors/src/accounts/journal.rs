//! Views and downloads of all users, buffered and written together.
//!
//! One journal rather than a buffer in each user's actor: a busy server then writes a few batches a
//! second, not one for each user.

use crate::{
    ports::{AccessEvent, AccessJournal, PortError, within},
    runtime::{
        ActorConfig, ActorSnapshot, Answer, CallError, Deferred, Handle, Permit, Revive, deferred, lock,
    },
};
use actix::{Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, Message, WrapFuture};
use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The most events in one write, so that no transaction grows large.
const BATCH: usize = 500;

/// Shared by whoever records and the actor that writes, and outlives the actor.
struct Buffer {
    /// Oldest first. Events stay until they are known to be written: a write that is cut off is
    /// repeated, so an event may be written twice but is not lost with the actor.
    events: Mutex<VecDeque<AccessEvent>>,
    most: usize,
    dropped: AtomicU64,
    failed: AtomicU64,
}

pub(super) struct Journal {
    buffer: Arc<Buffer>,
    handle: Handle<JournalActor>,
}

impl Journal {
    pub(super) fn start(
        port: Arc<dyn AccessJournal>,
        most: usize,
        call_timeout: Duration,
        arbiter: ArbiterHandle,
    ) -> Self {
        let buffer = Arc::new(Buffer {
            events: Mutex::default(),
            most,
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let shared = Arc::clone(&buffer);
        let config = ActorConfig { name: "journal", queue: 64, revive: Revive::AtOnce };
        let handle = Handle::start(config, arbiter, move || JournalActor {
            port: Arc::clone(&port),
            buffer: Arc::clone(&shared),
            call_timeout,
            waiting: Vec::new(),
            running: false,
        });
        Self { buffer, handle }
    }

    pub(super) fn record(&self, event: AccessEvent) {
        let buffered = {
            let mut events = lock(&self.buffer.events);
            if events.len() >= self.buffer.most {
                self.buffer.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            events.push_back(event);
            events.len()
        };
        if buffered.is_multiple_of(BATCH) {
            self.handle.tell(Nudge);
        }
    }

    pub(super) async fn flush(&self, deadline: Duration) -> Result<(), CallError<PortError>> {
        self.handle.ask_idempotent(|permit| Flush { permit }, deadline).await
    }

    pub(super) async fn stop(&self, grace: Duration) {
        self.handle.stop(grace).await;
    }

    pub(super) fn buffered(&self) -> usize {
        lock(&self.buffer.events).len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.buffer.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.buffer.failed.load(Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self) -> ActorSnapshot {
        self.handle.snapshot()
    }
}

/// Writes what is buffered and says how that went.
#[derive(Message)]
#[rtype(result = "Result<(), PortError>")]
struct Flush {
    permit: Permit,
}

/// A batch is full.
#[derive(Message)]
#[rtype(result = "()")]
struct Nudge;

struct JournalActor {
    port: Arc<dyn AccessJournal>,
    buffer: Arc<Buffer>,
    call_timeout: Duration,
    waiting: Vec<(Answer<Result<(), PortError>>, Permit)>,
    running: bool,
}

impl JournalActor {
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.running {
            return;
        }
        let batch: Vec<_> = lock(&self.buffer.events).iter().take(BATCH).cloned().collect();
        if batch.is_empty() {
            self.answer(&Ok(()));
            return;
        }
        self.running = true;
        let size = batch.len();
        let write = within(self.call_timeout, self.port.append(batch));
        ctx.spawn(write.into_actor(self).map(move |written, actor, ctx| {
            actor.running = false;
            match written {
                Ok(()) => {
                    // Only this actor takes from the front, so these are the ones just written.
                    lock(&actor.buffer.events).drain(..size);
                    actor.pump(ctx);
                }
                Err(error) => {
                    actor.buffer.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "activity not written yet");
                    actor.answer(&Err(error));
                }
            }
        }));
    }

    fn answer(&mut self, outcome: &Result<(), PortError>) {
        for (answer, _permit) in mem::take(&mut self.waiting) {
            answer.send(outcome.clone());
        }
    }
}

impl Actor for JournalActor {
    type Context = Context<Self>;
}

impl Handler<Flush> for JournalActor {
    type Result = Deferred<Result<(), PortError>>;

    fn handle(&mut self, message: Flush, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.waiting.push((answer, message.permit));
        self.pump(ctx);
        promise
    }
}

impl Handler<Nudge> for JournalActor {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}
