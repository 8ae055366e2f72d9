//! A waiting line for each link that is asked for, and one call of the gate at a time for each line.

use super::AdmitError;
use crate::{
    domain::ids::TokenHash,
    ports::{Admission, DownloadGate, PortError, Visit, within},
    runtime::{Answer, Deferred, Permit, deferred},
};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The most visits in one call, so that no transaction grows large.
const BATCH: usize = 500;

#[derive(Message)]
#[rtype(result = "Result<(), AdmitError>")]
pub(super) struct Admit {
    pub token: TokenHash,
    pub visit: Visit,
    pub permit: Permit,
}

/// One visitor, until answered.
struct Waiting {
    visit: Visit,
    answer: Answer<Result<(), AdmitError>>,
    _permit: Permit,
}

/// Those who wait while a call of their link is running; a link without a line has no call running.
type Line = Vec<Waiting>;

pub(super) struct SharesActor {
    gate: Arc<dyn DownloadGate>,
    call_timeout: Duration,
    lines: HashMap<TokenHash, Line>,
}

impl SharesActor {
    pub(super) fn new(gate: Arc<dyn DownloadGate>, call_timeout: Duration) -> Self {
        Self { gate, call_timeout, lines: HashMap::new() }
    }

    /// Calls the gate for the head of a line, or ends the line when nobody is in it.
    fn pump(&mut self, token: TokenHash, ctx: &mut Context<Self>) {
        let Some(line) = self.lines.get_mut(&token) else { return };
        // Who went away while waiting is not counted.
        line.retain(|waiting| !waiting.answer.is_abandoned());
        if line.is_empty() {
            self.lines.remove(&token);
            return;
        }
        let batch: Vec<Waiting> = line.drain(..line.len().min(BATCH)).collect();
        let visits = batch.iter().map(|waiting| waiting.visit.clone()).collect();
        let call = within(self.call_timeout, self.gate.admit(token, visits));
        ctx.spawn(call.into_actor(self).map(move |outcome, actor, ctx| {
            settle(batch, outcome);
            actor.pump(token, ctx);
        }));
    }
}

/// First come, first served.
fn settle(batch: Vec<Waiting>, outcome: Result<Admission, PortError>) {
    for (place, waiting) in batch.into_iter().enumerate() {
        waiting.answer.send(match &outcome {
            Ok(Admission::Admitted(count)) if place < *count => Ok(()),
            Ok(Admission::Admitted(_)) => Err(AdmitError::LimitReached),
            Ok(Admission::Closed) => Err(AdmitError::Closed),
            Err(error) => Err(error.clone().into()),
        });
    }
}

impl Actor for SharesActor {
    type Context = Context<Self>;
}

impl Handler<Admit> for SharesActor {
    type Result = Deferred<Result<(), AdmitError>>;

    fn handle(&mut self, message: Admit, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        let waiting = Waiting { visit: message.visit, answer, _permit: message.permit };
        let is_first = !self.lines.contains_key(&message.token);
        self.lines.entry(message.token).or_default().push(waiting);
        if is_first {
            self.pump(message.token, ctx);
        }
        promise
    }
}
