//! Streams a byte range of a blob, in chunks that keep memory flat.

use super::BlobError;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, path::Path};
use std::{fs::File, ops::Range, os::unix::fs::FileExt, pin::Pin};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// The bytes of a blob as they are read.
pub type ByteStream = Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// Bytes read from a local file at once.
const CHUNK: u64 = 128 * 1024;

pub(super) async fn open(
    store: &dyn ObjectStore,
    key: &Path,
    range: Range<u64>,
) -> Result<ByteStream, BlobError> {
    if range.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
    let result = store.get_opts(key, options).await?;
    Ok(match result.payload {
        GetResultPayload::File(file, _) => read_file(file, range).boxed(),
        GetResultPayload::Stream(bytes) => bytes.map_err(BlobError::from).boxed(),
    })
}

fn read_file(
    file: File,
    range: Range<u64>,
) -> impl futures_util::Stream<Item = Result<Bytes, BlobError>> + Send {
    stream::try_unfold((file, range), |(file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let read = move || {
            let len = usize::try_from(CHUNK.min(range.end - range.start)).unwrap_or(usize::MAX);
            let mut chunk = BytesMut::zeroed(len);
            file.read_exact_at(&mut chunk, range.start)?;
            Ok((chunk.freeze(), (file, range.start + len as u64..range.end)))
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| BlobError::Failed(error.to_string()))?
            .map(Some)
            .map_err(|error: std::io::Error| BlobError::Failed(error.to_string()))
    })
}

/// The whole blob as a file that can be read from any place.
pub(super) async fn open_file(
    store: &dyn ObjectStore,
    key: &Path,
    size: u64,
) -> Result<tokio::fs::File, BlobError> {
    let failed = |error: std::io::Error| BlobError::Failed(error.to_string());
    let result = store.get_opts(key, GetOptions::new()).await?;
    let mut bytes = match result.payload {
        // Opened for this call alone.
        GetResultPayload::File(file, _) => return Ok(tokio::fs::File::from_std(file)),
        GetResultPayload::Stream(bytes) => bytes,
    };
    let copy = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let mut copy = tokio::fs::File::from_std(copy.map_err(|error| failed(error.into()))?.map_err(failed)?);
    let mut copied = 0;
    while let Some(chunk) = bytes.try_next().await? {
        copy.write_all(&chunk).await.map_err(failed)?;
        copied += chunk.len() as u64;
    }
    if copied != size {
        return Err(BlobError::Failed(format!("{copied} of {size} bytes came")));
    }
    copy.flush().await.map_err(failed)?;
    copy.rewind().await.map_err(failed)?;
    Ok(copy)
}
