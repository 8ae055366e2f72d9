//! Colours of any layout and profile as sRGB.

use super::scale::{Layout, Raster};
use moxcms::{ColorProfile, DataColorSpace, Layout as CmsLayout, TransformOptions};

/// RGB or RGBA in sRGB. A profile that is damaged or of another kind than the pixels is taken for sRGB, as
/// browsers do.
pub(super) fn to_srgb(raster: Raster, profile: Option<&[u8]>) -> (bool, Vec<u8>) {
    let has_alpha = raster.layout.has_alpha();
    if let Some(converted) = profile.and_then(|profile| convert(&raster, profile)) {
        return (has_alpha, converted);
    }
    let data = match raster.layout {
        Layout::Rgb | Layout::Rgba => raster.data,
        Layout::Gray => raster.data.iter().flat_map(|gray| [*gray; 3]).collect(),
        Layout::GrayAlpha => {
            let (pixels, _) = raster.data.as_chunks::<2>();
            pixels.iter().flat_map(|[gray, alpha]| [*gray, *gray, *gray, *alpha]).collect()
        }
        Layout::Cmyk => {
            let (pixels, _) = raster.data.as_chunks::<4>();
            pixels.iter().flat_map(|[c, m, y, k]| [mix(*c, *k), mix(*m, *k), mix(*y, *k)]).collect()
        }
    };
    (has_alpha, data)
}

/// What is left of the paper's white under one ink and black.
fn mix(ink: u8, black: u8) -> u8 {
    let light = u32::from(255 - ink) * u32::from(255 - black);
    u8::try_from((light + 127) / 255).unwrap_or(u8::MAX)
}

fn convert(raster: &Raster, profile: &[u8]) -> Option<Vec<u8>> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    let (source, target, space) = match raster.layout {
        Layout::Gray => (CmsLayout::Gray, CmsLayout::Rgb, DataColorSpace::Gray),
        Layout::GrayAlpha => (CmsLayout::GrayAlpha, CmsLayout::Rgba, DataColorSpace::Gray),
        Layout::Rgb => (CmsLayout::Rgb, CmsLayout::Rgb, DataColorSpace::Rgb),
        Layout::Rgba => (CmsLayout::Rgba, CmsLayout::Rgba, DataColorSpace::Rgb),
        Layout::Cmyk => (CmsLayout::Rgba, CmsLayout::Rgb, DataColorSpace::Cmyk),
    };
    if profile.color_space != space {
        return None;
    }
    let to = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(source, &to, target, TransformOptions::default()).ok()?;
    let pixels = raster.data.len() / raster.layout.channels();
    let mut converted = vec![0; pixels * if raster.layout.has_alpha() { 4 } else { 3 }];
    transform.transform(&raster.data, &mut converted).ok()?;
    Some(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_and_black_take_light_away() {
        let raster = Raster::new(Layout::Cmyk, 2, 1, vec![0, 255, 255, 0, 0, 0, 0, 255]);
        assert_eq!(to_srgb(raster, None), (false, vec![255, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn a_profile_that_is_none_changes_nothing() {
        let raster = Raster::new(Layout::Rgb, 1, 1, vec![1, 2, 3]);
        assert_eq!(to_srgb(raster, Some(b"no profile")), (false, vec![1, 2, 3]));
    }
}
