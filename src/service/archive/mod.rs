//! A folder and all below it as one ZIP archive, made while it is sent.
//!
//! Memory holds a piece of one file, a page of rows for each level, and some hundred bytes for each entry. The tree
//! may change meanwhile: each folder is as it was when the walk came to it.

mod names;
mod writer;

use super::{
    ServiceError, Services,
    shares::links::{OpenedShare, Visitor},
};
use crate::{
    blob::{BlobError, ByteStream},
    db::{
        Tx,
        activity::{Action, Origin},
        folders::FolderRow,
        trash::ResourceType,
        tree::{TreeFile, TreeFolder},
    },
};
use bytes::Bytes;
use cdn_actors::domain::{
    ids::{BlobId, FileId, FolderId},
    permission::Permission,
};
use chrono::{DateTime, Utc};
use futures_util::{
    StreamExt,
    stream::{self, LocalBoxStream},
};
use names::{TakenNames, portable};
use std::collections::VecDeque;
use writer::ArchiveWriter;

/// Most files and folders in one archive: its list of entries is kept until the end.
const MAX_ENTRIES: i64 = 100_000;
/// Rows read at once.
const PAGE: u32 = 200;
/// Headers and small files are sent together until they are this many bytes.
const PIECE: usize = 64 * 1024;

/// An archive that is about to be sent.
pub struct Archive {
    pub filename: String,
    pub bytes: LocalBoxStream<'static, Result<Bytes, ServiceError>>,
}

impl Services {
    /// A folder as an archive, noted as one download of the folder.
    ///
    /// # Errors
    /// A folder whose bytes the user may not have, one with too many entries.
    pub async fn zip_folder(&self, origin: &Origin, id: FolderId) -> Result<Archive, ServiceError> {
        self.reach_folder(origin.user, id).await?.require(Permission::Download)?;
        let folder = self.folder(origin.user, id).await?;
        let archive = self.zip_tree(&folder).await?;
        let (origin, now) = (origin.clone(), self.clock.now());
        let (resource, name) = ((ResourceType::Folder, id.get()), folder.folder_name);
        let work = async move |tx: &mut Tx| {
            let metadata = serde_json::json!({"zip": true});
            tx.record_activity(&origin, Action::Download, resource, &name, metadata, now).await
        };
        self.db.write(work).await?;
        Ok(archive)
    }

    /// The folder of a link, or one below it, as an archive: one download of the share.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] where there is no folder to see; what [`Services::admit_download`] refuses.
    pub async fn zip_share(
        &self,
        share: &OpenedShare,
        path: Option<&str>,
        visitor: &Visitor,
    ) -> Result<Archive, ServiceError> {
        share.require_download()?;
        let folder = self.shared_folder(share, path).await?;
        let archive = self.zip_tree(&folder).await?;
        self.admit_download(share, visitor).await?;
        Ok(archive)
    }

    /// A folder and all below it as an archive, for whoever may have the bytes. The caller has seen to that.
    ///
    /// # Errors
    /// Too many entries.
    pub async fn zip_tree(&self, folder: &FolderRow) -> Result<Archive, ServiceError> {
        let entries = self.db.count_tree(folder.id()).await?;
        if entries > MAX_ENTRIES {
            return Err(ServiceError::BadRequest(
                format!("An archive holds at most {MAX_ENTRIES} files and folders; here are {entries}.")
                    .into(),
            ));
        }
        let name = portable(&folder.folder_name);
        let mut walk = Walk {
            services: self.clone(),
            writer: Some(ArchiveWriter::new()),
            levels: Vec::new(),
            content: None,
        };
        walk.enter(folder.id(), name.clone(), folder.folder_updated_at)?;
        let bytes = stream::try_unfold(walk, Walk::next_piece).boxed_local();
        Ok(Archive { filename: format!("{name}.zip"), bytes })
    }
}

/// A folder that the walk is in.
struct Level {
    folder: FolderId,
    /// Inside the archive.
    path: String,
    taken: TakenNames,
    files: VecDeque<TreeFile>,
    /// Name of the last file that was read; `None` when there are no more.
    files_after: Option<String>,
    folders: VecDeque<TreeFolder>,
    folders_after: Option<String>,
}

struct Walk {
    services: Services,
    /// `None` when the archive is complete.
    writer: Option<ArchiveWriter>,
    levels: Vec<Level>,
    /// The file that is being sent.
    content: Option<ByteStream>,
}

