//! Flows of several steps over the database, the blob store and the actors. No HTTP types.

pub mod access;
pub mod accounts;
mod act;
pub mod admin;
mod admission;
pub mod api_keys;
pub mod archive;
pub mod audit;
pub mod bulk;
mod check;
mod custodian;
pub mod dashboard;
mod error;
pub mod events;
pub mod files;
pub mod folders;
mod geography;
pub mod guesses;
mod journal;
mod keys;
mod ledger;
mod passwords;
mod placing;
pub mod processing;
mod renditions;
mod seal;
pub mod sessions;
pub mod shares;
mod sightings;
pub mod sign_in;
pub mod stars;
mod thumbnails;
pub mod trash;
pub mod upload;
pub mod upload_0x0;
pub mod versions;

pub use check::CheckReport;
pub use error::{FieldErrors, ServiceError};
pub use passwords::generate_password;
pub use renditions::{Picture, RenderPool};

use crate::{
    blob::BlobStore,
    config::{Config, QuotaConfig},
    db::{Db, Engine},
    net::{Fetcher, identity::IdentityProvider},
};
use audit::RefusalLog;
use cdn_actors::{
    accounts::{Accounts, AccountsConfig},
    domain::{
        clock::{Clock, SystemClock},
        ids::InstanceId,
        quota::Usage,
    },
    janitor::{Janitor, JanitorConfig, SweepReport},
    shares::{Shares, SharesConfig},
    thumbnails::Thumbnails,
};
use custodian::ServiceCustodian;
use events::StreamsEnd;
use geography::Geography;
use guesses::GuessTurns;
use keys::Keys;
use ledger::DbLedger;
use passwords::Passwords;
use prometheus::IntCounter;
use sightings::Sightings;
use std::{
    ops::Deref,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long shutdown waits for the janitor's present batch.
const JANITOR_GRACE: Duration = Duration::from_secs(5);

/// Everything a handler may call; cheap to clone.
#[derive(Clone)]
pub struct Services(Arc<Parts>);

/// For those that the services own, and that must not keep them alive.
pub struct WeakServices(Weak<Parts>);

impl WeakServices {
    pub fn upgrade(&self) -> Option<Services> {
        self.0.upgrade().map(Services)
    }
}

/// What the services are made of.
pub struct Parts {
    pub config: Config,
    pub db: Db,
    pub blobs: BlobStore,
    pub accounts: Accounts,
    pub shares: Shares,
    pub clock: Arc<dyn Clock>,
    /// This process, as the database sees it.
    pub instance: InstanceId,
    pub traffic: Traffic,
    pub renders: RenderPool,
    fetcher: Fetcher,
    thumbnails: OnceLock<Thumbnails>,
    pub upload_0x0: upload_0x0::Proxy,
    pub streams_end: StreamsEnd,
    janitor: OnceLock<Janitor>,
    geography: Geography,
    keys: Keys,
    passwords: Passwords,
    guess_turns: GuessTurns,
    uploads: Arc<Semaphore>,
    identity_provider: Option<IdentityProvider>,
    sightings: Sightings,
    refusals: RefusalLog,
}

/// Bytes of file content in and out.
pub struct Traffic {
    pub received: IntCounter,
    pub sent: IntCounter,
}

impl Deref for Services {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Why the services could not be put together, in words for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

impl Services {
    /// Opens the database and the blob store, and starts the actors.
    ///
    /// # Errors
    /// Whatever can't be opened, with its name.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        Self::build_with_clock(config, Arc::new(SystemClock)).await
    }

    /// The same with a clock of the caller's, for tests that move time.
    ///
    /// # Errors
    /// As [`Services::build`].
    pub async fn build_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let db = Db::connect(&config)
            .await
            .map_err(|error| BuildError(format!("database.url: the database can't be opened: {error}")))?;
        let blobs = BlobStore::open(&config.storage)
            .map_err(|error| BuildError(format!("storage.url: the blob store can't be opened: {error}")))?;
        let keys = Keys::load_or_create(&config.auth.secret_file).map_err(|error| {
            BuildError(format!("auth.secret_file: {}: {error}", config.auth.secret_file.display()))
        })?;
        let geography = Geography::open(config.analytics.geoip_path())
            .map_err(|error| BuildError(format!("analytics.geoip_database: {error}")))?;
        let fetcher = Fetcher::new(&config.fetch).map_err(|error| BuildError(format!("fetch: {error}")))?;
        let instance = InstanceId::new();
        let ledger =
            DbLedger { db: db.clone(), quota: config.quota.clone(), instance, clock: Arc::clone(&clock) };
        let journal = journal::DbJournal { db: db.clone() };
        let accounts = Accounts::start(
            Arc::new(ledger),
            Arc::new(journal),
            Arc::clone(&clock),
            accounts_config(&config),
        );
        let gate = shares::DbGate { db: db.clone(), clock: Arc::clone(&clock) };
        let shares = Shares::start(Arc::new(gate), shares_config(&config));
        let counter = |name: &str, help: &str| {
            IntCounter::new(name, help).map_err(|error| BuildError(format!("metrics: {error}")))
        };
        let traffic = Traffic {
            received: counter("cdn_content_received_bytes_total", "Bytes of file content received.")?,
            sent: counter("cdn_content_sent_bytes_total", "Bytes of file content sent.")?,
        };
        let upload_0x0 = upload_0x0::Proxy::new(&config.upload_0x0)?;
        Ok(Self(Arc::new(Parts {
            passwords: Passwords::new(config.auth.password_hash_concurrency),
            guess_turns: GuessTurns::default(),
            uploads: Arc::new(Semaphore::new(config.uploads.max_concurrent)),
            identity_provider: config.slack.is_enabled().then(|| IdentityProvider::new(config.slack.clone())),
            sightings: Sightings::default(),
            refusals: RefusalLog::default(),
            renders: RenderPool::new(&config.thumbnails),
            fetcher,
            thumbnails: OnceLock::new(),
            config,
            db,
            blobs,
            accounts,
            shares,
            clock,
            instance,
            traffic,
            upload_0x0,
            streams_end: StreamsEnd::new(),
            janitor: OnceLock::new(),
            keys,
            geography,
        })))
    }

    /// Makes this process known to the others, clears what a crash left, and starts the janitor.
    ///
    /// # Errors
    /// The database's.
    pub async fn start_janitor(&self) -> Result<(), ServiceError> {
        self.db.beat(self.instance, self.clock.now()).await?;
        if self.db.engine() == Engine::Sqlite {
            // The lock on the database file says that no other server process lives.
            self.db.forget_other_instances(self.instance).await?;
        }
        match self.start_sweeping().sweep_now(false).await {
            Ok(report) => tracing::debug!(?report, "first sweep"),
            Err(error) => tracing::warn!(%error, "the first sweep failed; the next one is tried later"),
        }
        Ok(())
    }

    fn start_sweeping(&self) -> &Janitor {
        self.janitor.get_or_init(|| {
            let custodian = Arc::new(ServiceCustodian(self.downgrade()));
            Janitor::start(custodian, Arc::clone(&self.clock), janitor_config(&self.config))
        })
    }

    /// One sweep now, by whatever process this is; `is_forced` purges also an unusual amount of trash.
    ///
    /// # Errors
    /// When the lease can't be asked for, or the sweep takes too long.
    pub async fn sweep(&self, is_forced: bool) -> Result<SweepReport, ServiceError> {
        let swept = self.start_sweeping().sweep_now(is_forced).await;
        swept.map_err(|error| ServiceError::Unavailable(error.to_string()))
    }

    pub fn janitor(&self) -> Option<&Janitor> {
        self.janitor.get()
    }

    pub fn downgrade(&self) -> WeakServices {
        WeakServices(Arc::downgrade(&self.0))
    }

    /// Takes over what may change while the server runs; everything else waits for the next start.
    pub fn reload(&self, config: &Config) {
        let workers = config.thumbnails.worker_count();
        let slots = config.upload_0x0.max_concurrent;
        self.resize_thumbnails(workers);
        self.upload_0x0.resize(slots);
        tracing::info!(thumbnail_workers = workers, upload_0x0_slots = slots, "configuration read again");
    }

    /// Drains the actors and closes the database.
    pub async fn shut_down(&self) {
        self.upload_0x0.shut_down().await;
        if !self.shares.stop(self.config.shares.call_timeout.duration()).await {
            tracing::warn!("the shares actor did not end in time");
        }
        self.stop_thumbnails().await;
        if let Err(error) = self.accounts.shutdown().await {
            tracing::warn!(%error, "buffered activity was lost at shutdown");
        }
        if let Some(janitor) = self.janitor.get()
            && !janitor.stop(JANITOR_GRACE).await
        {
            tracing::warn!("the janitor did not end in time");
        }
        if let Err(error) = self.write_refusals().await {
            tracing::warn!(%error, "refusals of the last moments are not in the audit");
        }
        if let Err(error) = self.db.forget_instance(self.instance).await {
            tracing::warn!(%error, "this process could not sign off; others wait for its heartbeat to age");
        }
        self.db.close().await;
    }

    /// The country an address is in, as two letters; "" when that isn't known.
    pub fn country_of(&self, address: Option<std::net::IpAddr>) -> String {
        address.and_then(|address| self.geography.country_of(address)).unwrap_or_default()
    }

    /// Largest stored file of a tier in bytes; a tier that is no more counts as the default one.
    pub fn max_file_size(&self, tier: &str) -> u64 {
        tier_of(&self.config.quota, tier).map_or(0, |(_, tier)| tier.max_file_size.bytes())
    }
}

