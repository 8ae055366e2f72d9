//! Where buffered views and downloads end up: a file's day, its last access, and its user's activity.

use super::error::port_error;
use crate::db::{
    Db, DbError, Tx,
    activity::{Action, Origin},
    analytics::DayOfFile,
    trash::ResourceType,
};
use cdn_actors::{
    domain::ids::FileId,
    ports::{AccessEvent, AccessJournal, AccessKind, PortFuture},
};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The database as the accounts actors see it.
pub struct DbJournal {
    pub db: Db,
}

/// Sums of a batch, in one order everywhere, so that two processes can't lock each other out.
#[derive(Default)]
struct Sums {
    days: BTreeMap<(FileId, String), DayOfFile>,
    last: BTreeMap<FileId, DateTime<Utc>>,
}

impl AccessJournal for DbJournal {
    fn append(&self, events: Vec<AccessEvent>) -> PortFuture<()> {
        let db = self.db.clone();
        Box::pin(async move {
            let sums = sum_up(&events);
            let work = async move |tx: &mut Tx| {
                for ((file, date), day) in &sums.days {
                    tx.add_to_day(*file, date, day).await?;
                }
                for (file, at) in &sums.last {
                    tx.touch_file(*file, *at).await?;
                }
                for event in &events {
                    note_activity(tx, event).await?;
                }
                Ok::<_, DbError>(())
            };
            db.write(work).await.map_err(port_error)
        })
    }
}

fn sum_up(events: &[AccessEvent]) -> Sums {
    let mut sums = Sums::default();
    for event in events {
        let date = event.at.format("%Y-%m-%d").to_string();
        let day = sums.days.entry((event.file, date)).or_default();
        match event.kind {
            AccessKind::View => day.views += 1,
            AccessKind::Download => day.downloads += 1,
        }
        // Zero stands for an answer that sent no bytes itself.
        if event.response_ms > 0 {
            day.responses += 1;
            day.response_ms += i64::from(event.response_ms);
        }
        if !event.country_code.is_empty() {
            day.country_code.clone_from(&event.country_code);
        }
        if !event.referrer_domain.is_empty() {
            day.referrer_domain.clone_from(&event.referrer_domain);
        }
        let last = sums.last.entry(event.file).or_insert(event.at);
        *last = event.at.max(*last);
    }
    sums
}

/// One row for what a known user did; strangers' views are in the statistics only.
async fn note_activity(tx: &mut Tx, event: &AccessEvent) -> Result<(), DbError> {
    let Some(user) = event.accessor else { return Ok(()) };
    let Some(filename) = tx.filename_of(event.file).await? else { return Ok(()) };
    let origin = Origin { user, ip_address: event.ip_address.clone(), user_agent: event.user_agent.clone() };
    let action = match event.kind {
        AccessKind::View => Action::View,
        AccessKind::Download => Action::Download,
    };
    let resource = (ResourceType::File, event.file.get());
    tx.record_activity(&origin, action, resource, &filename, serde_json::json!({}), event.at).await?;
    Ok(())
}
