//! Many things changed by one request, in one transaction, each with its own result.

use super::{
    ServiceError, Services,
    act::Act,
    files::{FileChange, change_file, trash_file},
    folders::{FolderChange, ParentChange, change_folder, trash_folder},
    stars::set_star,
    trash::restore_thing,
};
use crate::db::{Tx, activity::Origin, trash::ResourceType};
use cdn_actors::domain::ids::{FileId, FolderId};
use uuid::Uuid;

/// Most things in one request.
pub const MAX_ITEMS: usize = 500;

/// What to do with each thing.
#[derive(Debug, Clone, Copy)]
pub enum BulkAction {
    Move(ParentChange),
    Trash,
    Restore,
    Star,
    Unstar,
}

/// A thing that a request names.
#[derive(Debug, Clone, Copy)]
pub struct BulkItem {
    pub kind: ResourceType,
    pub id: Uuid,
}

impl Services {
    /// Does one thing to many; a refused item changes nothing and keeps none of the others.
    ///
    /// # Errors
    /// The database's: then nothing at all has been done.
    pub async fn change_many(
        &self,
        origin: &Origin,
        action: BulkAction,
        items: Vec<BulkItem>,
    ) -> Result<Vec<Result<(), ServiceError>>, ServiceError> {
        let act = self.act(origin);
        let work = async move |tx: &mut Tx| {
            lock_owners(tx, &act, action, &items).await?;
            let mut results = Vec::with_capacity(items.len());
            for item in &items {
                match change_one(tx, &act, action, *item).await {
                    // These spoil the transaction; the rest were refused before anything was written.
                    Err(
                        error @ (ServiceError::Database(_)
                        | ServiceError::Unavailable(_)
                        | ServiceError::StorageFull),
                    ) => {
                        return Err(error);
                    }
                    result => results.push(result),
                }
            }
            Ok(results)
        };
        self.db.write(work).await
    }
}

/// Locks the accounts of all that is named, in the order that everybody keeps.
async fn lock_owners(
    tx: &mut Tx,
    act: &Act,
    action: BulkAction,
    items: &[BulkItem],
) -> Result<(), ServiceError> {
    let named = |wanted: ResourceType| items.iter().filter(move |item| item.kind == wanted);
    let files: Vec<Uuid> =
        named(ResourceType::File).flat_map(|item| act.viewer.meant(FileId(item.id))).collect();
    let mut folders: Vec<Uuid> = named(ResourceType::Folder).map(|item| item.id).collect();
    if let BulkAction::Move(ParentChange::Folder(folder)) = action {
        folders.push(folder.get());
    }
    let mut owners = tx.owners_of(&files, &folders).await?;
    owners.push(act.user());
    Ok(tx.lock_accounts(&owners).await?)
}

async fn change_one(tx: &mut Tx, act: &Act, action: BulkAction, item: BulkItem) -> Result<(), ServiceError> {
    let (kind, id) = (item.kind, item.id);
    match (action, kind) {
        (BulkAction::Move(folder), ResourceType::File) => {
            let change = FileChange { folder: Some(folder), ..FileChange::default() };
            change_file(tx, act, FileId(id), &change).await
        }
        (BulkAction::Move(parent), ResourceType::Folder) => {
            let change = FolderChange { parent: Some(parent), ..FolderChange::default() };
            change_folder(tx, act, FolderId(id), &change).await
        }
        (BulkAction::Trash, ResourceType::File) => trash_file(tx, act, FileId(id)).await,
        (BulkAction::Trash, ResourceType::Folder) => trash_folder(tx, act, FolderId(id)).await,
        (BulkAction::Restore, kind) => restore_thing(tx, act, kind, id).await,
        (BulkAction::Star, kind) => set_star(tx, &act.viewer, kind, id, true).await,
        (BulkAction::Unstar, kind) => set_star(tx, &act.viewer, kind, id, false).await,
    }
}
