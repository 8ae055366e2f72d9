//! What a flow can end with, by meaning. `http::error` gives each its status and words.

use super::files::FileDetails;
use crate::{
    blob::BlobError,
    db::{AsDbError, DbError},
};
use cdn_actors::{
    accounts::QuotaError,
    domain::{Invalid, quota::Usage},
    ports::PortError,
    runtime::CallError,
};
use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// Field → the sentences about it.
pub type FieldErrors = BTreeMap<String, Vec<String>>;

/// Why a flow ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Not there, or not for this caller: the two are one answer.
    #[error("not found")]
    NotFound,
    /// The same where the words are fixed, or say what this server doesn't offer.
    #[error("{0}")]
    Missing(Cow<'static, str>),
    /// It was there, and its time or its number of uses is over.
    #[error("{0}")]
    Gone(Cow<'static, str>),
    #[error("invalid input: {0:?}")]
    Invalid(FieldErrors),
    #[error("{0}")]
    BadRequest(Cow<'static, str>),
    #[error("{0}")]
    Unauthenticated(Cow<'static, str>),
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    #[error("{0}")]
    Conflict(Cow<'static, str>),
    /// The caller has a living file with the same pair of hashes.
    #[error("file already exists")]
    FileExists(Box<FileDetails>),
    #[error("storage quota exceeded")]
    QuotaExceeded(Usage),
    /// The same, told to somebody whom the owner's figures don't concern.
    #[error("storage quota of a share's owner exceeded")]
    NoRoom,
    /// Sizes in bytes; the size is unknown when the body was cut off at the limit.
    #[error("larger than {max_size} bytes")]
    TooLarge { file_size: Option<u64>, max_size: u64 },
    /// The client stopped sending.
    #[error("no progress in the request body")]
    Stalled,
    #[error("the request body ended early: {0}")]
    BodyBroken(String),
    /// A secret was guessed too often.
    #[error("too many attempts")]
    TooManyAttempts { retry_after: Duration },
    /// Every place is taken; the same call may work in a moment.
    #[error("too busy")]
    Busy,
    #[error("not available: {0}")]
    Unavailable(String),
    #[error("storage is full")]
    StorageFull,
    #[error(transparent)]
    Database(DbError),
    #[error("internal: {0}")]
    Internal(String),
}

impl ServiceError {
    /// One field, one sentence.
    pub fn field(field: &str, error: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors::from([(field.to_owned(), vec![error.into()])]))
    }

    pub fn invalid(field: &'static str) -> impl FnOnce(Invalid) -> Self {
        move |error| Self::field(field, error.0)
    }
}

impl From<DbError> for ServiceError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(reason) => Self::Unavailable(reason),
            DbError::Full => Self::StorageFull,
            error => Self::Database(error),
        }
    }
}

impl AsDbError for ServiceError {
    fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BlobError> for ServiceError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::Internal("a blob that a row names is not in the store".into()),
            BlobError::Full => Self::StorageFull,
            BlobError::Failed(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<CallError<QuotaError>> for ServiceError {
    fn from(error: CallError<QuotaError>) -> Self {
        match error {
            CallError::Domain(QuotaError::Exceeded(usage)) => Self::QuotaExceeded(usage),
            CallError::Domain(QuotaError::UnknownUser) => Self::NotFound,
            CallError::Domain(QuotaError::Full) => Self::StorageFull,
            CallError::Domain(QuotaError::Failed(reason)) => Self::Internal(reason),
            CallError::Domain(error) => Self::Unavailable(error.to_string()),
            CallError::Busy => Self::Busy,
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// What an actor hears of a failure behind its port.
pub fn port_error(error: impl Into<ServiceError>) -> PortError {
    match error.into() {
        ServiceError::Unavailable(reason) => PortError::Unavailable(reason),
        ServiceError::StorageFull => PortError::Full,
        // Lost against other transactions too often: the same call may win in a moment.
        ServiceError::Database(DbError::Conflict) => PortError::Unavailable("too many conflicts".into()),
        error => PortError::Failed(error.to_string()),
    }
}
