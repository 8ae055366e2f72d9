//! `kill -9` at random moments of several uploads at once.

use crate::support::{
    SOON,
    client::{Client, Stored},
    random::{Random, content, sha256},
    raw::RawPut,
    server::Server,
    world::World,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

const ROUNDS: u64 = 15;
const UPLOADERS: u64 = 5;
const PIECE: usize = 20_000;

/// Bytes that all uploaders have sent, and a bell for those who wait for more.
#[derive(Default)]
struct Sent {
    bytes: AtomicU64,
    grew: Notify,
}

impl Sent {
    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::SeqCst);
        self.grew.notify_one();
    }

    async fn reach(&self, bytes: u64) {
        while self.bytes.load(Ordering::SeqCst) < bytes {
            self.grew.notified().await;
        }
    }
}

/// Uploads one file after the other until the server is gone; gives what it acknowledged.
async fn upload_until_killed(port: u16, token: String, mut random: Random, sent: Arc<Sent>) -> Vec<Stored> {
    let mut acknowledged = Vec::new();
    loop {
        let magnitude = 4 + random.below(16);
        let length = usize::try_from(16 + random.below(1 << magnitude)).expect("small");
        let body = content(random.next(), length);
        let Some(answer) = upload(port, &token, &body, &sent).await else { return acknowledged };
        let (status, file) = answer;
        assert_eq!(status, 201, "{file}");
        let stored = Stored::from_view(&file);
        assert_eq!(stored.sha256, sha256(&body), "{file}");
        acknowledged.push(stored);
    }
}

async fn upload(
    port: u16,
    token: &str,
    body: &[u8],
    sent: &Sent,
) -> Option<(reqwest::StatusCode, serde_json::Value)> {
    let mut upload = RawPut::begin_at(port, token, "random.bin", body.len()).await.ok()?;
    for piece in body.chunks(PIECE) {
        upload.send(piece).await.ok()?;
        sent.add(piece.len());
    }
    upload.answer().await
}

/// One life of a server: uploads run until it is killed after a random number of bytes.
async fn live_and_be_killed(server: Server, client: &Client, seed: u64) -> Vec<Stored> {
    let mut random = Random(seed);
    let sent = Arc::new(Sent::default());
    let uploaders: Vec<_> = (0..UPLOADERS)
        .map(|number| {
            let random = Random(seed ^ (number + 1).wrapping_mul(0x9E37_79B9));
            tokio::spawn(upload_until_killed(server.port, client.token.clone(), random, Arc::clone(&sent)))
        })
        .collect();
    let enough = random.below(3_000_000);
    tokio::time::timeout(2 * SOON, sent.reach(enough)).await.expect("the uploads go on");
    // Not a wait for anything: the kill falls between two pieces as well as on one.
    tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
    server.kill();
    let mut acknowledged = Vec::new();
    for uploader in uploaders {
        acknowledged.extend(uploader.await.expect("no answer but 201"));
    }
    acknowledged
}

async fn kill_at_random(world: World) {
    let seed = std::process::id().into();
    // Shown when the test fails, to run it again.
    println!("seed {seed}");
    let mut random = Random(seed);
    let (mut server, client) = world.first_start().await;
    let mut journal: Vec<Stored> = Vec::new();
    for round in 0..ROUNDS {
        journal.extend(live_and_be_killed(server, &client, random.next()).await);
        server = Server::start(&world.home);
        let client = client.at(&server);
        let files = client.files().await;
        let unanswered = files.iter().filter(|file| !journal.iter().any(|known| known.id == file.id)).count();
        println!("round {round}: {} acknowledged, {unanswered} only committed", journal.len());
        for known in &journal {
            assert!(files.iter().any(|file| file.id == known.id), "round {round}: {known:?} is lost");
        }
        assert!(unanswered <= usize::try_from(UPLOADERS * (round + 1)).expect("small"), "round {round}");
        // On SQLite a start clears what is left; on Postgres that takes until the dead count as dead.
        if world.cluster.is_none() {
            world.tidied().await;
            world.home.assert_check_is_clean();
        }
    }
    let client = client.at(&server);
    for file in client.files().await {
        client.assert_has(&file).await;
    }
    for known in &journal {
        client.assert_has(known).await;
    }
    assert!(journal.len() > 20, "only {} uploads came through", journal.len());
    world.assert_sound(server).await;
}

#[tokio::test]
async fn kills_at_random_moments_lose_and_leave_nothing_on_sqlite() {
    kill_at_random(World::on_sqlite()).await;
}

#[tokio::test]
async fn kills_at_random_moments_lose_and_leave_nothing_on_postgres() {
    if let Some(world) = World::on_postgres().await {
        kill_at_random(world).await;
    }
}
