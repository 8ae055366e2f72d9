//! The hashes of what is passed on, for the line of activity. Nobody waits for them: a thread that runs when no other
//! wants to reads the spool once it is whole, while the host still takes it in, and may end after the host's answer.
//! Hashing beside the writer would cost those who wait: MD5 alone takes nearly as long as all the rest.

use super::spool::Spool;
use crate::blob::{Hashers, Hashes};
use fail::fail_point;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::sync::oneshot;

/// Bytes hashed at once: little enough to stay in a core's cache from the reading to the hashing.
const PIECE: usize = 64 * 1024;

/// Hashes that come when all is hashed; never, if the spool can't be read.
pub struct Hashing {
    ended: oneshot::Receiver<Ended>,
    is_urgent: Arc<AtomicBool>,
}

enum Ended {
    Done(Hashes),
    /// It has become urgent: who waits goes on from here.
    HandedOver(Work),
}

/// A spool of which so much is hashed.
struct Work {
    spool: Spool,
    hashers: Hashers,
    at: u64,
}

impl Hashing {
    /// Begins to hash a spool that is complete, in a thread of its own.
    pub(super) fn start(spool: &Spool) -> Self {
        let is_urgent = Arc::new(AtomicBool::new(false));
        let mut work = Work { spool: spool.clone(), hashers: Hashers::default(), at: 0 };
        let must_end = Arc::clone(&is_urgent);
        let ended = in_thread(move || {
            let_others_go_first();
            let is_done = work.go_on(|| must_end.load(Ordering::Relaxed))?;
            Ok(if is_done { Ended::Done(work.hashers.finish()) } else { Ended::HandedOver(work) })
        });
        Self { ended, is_urgent }
    }

    /// The hashes, if they are there already.
    pub fn ready(&mut self) -> Option<Hashes> {
        match self.ended.try_recv() {
            Ok(Ended::Done(hashes)) => Some(hashes),
            // Nothing is handed over before somebody is in a hurry.
            Ok(Ended::HandedOver(_)) | Err(_) => None,
        }
    }

    /// Waits for them, for as long as others go first; in a hurry from when `hurry` is ready.
    pub async fn end(mut self, hurry: impl Future<Output = ()>) -> Option<Hashes> {
        tokio::select! {
            ended = &mut self.ended => ended.ok()?.hashes().await,
            () = hurry => self.hurry().await,
        }
    }

    /// Waits for them, hashing what is left without letting anybody go first. The thread that did let others go first
    /// ends: on a busy machine it would hold up the end of the process, which is over when each thread has had the
    /// time to die.
    pub async fn hurry(self) -> Option<Hashes> {
        self.is_urgent.store(true, Ordering::Relaxed);
        self.ended.await.ok()?.hashes().await
    }
}

impl Ended {
    async fn hashes(self) -> Option<Hashes> {
        match self {
            Self::Done(hashes) => Some(hashes),
            Self::HandedOver(work) => work.finish().await,
        }
    }
}

impl Work {
    /// Hashes until the end, or until it must end early; `false`: there is more.
    fn go_on(&mut self, must_end: impl Fn() -> bool) -> io::Result<bool> {
        let size = self.spool.size().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut piece = vec![0; PIECE];
        while self.at < size {
            if must_end() {
                return Ok(false);
            }
            fail_point!("upload_0x0::hashing");
            let len = usize::try_from(size - self.at).unwrap_or(PIECE).min(PIECE);
            self.spool.read_exact_at(&mut piece[..len], self.at)?;
            self.hashers.update(&piece[..len]);
            self.at += len as u64;
        }
        Ok(true)
    }

    async fn finish(mut self) -> Option<Hashes> {
        let hashes = in_thread(move || {
            self.go_on(|| false)?;
            Ok(self.hashers.finish())
        });
        hashes.await.ok()
    }
}

/// What the work gives, or nothing when it fails. Not in the runtime's pool, whose end waits for work that has begun:
/// the end of the process doesn't wait for a hash.
fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || match work() {
        Ok(result) => {
            // Nobody may want it any more.
            let _ = sender.send(result);
        }
        Err(error) => tracing::warn!(%error, "an upload that is passed on can't be hashed"),
    };
    if let Err(error) = thread::Builder::new().name("spool-hashing".to_owned()).spawn(work) {
        tracing::warn!(%error, "no thread for the hashes of an upload that is passed on");
    }
    receiver
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::service::upload_0x0::spool::Spools;
    use bytes::Bytes;
    use cdn_actors::domain::hash::{Md5, Sha256};
    use sha2::Digest;
    use std::cell::Cell;

    #[actix_web::test]
    async fn who_is_in_a_hurry_goes_on_where_the_thread_ended() {
        let content: Vec<u8> = (0..=250).cycle().take(5 * PIECE + 17).collect();
        let (spool, mut writer) = Spool::create(&Spools::default()).await.unwrap();
        writer.push(Bytes::from(content.clone())).await.unwrap();
        drop(writer.finish().await.unwrap());
        let mut work = Work { spool, hashers: Hashers::default(), at: 0 };
        let looks = Cell::new(0);
        let is_done = work.go_on(|| looks.replace(looks.get() + 1) == 2).unwrap();
        assert_eq!((is_done, work.at), (false, 2 * PIECE as u64));
        let hashes = work.finish().await.unwrap();
        assert_eq!(hashes.sha256, Sha256::from_digest(&sha2::Sha256::digest(&content)));
        assert_eq!(hashes.md5, Md5::from_digest(&md5::Md5::digest(&content)));
    }
}
