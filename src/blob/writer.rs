//! Writes one blob as its bytes come in: hashed on a blocking thread, one part on its way while the next fills.

use super::{BlobError, Hashers, Hashes};
use bytes::Bytes;
use cdn_actors::domain::hash::{Md5, Sha256};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes kept for telling the media type.
const HEAD: usize = 8 * 1024;

/// A blob being written. Dropped before [`BlobWriter::finish`], it leaves at most an unfinished upload that
/// [`BlobWriter::abort`] or the janitor removes.
pub struct BlobWriter {
    store: Arc<dyn ObjectStore>,
    key: Path,
    part_size: usize,
    upload: Option<Box<dyn MultipartUpload>>,
    part: Vec<Bytes>,
    part_len: usize,
    head: Vec<u8>,
    size: u64,
    hashers: Option<Hashers>,
    flushing: Option<JoinHandle<Result<Hashers, BlobError>>>,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Finished {
    pub size: u64,
    pub sha256: Sha256,
    pub md5: Md5,
    /// The first bytes, at most 8 KiB.
    pub head: Vec<u8>,
}

impl BlobWriter {
    pub(super) fn new(store: Arc<dyn ObjectStore>, key: Path, part_size: usize) -> Self {
        Self {
            store,
            key,
            part_size,
            upload: None,
            part: Vec::new(),
            part_len: 0,
            head: Vec::new(),
            size: 0,
            hashers: Some(Hashers::default()),
            flushing: None,
        }
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes; waits only when the part before is still on its way.
    ///
    /// # Errors
    /// The store's.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        if self.head.len() < HEAD {
            self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD - self.head.len())]);
        }
        self.size += bytes.len() as u64;
        self.part_len += bytes.len();
        self.part.push(bytes);
        if self.part_len >= self.part_size {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BlobError> {
        let hashers = self.settle().await?;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            empty => empty.insert(self.store.put_multipart(&self.key).await?),
        };
        let part = std::mem::take(&mut self.part);
        self.part_len = 0;
        let stored = upload.put_part(part.iter().cloned().collect::<PutPayload>());
        self.flushing = Some(tokio::spawn(async move {
            let hashed = hash(hashers, part);
            let (hashers, stored) = futures_util::join!(hashed, stored);
            stored?;
            hashers
        }));
        Ok(())
    }

    /// Waits for the part under way and gives the hashers back.
    async fn settle(&mut self) -> Result<Hashers, BlobError> {
        match self.flushing.take() {
            Some(flushing) => flushing.await.map_err(|error| BlobError::Failed(error.to_string()))?,
            None => self.hashers.take().ok_or_else(|| BlobError::Failed("an earlier part failed".into())),
        }
    }

    /// Makes the blob durable under its key.
    ///
    /// # Errors
    /// The store's; then nothing is under the key, or the caller removes it by its intent.
    pub async fn finish(mut self) -> Result<Finished, BlobError> {
        if let Some(mut upload) = self.upload.take() {
            let part = std::mem::take(&mut self.part);
            let hashers = self.settle().await?;
            let hashers = if part.is_empty() {
                hashers
            } else {
                let stored = upload.put_part(part.iter().cloned().collect::<PutPayload>());
                let (hashers, stored) = futures_util::join!(hash(hashers, part), stored);
                stored?;
                hashers?
            };
            upload.complete().await?;
            return Ok(self.finished(hashers));
        }
        let hashers = self.settle().await?;
        let part = std::mem::take(&mut self.part);
        let payload: PutPayload = part.iter().cloned().collect();
        let (hashers, stored) = futures_util::join!(hash(hashers, part), self.store.put(&self.key, payload));
        stored?;
        Ok(self.finished(hashers?))
    }

    fn finished(self, hashers: Hashers) -> Finished {
        let Hashes { sha256, md5 } = hashers.finish();
        Finished { size: self.size, sha256, md5, head: self.head }
    }

    /// Gives up what was uploaded so far.
    pub async fn abort(mut self) {
        // The part under way writes to the upload: it must be over before the upload is given up.
        if let Some(flushing) = self.flushing.take() {
            let _ = flushing.await;
        }
        if let Some(mut upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%error, "an unfinished upload could not be aborted");
        }
    }
}

/// Below this a hop to another thread costs more than the hashing.
const INLINE_HASH: usize = 4 * 1024;

async fn hash(mut hashers: Hashers, part: Vec<Bytes>) -> Result<Hashers, BlobError> {
    let is_small = part.iter().map(Bytes::len).sum::<usize>() <= INLINE_HASH;
    let update = move || {
        for bytes in &part {
            hashers.update(bytes);
        }
        hashers
    };
    if is_small {
        return Ok(update());
    }
    tokio::task::spawn_blocking(update).await.map_err(|error| BlobError::Failed(error.to_string()))
}
