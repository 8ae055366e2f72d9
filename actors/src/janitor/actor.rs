//! The janitor's actor: one sweep at a time, and heartbeats beside it.

use super::{JanitorError, Shared, SweepReport, sweep};
use crate::{
    ports::{PortError, within},
    runtime::{Answer, Deferred, Permit, deferred, lock},
};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use std::{mem, sync::Arc};

#[derive(Message)]
#[rtype(result = "Result<(), PortError>")]
pub(super) struct Beat {
    pub permit: Permit,
}

#[derive(Message)]
#[rtype(result = "Result<SweepReport, JanitorError>")]
pub(super) struct Sweep {
    pub force: bool,
    pub permit: Permit,
}

struct Waiting {
    force: bool,
    answer: Answer<Result<SweepReport, JanitorError>>,
    _permit: Permit,
}

pub(super) struct JanitorActor {
    shared: Arc<Shared>,
    waiting: Vec<Waiting>,
    sweeping: bool,
}

impl JanitorActor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, waiting: Vec::new(), sweeping: false }
    }

    /// Everybody who waits when a sweep starts gets its report.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        self.waiting.retain(|waiting| !waiting.answer.is_abandoned());
        if self.sweeping || self.waiting.is_empty() {
            return;
        }
        self.sweeping = true;
        let callers = mem::take(&mut self.waiting);
        let force = callers.iter().any(|caller| caller.force);
        let shared = Arc::clone(&self.shared);
        // Spawned, not waited for: the mailbox stays open for heartbeats.
        let run = async move { sweep::sweep(&shared, force).await };
        ctx.spawn(run.into_actor(self).map(move |outcome, actor, ctx| {
            actor.sweeping = false;
            actor.remember(&outcome);
            for caller in callers {
                caller.answer.send(outcome.clone());
            }
            actor.sweep(ctx);
        }));
    }

    fn remember(&self, outcome: &Result<SweepReport, JanitorError>) {
        match outcome {
            Ok(report) if report.leased => {
                tracing::info!(?report, "swept");
                lock(&self.shared.memory).last = Some((self.shared.clock.now(), report.clone()));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "no sweep"),
        }
    }
}

impl Actor for JanitorActor {
    type Context = Context<Self>;
}

impl Handler<Sweep> for JanitorActor {
    type Result = Deferred<Result<SweepReport, JanitorError>>;

    fn handle(&mut self, message: Sweep, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.waiting.push(Waiting { force: message.force, answer, _permit: message.permit });
        self.sweep(ctx);
        promise
    }
}

impl Handler<Beat> for JanitorActor {
    type Result = Deferred<Result<(), PortError>>;

    fn handle(&mut self, message: Beat, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        let beat = self.shared.custodian.heartbeat(self.shared.clock.now());
        // Given up before the next one is due, or a custodian that hangs would collect them.
        let beat = within(self.shared.config.heartbeat_every, beat);
        ctx.spawn(beat.into_actor(self).map(move |outcome, actor, _| {
            let mut memory = lock(&actor.shared.memory);
            match &outcome {
                Ok(()) => memory.heartbeats += 1,
                Err(error) => {
                    memory.missed_heartbeats += 1;
                    tracing::warn!(%error, "heartbeat missed");
                }
            }
            drop(memory);
            drop(message.permit);
            answer.send(outcome);
        }));
        promise
    }
}
