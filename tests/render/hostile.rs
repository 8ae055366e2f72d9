//! Files that mean harm, or are only broken: a right picture or a clear failure, in bounded memory, and the worker
//! serves the next job.

use crate::support::*;
use hackclub_cdn::media::render::{RenderError, RenderWorker};
use image::{ImageFormat, RgbImage};
use std::{fmt::Write, fs};

/// Of the render process, at its highest, in KiB: the limit on its address space and no more would be 1 GiB.
const MOST_MEMORY: u64 = 400 << 10;

enum Expected {
    Broken,
    TooLarge,
    Unsupported,
    /// Some picture: the file is strange, and not wrong.
    Picture,
    /// Either, depending on how forgiving the decoder is.
    BrokenOrPicture,
}
use Expected::{Broken, BrokenOrPicture, Picture, TooLarge, Unsupported};

async fn assert_outcome(worker: &mut RenderWorker, name: &str, bytes: &[u8], expected: Expected) {
    let outcome = render_by(worker, bytes, &[animated(320), jpeg(64)]).await;
    let is_expected = match (&outcome, expected) {
        (Err(RenderError::Broken(_)), Broken | BrokenOrPicture)
        | (Err(RenderError::TooLarge(_)), TooLarge)
        | (Err(RenderError::Unsupported), Unsupported) => true,
        (Ok(done), Picture | BrokenOrPicture) => {
            done.renditions.iter().all(|made| picture(made).dimensions() == (made.width, made.height))
        }
        _ => false,
    };
    assert!(is_expected, "{name}: {:?}", outcome.map(|done| done.source_format));
    if let Some(peak) = worker.child_id().and_then(peak) {
        assert!(peak < MOST_MEMORY, "{name}: {peak} KiB");
    }
    let sound = encoded(quarters(40, 24), ImageFormat::Png);
    let next = render_by(worker, &sound, &[webp(20)]).await;
    assert!(next.is_ok(), "after {name}: {next:?}");
}

/// The most memory that the process has ever had, in KiB.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

async fn assert_outcomes(cases: Vec<(&str, Vec<u8>, Expected)>) {
    let mut worker = worker();
    for (name, bytes, expected) in cases {
        assert_outcome(&mut worker, name, &bytes, expected).await;
    }
}

#[tokio::test]
async fn empty_and_foreign_files() {
    assert_outcomes(vec![
        ("nothing", Vec::new(), Broken),
        ("zeros", vec![0; 4096], Unsupported),
        ("words", b"just words, and more of them".to_vec(), Unsupported),
        ("a page", b"<!doctype html><html><body>no picture</body></html>".to_vec(), Unsupported),
        ("a program", fs::read("/bin/true").unwrap(), Unsupported),
        ("an archive", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), Unsupported),
    ])
    .await;
}

#[tokio::test]
async fn files_that_end_too_early() {
    let mut cases = Vec::new();
    for (name, format) in [
        ("JPEG", ImageFormat::Jpeg),
        ("PNG", ImageFormat::Png),
        ("GIF", ImageFormat::Gif),
        ("WebP", ImageFormat::WebP),
        ("TIFF", ImageFormat::Tiff),
        ("BMP", ImageFormat::Bmp),
        ("QOI", ImageFormat::Qoi),
    ] {
        // Noise, so that half of the file is half of the picture.
        let mut state = 1_u32;
        let noise = RgbImage::from_fn(200, 150, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [r, g, b, _] = state.to_be_bytes();
            image::Rgb([r, g, b])
        });
        let whole = encoded(noise, format);
        cases.push((name, whole[..whole.len() / 2].to_vec(), BrokenOrPicture));
        cases.push((name, whole[..whole.len().min(30)].to_vec(), Broken));
    }
    assert_outcomes(cases).await;
}

#[tokio::test]
async fn a_truncated_photograph_is_a_failure_and_not_half_a_picture() {
    let whole = encoded(quarters(800, 600), ImageFormat::Png);
    assert_outcomes(vec![("PNG", whole[..whole.len() - 40].to_vec(), Broken)]).await;
}

fn png_of(header: Vec<u8>, chunks: &[Vec<u8>]) -> Vec<u8> {
    [header, chunks.concat(), png_chunk(b"IEND", b"")].concat()
}

