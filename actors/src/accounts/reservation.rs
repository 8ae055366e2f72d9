//! Bytes set aside: a guard that gives them back unless the upload was committed.

use super::{QuotaError, registry::UserEntry, user::Reserve};
use crate::{
    domain::ids::{ReservationId, UserId},
    runtime::CallError,
};
use std::{sync::Arc, time::Duration};

/// Bytes of one user's quota, set aside for one upload.
///
/// Dropping it gives them back without waiting; when the ledger is away, later ticks repeat that.
/// The transaction that writes the file takes the reservation's row away by its id, and then
/// [`committed`](Self::committed) says that there is nothing to give back.
#[must_use = "dropped at once, it reserves nothing"]
pub struct Reservation {
    entry: Arc<UserEntry>,
    id: ReservationId,
    bytes: u64,
    call_timeout: Duration,
    /// Whether the ledger may have a row of this id.
    open: bool,
}

impl Reservation {
    pub(super) async fn make(
        entry: Arc<UserEntry>,
        bytes: u64,
        call_timeout: Duration,
    ) -> Result<Self, CallError<QuotaError>> {
        // The guard exists before the question is asked. Whatever happens to the question (the
        // caller goes away, the deadline passes, the actor dies after the ledger said yes), dropping
        // the guard gives back what may have been granted. Each try has an id of its own, so that
        // the second can't make larger what the first got.
        let mut guard = None;
        let asked = entry
            .handle()
            .ask_idempotent(
                |permit| {
                    let made = Self {
                        entry: Arc::clone(&entry),
                        id: ReservationId::new(),
                        bytes,
                        call_timeout,
                        open: true,
                    };
                    let message = Reserve { id: made.id, bytes, permit };
                    guard = Some(made);
                    message
                },
                call_timeout,
            )
            .await;
        match (asked, guard) {
            (Ok(()), Some(made)) => Ok(made),
            (Ok(()), None) => Err(CallError::Restarted),
            (Err(error), guard) => {
                let refused =
                    matches!(&error, CallError::Domain(QuotaError::Exceeded(_) | QuotaError::UnknownUser));
                if let Some(made) = guard.filter(|_| refused) {
                    made.committed();
                }
                Err(error)
            }
        }
    }

    pub fn id(&self) -> ReservationId {
        self.id
    }

    /// What is set aside, in bytes, all growth included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn user(&self) -> UserId {
        self.entry.user()
    }

    /// Sets `extra` bytes more aside under the same id.
    ///
    /// # Errors
    /// As for [`Accounts::reserve`](super::Accounts::reserve). What was set aside before stays so.
    pub async fn grow(&mut self, extra: u64) -> Result<(), CallError<QuotaError>> {
        // Not repeated after a death: the first try may have been granted, and would count twice.
        self.entry
            .handle()
            .ask(|permit| Reserve { id: self.id, bytes: extra, permit }, self.call_timeout)
            .await?;
        self.bytes = self.bytes.saturating_add(extra);
        Ok(())
    }

    /// The bytes are used now: the writing transaction has taken the reservation's row away.
    pub fn committed(mut self) {
        self.open = false;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.open {
            self.entry.give_back(self.id);
        }
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation")
            .field("id", &self.id)
            .field("user", &self.user())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
