//! Ids that mean a file to one reader only.
//!
//! Whoever knows a file's id can read its bytes at `/f/{id}/…`. Those who may see a file but not have its bytes
//! are shown another id for it: the real one, encrypted for them. It looks like any other id, is the same every
//! time, and needs no table.

use aes::{
    Aes256, Block,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use uuid::{Uuid, Variant};

/// The key of one reader.
#[derive(Clone)]
pub struct SealKey(Aes256);

impl SealKey {
    pub fn new(key: [u8; 32]) -> Self {
        Self(Aes256::new(&key.into()))
    }

    /// The id that this reader is shown.
    pub fn seal(&self, id: Uuid) -> Uuid {
        walk(id, |block| self.0.encrypt_block(block))
    }

    /// The id behind the one that this reader was shown; something that is nobody's for any other.
    pub fn open(&self, sealed: Uuid) -> Uuid {
        walk(sealed, |block| self.0.decrypt_block(block))
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

/// Applies the cipher until the block is a version 7 id again (cycle walking: Black and Rogaway, "Ciphers with
/// arbitrary finite domains", 2002, section 3). It ends, because it began with one: about 64 steps.
fn walk(id: Uuid, step: impl Fn(&mut Block)) -> Uuid {
    if !is_version_7(&id) {
        return id;
    }
    let mut block = Block::from(id.into_bytes());
    loop {
        step(&mut block);
        let walked = Uuid::from_bytes(block.into());
        if is_version_7(&walked) {
            return walked;
        }
    }
}

fn is_version_7(id: &Uuid) -> bool {
    id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122
}

#[cfg(test)]
mod tests {
    use super::{SealKey, is_version_7};
    use uuid::Uuid;

    #[test]
    fn a_sealed_id_leads_back_for_its_reader_only() {
        let (one, other) = (SealKey::new([1; 32]), SealKey::new([2; 32]));
        for _ in 0..100 {
            let id = Uuid::now_v7();
            let sealed = one.seal(id);
            assert!(is_version_7(&sealed));
            assert_ne!(sealed, id);
            assert_eq!(sealed, one.seal(id));
            assert_eq!(one.open(sealed), id);
            assert_ne!(other.open(sealed), id);
        }
    }

    #[test]
    fn what_is_no_id_of_ours_stays_as_it_is() {
        let id = Uuid::new_v4();
        assert_eq!(SealKey::new([1; 32]).open(id), id);
    }
}
