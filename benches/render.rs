//! Previews a second, beside `vipsthumbnail`: the same files, sizes, quality and core, in one run.
//!
//! ```text
//! apt-get install libvips-tools
//! cargo bench --bench render
//! ```
//! `IMAGES=4` sets how many pictures of each format there are, `ROUNDS=2` how often each is made.
//! The folder holds photographs of 12 megapixels, drawn by the bench: JPEG, PNG and lossy WebP. Both sides make WebP of
//! quality 80 at 1600 and 320 pixels. vipsthumbnail gets all files of a round in one call, and makes its small ones
//! from its large ones, which is the fastest way it has. Everything runs on one core, that core alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails by panicking")]

use hackclub_cdn::media::render::{OutputFormat, OutputSpec, RenderLimits, RenderRequest, RenderWorker};
use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_hackclub-cdn");
const FORMATS: [&str; 3] = ["jpg", "png", "webp"];
const SIZE: (u32, u32) = (4000, 3000);
const LARGE: u32 = 1600;
const SMALL: u32 = 320;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = setting("IMAGES", 4);
    let rounds = setting("ROUNDS", 2);
    println!("making {images} pictures of each format, {} × {}", SIZE.0, SIZE.1);
    for at in 0..images {
        make(folder.path(), at);
    }
    // Inherited by every process that is started from here.
    let mut core = rustix::thread::CpuSet::new();
    core.set(0);
    rustix::thread::sched_setaffinity(None, &core).expect("one core");
    let has_vips = Command::new("vipsthumbnail").arg("--version").output().is_ok();
    if !has_vips {
        println!("vipsthumbnail is not installed (Debian: libvips-tools): no comparison");
    }
    println!("{:<22}{:>12}{:>14}{:>14}", "", "images/s", "ms an image", "peak MiB");
    let all = FORMATS.map(|format| (format, files_of(folder.path(), format)));
    let mixed = [("mixed", all.iter().flat_map(|(_, files)| files.clone()).collect::<Vec<_>>())];
    for (sizes, name) in [([LARGE, SMALL].as_slice(), "1600+320"), (&[SMALL], "320")] {
        for (format, files) in all.iter().chain(&mixed) {
            // In turn, so that a busy moment of the machine meets both.
            let (mut ours, mut theirs) = (Measured::default(), Measured::default());
            for _ in 0..rounds {
                ours.add(&measure_ours(files, sizes));
                if has_vips {
                    theirs.add(&measure_vips(folder.path(), files, sizes));
                }
            }
            ours.print(&format!("{format} {name} ours"));
            if has_vips {
                theirs.print(&format!("{format} {name} vips"));
            }
        }
    }
}

fn setting(name: &str, default: u32) -> u32 {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[derive(Default)]
struct Measured {
    images: u32,
    time: Duration,
    peak_kib: u64,
}

impl Measured {
    fn add(&mut self, other: &Self) {
        self.images += other.images;
        self.time += other.time;
        self.peak_kib = self.peak_kib.max(other.peak_kib);
    }

    fn print(&self, name: &str) {
        let each = self.time / self.images;
        let per_second = 1.0 / each.as_secs_f64();
        println!("{name:<22}{per_second:>12.2}{:>14}{:>14}", each.as_millis(), self.peak_kib / 1024);
    }
}

fn measure_ours(files: &[PathBuf], sizes: &[u32]) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let output = |max_side| OutputSpec { max_side, format: OutputFormat::WebP, keep_animation: false };
    let request = RenderRequest {
        media_type: String::new(),
        extension: String::new(),
        outputs: sizes.iter().copied().map(output).collect(),
    };
    runtime.block_on(async {
        let mut worker = RenderWorker::new(RenderLimits::default()).with_program(BINARY);
        let start = Instant::now();
        for file in files {
            let source = tokio::fs::File::open(file).await.unwrap();
            let done = worker.render(source, &request).await.unwrap();
            assert_eq!(done.renditions.len(), sizes.len());
        }
        let time = start.elapsed();
        let peak_kib = worker.child_id().and_then(peak).expect("a process");
        Measured { images: count(files), time, peak_kib }
    })
}

fn measure_vips(folder: &Path, files: &[PathBuf], sizes: &[u32]) -> Measured {
    let made = folder.join("made");
    fs::create_dir_all(&made).unwrap();
    let start = Instant::now();
    let mut peak_kib = 0;
    let mut sources = files.to_vec();
    for size in sizes {
        let mut vips = Command::new("vipsthumbnail")
            .args(["--size", &format!("{size}x{size}>"), "--export-profile", "srgb"])
            .args(["-o", &format!("{}/%s_{size}.webp[Q=80,strip]", made.display())])
            .args(&sources)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while vips.try_wait().unwrap().is_none() {
            peak_kib = peak_kib.max(peak(vips.id()).unwrap_or_default());
            thread::sleep(Duration::from_millis(5));
        }
        let name = |source: &PathBuf| {
            made.join(format!("{}_{size}.webp", source.file_stem().unwrap().to_string_lossy()))
        };
        sources = sources.iter().map(name).collect();
    }
    let time = start.elapsed();
    assert!(sources.iter().all(|file| file.exists()), "vipsthumbnail made them all");
    fs::remove_dir_all(&made).unwrap();
    Measured { images: count(files), time, peak_kib }
}

fn count(files: &[PathBuf]) -> u32 {
    u32::try_from(files.len()).unwrap()
}

fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn files_of(folder: &Path, format: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|found| found == format)).collect();
    files.sort();
    files
}

/// Something like a photograph: large soft shapes, small ones on them, and the noise of a sensor.
fn make(folder: &Path, at: u32) {
    let mut state = at.wrapping_mul(747_796_405).wrapping_add(1);
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 24
    };
    let grid: Vec<[u32; 3]> = (0..64 * 64).map(|_| [random(), random(), random()]).collect();
    let value = |x: u32, y: u32, cell: u32, channel: usize| {
        let corner =
            |dx: u32, dy: u32| grid[(((y / cell + dy) % 64) * 64 + (x / cell + dx) % 64) as usize][channel];
        let (u, v) = (x % cell, y % cell);
        let above = corner(0, 0) * (cell - u) + corner(1, 0) * u;
        let below = corner(0, 1) * (cell - u) + corner(1, 1) * u;
        (above * (cell - v) + below * v) / (cell * cell)
    };
    let image = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let noise = random() / 24;
        image::Rgb([0, 1, 2].map(|channel| {
            let sum = value(x, y, 700, channel) * 4 + value(x, y, 60, channel) * 2 + value(x, y, 9, channel);
            u8::try_from((sum / 7 + noise).min(255)).unwrap()
        }))
    });
    let path = |format: &str| folder.join(format!("{format}{at}.{format}"));
    let file = |format: &str| fs::File::create(path(format)).unwrap();
    let (width, height) = SIZE;
    JpegEncoder::new_with_quality(file("jpg"), 90).encode_image(&image).unwrap();
    PngEncoder::new(file("png")).write_image(&image, width, height, ExtendedColorType::Rgb8).unwrap();
    fs::write(path("webp"), &*webp::Encoder::from_rgb(&image, width, height).encode(85.0)).unwrap();
}
