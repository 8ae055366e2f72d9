//! A home on one of the engines, for tests that hold on both.

use super::{
    bucket::Bucket, client::Client, database::Database, eventually, home::Home, postgres::Cluster,
    server::Server,
};
use std::{path::PathBuf, time::Duration};

/// How long leftovers may stay: on Postgres, until the dead process counts as dead and its lease is over.
const RECLAIM: Duration = Duration::from_secs(20);

pub struct World {
    pub home: Home,
    pub cluster: Option<Cluster>,
    /// Where the files are, if not in the home.
    bucket: Option<Bucket>,
}

impl World {
    pub fn on_sqlite() -> Self {
        Self { home: Home::new(), cluster: None, bucket: None }
    }

    /// `None` where Postgres isn't tested.
    pub async fn on_postgres() -> Option<Self> {
        let cluster = Cluster::start().await?;
        let home = Home::new()
            .with("database.url", &cluster.url())
            .with("janitor.heartbeat", "500ms")
            .with("janitor.dead_after", "2s")
            .with("janitor.sweep_interval", "1s");
        Some(Self { home, cluster: Some(cluster), bucket: None })
    }

    /// The same with its files in a bucket.
    pub fn in_bucket(self) -> Self {
        let bucket = Bucket::start();
        Self { home: bucket.keeps(self.home), bucket: Some(bucket), ..self }
    }

    pub fn bucket(&self) -> &Bucket {
        self.bucket.as_ref().expect("a bucket")
    }

    /// All objects of the store.
    pub fn stored(&self) -> Vec<PathBuf> {
        self.bucket.as_ref().map_or_else(|| self.home.stored_files(), Bucket::objects)
    }

    pub async fn database(&self) -> Database {
        match &self.cluster {
            Some(cluster) => Database::postgres(&cluster.url()).await,
            None => Database::sqlite(&self.home).await,
        }
    }

    /// Waits until nothing half-done is left, in the database and in the store.
    pub async fn tidied(&self) {
        let mut database = self.database().await;
        let mut found = String::new();
        let limit = tokio::time::Instant::now() + RECLAIM;
        eventually("everything half-done is gone", 2 * RECLAIM, async || {
            let (bytes, reservations) = database.reserved().await;
            let pending = database.blobs_in_state("pending").await;
            let deleting = database.blobs_in_state("deleting").await;
            let live = database.blobs_in_state("live").await;
            let stored = self.stored();
            found = format!(
                "reserved {bytes} bytes in {reservations} rows, {pending} pending, {deleting} deleting, \
                 {live} live, stored {stored:?}"
            );
            assert!(tokio::time::Instant::now() < limit, "not within {RECLAIM:?}: {found}");
            bytes + reservations + pending + deleting == 0 && i64::try_from(stored.len()) == Ok(live)
        })
        .await;
        database.close().await;
    }

    /// Stops the server in the orderly way, and looks at everything that is left.
    pub async fn assert_sound(&self, server: Server) {
        self.tidied().await;
        server.stop().await;
        self.home.assert_check_is_clean();
    }

    /// The first start, and its administrator.
    pub async fn first_start(&self) -> (Server, Client) {
        let server = Server::start(&self.home);
        let client = server.sign_in().await;
        (server, client)
    }
}
