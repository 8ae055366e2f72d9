//! The server under load: a process of its own, with defaults, in a folder that goes with the run.

use super::Failure;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

pub const EMAIL: &str = "load@example.com";
pub const PASSWORD: &str = "correct horse 7 battery";

/// Where the server's data lives between its starts.
pub struct House {
    server: PathBuf,
    engine: String,
    folder: TempDir,
    /// Tells this run's user from those of earlier runs on the same database.
    run: u32,
}

impl House {
    pub fn new(server: &Path, engine: &str) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("load-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (server, engine) = (fs::canonicalize(server)?, engine.to_owned());
        let house = Self { server, engine, folder, run: rand::random() };
        house.add_user()?;
        Ok(house)
    }

    pub fn unique(&self, email: &str) -> String {
        format!("{:08x}-{email}", self.run)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.server);
        command.current_dir(self.folder.path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CDN__")) {
            command.env_remove(name);
        }
        command.env("CDN__SERVER__BIND", "127.0.0.1:0");
        // The one tier that is used, with room for the largest file; and a session that outlives any run.
        command.env("CDN__QUOTA__TIERS__UNLIMITED__MAX_FILE_SIZE", "2 GiB");
        command.env("CDN__QUOTA__TIERS__UNLIMITED__MAX_TOTAL", "1 TiB");
        command.env("CDN__AUTH__ACCESS_TTL", "1d");
        // One client here stands for many.
        command.env("CDN__LIMITS__NETWORK_REQUESTS_PER_MINUTE", "0");
        command.env("CDN__LIMITS__ACCOUNT_REQUESTS_PER_MINUTE", "0");
        if self.engine != "sqlite" {
            command.env("CDN__DATABASE__URL", &self.engine);
        }
        command
    }

    fn add_user(&self) -> Result<(), Failure> {
        let mut command = self.command();
        command.args(["user", "add", &self.unique(EMAIL), "--name", "Load", "--tier", "unlimited"]);
        let mut process =
            command.arg("--password-stdin").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        if let Some(mut stdin) = process.stdin.take() {
            writeln!(stdin, "{PASSWORD}")?;
        }
        if process.wait()?.success() { Ok(()) } else { Err("the user could not be made".into()) }
    }

    /// Whether the server's own `check` finds the data in order, and what it says.
    pub fn check(&self) -> Result<(bool, String), Failure> {
        let output = self.command().arg("check").stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok((output.status.success(), text.trim().to_owned()))
    }

    /// The first few lines of the server's log about what it failed at.
    pub fn failures(&self) -> Result<Vec<String>, Failure> {
        let log = fs::read_to_string(self.folder.path().join("server.log"))?;
        let is_failure = |line: &&str| line.contains("\"level\":\"ERROR\"");
        Ok(log.lines().filter(is_failure).take(5).map(str::to_owned).collect())
    }

    /// Starts the server and waits until it says where it listens.
    pub fn start(&self) -> Result<Server, Failure> {
        let log = self.folder.path().join("server.log");
        let log_file = File::options().create(true).append(true).open(&log)?;
        let mut command = self.command();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file).spawn()?;
        let output = process.stdout.take();
        let mut server = Server { process, base: String::new() };
        for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
            if let Some(url) = line?.strip_prefix("Serving on ").and_then(|rest| rest.split(' ').next()) {
                server.base = url.to_owned();
                return Ok(server);
            }
        }
        Err(format!("the server did not start:\n{}", fs::read_to_string(log)?).into())
    }
}

/// A running server; killed when it is dropped.
pub struct Server {
    process: Child,
    base: String,
}

impl Server {
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Ends it as a service manager does.
    pub fn stop(mut self) -> Result<(), Failure> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        let status = self.process.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }

    /// Starts a new peak from what is in use now.
    pub fn watch_memory(&self) -> Memory {
        let folder = PathBuf::from(format!("/proc/{}", self.process.id()));
        // "5" resets the peak: https://docs.kernel.org/filesystems/proc.html
        let is_reset = fs::write(folder.join("clear_refs"), "5").is_ok();
        let status = folder.join("status");
        Memory { before: peak(&status).filter(|_| is_reset), status }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The peak of a process's memory since a moment.
pub struct Memory {
    status: PathBuf,
    before: Option<u64>,
}

impl Memory {
    /// In bytes; `None` where the system doesn't tell.
    pub fn growth(&self) -> Option<u64> {
        Some(peak(&self.status)?.saturating_sub(self.before?))
    }
}

/// Peak resident memory in bytes, from `VmHWM:     1234 kB`.
fn peak(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}
