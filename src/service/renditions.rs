//! Renditions: made by a pool of decoder processes, stored like any bytes, and found by file and size.

use super::{ServiceError, Services, upload::PendingBlob};
use crate::{
    blob::{BlobError, ByteStream},
    config::ThumbnailsConfig,
    db::{
        Tx,
        processing::JobStatus,
        renditions::{PictureRow, RenditionRow, RenditionSpec},
    },
    media::render::{
        OutputFormat, OutputSpec, RenderError, RenderLimits, RenderRequest, RenderWorker, Rendered,
        is_renderable,
    },
};
use cdn_actors::domain::ids::{BlobId, FileId, UserId};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    fs::File,
    sync::{Mutex as AsyncMutex, Semaphore},
};
use uuid::Uuid;

/// How long a request waits for its turn at a rendition.
const TURN: Duration = Duration::from_secs(20);
/// Digits of a rendition's hash in its URL.
const VERSION: usize = 16;

/// What a rendition in the making is known by: source, size, format.
type Key = (Uuid, u32, &'static str);

/// Decoder processes, kept for the next file once they are there.
pub struct RenderPool {
    limits: RenderLimits,
    program: OnceLock<PathBuf>,
    idle: Mutex<Vec<RenderWorker>>,
    /// Most that are kept.
    keep: AtomicUsize,
    renders: AtomicU64,
    /// Renditions that requests ask for; jobs have their own bound.
    on_demand: Semaphore,
    in_the_making: Mutex<HashMap<Key, Weak<AsyncMutex<()>>>>,
}

impl RenderPool {
    pub fn new(config: &ThumbnailsConfig) -> Self {
        let limits = RenderLimits {
            address_space: config.max_memory.bytes(),
            cpu_time: config.cpu_time.duration(),
            wall_time: config.wall_time.duration(),
            max_source: config.max_source.bytes(),
            ..RenderLimits::default()
        };
        Self {
            limits,
            program: OnceLock::new(),
            idle: Mutex::default(),
            keep: AtomicUsize::new(config.worker_count()),
            renders: AtomicU64::new(0),
            on_demand: Semaphore::new(config.worker_count().min(Semaphore::MAX_PERMITS)),
            in_the_making: Mutex::default(),
        }
    }

    /// Names the server's binary, for callers that are not it themselves. Without effect the second time.
    pub fn use_program(&self, program: PathBuf) {
        let _ = self.program.set(program);
    }

    /// Files given to a decoder since the start.
    pub fn renders(&self) -> u64 {
        self.renders.load(Ordering::Relaxed)
    }

    pub(super) fn resize(&self, workers: usize) {
        self.keep.store(workers, Ordering::Relaxed);
        lock(&self.idle).truncate(workers);
    }

    /// A decoder whose job is dropped ends with it.
    pub(super) async fn render(
        &self,
        source: File,
        request: &RenderRequest,
    ) -> Result<Rendered, RenderError> {
        self.renders.fetch_add(1, Ordering::Relaxed);
        let idle = lock(&self.idle).pop();
        let mut worker = idle.unwrap_or_else(|| {
            let worker = RenderWorker::new(self.limits);
            match self.program.get() {
                Some(program) => worker.with_program(program),
                None => worker,
            }
        });
        let rendered = Box::pin(worker.render(source, request)).await;
        let mut idle = lock(&self.idle);
        if idle.len() < self.keep.load(Ordering::Relaxed) {
            idle.push(worker);
        }
        rendered
    }

    /// One lock for all who want the same rendition.
    fn turn_at(&self, key: Key) -> Arc<AsyncMutex<()>> {
        let mut making = lock(&self.in_the_making);
        making.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = making.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(AsyncMutex::new(()));
        making.insert(key, Arc::downgrade(&turn));
        turn
    }
}

/// A rendition in the store that no row names yet. Dropped, it is removed.
pub(super) struct StoredRendition {
    pub spec: RenditionSpec,
    pending: PendingBlob,
}

/// A rendition of a file that anybody may see.
#[derive(Debug, Clone)]
pub struct Picture {
    pub rendition: RenditionRow,
}

impl Picture {
    /// Whether this is what a URL with this version parameter named.
    pub fn is_version(&self, version: &str) -> bool {
        version == version_of(&self.rendition)
    }
}

/// Where a rendition of a file is, as path and query on this server. The version changes with the bytes, so that
/// the answer may be kept for ever.
pub(super) fn picture_path(file: Uuid, rendition: &RenditionRow) -> String {
    format!("/f/{file}/thumbnail?w={}&v={}", rendition.max_side, version_of(rendition))
}

/// The same picture for somebody who may see it and not the bytes: by the id that they are shown.
pub(super) fn private_picture_path(path: &str, shown: Uuid) -> String {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    format!("/api/cdn/files/{shown}/thumbnail/?{query}")
}

fn version_of(rendition: &RenditionRow) -> &str {
    rendition.sha256.get(..VERSION).unwrap_or(&rendition.sha256)
}

/// The name a format has in the database.
pub(super) fn format_name(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::WebP => "webp",
        OutputFormat::Jpeg => "jpeg",
    }
}

