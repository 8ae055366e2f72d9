//! Each format comes out as the right picture.

use crate::support::*;
use hackclub_cdn::media::render::OutputFormat;
use image::{
    Delay, DynamicImage, Frame, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba, RgbaImage,
    codecs::gif::GifEncoder,
};
use moxcms::ColorProfile;

async fn assert_renders(bytes: &[u8], format: &str) {
    let done = rendered(bytes, &[webp(100), jpeg(40)]).await;
    assert_eq!((done.source_width, done.source_height), (200, 120));
    assert_eq!(done.source_format, format);
    let sizes: Vec<_> = done.renditions.iter().map(|made| (made.width, made.height, made.format)).collect();
    assert_eq!(sizes, [(100, 60, OutputFormat::WebP), (40, 24, OutputFormat::Jpeg)]);
    assert!(done.renditions.iter().all(|made| !made.is_animated));
    assert_quarters(&picture(&done.renditions[0]));
    assert_quarters(&picture(&done.renditions[1]));
}

#[tokio::test]
async fn jpeg_png_webp_gif_bmp_tiff_and_qoi_are_rendered_in_several_sizes() {
    for (format, name) in [
        (ImageFormat::Jpeg, "jpeg"),
        (ImageFormat::Png, "png"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Gif, "gif"),
        (ImageFormat::Bmp, "bmp"),
        (ImageFormat::Tiff, "tiff"),
        (ImageFormat::Qoi, "qoi"),
    ] {
        assert_renders(&encoded(quarters(200, 120), format), name).await;
    }
    assert_renders(&encoded(DynamicImage::from(quarters(200, 120)).into_rgba8(), ImageFormat::Ico), "ico")
        .await;
}

#[tokio::test]
async fn lossy_webp_with_and_without_transparency_is_rendered() {
    let image = quarters(200, 120);
    assert_renders(&webp::Encoder::from_rgb(&image, 200, 120).encode(90.0), "webp").await;
    let mut clear = DynamicImage::from(image).into_rgba8();
    clear.enumerate_pixels_mut().filter(|(x, _, _)| *x < 100).for_each(|(_, _, pixel)| pixel.0[3] = 0);
    let bytes = webp::Encoder::from_rgba(&clear, 200, 120).encode(90.0).to_vec();
    let seen = seen(&bytes, webp(100)).await;
    assert_eq!((seen.get_pixel(25, 30).0[3], seen.get_pixel(75, 30).0[3]), (0, 255));
}

#[tokio::test]
async fn all_eight_orientations_come_out_upright() {
    // What each value means (Exif 2.32, 4.6.4): how to make the stored picture from the upright one.
    let upright = DynamicImage::from(quarters(160, 80));
    for orientation in 1..=8_u16 {
        let stored = match orientation {
            1 => upright.clone(),
            2 => upright.fliph(),
            3 => upright.rotate180(),
            4 => upright.flipv(),
            5 => upright.rotate270().flipv(),
            6 => upright.rotate270(),
            7 => upright.rotate90().flipv(),
            _ => upright.rotate90(),
        };
        let bytes = jpeg_with_exif(&stored.into_rgb8(), orientation);
        let done = rendered(&bytes, &[jpeg(100)]).await;
        assert_eq!((done.source_width, done.source_height), (160, 80), "{orientation}");
        let seen = picture(&done.renditions[0]);
        assert_eq!(seen.dimensions(), (100, 50), "{orientation}");
        for (seen, expected) in corners(&seen).into_iter().zip([RED, GREEN, BLUE, YELLOW]) {
            assert!(is_close(seen, expected, 16), "{orientation}: {seen:?} is not {expected:?}");
        }
    }
}

#[tokio::test]
async fn place_and_camera_are_not_carried_over() {
    let bytes = jpeg_with_exif(&quarters(200, 120), 1);
    assert!(bytes.windows(4).any(|window| window == b"CAM\0"), "the source has them");
    for made in rendered(&bytes, &[webp(100), jpeg(100), webp(1600)]).await.renditions {
        for trace in [b"Exif".as_slice(), b"EXIF", b"CAM\0", b"ICCP", b"http://ns.adobe.com"] {
            assert!(!made.bytes.windows(trace.len()).any(|window| window == trace), "{:?}", made.format);
        }
    }
}

