//! Where buffered views and downloads end up.

use super::error::port_error;
use crate::db::{Db, DbError, Tx};
use cdn_actors::{
    domain::ids::FileId,
    ports::{AccessEvent, AccessJournal, PortFuture},
};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// The database as the accounts actors see it.
pub struct DbJournal {
    pub db: Db,
}

impl AccessJournal for DbJournal {
    fn append(&self, events: Vec<AccessEvent>) -> PortFuture<()> {
        let db = self.db.clone();
        Box::pin(async move {
            let mut last: HashMap<FileId, DateTime<Utc>> = HashMap::new();
            for event in &events {
                let at = last.entry(event.file).or_insert(event.at);
                *at = event.at.max(*at);
            }
            // In one order everywhere, so that two processes can't lock each other out.
            let mut last: Vec<_> = last.into_iter().collect();
            last.sort_unstable();
            let work = async move |tx: &mut Tx| {
                for (file, at) in &last {
                    tx.touch_file(*file, *at).await?;
                }
                Ok::<_, DbError>(())
            };
            db.write(work).await.map_err(port_error)
        })
    }
}
