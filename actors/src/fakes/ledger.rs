//! A quota ledger in memory.

use super::Controls;
use crate::{
    domain::{
        ids::{ReservationId, UserId},
        quota::Usage,
    },
    ports::{PortError, PortFuture, QuotaAnswer, QuotaAsk, QuotaLedger},
    runtime::lock,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

struct Account {
    used: u64,
    limit: u64,
    reservations: HashMap<ReservationId, u64>,
}

impl Account {
    fn usage(&self) -> Usage {
        Usage {
            used: self.used,
            reserved: self.reservations.values().sum(),
            limit: self.limit,
            tier: "free".to_owned(),
        }
    }
}

#[derive(Default)]
struct Inner {
    controls: Controls,
    accounts: Mutex<HashMap<UserId, Account>>,
}

/// Clones share one ledger.
#[derive(Clone, Default)]
pub struct MemoryLedger(Arc<Inner>);

impl MemoryLedger {
    /// Operations: `reserve`, `release`, `usage`.
    pub fn controls(&self) -> &Controls {
        &self.0.controls
    }

    /// Adds a user who may store `limit` bytes.
    pub fn add_user(&self, user: UserId, limit: u64) {
        let account = Account { used: 0, limit, reservations: HashMap::new() };
        lock(&self.0.accounts).insert(user, account);
    }

    /// What the writing transaction does: the reservation's bytes are used now.
    pub fn commit(&self, user: UserId, id: ReservationId) {
        if let Some(account) = lock(&self.0.accounts).get_mut(&user) {
            account.used += account.reservations.remove(&id).unwrap_or(0);
        }
    }

    /// The user's usage, past all switches. `None` for an unknown user.
    pub fn peek(&self, user: UserId) -> Option<Usage> {
        lock(&self.0.accounts).get(&user).map(Account::usage)
    }
}

impl QuotaLedger for MemoryLedger {
    fn reserve(&self, user: UserId, asks: Vec<QuotaAsk>) -> PortFuture<Vec<QuotaAnswer>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.controls.pass("reserve").await?;
            let mut accounts = lock(&inner.accounts);
            let Some(account) = accounts.get_mut(&user) else {
                return Ok(vec![QuotaAnswer::UnknownUser; asks.len()]);
            };
            let mut admit = |ask: QuotaAsk| {
                let usage = account.usage();
                if !usage.fits(ask.bytes) {
                    return QuotaAnswer::Refused(usage);
                }
                *account.reservations.entry(ask.id).or_default() += ask.bytes;
                QuotaAnswer::Granted
            };
            Ok(asks.into_iter().map(&mut admit).collect())
        })
    }

    fn release(&self, user: UserId, ids: Vec<ReservationId>) -> PortFuture<()> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.controls.pass("release").await?;
            if let Some(account) = lock(&inner.accounts).get_mut(&user) {
                account.reservations.retain(|id, _| !ids.contains(id));
            }
            Ok(())
        })
    }

    fn usage(&self, user: UserId) -> PortFuture<Option<Usage>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.controls.pass("usage").await?;
            let usage = lock(&inner.accounts).get(&user).map(Account::usage);
            Ok::<_, PortError>(usage)
        })
    }
}
