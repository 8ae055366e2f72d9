//! Stored bytes: a local folder or an S3-compatible bucket, by the same calls. Knows keys and bytes, no rows.

mod hashes;
mod reader;
mod writer;

pub use hashes::{Hashers, Hashes};
pub use reader::ByteStream;
pub use writer::{BlobWriter, Finished, Writing};

use crate::config::{StorageConfig, StorageLocation};
use cdn_actors::domain::ids::BlobId;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    ClientConfigKey, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
    prefix::PrefixStore,
};
use std::{ops::Range, path::PathBuf, sync::Arc, time::Duration};
use uuid::Uuid;

/// Bytes buffered before they are written, for a local folder: with one part on its way to the disk and
/// one filling up, an upload holds a quarter of a MiB.
const LOCAL_PART: usize = 128 * 1024;
/// S3 takes no part under 5 MiB but the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const S3_PART: usize = 5 * 1024 * 1024;

/// How often a request to S3 is tried again, with pauses that double from a tenth of a second: a store that is busy or
/// changes its leader is ridden out, and one that is away is said to be away while the client still waits.
const S3_RETRIES: usize = 5;
/// How long a body may be read. The default would cut off whoever downloads slowly, and not take up again what breaks
/// off late: both times count from the start of the request.
const S3_LONGEST_STREAM: Duration = Duration::from_hours(24);

/// A blob store error.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the blob is not in the store")]
    NotFound,
    #[error("the blob store is full")]
    Full,
    /// Away, too slow, or refusing: the same call may work in a moment.
    #[error("the blob store failed: {0}")]
    Failed(String),
}

impl From<object_store::Error> for BlobError {
    fn from(error: object_store::Error) -> Self {
        if let object_store::Error::NotFound { .. } = error {
            return Self::NotFound;
        }
        if is_full(&error) { Self::Full } else { Self::Failed(error.to_string()) }
    }
}

/// Whether "no space left on device" is anywhere in the chain of causes.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| {
            matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        }) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A handle to the blob store; cheap to clone.
#[derive(Clone)]
pub struct BlobStore {
    store: Arc<dyn ObjectStore>,
    part_size: usize,
    /// The folder, when it is one.
    folder: Option<PathBuf>,
}

impl BlobStore {
    /// # Errors
    /// A folder that can't be made, or settings that name no bucket.
    pub fn open(config: &StorageConfig) -> Result<Self, BlobError> {
        let (bucket, prefix) = match config.location() {
            Some(StorageLocation::Folder(folder)) => {
                std::fs::create_dir_all(&folder).map_err(|error| BlobError::Failed(error.to_string()))?;
                // Files and folders are fsynced before a row may say that the blob is there.
                let store =
                    LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true).with_automatic_cleanup(false);
                return Ok(Self { store: Arc::new(store), part_size: LOCAL_PART, folder: Some(folder) });
            }
            Some(StorageLocation::S3 { bucket, prefix }) => (bucket, prefix),
            None => return Err(BlobError::Failed("storage.url names no folder and no bucket".into())),
        };
        let retry = RetryConfig {
            max_retries: S3_RETRIES,
            retry_timeout: S3_LONGEST_STREAM,
            ..RetryConfig::default()
        };
        let millis = |limit: Duration| format!("{}ms", limit.as_millis());
        // One by one: the client's options as a whole would replace those of the environment, such as a proxy.
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_region(&config.s3_region)
            .with_allow_http(config.s3_allow_http)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), millis(S3_LONGEST_STREAM))
            .with_config(
                AmazonS3ConfigKey::Client(ClientConfigKey::ReadTimeout),
                millis(config.s3_timeout.duration()),
            )
            .with_retry(retry);
        if !config.s3_endpoint.is_empty() {
            builder = builder.with_endpoint(&config.s3_endpoint);
        }
        if !config.s3_access_key_id.is_empty() {
            builder = builder
                .with_access_key_id(&config.s3_access_key_id)
                .with_secret_access_key(&config.s3_secret_access_key);
        }
        let store = PrefixStore::new(builder.build()?, prefix);
        Ok(Self { store: Arc::new(store), part_size: S3_PART, folder: None })
    }

    /// Starts writing a blob. Nothing is to be seen under its key before [`BlobWriter::finish`], and it may be deleted
    /// once the writing has ended.
    pub fn write(&self, id: BlobId) -> (BlobWriter, Writing) {
        BlobWriter::new(Arc::clone(&self.store), key_of(id), self.part_size)
    }

    /// Streams a byte range of a blob.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] or the store's.
    pub async fn read(&self, id: BlobId, range: Range<u64>) -> Result<ByteStream, BlobError> {
        reader::open(self.store.as_ref(), &key_of(id), range).await
    }

    /// A blob of this size as a file that can be read from any place: its own in a local folder, else a
    /// temporary copy without a name.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], the store's, or the temporary file's.
    pub async fn open_file(&self, id: BlobId, size: u64) -> Result<tokio::fs::File, BlobError> {
        reader::open_file(self.store.as_ref(), &key_of(id), size).await
    }

    /// Removes a blob, finished or not; one that isn't there is removed already.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete(&self, id: BlobId) -> Result<(), BlobError> {
        match self.store.delete(&key_of(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(folder) = &self.folder {
            // Where the local store keeps an upload until it is complete; a crash leaves it there.
            let unfinished = folder.join(format!("{}#1", key_of(id)));
            match tokio::fs::remove_file(unfinished).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(BlobError::Failed(error.to_string()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// All blobs in the store with their sizes; what isn't named like a blob is left out.
    pub fn list(&self) -> BoxStream<'static, Result<(BlobId, u64), BlobError>> {
        self.store
            .list(None)
            .filter_map(|entry| async move {
                match entry {
                    Ok(meta) => id_of(&meta.location).map(|id| Ok((id, meta.size))),
                    Err(error) => Some(Err(error.into())),
                }
            })
            .boxed()
    }

    /// A blob's size in the store; `None` when it isn't there.
    ///
    /// # Errors
    /// The store's.
    pub async fn size_of(&self, id: BlobId) -> Result<Option<u64>, BlobError> {
        match self.store.head(&key_of(id)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// The store's.
    pub async fn probe(&self) -> Result<(), BlobError> {
        match self.store.head(&Path::from("readiness-probe")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// `4f/0192…4f`: spread over 256 folders by the id's random end, since its head is a time.
fn key_of(id: BlobId) -> Path {
    let name = id.to_string();
    Path::from_iter([&name[name.len() - 2..], name.as_str()])
}

fn id_of(path: &Path) -> Option<BlobId> {
    path.filename().and_then(|name| Uuid::parse_str(name).ok()).map(BlobId)
}
