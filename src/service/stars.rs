//! Stars: a user's marks on files and folders.

use super::{ServiceError, Services, files::FileDetails};
use crate::db::{Tx, trash::ResourceType};
use cdn_actors::domain::ids::{FileId, FolderId, UserId};
use chrono::{DateTime, Utc};
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
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            // Before the look at what is: of two toggles at once the second must see the first.
            tx.lock_account(user).await?;
            let is_starred = tx.is_starred(user, kind, id).await?;
            set_star(tx, user, kind, id, !is_starred, now).await?;
            Ok(!is_starred)
        };
        self.db.write(work).await
    }

    /// The user's starred files, last starred first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_starred(&self, user: UserId) -> Result<Vec<FileDetails>, ServiceError> {
        self.with_versions(self.db.list_starred_files(user).await?).await
    }

    /// The user's last accessed files.
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
    user: UserId,
    kind: ResourceType,
    id: Uuid,
    is_starred: bool,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    tx.lock_account(user).await?;
    let is_there = match kind {
        ResourceType::File => tx.find_file_place(user, FileId(id)).await?.is_some(),
        ResourceType::Folder => tx.find_folder_place(user, FolderId(id)).await?.is_some(),
    };
    if !is_there {
        return Err(ServiceError::NotFound);
    }
    Ok(tx.put_star(user, kind, id, is_starred, now).await?)
}
