//! Files: register, list, rename, move, trash, and the one transaction that every new file goes through.

use super::{
    ServiceError, Services,
    access::{Target, Viewer, find_move_target, lock_file, lock_target, reach_file},
    act::Act,
    folders::ParentChange,
    processing::queue_processing,
    versions::RegisteredContent,
};
use crate::{
    db::{
        DbError, Tx,
        activity::{Action, Origin},
        files::{ContentAt, ContentRow, FileFilter, FileOrder, FileRow, FileSpec},
        trash::ResourceType,
        versions::VersionRow,
    },
    media,
};
use cdn_actors::domain::{
    filename::Filename,
    ids::{FileId, FolderId, UserId},
    page::Page,
    permission::Permission,
    quota::Usage,
};
use cdn_actors::ports::{AccessEvent, AccessKind};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// A file with its versions, as clients see it.
#[derive(Debug, Clone)]
pub struct FileDetails {
    pub row: FileRow,
    pub versions: Vec<VersionRow>,
    /// Whether the caller may have the bytes. Otherwise nothing here leads to them, the id included.
    pub has_bytes: bool,
}

/// What a client wants changed; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct FileChange {
    pub filename: Option<Filename>,
    pub original_filename: Option<Filename>,
    pub folder: Option<ParentChange>,
}

/// A file that the client has put on a CDN already.
#[derive(Debug, Clone)]
pub struct Registration {
    pub folder: ParentChange,
    pub filename: Filename,
    pub original_filename: Filename,
    pub content: RegisteredContent,
}

/// Which part of a user's files a list shows, and how.
#[derive(Debug, Clone)]
pub struct FileQuery {
    pub filter: FileFilter,
    pub order: FileOrder,
    pub descending: bool,
    pub page: Page,
}

/// What ends a transaction that would make a second file of the same content.
#[derive(Debug)]
pub(super) enum Placement {
    Placed(Box<FileDetails>),
    Duplicate(Box<FileDetails>),
}

impl Placement {
    pub(super) fn into_result(self) -> Result<FileDetails, ServiceError> {
        match self {
            Self::Placed(file) => Ok(*file),
            Self::Duplicate(file) => Err(ServiceError::FileExists(file)),
        }
    }
}

impl Services {
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn file(&self, user: UserId, id: FileId) -> Result<FileDetails, ServiceError> {
        Ok(self.file_for(user, id, Permission::View).await?.1)
    }

    /// A file that the user may do this with.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`]; [`ServiceError::Forbidden`] when the user may see it only.
    pub(super) async fn file_for(
        &self,
        user: UserId,
        id: FileId,
        wanted: Permission,
    ) -> Result<(FileId, FileDetails), ServiceError> {
        let viewer = self.viewer(user);
        let reach = reach_file(&mut &self.db, &viewer, id).await?.require(wanted)?;
        let row = self.db.read_file(user, reach.id).await?.ok_or(ServiceError::NotFound)?;
        let versions =
            if row.versions_count > 0 { self.db.list_versions(&[row.id]).await? } else { Vec::new() };
        Ok((reach.id, viewer.show(row, versions, &reach.access, Some(id))))
    }

