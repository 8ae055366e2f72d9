//! The two hashes that are kept of content, made piece by piece.

use cdn_actors::domain::hash::{Md5, Sha256};
use sha2::Digest;

/// What some content is, by its hashes.
#[derive(Debug, Clone)]
pub struct Hashes {
    pub sha256: Sha256,
    pub md5: Md5,
}

/// Hashes on their way.
#[derive(Default)]
pub struct Hashers {
    sha256: sha2::Sha256,
    md5: md5::Md5,
}

impl Hashers {
    /// Blocks: some 2 ms for each MiB.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.md5.update(bytes);
    }

    pub fn finish(self) -> Hashes {
        Hashes {
            sha256: Sha256::from_digest(&self.sha256.finalize()),
            md5: Md5::from_digest(&self.md5.finalize()),
        }
    }
}
