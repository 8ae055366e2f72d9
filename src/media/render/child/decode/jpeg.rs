//! JPEG: decoded at the smallest of its eighths that is still large enough.

use super::{
    super::super::RenderError,
    super::{
        check_size,
        scale::{Layout, Raster},
    },
    Source, Wanted, buffered, general,
};
use image::{codecs::jpeg::JpegDecoder, metadata::Orientation};
use jpeg_decoder::{Decoder, Error, PixelFormat};
use std::{
    fs::File,
    io::{Read, Seek},
};

/// Where the marker of Adobe's is looked for: other metadata may stand before it.
const HEADERS: u64 = 256 * 1024;
/// APP14 and its length, as Adobe writes it.
const ADOBE: &[u8] = b"\xff\xee\x00\x0eAdobe";

pub(super) fn decode(file: File, wanted: &Wanted) -> Result<Source, RenderError> {
    let mut file = &file;
    let mut decoder = Decoder::new(buffered(file));
    match decode_scaled(&mut decoder, wanted) {
        // Rare kinds, such as arithmetic coding or odd sampling: the other decoder may know them.
        Err(Refusal::Unsupported) => {
            drop(decoder);
            file.rewind().map_err(RenderError::broken)?;
            general::read(JpegDecoder::new(buffered(file)).map_err(super::explained)?, wanted)
        }
        Err(Refusal::Final(error)) => Err(error),
        Ok(mut source) => {
            if source.raster.layout == Layout::Cmyk && !is_by_adobe(file).map_err(RenderError::broken)? {
                // The decoder takes all of these for Adobe's, which stores no ink as 255.
                source.raster.data.iter_mut().for_each(|ink| *ink = 255 - *ink);
            }
            Ok(source)
        }
    }
}

enum Refusal {
    Unsupported,
    Final(RenderError),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Unsupported(_) => Self::Unsupported,
            other => Self::Final(RenderError::broken(other)),
        }
    }
}

fn decode_scaled<R: Read>(decoder: &mut Decoder<R>, wanted: &Wanted) -> Result<Source, Refusal> {
    decoder.read_info()?;
    let info = decoder.info().ok_or(Refusal::Unsupported)?;
    let size = (u32::from(info.width), u32::from(info.height));
    check_size(size.0, size.1, &wanted.bounds).map_err(Refusal::Final)?;
    let wish = |length: u32| {
        let (length, longest) = (u64::from(length), u64::from(wanted.longest) * 5 / 4);
        let side = u64::from(size.0.max(size.1));
        u16::try_from((length * longest.min(side)).div_ceil(side)).unwrap_or(u16::MAX)
    };
    let (width, height) = decoder.scale(wish(size.0), wish(size.1))?;
    let data = decoder.decode()?;
    let (layout, data) = match info.pixel_format {
        PixelFormat::L8 => (Layout::Gray, data),
        PixelFormat::L16 => {
            let (pixels, _) = data.as_chunks::<2>();
            (Layout::Gray, pixels.iter().map(|pixel| u16::from_ne_bytes(*pixel).to_be_bytes()[0]).collect())
        }
        PixelFormat::RGB24 => (Layout::Rgb, data),
        PixelFormat::CMYK32 => (Layout::Cmyk, data),
    };
    let mut raster = Raster::new(layout, width.into(), height.into(), data);
    raster.shown = (shown(size.0, width), shown(size.1, height));
    let mut source = Source::still(raster, size);
    source.orientation =
        decoder.exif_data().and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    source.profile = decoder.icc_profile();
    Ok(source)
}

/// How much of the scaled length the picture takes: the decoder rounds up to whole pixels.
fn shown(full: u32, scaled: u16) -> f64 {
    let eighths =
        [1_u32, 2, 4, 8].into_iter().find(|eighths| (full * eighths).div_ceil(8) == u32::from(scaled));
    eighths.map_or(f64::from(scaled), |eighths| f64::from(full * eighths) / 8.0)
}

fn is_by_adobe(mut file: &File) -> std::io::Result<bool> {
    file.rewind()?;
    let mut headers = Vec::new();
    file.take(HEADERS).read_to_end(&mut headers)?;
    Ok(headers.windows(ADOBE.len()).any(|window| window == ADOBE))
}
