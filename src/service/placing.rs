//! The part of every upload's last transaction that is the same wherever the file goes.

use super::{ServiceError, upload::take_blob};
use crate::{
    blob::Finished,
    db::{
        Tx,
        files::{ContentAt, FileSpec},
        folders::FolderPlace,
    },
};
use cdn_actors::domain::{
    filename::Filename,
    ids::{BlobId, FileId, ReservationId, UserId},
};
use chrono::{DateTime, Utc};

/// What a transaction needs to make a stored body a file.
pub(super) struct Placing {
    pub owner: UserId,
    pub by: UserId,
    pub pending: BlobId,
    pub reservation: ReservationId,
    pub finished: Finished,
    pub filename: Filename,
    pub mime_type: String,
    pub now: DateTime<Utc>,
}

impl Placing {
    pub async fn end_reservation(&self, tx: &mut Tx) -> Result<Option<u64>, ServiceError> {
        Ok(tx.end_reservation(self.owner, self.reservation).await?)
    }

    /// The row to be, in a folder of the owner's whose account is locked, with its blob taken and charged.
    pub async fn take_place(
        &self,
        tx: &mut Tx,
        folder: &FolderPlace,
        reserved: Option<u64>,
    ) -> Result<(FileSpec, bool), ServiceError> {
        let finished = &self.finished;
        let (blob, is_published) = take_blob(tx, self.owner, self.pending, reserved, finished).await?;
        let file = FileSpec {
            id: FileId::new(),
            owner: self.owner,
            folder: folder.id(),
            filename: tx.free_filename(folder.id(), &self.filename).await?,
            original_filename: self.filename.clone(),
            mime_type: self.mime_type.clone(),
            size: finished.size,
            md5: finished.md5.as_str().into(),
            sha256: finished.sha256.as_str().into(),
            content: ContentAt::Stored(blob),
            content_by: self.by,
            now: self.now,
        };
        Ok((file, is_published))
    }
}
