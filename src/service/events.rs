//! Live streams of a user's events: who listens, what they have missed, and when a stream is over.
//!
//! A stream reads the database whenever it hears of something newer than what it has sent, so nothing is kept
//! in memory for it but the rows on their way. What this process commits is heard of at once. What others
//! commit is heard of by one query for all who are listened for, at an interval and only while there are any:
//! PostgreSQL's NOTIFY would be faster, but lets all commits that use it run one after the other.

use super::{ServiceError, Services, sessions::time_delta, usage_of};
use crate::db::{
    DbError,
    events::{Event, EventRow, News},
};
use cdn_actors::domain::{
    ids::{SessionId, UserId},
    quota::Usage,
};
use chrono::{DateTime, Utc};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};

/// Rows read at once for one stream.
const BATCH: u32 = 100;
/// Users whose last events one statement asks for.
const POLLED: usize = 500;
/// How long a stream waits before it asks a database again that did not answer.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// Tells every stream of this process to end.
#[derive(Clone)]
pub struct StreamsEnd(watch::Sender<bool>);

impl StreamsEnd {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Ends all streams; new ones are refused.
    pub fn declare(&self) {
        self.0.send_replace(true);
    }

    fn is_declared(&self) -> bool {
        *self.0.borrow()
    }
}

/// What a stream says next.
#[derive(Debug)]
pub enum StreamItem {
    /// The stream begins after this event.
    Ready(i64),
    /// What came before this event can't be caught up on any more: whoever listens loads anew.
    Reset(i64),
    Event {
        row: EventRow,
        /// Of the moment of sending, beside what a quota event tells.
        usage: Option<Usage>,
    },
    Heartbeat,
}

/// One listener's events, in their order and without a gap.
pub struct EventStream {
    services: Services,
    user: UserId,
    session: Option<SessionId>,
    /// When a caller without a session must authenticate again.
    ends_at: DateTime<Utc>,
    /// The last event that was given.
    cursor: i64,
    greeting: Option<StreamItem>,
    waiting: VecDeque<EventRow>,
    latest: Option<watch::Receiver<i64>>,
    end: watch::Receiver<bool>,
    beat: Interval,
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(latest) = self.latest.take() {
            self.services.db.news().leave(self.user, latest);
        }
    }
}

impl Services {
    /// Listens for a user's events: those after the one named, or from now on.
    ///
    /// # Errors
    /// [`ServiceError::Busy`] when there are too many streams.
    pub async fn open_events(
        &self,
        user: UserId,
        session: Option<SessionId>,
        after: Option<i64>,
    ) -> Result<EventStream, ServiceError> {
        let (news, limits) = (self.db.news(), &self.config.events);
        if self.streams_end.is_declared() || news.listeners() >= limits.max_streams {
            return Err(ServiceError::Busy);
        }
        // Listening comes first: what is committed while the last event is looked up is heard of.
        let latest = news.listen(user, limits.max_streams_per_user).ok_or(ServiceError::Busy)?;
        let heartbeat = limits.heartbeat.duration();
        let mut beat = interval_at(Instant::now() + heartbeat, heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stream = EventStream {
            services: self.clone(),
            user,
            session,
            ends_at: self.clock.now() + time_delta(self.config.auth.access_ttl.duration()),
            cursor: 0,
            greeting: None,
            waiting: VecDeque::new(),
            latest: Some(latest),
            end: self.streams_end.0.subscribe(),
            beat,
        };
        stream.begin(after).await?;
        Ok(stream)
    }

    /// Looks after what other processes commit, until the streams end.
    pub async fn watch_events(&self) {
        let mut end = self.streams_end.0.subscribe();
        let interval = self.config.events.poll_interval.duration();
        loop {
            if let Ok(Ok(_)) = timeout(interval, end.wait_for(|is_over| *is_over)).await {
                return;
            }
            if let Err(error) = self.poll_events().await {
                tracing::debug!(%error, "events of other processes could not be looked for");
            }
        }
    }

    async fn poll_events(&self) -> Result<(), DbError> {
        let news: &News = self.db.news();
        for users in news.users().chunks(POLLED) {
            for (user, id) in self.db.last_event_ids(users).await? {
                news.tell(UserId(user), id);
            }
        }
        Ok(())
    }
}

impl EventStream {
    async fn begin(&mut self, after: Option<i64>) -> Result<(), ServiceError> {
        let last = self.services.db.last_event_id(self.user).await?;
        self.cursor = after.unwrap_or(last);
        self.greeting = Some(StreamItem::Ready(self.cursor));
        // A number that was never given is of another database, such as one before a restore.
        if !(0..=last).contains(&self.cursor) {
            self.reset_to(last);
        } else if self.cursor < last {
            self.read_on().await?;
        }
        Ok(())
    }

    fn reset_to(&mut self, last: i64) {
        self.cursor = last;
        self.waiting.clear();
        self.greeting = Some(StreamItem::Reset(last));
    }

    /// Fetches what comes next; a gap says that the janitor was faster.
    async fn read_on(&mut self) -> Result<(), DbError> {
        let last = self.services.db.last_event_id(self.user).await?;
        let rows = self.services.db.list_events(self.user, self.cursor, BATCH).await?;
        let is_gapless = match rows.first() {
            Some(first) => first.id == self.cursor + 1,
            None => last <= self.cursor,
        };
        if is_gapless {
            self.waiting = rows.into()
        } else {
            self.reset_to(last)
        }
        Ok(())
    }

    /// What to say next; `None` when the stream is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<StreamItem> {
        loop {
            if *self.end.borrow() {
                return None;
            }
            if let Some(greeting) = self.greeting.take() {
                return Some(greeting);
            }
            if let Some(row) = self.waiting.front() {
                let usage = self.usage_for(row).await;
                let row = self.waiting.pop_front()?;
                self.cursor = row.id;
                return Some(StreamItem::Event { row, usage });
            }
            let latest = self.latest.as_mut()?;
            let is_behind = *latest.borrow_and_update() > self.cursor;
            if is_behind {
                match self.read_on().await {
                    // Nothing yet: this process's word may come before the rows do on another connection.
                    Ok(()) if self.waiting.is_empty() && self.greeting.is_none() => {}
                    Ok(()) => continue,
                    // The stream outlives a database that is away: browsers don't come back from a refusal.
                    Err(error) => {
                        tracing::debug!(%error, "a stream of events waits for the database");
                        tokio::time::sleep(DATABASE_PAUSE).await;
                        continue;
                    }
                }
            }
            let latest = self.latest.as_mut()?;
            tokio::select! {
                changed = latest.changed() => changed.ok()?,
                _ = self.end.changed() => {}
                _ = self.beat.tick() => {
                    if !self.may_go_on().await {
                        return None;
                    }
                    return Some(StreamItem::Heartbeat);
                }
            }
        }
    }

    /// Whether the caller could still open this stream.
    async fn may_go_on(&self) -> bool {
        let now = self.services.clock.now();
        let Some(session) = self.session else { return now < self.ends_at };
        match self.services.db.find_session_user(session, now).await {
            Ok(user) => user.is_some(),
            // Away: the next heartbeat asks again.
            Err(_) => true,
        }
    }

    async fn usage_for(&self, row: &EventRow) -> Option<Usage> {
        if row.kind != Event::QUOTA_CHANGED {
            return None;
        }
        let used = row.data["storage_used"].as_i64()?;
        let user = self.services.db.find_user(self.user).await.ok()??;
        Some(usage_of(&self.services.config.quota, used, 0, &user.tier))
    }
}
