//! A running server with a folder and a database of its own, and what tests do to it directly.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cdn_actors::domain::ids::UserId;
use chrono::{TimeDelta, Utc};
use hackclub_cdn::config::{ByteSize, Config, Span, TierConfig};
use hackclub_cdn::db::{DbError, Tx};
use hackclub_cdn::service::Services;
use hackclub_cdn::service::accounts::NewUser;
use hackclub_cdn::startup::Application;
use serde_json::json;
use tokio::task::JoinHandle;

use super::client::{Client, PASSWORD};
use super::clock::ShiftedClock;
use super::engines::Engine;
use super::postgres;
use super::reply::Fetch;
use super::wait::wait_until;
use super::wire::Wire;

/// The public base URL of every server under test. It differs from the address the server listens on,
/// so that a link built from the `Host` header is noticed.
pub const PUBLIC_URL: &str = "http://cdn.example";

/// Longest that a graceful stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A database on Postgres, and the connection to it that a test may cut.
struct Database {
    name: String,
    wire: Wire,
}

pub struct TestApp {
    pub base: String,
    pub port: u16,
    pub services: Services,
    /// The server's time; a test may move it on.
    pub clock: Arc<ShiftedClock>,
    database: Option<Database>,
    server: JoinHandle<()>,
    stop: Box<dyn Fn() -> futures_util::future::LocalBoxFuture<'static, ()>>,
    folder: tempfile::TempDir,
}