pub(super) fn find(renditions: &[RenditionRow], side: u32, format: OutputFormat) -> Option<&RenditionRow> {
    renditions.iter().find(|one| one.max_side == i64::from(side) && one.format == format_name(format))
}

impl Services {
    /// A living file's rendition of a configured size, made now if it is the first time that somebody asks.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a file that has none; a size that isn't configured; and
    /// [`ServiceError::Unavailable`] while its job is still to be done.
    pub async fn picture(&self, file: FileId, side: u32, as_jpeg: bool) -> Result<Picture, ServiceError> {
        let format = if as_jpeg { OutputFormat::Jpeg } else { OutputFormat::WebP };
        let row = self.db.find_picture(file).await?.ok_or(ServiceError::NotFound)?;
        let source = row.blob_id.unwrap_or(file.get());
        let renditions = self.db.list_renditions(source).await?;
        let picture = |rendition: &RenditionRow| Picture { rendition: rendition.clone() };
        if let Some(rendition) = find(&renditions, side, format) {
            return Ok(picture(rendition));
        }
        if !is_renderable(&row.mime_type) {
            return Err(ServiceError::NotFound);
        }
        let sizes = &self.config.thumbnails.sizes;
        if !sizes.contains(&side) {
            let sizes: Vec<_> = sizes.iter().map(u32::to_string).collect();
            return Err(ServiceError::field(
                "w",
                format!("Not valid: expected one of {}.", sizes.join(", ")),
            ));
        }
        let is_waiting = matches!(
            JobStatus::parse(&row.processing_status),
            Some(JobStatus::Pending | JobStatus::Processing)
        );
        if renditions.is_empty() {
            let not_yet = || ServiceError::Unavailable("the thumbnail's job is not done yet".into());
            return Err(if is_waiting { not_yet() } else { ServiceError::NotFound });
        }
        self.make_picture(file, &row, side, format).await.map(|rendition| picture(&rendition))
    }

    /// The bytes of a rendition.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] when it has just been replaced.
    pub async fn open_rendition(&self, rendition: &RenditionRow) -> Result<ByteStream, ServiceError> {
        let size = u64::try_from(rendition.size).unwrap_or(0);
        match self.blobs.read(rendition.blob(), 0..size).await {
            Err(BlobError::NotFound) => Err(ServiceError::NotFound),
            outcome => Ok(outcome?),
        }
    }

    /// Makes one more rendition of a file that has some. Of all who ask at the same time one does it.
    async fn make_picture(
        &self,
        file: FileId,
        row: &PictureRow,
        side: u32,
        format: OutputFormat,
    ) -> Result<RenditionRow, ServiceError> {
        let source = row.blob_id.unwrap_or(file.get());
        let turn = self.renders.turn_at((source, side, format_name(format)));
        let _turn = tokio::time::timeout(TURN, turn.lock()).await.map_err(|_| ServiceError::Busy)?;
        let renditions = self.db.list_renditions(source).await?;
        if let Some(rendition) = find(&renditions, side, format) {
            return Ok(rendition.clone());
        }
        let permit = tokio::time::timeout(TURN, self.renders.on_demand.acquire()).await;
        let _permit = permit.map_err(|_| ServiceError::Busy)?;
        let base = larger_rendition(&renditions, side);
        let opened = match (base, row.blob_id) {
            (Some(base), _) => self.open_blob(base.blob(), base.size).await?,
            // The sizes have grown since; what is stored here can be looked at again.
            (None, Some(blob)) => self.open_blob(BlobId(blob), row.file_size).await?,
            (None, None) => return Err(ServiceError::NotFound),
        };
        let request = RenderRequest {
            media_type: base.map_or_else(|| row.mime_type.clone(), |_| "image/webp".to_owned()),
            extension: if base.is_some() { ".webp".to_owned() } else { row.file_extension.clone() },
            outputs: vec![OutputSpec { max_side: side, format, keep_animation: false }],
        };
        let rendered = self.renders.render(opened, &request).await.map_err(|error| {
            tracing::warn!(%file, side, %error, "a rendition that was asked for could not be made");
            match error {
                RenderError::Unavailable | RenderError::Crashed | RenderError::TimedOut => {
                    ServiceError::Unavailable(error.to_string())
                }
                _ => ServiceError::NotFound,
            }
        })?;
        let stored = self.store_renditions(&request.outputs, &rendered).await?;
        self.keep_picture(file, UserId(row.owner_id), (source, base.map(|base| base.blob_id)), stored)
            .await?;
        let renditions = self.db.list_renditions(source).await?;
        find(&renditions, side, format).cloned().ok_or(ServiceError::NotFound)
    }

