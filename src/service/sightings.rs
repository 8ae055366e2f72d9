//! When sessions and API keys were last used, written at most once a minute for each: no request waits for it.

use super::Services;
use crate::db::{DbError, Tx};
use cdn_actors::domain::ids::SessionId;
use chrono::{DateTime, TimeDelta, Utc};
use dashmap::DashMap;
use uuid::Uuid;

/// How exact the times are.
const EVERY: TimeDelta = TimeDelta::seconds(60);
/// Sightings that are kept before the old ones are dropped.
const MAX_KEPT: usize = 10_000;

/// What was used.
#[derive(Debug, Clone, Copy)]
pub enum Seen {
    Session(SessionId),
    ApiKey(Uuid),
}

/// When each was last noted by this process.
#[derive(Default)]
pub struct Sightings(DashMap<Uuid, DateTime<Utc>>);

impl Sightings {
    /// Whether a sighting is news.
    pub fn note(&self, id: Uuid, now: DateTime<Utc>) -> bool {
        if self.0.len() > MAX_KEPT {
            self.0.retain(|_, noted| *noted + EVERY > now);
        }
        let mut noted = self.0.entry(id).or_insert(DateTime::UNIX_EPOCH);
        let is_news = *noted + EVERY <= now;
        if is_news {
            *noted = now;
        }
        is_news
    }
}

impl Services {
    /// Notes that a credential was used.
    pub(super) fn see(&self, seen: Seen, now: DateTime<Utc>) {
        let id = match seen {
            Seen::Session(session) => session.get(),
            Seen::ApiKey(key) => key,
        };
        if !self.sightings.note(id, now) {
            return;
        }
        let db = self.db.clone();
        actix_web::rt::spawn(async move {
            let work = async move |tx: &mut Tx| match seen {
                Seen::Session(session) => tx.touch_session(session, now).await,
                Seen::ApiKey(key) => tx.touch_api_key(key, now).await,
            };
            if let Err(error) = db.write::<_, _, DbError>(work).await {
                tracing::debug!(%error, "a last use was not written");
            }
        });
    }
}
