//! The server's side: one render process, started when needed and replaced when it is gone.

use super::{
    RenderError, RenderRequest, Rendered, Rendition,
    sniff::{HEAD, Kind},
    tools,
    wire::{self, Answer, Bounds, Done, Hello, Order},
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::FileExt, net::UnixStream as StdStream, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, timeout},
};
use tracing::{debug, warn};

/// What a process is given after which it makes room for a new one: whatever a decoder leaks is bounded.
const LONGEST_SERVICE: u32 = 500;
/// For a dead process to be buried, and its last words read.
const BURIAL: Duration = Duration::from_secs(2);
const LAST_WORDS: u64 = 4096;

/// What one job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderLimits {
    /// Of the process, in bytes (`RLIMIT_AS`).
    pub address_space: u64,
    pub cpu_time: Duration,
    pub wall_time: Duration,
    /// Of the source, by its header.
    pub max_pixels: u64,
    /// Longer animations are shown by their first frame.
    pub max_frames: u32,
    /// Bytes.
    pub max_source: u64,
}

impl Default for RenderLimits {
    fn default() -> Self {
        Self {
            address_space: 1 << 30,
            cpu_time: Duration::from_secs(20),
            wall_time: Duration::from_secs(60),
            max_pixels: 50_000_000,
            max_frames: 20,
            max_source: 512 << 20,
        }
    }
}

impl RenderLimits {
    /// Whole seconds, at least one: the kernel counts no finer.
    pub(super) fn cpu_seconds(&self) -> u64 {
        self.cpu_time.as_secs().saturating_add(u64::from(self.cpu_time.subsec_nanos() > 0)).max(1)
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            max_pixels: self.max_pixels,
            max_frames: self.max_frames,
            max_source: self.max_source,
            cpu_seconds: self.cpu_seconds(),
        }
    }
}

/// Renders one file at a time, in a process of its own.
///
/// After a crash, a kill, a time-out or a dropped [`RenderWorker::render`] the process is gone; the next call has
/// a fresh one.
#[derive(Debug)]
pub struct RenderWorker {
    limits: RenderLimits,
    program: PathBuf,
    process: Option<Process>,
}

impl RenderWorker {
    #[must_use]
    pub fn new(limits: RenderLimits) -> Self {
        Self { limits, program: own_program(), process: None }
    }

    /// Uses another file as the server's binary, for callers that are not it themselves.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// The running process between two jobs, if there is one.
    pub fn child_id(&self) -> Option<u32> {
        self.process.as_ref().and_then(|process| process.child.id())
    }

    /// Makes all outputs of the request from the file.
    ///
    /// # Errors
    /// Why there are none; the worker itself stays usable.
    pub async fn render(
        &mut self,
        source: tokio::fs::File,
        request: &RenderRequest,
    ) -> Result<Rendered, RenderError> {
        let (start, wall_time) = (Instant::now(), self.limits.wall_time);
        let source = source.into_std().await;
        let rendering = Box::pin(self.render_file(source, request));
        // Whatever is under way is killed as it is dropped.
        let mut rendered = timeout(wall_time, rendering).await.map_err(|_| RenderError::TimedOut)??;
        rendered.millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(rendered)
    }

    async fn render_file(&mut self, source: File, request: &RenderRequest) -> Result<Rendered, RenderError> {
        let (source, head, length) = read_head(source).await?;
        if length == 0 {
            return Err(RenderError::broken("it is empty"));
        }
        if length > self.limits.max_source {
            return Err(RenderError::TooLarge(format!(
                "it has {length} bytes, and {} are the limit",
                self.limits.max_source
            )));
        }
        let kind = Kind::of(&head, &request.media_type).ok_or(RenderError::Unsupported)?;
        let longest = request.outputs.iter().map(|output| output.max_side).max().unwrap_or_default();
        let tool = tools::Toolbox { program: &self.program, limits: &self.limits, longest };
        let (picture, size) = match kind {
            Kind::Video | Kind::Avif => tool.frame_of(kind, source).await?,
            Kind::Pdf => tool.first_page_of(source).await?,
            _ => (source, None),
        };
        let mut rendered = self.decode(picture, request).await?;
        kind.name().clone_into(&mut rendered.source_format);
        if let Some((width, height)) = size {
            (rendered.source_width, rendered.source_height) = (width, height);
        }
        Ok(rendered)
    }