impl Walk {
    /// Walks on until there is something to send.
    async fn next_piece(mut self) -> Result<Option<(Bytes, Self)>, ServiceError> {
        while !self.levels.is_empty() {
            self.step().await?;
            if let Some(writer) = self.writer.as_mut().filter(|writer| writer.waiting() >= PIECE) {
                let piece = writer.take();
                return Ok(Some((piece, self)));
            }
        }
        match self.writer.take() {
            Some(writer) => Ok(Some((writer.finish()?, self))),
            None => Ok(None),
        }
    }

    fn writer(&mut self) -> Result<&mut ArchiveWriter, ServiceError> {
        self.writer.as_mut().ok_or_else(|| ServiceError::Internal("the archive is complete".into()))
    }

    /// One piece of a file, one entry, or one page of rows.
    async fn step(&mut self) -> Result<(), ServiceError> {
        if let Some(content) = &mut self.content {
            match content.next().await {
                Some(piece) => {
                    let piece = piece?;
                    self.services.traffic.sent.inc_by(piece.len() as u64);
                    return self.writer()?.write(&piece);
                }
                None => self.content = None,
            }
            return Ok(());
        }
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        if let Some(file) = level.files.pop_front() {
            return self.begin_file(file).await;
        }
        if let Some(after) = level.files_after.take() {
            level.files = self.services.db.list_tree_files(level.folder, &after, PAGE).await?.into();
            level.files_after = level.files.back().map(|file| file.filename.clone());
        } else if let Some(folder) = level.folders.pop_front() {
            let path = format!("{}/{}", level.path, level.taken.take_folder(&folder.name));
            self.enter(FolderId(folder.id), path, folder.updated_at)?;
        } else if let Some(after) = level.folders_after.take() {
            level.folders = self.services.db.list_tree_folders(level.folder, &after, PAGE).await?.into();
            level.folders_after = level.folders.back().map(|folder| folder.name.clone());
        } else {
            self.levels.pop();
        }
        Ok(())
    }

    fn enter(&mut self, folder: FolderId, path: String, modified: DateTime<Utc>) -> Result<(), ServiceError> {
        self.writer()?.add_folder(&path, modified)?;
        self.levels.push(Level {
            folder,
            path,
            taken: TakenNames::default(),
            files: VecDeque::new(),
            files_after: Some(String::new()),
            folders: VecDeque::new(),
            folders_after: Some(String::new()),
        });
        Ok(())
    }

    async fn begin_file(&mut self, file: TreeFile) -> Result<(), ServiceError> {
        // Opened first: what has been deleted since its row was read is left out, not half in.
        let Some((file, content)) = self.open(file).await? else { return Ok(()) };
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let (name, size) = match &content {
            Some(_) => (file.filename, u64::try_from(file.file_size).unwrap_or(0)),
            None => (format!("{}.url", file.filename), 0),
        };
        let path = format!("{}/{}", level.path, level.taken.take_file(&name));
        let writer = self.writer()?;
        writer.begin_file(&path, size, file.content_changed_at)?;
        if content.is_none() {
            writer.write(internet_shortcut(file.cdn_url.as_deref().unwrap_or_default()).as_bytes())?;
        }
        self.content = content;
        Ok(())
    }

    /// The file's bytes, unless they are on another CDN; `None` when it is gone.
    async fn open(&self, mut file: TreeFile) -> Result<Option<(TreeFile, Option<ByteStream>)>, ServiceError> {
        for is_first in [true, false] {
            let Some(blob) = file.blob_id.map(BlobId) else { return Ok(Some((file, None))) };
            let size = u64::try_from(file.file_size).unwrap_or(0);
            match self.services.blobs.read(blob, 0..size).await {
                Ok(content) => return Ok(Some((file, Some(content)))),
                // New content has taken its place, and the former may have been dropped since.
                Err(BlobError::NotFound) if is_first => {
                    let Some(now) = self.services.db.find_content(FileId(file.id)).await? else {
                        return Ok(None);
                    };
                    file.file_size = now.file_size;
                    file.blob_id = now.blob_id;
                    file.cdn_url = now.cdn_url;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

/// A registered file's bytes are elsewhere: a link to them that desktops open.
fn internet_shortcut(url: &str) -> String {
    let url: String = url.chars().filter(|c| !c.is_control()).collect();
    format!("[InternetShortcut]\r\nURL={url}\r\n")
}
