//! The hashes of what is passed on, for the line of activity. Nobody waits for them: a thread that runs when no other
//! wants to reads the spool once it is whole, while the host still takes it in, and may end after the host's answer.
//! Hashing beside the writer would cost those who wait: MD5 alone takes nearly as long as all the rest.

use super::spool::Spool;
use crate::blob::{Hashers, Hashes};
use std::thread;
use tokio::sync::oneshot;

/// Bytes hashed at once: little enough to stay in a core's cache from the reading to the hashing.
const PIECE: usize = 64 * 1024;

/// Hashes that come when all is hashed; never, if the spool can't be read.
pub struct Hashing {
    hashes: oneshot::Receiver<Hashes>,
    spool: Spool,
}

impl Hashing {
    /// Begins to hash a spool that is complete, in a thread of its own.
    pub(super) fn start(spool: &Spool) -> Self {
        let (done, hashes) = oneshot::channel();
        let source = spool.clone();
        let work = move || {
            let_others_go_first();
            if let Some(hashes) = hash(&source) {
                // Nobody may want them any more.
                let _ = done.send(hashes);
            }
        };
        if let Err(error) = thread::Builder::new().name("spool-hashing".to_owned()).spawn(work) {
            tracing::warn!(%error, "no thread for the hashes of an upload that is passed on");
        }
        Self { hashes, spool: spool.clone() }
    }

    /// The hashes, if they are there already.
    pub fn ready(&mut self) -> Option<Hashes> {
        self.hashes.try_recv().ok()
    }

    /// Waits for them, for as long as others go first; in a hurry from when `hurry` is ready.
    pub async fn end(mut self, hurry: impl Future<Output = ()>) -> Option<Hashes> {
        tokio::select! {
            hashes = &mut self.hashes => hashes.ok(),
            () = hurry => self.hurry().await,
        }
    }

    /// Waits for them, or hashes everything once more without letting anybody go first.
    pub async fn hurry(self) -> Option<Hashes> {
        let Self { hashes, spool } = self;
        let again = tokio::task::spawn_blocking(move || hash(&spool));
        tokio::select! {
            Ok(hashes) = hashes => Some(hashes),
            again = again => again.ok().flatten(),
        }
    }
}

/// Gives this thread what nobody else wants: the others are whom somebody waits for (sched(7), SCHED_IDLE).
#[cfg(target_os = "linux")]
fn let_others_go_first() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::debug!(?error, "the priority stays as it is");
    }
}

#[cfg(not(target_os = "linux"))]
fn let_others_go_first() {}

fn hash(spool: &Spool) -> Option<Hashes> {
    let size = spool.size()?;
    let mut hashers = Hashers::default();
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < size {
        let len = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
        if let Err(error) = spool.read_exact_at(&mut piece[..len], at) {
            tracing::warn!(%error, "an upload that is passed on can't be hashed");
            return None;
        }
        hashers.update(&piece[..len]);
        at += len as u64;
    }
    Some(hashers.finish())
}
