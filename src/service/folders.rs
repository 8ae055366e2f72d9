//! Folders: make, list, rename, move, trash.

use super::{
    ServiceError, Services,
    access::{find_move_target, lock_folder, lock_target, reach_folder},
    act::Act,
    files::FileDetails,
};
use crate::db::{
    Tx,
    activity::{Action, Origin},
    events::Event,
    folders::FolderRow,
    trash::ResourceType,
};
use cdn_actors::domain::{
    filename::FolderName,
    ids::{FolderId, UserId},
    page::Page,
    permission::Permission,
};

/// How deep folders may lie below the root; deeper trees are mistakes, and paths must stay readable.
pub const MAX_DEPTH: i64 = 64;

/// What a client wants changed; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct FolderChange {
    pub name: Option<FolderName>,
    pub parent: Option<ParentChange>,
}

/// Where a folder shall go.
#[derive(Debug, Clone, Copy)]
pub enum ParentChange {
    Root,
    Folder(FolderId),
}

/// A folder with what is directly in it.
#[derive(Debug, Clone)]
pub struct FolderContents {
    pub folder: FolderRow,
    pub folders: Vec<FolderRow>,
    pub files: Vec<FileDetails>,
}

fn name_taken() -> ServiceError {
    ServiceError::Conflict("A folder with this name already exists in the specified location.".into())
}

impl Services {
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn folder(&self, user: UserId, id: FolderId) -> Result<FolderRow, ServiceError> {
        let reach = self.reach_folder(user, id).await?;
        let mut folder = self.db.read_folder(id).await?.ok_or(ServiceError::NotFound)?;
        reach.access.trim(&mut folder);
        Ok(folder)
    }

    /// A page of the user's folders and those shared with the user, by name, and how many there are.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] past the last page.
    pub async fn list_folders(
        &self,
        user: UserId,
        page: Page,
    ) -> Result<(i64, Vec<FolderRow>), ServiceError> {
        let count = self.db.account(user).await?.folders_count;
        if !self.db.has_grants(user).await? {
            return Ok((count, self.db.list_folders(user, page).await?));
        }
        let viewer = self.viewer(user);
        let given = self.db.count_given_folders(user, viewer.now).await?;
        let rows = self.db.list_folders_with_given(user, viewer.now, page).await?;
        Ok((count + given, self.show_folders(&viewer, rows).await?))
    }

    /// The user's root, made on first use.
    ///
    /// # Errors
    /// The database's.
    pub async fn root_folder(&self, user: UserId) -> Result<FolderRow, ServiceError> {
        if let Some(root) = self.db.find_root(user).await? {
            return Ok(root);
        }
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            tx.lock_account(user).await?;
            tx.ensure_root(user, now).await
        };
        self.db.write(work).await?;
        self.db.find_root(user).await?.ok_or(ServiceError::NotFound)
    }

    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn folder_contents(&self, user: UserId, id: FolderId) -> Result<FolderContents, ServiceError> {
        let folder = self.folder(user, id).await?;
        self.contents_of(user, folder).await
    }

    /// # Errors
    /// The database's.
    pub async fn contents_of(&self, user: UserId, folder: FolderRow) -> Result<FolderContents, ServiceError> {
        let viewer = self.viewer(user);
        let folders = self.show_folders(&viewer, self.db.list_subfolders(folder.id()).await?).await?;
        let files = self.db.list_folder_files(user, folder.id()).await?;
        Ok(FolderContents { folders, files: self.show_files(&viewer, files).await?, folder })
    }

    /// # Errors
    /// A parent that the user may not put things into, a taken name, too many levels.
    pub async fn create_folder(
        &self,
        user: UserId,
        parent: ParentChange,
        name: FolderName,
    ) -> Result<FolderRow, ServiceError> {
        let viewer = self.viewer(user);
        let work = async move |tx: &mut Tx| {
            let target = lock_target(tx, &viewer, parent).await?;
            let parent = &target.folder;
            if parent.depth >= MAX_DEPTH {
                return Err(too_deep());
            }
            if tx.is_folder_name_taken(parent.id(), &name).await? {
                return Err(name_taken());
            }
            let id = tx.insert_folder(target.owner(), parent, &name, viewer.now).await?;
            let event = Event::FolderCreated { id: id.get(), name: name.as_str().to_owned() };
            tx.record_event(target.owner(), &event, viewer.now).await?;
            let mut folder = tx.read_folder(id).await?.ok_or(ServiceError::NotFound)?;
            target.access.trim(&mut folder);
            Ok(folder)
        };
        self.db.write(work).await
    }

    /// Renames and moves.
    ///
    /// # Errors
    /// The root, a move into itself or below or out of what was shared, a taken name, a folder or parent that the
    /// user may not change.
    pub async fn change_folder(
        &self,
        origin: &Origin,
        id: FolderId,
        change: FolderChange,
    ) -> Result<FolderRow, ServiceError> {
        let act = self.act(origin);
        let work = async move |tx: &mut Tx| {
            change_folder(tx, &act, id, &change).await?;
            let reach = reach_folder(tx, &act.viewer, id).await?;
            let mut folder = tx.read_folder(id).await?.ok_or(ServiceError::NotFound)?;
            reach.access.trim(&mut folder);
            Ok(folder)
        };
        self.db.write(work).await
    }

    /// Puts a folder and all below it into its owner's trash, as one item.
    ///
    /// # Errors
    /// The root, or a folder that isn't the user's.
    pub async fn trash_folder(&self, origin: &Origin, id: FolderId) -> Result<(), ServiceError> {
        let act = self.act(origin);
        self.db.write(async move |tx: &mut Tx| trash_folder(tx, &act, id).await).await
    }
}