#[tokio::test]
async fn a_small_picture_is_not_enlarged() {
    let done = rendered(&encoded(quarters(20, 12), ImageFormat::Png), &[webp(320), webp(1600)]).await;
    let sizes: Vec<_> = done.renditions.iter().map(|made| (made.width, made.height)).collect();
    assert_eq!(sizes, [(20, 12), (20, 12)]);
}

#[tokio::test]
async fn sizes_that_divide_unevenly_keep_their_proportions_and_edges() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let image = quarters(1003, 701);
        let seen = seen(&encoded(image, format), webp(100)).await;
        assert_eq!(seen.dimensions(), (100, 70));
        assert_quarters(&seen);
        // The border between the quarters stays in the middle.
        let Rgba([r, g, b, _]) = *seen.get_pixel(46, 10);
        assert_close([r, g, b], RED);
        let Rgba([r, g, b, _]) = *seen.get_pixel(53, 10);
        assert_close([r, g, b], GREEN);
    }
}

#[tokio::test]
async fn transparency_stays_in_webp_and_is_white_in_jpeg() {
    let image = RgbaImage::from_fn(400, 400, |x, _| Rgba([200, 0, 0, if x < 200 { 0 } else { 255 }]));
    let done = rendered(&encoded(image, ImageFormat::Png), &[webp(100), jpeg(100)]).await;
    let clear = picture(&done.renditions[0]);
    assert_eq!((clear.get_pixel(20, 50).0[3], clear.get_pixel(80, 50).0[3]), (0, 255));
    let flat = picture(&done.renditions[1]);
    assert!(flat.get_pixel(20, 50).0[..3].iter().all(|value| *value > 245), "{:?}", flat.get_pixel(20, 50));
    assert!(flat.get_pixel(80, 50).0[1] < 20, "{:?}", flat.get_pixel(80, 50));
}

#[tokio::test]
async fn grey_pictures_with_and_without_transparency_and_16_bits_are_rendered() {
    let half = |x: u32| if x < 200 { 30_u8 } else { 220 };
    let grey = GrayImage::from_fn(400, 300, |x, _| Luma([half(x)]));
    let clear = ImageBuffer::from_fn(400, 300, |x, _| LumaA([half(x), 255]));
    let deep = ImageBuffer::from_fn(400, 300, |x, _| Luma([u16::from(half(x)) * 257]));
    for (image, format) in [
        (DynamicImage::from(grey.clone()), ImageFormat::Png),
        (DynamicImage::from(grey.clone()), ImageFormat::Jpeg),
        (DynamicImage::from(grey), ImageFormat::Tiff),
        (DynamicImage::from(clear), ImageFormat::Png),
        (DynamicImage::from(deep.clone()), ImageFormat::Png),
        (DynamicImage::from(deep), ImageFormat::Tiff),
    ] {
        let seen = seen(&encoded(image, format), webp(100)).await;
        let Rgba([dark, ..]) = *seen.get_pixel(25, 30);
        let Rgba([light, ..]) = *seen.get_pixel(75, 30);
        assert!(dark.abs_diff(30) < 6 && light.abs_diff(220) < 6, "{format:?}: {dark} {light}");
    }
}

#[tokio::test]
async fn sixteen_bits_in_colour_are_rendered() {
    let shallow = quarters(200, 120);
    let image: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_fn(200, 120, |x, y| {
        Rgb(shallow.get_pixel(x, y).0.map(|value| u16::from(value) * 257))
    });
    assert_renders(&encoded(image.clone(), ImageFormat::Png), "png").await;
    assert_renders(&encoded(image, ImageFormat::Tiff), "tiff").await;
}

