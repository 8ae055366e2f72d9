//! Pixels of one layout, and fewer of them.

use super::super::RenderError;
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

/// Eight bits a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// 255 is full ink.
    Cmyk,
}

impl Layout {
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }

    pub(super) fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha | Self::Rgba)
    }

    fn pixel_type(self) -> PixelType {
        match self {
            Self::Gray => PixelType::U8,
            Self::GrayAlpha => PixelType::U8x2,
            Self::Rgb => PixelType::U8x3,
            Self::Rgba | Self::Cmyk => PixelType::U8x4,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Raster {
    pub(super) layout: Layout,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) data: Vec<u8>,
    /// How much of it, from the left and from the top, is the picture: the last column and row of a shrunk one may
    /// stand for fewer pixels than the others.
    pub(super) shown: (f64, f64),
}

impl Raster {
    pub(super) fn new(layout: Layout, width: u32, height: u32, data: Vec<u8>) -> Self {
        Self { layout, width, height, data, shown: (f64::from(width), f64::from(height)) }
    }

    pub(super) fn resized(&self, (width, height): (u32, u32)) -> Result<Self, RenderError> {
        if (width, height) == (self.width, self.height) {
            return Ok(Self::new(self.layout, width, height, self.data.clone()));
        }
        let pixel_type = self.layout.pixel_type();
        let source =
            ImageRef::new(self.width, self.height, &self.data, pixel_type).map_err(RenderError::broken)?;
        let mut target = Image::new(width, height, pixel_type);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
            .crop(0.0, 0.0, self.shown.0, self.shown.1)
            .use_alpha(self.layout.has_alpha());
        Resizer::new().resize(&source, &mut target, &options).map_err(RenderError::broken)?;
        Ok(Self::new(self.layout, width, height, target.into_vec()))
    }
}

/// The size within `longest` pixels on each side, in proportion; never a larger one.
pub(super) fn fit((width, height): (u32, u32), longest: u32) -> (u32, u32) {
    let side = width.max(height);
    if side <= longest {
        return (width, height);
    }
    let scaled = |length: u32| {
        let (length, side, longest) = (u64::from(length), u64::from(side), u64::from(longest));
        u32::try_from((length * longest + side / 2) / side).unwrap_or(u32::MAX).max(1)
    };
    (scaled(width), scaled(height))
}

/// How often each side can be halved, thirded, … by plain averages and still be a quarter longer than needed: the
/// filter that does the rest then has enough to work with.
pub(super) fn shrink_factor((width, height): (u32, u32), longest: u32) -> u32 {
    let needed = u64::from(longest) * 5 / 4;
    let factor = u64::from(width.max(height)) / needed.max(1);
    u32::try_from(factor).unwrap_or(MOST_SHRUNK).clamp(1, MOST_SHRUNK)
}

/// Sums of so many squared pixels still fit into 32 bits.
const MOST_SHRUNK: u32 = 64;

/// Averages squares of pixels while the rows come in, so that a large picture is never in memory as a whole.
pub(super) struct Shrinker {
    layout: Layout,
    size: (u32, u32),
    factor: u32,
    sums: Vec<u32>,
    rows: u32,
    data: Vec<u8>,
}

impl Shrinker {
    pub(super) fn new(layout: Layout, size: (u32, u32), factor: u32) -> Self {
        let row = usize::try_from(size.0).unwrap_or_default() * layout.channels();
        let sums = if factor > 1 { vec![0; row] } else { Vec::new() };
        Self { layout, size, factor, sums, rows: 0, data: Vec::new() }
    }

    pub(super) fn push(&mut self, row: &[u8]) {
        if self.factor == 1 {
            self.data.extend_from_slice(row);
            return;
        }
        match self.layout {
            Layout::GrayAlpha => add_weighted::<2>(&mut self.sums, row),
            Layout::Rgba => add_weighted::<4>(&mut self.sums, row),
            Layout::Gray | Layout::Rgb | Layout::Cmyk => {
                for (sum, value) in self.sums.iter_mut().zip(row) {
                    *sum += u32::from(*value);
                }
            }
        }
        self.rows += 1;
        if self.rows == self.factor {
            self.finish_row();
        }
    }

    fn finish_row(&mut self) {
        let (factor, rows) = (usize::try_from(self.factor).unwrap_or(1), self.rows);
        match self.layout {
            Layout::Gray => average::<1>(&self.sums, factor, rows, &mut self.data),
            Layout::Rgb => average::<3>(&self.sums, factor, rows, &mut self.data),
            Layout::Cmyk => average::<4>(&self.sums, factor, rows, &mut self.data),
            Layout::GrayAlpha => average_weighted::<2>(&self.sums, factor, rows, &mut self.data),
            Layout::Rgba => average_weighted::<4>(&self.sums, factor, rows, &mut self.data),
        }
        self.sums.fill(0);
        self.rows = 0;
    }

    pub(super) fn finish(mut self) -> Raster {
        if self.rows > 0 {
            self.finish_row();
        }
        let (width, height) = self.size;
        let factor = f64::from(self.factor);
        Raster {
            layout: self.layout,
            width: width.div_ceil(self.factor),
            height: height.div_ceil(self.factor),
            data: self.data,
            shown: (f64::from(width) / factor, f64::from(height) / factor),
        }
    }
}

/// Colours count as much as they are opaque.
fn add_weighted<const N: usize>(sums: &mut [u32], row: &[u8]) {
    let (sums, _) = sums.as_chunks_mut::<N>();
    let (pixels, _) = row.as_chunks::<N>();
    for (sum, pixel) in sums.iter_mut().zip(pixels) {
        let alpha = u32::from(pixel[N - 1]);
        for (sum, value) in sum.iter_mut().zip(&pixel[..N - 1]) {
            *sum += u32::from(*value) * alpha;
        }
        sum[N - 1] += alpha;
    }
}

fn square_sums<const N: usize>(sums: &[u32], factor: usize) -> impl Iterator<Item = ([u32; N], u32)> {
    let (pixels, _) = sums.as_chunks::<N>();
    pixels.chunks(factor).map(|square| {
        let mut total = [0; N];
        for pixel in square {
            for (total, sum) in total.iter_mut().zip(pixel) {
                *total += *sum;
            }
        }
        (total, u32::try_from(square.len()).unwrap_or(1))
    })
}

fn average<const N: usize>(sums: &[u32], factor: usize, rows: u32, data: &mut Vec<u8>) {
    // Division by a number that is the same for nearly all squares: by its inverse, which is exact in this range.
    let inverse = |count: u32| (1_u64 << 40) / u64::from(count) + 1;
    let full = u32::try_from(factor).unwrap_or(1) * rows;
    let of_full = inverse(full);
    for (total, columns) in square_sums::<N>(sums, factor) {
        let count = columns * rows;
        let factor = if count == full { of_full } else { inverse(count) };
        data.extend(total.map(|sum| byte((u64::from(sum + count / 2) * factor) >> 40)));
    }
}

fn average_weighted<const N: usize>(sums: &[u32], factor: usize, rows: u32, data: &mut Vec<u8>) {
    for (total, columns) in square_sums::<N>(sums, factor) {
        let alpha = total[N - 1];
        for sum in &total[..N - 1] {
            data.push(byte(u64::from((sum + alpha / 2).checked_div(alpha).unwrap_or(0))));
        }
        let count = columns * rows;
        data.push(byte(u64::from((alpha + count / 2) / count)));
    }
}

fn byte(value: u64) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_in_proportion_and_are_never_enlarged() {
        assert_eq!(fit((4000, 3000), 320), (320, 240));
        assert_eq!(fit((3000, 4000), 320), (240, 320));
        assert_eq!(fit((100, 50), 320), (100, 50));
        assert_eq!(fit((10_000, 1), 320), (320, 1));
        assert_eq!(fit((1601, 1601), 1600), (1600, 1600));
    }

    #[test]
    fn shrinking_leaves_a_quarter_more_than_needed() {
        assert_eq!(shrink_factor((4000, 3000), 1600), 2);
        assert_eq!(shrink_factor((4000, 3000), 320), 10);
        assert_eq!(shrink_factor((3999, 3000), 1600), 1);
        assert_eq!(shrink_factor((10, 10), 320), 1);
        assert_eq!(shrink_factor((60_000, 1), 1), 64);
    }

    #[test]
    fn squares_are_averaged_and_the_last_ones_are_smaller() {
        let mut shrinker = Shrinker::new(Layout::Gray, (3, 3), 2);
        for row in [[0, 100, 7], [200, 101, 8], [10, 20, 30]] {
            shrinker.push(&row);
        }
        let raster = shrinker.finish();
        assert_eq!((raster.width, raster.height, raster.shown), (2, 2, (1.5, 1.5)));
        assert_eq!(raster.data, [100, 8, 15, 30]);
    }

    #[test]
    fn averages_are_exact_for_every_sum_of_a_square() {
        for (factor, side) in [(2_u32, 2_usize), (3, 3), (7, 7), (64, 64)] {
            for value in 0..=255_u8 {
                let mut shrinker = Shrinker::new(Layout::Gray, (factor, factor), factor);
                for _ in 0..factor {
                    shrinker.push(&vec![value; side]);
                }
                assert_eq!(shrinker.finish().data, [value], "{factor}");
            }
        }
    }

    #[test]
    fn invisible_colours_don_t_shine_through() {
        let mut shrinker = Shrinker::new(Layout::Rgba, (2, 2), 2);
        shrinker.push(&[255, 0, 0, 0, 0, 0, 255, 255]);
        shrinker.push(&[255, 0, 0, 0, 0, 0, 255, 255]);
        assert_eq!(shrinker.finish().data, [0, 0, 255, 128]);
    }
}
