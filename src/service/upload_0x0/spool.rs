//! A body kept in a temporary file without a name while it is passed on: written once, and read by each attempt,
//! also while it is still being written. Nothing of it outlives the process.

use super::hashing::Hashing;
use crate::{net::upload_host::SourceError, service::ServiceError};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use std::{
    collections::VecDeque,
    fs::File,
    future::Future,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

/// Most and fewest bytes written or read at once: one such piece fills while another is on its way to the file, one
/// is sent while the next is read. Smaller ones cost more in waking threads, larger ones memory.
const LARGEST_PIECE: usize = 512 * 1024;
const SMALLEST_PIECE: usize = 64 * 1024;
/// What one piece of each upload may take together. There are up to four of each in memory,
const ALL_PIECES: usize = 4 * 1024 * 1024;
/// and what was written lately, for each and for all together.
const MOST_RECENT: usize = 8 * 1024 * 1024;
const ALL_RECENT: usize = 16 * 1024 * 1024;
/// Pieces that are read ahead of the one that is wanted, that one included.
const READ_AHEAD: usize = 2;
/// How long less than a piece waits for more.
pub const LINGER: Duration = Duration::from_millis(20);

/// How far the writer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Complete,
    /// The writer is gone before the end.
    Broken,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Bytes that can be had, from the file or from memory.
    taken: u64,
    /// Bytes in the file.
    written: u64,
    progress: Progress,
}

/// What the spools of a process share: how many they are. The more, the less memory each takes.
#[derive(Clone, Default)]
pub struct Spools(Arc<()>);

impl Spools {
    fn count(&self) -> usize {
        Arc::strong_count(&self.0).max(1)
    }

    fn piece_len(&self) -> usize {
        (ALL_PIECES / self.count()).clamp(SMALLEST_PIECE, LARGEST_PIECE)
    }

    fn recent_len(&self) -> usize {
        (ALL_RECENT / self.count()).clamp(SMALLEST_PIECE, MOST_RECENT)
    }
}

/// The readable side; cheap to clone.
#[derive(Clone)]
pub struct Spool(Arc<Shared>);

struct Shared {
    spools: Spools,
    file: Option<File>,
    /// For readers who are close behind the writer: they needn't go to the file.
    recent: Mutex<Recent>,
    state: watch::Sender<State>,
}

/// The last bytes, in the chunks that they came in, each with where it begins.
#[derive(Default)]
struct Recent {
    chunks: VecDeque<(u64, Bytes)>,
    len: usize,
}

/// Who reads what another writes.
struct Follower {
    spool: Spool,
    states: watch::Receiver<State>,
}

/// The writing side. Dropped before [`SpoolWriter::finish`], it tells the readers that there will be no more.
pub struct SpoolWriter {
    spool: Spool,
    size: u64,
    piece: Vec<Bytes>,
    piece_len: usize,
    flushing: Option<JoinHandle<io::Result<()>>>,
}

impl Spool {
    /// # Errors
    /// No temporary file to be had.
    pub async fn create(spools: &Spools) -> Result<(Self, SpoolWriter), ServiceError> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
        let file = file.map_err(|error| ServiceError::Internal(error.to_string()))?.map_err(spool_error)?;
        let state = watch::Sender::new(State { taken: 0, written: 0, progress: Progress::Open });
        let (spools, recent) = (spools.clone(), Mutex::default());
        let spool = Self(Arc::new(Shared { spools, file: Some(file), recent, state }));
        let writer =
            SpoolWriter { spool: spool.clone(), size: 0, piece: Vec::new(), piece_len: 0, flushing: None };
        Ok((spool, writer))
    }

    /// Bytes there are so far.
    pub fn taken(&self) -> u64 {
        self.0.state.borrow().taken
    }

    /// The size of the whole body, once it is there.
    pub fn size(&self) -> Option<u64> {
        let state = *self.0.state.borrow();
        (state.progress == Progress::Complete).then_some(state.written)
    }

    /// Waits for the whole body; its size.
    pub async fn complete(&self) -> Result<u64, SourceError> {
        let State { written, progress, .. } = self.follow().wait(|_| false).await?;
        if progress == Progress::Complete { Ok(written) } else { Err(broken()) }
    }

    fn follow(&self) -> Follower {
        Follower { spool: self.clone(), states: self.0.state.subscribe() }
    }

    /// The body from its start, as far as `limit` bytes; waits for what isn't written yet.
    pub fn read(&self, limit: u64) -> impl Stream<Item = Result<Bytes, SourceError>> + use<> {
        let pieces = stream::try_unfold((self.follow(), 0), move |(mut follower, at)| async move {
            if at >= limit {
                return Ok(None);
            }
            let State { taken, progress, .. } = follower.wait(|state| state.taken > at).await?;
            if taken <= at {
                return if progress == Progress::Complete { Ok(None) } else { Err(broken()) };
            }
            let (piece, len) = follower.spool.piece_at(at, limit);
            Ok(Some((piece, (follower, at + len))))
        });
        pieces.try_buffered(READ_AHEAD)
    }

    /// Some of the bytes at `at`, which are there, and how many.
    fn piece_at(
        &self,
        at: u64,
        limit: u64,
    ) -> (impl Future<Output = Result<Bytes, SourceError>> + use<>, u64) {
        let recent = self.0.recent().at(at, limit);
        // What has left the memory is in the file by now.
        let written = self.0.state.borrow().written;
        let len = match &recent {
            Some(bytes) => bytes.len(),
            None => {
                let len = usize::try_from(written.min(limit).saturating_sub(at)).unwrap_or(usize::MAX);
                len.min(self.0.spools.piece_len())
            }
        };
        let spool = self.clone();
        let piece = async move {
            match recent {
                Some(bytes) => Ok(bytes),
                None => spool.read_piece(at, len).await,
            }
        };
        (piece, len as u64)
    }

    async fn read_piece(self, at: u64, len: usize) -> Result<Bytes, SourceError> {
        // Allocated here: the threads for blocking work are many, and each would keep memory of its own.
        let mut piece = vec![0; len];
        let read = move || self.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece));
        let outcome = tokio::task::spawn_blocking(read).await;
        let outcome = outcome.map_err(|error| SourceError(error.to_string()))?;
        outcome.map_err(|error| SourceError(format!("the temporary file can't be read: {error}")))
    }

    /// Blocks.
    pub(super) fn read_exact_at(&self, piece: &mut [u8], at: u64) -> io::Result<()> {
        self.0.file()?.read_exact_at(piece, at)
    }
}

