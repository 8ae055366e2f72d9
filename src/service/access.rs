//! Who may do what with a thing: its owner everything, others what was given to them with it or with any folder
//! above it; the highest of several grants counts. Whoever was given nothing gets the answer for what is not there.

use super::{
    ServiceError, Services, files::FileDetails, folders::ParentChange, renditions::private_picture_path,
    seal::SealKey,
};
use crate::db::{
    Tx,
    access::{
        OwnedRow, ReachRow, ReachedRow, Read, file_reach, find_owned_file, find_owned_folder, folder_reach,
        list_granting_folders,
    },
    files::FileRow,
    folders::{FolderPlace, FolderRow},
    versions::VersionRow,
};
use cdn_actors::domain::{
    ids::{FileId, FolderId, UserId},
    permission::{Level, Permission},
};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// Files asked about by one statement.
const REACH_BATCH: usize = 400;

/// A signed-in user, as access to things needs them.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub user: UserId,
    pub now: DateTime<Utc>,
    seal: SealKey,
}

/// What somebody is to a thing.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// Whose the thing is.
    pub owner: UserId,
    pub level: Level,
    /// Depth of the highest folder that was given: nothing above it is shown.
    from_depth: Option<i64>,
}

/// A living file that a user may see.
#[derive(Debug, Clone, Copy)]
pub struct FileReach {
    pub id: FileId,
    pub folder: FolderId,
    pub access: Access,
}

/// A living folder that a user may see.
#[derive(Debug, Clone, Copy)]
pub struct FolderReach {
    pub id: FolderId,
    pub access: Access,
}

impl Access {
    fn owned(owner: UserId) -> Self {
        Self { owner, level: Level::Owner, from_depth: Some(0) }
    }

    fn granted(owner: UserId, reach: ReachRow) -> Option<Self> {
        let level = Level::Granted(Permission::of_rank(reach.level?)?);
        Some(Self { owner, level, from_depth: reach.from_depth })
    }

    /// # Errors
    /// [`ServiceError::Forbidden`]: seen but not allowed.
    pub fn require(self, wanted: Permission) -> Result<Self, ServiceError> {
        if self.level.permits(wanted) { Ok(self) } else { Err(not_allowed()) }
    }

    /// The part of a path that lies in what was given; all of it for the owner.
    pub(super) fn shown_path(&self, path: &str) -> String {
        match self.from_depth {
            Some(0) => path.to_owned(),
            // The root is at depth 0, and no name has a slash in it.
            Some(depth) => {
                let skipped = usize::try_from(depth).unwrap_or(0);
                path.split('/').skip(skipped).collect::<Vec<_>>().join("/")
            }
            None => String::new(),
        }
    }

    /// Takes from a folder what was not given with it.
    pub(super) fn trim(&self, folder: &mut FolderRow) {
        folder.folder_path = self.shown_path(&folder.folder_path);
        if self.from_depth.is_none() {
            // Only a file in it was given.
            folder.folder_name.clear();
            folder.folder_children_count = 0;
            folder.folder_files_count = 0;
        }
    }
}

impl FileReach {
    /// # Errors
    /// As [`Access::require`].
    pub fn require(self, wanted: Permission) -> Result<Self, ServiceError> {
        self.access.require(wanted).map(|_| self)
    }
}

impl FolderReach {
    /// # Errors
    /// As [`Access::require`].
    pub fn require(self, wanted: Permission) -> Result<Self, ServiceError> {
        self.access.require(wanted).map(|_| self)
    }
}

fn not_allowed() -> ServiceError {
    ServiceError::Forbidden("You do not have permission to perform this action.".into())
}

impl Viewer {
    /// A file as this user may see it. Without the right to its bytes nothing is shown that leads to them: no
    /// URL, and instead of its id, which would make one, another that only this user can use. `asked` is the id
    /// that the user knows already.
    pub fn show(
        &self,
        mut row: FileRow,
        versions: Vec<VersionRow>,
        access: &Access,
        asked: Option<FileId>,
    ) -> FileDetails {
        access.trim(&mut row.folder);
        let has_bytes = access.level.permits(Permission::Download);
        if !has_bytes {
            row.id = asked.map_or_else(|| self.seal.seal(row.id), FileId::get);
            row.cdn_url = None;
            for picture in [&mut row.thumbnail_url, &mut row.preview_url].into_iter().flatten() {
                *picture = private_picture_path(picture, row.id);
            }
        }
        FileDetails { row, versions, has_bytes }
    }

    /// The id of a file as this user is shown it.
    pub fn shown_id(&self, file: Uuid, access: &Access) -> Uuid {
        if access.level.permits(Permission::Download) { file } else { self.seal.seal(file) }
    }

