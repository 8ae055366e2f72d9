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
        (BulkAction::Star, kind) => set_star(tx, act.user(), kind, id, true, act.now).await,
        (BulkAction::Unstar, kind) => set_star(tx, act.user(), kind, id, false, act.now).await,
    }
}
