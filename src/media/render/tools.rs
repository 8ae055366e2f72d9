//! Pictures out of films and documents, by programs that may be on the machine.
//!
//! Each runs behind `render-worker --tool`, which locks it in as the render process is: it can read the system's
//! programs, libraries and fonts and the one file it is given, write its output, and reach no network.

use super::{RenderError, RenderLimits, sniff::Kind};
use rustix::process::Signal;
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, Seek},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};
use tokio::{io::AsyncReadExt, process::Command};
use tracing::warn;

/// The containers that are films. None of them can name other files, as playlists can.
const CONTAINERS: &str =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,asf,ogg,m4v,h264,hevc,mpegvideo,ivf";
/// The file that a tool reads: opened by its own name, so that it can be searched through.
const INPUT: &str = "file:/proc/self/fd/0";
const INPUT_PATH: &str = "/proc/self/fd/0";
/// Of the picture that a tool makes, in bytes.
const LARGEST_PICTURE: u64 = 64 << 20;
const LONGEST_REPORT: u64 = 16 << 10;
/// ffmpeg's libraries are large before they have done anything.
const LEAST_ADDRESS_SPACE: u64 = 2 << 30;

pub(super) type Found = (File, Option<(u32, u32)>);

pub(super) struct Toolbox<'a> {
    /// The server's binary.
    pub(super) program: &'a Path,
    pub(super) limits: &'a RenderLimits,
    /// The longest side that is needed.
    pub(super) longest: u32,
}

/// What `ffprobe` tells.
#[derive(Debug, Deserialize)]
struct Probe {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Option<Format>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    width: Option<u32>,
    height: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Format {
    duration: Option<String>,
}

impl Toolbox<'_> {
    /// The frame at a tenth of a film, or the picture of a still one, no larger than needed, and the full size.
    pub(super) async fn frame_of(&self, kind: Kind, source: File) -> Result<Found, RenderError> {
        let (ffmpeg, ffprobe) = (find("ffmpeg")?, find("ffprobe")?);
        let probe = self.probe(&ffprobe, &source).await?;
        let size = probe.streams.first().and_then(|stream| stream.width.zip(stream.height));
        let Some((width, height)) = size.filter(|(width, height)| *width > 0 && *height > 0) else {
            return Err(RenderError::broken("there is no picture in it"));
        };
        if u64::from(width) * u64::from(height) > self.limits.max_pixels {
            return Err(super::child::too_many_pixels(width, height, self.limits.max_pixels));
        }
        let duration =
            probe.format.and_then(|format| format.duration).and_then(|text| text.parse::<f64>().ok());
        let tenth =
            duration.filter(|seconds| seconds.is_finite() && *seconds > 0.0).map(|seconds| seconds / 10.0);
        if kind == Kind::Video
            && let Some(tenth) = tenth
        {
            let picture = self.frame_at(&ffmpeg, &source, tenth).await?;
            if length_of(&picture)? > 0 {
                return Ok((picture, Some((width, height))));
            }
        }
        // Too short or too broken to be searched through: then the first frame there is.
        let picture = self.frame_at(&ffmpeg, &source, 0.0).await?;
        if length_of(&picture)? == 0 {
            return Err(RenderError::broken("no picture in it can be decoded"));
        }
        Ok((picture, Some((width, height))))
    }

