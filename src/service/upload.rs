//! Direct uploads: reserve, record the intent, stream and hash, then one transaction that makes it a file.

use super::{
    ServiceError, Services,
    access::lock_target,
    files::{FileDetails, Placement, details, find_duplicate, insert_with_activity},
    folders::ParentChange,
    placing::Placing,
};
use crate::{
    blob::{BlobWriter, Finished, Writing},
    db::{DbError, Tx, activity::Origin},
    media,
};
use bytes::Bytes;
use cdn_actors::{
    accounts::{QuotaError, Reservation},
    domain::{
        filename::Filename,
        ids::{BlobId, FileId, UserId},
        permission::Permission,
    },
    runtime::CallError,
};
use fail::fail_point;
use futures_util::{Stream, StreamExt};
use std::{pin::pin, sync::Arc};
use tokio::sync::OwnedSemaphorePermit;

/// First reservation of an upload that doesn't say its length, and the least it grows by.
const GROWTH: u64 = 1024 * 1024;

/// Where the bytes of an upload count.
#[derive(Debug, Clone, Copy)]
pub struct UploadRoom {
    /// Whose file it will be.
    pub owner: UserId,
    /// Largest file of the owner's tier in bytes.
    pub max_size: u64,
}

/// An upload as it is announced.
#[derive(Debug, Clone)]
pub struct UploadSpec {
    pub filename: Filename,
    pub declared_type: Option<String>,
    /// Bytes to come, where the client says so: what is reserved at once.
    pub declared_size: Option<u64>,
    pub room: UploadRoom,
}

/// A body in the store that is no file yet. Dropped, it leaves nothing.
pub struct StoredUpload {
    pub(super) services: Services,
    pub(super) origin: Origin,
    pub(super) spec: UploadSpec,
    pub(super) reservation: Reservation,
    pending: PendingBlob,
    pub(super) finished: Finished,
    _permit: OwnedSemaphorePermit,
}

/// A blob whose intent is recorded and that nothing refers to yet. Dropped, it is removed.
pub(super) struct PendingBlob {
    id: BlobId,
    services: Services,
    is_armed: bool,
    writing: Option<Writing>,
}

impl PendingBlob {
    pub(super) fn id(&self) -> BlobId {
        self.id
    }

    pub(super) async fn begin(services: &Services) -> Result<Self, ServiceError> {
        let id = BlobId::new();
        let (instance, now) = (services.instance, services.clock.now());
        // Armed before the row is there: a caller that goes away in between leaves nothing either.
        let pending = Self { id, services: services.clone(), is_armed: true, writing: None };
        let work = async move |tx: &mut Tx| tx.insert_pending_blob(id, instance, now).await;
        services.db.write::<_, _, DbError>(work).await?;
        Ok(pending)
    }

    /// Starts to write its object.
    pub(super) fn writer(&mut self) -> BlobWriter {
        let (writer, writing) = self.services.blobs.write(self.id);
        self.writing = Some(writing);
        writer
    }

    /// The blob is live: a file refers to it.
    pub(super) fn published(mut self) {
        self.is_armed = false;
    }

    /// Removes it now, so that the answer to the client comes after.
    pub(super) async fn discard(mut self) {
        self.is_armed = false;
        let id = self.id;
        // In a task of its own: a client that goes away now must not leave it half removed.
        if let Err(error) = actix_web::rt::spawn(self.removal()).await {
            tracing::error!(%id, %error, "an abandoned upload was not removed");
        }
    }

    fn removal(&mut self) -> impl Future<Output = ()> + use<> {
        let (services, id, writing) = (self.services.clone(), self.id, self.writing.take());
        async move {
            // Removed before, an object could come afterwards and nothing would know of it.
            if let Some(writing) = writing {
                writing.ended().await;
            }
            services.discard_blob(id).await;
        }
    }
}

impl Drop for PendingBlob {
    fn drop(&mut self) {
        if self.is_armed {
            // If the process ends first, the next one finds the intent.
            actix_web::rt::spawn(self.removal());
        }
    }
}

