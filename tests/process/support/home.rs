//! The folder that a server works in, and its settings.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const BINARY: &str = env!("CARGO_BIN_EXE_hackclub-cdn");

/// How an ended command left things.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

pub struct Home {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    /// Program and arguments before the binary's own.
    wrapper: Vec<String>,
}

impl Home {
    /// An empty folder; all that is set is a free port.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cdn-process-").tempdir().expect("a folder");
        Self { folder, environment: BTreeMap::new(), wrapper: Vec::new() }.with("server.bind", "127.0.0.1:0")
    }

    /// Sets a key of the configuration by the environment.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    pub fn set(&mut self, key: &str, value: &str) {
        self.environment.insert(format!("CDN__{}", key.replace('.', "__").to_uppercase()), value.to_owned());
    }

    /// Runs the binary by another program, such as one that enters a namespace.
    pub fn wrap(&mut self, wrapper: Vec<String>) {
        self.wrapper = wrapper;
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn blobs(&self) -> PathBuf {
        self.path().join("data/blobs")
    }

    /// The binary in this folder with these settings and nothing else from the environment but PATH.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.wrapper.clone();
        words.push(BINARY.to_owned());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().expect("the binary runs").into()
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("piped");
        // One that ends before it reads its input says why by its exit code.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the binary ends").into()
    }

    /// Runs a command that must succeed.
    pub fn run_well(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// `check` must find nothing.
    pub fn assert_check_is_clean(&self) {
        let ended = self.run(&["check"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.ends_with(" 0 problems, 0 repaired\n"), "{ended:?}");
    }

    /// Everything in the blob folder that is no folder.
    pub fn stored_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.blobs()];
        while let Some(folder) = folders.pop() {
            // The server removes empty folders while this looks.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    _ => files.push(entry.path()),
                }
            }
        }
        files
    }
}
