//! A running server process; killed on drop.

use super::{SOON, client::Client, eventually, home::Home};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

const SERVING: &str = "Serving on ";

pub struct Server {
    process: Child,
    /// Without a slash at its end.
    pub url: String,
    pub port: u16,
    /// E-mail and password, on the first start.
    pub admin: Option<(String, String)>,
    lines: Arc<Mutex<Vec<String>>>,
    log: PathBuf,
}

impl Server {
    pub fn start(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    /// Starts with more in the environment than the home's settings, and waits until it answers.
    pub fn start_with(home: &Home, environment: &[(&str, &str)]) -> Self {
        let server = Self::announced(home, environment);
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("the server listens");
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: cdn.example\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        server
    }

    /// Starts, and waits only until it has said that it serves.
    pub fn announced(home: &Home, environment: &[(&str, &str)]) -> Self {
        let log = home.path().join("server.log");
        let stderr = File::options().create(true).append(true).open(&log).expect("a log");
        let mut command = home.command(&[]);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(stderr);
        let mut process = command.spawn().expect("the binary runs");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (serving, is_serving) = mpsc::channel();
        let kept = Arc::clone(&lines);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let is_last = line.starts_with(SERVING);
                kept.lock().unwrap().push(line);
                if is_last {
                    let _nobody_waits = serving.send(());
                }
            }
        });
        let mut server =
            Self { process, url: String::new(), port: 0, admin: None, lines: Arc::clone(&lines), log };
        if is_serving.recv_timeout(SOON).is_err() {
            panic!("the server did not start:\n{}\n{}", server.stdout(), server.stderr());
        }
        server.read_start();
        server
    }

    fn read_start(&mut self) {
        let lines = self.lines.lock().unwrap().clone();
        let after = |start: &str| {
            lines
                .iter()
                .find_map(|line| line.trim_start().strip_prefix(start))
                .map(|text| text.trim().to_owned())
        };
        let serving = after(SERVING).expect("the URL");
        self.url = serving.split_whitespace().next().expect("the URL").to_owned();
        assert_eq!(serving, format!("{0}  (API: {0}/api/docs/)", self.url));
        self.port = self.url.rsplit(':').next().expect("a port").parse().expect("a port");
        self.admin = after("e-mail:").zip(after("password:"));
    }

    pub fn stdout(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The log of every server of this home.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn anonymous(&self) -> Client {
        Client::new(&self.url)
    }

    /// Signs in as the administrator that this start made.
    pub async fn sign_in(&self) -> Client {
        let (email, password) = self.admin.as_ref().expect("a first start");
        self.anonymous().signed_in(email, password).await
    }

    /// SIGKILL: nothing of the process runs after this.
    pub fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// SIGTERM; the process may go on for a while.
    pub fn terminate(&self) {
        signal("TERM", self.id());
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the process", 2 * SOON, async || {
            status = self.process.try_wait().expect("a child");
            status.is_some()
        })
        .await;
        status.expect("it ended")
    }

    /// SIGTERM, and exit code 0 after it.
    pub async fn stop(mut self) {
        self.terminate();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _status = self.process.wait();
        if thread::panicking() {
            println!("the log:\n{}", self.stderr());
        }
    }
}

pub fn signal(name: &str, process: u32) {
    let status =
        Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status().expect("a shell");
    assert!(status.success(), "kill -{name} {process}");
}

/// The most memory that the process has used since the last reset, in KiB.
pub fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Takes the present use as the peak (proc(5), clear_refs: 5), so that earlier work doesn't hide later.
pub fn reset_peak(server: &Server) -> u64 {
    fs::write(format!("/proc/{}/clear_refs", server.id()), "5").expect("the peak is reset");
    peak(server)
}