    /// A page of the user's files, or of those in a folder that was shared with the user, and how many the
    /// filter lets through.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_files(
        &self,
        user: UserId,
        query: &FileQuery,
    ) -> Result<(i64, Vec<FileDetails>), ServiceError> {
        let owner = match query.filter.folder {
            Some(folder) => match self.reach_folder(user, folder).await {
                Ok(reach) => reach.access.owner,
                Err(ServiceError::NotFound) => user,
                Err(error) => return Err(error),
            },
            None => user,
        };
        let FileQuery { filter, order, descending, page } = query;
        let count = self.db.count_files(owner, filter).await?;
        let rows = self.db.list_files(user, owner, filter, *order, *descending, *page).await?;
        Ok((count, self.show_files(&self.viewer(user), rows).await?))
    }

    /// Adds each file's versions, by one query for all that have any. For files of the caller's own, or that
    /// `access` has looked at.
    pub(super) async fn with_versions(&self, rows: Vec<FileRow>) -> Result<Vec<FileDetails>, ServiceError> {
        let versioned: Vec<_> = rows.iter().filter(|row| row.versions_count > 0).map(|row| row.id).collect();
        let mut versions: HashMap<_, Vec<VersionRow>> = HashMap::new();
        for chunk in versioned.chunks(500) {
            for version in self.db.list_versions(chunk).await? {
                versions.entry(version.file_id).or_default().push(version);
            }
        }
        let details = |row: FileRow| FileDetails {
            versions: versions.remove(&row.id).unwrap_or_default(),
            row,
            has_bytes: true,
        };
        Ok(rows.into_iter().map(details).collect())
    }

    /// Where a public file's bytes are.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], also for what is in the trash.
    pub async fn content(&self, id: FileId) -> Result<ContentRow, ServiceError> {
        self.db.find_content(id).await?.ok_or(ServiceError::NotFound)
    }

    /// Registers a file whose bytes are on a CDN of the client's choice.
    ///
    /// # Errors
    /// A duplicate, a folder that the user may not put files into, the quota of its owner.
    pub async fn register_file(
        &self,
        origin: &Origin,
        file: Registration,
    ) -> Result<FileDetails, ServiceError> {
        let (origin, user, now) = (origin.clone(), origin.user, self.clock.now());
        let viewer = self.viewer(user);
        let charged = if self.config.quota.count_registered { file.content.size } else { 0 };
        let tiers = self.config.quota.clone();
        let work = async move |tx: &mut Tx| {
            let target = lock_target(tx, &viewer, file.folder).await?;
            let (owner, folder) = (target.owner(), &target.folder);
            let hashes = (file.content.sha256.as_str(), file.content.md5.as_str());
            if let Some(existing) = find_duplicate(tx, &target, hashes).await? {
                return Ok(Placement::Duplicate(Box::new(details(tx, &viewer, existing).await?)));
            }
            charge(tx, owner, charged, &tiers).await?;
            let mime_type = file
                .content
                .mime_type
                .clone()
                .or_else(|| media::media_type_of_name(file.filename.as_str()))
                .unwrap_or_else(|| media::OCTET_STREAM.into());
            let spec = FileSpec {
                id: FileId::new(),
                owner,
                folder: folder.id(),
                filename: tx.free_filename(folder.id(), &file.filename).await?,
                original_filename: file.original_filename.clone(),
                mime_type,
                size: file.content.size,
                md5: file.content.md5.as_str().into(),
                sha256: file.content.sha256.as_str().into(),
                content: ContentAt::Registered { cdn_url: file.content.cdn_url.clone(), charged },
                content_by: user,
                now,
            };
            insert_with_activity(tx, &origin, &spec).await?;
            Ok::<_, ServiceError>(Placement::Placed(Box::new(details(tx, &viewer, spec.id).await?)))
        };
        let placement = self.db.write(work).await?;
        self.wake_thumbnails();
        placement.into_result()
    }

    /// Renames and moves.
    ///
    /// # Errors
    /// A file or folder that the user may not change, a move out of what was shared, a taken name.
    pub async fn change_file(
        &self,
        origin: &Origin,
        id: FileId,
        change: FileChange,
    ) -> Result<FileDetails, ServiceError> {
        let act = self.act(origin);
        let work = async move |tx: &mut Tx| {
            change_file(tx, &act, id, &change).await?;
            details(tx, &act.viewer, id).await
        };
        self.db.write(work).await
    }

    /// Puts a file into its owner's trash.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn trash_file(&self, origin: &Origin, id: FileId) -> Result<(), ServiceError> {
        let act = self.act(origin);
        self.db.write(async move |tx: &mut Tx| trash_file(tx, &act, id).await).await
    }

    /// Notes that a user fetched a file's download URL.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn download_file(&self, origin: &Origin, id: FileId) -> Result<FileDetails, ServiceError> {
        let (id, file) = self.file_for(origin.user, id, Permission::Download).await?;
        self.accounts.record(AccessEvent {
            owner: UserId(file.row.folder.owner.owner_id),
            file: id,
            kind: AccessKind::Download,
            accessor: Some(origin.user),
            at: self.clock.now(),
            response_ms: 0,
            referrer_domain: String::new(),
            ip_address: origin.ip_address.clone(),
            user_agent: origin.user_agent.clone(),
            country_code: String::new(),
        });
        Ok(file)
    }
}

/// A file with its versions, as this transaction leaves it and as the user may see it.
pub(super) async fn details(tx: &mut Tx, viewer: &Viewer, id: FileId) -> Result<FileDetails, ServiceError> {
    let reach = reach_file(tx, viewer, id).await?;
    let row = tx.read_file(viewer.user, reach.id).await?.ok_or(ServiceError::NotFound)?;
    let versions = if row.versions_count > 0 { tx.list_versions(reach.id).await? } else { Vec::new() };
    Ok(viewer.show(row, versions, &reach.access, Some(id)))
}

/// A file with this pair of hashes that makes a new one a duplicate. In a folder of somebody else's only what is
/// in that folder counts: the rest of the account is not the caller's to learn about.
pub(super) async fn find_duplicate(
    tx: &mut Tx,
    target: &Target,
    (sha256, md5): (&str, &str),
) -> Result<Option<FileId>, ServiceError> {
    if target.access.level.is_owner() {
        return Ok(tx.find_duplicate(target.owner(), sha256, md5).await?);
    }
    Ok(tx.find_duplicate_in(target.folder.id(), sha256, md5).await?)
}

