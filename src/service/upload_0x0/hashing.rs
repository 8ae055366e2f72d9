//! The hashes of what is passed on, for the line of activity. Nobody waits for them: a thread of low priority
//! follows the spool, and may be behind when the host has long answered.

use super::spool::{Follower, Progress, Spool};
use cdn_actors::domain::hash::{Md5, Sha256};
use sha2::Digest;
use std::thread;
use tokio::{runtime, sync::oneshot};

/// Bytes hashed at once: little enough to stay in a core's cache from the reading to the hashing.
const PIECE: usize = 64 * 1024;

/// What the whole body was.
#[derive(Debug, Clone)]
pub struct Hashes {
    pub sha256: Sha256,
    pub md5: Md5,
}

/// Hashes that come when all is hashed; never, if the body broke off or can't be read.
pub struct Hashing {
    hashes: oneshot::Receiver<Hashes>,
    spool: Spool,
}

impl Hashing {
    /// Hashes a spool beside its writer, in a thread that ends with it.
    pub(super) fn start(spool: &Spool) -> Self {
        let (done, hashes) = oneshot::channel();
        let (follower, runtime) = (spool.follow(), runtime::Handle::current());
        let work = move || {
            let_others_go_first();
            if let Some(hashes) = hash(follower, &runtime) {
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

    /// Waits for them, for as long as others go first.
    pub async fn end(self) -> Option<Hashes> {
        self.hashes.await.ok()
    }

    /// Waits for them, or hashes everything once more without letting anybody go first.
    pub async fn hurry(self) -> Option<Hashes> {
        let (follower, runtime) = (self.spool.follow(), runtime::Handle::current());
        let again = tokio::task::spawn_blocking(move || hash(follower, &runtime));
        tokio::select! {
            Ok(hashes) = self.hashes => Some(hashes),
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

fn hash(mut follower: Follower, runtime: &runtime::Handle) -> Option<Hashes> {
    let (mut sha256, mut md5) = (sha2::Sha256::default(), md5::Md5::default());
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let state = runtime.block_on(follower.wait(|state| state.written > at)).ok()?;
        if state.written == at {
            return (state.progress == Progress::Complete).then(|| Hashes {
                sha256: Sha256::from_digest(&sha256.finalize()),
                md5: Md5::from_digest(&md5.finalize()),
            });
        }
        while at < state.written {
            let len = usize::try_from(state.written - at).unwrap_or(PIECE).min(PIECE);
            if let Err(error) = follower.spool().read_exact_at(&mut piece[..len], at) {
                tracing::warn!(%error, "an upload that is passed on can't be hashed");
                return None;
            }
            sha256.update(&piece[..len]);
            md5.update(&piece[..len]);
            at += len as u64;
        }
    }
}
