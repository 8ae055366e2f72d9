//! Every kind of PNG there is: colour type, depth, interlaced or not, transparency by colour (RFC 2083, 2.1 to 2.6).

use crate::support::*;
use image::Rgba;

const WIDTH: u32 = 80;
const HEIGHT: u32 = 48;
/// Where the rows of each of Adam7's passes begin, and how far its pixels lie apart.
const PASSES: [(u32, u32, u32, u32); 7] =
    [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

/// A kind, and what each quarter holds in its samples.
struct Kind {
    colour: u8,
    depth: u8,
    quarters: [Vec<u16>; 4],
    /// PLTE, tRNS.
    chunks: Vec<Vec<u8>>,
    seen: [[u8; 4]; 4],
}

fn quarter_of(x: u32, y: u32) -> usize {
    usize::from(x >= WIDTH / 2) + 2 * usize::from(y >= HEIGHT / 2)
}

fn write(kind: &Kind, is_interlaced: bool) -> Vec<u8> {
    let whole = [(0, 0, 1, 1)];
    let mut raw = Vec::new();
    for (left, top, right, down) in if is_interlaced { PASSES.as_slice() } else { &whole } {
        for y in (*top..HEIGHT).step_by(*down as usize) {
            raw.push(0);
            let samples =
                (*left..WIDTH).step_by(*right as usize).flat_map(|x| &kind.quarters[quarter_of(x, y)]);
            raw.extend(pack(samples.copied(), kind.depth));
        }
    }
    let mut header = [WIDTH.to_be_bytes(), HEIGHT.to_be_bytes()].concat();
    header.extend([kind.depth, kind.colour, 0, 0, u8::from(is_interlaced)]);
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &png_chunk(b"IHDR", &header),
        &kind.chunks.concat(),
        &png_chunk(b"IDAT", &stored_zlib(&raw)),
        &png_chunk(b"IEND", b""),
    ]
    .concat()
}

/// Samples of one row, the first in the highest bits.
fn pack(samples: impl Iterator<Item = u16>, depth: u8) -> Vec<u8> {
    if depth == 16 {
        return samples.flat_map(u16::to_be_bytes).collect();
    }
    let (mut bytes, mut bits) = (Vec::new(), 0);
    for sample in samples {
        if bits % 8 == 0 {
            bytes.push(0);
        }
        let last = bytes.last_mut().expect("a byte");
        *last |= u8::try_from(sample).expect("a small sample") << (8 - depth - bits % 8);
        bits += depth;
        bits %= 8;
    }
    bytes
}

/// A zlib stream without compression (RFC 1950, 1951).
fn stored_zlib(raw: &[u8]) -> Vec<u8> {
    let length = u16::try_from(raw.len()).expect("one block");
    let (a, b) = raw.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    [
        &[0x78, 0x01, 0x01][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        raw,
        &(b << 16 | a).to_be_bytes(),
    ]
    .concat()
}

fn opaque(colours: [[u8; 3]; 4]) -> [[u8; 4]; 4] {
    colours.map(|[r, g, b]| [r, g, b, 255])
}

async fn assert_kind(kind: Kind) {
    for is_interlaced in [false, true] {
        let bytes = write(&kind, is_interlaced);
        let name = format!("colour {} depth {} interlaced {is_interlaced}", kind.colour, kind.depth);
        let done = rendered(&bytes, &[webp(40)]).await;
        assert_eq!((done.source_width, done.source_height), (WIDTH, HEIGHT), "{name}");
        let seen = picture(&done.renditions[0]);
        for ((x, y), [r, g, b, a]) in [(10, 6), (30, 6), (10, 18), (30, 18)].into_iter().zip(kind.seen) {
            let Rgba([red, green, blue, alpha]) = *seen.get_pixel(x, y);
            assert!(alpha.abs_diff(a) < 8, "{name}: {:?}", seen.get_pixel(x, y));
            assert!(
                a == 0 || is_close([red, green, blue], [r, g, b], 12),
                "{name}: {:?}",
                seen.get_pixel(x, y)
            );
        }
    }
}

#[tokio::test]
async fn grey_of_every_depth() {
    for depth in [1, 2, 4, 8, 16_u8] {
        let most = u16::MAX >> (16 - depth);
        let steps = [0, most / 3, most - most / 3, most];
        let seen = steps.map(|step| u8::try_from(u32::from(step) * 255 / u32::from(most)).unwrap());
        let quarters = steps.map(|step| vec![step]);
        let colours = opaque(seen.map(|grey| [grey; 3]));
        assert_kind(Kind { colour: 0, depth, quarters: quarters.clone(), chunks: Vec::new(), seen: colours })
            .await;
        // The darkest one is clear.
        let mut clear = colours;
        clear.iter_mut().filter(|colour| colour[0] == 0).for_each(|colour| colour[3] = 0);
        assert_kind(Kind {
            colour: 0,
            depth,
            quarters,
            chunks: vec![png_chunk(b"tRNS", &[0, 0])],
            seen: clear,
        })
        .await;
    }
}

#[tokio::test]
async fn palettes_of_every_depth() {
    for depth in [1, 2, 4, 8_u8] {
        let entries: Vec<_> = [RED, GREEN, BLUE, YELLOW].into_iter().take(1 << depth).collect();
        let index = |at: u16| vec![at % u16::try_from(entries.len()).unwrap()];
        let quarters = [index(0), index(1), index(2), index(3)];
        let palette = png_chunk(b"PLTE", &entries.concat());
        let mut seen = opaque([0, 1, 2, 3].map(|at| entries[at % entries.len()]));
        assert_kind(Kind {
            colour: 3,
            depth,
            quarters: quarters.clone(),
            chunks: vec![palette.clone()],
            seen,
        })
        .await;
        // The first entry is clear.
        seen.iter_mut().filter(|colour| colour[..3] == RED).for_each(|colour| colour[3] = 0);
        let chunks = vec![palette, png_chunk(b"tRNS", &[0])];
        assert_kind(Kind { colour: 3, depth, quarters, chunks, seen }).await;
    }
}

#[tokio::test]
async fn colours_with_and_without_transparency_of_both_depths() {
    let colours = [RED, GREEN, BLUE, YELLOW];
    for depth in [8, 16_u8] {
        let sample = |value: u8| u16::from(value) * if depth == 16 { 257 } else { 1 };
        let rgb = colours.map(|colour| colour.map(sample).to_vec());
        assert_kind(Kind {
            colour: 2,
            depth,
            quarters: rgb.clone(),
            chunks: Vec::new(),
            seen: opaque(colours),
        })
        .await;
        let mut one_clear = opaque(colours);
        one_clear[2][3] = 0;
        let clear =
            png_chunk(b"tRNS", &rgb[2].iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>());
        assert_kind(Kind { colour: 2, depth, quarters: rgb.clone(), chunks: vec![clear], seen: one_clear })
            .await;
        let with_alpha = |samples: &Vec<u16>, alpha: u8| [samples.as_slice(), &[sample(alpha)]].concat();
        let quarters = [0, 1, 2, 3].map(|at| with_alpha(&rgb[at], if at == 2 { 0 } else { 255 }));
        assert_kind(Kind { colour: 6, depth, quarters, chunks: Vec::new(), seen: one_clear }).await;
        let greys = [20, 90, 160, 230];
        let quarters = greys.map(|grey| with_alpha(&vec![sample(grey)], if grey == 160 { 0 } else { 255 }));
        let mut seen = opaque(greys.map(|grey| [grey; 3]));
        seen[2][3] = 0;
        assert_kind(Kind { colour: 4, depth, quarters, chunks: Vec::new(), seen }).await;
    }
}
