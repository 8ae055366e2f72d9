//! The trash: list, restore, and deletion for good in batches that no transaction feels.

use super::{ServiceError, Services, act::Act};
use crate::db::{
    DbError, Tx,
    activity::{Action, Origin},
    folders::FolderPlace,
    trash::{ResourceType, TrashPlace, TrashRow},
};
use cdn_actors::domain::{
    filename::{Filename, FolderName},
    ids::{FileId, TrashId, UserId},
    page::Page,
};
use chrono::{DateTime, Utc};
use fail::fail_point;
use futures_util::{StreamExt, stream};
use uuid::Uuid;

/// Files or folders that one transaction of a purge removes.
const PURGE_BATCH: u32 = 200;
/// Objects removed from the blob store at a time.
const REMOVALS: usize = 8;

/// What one step of a purge did.
#[derive(Debug, Default, Clone, Copy)]
struct PurgeStep {
    bytes: i64,
    is_finished: bool,
}

impl Services {
    /// # Errors
    /// The database's.
    pub async fn list_trash(&self, user: UserId, page: Page) -> Result<(i64, Vec<TrashRow>), ServiceError> {
        let count = self.db.account(user).await?.trash_count;
        Ok((count, self.db.list_trash(user, page).await?))
    }

    /// Brings an item back: where it was, or to the nearest living folder above, under a free name.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], also when a purge has begun.
    pub async fn restore(&self, origin: &Origin, id: TrashId) -> Result<(), ServiceError> {
        let act = self.act(origin);
        let work = async move |tx: &mut Tx| {
            tx.lock_account(act.user()).await?;
            let item = tx.find_trash_place(act.user(), id).await?.ok_or(ServiceError::NotFound)?;
            restore_item(tx, &act, &item).await
        };
        self.db.write(work).await
    }

    /// Deletes an item for good, bytes and all.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn delete_forever(&self, user: UserId, id: TrashId) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            tx.lock_account(user).await?;
            let item = tx.find_trash_place(user, id).await?.ok_or(ServiceError::NotFound)?;
            tx.mark_purging(user, id, now).await?;
            Ok::<_, ServiceError>(item)
        };
        let item = self.db.write(work).await?;
        // From here on it is gone for everybody; what can't be removed now, the janitor removes.
        note_left_over(self.purge_marked(&item).await.map(|_| ()));
        self.clear_unreferenced_blobs().await;
        Ok(())
    }

    /// Deletes all of a user's trash for good.
    ///
    /// # Errors
    /// The database's.
    pub async fn empty_trash(&self, user: UserId) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            tx.lock_account(user).await?;
            tx.mark_all_purging(user, now).await
        };
        self.db.write::<_, _, DbError>(work).await?;
        note_left_over(self.finish_purges(Some(user)).await);
        self.clear_unreferenced_blobs().await;
        Ok(())
    }

    /// Purges up to `limit` items that were due at that moment; gives how many, and their bytes.
    pub(super) async fn purge_due_trash(
        &self,
        as_of: DateTime<Utc>,
        limit: u32,
    ) -> Result<(u64, u64), ServiceError> {
        let due = self.db.list_due_trash(as_of, limit).await?;
        let now = self.clock.now();
        let mut bytes = 0;
        for item in &due {
            let (user, id) = (item.user(), item.id());
            let work = async move |tx: &mut Tx| {
                tx.lock_account(user).await?;
                tx.mark_purging(user, id, now).await
            };
            if self.db.write::<_, _, DbError>(work).await? {
                bytes += self.purge_marked(item).await?;
            }
        }
        Ok((due.len() as u64, u64::try_from(bytes).unwrap_or(0)))
    }

    /// Ends purges that were begun, by this process or by one that died in the middle.
    pub(super) async fn finish_purges(&self, user: Option<UserId>) -> Result<(), ServiceError> {
        loop {
            let items = self.db.list_purging(user, PURGE_BATCH).await?;
            if items.is_empty() {
                return Ok(());
            }
            for item in &items {
                self.purge_marked(item).await?;
            }
        }
    }

    /// Removes a marked item batch by batch; gives the bytes of quota it freed.
    async fn purge_marked(&self, item: &TrashPlace) -> Result<i64, ServiceError> {
        let (mut bytes, now) = (0, self.clock.now());
        loop {
            let item = item.clone();
            let step = self.db.write(async move |tx: &mut Tx| purge_step(tx, &item, now).await).await?;
            bytes += step.bytes;
            if step.is_finished {
                return Ok(bytes);
            }
            fail_point!("trash::between_steps");
        }
    }

    /// Removes the objects of all blobs that nothing refers to any more, after a change that holds whatever
    /// comes of this.
    pub(super) async fn clear_unreferenced_blobs(&self) {
        loop {
            match self.remove_some_blobs(PURGE_BATCH).await {
                Ok(removed) if removed == u64::from(PURGE_BATCH) => {}
                outcome => return note_left_over(outcome.map(|_| ())),
            }
        }
    }

    /// Removes up to `limit` of them; gives how many.
    pub(super) async fn remove_some_blobs(&self, limit: u32) -> Result<u64, ServiceError> {
        let blobs = self.db.list_deleting_blobs(limit).await?;
        let count = blobs.len() as u64;
        let mut removals = stream::iter(blobs).map(|blob| self.remove_blob(blob)).buffer_unordered(REMOVALS);
        while let Some(removed) = removals.next().await {
            removed?;
        }
        Ok(count)
    }
}

