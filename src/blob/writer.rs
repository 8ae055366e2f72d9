//! Writes one blob as its bytes come in: hashed on a blocking thread, one part on its way while the next fills.

use super::{BlobError, Hashers, Hashes};
use bytes::Bytes;
use cdn_actors::domain::hash::{Md5, Sha256};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use std::{convert::Infallible, sync::Arc};
use tokio::{sync::oneshot, task::JoinHandle};

/// Bytes kept for telling the media type.
const HEAD: usize = 8 * 1024;

/// A blob being written. Dropped before [`BlobWriter::finish`], it gives up what was uploaded so far, and dropped in
/// the middle of that, it is finished none the less: [`Writing::ended`] says when nothing more happens to the object.
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
    /// Held until nothing more happens to the object.
    writing: Option<oneshot::Sender<Infallible>>,
}

/// That a blob is being written, for who wants to remove it afterwards.
pub struct Writing(oneshot::Receiver<Infallible>);

impl Writing {
    /// Waits until the writer has finished or has given up, also when it was dropped.
    pub async fn ended(self) {
        // What is never sent comes as the error of a sender that is gone.
        let _ = self.0.await;
    }
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
    pub(super) fn new(store: Arc<dyn ObjectStore>, key: Path, part_size: usize) -> (Self, Writing) {
        let (writing, ended) = oneshot::channel();
        let writer = Self {
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
            writing: Some(writing),
        };
        (writer, Writing(ended))
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
        // In a task of its own: a caller that goes away must not leave a change of the store half done.
        let finishing = tokio::spawn(async move {
            let hashers = self.complete().await?;
            let Hashes { sha256, md5 } = hashers.finish();
            Ok(Finished { size: self.size, sha256, md5, head: std::mem::take(&mut self.head) })
        });
        finishing.await.map_err(|error| BlobError::Failed(error.to_string()))?
    }

    async fn complete(&mut self) -> Result<Hashers, BlobError> {
        let hashers = self.settle().await?;
        let part = std::mem::take(&mut self.part);
        let payload: PutPayload = part.iter().cloned().collect();
        let Some(upload) = &mut self.upload else {
            let stored = self.store.put(&self.key, payload);
            let (hashers, stored) = futures_util::join!(hash(hashers, part), stored);
            stored?;
            return hashers;
        };
        let hashers = if part.is_empty() {
            hashers
        } else {
            let (hashers, stored) = futures_util::join!(hash(hashers, part), upload.put_part(payload));
            stored?;
            hashers?
        };
        upload.complete().await?;
        // What is complete can't be given up.
        self.upload = None;
        Ok(hashers)
    }

    /// Gives up what was uploaded so far.
    pub async fn abort(mut self) {
        if let Some(giving_up) = self.give_up()
            && let Err(error) = giving_up.await
        {
            tracing::warn!(%error, "an unfinished upload could not be given up");
        }
    }

    /// `None` when nothing was begun.
    fn give_up(&mut self) -> Option<JoinHandle<()>> {
        let mut upload = self.upload.take()?;
        let (flushing, writing) = (self.flushing.take(), self.writing.take());
        // Outside a runtime the process ends; the next one finds the intent.
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(runtime.spawn(async move {
            // The part under way writes to the upload: it must be over before the upload is given up.
            if let Some(flushing) = flushing {
                let _ = flushing.await;
            }
            if let Err(error) = upload.abort().await {
                tracing::warn!(%error, "parts of an unfinished upload are left in the store");
            }
            drop(writing);
        }))
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        self.give_up();
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