/// Renames and moves a folder.
pub(super) async fn change_folder(
    tx: &mut Tx,
    act: &Act,
    id: FolderId,
    change: &FolderChange,
) -> Result<(), ServiceError> {
    let access = lock_folder(tx, &act.viewer, id, Permission::Edit).await?.access;
    let folder = tx.find_folder_place(access.owner, id).await?.ok_or(ServiceError::NotFound)?;
    if change.name.is_none() && change.parent.is_none() {
        return Ok(());
    }
    if folder.is_root {
        return Err(ServiceError::BadRequest("The root folder can't be renamed or moved.".into()));
    }
    let former = folder.parent_id.map(FolderId).ok_or(ServiceError::NotFound)?;
    let parent = match change.parent {
        Some(parent) => find_move_target(tx, &act.viewer, &access, former, parent).await?,
        None => tx.find_folder_place(access.owner, former).await?.ok_or(ServiceError::NotFound)?,
    };
    let name = match &change.name {
        Some(name) => name.clone(),
        None => FolderName::parse(&folder.name).map_err(ServiceError::invalid("name"))?,
    };
    let moves = folder.parent_id != Some(parent.id);
    let renames = folder.name != name.as_str();
    if !moves && !renames {
        return Ok(());
    }
    if moves && tx.is_within(parent.id(), folder.id()).await? {
        return Err(ServiceError::BadRequest("A folder can't be moved into itself or below itself.".into()));
    }
    if tx.is_folder_name_taken(parent.id(), &name).await? {
        return Err(name_taken());
    }
    if moves && parent.depth + 1 + tx.subtree_height(&folder).await? > MAX_DEPTH {
        return Err(too_deep());
    }
    tx.place_folder(&folder, &parent, &name, act.now).await?;
    if moves {
        tx.add_to_children_count(former, -1).await?;
        tx.add_to_children_count(parent.id(), 1).await?;
    }
    let resource = (ResourceType::Folder, folder.id);
    if renames {
        let metadata = serde_json::json!({"from": folder.name, "to": name.as_str()});
        act.record(tx, Action::Rename, resource, name.as_str(), metadata).await?;
    }
    if moves {
        let to = access.shown_path(&format!("{}/{}", parent.path, name.as_str()));
        let metadata = serde_json::json!({"from": access.shown_path(&folder.path), "to": to});
        act.record(tx, Action::Move, resource, name.as_str(), metadata).await?;
    }
    Ok(())
}

/// Puts a folder and all below it into the trash, as one item.
pub(super) async fn trash_folder(tx: &mut Tx, act: &Act, id: FolderId) -> Result<(), ServiceError> {
    let access = lock_folder(tx, &act.viewer, id, Permission::Admin).await?.access;
    let owner = access.owner;
    let folder = tx.find_folder_place(owner, id).await?.ok_or(ServiceError::NotFound)?;
    if folder.is_root {
        return Err(ServiceError::BadRequest("The root folder can't be deleted.".into()));
    }
    let item = act.trash_item(owner, ResourceType::Folder, folder.id, &folder.name, folder.path.clone());
    tx.insert_trash_item(&item).await?;
    let folders = tx.trash_subtree_folders(folder.id(), item.id).await?;
    let files = tx.trash_files_of_folders(item.id).await?;
    if let Some(parent) = folder.parent_id {
        tx.add_to_children_count(FolderId(parent), -1).await?;
    }
    tx.add_to_folders_count(owner, -i64::try_from(folders).unwrap_or(i64::MAX)).await?;
    tx.discount_trashed_files(owner, item.id).await?;
    let metadata =
        serde_json::json!({"path": access.shown_path(&folder.path), "folders": folders, "files": files});
    act.record(tx, Action::Delete, (ResourceType::Folder, folder.id), &folder.name, metadata).await
}

fn too_deep() -> ServiceError {
    ServiceError::field("parent", format!("Folders can't lie more than {MAX_DEPTH} levels below the root."))
}