fn note_left_over(outcome: Result<(), ServiceError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "something deleted for good is left for the janitor to remove");
    }
}

async fn purge_step(tx: &mut Tx, item: &TrashPlace, now: DateTime<Utc>) -> Result<PurgeStep, ServiceError> {
    let user = item.user();
    tx.lock_account(user).await?;
    let files = tx.list_trash_files(item.id(), PURGE_BATCH).await?;
    if !files.is_empty() {
        let bytes = tx.delete_files(user, &files).await?;
        if bytes != 0 {
            tx.record_quota_event(user, now).await?;
        }
        return Ok(PurgeStep { bytes, is_finished: false });
    }
    if item.resource_type == ResourceType::Folder.as_str() {
        // What lies below but was put into the trash on its own before keeps its own time.
        if let Some(home) = tx.nearest_living_folder(item.resource_id).await? {
            tx.rehome_from_trash_folders(item.id(), home.id()).await?;
        }
        if tx.delete_trash_folders(item.id(), PURGE_BATCH).await? > 0 {
            return Ok(PurgeStep::default());
        }
    }
    tx.delete_trash_item(item.id()).await?;
    Ok(PurgeStep { bytes: 0, is_finished: true })
}

/// Brings an item back. The account must be locked.
pub(super) async fn restore_item(tx: &mut Tx, act: &Act, item: &TrashPlace) -> Result<(), ServiceError> {
    let name = if item.resource_type == ResourceType::File.as_str() {
        restore_file(tx, act, item).await?
    } else {
        restore_folder(tx, act, item).await?
    };
    tx.delete_trash_item(item.id()).await?;
    tx.add_to_trash_count(act.user(), -1).await?;
    let resource_type = ResourceType::parse(&item.resource_type).unwrap_or(ResourceType::File);
    let metadata = serde_json::json!({"original_name": item.original_name});
    act.record(tx, Action::Restore, (resource_type, item.resource_id), &name, metadata).await
}

async fn restore_file(tx: &mut Tx, act: &Act, item: &TrashPlace) -> Result<String, ServiceError> {
    let id = FileId(item.resource_id);
    let file = tx.find_trashed_file(act.user(), id).await?.ok_or(ServiceError::NotFound)?;
    let home = living_home(tx, act, Some(file.folder_id)).await?;
    let wanted = Filename::parse(&file.filename).map_err(ServiceError::invalid("filename"))?;
    let filename = tx.free_filename(home.id(), &wanted).await?;
    tx.revive_file(id, home.id(), &filename, &file.original_filename).await?;
    tx.add_to_files_count(home.id(), 1).await?;
    tx.count_living_files(act.user(), &file.mime_type, &file.kind, 1, file.file_size).await?;
    Ok(filename.as_str().to_owned())
}

async fn restore_folder(tx: &mut Tx, act: &Act, item: &TrashPlace) -> Result<String, ServiceError> {
    let folder = tx.find_trashed_folder(item.resource_id).await?.ok_or(ServiceError::NotFound)?;
    let home = living_home(tx, act, folder.parent_id).await?;
    let wanted = FolderName::parse(&folder.name).map_err(ServiceError::invalid("name"))?;
    let name = tx.free_folder_name(home.id(), &wanted).await?;
    let place = FolderPlace {
        id: folder.id,
        parent_id: folder.parent_id,
        name: folder.name,
        path: folder.path,
        depth: folder.depth,
        is_root: false,
    };
    let path = format!("{}/{}", home.path, name.as_str());
    if place.parent_id != Some(home.id) || place.path != path {
        tx.place_folder(&place, &home, &name, act.now).await?;
    }
    tx.count_restored_files(act.user(), item.id()).await?;
    let folders = tx.revive_tree(item.id()).await?;
    tx.add_to_folders_count(act.user(), i64::try_from(folders).unwrap_or(i64::MAX)).await?;
    tx.add_to_children_count(home.id(), 1).await?;
    Ok(name.as_str().to_owned())
}

/// The nearest living folder at or above the one a thing was in; at last the root.
async fn living_home(tx: &mut Tx, act: &Act, folder: Option<Uuid>) -> Result<FolderPlace, ServiceError> {
    if let Some(folder) = folder
        && let Some(home) = tx.nearest_living_folder(folder).await?
    {
        return Ok(home);
    }
    Ok(tx.ensure_root(act.user(), act.now).await?)
}

/// The item by which a thing itself was put into the trash, for callers that know the thing.
pub(super) async fn restore_thing(
    tx: &mut Tx,
    act: &Act,
    resource_type: ResourceType,
    id: Uuid,
) -> Result<(), ServiceError> {
    tx.lock_account(act.user()).await?;
    let item = tx.find_trash_of(act.user(), resource_type, id).await?.ok_or(ServiceError::NotFound)?;
    restore_item(tx, act, &item).await
}
