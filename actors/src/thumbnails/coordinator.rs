//! The coordinator's actor: takes as many jobs as there are free workers, and keeps the leases.

use super::{Shared, work};
use crate::{
    domain::ids::JobId,
    ports::{JobLease, PortError, within},
    runtime::{Answer, Deferred, Permit, deferred, lock},
};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    mem,
    sync::{Arc, atomic::Ordering},
};

/// There may be something to take, or room to take it.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Look;

/// Prolongs leases, puts back what was lost, counts, and looks for jobs.
#[derive(Message)]
#[rtype(result = "Result<(), PortError>")]
pub(super) struct Upkeep {
    pub permit: Permit,
}

/// Answered once no job is due and none runs.
#[derive(Message)]
#[rtype(result = "Result<(), PortError>")]
pub(super) struct Drain {
    pub permit: Permit,
}

struct Waiting {
    answer: Answer<Result<(), PortError>>,
    _permit: Permit,
}

pub(super) struct Coordinator {
    shared: Arc<Shared>,
    /// A call to the store is under way. One at a time, or two looks would fill the same places.
    looking: bool,
    /// Something changed meanwhile.
    look_again: bool,
    upkeep_due: bool,
    ticked: Vec<Waiting>,
    draining: Vec<Waiting>,
}

impl Coordinator {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            looking: false,
            look_again: false,
            upkeep_due: false,
            ticked: Vec::new(),
            draining: Vec::new(),
        }
    }

    fn free_workers(&self) -> usize {
        let workers = self.shared.workers.load(Ordering::Acquire);
        workers.saturating_sub(lock(&self.shared.running).len())
    }

    /// Takes jobs for the free workers, after the upkeep if that is due.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.looking {
            self.look_again = true;
            return;
        }
        let free = if self.shared.is_stopping() { 0 } else { self.free_workers() };
        let upkeep = mem::take(&mut self.upkeep_due);
        if free == 0 && !upkeep {
            return;
        }
        (self.looking, self.look_again) = (true, false);
        let ticked = mem::take(&mut self.ticked);
        let shared = Arc::clone(&self.shared);
        let run = async move { take(&shared, upkeep, free).await };
        ctx.spawn(run.into_actor(self).map(move |outcome, actor, ctx| {
            actor.looking = false;
            for waiting in ticked {
                waiting.answer.send(outcome.as_ref().map(|_| ()).map_err(Clone::clone));
            }
            actor.looked(outcome, free, ctx);
        }));
    }

    fn looked(&mut self, outcome: Result<Vec<JobLease>, PortError>, free: usize, ctx: &mut Context<Self>) {
        let taken = match outcome {
            Ok(leases) => leases,
            Err(error) => {
                tracing::warn!(%error, "no look for thumbnail jobs; the next tick tries again");
                return self.answer_drains(&Err(error));
            }
        };
        let count = taken.len();
        for lease in taken {
            // Taken a moment before the stop: with the process's end the lease is over too.
            if !self.shared.is_stopping() {
                work::begin(&self.shared, lease);
            }
        }
        let is_idle = lock(&self.shared.running).is_empty();
        if self.look_again || self.upkeep_due || (count > 0 && count == free) {
            self.look(ctx);
        } else if count == 0 && free > 0 && is_idle {
            self.answer_drains(&Ok(()));
        }
    }

    fn answer_drains(&mut self, outcome: &Result<(), PortError>) {
        for waiting in self.draining.drain(..) {
            waiting.answer.send(outcome.clone());
        }
    }
}

/// The upkeep, if asked for, and the next jobs.
async fn take(shared: &Shared, upkeep: bool, free: usize) -> Result<Vec<JobLease>, PortError> {
    let limit = shared.config.call_timeout;
    if upkeep {
        let running = shared.running_jobs();
        if !running.is_empty() {
            within(limit, shared.store.renew(running, expiry(shared))).await?;
        }
        // Asked for again: what was begun since must not be put back.
        let running: Vec<JobId> = shared.running_jobs();
        let reclaimed = within(limit, shared.store.reclaim(shared.clock.now(), running)).await?;
        if reclaimed > 0 {
            tracing::info!(reclaimed, "jobs put back after their lease or process had ended");
            shared.counts.reclaimed.fetch_add(reclaimed, Ordering::Relaxed);
        }
        *lock(&shared.open) = within(limit, shared.store.count_open()).await?;
    }
    let wanted = u32::try_from(free).unwrap_or(u32::MAX);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    within(limit, shared.store.lease(shared.clock.now(), expiry(shared), wanted)).await
}

fn expiry(shared: &Shared) -> DateTime<Utc> {
    shared.clock.now() + TimeDelta::from_std(shared.config.lease).unwrap_or(TimeDelta::MAX)
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.shared.started.swap(true, Ordering::AcqRel) {
            // The one before may have died between a change and the look, or with jobs just taken.
            self.upkeep_due = true;
            self.look(ctx);
        }
    }
}

impl Handler<Look> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Upkeep> for Coordinator {
    type Result = Deferred<Result<(), PortError>>;

    fn handle(&mut self, message: Upkeep, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.ticked.push(Waiting { answer, _permit: message.permit });
        self.upkeep_due = true;
        self.look(ctx);
        promise
    }
}

impl Handler<Drain> for Coordinator {
    type Result = Deferred<Result<(), PortError>>;

    fn handle(&mut self, message: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.draining.push(Waiting { answer, _permit: message.permit });
        self.upkeep_due = true;
        self.look(ctx);
        promise
    }
}