/// Renames and moves a file.
pub(super) async fn change_file(
    tx: &mut Tx,
    act: &Act,
    id: FileId,
    change: &FileChange,
) -> Result<(), ServiceError> {
    let reach = lock_file(tx, &act.viewer, id, Permission::Edit).await?;
    let file = tx.find_file_place(reach.access.owner, reach.id).await?.ok_or(ServiceError::NotFound)?;
    let folder = match change.folder {
        Some(folder) => find_move_target(tx, &act.viewer, &reach.access, file.folder(), folder).await?.id(),
        None => file.folder(),
    };
    let parse = |name: &str| Filename::parse(name).map_err(ServiceError::invalid("filename"));
    let filename = match &change.filename {
        Some(filename) => filename.clone(),
        None => parse(&file.filename)?,
    };
    let original_filename = match &change.original_filename {
        Some(filename) => filename.clone(),
        None => parse(&file.original_filename)?,
    };
    let moves = folder != file.folder();
    let renames = filename.as_str() != file.filename;
    if !moves && !renames && original_filename.as_str() == file.original_filename {
        return Ok(());
    }
    if (moves || renames) && tx.is_filename_taken(folder, &filename).await? {
        return Err(ServiceError::Conflict(
            "A file with this name already exists in the specified location.".into(),
        ));
    }
    tx.place_file(&file, folder, &filename, &original_filename, act.now).await?;
    let resource = (ResourceType::File, file.id);
    if renames {
        let metadata = serde_json::json!({"from": file.filename, "to": filename.as_str()});
        act.record(tx, Action::Rename, resource, filename.as_str(), metadata).await?;
    }
    if moves {
        let metadata = serde_json::json!({"from": file.folder_id, "to": folder});
        act.record(tx, Action::Move, resource, filename.as_str(), metadata).await?;
    }
    Ok(())
}

/// Puts a file into the trash.
pub(super) async fn trash_file(tx: &mut Tx, act: &Act, id: FileId) -> Result<(), ServiceError> {
    let reach = lock_file(tx, &act.viewer, id, Permission::Admin).await?;
    let owner = reach.access.owner;
    let file = tx.find_file_place(owner, reach.id).await?.ok_or(ServiceError::NotFound)?;
    let folder = tx.find_folder_place(owner, file.folder()).await?.ok_or(ServiceError::NotFound)?;
    let path = format!("{}/{}", folder.path, file.filename);
    let item = act.trash_item(owner, ResourceType::File, file.id, &file.filename, path);
    tx.insert_trash_item(&item).await?;
    tx.set_file_trash(file.id(), Some(item.id)).await?;
    tx.add_to_files_count(folder.id(), -1).await?;
    tx.count_living_files(owner, &file.mime_type, &file.kind, -1, -file.file_size).await?;
    let path = reach.access.shown_path(&item.path);
    let metadata = serde_json::json!({"path": path, "file_size": file.file_size});
    act.record(tx, Action::Delete, (ResourceType::File, file.id), &file.filename, metadata).await
}

/// The row, its counts and the thumbnail job of a new file.
pub(super) async fn add_file(tx: &mut Tx, spec: &FileSpec) -> Result<(), ServiceError> {
    tx.insert_file(spec).await?;
    queue_processing(tx, spec.owner, spec.id, &spec.mime_type, spec.now).await?;
    Ok(())
}

/// The same with its activity.
pub(super) async fn insert_with_activity(
    tx: &mut Tx,
    origin: &Origin,
    spec: &FileSpec,
) -> Result<(), ServiceError> {
    add_file(tx, spec).await?;
    let metadata = serde_json::json!({"file_size": spec.size, "mime_type": spec.mime_type});
    let resource = (ResourceType::File, spec.id.get());
    tx.record_activity(origin, Action::Upload, resource, spec.filename.as_str(), metadata, spec.now).await?;
    Ok(())
}

/// Takes bytes from a locked account's quota, if they fit beside what is used and reserved.
pub(super) async fn charge(
    tx: &mut Tx,
    user: UserId,
    bytes: u64,
    quota: &crate::config::QuotaConfig,
) -> Result<(), ServiceError> {
    if bytes == 0 {
        return Ok(());
    }
    let usage = tx.usage(user, quota).await?.ok_or(ServiceError::NotFound)?;
    if !usage.fits(bytes) {
        return Err(ServiceError::QuotaExceeded(usage));
    }
    tx.add_to_storage_used(user, i64::try_from(bytes).unwrap_or(i64::MAX)).await?;
    Ok(())
}

impl Tx {
    /// A user's storage, with the limit of their tier; a tier that the configuration no longer has counts
    /// as the default one.
    pub(super) async fn usage(
        &mut self,
        user: UserId,
        quota: &crate::config::QuotaConfig,
    ) -> Result<Option<Usage>, DbError> {
        let row: Option<(i64, i64, String)> = self
            .q("SELECT a.storage_used, a.storage_reserved, u.tier FROM accounts a JOIN users u ON u.id = a.user_id
                WHERE a.user_id = $1")
            .bind(user)
            .opt()
            .await?;
        Ok(row.map(|(used, reserved, tier)| super::usage_of(quota, used, reserved, &tier)))
    }

    pub(super) async fn touch_file(&mut self, file: FileId, now: DateTime<Utc>) -> Result<(), DbError> {
        self.q("UPDATE files SET last_accessed = $2 WHERE id = $1 AND last_accessed < $2")
            .bind(file)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }
}

/// The folder a client names for a new file: absent means the root.
pub fn target_folder(folder: Option<FolderId>) -> ParentChange {
    folder.map_or(ParentChange::Root, ParentChange::Folder)
}
