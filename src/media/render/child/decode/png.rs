//! PNG: row by row, and averaged on the way where it is much too large.

use super::{
    super::super::RenderError,
    super::{
        check_size,
        scale::{Layout, Raster, Shrinker, shrink_factor},
    },
    Source, Wanted, buffered,
};
use image::metadata::Orientation;
use png::{ColorType, Decoder, DecodingError, Limits, Transformations};
use std::fs::File;

/// For rows and for what stands beside the pixels; texts are skipped.
const MEMORY: usize = 64 << 20;

pub(super) fn decode(file: File, wanted: &Wanted) -> Result<Source, RenderError> {
    let mut decoder = Decoder::new_with_limits(buffered(file), Limits { bytes: MEMORY });
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    let header = decoder.read_header_info().map_err(explained)?;
    let (size, is_interlaced) = ((header.width, header.height), header.interlaced);
    check_size(size.0, size.1, &wanted.bounds)?;
    let mut reader = decoder.read_info().map_err(explained)?;
    let layout = match reader.output_color_type().0 {
        ColorType::Grayscale => Layout::Gray,
        ColorType::GrayscaleAlpha => Layout::GrayAlpha,
        ColorType::Rgb => Layout::Rgb,
        ColorType::Rgba => Layout::Rgba,
        ColorType::Indexed => return Err(RenderError::broken("its palette can't be resolved")),
    };
    let raster = if is_interlaced {
        let length = reader.output_buffer_size().ok_or(RenderError::OutOfMemory)?;
        let mut data = vec![0; length];
        reader.next_frame(&mut data).map_err(explained)?;
        Raster::new(layout, size.0, size.1, data)
    } else {
        let mut shrinker = Shrinker::new(layout, size, shrink_factor(size, wanted.longest));
        let mut rows = 0;
        while let Some(row) = reader.next_row().map_err(explained)? {
            shrinker.push(row.data());
            rows += 1;
        }
        if rows != size.1 {
            return Err(RenderError::broken("rows of it are missing"));
        }
        shrinker.finish()
    };
    let info = reader.info();
    let mut source = Source::still(raster, size);
    source.profile = info.icc_profile.as_ref().map(|profile| profile.to_vec());
    source.orientation = info
        .exif_metadata
        .as_ref()
        .and_then(|exif| Orientation::from_exif_chunk(exif))
        .unwrap_or(Orientation::NoTransforms);
    Ok(source)
}

fn explained(error: DecodingError) -> RenderError {
    match error {
        DecodingError::LimitsExceeded => {
            RenderError::TooLarge("what stands beside its pixels takes too much memory".to_owned())
        }
        other => RenderError::broken(other),
    }
}
