//! The download gate behind the shares actor: one transaction for all who wait for one link.

use crate::{
    db::{Db, DbError, Tx, share_links::AccessLogSpec},
    service::error::port_error,
};
use cdn_actors::{
    domain::{clock::Clock, ids::TokenHash},
    ports::{Admission, DownloadGate, PortFuture, Visit},
};
use std::sync::Arc;

/// The database as the shares actor sees it.
pub struct DbGate {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
}

impl DownloadGate for DbGate {
    fn admit(&self, token: TokenHash, visits: Vec<Visit>) -> PortFuture<Admission> {
        let (db, now) = (self.db.clone(), self.clock.now());
        Box::pin(async move {
            let work = async move |tx: &mut Tx| {
                let Some(shared) = tx.lock_shared_thing(token.0.to_vec()).await? else {
                    return Ok(Admission::Closed);
                };
                let admitted = tx.admit_downloads(token.0.to_vec(), visits.len() as u64, now).await?;
                let Some((share, admitted)) = admitted else { return Ok(Admission::Closed) };
                let admitted = usize::try_from(admitted).unwrap_or(0);
                let logs: Vec<_> = visits.iter().take(admitted).map(log_of).collect();
                if !logs.is_empty() {
                    tx.add_access_logs(share, &logs).await?;
                    tx.record_event(shared.owner(), &shared.opened("download", logs.len()), now).await?;
                }
                Ok::<_, DbError>(Admission::Admitted(admitted))
            };
            db.write(work).await.map_err(port_error)
        })
    }
}

fn log_of(visit: &Visit) -> AccessLogSpec {
    AccessLogSpec {
        user: visit.user,
        access_type: "download",
        ip_address: visit.ip_address.clone(),
        user_agent: visit.user_agent.clone(),
        at: visit.at,
    }
}
