//! Typed identifiers, so that a file's id can't be passed where a folder's is meant.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user's id: the one id that is an integer on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

impl UserId {
    pub fn get(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh version 7 id (RFC 9562, 5.7): ids made later sort later.
            #[expect(clippy::new_without_default, reason = "every call gives another value")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            pub fn get(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    )*};
}

uuid_ids! {
    FolderId,
    FileId,
    VersionId,
    /// Stored bytes; several files and versions may refer to one blob.
    BlobId,
    SessionId,
    /// Bytes set aside for an upload that is still running.
    ReservationId,
    TrashId,
    ActivityId,
    ShareId,
    /// One running server process, as the database sees it.
    InstanceId,
}

/// SHA-256 of the token of a share's link: what the link is known by inside the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);
