//! Puts the house together: services, actors, HTTP server, and their end in the right order.

use crate::{
    config::{Config, ConfigError, DatabaseEngine},
    db::sqlite_path,
    http::{self, AppState, Metrics, RateLimits},
    service::{BuildError, Services, events::StreamsEnd},
};
use actix_web::{HttpServer, dev::ServerHandle};
use cdn_actors::domain::clock::{Clock, SystemClock};
use std::{fs::File, net::TcpListener, sync::Arc};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A server that is bound and ready to run.
pub struct Application {
    services: Services,
    server: actix_web::dev::Server,
    port: u16,
    base_url: Arc<str>,
    signals: Signals,
    reload: Option<Reload>,
    /// Held while the server runs: a SQLite database has one server process.
    _lock: Option<File>,
}

/// Stops a running server: requests in flight are finished, then it ends.
#[derive(Clone)]
pub struct Stopper {
    server: ServerHandle,
    streams_end: StreamsEnd,
}

impl Stopper {
    pub async fn stop(&self) {
        // Streams have no end of their own that draining could wait for.
        self.streams_end.declare();
        self.server.stop(true).await;
    }
}

/// Reads the configuration again.
type Reload = Box<dyn Fn() -> Result<Config, ConfigError>>;

/// What an operator or the system tells the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal to stop; each SIGHUP until then has the configuration read again.
    async fn stop(mut self, services: Services, reload: Option<Reload>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => read_again(&services, reload.as_ref()),
            }
        }
    }
}

/// A configuration that doesn't hold changes nothing.
fn read_again(services: &Services, reload: Option<&Reload>) {
    let Some(reload) = reload else { return };
    match reload().and_then(|config| config.validate().map(|()| config)) {
        Ok(config) => services.reload(&config),
        Err(error) => tracing::error!(%error, "the configuration was not taken over"),
    }
}

impl Application {
    /// Opens database and blob store, clears what a crash left, starts the actors, binds.
    ///
    /// # Errors
    /// What can't be opened, bound or locked, in words for the operator.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        Self::build_with_clock(config, Arc::new(SystemClock)).await
    }

    /// The same with a clock of the caller's, for tests that move time.
    ///
    /// # Errors
    /// As [`Application::build`].
    pub async fn build_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let bind = config.server.bind;
        let lock = lock_database(&config)?;
        let listener =
            TcpListener::bind(bind).map_err(|error| BuildError(format!("server.bind: {bind}: {error}")))?;
        let bound = listener.local_addr().map_err(|error| BuildError(format!("server.bind: {error}")))?;
        let base_url: Arc<str> = config.server.base_url(bound).into();
        let services = Services::build_with_clock(config, clock).await?;
        services.start_janitor().await.map_err(|error| BuildError(format!("janitor: {error}")))?;
        services.start_thumbnails();
        let state = AppState {
            metrics: Metrics::new(&services)?,
            limits: Arc::new(RateLimits::new(&services.config.limits)),
            services: services.clone(),
            base_url: Arc::clone(&base_url),
        };
        let settings = services.config.server.clone();
        let mut server = HttpServer::new(move || http::app(state.clone()))
            .client_request_timeout(settings.request_head_timeout.duration())
            .keep_alive(settings.keep_alive.duration())
            // A client that has gone ends its request, above all an upload that is passed on.
            .h1_allow_half_closed(false)
            .max_connections(settings.max_connections)
            .shutdown_timeout(settings.shutdown_timeout.duration().as_secs());
        if settings.workers > 0 {
            server = server.workers(settings.workers);
        }
        // Ours are heard from now on; actix would listen only once the server runs.
        let signals = Signals::listen().map_err(|error| BuildError(format!("signals: {error}")))?;
        let server = server.disable_signals();
        let server =
            server.listen(listener).map_err(|error| BuildError(format!("server.bind: {error}")))?.run();
        let port = bound.port();
        Ok(Self { services, server, port, base_url, signals, reload: None, _lock: lock })
    }

    /// Says how SIGHUP reads the configuration; without this it is ignored.
    pub fn reload_with(mut self, reload: impl Fn() -> Result<Config, ConfigError> + 'static) -> Self {
        self.reload = Some(Box::new(reload));
        self
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub fn services(&self) -> Services {
        self.services.clone()
    }

    pub fn stopper(&self) -> Stopper {
        Stopper { server: self.server.handle(), streams_end: self.services.streams_end.clone() }
    }

    /// Serves until SIGTERM, SIGINT or [`Stopper::stop`]; then drains and closes everything.
    ///
    /// # Errors
    /// The server's own.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        let (stopper, signals) = (self.stopper(), self.signals);
        let told = signals.stop(self.services.clone(), self.reload);
        let waiting = actix_web::rt::spawn(async move {
            told.await;
            stopper.stop().await;
        });
        let services = self.services.clone();
        let watching = actix_web::rt::spawn(async move { services.watch_events().await });
        let outcome = self.server.await;
        waiting.abort();
        watching.abort();
        self.services.shut_down().await;
        outcome
    }
}

/// Makes sure that no other server process uses the same SQLite database: what one has running, the other
/// would take for a crash's remains.
fn lock_database(config: &Config) -> Result<Option<File>, BuildError> {
    if config.database.engine() != Some(DatabaseEngine::Sqlite) {
        return Ok(None);
    }
    let path = sqlite_path(&config.database.url).with_extension("lock");
    let failed = |error: std::io::Error| BuildError(format!("database.url: {}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    file.try_lock().map_err(|_| {
        BuildError(format!(
            "{} is locked: another server uses this database. Several servers need PostgreSQL.",
            path.display()
        ))
    })?;
    Ok(Some(file))
}