    async fn decode(&mut self, source: File, request: &RenderRequest) -> Result<Rendered, RenderError> {
        // Taken out while it works: when this future is dropped, the process goes with it.
        let fit = self.process.take().and_then(Process::if_fit);
        let mut process = match fit {
            Some(process) => process,
            None => Process::start(&self.program, &self.limits).await?,
        };
        let order = Order { request: request.clone(), bounds: self.limits.bounds() };
        match process.carry_out(&order, source).await {
            Ok(answer) => {
                self.process = Some(process);
                answer
            }
            Err(error) => Err(process.explain_end(&error).await),
        }
    }
}

async fn read_head(source: File) -> Result<(File, Vec<u8>, u64), RenderError> {
    let reading = tokio::task::spawn_blocking(move || {
        let length = source.metadata()?.len();
        let mut head = vec![0; HEAD];
        let mut filled = 0;
        while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match source.read_at(rest, u64::try_from(filled).unwrap_or(u64::MAX))? {
                0 => break,
                read => filled += read,
            }
        }
        head.truncate(filled);
        io::Result::Ok((source, head, length))
    });
    reading.await.map_err(io::Error::other).flatten().map_err(|error| {
        warn!(%error, "a source can't be read");
        RenderError::Unavailable
    })
}

/// This binary. On Linux it is found even after an update has replaced the file.
fn own_program() -> PathBuf {
    let itself = Path::new("/proc/self/exe");
    if itself.exists() {
        return itself.to_owned();
    }
    std::env::current_exe().unwrap_or_else(|_| itself.to_owned())
}

/// A render process and the line to it; killed when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    line: UnixStream,
    jobs: u32,
}

impl Process {
    async fn start(program: &Path, limits: &RenderLimits) -> Result<Self, RenderError> {
        let unavailable = |error: io::Error| {
            warn!(program = %program.display(), %error, "the render process can't be started");
            RenderError::Unavailable
        };
        let (ours, theirs) = StdStream::pair().map_err(unavailable)?;
        ours.set_nonblocking(true).map_err(unavailable)?;
        let line = UnixStream::from_std(ours).map_err(unavailable)?;
        let output = OwnedFd::from(theirs.try_clone().map_err(unavailable)?);
        let child = Command::new(program)
            .args(["render-worker", "--address-space", &limits.address_space.to_string()])
            .env_clear()
            // Every further arena of glibc's takes 64 MiB of the address space.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .stderr(Stdio::piped())
            // What a terminal sends to the server is not for this one: its job is finished first.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(unavailable)?;
        let mut process = Self { child, line, jobs: 0 };
        match read_message::<Hello>(&mut process.line).await {
            Ok(hello) => {
                if !hello.not_applied.is_empty() {
                    warn!(not_applied = ?hello.not_applied, "the render process is not fully locked in");
                }
                debug!(id = process.child.id(), "a render process has started");
                Ok(process)
            }
            Err(error) => {
                process.explain_end(&error).await;
                Err(RenderError::Unavailable)
            }
        }
    }

    /// Alive, and not too long in service.
    fn if_fit(mut self) -> Option<Self> {
        (self.jobs < LONGEST_SERVICE && matches!(self.child.try_wait(), Ok(None))).then_some(self)
    }

    /// The outer error is the process's, the inner one the file's.
    async fn carry_out(&mut self, order: &Order, source: File) -> io::Result<Result<Rendered, RenderError>> {
        self.jobs += 1;
        let message = wire::framed(order)?;
        let sent = send_with_file(&self.line, &message, &source).await?;
        drop(source);
        self.line.write_all(message.get(sent..).unwrap_or_default()).await?;
        let done = match read_message::<Answer>(&mut self.line).await? {
            Ok(done) => done,
            Err(error) => return Ok(Err(error.tidied())),
        };
        self.read_renditions(done, order).await.map(Ok)
    }

