//! The formats that are decoded as a whole, by the `image` crate.

use super::{
    super::super::{RenderError, sniff::Kind, wire::Bounds},
    super::{
        check_size,
        scale::{Layout, Raster},
    },
    Source, Wanted, buffered, explained,
};
use image::{
    DynamicImage, ImageDecoder, Limits,
    codecs::{bmp::BmpDecoder, ico::IcoDecoder, qoi::QoiDecoder, tiff::TiffDecoder},
    metadata::Orientation,
};
use std::fs::File;

/// The most that one pixel takes while it is decoded: four channels of 16 bits.
const PIXEL: u64 = 8;
const BESIDE_PIXELS: u64 = 64 << 20;

pub(super) fn limits(bounds: &Bounds) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bounds.max_pixels.saturating_mul(PIXEL).saturating_add(BESIDE_PIXELS));
    limits
}

pub(super) fn decode(kind: Kind, file: File, wanted: &Wanted) -> Result<Source, RenderError> {
    let reader = buffered(file);
    match kind {
        Kind::Bmp => read(BmpDecoder::new(reader).map_err(explained)?, wanted),
        Kind::Tiff => read(TiffDecoder::new(reader).map_err(explained)?, wanted),
        Kind::Ico => read(IcoDecoder::new(reader).map_err(explained)?, wanted),
        Kind::Qoi => read(QoiDecoder::new(reader).map_err(explained)?, wanted),
        _ => Err(RenderError::Unsupported),
    }
}

pub(super) fn read(mut decoder: impl ImageDecoder, wanted: &Wanted) -> Result<Source, RenderError> {
    let size = decoder.dimensions();
    check_size(size.0, size.1, &wanted.bounds)?;
    decoder.set_limits(limits(&wanted.bounds)).map_err(explained)?;
    let profile = decoder.icc_profile().ok().flatten();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(explained)?;
    let mut source = Source::still(raster_of(image), size);
    (source.profile, source.orientation) = (profile, orientation);
    Ok(source)
}

fn raster_of(image: DynamicImage) -> Raster {
    let (width, height) = (image.width(), image.height());
    let color = image.color();
    let (layout, data) = match (color.has_color(), color.has_alpha()) {
        (false, false) => (Layout::Gray, image.into_luma8().into_raw()),
        (false, true) => (Layout::GrayAlpha, image.into_luma_alpha8().into_raw()),
        (true, false) => (Layout::Rgb, image.into_rgb8().into_raw()),
        (true, true) => (Layout::Rgba, image.into_rgba8().into_raw()),
    };
    Raster::new(layout, width, height, data)
}
