//! From a file of one format to pixels, no more of them than are needed.

mod animation;
mod general;
mod jpeg;
mod png;
mod svg;
mod webp;

use super::{
    super::{RenderError, sniff::Kind, wire::Bounds},
    encode::{Frame, Picture},
    fonts::Fonts,
    scale::{Raster, fit},
};
use image::{ImageError, metadata::Orientation};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

const BUFFER: usize = 64 * 1024;

/// What of the source is needed.
pub(super) struct Wanted {
    /// Of the largest output.
    pub(super) longest: u32,
    /// Of the largest output that keeps an animation.
    pub(super) animation: Option<u32>,
    pub(super) bounds: Bounds,
}

pub(super) struct Source {
    /// As decoded, which may be smaller than the file's picture.
    raster: Raster,
    /// The file's own size.
    size: (u32, u32),
    profile: Option<Vec<u8>>,
    orientation: Orientation,
    /// Of an animation that is short and wanted.
    pub(super) frames: Option<Vec<Frame>>,
}

impl Source {
    fn still(raster: Raster, size: (u32, u32)) -> Self {
        Self { raster, size, profile: None, orientation: Orientation::NoTransforms, frames: None }
    }

    /// The size after the orientation.
    pub(super) fn shown_size(&self) -> (u32, u32) {
        let (width, height) = self.size;
        match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (height, width),
            Orientation::NoTransforms
            | Orientation::Rotate180
            | Orientation::FlipHorizontal
            | Orientation::FlipVertical => (width, height),
        }
    }

    pub(super) fn picture(&self, longest: u32) -> Result<Picture, RenderError> {
        let resized = self.raster.resized(fit(self.size, longest))?;
        Picture::finish(resized, self.profile.as_deref(), self.orientation)
    }
}

pub(super) fn decode(kind: Kind, file: File, wanted: &Wanted, fonts: &Fonts) -> Result<Source, RenderError> {
    match kind {
        Kind::Jpeg => jpeg::decode(file, wanted),
        Kind::Png => png::decode(file, wanted),
        Kind::WebP => webp::decode(file, wanted),
        Kind::Svg => svg::decode(file, wanted, fonts),
        Kind::Gif => animation::decode_gif(file, wanted),
        Kind::Bmp | Kind::Tiff | Kind::Ico | Kind::Qoi => general::decode(kind, file, wanted),
        // These come here as the picture that a tool has made of them.
        Kind::Avif | Kind::Pdf | Kind::Video => Err(RenderError::Unsupported),
    }
}

fn buffered<R: Read>(file: R) -> BufReader<R> {
    BufReader::with_capacity(BUFFER, file)
}

/// The whole file in memory, for decoders that want it so.
fn read_whole(file: File, limit: u64) -> Result<Vec<u8>, RenderError> {
    let mut file = file;
    let length = file.seek(SeekFrom::End(0)).map_err(RenderError::broken)?;
    if length > limit {
        return Err(RenderError::TooLarge(format!("it has {length} bytes, and {limit} are the limit")));
    }
    file.rewind().map_err(RenderError::broken)?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut bytes).map_err(RenderError::broken)?;
    Ok(bytes)
}

fn explained(error: ImageError) -> RenderError {
    match error {
        ImageError::Limits(_) => RenderError::TooLarge("its pixels take too much memory".to_owned()),
        ImageError::Unsupported(unsupported) => RenderError::broken(unsupported),
        other => RenderError::broken(other),
    }
}
