//! Uploads without a host elsewhere: kept here for a while, as a file of the user, and then deleted for good.

use super::form::Fields;
use crate::{
    db::{
        DbError, Tx,
        activity::Action,
        files::{ContentAt, FileSpec},
        trash::ResourceType,
    },
    media,
    service::{
        ServiceError, Services,
        files::{FileDetails, add_file, details},
        sessions::time_delta,
        upload::{StoredUpload, take_blob},
    },
};
use cdn_actors::domain::{filename::FolderName, ids::FileId};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

/// Below this a wish to expire is a number of hours, from it on a time in milliseconds since 1970, as 0x0 reads it.
const FIRST_MOMENT: i64 = 1_650_460_320_000;

impl StoredUpload {
    /// Makes the stored bytes a file that is kept for a while. The same content again gets the same file, and
    /// more time.
    ///
    /// # Errors
    /// A wish to expire that is none. Then nothing is left.
    pub(super) async fn keep_for_a_while(self, fields: &Fields) -> Result<FileDetails, ServiceError> {
        let until = match self.expiry(fields) {
            Ok(until) => until,
            Err(error) => {
                self.settle(None).await;
                return Err(error);
            }
        };
        let kept = self.write_temporary(until).await;
        self.services.wake_thumbnails();
        self.settle(kept.as_ref().ok().map(|(_, is_published)| *is_published)).await;
        kept.map(|(file, _)| file)
    }

    fn expiry(&self, fields: &Fields) -> Result<DateTime<Utc>, ServiceError> {
        let now = self.services.clock.now();
        let last = now + time_delta(self.services.config.upload_0x0.local_retention.duration());
        let Some(wish) = fields.expires.as_deref().map(str::trim).filter(|wish| !wish.is_empty()) else {
            return Ok(last);
        };
        let moment = wish.parse::<i64>().ok().filter(|wish| *wish > 0).and_then(|wish| {
            if wish < FIRST_MOMENT {
                TimeDelta::try_hours(wish).and_then(|hours| now.checked_add_signed(hours)).or(Some(last))
            } else {
                DateTime::from_timestamp_millis(wish).or(Some(last))
            }
        });
        match moment {
            Some(moment) if moment > now => Ok(moment.min(last)),
            _ => Err(ServiceError::field(
                "expires",
                "Enter a number of hours, or a time to come in milliseconds since 1970.",
            )),
        }
    }

    /// The one transaction; `true` beside the file when the pending blob is the one that is used.
    async fn write_temporary(&self, until: DateTime<Utc>) -> Result<(FileDetails, bool), ServiceError> {
        let (origin, user, now) = (self.origin.clone(), self.origin.user, self.services.clock.now());
        let viewer = self.services.viewer(user);
        let (pending, reservation, finished) =
            (self.pending_id(), self.reservation.id(), self.finished.clone());
        let filename = self.spec.filename.clone();
        let mime_type =
            media::media_type_of(&finished.head, filename.as_str(), self.spec.declared_type.as_deref());
        let folder_name = FolderName::parse(&self.services.config.upload_0x0.local_folder)
            .map_err(ServiceError::invalid("local_folder"))?;
        let work = async move |tx: &mut Tx| {
            tx.lock_account(user).await?;
            let reserved = tx.end_reservation(user, reservation).await?;
            let existing = tx.find_temporary(user, finished.sha256.as_str(), now).await?;
            let (file, is_published) = if let Some(existing) = existing {
                (existing, false)
            } else {
                let root = tx.ensure_root(user, now).await?;
                let folder = tx.ensure_folder(user, &root, &folder_name, now).await?;
                let (blob, is_published) = take_blob(tx, user, pending, reserved, &finished).await?;
                let spec = FileSpec {
                    id: FileId::new(),
                    owner: user,
                    folder,
                    filename: tx.free_filename(folder, &filename).await?,
                    original_filename: filename.clone(),
                    mime_type: mime_type.clone(),
                    size: finished.size,
                    md5: finished.md5.as_str().into(),
                    sha256: finished.sha256.as_str().into(),
                    content: ContentAt::Stored(blob),
                    content_by: user,
                    now,
                };
                add_file(tx, &spec).await?;
                (spec.id, is_published)
            };
            tx.set_expiry(file, until).await?;
            let metadata = json!({
                "file_size": finished.size, "mime_type": mime_type, "external_service": "local",
                "status_code": 200, "timeout_used": 0, "retry_count": 0, "max_retries": 0,
                "outcome": "answered", "expires": until.timestamp_millis().to_string(),
            });
            let resource = (ResourceType::File, file.get());
            tx.record_activity(&origin, Action::Upload, resource, filename.as_str(), metadata, now).await?;
            Ok::<_, ServiceError>((details(tx, &viewer, file).await?, is_published))
        };
        self.services.db.write(work).await
    }
}

impl Services {
    /// Deletes up to `limit` files for good whose time is over; gives how many, and their bytes.
    pub(in crate::service) async fn purge_expired_files(
        &self,
        as_of: DateTime<Utc>,
        limit: u64,
    ) -> Result<(u64, u64), ServiceError> {
        let expired = self.db.list_expired_files(as_of, limit).await?;
        let mut bytes = 0;
        for file in &expired {
            let (owner, id) = (file.owner(), file.id());
            let work = async move |tx: &mut Tx| {
                tx.lock_account(owner).await?;
                tx.delete_expired_file(owner, id, as_of).await
            };
            bytes += self.db.write::<_, _, DbError>(work).await?.unwrap_or(0);
        }
        Ok((expired.len() as u64, u64::try_from(bytes).unwrap_or(0)))
    }
}
