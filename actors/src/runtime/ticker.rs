//! Where periodic work comes from: an interval in the server, the test's hand in a test.

use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, Interval, MissedTickBehavior},
};

enum Source {
    // Made at the first tick, for an interval belongs to the runtime that waits for it.
    Period { period: Duration, at_once: bool, interval: Option<Interval> },
    Hand(mpsc::UnboundedReceiver<oneshot::Sender<()>>),
}

/// A source of ticks. One loop waits for them: `while let Some(tick) = ticker.next().await { … }`.
pub struct Ticker(Source);

/// One tick. Dropped when its work is done.
#[must_use = "the tick's work is over when this is dropped"]
pub struct Tick {
    // Closing the channel is the notice, so that work that panics is over too.
    _done: Option<oneshot::Sender<()>>,
}

/// Gives the ticks of a [`Ticker::by_hand`].
#[derive(Clone)]
pub struct TickerHand(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl Ticker {
    /// Ticks every `period`, at least 1 ms, first after one period. Ticks that were missed because
    /// the work took longer are left out, not made up for.
    pub fn every(period: Duration) -> Self {
        Self::periodic(period, false)
    }

    /// Like [`every`](Self::every), and once at the start.
    pub fn now_and_every(period: Duration) -> Self {
        Self::periodic(period, true)
    }

    /// Ticks when the hand says so.
    pub fn by_hand() -> (Self, TickerHand) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Source::Hand(receiver)), TickerHand(sender))
    }

    fn periodic(period: Duration, at_once: bool) -> Self {
        Self(Source::Period { period: period.max(Duration::from_millis(1)), at_once, interval: None })
    }

    /// Waits for the next tick. `None`: there will be no more.
    pub async fn next(&mut self) -> Option<Tick> {
        match &mut self.0 {
            Source::Period { period, at_once, interval } => {
                let interval = interval.get_or_insert_with(|| {
                    let first = if *at_once { Duration::ZERO } else { *period };
                    let mut made = tokio::time::interval_at(Instant::now() + first, *period);
                    made.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    made
                });
                interval.tick().await;
                Some(Tick { _done: None })
            }
            Source::Hand(ticks) => ticks.recv().await.map(|done| Tick { _done: Some(done) }),
        }
    }
}

impl TickerHand {
    /// Ticks, and waits until the work of this tick is done. Returns at once when nobody listens.
    pub async fn tick(&self) {
        let (sender, done) = oneshot::channel();
        if self.0.send(sender).is_ok() {
            drop(done.await);
        }
    }
}
