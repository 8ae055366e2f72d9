//! The janitor's hands: what it clears, in the database and the blob store.

use super::{ServiceError, Services, WeakServices, error::port_error, sessions::time_delta};
use crate::db::{DbError, Tx, audit::AuditKind};
use cdn_actors::ports::{Custodian, DueTrash, PortFuture, Purged};
use chrono::{DateTime, Utc};

/// Name of the lease row that makes one process the janitor.
const LEASE: &str = "janitor";

/// The services as the janitor sees them. Weak, because they own the janitor.
pub struct ServiceCustodian(pub WeakServices);

impl ServiceCustodian {
    fn with<T, F>(&self, work: impl FnOnce(Services) -> F + 'static) -> PortFuture<T>
    where
        T: Default + 'static,
        F: Future<Output = Result<T, ServiceError>> + 'static,
    {
        let services = self.0.upgrade();
        Box::pin(async move {
            match services {
                Some(services) => work(services).await.map_err(port_error),
                // The server is ending: nothing is left to do here.
                None => Ok(T::default()),
            }
        })
    }
}

impl Custodian for ServiceCustodian {
    fn heartbeat(&self, now: DateTime<Utc>) -> PortFuture<()> {
        self.with(move |services| async move {
            services.db.beat(services.instance, now).await?;
            if let Err(error) = services.write_refusals().await {
                tracing::warn!(%error, "refusals wait for the next heartbeat to be written to the audit");
            }
            Ok(())
        })
    }

    fn acquire_lease(&self, now: DateTime<Utc>) -> PortFuture<bool> {
        self.with(move |services| async move {
            let until = now + time_delta(services.config.janitor.dead_after.duration());
            Ok(services.db.take_lease(LEASE, services.instance, now, until).await?)
        })
    }

    fn release_lease(&self) -> PortFuture<()> {
        self.with(|services| async move { Ok(services.db.end_lease(LEASE, services.instance).await?) })
    }

    fn due(&self, as_of: DateTime<Utc>) -> PortFuture<DueTrash> {
        self.with(move |services| async move {
            let (due, total) = services.db.count_trash(as_of).await?;
            let (expired, expiring) = services.db.count_expiring_files(as_of).await?;
            let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
            Ok(DueTrash { due: unsigned(due + expired), total: unsigned(total + expiring) })
        })
    }

    fn purge_trash(&self, as_of: DateTime<Utc>, limit: u32) -> PortFuture<Purged> {
        self.with(move |services| async move {
            let (items, bytes) = services.purge_due_trash(as_of, limit).await?;
            let left = u64::from(limit).saturating_sub(items);
            let (files, more) = services.purge_expired_files(as_of, left).await?;
            Ok(Purged { items: items + files, bytes: bytes + more })
        })
    }

    fn collect_blobs(&self, _now: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.with(move |services| async move {
            // A purge that a user began and a crash cut off is no question of the clock.
            services.finish_purges(None).await?;
            services.remove_some_blobs(limit).await
        })
    }

    fn reclaim_dead(&self, now: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.with(move |services| async move {
            let alive_since = now - time_delta(services.config.janitor.dead_after.duration());
            // This process lives, whatever a jumping clock says of its last heartbeat.
            let own = services.instance;
            let work = async move |tx: &mut Tx| tx.end_dead_reservations(own, alive_since, limit).await;
            let reservations = services.db.write::<_, _, DbError>(work).await?;
            let uploads = services.db.discard_dead_uploads(own, alive_since, limit).await?;
            if reservations + uploads == 0 {
                services.db.delete_dead_instances(alive_since).await?;
            }
            Ok(reservations.max(uploads))
        })
    }

    fn clear_expired(&self, now: DateTime<Utc>, limit: u32) -> PortFuture<u64> {
        self.with(move |services| async move {
            let audit = services.config.audit.clone();
            let forgotten = now - time_delta(audit.retention.duration());
            let events_before = now - time_delta(services.config.events.retention.duration());
            let work = async move |tx: &mut Tx| {
                let sessions = tx.delete_expired_sessions(now, limit).await?;
                let guesses = tx.delete_expired_guesses(now, limit).await?;
                let sign_ins = tx.delete_expired_sign_ins(now, limit).await?;
                let keep = Some(audit.max_refusals);
                let refusals = tx.trim_audit(AuditKind::Refusal, forgotten, keep, limit).await?;
                let acts = tx.trim_audit(AuditKind::Act, forgotten, None, limit).await?;
                let events = tx.delete_old_events(events_before, limit).await?;
                // The janitor goes on while any has a full batch.
                Ok([sessions, guesses, sign_ins, refusals, acts, events].into_iter().max().unwrap_or(0))
            };
            Ok(services.db.write::<_, _, DbError>(work).await?)
        })
    }
}
