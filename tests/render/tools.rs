//! Films and PDFs, by the tools that the machine has; AVIF, too.

use crate::support::*;
use hackclub_cdn::media::render::RenderError;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Without the tool its tests are left out, and `tests/untested.rs` says so.
fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Ten seconds: one of blue, then all red.
fn film(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "color=c=0x1414dc:s=640x360:r=5:d=0.6"])
        .args(["-f", "lavfi", "-i", "color=c=0xdc1414:s=640x360:r=5:d=9.4"])
        .args(["-filter_complex", "[0:v][1:v]concat=n=2:v=1", "-c:v", "mpeg4", "-q:v", "3", "-g", "5"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    file
}

#[tokio::test]
async fn a_film_is_shown_by_a_frame_from_a_tenth_in() {
    if !has("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["film.mp4", "film.mkv", "film.avi"] {
        let bytes = std::fs::read(film(folder.path(), name)).unwrap();
        let done = rendered(&bytes, &[webp(320), jpeg(100)]).await;
        assert_eq!((done.source_width, done.source_height, done.source_format.as_str()), (640, 360, "video"));
        let seen = picture(&done.renditions[0]);
        assert_eq!(seen.dimensions(), (320, 180), "{name}");
        for corner in corners(&seen) {
            assert!(is_close(corner, RED, 24), "{name}: {corner:?}");
        }
    }
}

#[tokio::test]
async fn a_playlist_reaches_no_other_file() {
    if !has("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let film = film(folder.path(), "film.mp4");
    let playlist = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{}\n#EXT-X-ENDLIST\n",
        film.display()
    );
    let concat = format!("ffconcat version 1.0\nfile {}\n", film.display());
    for text in [playlist, concat] {
        let source = file_of(text.as_bytes());
        let outcome = worker().render(source, &request("video/mp4", &[webp(100)])).await;
        assert!(matches!(outcome, Err(RenderError::Broken(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_broken_film_is_a_clear_failure_and_the_worker_goes_on() {
    if !has("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(film(folder.path(), "film.mp4")).unwrap();
    let mut worker = worker();
    let outcome = render_by(&mut worker, &bytes[..bytes.len() / 2], &[webp(100)]).await;
    assert!(matches!(outcome, Err(RenderError::Broken(_))), "{outcome:?}");
    assert!(render_by(&mut worker, &bytes, &[webp(100)]).await.is_ok());
}

#[tokio::test]
async fn avif_is_rendered() {
    if !has("ffmpeg") {
        return;
    }
    let done = rendered(include_bytes!("samples/quarters.avif"), &[webp(100)]).await;
    assert_eq!((done.source_width, done.source_height, done.source_format.as_str()), (200, 120, "avif"));
    for (seen, expected) in corners(&picture(&done.renditions[0])).into_iter().zip([RED, GREEN, BLUE, YELLOW])
    {
        assert!(is_close(seen, expected, 24), "{seen:?} is not {expected:?}");
    }
}

/// One page, 200 by 100 points: the left half red, the right half blue.
fn pdf() -> Vec<u8> {
    let drawing = "0.863 0.078 0.078 rg 0 0 100 100 re f 0.078 0.078 0.863 rg 100 0 100 100 re f";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents 4 0 R >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{drawing}\nendstream", drawing.len()),
    ];
    let mut text = "%PDF-1.4\n".to_owned();
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(text.len());
        text += &format!("{} 0 obj\n{object}\nendobj\n", at + 1);
    }
    let table = text.len();
    text += "xref\n0 5\n0000000000 65535 f \n";
    for place in places {
        text += &format!("{place:010} 00000 n \n");
    }
    text += &format!("trailer << /Size 5 /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n");
    text.into_bytes()
}

#[tokio::test]
async fn a_pdf_is_shown_by_its_first_page() {
    if !has("pdftoppm") {
        return;
    }
    let done = rendered(&pdf(), &[webp(400), jpeg(100)]).await;
    assert_eq!(done.source_format, "pdf");
    let seen = picture(&done.renditions[0]);
    assert_eq!(seen.dimensions(), (400, 200));
    let [above_left, above_right, ..] = corners(&seen);
    assert_close(above_left, RED);
    assert_close(above_right, BLUE);
    assert_eq!(picture(&done.renditions[1]).dimensions(), (100, 50));
}

#[tokio::test]
async fn a_pdf_that_is_none_is_a_clear_failure() {
    if !has("pdftoppm") {
        return;
    }
    let outcome = render_by(&mut worker(), b"%PDF-1.7\nnothing else", &[webp(100)]).await;
    assert!(matches!(outcome, Err(RenderError::Broken(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    // The worker looks for tools where the program that it is part of would: a bare environment has none.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tools::in_a_bare_environment", "--ignored"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}

#[tokio::test]
#[ignore = "run by a_missing_tool_is_named, with an environment of its own"]
async fn in_a_bare_environment() {
    let mut worker = worker();
    let film = b"\0\0\0\x1cftypisom\0\0\0\0isommp41";
    let outcome = render_by(&mut worker, film, &[webp(100)]).await;
    assert_eq!(outcome, Err(RenderError::MissingTool("ffmpeg".to_owned())));
    let outcome = render_by(&mut worker, &pdf(), &[webp(100)]).await;
    assert_eq!(outcome, Err(RenderError::MissingTool("pdftoppm".to_owned())));
    let words = outcome.unwrap_err().to_string();
    assert_eq!(words, "A preview of this type of file needs pdftoppm, which is not installed on the server.");
    let png = encoded(quarters(40, 24), image::ImageFormat::Png);
    assert!(render_by(&mut worker, &png, &[webp(20)]).await.is_ok(), "nothing else suffers");
}
