//! One temporary Postgres cluster for the whole run: started on first use, one database for each test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hackclub_cdn::config::Config;
use hackclub_cdn::db::Db;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub const MISSING: &str = "`initdb` and `postgres` are neither in PATH nor in /usr/lib/postgresql/*/bin.\n\
    To have it, install the server package of your system (Debian and Ubuntu: apt-get install postgresql).";

const SUPERUSER: &str = "cdn";
const TEMPLATE: &str = "cdn_template";
const START_LIMIT: Duration = Duration::from_secs(60);
/// Another process may take the port that was found free; then the next one is tried.
const PORT_ATTEMPTS: usize = 5;

/// Where the cluster listens, and the thread that keeps it.
struct Cluster {
    port: u16,
    keeper: Mutex<Option<Keeper>>,
}

struct Keeper {
    stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();

/// The folder that has `initdb` and `postgres`, if there is one.
pub fn binaries() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// Makes an empty, migrated database and answers with the port of its server.
pub async fn create_database(name: &str) -> u16 {
    execute("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
    cluster().port
}

pub async fn drop_database(name: &str) {
    execute("postgres", &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

/// Stops the cluster if it was started, and removes its folder.
pub fn stop() {
    let Some(Ok(cluster)) = CLUSTER.get() else { return };
    let keeper = cluster.keeper.lock().expect("no panic while it was held").take();
    if let Some(Keeper { stop, thread }) = keeper {
        drop(stop);
        thread.join().expect("the keeper ends");
    }
}

fn cluster() -> &'static Cluster {
    match CLUSTER.get_or_init(start) {
        Ok(cluster) => cluster,
        Err(message) => panic!("Postgres did not start: {message}"),
    }
}

pub fn url(port: u16, database: &str) -> String {
    format!("postgres://{SUPERUSER}@127.0.0.1:{port}/{database}")
}

async fn execute(database: &str, sql: &str) {
    let mut connection =
        PgConnection::connect(&url(cluster().port, database)).await.expect("the cluster answers");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect(sql);
    connection.close().await.expect("the connection closes");
}

/// The signal that a parent's end sends to the server is bound to the parent's *thread*, so the thread that
/// starts the server is one that lives until the end.
fn start() -> Result<Cluster, String> {
    let (stop, stopped) = mpsc::channel();
    let (started, start) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("postgres keeper".to_owned())
        .spawn(move || keep(&started, &stopped))
        .map_err(|error| error.to_string())?;
    let port = start.recv().map_err(|_| "its keeper panicked".to_owned())??;
    Ok(Cluster { port, keeper: Mutex::new(Some(Keeper { stop, thread })) })
}

fn keep(started: &mpsc::Sender<Result<u16, String>>, stopped: &mpsc::Receiver<()>) {
    let system = actix_web::rt::System::new();
    let outcome = system.block_on(Server::start());
    let (port, server) = match outcome {
        Ok(server) => (Ok(server.port), Some(server)),
        Err(message) => (Err(message), None),
    };
    if started.send(port).is_ok() && server.is_some() {
        // An error is what it waits for: the sender was dropped.
        let _ended = stopped.recv();
    }
    drop(server);
}

/// A running server process and its folder, ended and removed on drop.
struct Server {
    process: Child,
    port: u16,
    binaries: PathBuf,
    user: Account,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Result<Self, String> {
        let binaries = binaries().ok_or(MISSING)?;
        let folder =
            tempfile::Builder::new().prefix("cdn-pg-").tempdir().map_err(|error| error.to_string())?;
        let user = Account::for_postgres(folder.path())?;
        initialize(&binaries, folder.path(), user)?;
        let mut failure = String::new();
        let mut folder = folder;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port().map_err(|error| error.to_string())?;
            let process = spawn(&binaries, folder.path(), port, user)?;
            let mut server = Self { process, port, binaries: binaries.clone(), user, folder };
            match server.wait_until_ready().await {
                Ok(()) => {
                    make_template(port).await?;
                    return Ok(server);
                }
                Err(message) => failure = message,
            }
            folder = server.into_folder()?;
        }
        Err(failure)
    }

    async fn wait_until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if PgConnection::connect(&url(self.port, "postgres")).await.is_ok() {
                return Ok(());
            }
            let ended = self.process.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the process and keeps the folder for another attempt.
    fn into_folder(mut self) -> Result<tempfile::TempDir, String> {
        let next = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(std::mem::replace(&mut self.folder, next))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing in the cluster is worth a checkpoint; but a server that is killed leaves its shared memory behind.
        let mut command = Command::new(self.binaries.join("pg_ctl"));
        command
            .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(self.folder.path().join("data"));
        command.current_dir(self.folder.path());
        self.user.apply(&mut command);
        if !command.status().is_ok_and(|status| status.success()) {
            let _gone_already = self.process.kill();
        }
        let _status = self.process.wait();
    }
}

/// The system account that the server runs as; it refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    switch_to: Option<(u32, u32)>,
}

impl Account {
    fn for_postgres(folder: &Path) -> Result<Self, String> {
        let owner = fs::metadata(folder).map_err(|error| error.to_string())?.uid();
        if owner != 0 {
            return Ok(Self { switch_to: None });
        }
        let accounts = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
        let (uid, gid) = ["postgres", "nobody"]
            .iter()
            .find_map(|name| ids_of(&accounts, name))
            .ok_or("running as root, and there is neither a user `postgres` nor `nobody` to run it as")?;
        chown(folder, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
        Ok(Self { switch_to: Some((uid, gid)) })
    }

    fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.switch_to {
            command.uid(uid).gid(gid);
        }
    }
}

fn ids_of(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Locale C on purpose: text must sort and match the same whatever the cluster's locale is.
fn initialize(binaries: &Path, folder: &Path, user: Account) -> Result<(), String> {
    let mut command = Command::new(binaries.join("initdb"));
    command
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", SUPERUSER])
        .arg("--pgdata")
        .arg(folder.join("data"))
        .current_dir(folder);
    user.apply(&mut command);
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("initdb: {}", String::from_utf8_lossy(&output.stderr)))
}

fn spawn(binaries: &Path, folder: &Path, port: u16, user: Account) -> Result<Child, String> {
    let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
    let mut command = dying_with_us(&binaries.join("postgres"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
        .arg(folder)
        .args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"])
        .args(["-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "autovacuum=off"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    user.apply(&mut command);
    command.spawn().map_err(|error| format!("postgres: {error}"))
}

/// A command whose process the kernel ends when this process dies, where `setpriv` is there to ask for it.
fn dying_with_us(program: &Path) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(setpriv) =
        std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|file| file.is_file())
    else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "QUIT", "--"]).arg(program);
    command
}

/// Migrates one database that all others are copied from; only one without connections can be copied.
async fn make_template(port: u16) -> Result<(), String> {
    let as_text = |error: sqlx::Error| error.to_string();
    let mut admin = PgConnection::connect(&url(port, "postgres")).await.map_err(as_text)?;
    let create = format!("CREATE DATABASE {TEMPLATE}");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.map_err(as_text)?;

    let mut config = Config::default();
    config.database.url = url(port, TEMPLATE);
    drop(Db::connect(&config).await.map_err(|error| format!("migrating: {error}"))?);

    let close = format!("ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false");
    sqlx::raw_sql(AssertSqlSafe(close)).execute(&mut admin).await.map_err(as_text)?;
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'");
    sqlx::raw_sql(AssertSqlSafe(end)).execute(&mut admin).await.map_err(as_text)?;
    admin.close().await.map_err(as_text)
}
