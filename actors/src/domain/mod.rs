//! Pure types and rules of the file host. No I/O, no actors, no HTTP.

pub mod clock;
pub mod email;
pub mod filename;
pub mod hash;
pub mod ids;
pub mod kind;
pub mod page;
pub mod password;
pub mod permission;
pub mod quota;
pub mod size;
pub mod timestamp;

/// A value that was refused at the edge, with the sentence a user reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
