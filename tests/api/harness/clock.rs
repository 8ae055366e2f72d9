//! The servers' clock: the machine's, and as far ahead of it as a test has said.

use std::sync::atomic::{AtomicI64, Ordering};

use cdn_actors::domain::clock::{Clock, SystemClock};
use chrono::{DateTime, TimeDelta, Utc};

/// It never stands still, so that what happens one after the other has different times.
#[derive(Debug, Default)]
pub struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    /// Moves all that the server does from now on this far into the future.
    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_microseconds().expect("less than 292,000 years"), Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::microseconds(self.0.load(Ordering::SeqCst))
    }
}
