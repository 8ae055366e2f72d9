//! The quota ledger behind the accounts actors: one transaction for a batch of one user's asks.

use super::{error::port_error, usage_of};
use crate::{
    config::QuotaConfig,
    db::{Db, DbError, Tx},
};
use cdn_actors::{
    domain::{
        clock::Clock,
        ids::{InstanceId, ReservationId, UserId},
        quota::Usage,
    },
    ports::{PortFuture, QuotaAnswer, QuotaAsk, QuotaLedger},
};
use std::sync::Arc;

/// The database as the accounts actors see it.
pub struct DbLedger {
    pub db: Db,
    pub quota: QuotaConfig,
    pub instance: InstanceId,
    pub clock: Arc<dyn Clock>,
}

impl QuotaLedger for DbLedger {
    fn reserve(&self, user: UserId, asks: Vec<QuotaAsk>) -> PortFuture<Vec<QuotaAnswer>> {
        let (db, quota, instance, now) =
            (self.db.clone(), self.quota.clone(), self.instance, self.clock.now());
        Box::pin(async move {
            let work = async move |tx: &mut Tx| {
                if let Err(DbError::RowNotFound) = tx.lock_account(user).await {
                    return Ok(asks.iter().map(|_| QuotaAnswer::UnknownUser).collect());
                }
                let Some(mut usage) = tx.usage(user, &quota).await? else {
                    return Ok(asks.iter().map(|_| QuotaAnswer::UnknownUser).collect());
                };
                let mut answers = Vec::with_capacity(asks.len());
                for ask in &asks {
                    if usage.fits(ask.bytes) {
                        tx.add_reservation(ask.id, user, ask.bytes, instance, now).await?;
                        usage.reserved += ask.bytes;
                        answers.push(QuotaAnswer::Granted);
                    } else {
                        answers.push(QuotaAnswer::Refused(usage.clone()));
                    }
                }
                Ok::<_, DbError>(answers)
            };
            db.write(work).await.map_err(port_error)
        })
    }

    fn release(&self, user: UserId, ids: Vec<ReservationId>) -> PortFuture<()> {
        let db = self.db.clone();
        Box::pin(async move {
            let work = async move |tx: &mut Tx| {
                tx.lock_account(user).await?;
                for id in &ids {
                    tx.end_reservation(user, *id).await?;
                }
                Ok::<_, DbError>(())
            };
            db.write(work).await.map_err(port_error)
        })
    }

    fn usage(&self, user: UserId) -> PortFuture<Option<Usage>> {
        let (db, quota) = (self.db.clone(), self.quota.clone());
        Box::pin(async move {
            let Some(row) = db.find_user(user).await.map_err(port_error)? else { return Ok(None) };
            let account = db.account(user).await.map_err(port_error)?;
            Ok(Some(usage_of(&quota, account.storage_used, account.storage_reserved, &row.tier)))
        })
    }
}
