//! One user's account actor: turns what callers ask at the same time into one ledger call.

use super::QuotaError;
use crate::{
    domain::{
        ids::{ReservationId, UserId},
        quota::Usage,
    },
    ports::{PortError, QuotaAnswer, QuotaAsk, QuotaLedger, within},
    runtime::{Answer, Deferred, Permit, deferred, lock},
};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Reservations to give back. Outside the actor, so that its death forgets none; an id stays until
/// the ledger said yes, for giving back twice does no harm.
#[derive(Default)]
pub(super) struct Outbox(Mutex<Vec<ReservationId>>);

impl Outbox {
    pub(super) fn add(&self, id: ReservationId) {
        lock(&self.0).push(id);
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    fn ids(&self) -> Vec<ReservationId> {
        lock(&self.0).clone()
    }

    fn done(&self, ids: &[ReservationId]) {
        let done: HashSet<_> = ids.iter().collect();
        lock(&self.0).retain(|id| !done.contains(id));
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), QuotaError>")]
pub(super) struct Reserve {
    pub id: ReservationId,
    pub bytes: u64,
    pub permit: Permit,
}

#[derive(Message)]
#[rtype(result = "Result<Usage, QuotaError>")]
pub(super) struct ReadUsage {
    pub permit: Permit,
}

/// Empties the outbox and says how that went.
#[derive(Message)]
#[rtype(result = "Result<(), PortError>")]
pub(super) struct Flush {
    pub permit: Permit,
}

/// There is something in the outbox.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Nudge;

/// One caller's question, until it is answered.
struct Waiting<Q, T> {
    question: Q,
    answer: Answer<T>,
    _permit: Permit,
}

type Ask = Waiting<QuotaAsk, Result<(), QuotaError>>;
type Reader = Waiting<(), Result<Usage, QuotaError>>;
type Flusher = Waiting<(), Result<(), PortError>>;

/// What goes to the ledger together.
struct Round {
    releases: Vec<ReservationId>,
    asks: Vec<Ask>,
    readers: Vec<Reader>,
    flushers: Vec<Flusher>,
}

/// What the ledger said to a round; `None` for what was not asked.
struct Outcome {
    released: Result<(), PortError>,
    reserved: Option<Result<Vec<QuotaAnswer>, PortError>>,
    usage: Option<Result<Option<Usage>, PortError>>,
}

pub(super) struct UserActor {
    user: UserId,
    ledger: Arc<dyn QuotaLedger>,
    outbox: Arc<Outbox>,
    call_timeout: Duration,
    asks: Vec<Ask>,
    readers: Vec<Reader>,
    flushers: Vec<Flusher>,
    /// Whether a round is with the ledger. One at a time: that is what makes batches, and it keeps a
    /// reservation and its giving back in order.
    running: bool,
}

impl UserActor {
    pub(super) fn new(
        user: UserId,
        ledger: Arc<dyn QuotaLedger>,
        outbox: Arc<Outbox>,
        call_timeout: Duration,
    ) -> Self {
        Self {
            user,
            ledger,
            outbox,
            call_timeout,
            asks: Vec::new(),
            readers: Vec::new(),
            flushers: Vec::new(),
            running: false,
        }
    }

    fn next_round(&mut self) -> Option<Round> {
        // Who went away while waiting has told the outbox so, and need not be asked for at all.
        self.asks.retain(|ask| !ask.answer.is_abandoned());
        self.readers.retain(|reader| !reader.answer.is_abandoned());
        let round = Round {
            releases: self.outbox.ids(),
            asks: mem::take(&mut self.asks),
            readers: mem::take(&mut self.readers),
            flushers: mem::take(&mut self.flushers),
        };
        let idle = round.releases.is_empty()
            && round.asks.is_empty()
            && round.readers.is_empty()
            && round.flushers.is_empty();
        (!idle).then_some(round)
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.running {
            return;
        }
        let Some(round) = self.next_round() else {
            return;
        };
        self.running = true;
        let (ledger, user, limit) = (Arc::clone(&self.ledger), self.user, self.call_timeout);
        let talk = async move {
            let outcome = talk(&*ledger, user, limit, &round).await;
            (round, outcome)
        };
        ctx.spawn(talk.into_actor(self).map(|(round, outcome), actor, ctx| {
            actor.running = false;
            let released = outcome.released.is_ok();
            actor.settle(round, outcome);
            // After a failure only new questions start a round: the next tick repeats the rest.
            if released || !actor.asks.is_empty() || !actor.readers.is_empty() || !actor.flushers.is_empty() {
                actor.pump(ctx);
            }
        }));
    }

    fn settle(&self, round: Round, outcome: Outcome) {
        match &outcome.released {
            Ok(()) => self.outbox.done(&round.releases),
            Err(error) => tracing::warn!(user = %self.user, %error, "reservations not given back yet"),
        }
        for flusher in round.flushers {
            flusher.answer.send(outcome.released.clone());
        }
        if let Some(reserved) = outcome.reserved {
            let mut answers = reserved.map(Vec::into_iter);
            for ask in round.asks {
                ask.answer.send(match &mut answers {
                    Ok(answers) => match answers.next() {
                        Some(QuotaAnswer::Granted) => Ok(()),
                        Some(QuotaAnswer::Refused(usage)) => Err(QuotaError::Exceeded(usage)),
                        Some(QuotaAnswer::UnknownUser) => Err(QuotaError::UnknownUser),
                        None => Err(QuotaError::Failed("an answer is missing".to_owned())),
                    },
                    Err(error) => Err(error.clone().into()),
                });
            }
        }
        if let Some(usage) = outcome.usage {
            for reader in round.readers {
                reader.answer.send(match usage.clone() {
                    Ok(found) => found.ok_or(QuotaError::UnknownUser),
                    Err(error) => Err(error.into()),
                });
            }
        }
    }
}

/// Gives back first, so that those who ask in the same round find the room.
async fn talk(ledger: &dyn QuotaLedger, user: UserId, limit: Duration, round: &Round) -> Outcome {
    let mut outcome = Outcome { released: Ok(()), reserved: None, usage: None };
    if !round.releases.is_empty() {
        outcome.released = within(limit, ledger.release(user, round.releases.clone())).await;
    }
    if !round.asks.is_empty() {
        let asks = round.asks.iter().map(|ask| ask.question).collect();
        outcome.reserved = Some(within(limit, ledger.reserve(user, asks)).await);
    }
    if !round.readers.is_empty() {
        outcome.usage = Some(within(limit, ledger.usage(user)).await);
    }
    outcome
}

impl Actor for UserActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // What the actor before this one left behind.
        self.pump(ctx);
    }
}

impl Handler<Reserve> for UserActor {
    type Result = Deferred<Result<(), QuotaError>>;

    fn handle(&mut self, message: Reserve, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        let question = QuotaAsk { id: message.id, bytes: message.bytes };
        self.asks.push(Waiting { question, answer, _permit: message.permit });
        self.pump(ctx);
        promise
    }
}

impl Handler<ReadUsage> for UserActor {
    type Result = Deferred<Result<Usage, QuotaError>>;

    fn handle(&mut self, message: ReadUsage, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.readers.push(Waiting { question: (), answer, _permit: message.permit });
        self.pump(ctx);
        promise
    }
}

impl Handler<Flush> for UserActor {
    type Result = Deferred<Result<(), PortError>>;

    fn handle(&mut self, message: Flush, ctx: &mut Self::Context) -> Self::Result {
        let (answer, promise) = deferred();
        self.flushers.push(Waiting { question: (), answer, _permit: message.permit });
        self.pump(ctx);
        promise
    }
}

impl Handler<Nudge> for UserActor {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}