impl Recent {
    /// Takes a piece that begins at `at`. Of what was before, which is in the file, it keeps so many bytes.
    fn push(&mut self, piece: &[Bytes], mut at: u64, keep: usize) {
        while self.len > keep
            && let Some((_, oldest)) = self.chunks.pop_front()
        {
            self.len -= oldest.len();
        }
        for bytes in piece {
            self.chunks.push_back((at, bytes.clone()));
            self.len += bytes.len();
            at += bytes.len() as u64;
        }
    }

    /// What is here from `at` on, in one go.
    fn at(&self, at: u64, limit: u64) -> Option<Bytes> {
        let behind = self.chunks.partition_point(|(start, _)| *start <= at);
        let (start, bytes) = self.chunks.get(behind.checked_sub(1)?)?;
        let skip = usize::try_from(at - start).ok().filter(|skip| *skip < bytes.len())?;
        let len = usize::try_from(limit - at).unwrap_or(usize::MAX).min(bytes.len() - skip);
        Some(bytes.slice(skip..skip + len))
    }
}

impl Shared {
    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// Giving up the pages of a large file takes a while: not where requests are served.
    fn drop(&mut self) {
        let file = self.file.take();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

impl Follower {
    /// Waits until this is so, or the end.
    async fn wait(&mut self, is_enough: impl Fn(&State) -> bool) -> Result<State, SourceError> {
        let moved = self.states.wait_for(|state| is_enough(state) || state.progress != Progress::Open);
        moved.await.map(|state| *state).map_err(|_| broken())
    }
}

impl SpoolWriter {
    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether some of the bytes taken are not on their way to the file yet.
    pub fn holds_back(&self) -> bool {
        self.piece_len > 0
    }

    /// Takes the next bytes; waits only when the piece before is still on its way to the file.
    ///
    /// # Errors
    /// The file system's.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), ServiceError> {
        self.size += bytes.len() as u64;
        self.piece_len += bytes.len();
        self.piece.push(bytes);
        if self.piece_len >= self.spool.0.spools.piece_len() { self.flush().await } else { Ok(()) }
    }

    /// Sends on what is held back.
    ///
    /// # Errors
    /// The file system's.
    pub async fn flush(&mut self) -> Result<(), ServiceError> {
        self.settle().await?;
        if !self.holds_back() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        let (at, end) = (self.size - self.piece_len as u64, self.size);
        self.piece_len = 0;
        // The piece before is in the file: `settle` has waited for it.
        let keep = self.spool.0.spools.recent_len();
        self.spool.0.recent().push(&piece, at, keep);
        self.spool.0.state.send_modify(|state| state.taken = end);
        let spool = self.spool.clone();
        self.flushing = Some(tokio::task::spawn_blocking(move || {
            let mut at = at;
            for bytes in piece {
                spool.0.file()?.write_all_at(&bytes, at)?;
                at += bytes.len() as u64;
            }
            spool.0.state.send_modify(|state| state.written = end);
            Ok(())
        }));
        Ok(())
    }

    /// Waits for the piece under way.
    async fn settle(&mut self) -> Result<(), ServiceError> {
        let Some(flushing) = self.flushing.take() else { return Ok(()) };
        let flushed = flushing.await.map_err(|error| ServiceError::Internal(error.to_string()))?;
        flushed.map_err(spool_error)
    }

    /// Writes what is left; the hashes of all, when they are there.
    ///
    /// # Errors
    /// The file system's.
    pub async fn finish(mut self) -> Result<Hashing, ServiceError> {
        self.flush().await?;
        self.settle().await?;
        // Later attempts have the file, and those who hash late keep no memory.
        *self.spool.0.recent() = Recent::default();
        self.spool.0.state.send_modify(|state| state.progress = Progress::Complete);
        Ok(Hashing::start(&self.spool))
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.spool.0.state.send_if_modified(|state| {
            let is_early = state.progress == Progress::Open;
            if is_early {
                state.progress = Progress::Broken;
            }
            is_early
        });
    }
}

fn broken() -> SourceError {
    SourceError("the body ended early".to_owned())
}

fn spool_error(error: io::Error) -> ServiceError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ServiceError::StorageFull,
        _ => ServiceError::Unavailable(format!("the temporary file: {error}")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use cdn_actors::domain::hash::{Md5, Sha256};
    use sha2::Digest;

    /// Bytes that don't repeat soon, in chunks of many sizes.
    fn body(size: usize) -> (Vec<u8>, Vec<Bytes>) {
        let whole: Vec<u8> = (0..size).map(|n| (n * 31 + n / 251).to_le_bytes()[0]).collect();
        let mut left = Bytes::from(whole.clone());
        let mut chunks = Vec::new();
        for size in [1, 70_000, 13, 4096, LARGEST_PIECE, 3, 2 * LARGEST_PIECE + 1].into_iter().cycle() {
            if left.is_empty() {
                return (whole, chunks);
            }
            chunks.push(left.split_to(size.min(left.len())));
        }
        unreachable!("the sizes go round for ever")
    }

    async fn collect(stream: impl Stream<Item = Result<Bytes, SourceError>>) -> Result<Vec<u8>, SourceError> {
        stream.try_fold(Vec::new(), async |all, bytes| Ok([&all[..], &bytes].concat())).await
    }

    #[actix_web::test]
    async fn each_reader_gets_the_body_wherever_it_is() {
        let (whole, chunks) = body(9 * LARGEST_PIECE + 77);
        let (spool, mut writer) = Spool::create(&Spools::default()).await.unwrap();
        let mut readers = Vec::new();
        let from_the_start = spool.read(u64::MAX);
        for (number, chunk) in chunks.into_iter().enumerate() {
            writer.push(chunk).await.unwrap();
            if number % 3 == 0 {
                // Close behind the writer, and far behind it.
                readers.push(actix_web::rt::spawn(collect(spool.read(u64::MAX))));
            }
        }
        let size = whole.len() as u64;
        let hashing = writer.finish().await.unwrap();
        assert_eq!((spool.complete().await.unwrap(), spool.size()), (size, Some(size)));
        for reader in readers {
            assert!(reader.await.unwrap().unwrap() == whole, "the same bytes for everybody");
        }
        assert!(collect(from_the_start).await.unwrap() == whole);
        assert!(collect(spool.read(LARGEST_PIECE as u64 + 5)).await.unwrap() == whole[..LARGEST_PIECE + 5]);
        let hashes = hashing.end(std::future::pending()).await.unwrap();
        assert_eq!(hashes.sha256, Sha256::from_digest(&sha2::Sha256::digest(&whole)));
        assert_eq!(hashes.md5, Md5::from_digest(&md5::Md5::digest(&whole)));
    }

    #[actix_web::test]
    async fn a_flush_sends_on_what_is_less_than_a_piece() {
        let (spool, mut writer) = Spool::create(&Spools::default()).await.unwrap();
        let mut reader = std::pin::pin!(spool.read(u64::MAX));
        writer.push(Bytes::from_static(b"slow")).await.unwrap();
        assert!(writer.holds_back());
        writer.flush().await.unwrap();
        assert!(!writer.holds_back());
        assert_eq!(reader.try_next().await.unwrap().unwrap(), "slow");
        writer.push(Bytes::from_static(b" client")).await.unwrap();
        let hashing = writer.finish().await.unwrap();
        assert_eq!(reader.try_next().await.unwrap().unwrap(), " client");
        assert!(reader.try_next().await.unwrap().is_none());
        let hurried = hashing.hurry().await.unwrap();
        assert_eq!(hurried.sha256, Sha256::from_digest(&sha2::Sha256::digest(b"slow client")));
    }

    #[actix_web::test]
    async fn an_empty_body_has_hashes_too() {
        let (spool, writer) = Spool::create(&Spools::default()).await.unwrap();
        let hashes = writer.finish().await.unwrap().end(std::future::pending()).await.unwrap();
        assert_eq!(hashes.md5, Md5::from_digest(&md5::Md5::digest(b"")));
        assert!(collect(spool.read(u64::MAX)).await.unwrap().is_empty());
    }

    #[actix_web::test]
    async fn a_writer_that_goes_breaks_what_is_read() {
        let (_, chunks) = body(3 * LARGEST_PIECE);
        let (spool, mut writer) = Spool::create(&Spools::default()).await.unwrap();
        for chunk in chunks {
            writer.push(chunk).await.unwrap();
        }
        let reader = actix_web::rt::spawn(collect(spool.read(u64::MAX)));
        let whole = spool.complete();
        drop(writer);
        assert!(reader.await.unwrap().is_err() && whole.await.is_err());
        assert!(collect(spool.read(u64::MAX)).await.is_err(), "also for who comes later");
        assert_eq!(spool.size(), None);
    }
}
