//! Content of any size out of a number, so that none of it has to be kept to be checked.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;

pub type Digest = [u8; 32];

const CHUNK: u64 = 64 * 1024;

/// Bytes that no other content has, and that look random.
#[derive(Clone, Copy)]
pub struct Content {
    seed: u64,
    size: u64,
}

impl Content {
    pub fn new(size: u64) -> Self {
        Self { seed: rand::random(), size }
    }

    pub fn name(self) -> String {
        format!("{:016x}", self.seed)
    }

    pub fn size(self) -> u64 {
        self.size
    }

    /// As a request's body, made while it is sent.
    pub fn body(self) -> reqwest::Body {
        reqwest::Body::wrap_stream(stream::iter(self.chunks().map(Ok::<_, Infallible>)))
    }

    /// All of it, for small ones.
    pub fn bytes(self) -> Bytes {
        self.chunks()
            .fold(BytesMut::new(), |mut all, chunk| {
                all.extend_from_slice(&chunk);
                all
            })
            .freeze()
    }

    pub fn sha256(self) -> Digest {
        let mut digester = Digester::default();
        self.chunks().for_each(|chunk| digester.update(&chunk));
        digester.finish()
    }

    /// SplitMix64 (Steele, Lea, Flood 2014), eight bytes a step.
    fn chunks(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let (mut state, mut left) = (self.seed, self.size);
        std::iter::from_fn(move || {
            let len = usize::try_from(left.min(CHUNK)).ok().filter(|len| *len > 0)?;
            let mut chunk = BytesMut::with_capacity(len + 8);
            while chunk.len() < len {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                chunk.put_u64(mixed ^ (mixed >> 31));
            }
            chunk.truncate(len);
            left -= len as u64;
            Some(chunk.freeze())
        })
    }
}

#[derive(Default)]
pub struct Digester(Sha256);

impl Digester {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        self.0.finalize().into()
    }
}
