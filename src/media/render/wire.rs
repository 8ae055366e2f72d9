//! What the server and its render process say to each other.
//!
//! Over one Unix socket: a length of four bytes (little-endian) and so many bytes of JSON, each time. With an order
//! goes the source, as an open file; behind an answer come the bytes of its renditions, one after the other.
//! The server believes nothing here: every length is checked before anything is made room for.

use super::{OutputFormat, RenderError, RenderRequest};
use serde::{Deserialize, Serialize};

pub(super) const LENGTH: usize = 4;
/// Of the JSON part, in bytes.
pub(super) const LONGEST_MESSAGE: usize = 256 * 1024;
/// Of one rendition, in bytes.
pub(super) const LARGEST_RENDITION: usize = 64 * 1024 * 1024;

/// The first message of the process: which of its locks the kernel refused.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) not_applied: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) request: RenderRequest,
    pub(super) bounds: Bounds,
}

/// What one source may ask of the process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Bounds {
    pub(super) max_pixels: u64,
    pub(super) max_frames: u32,
    pub(super) max_source: u64,
    pub(super) cpu_seconds: u64,
}

pub(super) type Answer = Result<Done, RenderError>;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) source_width: u32,
    pub(super) source_height: u32,
    pub(super) renditions: Vec<Announced>,
}

/// A rendition without its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: OutputFormat,
    pub(super) is_animated: bool,
    pub(super) length: usize,
}

/// A message with its length in front.
pub(super) fn framed(message: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).map_err(std::io::Error::other)?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(json);
    Ok(bytes)
}

/// The length that stands before a message, if it is one that a message may have.
pub(super) fn message_length(bytes: [u8; LENGTH]) -> std::io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(bytes)).map_err(std::io::Error::other)?;
    if length > LONGEST_MESSAGE {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a message is too long"));
    }
    Ok(length)
}