    /// The two ids that a client may mean: the real one, and the one behind a sealed one.
    pub fn meant(&self, id: FileId) -> [Uuid; 2] {
        [id.get(), self.seal.open(id.get())]
    }
}

impl Services {
    pub(super) fn viewer(&self, user: UserId) -> Viewer {
        let seal = SealKey::new(self.keys.seal_key(&format!("user/{user}")));
        Viewer { user, now: self.clock.now(), seal }
    }

    /// A living file that the user may see, and what the user may do with it.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn reach_file(&self, user: UserId, id: FileId) -> Result<FileReach, ServiceError> {
        reach_file(&mut &self.db, &self.viewer(user), id).await
    }

    /// The same of a folder.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn reach_folder(&self, user: UserId, id: FolderId) -> Result<FolderReach, ServiceError> {
        reach_folder(&mut &self.db, &self.viewer(user), id).await
    }

    /// What the user is to each of these files (with their owners); those that the user may not see are left out.
    pub(super) async fn accesses_to_files(
        &self,
        viewer: &Viewer,
        files: &[(Uuid, UserId)],
    ) -> Result<HashMap<Uuid, Access>, ServiceError> {
        let mut reached = HashMap::new();
        for chunk in foreign(viewer, files).chunks(REACH_BATCH) {
            let found = self.db.reach_of_files(viewer.user, chunk, viewer.now).await?;
            reached.extend(found.into_iter().map(keyed));
        }
        Ok(accesses(viewer, files, &reached))
    }

    /// The same of folders.
    pub(super) async fn accesses_to_folders(
        &self,
        viewer: &Viewer,
        folders: &[(Uuid, UserId)],
    ) -> Result<HashMap<Uuid, Access>, ServiceError> {
        let mut reached = HashMap::new();
        for chunk in foreign(viewer, folders).chunks(REACH_BATCH) {
            let found = self.db.reach_of_folders(viewer.user, chunk, viewer.now).await?;
            reached.extend(found.into_iter().map(keyed));
        }
        Ok(accesses(viewer, folders, &reached))
    }

    /// These files, without those that the user may not see now, each as far as the user may see it.
    pub(super) async fn show_files(
        &self,
        viewer: &Viewer,
        rows: Vec<FileRow>,
    ) -> Result<Vec<FileDetails>, ServiceError> {
        let things: Vec<_> = rows.iter().map(|row| (row.id, UserId(row.folder.owner.owner_id))).collect();
        let accesses = self.accesses_to_files(viewer, &things).await?;
        let rows = rows.into_iter().filter(|row| accesses.contains_key(&row.id)).collect();
        let shown = self.with_versions(rows).await?.into_iter().filter_map(|file| {
            let access = accesses.get(&file.row.id)?;
            Some(viewer.show(file.row, file.versions, access, None))
        });
        Ok(shown.collect())
    }

    /// The same of folders.
    pub(super) async fn show_folders(
        &self,
        viewer: &Viewer,
        mut rows: Vec<FolderRow>,
    ) -> Result<Vec<FolderRow>, ServiceError> {
        let things: Vec<_> = rows.iter().map(|row| (row.folder_id, UserId(row.owner.owner_id))).collect();
        let accesses = self.accesses_to_folders(viewer, &things).await?;
        rows.retain_mut(|row| accesses.get(&row.folder_id).inspect(|access| access.trim(row)).is_some());
        Ok(rows)
    }
}

fn foreign(viewer: &Viewer, things: &[(Uuid, UserId)]) -> Vec<Uuid> {
    things.iter().filter(|(_, owner)| *owner != viewer.user).map(|(id, _)| *id).collect()
}

fn accesses(
    viewer: &Viewer,
    things: &[(Uuid, UserId)],
    reached: &HashMap<Uuid, ReachRow>,
) -> HashMap<Uuid, Access> {
    let access = |&(id, owner): &(Uuid, UserId)| {
        let access = if owner == viewer.user {
            Access::owned(owner)
        } else {
            Access::granted(owner, reached.get(&id).copied()?)?
        };
        Some((id, access))
    };
    things.iter().filter_map(access).collect()
}

fn keyed(row: ReachedRow) -> (Uuid, ReachRow) {
    (row.thing_id, ReachRow { level: row.level, from_depth: row.from_depth })
}