#[tokio::test]
async fn png_bombs() {
    let mut deflated = Vec::new();
    // 64 MiB of zeros in 64 KiB.
    let mut writer = png::Encoder::new(&mut deflated, 8192, 8192);
    writer.set_color(png::ColorType::Grayscale);
    writer.write_header().unwrap().write_image_data(&vec![0; 8192 * 8192]).unwrap();
    let body_at = deflated.windows(4).position(|window| window == b"IDAT").unwrap() - 4;
    let stream_length = u32::from_be_bytes(deflated[body_at..body_at + 4].try_into().unwrap());
    let stream = &deflated[body_at + 8..body_at + 8 + usize::try_from(stream_length).unwrap()];
    let text = [b"Comment\0\0".as_slice(), stream].concat();
    let profile = [b"icc\0\0".as_slice(), stream].concat();
    let sound = encoded(quarters(60, 40), ImageFormat::Png);
    let with = |chunk: Vec<u8>| [&sound[..33], &chunk, &sound[33..]].concat();
    let mut wrong_sum = sound.clone();
    wrong_sum[30] ^= 0xff;
    let mut lying = sound.clone();
    lying[33..37].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_outcomes(vec![
        (
            "30,000 by 30,000",
            png_of(png_header(30_000, 30_000, 8, 2), &[png_chunk(b"IDAT", stream)]),
            TooLarge,
        ),
        ("2^31 - 1 squared", png_of(png_header(0x7fff_ffff, 0x7fff_ffff, 16, 6), &[]), TooLarge),
        ("no width", png_of(png_header(0, 10, 8, 2), &[]), Broken),
        (
            "far more pixels than announced",
            png_of(png_header(10, 10, 8, 2), &[png_chunk(b"IDAT", stream)]),
            BrokenOrPicture,
        ),
        (
            "far fewer pixels than announced",
            png_of(png_header(7000, 7000, 8, 2), &[png_chunk(b"IDAT", &stream[..64])]),
            Broken,
        ),
        ("a text that is a bomb", with(png_chunk(b"zTXt", &text)), Picture),
        ("a profile that is a bomb", with(png_chunk(b"iCCP", &profile)), BrokenOrPicture),
        ("a wrong sum", wrong_sum, Broken),
        ("a chunk of 4 GiB", lying, Broken),
        ("no palette", png_of(png_header(10, 10, 8, 3), &[png_chunk(b"IDAT", stream)]), Broken),
    ])
    .await;
}

fn gif_header(width: u16, height: u16) -> Vec<u8> {
    [
        b"GIF89a".as_slice(),
        &width.to_le_bytes(),
        &height.to_le_bytes(),
        &[0x80, 0, 0],
        &[0, 0, 0, 255, 255, 255],
    ]
    .concat()
}

#[tokio::test]
async fn gifs_without_an_end_and_of_vast_size() {
    // One pixel, over and over.
    let frame = b"\x21\xf9\x04\0\x01\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
    let endless = [gif_header(1, 1), frame.repeat(200_000)].concat();
    let vast = [gif_header(65_535, 65_535), frame.to_vec(), vec![0x3b]].concat();
    let no_frames = [gif_header(100, 100), vec![0x3b]].concat();
    let outside = {
        let mut frame = frame.to_vec();
        // The frame's place and size: beyond the canvas.
        frame[9..17].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0x0f]);
        [gif_header(10, 10), frame, vec![0x3b]].concat()
    };
    assert_outcomes(vec![
        ("200,000 frames and no end", endless, Picture),
        ("65,535 by 65,535", vast, TooLarge),
        ("no frames", no_frames, Broken),
        ("a frame outside of the canvas", outside, BrokenOrPicture),
    ])
    .await;
}

#[tokio::test]
async fn svg_that_recurses_explodes_or_looks_outside() {
    let svg = |body: &str| {
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' \
             width='100' height='100'>{body}</svg>"
        )
        .into_bytes()
    };
    let mut laughs = "<!DOCTYPE svg [<!ENTITY a0 'ha'>".to_owned();
    for level in 1..30 {
        let below = format!("&a{};", level - 1).repeat(10);
        write!(laughs, "<!ENTITY a{level} '{below}'>").unwrap();
    }
    laughs += "]><svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><text>&a29;</text></svg>";
    let foreign = "<!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\
        <svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><text>&x;</text></svg>";
    // Each uses the one below twice: 2^40 shapes.
    let mut doubling = "<defs><g id='g0'><rect width='1' height='1'/></g>".to_owned();
    for level in 1..40 {
        let below = level - 1;
        write!(doubling, "<g id='g{level}'><use href='#g{below}'/><use href='#g{below}'/></g>").unwrap();
    }
    doubling += "</defs><use href='#g39'/>";
    let deep = format!("{}{}", "<g>".repeat(100_000), "</g>".repeat(100_000));
    assert_outcomes(vec![
        ("uses itself", svg("<g id='a'><use href='#a'/></g><use href='#a'/>"), BrokenOrPicture),
        (
            "uses each other",
            svg("<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g>"),
            BrokenOrPicture,
        ),
        ("a billion laughs", laughs.into_bytes(), Broken),
        ("an outside entity", foreign.as_bytes().to_vec(), Broken),
        ("nested 100,000 deep", svg(&deep), Broken),
        ("doubles 40 times", svg(&doubling), BrokenOrPicture),
        ("no size at all", svg("").repeat(0), Broken),
        ("not closed", b"<svg xmlns='http://www.w3.org/2000/svg'><g>".to_vec(), Broken),
        (
            "not UTF-8",
            [b"<svg xmlns='http://www.w3.org/2000/svg' a='".as_slice(), &[0xff, 0xfe]].concat(),
            Unsupported,
        ),
    ])
    .await;
}

