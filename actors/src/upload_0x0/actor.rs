//! The uploading actor: so many at a time, so many in line, and the next one when one ends.

use super::{
    Refused, Report, Shared,
    run::{Task, run},
};
use crate::{
    ports::{AttemptError, HostUpload},
    runtime::{Answer, Deferred, Permit, deferred, lock},
};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::oneshot;

#[derive(Message)]
#[rtype(result = "Result<Report, Refused>")]
pub(super) struct Upload {
    pub job: Arc<dyn HostUpload>,
    /// Told when the upload's turn has come.
    pub turn: oneshot::Sender<()>,
    /// Ready when whoever asked is gone.
    pub gone: oneshot::Receiver<()>,
    pub permit: Permit,
}

/// The number of slots has changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Resized;

/// Somebody who asked is gone: their place in the line is free.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Left;

struct Waiting {
    upload: Upload,
    answer: Answer<Result<Report, Refused>>,
}

pub(super) struct UploadActor {
    shared: Arc<Shared>,
    running: usize,
    waiting: VecDeque<Waiting>,
}

impl UploadActor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: 0, waiting: VecDeque::new() }
    }

    fn start_waiting(&mut self, ctx: &mut Context<Self>) {
        self.waiting.retain(|waiting| !waiting.answer.is_abandoned());
        while self.running < self.shared.slots.load(Ordering::Relaxed) {
            let Some(next) = self.waiting.pop_front() else { break };
            self.start(next, ctx);
        }
        self.publish();
    }

    fn start(&mut self, next: Waiting, ctx: &mut Context<Self>) {
        let Waiting { upload: Upload { job, turn, gone, permit }, answer } = next;
        self.running += 1;
        // Nobody to tell means nobody to upload for, which `gone` says too.
        let _nobody = turn.send(());
        let task = Task(actix::spawn(run(Arc::clone(&self.shared), job, gone)));
        ctx.spawn(task.into_actor(self).map(move |ended, actor, ctx| {
            let report = ended.unwrap_or_else(|error| {
                tracing::error!(%error, "an upload died");
                let outcome = Err(AttemptError::Failed(error.to_string()));
                Some(Report { outcome, attempts: 1, limit: Duration::ZERO })
            });
            actor.running -= 1;
            actor.remember(report.as_ref());
            // Before the answer: who hears of an end finds its slot free.
            drop(permit);
            actor.start_waiting(ctx);
            if let Some(report) = report {
                answer.send(Ok(report));
            }
        }));
    }

    fn remember(&self, report: Option<&Report>) {
        let now = self.shared.clock.now();
        lock(&self.shared.memory).note(report, now);
    }

    fn publish(&self) {
        self.shared.running.store(self.running, Ordering::Relaxed);
        self.shared.waiting.store(self.waiting.len(), Ordering::Relaxed);
    }
}

impl Actor for UploadActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.publish();
    }
}

impl Handler<Upload> for UploadActor {
    type Result = Deferred<Result<Report, Refused>>;

    fn handle(&mut self, upload: Upload, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.start_waiting(ctx);
        let is_free = self.running < self.shared.slots.load(Ordering::Relaxed);
        if !is_free && self.waiting.len() >= self.shared.config.queue {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            answer.send(Err(Refused::Full));
            return promise;
        }
        self.waiting.push_back(Waiting { upload, answer });
        self.start_waiting(ctx);
        promise
    }
}

impl Handler<Resized> for UploadActor {
    type Result = ();

    fn handle(&mut self, _: Resized, ctx: &mut Self::Context) {
        self.start_waiting(ctx);
    }
}

impl Handler<Left> for UploadActor {
    type Result = ();

    fn handle(&mut self, _: Left, ctx: &mut Self::Context) {
        self.start_waiting(ctx);
    }
}
