//! Pictures made by the test, a worker over the real binary, and a look at what comes out.

use hackclub_cdn::media::render::{
    OutputFormat, OutputSpec, RenderError, RenderLimits, RenderRequest, RenderWorker, Rendered, Rendition,
};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use std::{
    io::{Cursor, Seek, Write},
    time::Duration,
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_hackclub-cdn");

pub const RED: [u8; 3] = [220, 20, 20];
pub const GREEN: [u8; 3] = [20, 200, 20];
pub const BLUE: [u8; 3] = [20, 20, 220];
pub const YELLOW: [u8; 3] = [230, 220, 20];

/// Far more time than a job needs, for a busy machine.
pub fn limits() -> RenderLimits {
    RenderLimits {
        cpu_time: Duration::from_secs(60),
        wall_time: Duration::from_secs(300),
        ..RenderLimits::default()
    }
}

pub fn worker() -> RenderWorker {
    worker_with(limits())
}

pub fn worker_with(limits: RenderLimits) -> RenderWorker {
    RenderWorker::new(limits).with_program(BINARY)
}

pub fn webp(max_side: u32) -> OutputSpec {
    OutputSpec { max_side, format: OutputFormat::WebP, keep_animation: false }
}

pub fn jpeg(max_side: u32) -> OutputSpec {
    OutputSpec { max_side, format: OutputFormat::Jpeg, keep_animation: false }
}

pub fn animated(max_side: u32) -> OutputSpec {
    OutputSpec { max_side, format: OutputFormat::WebP, keep_animation: true }
}

pub fn request(media_type: &str, outputs: &[OutputSpec]) -> RenderRequest {
    RenderRequest { media_type: media_type.to_owned(), extension: String::new(), outputs: outputs.to_vec() }
}

pub fn file_of(bytes: &[u8]) -> tokio::fs::File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("room");
    file.rewind().expect("a file");
    tokio::fs::File::from_std(file)
}

pub async fn render_by(
    worker: &mut RenderWorker,
    bytes: &[u8],
    outputs: &[OutputSpec],
) -> Result<Rendered, RenderError> {
    worker.render(file_of(bytes), &request("", outputs)).await
}

/// Renders with a worker of its own; it must succeed.
pub async fn rendered(bytes: &[u8], outputs: &[OutputSpec]) -> Rendered {
    render_by(&mut worker(), bytes, outputs).await.expect("a rendition")
}

/// One output, decoded again.
pub async fn seen(bytes: &[u8], output: OutputSpec) -> RgbaImage {
    picture(&rendered(bytes, &[output]).await.renditions[0])
}

pub fn picture(rendition: &Rendition) -> RgbaImage {
    let format = match rendition.format {
        OutputFormat::WebP => ImageFormat::WebP,
        OutputFormat::Jpeg => ImageFormat::Jpeg,
    };
    let picture =
        image::load_from_memory_with_format(&rendition.bytes, format).expect("a picture").into_rgba8();
    assert_eq!(picture.dimensions(), (rendition.width, rendition.height));
    picture
}

/// Left above red, right above green, left below blue, right below yellow.
pub fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        })
    })
}

pub fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

/// The colours in the middle of the four quarters, in the order of [`quarters`].
pub fn corners(picture: &RgbaImage) -> [[u8; 3]; 4] {
    let (width, height) = picture.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| {
        let Rgba([r, g, b, _]) = *picture.get_pixel(width * x / 4, height * y / 4);
        [r, g, b]
    })
}

pub fn is_close(one: [u8; 3], other: [u8; 3], tolerance: u8) -> bool {
    one.iter().zip(other).all(|(one, other)| one.abs_diff(other) <= tolerance)
}

/// Lossy formats shift colours a little.
#[track_caller]
pub fn assert_close(seen: [u8; 3], expected: [u8; 3]) {
    assert!(is_close(seen, expected, 12), "{seen:?} is not {expected:?}");
}

#[track_caller]
pub fn assert_quarters(picture: &RgbaImage) {
    for (seen, expected) in corners(picture).into_iter().zip([RED, GREEN, BLUE, YELLOW]) {
        assert_close(seen, expected);
    }
}

/// A JPEG of the quarters with a segment of APP1 before everything else.
pub fn jpeg_with_exif(image: &RgbImage, orientation: u16) -> Vec<u8> {
    let plain = encoded(image.clone(), ImageFormat::Jpeg);
    let payload = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
    with_segment(&plain, 0xe1, &payload)
}

/// Inserts a segment behind the start of the image.
pub fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).expect("a segment's length").to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, payload, &jpeg[2..]].concat()
}

/// Orientation, a camera's name, and a place (big-endian TIFF).
fn exif(orientation: u16) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [
            tag.to_be_bytes().to_vec(),
            kind.to_be_bytes().to_vec(),
            count.to_be_bytes().to_vec(),
            value.to_vec(),
        ]
        .concat()
    };
    let [high, low] = orientation.to_be_bytes();
    tiff.extend(3_u16.to_be_bytes());
    tiff.extend(entry(0x010f, 2, 4, *b"CAM\0"));
    tiff.extend(entry(0x0112, 3, 1, [high, low, 0, 0]));
    tiff.extend(entry(0x8825, 4, 1, 50_u32.to_be_bytes()));
    tiff.extend(0_u32.to_be_bytes());
    // The directory of the place: the latitude's reference.
    assert_eq!(tiff.len(), 50);
    tiff.extend(1_u16.to_be_bytes());
    tiff.extend(entry(0x0001, 2, 2, *b"N\0\0\0"));
    tiff.extend(0_u32.to_be_bytes());
    tiff
}

pub fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut body = kind.to_vec();
    body.extend(data);
    let length = u32::try_from(data.len()).expect("a chunk's length").to_be_bytes();
    [&length, body.as_slice(), &crc32(&body).to_be_bytes()].concat()
}

pub fn png_header(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let data = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".as_slice(), &png_chunk(b"IHDR", &data)].concat()
}

/// As PNG defines it (RFC 2083, 3.4).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 },
        )
    })
}