impl Services {
    /// The room for an upload into a folder that the user may put files into.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn upload_room(&self, user: UserId, folder: ParentChange) -> Result<UploadRoom, ServiceError> {
        let owner = match folder {
            ParentChange::Root => user,
            ParentChange::Folder(id) => {
                self.reach_folder(user, id).await?.require(Permission::Edit)?.access.owner
            }
        };
        self.room_of(owner).await
    }

    /// The room for new content of a file that the user may change.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn version_room(&self, user: UserId, file: FileId) -> Result<UploadRoom, ServiceError> {
        self.room_of(self.reach_file(user, file).await?.require(Permission::Edit)?.access.owner).await
    }

    pub(super) async fn room_of(&self, owner: UserId) -> Result<UploadRoom, ServiceError> {
        let tier = self.db.find_user(owner).await?.ok_or(ServiceError::NotFound)?.tier;
        Ok(UploadRoom { owner, max_size: self.max_file_size(&tier) })
    }

    /// Takes a body into the store; [`StoredUpload::place`] makes it a file.
    ///
    /// # Errors
    /// Over the tier's size or the quota, a body that stalls or breaks off. Then nothing is left.
    pub async fn receive_upload<S, E>(
        &self,
        origin: &Origin,
        spec: UploadSpec,
        body: S,
    ) -> Result<StoredUpload, ServiceError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<ServiceError>,
    {
        let permit = Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| ServiceError::Busy)?;
        let UploadRoom { owner, max_size } = spec.room;
        if let Some(size) = spec.declared_size.filter(|size| *size > max_size) {
            return Err(ServiceError::TooLarge { file_size: Some(size), max_size });
        }
        let first = spec.declared_size.unwrap_or(GROWTH.min(max_size));
        let mut reservation = self.accounts.reserve(owner, first).await?;
        let mut pending = PendingBlob::begin(self).await?;
        let finished = match self.store_body(&mut pending, &spec, &mut reservation, body).await {
            Ok(finished) => finished,
            Err(error) => {
                pending.discard().await;
                return Err(error);
            }
        };
        fail_point!("upload::object_stored");
        Ok(StoredUpload {
            services: self.clone(),
            origin: origin.clone(),
            spec,
            reservation,
            pending,
            finished,
            _permit: permit,
        })
    }

    async fn store_body<S, E>(
        &self,
        pending: &mut PendingBlob,
        spec: &UploadSpec,
        reservation: &mut Reservation,
        body: S,
    ) -> Result<Finished, ServiceError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<ServiceError>,
    {
        let mut writer = pending.writer();
        match self.receive(&mut writer, spec, reservation, body).await {
            Ok(()) if writer.size() == 0 => {
                writer.abort().await;
                Err(ServiceError::field("file", "The submitted file is empty."))
            }
            Ok(()) => Ok(writer.finish().await?),
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    async fn receive<S, E>(
        &self,
        writer: &mut BlobWriter,
        spec: &UploadSpec,
        reservation: &mut Reservation,
        body: S,
    ) -> Result<(), ServiceError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<ServiceError>,
    {
        let stall = self.config.uploads.stall_timeout.duration();
        let mut body = pin!(body);
        loop {
            let chunk = tokio::time::timeout(stall, body.next()).await.map_err(|_| ServiceError::Stalled)?;
            let Some(chunk) = chunk else { return Ok(()) };
            let chunk = chunk.map_err(Into::into)?;
            let size = writer.size() + chunk.len() as u64;
            let max_size = spec.room.max_size;
            if size > max_size {
                return Err(ServiceError::TooLarge { file_size: None, max_size });
            }
            if size > reservation.bytes() {
                grow(reservation, size, max_size).await?;
            }
            self.traffic.received.inc_by(chunk.len() as u64);
            writer.push(chunk).await?;
            fail_point!("upload::mid_body");
        }
    }

    /// Removes a blob that was never published: the row is marked first, so that a crash in between is found.
    pub(super) async fn discard_blob(&self, id: BlobId) {
        let work = async move |tx: &mut Tx| tx.discard_pending_blob(id).await;
        let removed = match self.db.write::<_, _, DbError>(work).await {
            Ok(true) => self.remove_blob(id).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = removed {
            tracing::warn!(%id, %error, "an abandoned upload is left for the janitor");
        }
    }

    /// Removes the object of a blob in state `deleting`, then its row.
    pub(super) async fn remove_blob(&self, id: BlobId) -> Result<(), ServiceError> {
        self.blobs.delete(id).await?;
        let work = async move |tx: &mut Tx| tx.delete_removed_blob(id).await;
        Ok(self.db.write::<_, _, DbError>(work).await?)
    }
}

impl StoredUpload {
    /// Makes the stored bytes a file in this folder.
    ///
    /// # Errors
    /// A folder that the user may not put files into, a duplicate. Then nothing is left.
    pub async fn place(mut self, folder: ParentChange) -> Result<FileDetails, ServiceError> {
        let placed = match self.count_on_owner_of(folder).await {
            Ok(()) => self.write_rows(folder).await,
            Err(error) => Err(error),
        };
        fail_point!("upload::committed");
        self.services.wake_thumbnails();
        self.settle(placed.as_ref().ok().map(|(_, is_published)| *is_published)).await;
        placed?.0.into_result()
    }

    /// A form may name its folder after the file: when that is somebody else's, the bytes count there.
    async fn count_on_owner_of(&mut self, folder: ParentChange) -> Result<(), ServiceError> {
        let user = self.origin.user;
        let is_known = match folder {
            ParentChange::Root => self.spec.room.owner == user,
            ParentChange::Folder(id) => {
                self.services.reach_folder(user, id).await?.access.owner == self.spec.room.owner
            }
        };
        if is_known {
            return Ok(());
        }
        let room = self.services.upload_room(user, folder).await?;
        let size = self.finished.size;
        if size > room.max_size {
            return Err(ServiceError::TooLarge { file_size: Some(size), max_size: room.max_size });
        }
        // The former one is given back by its drop.
        self.reservation = self.services.accounts.reserve(room.owner, size).await?;
        self.spec.room = room;
        Ok(())
    }

    pub(super) fn pending_id(&self) -> BlobId {
        self.pending.id
    }

    /// Ends the reservation and removes what was stored, unless the transaction did: `None` when it failed,
    /// else whether it made the stored blob live.
    pub(super) async fn settle(self, is_published: Option<bool>) {
        if is_published.is_some() {
            self.reservation.committed();
        }
        if is_published == Some(true) {
            self.pending.published();
        } else {
            self.pending.discard().await;
        }
    }

    pub(super) fn placing(&self) -> Placing {
        let filename = self.spec.filename.clone();
        let mime_type =
            media::media_type_of(&self.finished.head, filename.as_str(), self.spec.declared_type.as_deref());
        Placing {
            owner: self.spec.room.owner,
            by: self.origin.user,
            pending: self.pending.id,
            reservation: self.reservation.id(),
            finished: self.finished.clone(),
            filename,
            mime_type,
            now: self.services.clock.now(),
        }
    }

    /// The one transaction; `true` beside the placement when the pending blob is the one that is used.
    async fn write_rows(&self, folder: ParentChange) -> Result<(Placement, bool), ServiceError> {
        let (origin, viewer) = (self.origin.clone(), self.services.viewer(self.origin.user));
        let placing = self.placing();
        let work = async move |tx: &mut Tx| {
            let target = lock_target(tx, &viewer, folder).await?;
            let reserved = placing.end_reservation(tx).await?;
            let hashes = (placing.finished.sha256.as_str(), placing.finished.md5.as_str());
            if let Some(existing) = find_duplicate(tx, &target, hashes).await? {
                return Ok((Placement::Duplicate(Box::new(details(tx, &viewer, existing).await?)), false));
            }
            let (file, is_published) = placing.take_place(tx, &target.folder, reserved).await?;
            insert_with_activity(tx, &origin, &file).await?;
            fail_point!("upload::in_transaction");
            Ok((Placement::Placed(Box::new(details(tx, &viewer, file.id).await?)), is_published))
        };
        self.services.db.write(work).await
    }
}

/// Finds the stored bytes their blob, the live one of this content or the pending one, and charges the
/// owner's first reference; `true` when it is the pending one.
pub(super) async fn take_blob(
    tx: &mut Tx,
    user: UserId,
    pending: BlobId,
    reserved: Option<u64>,
    finished: &Finished,
) -> Result<(BlobId, bool), ServiceError> {
    // Gone only when another process took this one for dead; then the bytes were promised to others.
    if reserved.is_none_or(|bytes| bytes < finished.size) {
        return Err(ServiceError::Unavailable("the reservation of this upload has ended".into()));
    }
    let (blob, is_published) = match tx.reuse_blob(&finished.sha256).await? {
        Some(blob) => (blob, false),
        None if tx.publish_blob(pending, &finished.sha256, finished.size).await? => (pending, true),
        None => return Err(ServiceError::Unavailable("this upload was given up".into())),
    };
    if tx.add_blob_owner(user, blob).await? {
        tx.add_to_storage_used(user, i64::try_from(finished.size).unwrap_or(i64::MAX)).await?;
    }
    Ok((blob, is_published))
}

/// Reserves ahead for a body of unknown length: twice what there is, or just enough near the limit.
async fn grow(reservation: &mut Reservation, size: u64, max_size: u64) -> Result<(), ServiceError> {
    let reserved = reservation.bytes();
    let ahead = size.max(reserved.saturating_mul(2)).max(reserved + GROWTH).min(max_size).max(size);
    match reservation.grow(ahead - reserved).await {
        Err(CallError::Domain(QuotaError::Exceeded(_))) if ahead > size => {
            Ok(reservation.grow(size - reserved).await?)
        }
        outcome => Ok(outcome?),
    }
}