/// A living file that the user may see.
pub(super) async fn reach_file(
    on: &mut impl Read,
    viewer: &Viewer,
    id: FileId,
) -> Result<FileReach, ServiceError> {
    let [id, other] = viewer.meant(id);
    let row = find_owned_file(on, id, other).await?.ok_or(ServiceError::NotFound)?;
    let (id, folder) = (FileId(row.id), FolderId(row.folder_id));
    let access = match own(viewer, &row) {
        Some(access) => access,
        None => {
            let reach = file_reach(on, viewer.user, id, folder, viewer.now).await?;
            Access::granted(UserId(row.owner_id), reach).ok_or(ServiceError::NotFound)?
        }
    };
    Ok(FileReach { id, folder, access })
}

/// A living folder that the user may see.
pub(super) async fn reach_folder(
    on: &mut impl Read,
    viewer: &Viewer,
    id: FolderId,
) -> Result<FolderReach, ServiceError> {
    let row = find_owned_folder(on, id).await?.ok_or(ServiceError::NotFound)?;
    let access = match own(viewer, &row) {
        Some(access) => access,
        None => {
            let reach = folder_reach(on, viewer.user, id, viewer.now).await?;
            Access::granted(UserId(row.owner_id), reach).ok_or(ServiceError::NotFound)?
        }
    };
    Ok(FolderReach { id, access })
}

fn own(viewer: &Viewer, row: &OwnedRow) -> Option<Access> {
    (row.owner_id == viewer.user.get()).then(|| Access::owned(viewer.user))
}

/// Locks the account that a file belongs to, for a change that the user may make.
pub(super) async fn lock_file(
    tx: &mut Tx,
    viewer: &Viewer,
    id: FileId,
    wanted: Permission,
) -> Result<FileReach, ServiceError> {
    let reach = reach_file(tx, viewer, id).await?;
    tx.lock_account(reach.access.owner).await?;
    if reach.access.level.is_owner() {
        return Ok(reach);
    }
    // Grants change under the same lock: what was given before it may be taken back by now.
    reach_file(tx, viewer, reach.id).await?.require(wanted)
}

/// The same of a folder.
pub(super) async fn lock_folder(
    tx: &mut Tx,
    viewer: &Viewer,
    id: FolderId,
    wanted: Permission,
) -> Result<FolderReach, ServiceError> {
    let reach = reach_folder(tx, viewer, id).await?;
    tx.lock_account(reach.access.owner).await?;
    if reach.access.level.is_owner() {
        return Ok(reach);
    }
    reach_folder(tx, viewer, id).await?.require(wanted)
}

/// A folder that something new goes into, with its owner's account locked.
pub(super) struct Target {
    pub access: Access,
    pub folder: FolderPlace,
}

impl Target {
    pub fn owner(&self) -> UserId {
        self.access.owner
    }
}

/// Locks the account that new things in this folder belong to.
pub(super) async fn lock_target(
    tx: &mut Tx,
    viewer: &Viewer,
    folder: ParentChange,
) -> Result<Target, ServiceError> {
    match folder {
        ParentChange::Root => {
            tx.lock_account(viewer.user).await?;
            let folder = tx.ensure_root(viewer.user, viewer.now).await?;
            Ok(Target { access: Access::owned(viewer.user), folder })
        }
        ParentChange::Folder(id) => {
            let access = lock_folder(tx, viewer, id, Permission::Edit).await?.access;
            let folder = tx.find_folder_place(access.owner, id).await?.ok_or(ServiceError::NotFound)?;
            Ok(Target { access, folder })
        }
    }
}

/// The folder that a thing may be moved to. The owner of the thing moves it within their own tree; others within
/// what was given to them. The thing's account must be locked.
pub(super) async fn find_move_target(
    tx: &mut Tx,
    viewer: &Viewer,
    thing: &Access,
    from: FolderId,
    to: ParentChange,
) -> Result<FolderPlace, ServiceError> {
    let leaves = || ServiceError::Forbidden("This can't be moved out of what was shared.".into());
    let id = match to {
        ParentChange::Root if thing.level.is_owner() => {
            return Ok(tx.ensure_root(viewer.user, viewer.now).await?);
        }
        ParentChange::Root => return Err(leaves()),
        ParentChange::Folder(id) => id,
    };
    let target = reach_folder(tx, viewer, id).await?;
    if target.access.owner != thing.owner {
        return Err(ServiceError::Forbidden("This can't be moved to another owner's folder.".into()));
    }
    target.require(Permission::Edit)?;
    if !thing.level.is_owner() && from != id {
        let rank = Permission::Edit.rank();
        let here = list_granting_folders(tx, viewer.user, from, rank, viewer.now).await?;
        let there = list_granting_folders(tx, viewer.user, id, rank, viewer.now).await?;
        if !here.iter().any(|folder| there.contains(folder)) {
            return Err(leaves());
        }
    }
    tx.find_folder_place(thing.owner, id).await?.ok_or(ServiceError::NotFound)
}
