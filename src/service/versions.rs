//! Versions: new content for the same file, and the way back.

use super::{
    ServiceError, Services,
    access::{self, FileReach},
    act::Act,
    files::{FileDetails, Placement, charge, details},
    upload::{StoredUpload, take_blob},
};
use crate::{
    db::{
        Tx,
        activity::{Action, Origin},
        files::{ContentAt, ContentRow, FilePlace},
        trash::ResourceType,
        versions::{ContentSnapshot, VersionRow},
    },
    media,
};
use cdn_actors::domain::{
    hash::{Md5, Sha256},
    ids::{FileId, UserId},
    permission::Permission,
};
use chrono::TimeDelta;

/// New content that the client has put on a CDN already.
#[derive(Debug, Clone)]
pub struct RegisteredContent {
    pub cdn_url: String,
    pub size: u64,
    pub mime_type: Option<String>,
    pub md5: Md5,
    pub sha256: Sha256,
}

/// How long a link to a version works.
const LINK_TTL: TimeDelta = TimeDelta::hours(1);

fn link_message(file: FileId, number: i64, expires: i64) -> String {
    format!("{file}/{number}/{expires}")
}

impl Services {
    /// A file's versions, newest first.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn list_versions(&self, user: UserId, file: FileId) -> Result<Vec<VersionRow>, ServiceError> {
        Ok(self.file(user, file).await?.versions)
    }

    /// One version and its file, for whoever may have its bytes.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn version(
        &self,
        user: UserId,
        file: FileId,
        number: i64,
    ) -> Result<(FileDetails, VersionRow), ServiceError> {
        let (file, details) = self.file_for(user, file, Permission::Download).await?;
        let version = self.db.find_version(file, number).await?.ok_or(ServiceError::NotFound)?;
        Ok((details, version))
    }

    /// The query of a link to a version's bytes, for whoever may see the version now.
    pub fn sign_version_link(&self, file: FileId, number: i64) -> String {
        let expires = (self.clock.now() + LINK_TTL).timestamp();
        let signature = self.keys.sign_link(&link_message(file, number, expires));
        format!("version={number}&expires={expires}&signature={signature}")
    }

    /// A living file's version for whoever has a link to it.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a link that isn't ours, has expired, or leads nowhere.
    pub async fn version_content(
        &self,
        file: FileId,
        number: i64,
        expires: i64,
        signature: &str,
    ) -> Result<ContentRow, ServiceError> {
        let is_valid = self.keys.verify_link(&link_message(file, number, expires), signature);
        if !is_valid || expires <= self.clock.now().timestamp() {
            return Err(ServiceError::NotFound);
        }
        let present = self.content(file).await?;
        let version = self.db.find_version(file, number).await?.ok_or(ServiceError::NotFound)?;
        Ok(ContentRow {
            mime_type: version.mime_type,
            file_size: version.file_size,
            sha256_hash: version.sha256_hash,
            blob_id: version.blob_id,
            cdn_url: version.cdn_url,
            content_changed_at: version.content_changed_at,
            ..present
        })
    }

    /// Gives a file new content that is on another CDN.
    ///
    /// # Errors
    /// The same content again, the quota.
    pub async fn register_version(
        &self,
        origin: &Origin,
        file: FileId,
        content: RegisteredContent,
    ) -> Result<FileDetails, ServiceError> {
        let act = self.act(origin);
        let (keep, quota) = (self.config.versions.keep, self.config.quota.clone());
        let charged = if quota.count_registered { content.size } else { 0 };
        let work = async move |tx: &mut Tx| {
            let (reach, place, present) = lock_file(tx, &act, file, Permission::Edit).await?;
            let owner = reach.access.owner;
            if is_same(&present, content.sha256.as_str(), content.md5.as_str()) {
                return Ok(Placement::Duplicate(Box::new(details(tx, &act.viewer, file).await?)));
            }
            charge(tx, owner, charged, &quota).await?;
            let mime_type = content
                .mime_type
                .clone()
                .or_else(|| media::media_type_of_name(&place.filename))
                .unwrap_or_else(|| media::OCTET_STREAM.into());
            let hashes = (content.sha256.as_str().to_owned(), content.md5.as_str().to_owned());
            let at = ContentAt::Registered { cdn_url: content.cdn_url.clone(), charged };
            let new = ContentSnapshot::new(mime_type, content.size, hashes, &at, act.user(), act.now);
            replace_content(tx, &act, owner, &place, &present, &new, keep).await?;
            Ok::<_, ServiceError>(Placement::Placed(Box::new(details(tx, &act.viewer, file).await?)))
        };
        let placement = self.db.write(work).await?;
        // The oldest version, which had to go for this one, may have been stored bytes.
        self.clear_unreferenced_blobs().await;
        placement.into_result()
    }

    /// Makes a version the file's content again; what was there becomes the newest version.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn restore_version(
        &self,
        origin: &Origin,
        file: FileId,
        number: i64,
    ) -> Result<FileDetails, ServiceError> {
        let act = self.act(origin);
        let work = async move |tx: &mut Tx| {
            let (reach, place, present) = lock_file(tx, &act, file, Permission::Edit).await?;
            let former = tx.version_content(reach.id, number).await?.ok_or(ServiceError::NotFound)?;
            tx.remove_version(reach.id, number).await?;
            tx.keep_as_version(reach.id, &present, act.now).await?;
            tx.set_file_content(reach.access.owner, &place, &former, act.now).await?;
            let metadata = serde_json::json!({"version": number});
            act.record(tx, Action::Restore, (ResourceType::File, place.id), &place.filename, metadata)
                .await?;
            details(tx, &act.viewer, file).await
        };
        self.db.write(work).await
    }

    /// Deletes one version for good.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn delete_version(
        &self,
        origin: &Origin,
        file: FileId,
        number: i64,
    ) -> Result<(), ServiceError> {
        let act = self.act(origin);
        let work = async move |tx: &mut Tx| {
            // For good, as nothing else but the trash is.
            let (reach, place, _) = lock_file(tx, &act, file, Permission::Admin).await?;
            if !drop_version(tx, reach.access.owner, reach.id, number).await? {
                return Err(ServiceError::NotFound);
            }
            let metadata = serde_json::json!({"version": number});
            act.record(tx, Action::Delete, (ResourceType::File, place.id), &place.filename, metadata).await
        };
        self.db.write(work).await?;
        self.clear_unreferenced_blobs().await;
        Ok(())
    }
}

