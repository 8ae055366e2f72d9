//! Stars: a user's marks on files and folders.

use super::{
    ServiceError, Services,
    access::{Viewer, reach_file, reach_folder},
    files::FileDetails,
};
use crate::db::{Tx, trash::ResourceType};
use cdn_actors::domain::ids::{FileId, FolderId, UserId};
use uuid::Uuid;

impl Services {
    /// Turns the user's star on a thing on or off; gives what it is now.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn toggle_star(
        &self,
        user: UserId,
        kind: ResourceType,
        id: Uuid,
    ) -> Result<bool, ServiceError> {
        let viewer = self.viewer(user);
        let work = async move |tx: &mut Tx| {
            // Before the look at what is: of two toggles at once the second must see the first.
            let id = lock_thing(tx, &viewer, kind, id).await?;
            let is_starred = tx.is_starred(user, kind, id).await?;
            tx.put_star(user, kind, id, !is_starred, viewer.now).await?;
            Ok(!is_starred)
        };
        self.db.write(work).await
    }

    /// The user's starred files, last starred first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_starred(&self, user: UserId) -> Result<Vec<FileDetails>, ServiceError> {
        self.show_files(&self.viewer(user), self.db.list_starred_files(user).await?).await
    }

    /// The user's own files that were last accessed.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_recent(&self, user: UserId) -> Result<Vec<FileDetails>, ServiceError> {
        self.with_versions(self.db.list_recent_files(user, 20).await?).await
    }
}

/// Sets or takes a star on a thing that the user may see.
pub(super) async fn set_star(
    tx: &mut Tx,
    viewer: &Viewer,
    kind: ResourceType,
    id: Uuid,
    is_starred: bool,
) -> Result<(), ServiceError> {
    let id = lock_thing(tx, viewer, kind, id).await?;
    Ok(tx.put_star(viewer.user, kind, id, is_starred, viewer.now).await?)
}

/// The id of a thing that the user may see, with the accounts of both its owner and the user locked.
async fn lock_thing(
    tx: &mut Tx,
    viewer: &Viewer,
    kind: ResourceType,
    id: Uuid,
) -> Result<Uuid, ServiceError> {
    let (id, owner) = find_thing(tx, viewer, kind, id).await?;
    tx.lock_accounts(&[viewer.user, owner]).await?;
    Ok(find_thing(tx, viewer, kind, id).await?.0)
}

async fn find_thing(
    tx: &mut Tx,
    viewer: &Viewer,
    kind: ResourceType,
    id: Uuid,
) -> Result<(Uuid, UserId), ServiceError> {
    match kind {
        ResourceType::File => {
            let reach = reach_file(tx, viewer, FileId(id)).await?;
            Ok((reach.id.get(), reach.access.owner))
        }
        ResourceType::Folder => {
            let reach = reach_folder(tx, viewer, FolderId(id)).await?;
            Ok((reach.id.get(), reach.access.owner))
        }
    }
}
