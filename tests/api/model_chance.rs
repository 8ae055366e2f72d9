//! What the model's sequences are made of: chance by a seed, and a few contents that meet again and again.

use serde_json::{Value, json};

use crate::harness::{md5_hex, noise, sha256_hex};
use crate::model_tree::Content;

/// Different contents of each kind.
const CONTENTS: u8 = 8;

/// A linear congruential generator with Knuth's constants for MMIX; its high bits are good enough to choose by.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len())].clone()) }
    }

    /// The number of a content.
    pub fn content(&mut self) -> u8 {
        u8::try_from(self.below(usize::from(CONTENTS))).expect("small")
    }
}

/// Bytes for the store by their number; longer for each.
pub fn stored(number: u8) -> (Vec<u8>, Content) {
    let bytes = noise(1 + u64::from(number), 10 + usize::from(number) * 7);
    let content = Content { hash: sha256_hex(&bytes), size: bytes.len() as u64, is_stored: true };
    (bytes, content)
}

/// What a registration says of content that is elsewhere.
pub fn registered(number: u8) -> (Value, Content) {
    let name = format!("elsewhere {number}");
    let content =
        Content { hash: sha256_hex(name.as_bytes()), size: 1000 + u64::from(number), is_stored: false };
    let body = json!({
        "cdn_url": format!("https://files.example/{number}"),
        "file_size": content.size,
        "mime_type": "application/octet-stream",
        "md5_hash": md5_hex(name.as_bytes()),
        "sha256_hash": content.hash,
    });
    (body, content)
}
