//! Upload requests: a link by which anybody puts files into a folder, on its owner's quota, and sees nothing of
//! what is there.

use super::links::OpenedShare;
use crate::{
    db::{
        Tx,
        activity::{Action, Origin},
        trash::ResourceType,
    },
    service::{
        ServiceError, Services,
        files::add_file,
        sessions::Device,
        upload::{StoredUpload, UploadRoom},
    },
};
use fail::fail_point;

/// What an uploader is told: what was sent, and nothing of the folder, not even the name it got there.
#[derive(Debug, Clone)]
pub struct ReceivedFile {
    pub filename: String,
    /// Bytes.
    pub size: u64,
    pub mime_type: String,
}

impl Services {
    /// The room for an upload by a link.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] when it takes none, [`ServiceError::Gone`] when it has taken all it may.
    pub async fn request_room(&self, share: &OpenedShare) -> Result<UploadRoom, ServiceError> {
        if !share.takes_uploads() {
            return Err(ServiceError::Forbidden("Uploads are disabled for this share.".into()));
        }
        if share.row.max_files.is_some_and(|most| share.row.uploads_count >= most) {
            return Err(full());
        }
        let room = self.room_of(share.row.owner()).await?;
        let most = share.row.max_size.and_then(|most| u64::try_from(most).ok()).unwrap_or(u64::MAX);
        Ok(UploadRoom { max_size: room.max_size.min(most), ..room })
    }

    /// Who an upload by a link counts as: the owner of the folder, at the uploader's address.
    pub fn request_origin(&self, share: &OpenedShare, device: Device) -> Origin {
        Origin { user: share.row.owner(), ip_address: device.ip_address, user_agent: device.user_agent }
    }
}

/// Who uploads by a link is not told how much its owner has stored.
pub fn hide_usage(error: ServiceError) -> ServiceError {
    match error {
        ServiceError::QuotaExceeded(_) => ServiceError::NoRoom,
        error => error,
    }
}

fn full() -> ServiceError {
    ServiceError::Gone("Upload limit reached".into())
}

impl StoredUpload {
    /// Makes the stored bytes a file in the folder of an upload request. The same content may be there already:
    /// saying so would tell what is.
    ///
    /// # Errors
    /// [`ServiceError::Gone`] when the share takes no more. Then nothing is left.
    pub async fn place_by_link(self, share: &OpenedShare) -> Result<ReceivedFile, ServiceError> {
        let (origin, placing, hash) = (self.origin.clone(), self.placing(), share.hash());
        let (owner, id) = (share.row.owner(), share.row.id());
        let received = ReceivedFile {
            filename: placing.filename.as_str().to_owned(),
            size: placing.finished.size,
            mime_type: placing.mime_type.clone(),
        };
        let work = async move |tx: &mut Tx| {
            tx.lock_account(owner).await?;
            let folder = tx.take_upload_place(hash.0.to_vec(), placing.now).await?.ok_or_else(full)?;
            let folder = tx.find_folder_place(owner, folder).await?.ok_or(ServiceError::NotFound)?;
            let reserved = placing.end_reservation(tx).await?;
            let (file, is_published) = placing.take_place(tx, &folder, reserved).await?;
            add_file(tx, &file).await?;
            let metadata =
                serde_json::json!({"file_size": file.size, "mime_type": file.mime_type, "share": id});
            let thing = (ResourceType::File, file.id.get());
            tx.record_activity(&origin, Action::Upload, thing, file.filename.as_str(), metadata, file.now)
                .await?;
            fail_point!("upload::in_transaction");
            Ok::<_, ServiceError>(is_published)
        };
        let outcome = self.services.db.write(work).await;
        self.services.wake_thumbnails();
        self.settle(outcome.as_ref().ok().copied()).await;
        outcome.map(|_| received).map_err(hide_usage)
    }
}
