//! How an attempt goes on: who waits for whom, since when nothing has moved, and when it is too late.

use super::SourceError;
use bytes::Bytes;
use cdn_actors::ports::AttemptError;
use futures_util::Stream;
use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

tokio::task_local! {
    /// The attempt that the running task is about, for connections, which outlive attempts.
    pub(super) static ATTEMPT: Rc<Attempt>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Connecting or sending.
    Sending,
    /// All is sent. A host may think about a large file for as long as the limit lasts.
    Waiting,
    Answering,
}

/// What is known of an attempt under way.
pub(super) struct Attempt {
    started: Instant,
    phase: Cell<Phase>,
    /// When a byte last went either way.
    moved: Cell<Instant>,
    /// Since when the body has had nothing to send.
    starved_since: Cell<Option<Instant>>,
    /// How long it had nothing before that, in all.
    starved: Cell<Duration>,
    /// The host answered before it was sent everything.
    answered_early: Cell<bool>,
    /// The host closed the connection, or it broke.
    hung_up: Cell<bool>,
    /// Bytes of the body that awc believes sent, and that were thrown away.
    cut_short: Cell<bool>,
}

impl Attempt {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            phase: Cell::new(Phase::Sending),
            moved: Cell::new(now),
            starved_since: Cell::new(None),
            starved: Cell::new(Duration::ZERO),
            answered_early: Cell::new(false),
            hung_up: Cell::new(false),
            cut_short: Cell::new(false),
        }
    }

    pub fn note_movement(&self) {
        self.moved.set(Instant::now());
    }

    pub fn note_early_answer(&self) {
        self.answered_early.set(true);
    }

    pub fn note_hang_up(&self) {
        self.hung_up.set(true);
    }

    /// Bytes are thrown away because the host has answered already.
    pub fn note_cut(&self) {
        self.cut_short.set(true);
    }

    pub fn was_cut_short(&self) -> bool {
        self.cut_short.get()
    }

    pub fn has_hung_up(&self) -> bool {
        self.hung_up.get()
    }

    pub fn begin_answer(&self) {
        self.phase.set(Phase::Answering);
        self.note_movement();
    }

    /// Ready when the attempt has taken too long.
    pub async fn overrun(&self, limit: Duration, stall: Duration) -> AttemptError {
        loop {
            let now = Instant::now();
            let starving = self.starved_since.get().map_or(Duration::ZERO, |since| now - since);
            let end = self.started + limit + self.starved.get() + starving;
            if now >= end {
                return AttemptError::Timeout(format!("not within {limit:?}"));
            }
            let stalls = match self.phase.get() {
                Phase::Waiting => None,
                Phase::Sending | Phase::Answering if !starving.is_zero() => None,
                Phase::Sending | Phase::Answering => Some(self.moved.get() + stall),
            };
            if stalls.is_some_and(|at| now >= at) {
                return AttemptError::Timeout(format!("nothing moved for {stall:?}"));
            }
            // Looked at again then: meanwhile something may have moved, or waited.
            let next = stalls.map_or(end, |at| at.min(end)).min(now + stall);
            tokio::time::sleep_until(next).await;
        }
    }

    fn feed(&self) {
        if let Some(since) = self.starved_since.take() {
            let now = Instant::now();
            self.starved.set(self.starved.get() + (now - since));
            // The host could not have moved.
            self.moved.set(now);
        }
    }

    fn starve(&self) {
        if self.starved_since.get().is_none() {
            self.starved_since.set(Some(Instant::now()));
        }
    }
}

/// What is sent in the place of bytes that nobody will read.
static NOTHING: [u8; 64 * 1024] = [0; 64 * 1024];

/// The body of a delivery, which keeps the attempt's books.
pub(super) struct Paced<S> {
    body: Pin<Box<S>>,
    left: u64,
    attempt: Rc<Attempt>,
}

impl<S> Paced<S> {
    pub fn new(body: Pin<Box<S>>, length: u64, attempt: Rc<Attempt>) -> Self {
        Self { body, left: length, attempt }
    }
}

impl<S> Stream for Paced<S>
where
    S: Stream<Item = Result<Bytes, SourceError>>,
{
    type Item = Result<Bytes, Box<dyn std::error::Error>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left > 0 && self.attempt.answered_early.get() {
            // The connection throws them away; awc needs them to get to the answer.
            let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(NOTHING.len());
            self.left -= len as u64;
            self.attempt.note_cut();
            return Poll::Ready(Some(Ok(Bytes::from_static(&NOTHING[..len]))));
        }
        match self.body.as_mut().poll_next(cx) {
            Poll::Pending => {
                self.attempt.starve();
                Poll::Pending
            }
            Poll::Ready(next) => {
                self.attempt.feed();
                match next {
                    Some(Ok(bytes)) => {
                        self.left = self.left.saturating_sub(bytes.len() as u64);
                        if self.left == 0 {
                            self.attempt.phase.set(Phase::Waiting);
                        }
                        Poll::Ready(Some(Ok(bytes)))
                    }
                    Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                    None => Poll::Ready(None),
                }
            }
        }
    }
}