impl TestApp {
    pub async fn start(engine: Engine, configure: fn(&mut Config)) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = tempfile::Builder::new().prefix("cdn-test-").tempdir().expect("a temporary folder");
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => {
                let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
                let wire = Wire::to(postgres::create_database(&name).await).await;
                Some(Database { name, wire })
            }
        };

        let mut config = Config::default();
        config.server.bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.server.public_url = PUBLIC_URL.to_owned();
        config.server.workers = 1;
        config.server.shutdown_timeout = Span::from_secs(5);
        // All clients of a test are one network; tests of these limits set them.
        config.limits.network_requests_per_minute = 0;
        config.limits.account_requests_per_minute = 0;
        config.auth.secret_file = folder.path().join("secret");
        config.storage.url = format!("file://{}", folder.path().join("blobs").display());
        config.database.url = match &database {
            None => format!("sqlite://{}", folder.path().join("cdn.db").display()),
            Some(database) => postgres::url(database.wire.port, &database.name),
        };
        configure(&mut config);

        let clock = Arc::new(ShiftedClock::default());
        let application =
            Application::build_with_clock(config, Arc::clone(&clock) as _).await.expect("the server starts");
        let port = application.port();
        let services = application.services();
        let stopper = application.stopper();
        let server = actix_web::rt::spawn(async move {
            application.run_until_stopped().await.expect("the server runs until it is stopped");
        });
        Self {
            base: format!("http://127.0.0.1:{port}"),
            port,
            services,
            clock,
            database,
            server,
            stop: Box::new(move || {
                let stopper = stopper.clone();
                Box::pin(async move { stopper.stop().await })
            }),
            folder,
        }
    }

    /// The broken invariants, as the `check` command lists them.
    pub async fn check(&self) -> Vec<String> {
        self.services.check(false).await.expect("the check runs").problems
    }

    /// Waits until nothing is under way, and answers with the broken invariants.
    pub async fn settle(&self) -> Vec<String> {
        let seen = RefCell::new(Vec::new());
        let is_quiet = || async {
            let leftovers = self.leftovers().await;
            *seen.borrow_mut() = leftovers;
            seen.borrow().is_empty()
        };
        wait_until(|| format!("nothing is left of ended uploads; there are {:?}", seen.borrow()), is_quiet)
            .await;
        self.check().await
    }

    pub async fn stop(self) {
        (self.stop)().await;
        let ended = tokio::time::timeout(STOP_LIMIT, self.server).await;
        ended.expect("the server stops in time").expect("the server did not panic");
        drop(self.services);
        if let Some(database) = &self.database {
            postgres::drop_database(&database.name).await;
        }
    }

    /// A client without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.base)
    }

    /// The same from 127.0.0.`last`, which is another network than that of all other clients.
    pub fn anonymous_from(&self, last: u8) -> Client {
        Client::from_address(&self.base, Ipv4Addr::new(127, 0, 0, last))
    }

    /// Makes a user of the default tier and logs in; the client keeps its cookies.
    pub async fn user(&self, email: &str) -> Client {
        self.create_user(email, None).await;
        self.login(email, PASSWORD).await
    }

    /// The same in a tier of the configuration.
    pub async fn user_in_tier(&self, email: &str, tier: &str) -> Client {
        self.create_user(email, Some(tier)).await;
        self.login(email, PASSWORD).await
    }

    /// Makes an administrator and logs in.
    pub async fn admin(&self, email: &str) -> Client {
        self.insert_user(email, None, true).await;
        self.login(email, PASSWORD).await
    }

    pub async fn create_user(&self, email: &str, tier: Option<&str>) {
        self.insert_user(email, tier, false).await;
    }

    async fn insert_user(&self, email: &str, tier: Option<&str>, is_admin: bool) {
        let user = NewUser {
            email: email.to_owned(),
            name: name_for(email),
            password: Some(PASSWORD.to_owned()),
            tier: tier.map(str::to_owned),
            is_admin,
        };
        self.services.create_user(user).await.expect("the user is new");
    }

    pub async fn login(&self, email: &str, password: &str) -> Client {
        let client = Client::new(&self.base);
        let reply =
            client.post("/api/auth/login").json(&json!({"email": email, "password": password})).fetch().await;
        client.logged_in_by(&reply)
    }

    /// The path and query of a URL that the server gave out; it must start with the public URL.
    #[track_caller]
    pub fn local(&self, url: &serde_json::Value) -> String {
        let url = url.as_str().unwrap_or_else(|| panic!("not a URL: {url}"));
        let path = url.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{url} is not below {PUBLIC_URL}"));
        assert!(path.starts_with('/'), "{url}");
        path.to_owned()
    }

    /// Files in the blob store with their sizes, finished or not.
    pub fn stored_objects(&self) -> BTreeMap<String, u64> {
        let mut objects = BTreeMap::new();
        collect_files(&self.folder.path().join("blobs"), &mut objects);
        objects
    }

    /// Waits until the store holds exactly `count` objects, and no upload is under way.
    pub async fn expect_stored_objects(&self, count: usize) {
        let seen = RefCell::new(String::new());
        let is_reached = || async {
            let (objects, leftovers) = (self.stored_objects(), self.leftovers().await);
            *seen.borrow_mut() = format!("{objects:?}, {leftovers:?}");
            objects.len() == count && leftovers.is_empty()
        };
        wait_until(|| format!("{count} objects in the store; there are {}", seen.borrow()), is_reached).await;
    }

    /// What uploads leave behind that did not end, or have not yet.
    pub async fn leftovers(&self) -> Vec<String> {
        let mut leftovers = Vec::new();
        for (what, sql) in [
            ("reservations", "SELECT COUNT(*) FROM reservations"),
            ("reserved bytes", "SELECT CAST(COALESCE(SUM(storage_reserved), 0) AS BIGINT) FROM accounts"),
            ("blobs that are not live", "SELECT COUNT(*) FROM blobs WHERE state <> 'live'"),
        ] {
            let (count,): (i64,) = self.services.db.q(sql).one().await.expect(sql);
            if count != 0 {
                leftovers.push(format!("{what}: {count}"));
            }
        }
        leftovers
    }

    /// Lets or no longer lets a user in, as the operator does.
    pub async fn set_active(&self, client: &Client, is_active: bool) {
        self.services.set_active(UserId(client.id), is_active).await.expect("the user exists");
    }

    /// Moves every use of a refresh token into the past, past the grace that a repeat gets.
    pub async fn age_used_refresh_tokens(&self) {
        let used_at = Utc::now() - TimeDelta::seconds(31);
        let work = async move |tx: &mut Tx| {
            tx.q("UPDATE refresh_tokens SET used_at = $1 WHERE used_at IS NOT NULL")
                .bind(used_at)
                .exec()
                .await
        };
        self.services.db.write::<_, _, DbError>(work).await.expect("the tokens age");
    }

    /// The connection to the database. Postgres only.
    pub fn database(&self) -> &Wire {
        &self.database.as_ref().expect("a test on Postgres").wire
    }
}

/// The name a test user gets.
fn name_for(email: &str) -> String {
    format!("User {email}")
}

/// Adds a tier, or changes one. Sizes in bytes.
pub fn set_tier(config: &mut Config, name: &str, max_file_size: u64, max_total: u64) {
    let tier = TierConfig {
        max_file_size: ByteSize::from_bytes(max_file_size),
        max_total: ByteSize::from_bytes(max_total),
    };
    config.quota.tiers.insert(name.to_owned(), tier);
}

fn collect_files(folder: &Path, into: &mut BTreeMap<String, u64>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => collect_files(&path, into),
            Ok(metadata) => {
                into.insert(path.display().to_string(), metadata.len());
            }
            // Removed since it was listed.
            Err(_) => {}
        }
    }
}