    async fn probe(&self, ffprobe: &Path, source: &File) -> Result<Probe, RenderError> {
        let mut command = self.command(ffprobe, source)?;
        command.args(["-v", "error", "-protocol_whitelist", "file", "-format_whitelist", CONTAINERS]);
        command.args(["-select_streams", "v:0", "-show_entries", "stream=width,height:format=duration"]);
        command.args(["-of", "json", INPUT]).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| unavailable(&error))?;
        let mut report = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout
                .take(LONGEST_REPORT)
                .read_to_end(&mut report)
                .await
                .map_err(|error| unavailable(&error))?;
        }
        let _status = child.wait().await;
        serde_json::from_slice(&report).map_err(|_| RenderError::broken("it is no film that can be read"))
    }

    async fn frame_at(&self, ffmpeg: &Path, source: &File, seconds: f64) -> Result<File, RenderError> {
        let mut command = self.command(ffmpeg, source)?;
        command.args(["-v", "error", "-nostdin", "-threads", "1", "-ss", &format!("{seconds:.3}")]);
        command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", CONTAINERS, "-i", INPUT]);
        let longest = self.longest;
        let scale =
            format!("scale=w='min(iw,{longest})':h='min(ih,{longest})':force_original_aspect_ratio=decrease");
        command.args(["-map", "0:v:0", "-frames:v", "1", "-vf", &scale, "-pix_fmt", "rgb24"]);
        command.args(["-c:v", "png", "-compression_level", "1", "-f", "image2pipe", "pipe:1"]);
        self.picture_by(command).await
    }

    pub(super) async fn first_page_of(&self, source: File) -> Result<Found, RenderError> {
        let mut command = self.command(&find("pdftoppm")?, &source)?;
        command.args(["-q", "-f", "1", "-l", "1", "-singlefile", "-png"]);
        command.args(["-scale-to", &self.longest.to_string(), INPUT_PATH]);
        let picture = self.picture_by(command).await?;
        if length_of(&picture)? == 0 {
            return Err(RenderError::broken(
                "its first page can't be drawn; it may be protected by a password",
            ));
        }
        Ok((picture, None))
    }

    /// A tool behind its lock, with the source as its standard input.
    fn command(&self, tool: &Path, source: &File) -> Result<Command, RenderError> {
        let source = source.try_clone().map_err(|error| unavailable(&error))?;
        let address_space = self.limits.address_space.max(LEAST_ADDRESS_SPACE);
        let mut command = Command::new(self.program);
        command
            .args(["render-worker", "--address-space", &address_space.to_string()])
            .args(["--cpu-seconds", &self.limits.cpu_seconds().to_string()])
            .args(["--file-size", &LARGEST_PICTURE.to_string(), "--tool"])
            .arg(tool)
            .arg("--")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(source))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a tool that writes one picture; none is an empty file.
    async fn picture_by(&self, mut command: Command) -> Result<File, RenderError> {
        // On disk and not through a pipe: the kernel holds its size, and nobody has to hold it in memory.
        let mut output = tempfile::tempfile().map_err(|error| unavailable(&error))?;
        let stdout = output.try_clone().map_err(|error| unavailable(&error))?;
        let mut child = command.stdout(Stdio::from(stdout)).spawn().map_err(|error| unavailable(&error))?;
        let status = child.wait().await.map_err(|error| unavailable(&error))?;
        if let Some(cause) = cause_of_end(status) {
            return Err(cause);
        }
        output.rewind().map_err(|error| unavailable(&error))?;
        Ok(output)
    }
}

/// What a tool can't be blamed for; one that only fails leaves no picture.
fn cause_of_end(status: ExitStatus) -> Option<RenderError> {
    if status.code() == Some(super::child::NOT_STARTED) {
        return Some(unavailable(&io::Error::other("it can't be locked in or started")));
    }
    let signal = status.signal()?;
    Some(if signal == Signal::XCPU.as_raw() {
        RenderError::TimedOut
    } else if signal == Signal::XFSZ.as_raw() {
        RenderError::TooLarge("its picture takes too much room".to_owned())
    } else {
        RenderError::Crashed
    })
}

fn length_of(file: &File) -> Result<u64, RenderError> {
    file.metadata().map(|metadata| metadata.len()).map_err(|error| unavailable(&error))
}

fn unavailable(error: &io::Error) -> RenderError {
    warn!(%error, "a tool for films or documents can't be run");
    RenderError::Unavailable
}

/// The program of this name on the `PATH`.
fn find(name: &str) -> Result<PathBuf, RenderError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_absolute() && program.is_file())
        .ok_or_else(|| RenderError::MissingTool(name.to_owned()))
}
