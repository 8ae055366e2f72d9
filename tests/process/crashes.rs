//! `kill -9` at the named moments of an upload: what was acknowledged is there, and nothing half-done is.

use crate::support::{
    SOON,
    client::{Client, Stored},
    eventually,
    random::{content, sha256},
    raw::RawPut,
    server::Server,
    world::World,
};

/// More than the pieces that are let through at the failpoint can take.
const LENGTH: usize = 16 * 1024 * 1024;
/// How often in a row a moment must be seen before it counts as lasting.
const LASTING: usize = 10;

#[derive(Clone, Copy, PartialEq)]
enum Moment {
    MidBody,
    ObjectStored,
    InTransaction,
    Committed,
}

impl Moment {
    fn failpoint(self) -> &'static str {
        match self {
            // Enough pieces for the first part to be on the disk.
            Self::MidBody => "upload::mid_body=100*off->pause",
            Self::ObjectStored => "upload::object_stored=pause",
            Self::InTransaction => "upload::in_transaction=pause",
            Self::Committed => "upload::committed=pause",
        }
    }

    /// Waits until the server stands still at the moment, as the disk and the database show it.
    async fn reached(self, world: &World, before: i64) {
        let mut database = world.database().await;
        let (mut seen, mut last_size) = (0, 0);
        eventually("the failpoint", SOON, async || {
            let files = database.number("SELECT COUNT(*) FROM files").await - before;
            let pending = database.blobs_in_state("pending").await;
            let (mut complete, mut size) = (-before, 0);
            for path in world.home.stored_files() {
                if path.to_string_lossy().contains('#') {
                    size = path.metadata().map_or(0, |data| data.len());
                } else {
                    complete += 1;
                }
            }
            let is_here = match self {
                Self::MidBody => pending == 1 && complete == 0 && size > 0 && size == last_size,
                Self::ObjectStored => pending == 1 && complete == 1 && !database.has_open_change().await,
                Self::InTransaction => complete == 1 && files == 0 && database.has_open_change().await,
                Self::Committed => pending == 0 && files == 1,
            };
            last_size = size;
            seen = if is_here { seen + 1 } else { 0 };
            seen == LASTING
        })
        .await;
        database.close().await;
    }
}

/// Two files before, an upload that is killed at the moment, and a look at everything after the restart.
async fn kill_at(moment: Moment, world: World) {
    let (server, client) = world.first_start().await;
    let mut journal = Vec::new();
    for seed in 1..=2 {
        journal.push(client.upload(&format!("before-{seed}.bin"), &content(seed, 300_000)).await);
    }
    // Killed right after the answer: what was acknowledged must be safe by then.
    server.kill();

    let server = Server::start_with(&world.home, &[("FAILPOINTS", moment.failpoint())]);
    world.tidied().await;
    let body = content(3, LENGTH);
    let mut upload =
        RawPut::begin(&server, &client.token, "killed.bin", LENGTH).await.expect("the server listens");
    let sent = body.clone();
    // At a failpoint in the body the server stops reading, so this may never end by itself.
    let sending = tokio::spawn(async move {
        let _refused = upload.send(&sent).await;
        upload.answer().await
    });
    moment.reached(&world, 2).await;
    server.kill();
    assert_eq!(sending.await.expect("the client ends"), None, "it was answered");

    let server = Server::start(&world.home);
    let client = client.at(&server);
    assert_journal(&client, &journal).await;
    let files = client.files().await;
    let killed: Vec<_> = files.iter().filter(|file| file.path.ends_with("killed.bin")).collect();
    if moment == Moment::Committed {
        assert_eq!(killed.len(), 1, "what was committed is there, whether it was answered or not");
        assert_eq!(killed[0].sha256, sha256(&body));
        client.assert_has(killed[0]).await;
    } else {
        assert_eq!(files.len(), 2, "{files:?}");
    }
    world.tidied().await;
    // The same upload works now; the quota is as if the first had never been.
    let (status, answer) = client.put("killed.bin", body).await;
    assert_eq!(status.as_u16(), if moment == Moment::Committed { 409 } else { 201 }, "{answer}");
    world.assert_sound(server).await;
}

async fn assert_journal(client: &Client, journal: &[Stored]) {
    for stored in journal {
        client.assert_has(stored).await;
    }
}

macro_rules! kill_tests {
    ($($sqlite:ident, $postgres:ident: $moment:ident;)*) => {$(
        #[tokio::test]
        async fn $sqlite() {
            kill_at(Moment::$moment, World::on_sqlite()).await;
        }

        #[tokio::test]
        async fn $postgres() {
            if let Some(world) = World::on_postgres().await {
                kill_at(Moment::$moment, world).await;
            }
        }
    )*};
}

kill_tests! {
    a_kill_in_the_body_leaves_nothing_on_sqlite, a_kill_in_the_body_leaves_nothing_on_postgres: MidBody;
    a_kill_after_the_object_leaves_nothing_on_sqlite, a_kill_after_the_object_leaves_nothing_on_postgres: ObjectStored;
    a_kill_in_the_transaction_leaves_nothing_on_sqlite,
    a_kill_in_the_transaction_leaves_nothing_on_postgres: InTransaction;
    a_kill_after_the_commit_loses_nothing_on_sqlite, a_kill_after_the_commit_loses_nothing_on_postgres: Committed;
}