    /// Records a rendition that was made on demand, unless the file's content is another by now. `from` is the
    /// source and, for a rendition made of another one, that one.
    async fn keep_picture(
        &self,
        file: FileId,
        owner: UserId,
        from: (Uuid, Option<Uuid>),
        stored: Vec<StoredRendition>,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let specs: Vec<_> = stored.iter().map(|one| one.spec.clone()).collect();
        let work = async move |tx: &mut Tx| {
            let (source, base) = from;
            tx.lock_account(owner).await?;
            let has_base = match base {
                Some(base) => tx.list_renditions(source).await?.iter().any(|one| one.blob_id == base),
                None => true,
            };
            if tx.source_of(file).await? != Some(source) || !has_base {
                return Ok(Vec::new());
            }
            insert_renditions(tx, source, &specs, now).await
        };
        let kept = self.db.write(work).await;
        settle(stored, kept.as_deref().unwrap_or_default()).await;
        kept.map(|_| ())
    }

    /// Stored bytes as a file that can be read from any place.
    pub(super) async fn open_blob(&self, blob: BlobId, size: i64) -> Result<File, BlobError> {
        self.blobs.open_file(blob, u64::try_from(size).unwrap_or(0)).await
    }

    /// Puts what was rendered into the store.
    pub(super) async fn store_renditions(
        &self,
        outputs: &[OutputSpec],
        rendered: &Rendered,
    ) -> Result<Vec<StoredRendition>, ServiceError> {
        let mut stored = Vec::with_capacity(outputs.len());
        for (output, rendition) in outputs.iter().zip(&rendered.renditions) {
            let mut pending = PendingBlob::begin(self).await?;
            let mut writer = pending.writer();
            if let Err(error) = writer.push(rendition.bytes.clone().into()).await {
                writer.abort().await;
                return Err(error.into());
            }
            let finished = writer.finish().await?;
            let spec = RenditionSpec {
                blob: pending.id(),
                max_side: output.max_side,
                format: format_name(rendition.format),
                width: rendition.width,
                height: rendition.height,
                is_animated: rendition.is_animated,
                size: finished.size,
                sha256: finished.sha256.as_str().to_owned(),
            };
            stored.push(StoredRendition { spec, pending });
        }
        Ok(stored)
    }
}

/// The smallest rendition that is at least as large.
fn larger_rendition(renditions: &[RenditionRow], side: u32) -> Option<&RenditionRow> {
    renditions
        .iter()
        .filter(|one| one.max_side >= i64::from(side) && one.format == format_name(OutputFormat::WebP))
        .min_by_key(|one| one.max_side)
}

/// Records renditions; gives the blobs of those that are new.
pub(super) async fn insert_renditions(
    tx: &mut Tx,
    source: Uuid,
    specs: &[RenditionSpec],
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<BlobId>, ServiceError> {
    let mut kept = Vec::with_capacity(specs.len());
    for spec in specs {
        if tx.insert_rendition(source, spec, now).await? {
            kept.push(spec.blob);
        }
    }
    Ok(kept)
}

/// Removes what was stored for nothing.
pub(super) async fn settle(stored: Vec<StoredRendition>, kept: &[BlobId]) {
    for one in stored {
        if kept.contains(&one.spec.blob) {
            one.pending.published();
        } else {
            one.pending.discard().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
