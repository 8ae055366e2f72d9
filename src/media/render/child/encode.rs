//! Finished pictures, and their bytes in the formats that go out. None of them carries metadata.

use super::{
    super::{OutputFormat, OutputSpec, RenderError, Rendition},
    color,
    scale::{Layout, Raster, fit},
};
use image::{
    DynamicImage, ImageEncoder, RgbImage, RgbaImage, codecs::jpeg::JpegEncoder, metadata::Orientation,
};
use webp::{AnimEncoder, AnimFrame, Encoder, WebPConfig};

const WEBP_QUALITY: f32 = 80.0;
/// Of libwebp's 0 to 6; each step up from here costs more time than it saves bytes.
const WEBP_EFFORT: i32 = 4;
const JPEG_QUALITY: u8 = 84;
/// An animation that takes more than this is shown by its first frame.
const LARGEST_ANIMATION: usize = 4 << 20;
/// What browsers make of shorter delays.
const SHORTEST_DELAY: u32 = 20;

/// The right way up, in sRGB.
#[derive(Debug)]
pub(super) struct Picture {
    raster: Raster,
}

/// One of an animation.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) picture: Picture,
    pub(super) millis: u32,
}

impl Picture {
    /// From pixels that are already as large as they have to be.
    pub(super) fn finish(
        raster: Raster,
        profile: Option<&[u8]>,
        orientation: Orientation,
    ) -> Result<Self, RenderError> {
        let (width, height) = (raster.width, raster.height);
        let (has_alpha, data) = color::to_srgb(raster, profile);
        let lost = || RenderError::broken("its pixels don't add up");
        if orientation == Orientation::NoTransforms {
            return Ok(Self::new(has_alpha, width, height, data));
        }
        let mut image: DynamicImage = if has_alpha {
            RgbaImage::from_raw(width, height, data).ok_or_else(lost)?.into()
        } else {
            RgbImage::from_raw(width, height, data).ok_or_else(lost)?.into()
        };
        image.apply_orientation(orientation);
        let (width, height) = (image.width(), image.height());
        Ok(Self::new(has_alpha, width, height, image.into_bytes()))
    }

    fn new(has_alpha: bool, width: u32, height: u32, mut data: Vec<u8>) -> Self {
        let layout = if has_alpha && !is_opaque(&data) {
            Layout::Rgba
        } else {
            if has_alpha {
                data = data.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
            }
            Layout::Rgb
        };
        Self { raster: Raster::new(layout, width, height, data) }
    }

    pub(super) fn longest(&self) -> u32 {
        self.raster.width.max(self.raster.height)
    }

    pub(super) fn scaled_to(&self, longest: u32) -> Result<Self, RenderError> {
        let size = fit((self.raster.width, self.raster.height), longest);
        self.raster.resized(size).map(|raster| Self { raster })
    }

    /// RGBA, whatever it is.
    fn to_rgba(&self) -> Vec<u8> {
        match self.raster.layout {
            Layout::Rgba => self.raster.data.clone(),
            _ => self.raster.data.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect(),
        }
    }

    /// RGB, on white paper.
    fn to_flat_rgb(&self) -> Vec<u8> {
        match self.raster.layout {
            Layout::Rgba => {
                let on_white = |value: u8, alpha: u8| {
                    let sum = u32::from(value) * u32::from(alpha) + 255 * u32::from(255 - alpha);
                    u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX)
                };
                let (pixels, _) = self.raster.data.as_chunks::<4>();
                pixels.iter().flat_map(|[r, g, b, a]| [r, g, b].map(|value| on_white(*value, *a))).collect()
            }
            _ => self.raster.data.clone(),
        }
    }
}

fn is_opaque(rgba: &[u8]) -> bool {
    rgba.as_chunks::<4>().0.iter().all(|[_, _, _, alpha]| *alpha == 255)
}

pub(super) fn still(picture: &Picture, format: OutputFormat) -> Result<Rendition, RenderError> {
    let (width, height) = (picture.raster.width, picture.raster.height);
    let bytes = match format {
        OutputFormat::WebP => {
            let data = &picture.raster.data;
            let encoder = match picture.raster.layout {
                Layout::Rgba => Encoder::from_rgba(data, width, height),
                _ => Encoder::from_rgb(data, width, height),
            };
            encoder.encode_advanced(&webp_config()?).map_err(|_| RenderError::OutOfMemory)?.to_vec()
        }
        OutputFormat::Jpeg => {
            let mut bytes = Vec::new();
            JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
                .write_image(&picture.to_flat_rgb(), width, height, image::ExtendedColorType::Rgb8)
                .map_err(RenderError::broken)?;
            bytes
        }
    };
    Ok(Rendition { width, height, format, is_animated: false, bytes })
}

/// The animation as WebP; none when it would be too large.
pub(super) fn animated(frames: &[Frame], output: &OutputSpec) -> Result<Option<Rendition>, RenderError> {
    if output.format != OutputFormat::WebP {
        return Ok(None);
    }
    let mut pictures = Vec::with_capacity(frames.len());
    for frame in frames {
        pictures.push(frame.picture.scaled_to(output.max_side)?);
    }
    let Some(first) = pictures.first() else { return Ok(None) };
    let (width, height) = (first.raster.width, first.raster.height);
    // The encoder takes it on trust that all frames have the same size.
    if pictures.iter().any(|picture| (picture.raster.width, picture.raster.height) != (width, height)) {
        return Ok(None);
    }
    let pixels: Vec<_> = pictures.iter().map(Picture::to_rgba).collect();
    let config = webp_config()?;
    let mut encoder = AnimEncoder::new(width, height, &config);
    let mut start = 0_i32;
    for (data, frame) in pixels.iter().zip(frames) {
        encoder.add_frame(AnimFrame::from_rgba(data, width, height, start));
        let millis = i32::try_from(frame.millis.max(SHORTEST_DELAY)).unwrap_or(i32::MAX);
        start = start.saturating_add(millis);
    }
    let bytes = encoder.try_encode().map_err(|_| RenderError::OutOfMemory)?.to_vec();
    if bytes.len() > LARGEST_ANIMATION {
        return Ok(None);
    }
    Ok(Some(Rendition { width, height, format: output.format, is_animated: true, bytes }))
}

fn webp_config() -> Result<WebPConfig, RenderError> {
    let mut config = WebPConfig::new().map_err(|()| RenderError::Unavailable)?;
    config.quality = WEBP_QUALITY;
    config.method = WEBP_EFFORT;
    Ok(config)
}
