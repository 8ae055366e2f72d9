//! A body kept in a temporary file without a name while it is passed on: written once, hashed on the way, and
//! read by each attempt, also while it is still being written. Nothing of it outlives the process.

use crate::{net::upload_host::SourceError, service::ServiceError};
use bytes::{Bytes, BytesMut};
use cdn_actors::domain::hash::{Md5, Sha256};
use futures_util::{Stream, stream};
use sha2::Digest;
use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};
use tokio::{sync::watch, task::JoinHandle};

/// Bytes written or read at once: one such piece fills while another is on its way to the file.
const PIECE: usize = 64 * 1024;

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
    /// Bytes that can be read.
    written: u64,
    progress: Progress,
}

/// The readable side; cheap to clone.
#[derive(Clone)]
pub struct Spool(Arc<Shared>);

struct Shared {
    file: File,
    state: watch::Sender<State>,
}

/// What the whole body was.
#[derive(Debug, Clone)]
pub struct Hashes {
    pub sha256: Sha256,
    pub md5: Md5,
}

#[derive(Default)]
struct Hashers {
    sha256: sha2::Sha256,
    md5: md5::Md5,
}

/// The writing side. Dropped before [`SpoolWriter::finish`], it tells the readers that there will be no more.
pub struct SpoolWriter {
    spool: Spool,
    size: u64,
    piece: Vec<Bytes>,
    piece_len: usize,
    hashers: Option<Hashers>,
    flushing: Option<JoinHandle<io::Result<Hashers>>>,
}

impl Spool {
    /// # Errors
    /// No temporary file to be had.
    pub async fn create() -> Result<(Self, SpoolWriter), ServiceError> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
        let file = file.map_err(|error| ServiceError::Internal(error.to_string()))?.map_err(spool_error)?;
        let state = watch::Sender::new(State { written: 0, progress: Progress::Open });
        let spool = Self(Arc::new(Shared { file, state }));
        let writer = SpoolWriter {
            spool: spool.clone(),
            size: 0,
            piece: Vec::new(),
            piece_len: 0,
            hashers: Some(Hashers::default()),
            flushing: None,
        };
        Ok((spool, writer))
    }

    /// Bytes there are so far.
    pub fn written(&self) -> u64 {
        self.0.state.borrow().written
    }

    /// The size of the whole body, once it is there.
    pub fn size(&self) -> Option<u64> {
        let state = *self.0.state.borrow();
        (state.progress == Progress::Complete).then_some(state.written)
    }

    /// Waits for the whole body; its size.
    pub async fn complete(&self) -> Result<u64, SourceError> {
        let mut states = self.0.state.subscribe();
        let ended = states.wait_for(|state| state.progress != Progress::Open).await;
        match ended.map(|state| *state) {
            Ok(State { written, progress: Progress::Complete }) => Ok(written),
            _ => Err(broken()),
        }
    }

    /// The body from its start, as far as `limit` bytes; waits for what isn't written yet.
    pub fn read(&self, limit: u64) -> impl Stream<Item = Result<Bytes, SourceError>> + use<> {
        let states = self.0.state.subscribe();
        stream::try_unfold((self.clone(), states, 0), move |(spool, mut states, at)| async move {
            if at >= limit {
                return Ok(None);
            }
            let moved = states.wait_for(|state| state.written > at || state.progress != Progress::Open).await;
            let State { written, progress } = moved.map(|state| *state).map_err(|_| broken())?;
            if written <= at {
                return if progress == Progress::Complete { Ok(None) } else { Err(broken()) };
            }
            let len = usize::try_from(written.min(limit) - at).unwrap_or(usize::MAX).min(PIECE);
            let bytes = spool.read_at(at, len).await?;
            Ok(Some((bytes, (spool, states, at + len as u64))))
        })
    }

    async fn read_at(&self, at: u64, len: usize) -> Result<Bytes, SourceError> {
        // Allocated here: the threads for blocking work are many, and each would keep memory of its own.
        let mut piece = BytesMut::zeroed(len);
        let shared = Arc::clone(&self.0);
        let read = move || shared.file.read_exact_at(&mut piece, at).map(|()| piece.freeze());
        let outcome = tokio::task::spawn_blocking(read).await;
        let outcome = outcome.map_err(|error| SourceError(error.to_string()))?;
        outcome.map_err(|error| SourceError(format!("the temporary file can't be read: {error}")))
    }
}

impl SpoolWriter {
    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes; waits only when the piece before is still on its way to the file.
    ///
    /// # Errors
    /// The file system's.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), ServiceError> {
        self.size += bytes.len() as u64;
        self.piece_len += bytes.len();
        self.piece.push(bytes);
        if self.piece_len >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), ServiceError> {
        let mut hashers = self.settle().await?;
        let piece = std::mem::take(&mut self.piece);
        let at = self.size - self.piece_len as u64;
        self.piece_len = 0;
        let spool = self.spool.clone();
        self.flushing = Some(tokio::task::spawn_blocking(move || {
            let mut at = at;
            for bytes in &piece {
                spool.0.file.write_all_at(bytes, at)?;
                at += bytes.len() as u64;
            }
            // Readers go on while this is hashed.
            spool.0.state.send_modify(|state| state.written = at);
            for bytes in &piece {
                hashers.sha256.update(bytes);
                hashers.md5.update(bytes);
            }
            Ok(hashers)
        }));
        Ok(())
    }

    /// Waits for the piece under way and gives the hashers back.
    async fn settle(&mut self) -> Result<Hashers, ServiceError> {
        match self.flushing.take() {
            Some(flushing) => {
                let flushed = flushing.await.map_err(|error| ServiceError::Internal(error.to_string()))?;
                flushed.map_err(spool_error)
            }
            None => {
                self.hashers.take().ok_or_else(|| ServiceError::Internal("an earlier piece failed".into()))
            }
        }
    }

    /// Writes what is left; the hashes of all.
    ///
    /// # Errors
    /// The file system's.
    pub async fn finish(mut self) -> Result<Hashes, ServiceError> {
        self.flush().await?;
        let hashers = self.settle().await?;
        self.spool.0.state.send_modify(|state| state.progress = Progress::Complete);
        Ok(Hashes {
            sha256: Sha256::from_digest(&hashers.sha256.finalize()),
            md5: Md5::from_digest(&hashers.md5.finalize()),
        })
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
