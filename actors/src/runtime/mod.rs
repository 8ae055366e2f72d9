//! How this server runs actors: the only code that touches `actix::Addr`.
//!
//! An actor is reached through a [`Handle`]. The handle bounds how many calls wait, gives each a
//! deadline, and turns what can go wrong into one [`CallError`]. Behind it a guardian keeps the
//! actor's factory and starts a new one when it died. A [`Ticker`] is where periodic work comes from.
//!
//! Three facts of actix 0.13.5 shape all of this:
//!
//! * A panic in a handler, or in a future spawned on the actor's context, ends the actor and closes
//!   its mailbox. `actix::Supervisor` does not help: it loops only after `ctx.stop()`.
//! * The mailbox's capacity does not bound `Addr::send`: each clone of an address has a slot of its own.
//! * Dropping the future of `Addr::send` cancels a message that is still queued; `do_send` is never
//!   cancelled.

mod deferred;
mod error;
mod guardian;
mod handle;
mod ticker;

pub use deferred::{Answer, Deferred, deferred};
pub use error::CallError;
pub use guardian::{Revive, restart_delay};
pub use handle::{ActorConfig, ActorSnapshot, Handle, Permit};
pub use ticker::{Tick, Ticker, TickerHand};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic elsewhere: what these locks guard is whole at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