/// A PNG by the `png` crate, which writes what `image` does not.
fn png_by(set: impl FnOnce(&mut png::Encoder<'_, &mut Vec<u8>>), size: (u32, u32), data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    set(&mut encoder);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

#[tokio::test]
async fn palettes_of_few_bits_with_a_clear_colour_are_rendered() {
    // Two bits a pixel: four columns of 50 pixels, the colours 0 to 3.
    let row: Vec<u8> = (0..50_u8).map(|at| (at * 4 / 50) * 0b0101_0101).collect();
    let bytes = png_by(
        |encoder| {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_depth(png::BitDepth::Two);
            encoder.set_palette([RED, GREEN, BLUE, YELLOW].concat());
            encoder.set_trns(vec![255, 255, 255, 0]);
        },
        (200, 120),
        &row.repeat(120),
    );
    let seen = seen(&bytes, webp(100)).await;
    let colour = |x| {
        let Rgba([r, g, b, _]) = *seen.get_pixel(x, 30);
        [r, g, b]
    };
    assert_close(colour(12), RED);
    assert_close(colour(37), GREEN);
    assert_close(colour(62), BLUE);
    assert_eq!(seen.get_pixel(87, 30).0[3], 0);
}

/// sRGB with red and blue exchanged: as far from sRGB as a profile can visibly be.
fn swapped_profile() -> Vec<u8> {
    let mut profile = ColorProfile::new_srgb();
    std::mem::swap(&mut profile.red_colorant, &mut profile.blue_colorant);
    profile.cicp = None;
    profile.encode().expect("a profile")
}

#[tokio::test]
async fn colours_are_converted_from_the_embedded_profile() {
    let image = quarters(200, 120);
    let mut info = png::Info::with_size(200, 120);
    (info.color_type, info.bit_depth) = (png::ColorType::Rgb, png::BitDepth::Eight);
    info.icc_profile = Some(swapped_profile().into());
    let mut in_png = Vec::new();
    let encoder = png::Encoder::with_info(&mut in_png, info).unwrap();
    encoder.write_header().unwrap().write_image_data(&image).unwrap();
    let in_jpeg = with_segment(
        &encoded(image.clone(), ImageFormat::Jpeg),
        0xe2,
        &[b"ICC_PROFILE\0\x01\x01".as_slice(), &swapped_profile()].concat(),
    );
    for bytes in [in_png, in_jpeg] {
        let seen = seen(&bytes, jpeg(100)).await;
        let [above_left, _, below_left, _] = corners(&seen);
        assert!(is_close(above_left, BLUE, 20), "red is shown as blue: {above_left:?}");
        assert!(is_close(below_left, RED, 20), "blue is shown as red: {below_left:?}");
    }
}

#[tokio::test]
async fn ink_is_shown_as_light_whatever_wrote_the_jpeg() {
    for (sample, bytes) in [
        ("CMYK by Adobe's rules", include_bytes!("samples/cmyk-adobe.jpg").as_slice()),
        ("YCCK", include_bytes!("samples/ycck-adobe.jpg")),
        ("CMYK without Adobe's marker", include_bytes!("samples/cmyk-plain.jpg")),
    ] {
        let seen = seen(bytes, jpeg(100)).await;
        for (seen, expected) in corners(&seen).into_iter().zip([RED, GREEN, BLUE, YELLOW]) {
            assert!(is_close(seen, expected, 24), "{sample}: {seen:?} is not {expected:?}");
        }
    }
}

#[tokio::test]
async fn progressive_jpeg_is_rendered() {
    let bytes = include_bytes!("samples/progressive.jpg");
    assert!(bytes.windows(2).any(|window| window == [0xff, 0xc2]), "a progressive one");
    assert_renders(bytes, "jpeg").await;
}

fn gif_of(colours: &[[u8; 3]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for [r, g, b] in colours {
        let image = RgbaImage::from_pixel(200, 120, Rgba([*r, *g, *b, 255]));
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder.encode_frame(Frame::from_parts(image, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}

#[tokio::test]
async fn a_short_animation_stays_one_where_that_is_asked_for() {
    use image::{AnimationDecoder, codecs::webp::WebPDecoder};
    let done = rendered(&gif_of(&[RED, GREEN, BLUE]), &[webp(50), animated(100)]).await;
    let [still, moving] = done.renditions.as_slice() else { panic!("{done:?}") };
    assert!(!still.is_animated && moving.is_animated);
    let Rgba([r, g, b, _]) = *picture(still).get_pixel(25, 15);
    assert_close([r, g, b], RED);
    let frames = |bytes: &[u8]| {
        WebPDecoder::new(std::io::Cursor::new(bytes.to_vec()))
            .unwrap()
            .into_frames()
            .collect_frames()
            .unwrap()
    };
    let shown = frames(&moving.bytes);
    assert_eq!(shown.len(), 3);
    for (frame, expected) in shown.iter().zip([RED, GREEN, BLUE]) {
        assert_eq!(frame.buffer().dimensions(), (100, 60));
        let Rgba([r, g, b, _]) = *frame.buffer().get_pixel(50, 30);
        assert_close([r, g, b], expected);
    }
    assert_eq!(shown[0].delay().numer_denom_ms(), (100, 1));

    // What came out is an animated WebP, which is another source.
    let again = rendered(&moving.bytes, &[animated(50), webp(20)]).await;
    assert_eq!(again.source_format, "webp");
    assert!(again.renditions[0].is_animated && !again.renditions[1].is_animated);
    assert_eq!(frames(&again.renditions[0].bytes).len(), 3);
}

#[tokio::test]
async fn a_long_animation_is_shown_by_its_first_frame() {
    let colours: Vec<_> = (0..21).map(|at| if at == 0 { RED } else { BLUE }).collect();
    let done = rendered(&gif_of(&colours), &[animated(100)]).await;
    assert!(!done.renditions[0].is_animated);
    let Rgba([r, g, b, _]) = *picture(&done.renditions[0]).get_pixel(50, 30);
    assert_close([r, g, b], RED);
}

#[tokio::test]
async fn svg_is_drawn_at_the_size_that_is_needed() {
    let svg = br##"<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="200" height="120">
        <rect width="100" height="60" fill="#dc1414"/><rect x="100" width="100" height="60" fill="#14c814"/>
        <rect y="60" width="100" height="60" fill="#1414dc"/>
        <rect x="100" y="60" width="100" height="60" fill="#e6dc14"/></svg>"##;
    assert_renders(svg, "svg").await;
}

#[tokio::test]
async fn a_vast_svg_is_no_larger_than_what_is_made_of_it() {
    let svg = br##"<svg xmlns="http://www.w3.org/2000/svg" width="300000" height="200000">
        <rect width="300000" height="200000" fill="#dc1414"/></svg>"##;
    let done = rendered(svg, &[webp(300)]).await;
    assert_eq!((done.source_width, done.source_height), (300_000, 200_000));
    let Rgba([r, g, b, _]) = *picture(&done.renditions[0]).get_pixel(150, 100);
    assert_close([r, g, b], RED);
}

#[tokio::test]
async fn the_content_decides_over_name_and_type() {
    let mut request = request("video/mp4", &[webp(100)]);
    request.extension = "txt".to_owned();
    let png = encoded(quarters(200, 120), ImageFormat::Png);
    let done = worker().render(file_of(&png), &request).await.unwrap();
    assert_eq!(done.source_format, "png");
    assert_quarters(&picture(&done.renditions[0]));
}

#[tokio::test]
async fn texts_in_svg_are_drawn_with_a_font_of_the_system() {
    // Without one of these there is nothing to draw with; `tests/untested.rs` says so.
    if !std::path::Path::new("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").exists() {
        return;
    }
    let svg = br##"<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100">
        <rect width="200" height="100" fill="#ffffff"/>
        <text x="10" y="80" font-family="Unheard Of" font-size="80" fill="#000000">HHH</text></svg>"##;
    let seen = seen(svg, webp(200)).await;
    let dark = seen.pixels().filter(|pixel| pixel.0[0] < 60).count();
    assert!((1000..10_000).contains(&dark), "{dark} dark pixels");
}
