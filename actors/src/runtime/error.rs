//! The one error of a call to an actor: transport and domain together.

/// Why a call has no answer. All but `Domain` may go away by themselves: 503 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The actor answered, with its own error.
    #[error("{0}")]
    Domain(E),
    /// As many calls wait as are allowed to; this one was not queued.
    #[error("too many calls are waiting")]
    Busy,
    /// No answer in time. The actor may still do, or have done, what was asked.
    #[error("no answer within the deadline")]
    Deadline,
    /// The actor died with this call in its hands or queue, or has not been started again yet.
    #[error("the actor was restarted")]
    Restarted,
    /// The actor is shutting down, or has.
    #[error("the actor is stopped")]
    Stopped,
}

impl<E> CallError<E> {
    /// The same error with another domain error in it.
    pub fn map<F>(self, into: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::Domain(error) => CallError::Domain(into(error)),
            Self::Busy => CallError::Busy,
            Self::Deadline => CallError::Deadline,
            Self::Restarted => CallError::Restarted,
            Self::Stopped => CallError::Stopped,
        }
    }
}
