//! WebP: still ones by libwebp, which is the fastest; animated ones frame by frame.

use super::{
    super::super::RenderError,
    super::{
        check_size,
        scale::{Layout, Raster, Shrinker, shrink_factor},
    },
    Source, Wanted, animation, explained, read_whole,
};
use image::{AnimationDecoder, ImageDecoder, codecs::webp::WebPDecoder, metadata::Orientation};
use std::{fs::File, io::Cursor};
use webp::{BitstreamFeatures, Decoder, PixelLayout};

pub(super) fn decode(file: File, wanted: &Wanted) -> Result<Source, RenderError> {
    let bytes = read_whole(file, wanted.bounds.max_source)?;
    let features =
        BitstreamFeatures::new(&bytes).ok_or_else(|| RenderError::broken("its header can't be read"))?;
    check_size(features.width(), features.height(), &wanted.bounds)?;
    // Only the container is read by this one, for what stands beside the pixels.
    let mut container = WebPDecoder::new(Cursor::new(bytes.as_slice())).map_err(explained)?;
    let size = container.dimensions();
    check_size(size.0, size.1, &wanted.bounds)?;
    let profile = container.icc_profile().ok().flatten();
    let orientation = container.orientation().unwrap_or(Orientation::NoTransforms);
    if features.has_animation() {
        return animation::read(container.into_frames(), size, profile, orientation, wanted);
    }
    drop(container);
    let decoded =
        Decoder::new(&bytes).decode().ok_or_else(|| RenderError::broken("its pixels can't be decoded"))?;
    let size = (decoded.width(), decoded.height());
    let layout = match decoded.layout() {
        PixelLayout::Rgb => Layout::Rgb,
        PixelLayout::Rgba => Layout::Rgba,
    };
    let factor = shrink_factor(size, wanted.longest);
    let raster = if factor == 1 {
        Raster::new(layout, size.0, size.1, decoded.to_vec())
    } else {
        let mut shrinker = Shrinker::new(layout, size, factor);
        let row = usize::try_from(size.0).unwrap_or(usize::MAX).saturating_mul(layout.channels());
        decoded.chunks_exact(row).for_each(|row| shrinker.push(row));
        shrinker.finish()
    };
    let mut source = Source::still(raster, size);
    (source.profile, source.orientation) = (profile, orientation);
    Ok(source)
}