fn tier_of<'a>(quota: &'a QuotaConfig, tier: &'a str) -> Option<(&'a str, &'a crate::config::TierConfig)> {
    quota
        .tiers
        .get_key_value(tier)
        .or_else(|| quota.tiers.get_key_value(&quota.default_tier))
        .map(|(name, tier)| (name.as_str(), tier))
}

pub(crate) fn usage_of(quota: &QuotaConfig, used: i64, reserved: i64, tier: &str) -> Usage {
    let (tier, limit) = tier_of(quota, tier).map_or((tier, 0), |(name, tier)| (name, tier.max_total.bytes()));
    let unsigned = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    Usage { used: unsigned(used), reserved: unsigned(reserved), limit, tier: tier.to_owned() }
}

fn accounts_config(config: &Config) -> AccountsConfig {
    AccountsConfig {
        queue: config.accounts.queue,
        call_timeout: config.accounts.call_timeout.duration(),
        idle_after: config.accounts.idle_after.duration(),
        flush_every: config.accounts.flush_interval.duration(),
        max_buffered: config.accounts.max_buffered,
        ..AccountsConfig::default()
    }
}

fn shares_config(config: &Config) -> SharesConfig {
    SharesConfig { queue: config.shares.queue, call_timeout: config.shares.call_timeout.duration() }
}

fn janitor_config(config: &Config) -> JanitorConfig {
    JanitorConfig {
        heartbeat_every: config.janitor.heartbeat.duration(),
        sweep_every: config.janitor.sweep_interval.duration(),
        batch: config.janitor.batch,
        unusual_items: u64::from(config.janitor.unusual_items),
        ..JanitorConfig::default()
    }
}