#[tokio::test]
async fn svg_shows_nothing_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside.png");
    fs::write(&outside, encoded(RgbImage::from_pixel(100, 100, image::Rgb(RED)), ImageFormat::Png)).unwrap();
    for address in [
        outside.display().to_string(),
        format!("file://{}", outside.display()),
        "http://127.0.0.1:9/a.png".to_owned(),
        "/proc/self/environ".to_owned(),
    ] {
        let svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='100' height='100'>\
             <rect width='100' height='100' fill='#14c814'/><image href='{address}' width='100' height='100'/></svg>"
        );
        let seen = seen(svg.as_bytes(), webp(100)).await;
        let image::Rgba([r, g, b, _]) = *seen.get_pixel(50, 50);
        assert_close([r, g, b], GREEN);
    }
}

#[tokio::test]
async fn headers_that_lie_about_length_and_size() {
    let jpeg = encoded(quarters(64, 64), ImageFormat::Jpeg);
    let frame_at = jpeg.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    let mut vast_jpeg = jpeg.clone();
    vast_jpeg[frame_at + 5..frame_at + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    let mut flat_jpeg = jpeg.clone();
    flat_jpeg[frame_at + 5..frame_at + 9].copy_from_slice(&[0, 64, 0, 0]);
    let tall_jpeg = {
        let mut bytes = jpeg.clone();
        bytes[frame_at + 5..frame_at + 9].copy_from_slice(&7000_u16.to_be_bytes().repeat(2));
        bytes
    };
    // A canvas of 16,384 by 16,384, and nothing on it (WebP container, VP8X).
    let webp =
        [b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".as_slice(), &[0xff, 0x3f, 0, 0xff, 0x3f, 0]].concat();
    let mut lossless = encoded(quarters(64, 64), ImageFormat::WebP);
    let length = lossless.len();
    lossless[length / 2..].fill(0xff);
    // A directory that is its own successor; its strip lies far behind the end.
    let mut tiff = b"II*\0\x08\0\0\0\x05\0".to_vec();
    for (tag, value) in [(256_u16, 5000_u32), (257, 5000), (259, 1), (273, 0xffff_fff0), (279, 0xffff_ffff)] {
        tiff.extend(tag.to_le_bytes());
        tiff.extend([4, 0, 1, 0, 0, 0]);
        tiff.extend(value.to_le_bytes());
    }
    tiff.extend(8_u32.to_le_bytes());
    // One entry of 256 by 256 that holds a PNG of 30,000 by 30,000.
    let inner = png_of(png_header(30_000, 30_000, 8, 6), &[]);
    let mut icon = vec![0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 32, 0];
    icon.extend(u32::try_from(inner.len()).unwrap().to_le_bytes());
    icon.extend(22_u32.to_le_bytes());
    icon.extend(inner);
    let many_icons = [vec![0, 0, 1, 0, 0xff, 0xff], vec![0xff; 64]].concat();
    let mut bmp = encoded(quarters(64, 64), ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    let mut qoi = encoded(quarters(64, 64), ImageFormat::Qoi);
    qoi[4..12].fill(0xff);
    assert_outcomes(vec![
        ("JPEG of 65,535 by 65,535", vast_jpeg, TooLarge),
        ("JPEG without a width", flat_jpeg, Broken),
        ("JPEG with the data of fewer pixels", tall_jpeg, BrokenOrPicture),
        ("WebP of a vast canvas", webp, TooLarge),
        ("WebP with wrong data", lossless, BrokenOrPicture),
        ("TIFF whose directories are a circle", tiff, Broken),
        ("icon with a vast picture inside", icon, Broken),
        ("icon with many entries and none", many_icons, Broken),
        ("BMP of 2^31 by 2^31", bmp, Broken),
        ("QOI of 2^32 by 2^32", qoi, Broken),
    ])
    .await;
}

#[tokio::test]
async fn bytes_changed_at_random_never_take_the_worker_away() {
    let mut worker = worker();
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::Qoi,
    ] {
        let whole = encoded(quarters(97, 61), format);
        for _ in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..=random(8) {
                let at = 8 + random(bytes.len() - 8);
                bytes[at] = u8::try_from(random(256)).unwrap();
            }
            let outcome = render_by(&mut worker, &bytes, &[webp(40)]).await;
            assert!(
                matches!(
                    outcome,
                    Ok(_) | Err(RenderError::Broken(_) | RenderError::TooLarge(_) | RenderError::Unsupported)
                ),
                "{format:?}: {outcome:?}"
            );
        }
    }
    let sound = encoded(quarters(40, 24), ImageFormat::Png);
    assert!(render_by(&mut worker, &sound, &[webp(20)]).await.is_ok());
}