impl StoredUpload {
    /// Makes the stored bytes the new content of a file.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], the same content again. Then nothing is left.
    pub async fn place_version(self, file: FileId) -> Result<FileDetails, ServiceError> {
        let act = self.services.act(&self.origin);
        let keep = self.services.config.versions.keep;
        let (pending, reservation, finished) =
            (self.pending_id(), self.reservation.id(), self.finished.clone());
        let declared_type = self.spec.declared_type.clone();
        let work = async move |tx: &mut Tx| {
            let (reach, place, present) = lock_file(tx, &act, file, Permission::Edit).await?;
            let owner = reach.access.owner;
            let reserved = tx.end_reservation(owner, reservation).await?;
            let (sha256, md5) = (&finished.sha256, &finished.md5);
            if is_same(&present, sha256.as_str(), md5.as_str()) {
                return Ok((Placement::Duplicate(Box::new(details(tx, &act.viewer, file).await?)), false));
            }
            let (blob, is_published) = take_blob(tx, owner, pending, reserved, &finished).await?;
            let mime_type = media::media_type_of(&finished.head, &place.filename, declared_type.as_deref());
            let hashes = (sha256.as_str().to_owned(), md5.as_str().to_owned());
            let new = ContentSnapshot::new(
                mime_type,
                finished.size,
                hashes,
                &ContentAt::Stored(blob),
                act.user(),
                act.now,
            );
            replace_content(tx, &act, owner, &place, &present, &new, keep).await?;
            Ok((Placement::Placed(Box::new(details(tx, &act.viewer, file).await?)), is_published))
        };
        let outcome: Result<(Placement, bool), ServiceError> = self.services.db.write(work).await;
        let services = self.services.clone();
        self.settle(outcome.as_ref().ok().map(|(_, is_published)| *is_published)).await;
        let (placement, _) = outcome?;
        services.clear_unreferenced_blobs().await;
        placement.into_result()
    }
}

/// Locks the owner's account and reads a living file with its present content.
async fn lock_file(
    tx: &mut Tx,
    act: &Act,
    file: FileId,
    wanted: Permission,
) -> Result<(FileReach, FilePlace, ContentSnapshot), ServiceError> {
    let reach = access::lock_file(tx, &act.viewer, file, wanted).await?;
    let place = tx.find_file_place(reach.access.owner, reach.id).await?.ok_or(ServiceError::NotFound)?;
    let content = tx.file_content(reach.id).await?;
    Ok((reach, place, content))
}

fn is_same(present: &ContentSnapshot, sha256: &str, md5: &str) -> bool {
    present.sha256_hash == sha256 && present.md5_hash == md5
}

/// The former content becomes a version, the new one takes its place, and the oldest beyond `keep` go.
async fn replace_content(
    tx: &mut Tx,
    act: &Act,
    owner: UserId,
    place: &FilePlace,
    present: &ContentSnapshot,
    new: &ContentSnapshot,
    keep: u32,
) -> Result<(), ServiceError> {
    tx.keep_as_version(place.id(), present, act.now).await?;
    tx.set_file_content(owner, place, new, act.now).await?;
    for number in tx.list_surplus_versions(place.id(), keep).await? {
        drop_version(tx, owner, place.id(), number).await?;
    }
    let metadata =
        serde_json::json!({"file_size": new.file_size, "mime_type": new.mime_type, "version": true});
    act.record(tx, Action::Upload, (ResourceType::File, place.id), &place.filename, metadata).await
}

/// Deletes a version's row and gives its content's quota back; `false` when there is none.
async fn drop_version(tx: &mut Tx, user: UserId, file: FileId, number: i64) -> Result<bool, ServiceError> {
    let Some(content) = tx.version_content(file, number).await? else { return Ok(false) };
    tx.remove_version(file, number).await?;
    let mut freed = content.charged;
    if let Some(blob) = content.blob() {
        freed += tx.release_blobs(user, &[(blob.get(), 1)]).await?;
    }
    tx.add_to_storage_used(user, -freed).await?;
    Ok(true)
}
