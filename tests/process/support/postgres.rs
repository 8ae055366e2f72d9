//! A temporary Postgres cluster of one test, which the test may stop and start.

use super::{SOON, eventually, server::signal};
use sqlx::{Connection, PgConnection};
use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const VARIABLE: &str = "CDN_TEST_ENGINES";
const SUPERUSER: &str = "cdn";

pub struct Cluster {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
    binaries: PathBuf,
    /// The server refuses to run as root.
    account: Option<(u32, u32)>,
}

impl Cluster {
    /// `None` where Postgres isn't to be tested, which is said on standard error.
    ///
    /// # Panics
    /// When `CDN_TEST_ENGINES` asks for Postgres and its binaries are not there.
    pub async fn start() -> Option<Self> {
        let wanted = std::env::var(VARIABLE).ok().filter(|list| !list.trim().is_empty());
        let is_named = |list: &String| list.split(',').any(|name| name.trim() == "postgres");
        if wanted.as_ref().is_some_and(|list| !is_named(list)) {
            return None;
        }
        let Some(binaries) = binaries() else {
            assert!(wanted.is_none(), "{VARIABLE} asks for postgres: `initdb` and `postgres` are not here");
            // Straight to the stream: what a passing test prints is not shown.
            let note = "NOT TESTED on Postgres: `initdb` and `postgres` are not on this machine";
            let _unread =
                writeln!(std::io::stderr(), "{note}; {VARIABLE}=sqlite,postgres makes this an error");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("cdn-process-pg-").tempdir().expect("a folder");
        let account = account_for(folder.path());
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let port = port.expect("a free port").port();
        initialize(&binaries, folder.path(), account);
        let process = spawn(&binaries, folder.path(), account, port);
        let cluster = Self { process, port, folder, binaries, account };
        cluster.ready().await;
        Some(cluster)
    }

    /// Of the one database that the tests use.
    pub fn url(&self) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/postgres", self.port)
    }

    async fn ready(&self) {
        let url = self.url();
        eventually("the start of Postgres", 2 * SOON, async || PgConnection::connect(&url).await.is_ok())
            .await;
    }

    /// Ends the cluster at once, and all connections with it.
    pub fn end(&mut self) {
        signal("QUIT", self.process.id());
        self.process.wait().expect("it ends");
    }

    /// Starts it again where it was.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.binaries, self.folder.path(), self.account, self.port);
        self.ready().await;
    }

    /// Holds every process of the cluster: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    /// The postmaster first when stopping, so that it starts no more; its children are found by their parent.
    fn signal_all(&self, name: &str) {
        let postmaster = self.process.id();
        signal(name, postmaster);
        let children = Path::new("/proc").read_dir().expect("processes").flatten().filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
            (parent.trim().parse() == Ok(postmaster)).then_some(id)
        });
        for child in children.collect::<Vec<_>>() {
            let _gone = Command::new("kill").args([format!("-{name}"), child.to_string()]).status();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        if std::thread::panicking() {
            self.thaw();
        }
        // Not killed, unless it must be: it would leave its shared memory behind.
        signal("QUIT", self.process.id());
        let limit = Instant::now() + SOON;
        while Instant::now() < limit && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ended_already = self.process.kill();
        let _status = self.process.wait();
    }
}

fn binaries() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(installed.map(|entry| entry.path().join("bin")));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

fn account_for(folder: &Path) -> Option<(u32, u32)> {
    if fs::metadata(folder).expect("the folder").uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").expect("accounts");
    let ids = |name: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (user, group) = ids("postgres").or_else(|| ids("nobody")).expect("an account that isn't root");
    chown(folder, Some(user), Some(group)).expect("the folder is given away");
    Some((user, group))
}

fn command(program: &Path, folder: &Path, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command
}

fn initialize(binaries: &Path, folder: &Path, account: Option<(u32, u32)>) {
    let output = command(&binaries.join("initdb"), folder, account)
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", SUPERUSER, "-D", "data"])
        .output()
        .expect("initdb runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn spawn(binaries: &Path, folder: &Path, account: Option<(u32, u32)>, port: u16) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    command(&binaries.join("postgres"), folder, account)
        .args(["-D", "data", "-h", "127.0.0.1", "-p", &port.to_string(), "-c", "unix_socket_directories="])
        .args(["-c", "fsync=off", "-c", "max_connections=60", "-c", "shared_buffers=16MB"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres runs")
}
