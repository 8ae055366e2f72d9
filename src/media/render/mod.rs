//! From a file's bytes to its renditions: thumbnails and previews of images, films and documents.
//!
//! Nothing that a stranger has sent is decoded in the server. [`RenderWorker`] drives a process of its own (this
//! binary again, as `render-worker`), which locks itself in before it sees the first byte; films and PDFs go
//! through `ffmpeg` and `pdftoppm`, locked in likewise, and their picture then through that process.

pub mod child;
mod error;
mod sniff;
mod tools;
mod wire;
mod worker;

pub use self::error::RenderError;
pub use self::worker::{RenderLimits, RenderWorker};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputFormat {
    WebP,
    Jpeg,
}

impl OutputFormat {
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::WebP => "image/webp",
            Self::Jpeg => "image/jpeg",
        }
    }

    /// Without a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::WebP => "webp",
            Self::Jpeg => "jpg",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// The longer side in pixels, at most: 1 to 16,383, which is WebP's limit. A smaller source keeps its size.
    pub max_side: u32,
    pub format: OutputFormat,
    /// Whether a short animation stays one; only WebP can.
    pub keep_animation: bool,
}

/// What is asked for, and what is said about the source; the content decides over what is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderRequest {
    pub media_type: String,
    pub extension: String,
    pub outputs: Vec<OutputSpec>,
}

/// One picture, the right way up, in sRGB, without metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    pub width: u32,
    pub height: u32,
    pub format: OutputFormat,
    pub is_animated: bool,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// As shown: after the orientation that the file asks for.
    pub source_width: u32,
    pub source_height: u32,
    /// `jpeg`, `png`, … or `video`, `pdf`.
    pub source_format: String,
    pub millis: u64,
    /// In the order of the outputs.
    pub renditions: Vec<Rendition>,
}

/// Whether it is worth trying: images that have a decoder, films, PDF.
#[must_use]
pub fn is_renderable(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.starts_with("video/") {
        return true;
    }
    sniff::IMAGE_TYPES.contains(&essence.as_str()) || essence == "application/pdf"
}

#[cfg(test)]
mod tests {
    use super::is_renderable;

    #[test]
    fn images_films_and_pdfs_are_renderable() {
        for media_type in
            ["image/jpeg", "IMAGE/PNG", "image/svg+xml; charset=utf-8", "video/mp4", "application/pdf"]
        {
            assert!(is_renderable(media_type), "{media_type}");
        }
    }

    #[test]
    fn what_has_no_decoder_is_not() {
        for media_type in ["", "text/plain", "image/", "image/heic", "audio/mpeg", "application/zip"] {
            assert!(!is_renderable(media_type), "{media_type}");
        }
    }
}
