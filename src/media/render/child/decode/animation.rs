//! Animations: the first frame, and all of them where they are few.

use super::{
    super::super::RenderError,
    super::{
        check_size,
        encode::{Frame, Picture},
        scale::{Layout, Raster, fit},
    },
    Source, Wanted, buffered, explained, general,
};
use image::{AnimationDecoder, Frames, ImageDecoder, codecs::gif::GifDecoder, metadata::Orientation};
use std::fs::File;

pub(super) fn decode_gif(file: File, wanted: &Wanted) -> Result<Source, RenderError> {
    let mut decoder = GifDecoder::new(buffered(file)).map_err(explained)?;
    let size = decoder.dimensions();
    check_size(size.0, size.1, &wanted.bounds)?;
    decoder.set_limits(general::limits(&wanted.bounds)).map_err(explained)?;
    read(decoder.into_frames(), size, None, Orientation::NoTransforms, wanted)
}

pub(super) fn read(
    mut frames: Frames<'_>,
    size: (u32, u32),
    profile: Option<Vec<u8>>,
    orientation: Orientation,
    wanted: &Wanted,
) -> Result<Source, RenderError> {
    let (first, millis) = next(&mut frames).ok_or_else(|| RenderError::broken("it has no frames"))??;
    let mut source = Source::still(first, size);
    (source.profile, source.orientation) = (profile, orientation);
    if let Some(longest) = wanted.animation {
        source.frames = keep_all(frames, &source, millis, longest, wanted);
    }
    Ok(source)
}

/// All frames, no larger than wanted; none unless there are several, few enough, and each of them is sound.
fn keep_all(
    mut frames: Frames<'_>,
    source: &Source,
    millis: u32,
    longest: u32,
    wanted: &Wanted,
) -> Option<Vec<Frame>> {
    let mut kept = vec![Frame { picture: source.picture(longest).ok()?, millis }];
    let pixels = u64::from(source.size.0) * u64::from(source.size.1);
    let mut decoded = pixels;
    while let Some(frame) = next(&mut frames) {
        let (raster, millis) = frame.ok()?;
        decoded += pixels;
        if kept.len() >= usize::try_from(wanted.bounds.max_frames).ok()? || decoded > wanted.bounds.max_pixels
        {
            return None;
        }
        let resized = raster.resized(fit(source.size, longest)).ok()?;
        let picture = Picture::finish(resized, source.profile.as_deref(), source.orientation).ok()?;
        kept.push(Frame { picture, millis });
    }
    (kept.len() > 1).then_some(kept)
}

fn next(frames: &mut Frames<'_>) -> Option<Result<(Raster, u32), RenderError>> {
    let frame = match frames.next()? {
        Ok(frame) => frame,
        Err(error) => return Some(Err(explained(error))),
    };
    let (numerator, denominator) = frame.delay().numer_denom_ms();
    let buffer = frame.into_buffer();
    let (width, height) = buffer.dimensions();
    let millis = numerator.checked_div(denominator).unwrap_or_default();
    Some(Ok((Raster::new(Layout::Rgba, width, height, buffer.into_raw()), millis)))
}