    async fn read_renditions(&mut self, done: Done, order: &Order) -> io::Result<Rendered> {
        let outputs = &order.request.outputs;
        let is_as_ordered = done.renditions.len() == outputs.len()
            && done.renditions.iter().zip(outputs).all(|(made, output)| {
                let sides = 1..=output.max_side;
                made.format == output.format
                    && made.length <= wire::LARGEST_RENDITION
                    && sides.contains(&made.width)
                    && sides.contains(&made.height)
            });
        if !is_as_ordered {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not to the order"));
        }
        let mut renditions = Vec::with_capacity(outputs.len());
        for made in done.renditions {
            let mut bytes = vec![0; made.length];
            self.line.read_exact(&mut bytes).await?;
            renditions.push(Rendition {
                width: made.width,
                height: made.height,
                format: made.format,
                is_animated: made.is_animated,
                bytes,
            });
        }
        Ok(Rendered {
            source_width: done.source_width,
            source_height: done.source_height,
            source_format: String::new(),
            millis: 0,
            renditions,
        })
    }

    /// Ends the process, if it has not ended itself, and finds out why.
    async fn explain_end(mut self, error: &io::Error) -> RenderError {
        // One that broke the rules of the conversation still runs.
        let status = match timeout(BURIAL, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ended_by_itself = self.child.start_kill();
                None
            }
        };
        let last_words = self.last_words().await;
        let cause = cause_of_end(status, &last_words);
        warn!(?status, %error, ?cause, last_words, "a render process has ended during a job");
        cause
    }

    async fn last_words(&mut self) -> String {
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _what_came = timeout(BURIAL, stderr.take(LAST_WORDS).read_to_end(&mut words)).await;
        }
        String::from_utf8_lossy(&words).into_owned()
    }
}

fn cause_of_end(status: Option<ExitStatus>, last_words: &str) -> RenderError {
    let by_signal = status.and_then(|status| status.signal());
    if by_signal == Some(rustix::process::Signal::XCPU.as_raw()) {
        RenderError::TimedOut
    } else if last_words.contains("memory allocation of") {
        // What the standard library says before it aborts.
        RenderError::OutOfMemory
    } else {
        RenderError::Crashed
    }
}

/// Sends the beginning of the message together with the open file; says how much was sent.
async fn send_with_file(line: &UnixStream, message: &[u8], file: &File) -> io::Result<usize> {
    loop {
        line.writable().await?;
        let sent = line.try_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut attached = SendAncillaryBuffer::new(&mut space);
            let files = [file.as_fd()];
            if !attached.push(SendAncillaryMessage::ScmRights(&files)) {
                return Err(io::Error::other("no room for a file in the message"));
            }
            Ok(rustix::net::sendmsg(line, &[IoSlice::new(message)], &mut attached, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent,
        }
    }
}

async fn read_message<M: DeserializeOwned>(line: &mut UnixStream) -> io::Result<M> {
    let mut length = [0; wire::LENGTH];
    line.read_exact(&mut length).await?;
    let mut json = vec![0; wire::message_length(length)?];
    line.read_exact(&mut json).await?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::{ExitStatus, ExitStatusExt, RenderError, cause_of_end};

    #[test]
    fn the_signal_and_the_last_words_tell_why_a_process_ended() {
        let by = |signal| Some(ExitStatus::from_raw(signal));
        assert_eq!(cause_of_end(by(24), ""), RenderError::TimedOut);
        assert_eq!(cause_of_end(by(6), "memory allocation of 99 bytes failed"), RenderError::OutOfMemory);
        assert_eq!(cause_of_end(by(9), ""), RenderError::Crashed);
        assert_eq!(cause_of_end(None, ""), RenderError::Crashed);
    }
}
