//! Downloads by the links of shares: those that many visitors of one link ask for while a call of the gate is
//! running go into the next call together.
//!
//! The database decides, in the statement that counts: nothing about a share is kept here, so nothing can be
//! out of date, whatever other processes do. What is hot is a link's waiting line, which ends when it is empty.

mod actor;

use crate::{
    domain::ids::TokenHash,
    ports::{DownloadGate, PortError, Visit},
    runtime::{ActorConfig, ActorSnapshot, CallError, Handle, Revive},
};
use actix::Arbiter;
use actor::{Admit, SharesActor};
use std::{sync::Arc, time::Duration};

/// Why a download was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    #[error("the download limit is reached")]
    LimitReached,
    /// The link is gone, has expired, or its downloads are off.
    #[error("the link is closed")]
    Closed,
    /// The gate is away for now. Nothing was counted that was not admitted, or nobody knows.
    #[error("the gate is unavailable: {0}")]
    Unavailable(String),
    #[error("the gate is full")]
    Full,
    /// The gate has a defect; trying again will not help.
    #[error("the gate failed: {0}")]
    Failed(String),
}

impl From<PortError> for AdmitError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Unavailable(reason) => Self::Unavailable(reason),
            PortError::Full => Self::Full,
            PortError::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// How the shares work. The default suits a server of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharesConfig {
    /// Downloads that may wait to be admitted, all links together; more are `Busy`.
    pub queue: usize,
    /// Deadline of a call, and the longest that one call of the gate may take.
    pub call_timeout: Duration,
}

impl Default for SharesConfig {
    fn default() -> Self {
        Self { queue: 4096, call_timeout: Duration::from_secs(5) }
    }
}

/// The handle to the shares. Clones are cheap and reach the same actor.
#[derive(Clone)]
pub struct Shares {
    handle: Handle<SharesActor>,
    call_timeout: Duration,
}

impl Shares {
    /// # Panics
    /// Outside an actix system.
    pub fn start(gate: Arc<dyn DownloadGate>, config: SharesConfig) -> Self {
        let actor = ActorConfig { name: "shares", queue: config.queue, revive: Revive::AtOnce };
        let call_timeout = config.call_timeout;
        let handle = Handle::start(actor, Arbiter::current(), move || {
            SharesActor::new(Arc::clone(&gate), call_timeout)
        });
        Self { handle, call_timeout }
    }

    /// Counts one download by the link, if it admits one. After any error but `Domain` it may have been counted
    /// all the same: then one download less is had than was allowed, never one more.
    ///
    /// # Errors
    /// `Domain` when the gate refused or could not be asked; the others as in [`CallError`].
    pub async fn admit_download(&self, token: TokenHash, visit: Visit) -> Result<(), CallError<AdmitError>> {
        self.handle.ask(|permit| Admit { token, visit, permit }, self.call_timeout).await
    }

    /// Refuses new calls, lets those in hand finish, and ends the actor. `false`: `grace` was over before that.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.handle.stop(grace).await
    }

    /// The actor now.
    pub fn snapshot(&self) -> ActorSnapshot {
        self.handle.snapshot()
    }
}
