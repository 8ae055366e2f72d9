//! Files: the rows, the lists with their filters, and the names that are free.

use super::{Db, DbError, Tx, Value, folders::FolderRow, search::file_condition};
use cdn_actors::domain::{
    filename::{Filename, fold_case},
    ids::{BlobId, FileId, FolderId, TrashId, UserId},
    kind::FileKind,
    page::Page,
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, FromRow)]
pub struct FileRow {
    pub id: Uuid,
    pub filename: String,
    pub original_filename: String,
    pub file_extension: String,
    pub mime_type: String,
    pub file_size: i64,
    pub md5_hash: String,
    pub sha256_hash: String,
    pub cdn_url: Option<String>,
    pub thumbnail_url: Option<String>,
    pub preview_url: Option<String>,
    pub processing_status: String,
    pub versions_count: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_accessed: DateTime<Utc>,
    pub is_starred: bool,
    #[sqlx(flatten)]
    pub folder: FolderRow,
}

impl FileRow {
    pub fn id(&self) -> FileId {
        FileId(self.id)
    }
}

/// `FileRow`s for the caller `$1` (or another placeholder); the rest starts with its WHERE.
macro_rules! file_query {
    () => {
        file_query!(caller "$1")
    };
    (caller $caller:literal) => {
        concat!(
            "SELECT f.id, f.filename, f.original_filename, f.file_extension, f.mime_type, f.file_size, f.md5_hash, \
             f.sha256_hash, f.cdn_url, f.thumbnail_url, f.preview_url, f.processing_status, f.versions_count, \
             f.created_at, f.updated_at, f.last_accessed, (s.user_id IS NOT NULL) AS is_starred, ",
            crate::db::folders::folder_columns!(), ", ", crate::db::users::owner_columns!(),
            " FROM files f JOIN folders d ON d.id = f.folder_id JOIN users o ON o.id = f.owner_id \
             LEFT JOIN file_stars s ON s.file_id = f.id AND s.user_id = ", $caller, " "
        )
    };
    ($rest:literal) => {
        concat!(file_query!(), $rest)
    };
}
pub(super) use file_query;

/// What a list of files is filtered by.
#[derive(Debug, Clone, Default)]
pub struct FileFilter {
    pub folder: Option<FolderId>,
    /// Part of either name, in any case.
    pub search: Option<String>,
    pub kind: Option<FileKind>,
}

/// A column a list can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOrder {
    CreatedAt,
    Filename,
    FileSize,
    LastAccessed,
}

impl FileOrder {
    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "f.created_at",
            Self::Filename => "f.filename",
            Self::FileSize => "f.file_size",
            Self::LastAccessed => "f.last_accessed",
        }
    }
}

/// Where a file's bytes are, as serving them needs it.
#[derive(Debug, Clone, FromRow)]
pub struct ContentRow {
    pub owner_id: i64,
    pub filename: String,
    pub mime_type: String,
    pub file_size: i64,
    pub sha256_hash: String,
    pub blob_id: Option<Uuid>,
    pub cdn_url: Option<String>,
    pub content_changed_at: DateTime<Utc>,
}

/// A file as changes need it.
#[derive(Debug, Clone, FromRow)]
pub struct FilePlace {
    pub id: Uuid,
    pub folder_id: Uuid,
    pub filename: String,
    pub original_filename: String,
    pub mime_type: String,
    pub kind: String,
    pub file_size: i64,
}

impl FilePlace {
    pub fn id(&self) -> FileId {
        FileId(self.id)
    }

    pub fn folder(&self) -> FolderId {
        FolderId(self.folder_id)
    }
}

/// Where a file's content is.
#[derive(Debug, Clone)]
pub enum ContentAt {
    /// Bytes in the blob store.
    Stored(BlobId),
    /// Bytes on a CDN of the client's choice, with what they count against the quota.
    Registered { cdn_url: String, charged: u64 },
}

/// A file to be made.
#[derive(Debug, Clone)]
pub struct FileSpec {
    pub id: FileId,
    pub owner: UserId,
    pub folder: FolderId,
    pub filename: Filename,
    pub original_filename: Filename,
    pub mime_type: String,
    pub size: u64,
    pub md5: String,
    pub sha256: String,
    pub content: ContentAt,
    pub content_by: UserId,
    pub now: DateTime<Utc>,
}

/// What the index of names holds: both names, folded.
pub fn search_name(filename: &str, original_filename: &str) -> String {
    fold_case(&format!("{filename}\n{original_filename}"))
}

/// A LIKE pattern for "contains", in which `%`, `_` and `\` are just characters.
pub fn contains_pattern(needle: &str) -> String {
    let escaped = fold_case(needle).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

const READ_FILE: &str = file_query!("WHERE f.id = $2 AND f.trash_id IS NULL");
const FIND_FILE: &str = file_query!("WHERE f.id = $2 AND f.owner_id = $1 AND f.trash_id IS NULL");

impl Db {
    /// A living file of this owner.
    pub async fn find_file(&self, caller: UserId, id: FileId) -> Result<Option<FileRow>, DbError> {
        self.q(FIND_FILE).bind(caller).bind(id).opt().await
    }

    /// A living file of anybody: whether the caller may see it is for `access` to say.
    pub async fn read_file(&self, caller: UserId, id: FileId) -> Result<Option<FileRow>, DbError> {
        self.q(READ_FILE).bind(caller).bind(id).opt().await
    }

    pub async fn list_folder_files(&self, caller: UserId, folder: FolderId) -> Result<Vec<FileRow>, DbError> {
        self.q(file_query!("WHERE f.folder_id = $2 AND f.trash_id IS NULL ORDER BY f.filename"))
            .bind(caller)
            .bind(folder)
            .all()
            .await
    }

    /// Files of one owner, for a caller.
    pub async fn list_files(
        &self,
        caller: UserId,
        owner: UserId,
        filter: &FileFilter,
        order: FileOrder,
        descending: bool,
        page: Page,
    ) -> Result<Vec<FileRow>, DbError> {
        let mut values = vec![Value::from(owner), Value::from(caller)];
        let conditions = self.filter_conditions(filter, &mut values).await?;
        let direction = if descending { "DESC" } else { "ASC" };
        let column = order.column();
        let (limit, offset) = (values.len() + 1, values.len() + 2);
        let sql = format!(
            "{}WHERE {conditions} AND f.trash_id IS NULL
             ORDER BY {column} {direction}, f.id {direction} LIMIT ${limit} OFFSET ${offset}",
            file_query!(caller "$2")
        );
        let query = self.q_built(sql).bind_all(values).bind(page.size).bind(page.offset());
        if filter.search.is_some() { query.plan_anew() } else { query }.all().await
    }

    /// How many living files the filter lets through: from the kept counters wherever one fits.
    pub async fn count_files(&self, owner: UserId, filter: &FileFilter) -> Result<i64, DbError> {
        match filter {
            FileFilter { folder: None, search: None, kind: None } => {
                Ok(self.account(owner).await?.files_count)
            }
            FileFilter { folder: Some(folder), search: None, kind: None } => Ok(self
                .q("SELECT files_count FROM folders WHERE id = $1 AND owner_id = $2 AND trash_id IS NULL")
                .bind(*folder)
                .bind(owner)
                .opt::<(i64,)>()
                .await?
                .map_or(0, |(count,)| count)),
            FileFilter { folder: None, search: None, kind: Some(kind) } => {
                self.q("SELECT CAST(COALESCE(SUM(files_count), 0) AS BIGINT) FROM media_type_totals
                        WHERE user_id = $1 AND kind = $2")
                    .bind(owner)
                    .bind(kind.as_str())
                    .scalar()
                    .await
            }
            filter => {
                let mut values = vec![Value::from(owner)];
                let conditions = self.filter_conditions(filter, &mut values).await?;
                let sql = format!("SELECT COUNT(*) FROM files f WHERE {conditions} AND f.trash_id IS NULL");
                self.q_built(sql).bind_all(values).plan_anew().scalar().await
            }
        }
    }

    /// A living file's content, for anyone who has its URL.
    pub async fn find_content(&self, id: FileId) -> Result<Option<ContentRow>, DbError> {
        self.q("SELECT owner_id, filename, mime_type, file_size, sha256_hash, blob_id, cdn_url, content_changed_at
                FROM files WHERE id = $1 AND trash_id IS NULL")
            .bind(id)
            .opt()
            .await
    }

    /// The owner's rows of `files f` that the filter lets through. `$1` is the owner.
    async fn filter_conditions(
        &self,
        filter: &FileFilter,
        values: &mut Vec<Value>,
    ) -> Result<String, DbError> {
        let mut sql = match &filter.search {
            Some(search) => file_condition(&self.needle("files_search", search).await?, values),
            None => "f.owner_id = $1".to_owned(),
        };
        if let Some(folder) = filter.folder {
            values.push(folder.into());
            sql.push_str(&format!(" AND f.folder_id = ${}", values.len()));
        }
        if let Some(kind) = filter.kind {
            values.push(kind.as_str().into());
            sql.push_str(&format!(" AND f.kind = ${}", values.len()));
        }
        Ok(sql)
    }
}

impl Tx {
    /// A living file as this transaction leaves it, for the answer to a change: read later, it may be in the
    /// trash already. Whether the caller may see it is for `access` to say.
    pub async fn read_file(&mut self, caller: UserId, id: FileId) -> Result<Option<FileRow>, DbError> {
        self.q(READ_FILE).bind(caller).bind(id).opt().await
    }

    /// A living file of this owner, as changes need it.
    pub async fn find_file_place(&mut self, owner: UserId, id: FileId) -> Result<Option<FilePlace>, DbError> {
        self.q("SELECT id, folder_id, filename, original_filename, mime_type, kind, file_size
                FROM files WHERE id = $1 AND owner_id = $2 AND trash_id IS NULL")
            .bind(id)
            .bind(owner)
            .opt()
            .await
    }

    /// The oldest living file in a folder with this pair of hashes.
    pub async fn find_duplicate_in(
        &mut self,
        folder: FolderId,
        sha256: &str,
        md5: &str,
    ) -> Result<Option<FileId>, DbError> {
        let found: Option<(Uuid,)> = self
            .q("SELECT id FROM files WHERE folder_id = $1 AND sha256_hash = $2 AND md5_hash = $3 AND trash_id IS NULL
                ORDER BY created_at, id LIMIT 1")
            .bind(folder)
            .bind(sha256)
            .bind(md5)
            .opt()
            .await?;
        Ok(found.map(|(id,)| FileId(id)))
    }

    /// The owner's oldest living file with this pair of hashes.
    pub async fn find_duplicate(
        &mut self,
        owner: UserId,
        sha256: &str,
        md5: &str,
    ) -> Result<Option<FileId>, DbError> {
        let found: Option<(Uuid,)> = self
            .q("SELECT id FROM files WHERE owner_id = $1 AND sha256_hash = $2 AND md5_hash = $3 AND trash_id IS NULL
                ORDER BY created_at, id LIMIT 1")
            .bind(owner)
            .bind(sha256)
            .bind(md5)
            .opt()
            .await?;
        Ok(found.map(|(id,)| FileId(id)))
    }

    pub async fn is_filename_taken(
        &mut self,
        folder: FolderId,
        filename: &Filename,
    ) -> Result<bool, DbError> {
        let found: Option<(Uuid,)> = self
            .q("SELECT id FROM files WHERE folder_id = $1 AND filename = $2 AND trash_id IS NULL")
            .bind(folder)
            .bind(filename.as_str())
            .opt()
            .await?;
        Ok(found.is_some())
    }

    /// The name itself, or the next free numbered one in this folder.
    pub async fn free_filename(&mut self, folder: FolderId, wanted: &Filename) -> Result<Filename, DbError> {
        if !self.is_filename_taken(folder, wanted).await? {
            return Ok(wanted.clone());
        }
        let free = self
            .free_number(
                "SELECT filename FROM files WHERE folder_id = $1 AND trash_id IS NULL AND filename IN",
                folder,
                |n| wanted.numbered(n).as_str().to_owned(),
            )
            .await?;
        Ok(wanted.numbered(free))
    }

    /// Makes the row and counts it everywhere but in the quota.
    pub async fn insert_file(&mut self, file: &FileSpec) -> Result<(), DbError> {
        let (blob, cdn_url, charged) = match &file.content {
            ContentAt::Stored(blob) => (Some(*blob), None, 0),
            ContentAt::Registered { cdn_url, charged } => (None, Some(cdn_url.clone()), *charged),
        };
        let kind = FileKind::of_media_type(&file.mime_type).as_str();
        self.q("INSERT INTO files (id, owner_id, folder_id, filename, original_filename, file_extension, search_name,
                    mime_type, kind, file_size, md5_hash, sha256_hash, blob_id, cdn_url, charged, processing_status,
                    content_changed_at, created_at, updated_at, last_accessed, content_by)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $17, $17, $18)")
            .bind(file.id)
            .bind(file.owner)
            .bind(file.folder)
            .bind(file.filename.as_str())
            .bind(file.original_filename.as_str())
            .bind(file.original_filename.extension())
            .bind(search_name(file.filename.as_str(), file.original_filename.as_str()))
            .bind(&file.mime_type)
            .bind(kind)
            .bind(file.size)
            .bind(&file.md5)
            .bind(&file.sha256)
            .bind(blob)
            .bind(cdn_url)
            .bind(charged)
            // Nothing processes files yet, so nothing is left to be done.
            .bind("completed")
            .bind(file.now)
            .bind(file.content_by)
            .exec()
            .await?;
        self.add_to_files_count(file.folder, 1).await?;
        let size = i64::try_from(file.size).unwrap_or(i64::MAX);
        self.count_living_files(file.owner, &file.mime_type, kind, 1, size).await
    }

    /// Gives a file its names and folder; the counts of both folders follow.
    pub async fn place_file(
        &mut self,
        file: &FilePlace,
        folder: FolderId,
        filename: &Filename,
        original_filename: &Filename,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE files SET folder_id = $2, filename = $3, original_filename = $4, file_extension = $5,
                    search_name = $6, updated_at = $7 WHERE id = $1")
            .bind(file.id)
            .bind(folder)
            .bind(filename.as_str())
            .bind(original_filename.as_str())
            .bind(original_filename.extension())
            .bind(search_name(filename.as_str(), original_filename.as_str()))
            .bind(now)
            .exec()
            .await?;
        if file.folder() != folder {
            self.add_to_files_count(file.folder(), -1).await?;
            self.add_to_files_count(folder, 1).await?;
        }
        Ok(())
    }

    /// A file in the trash, as restoring it needs it.
    pub async fn find_trashed_file(
        &mut self,
        owner: UserId,
        id: FileId,
    ) -> Result<Option<FilePlace>, DbError> {
        self.q("SELECT id, folder_id, filename, original_filename, mime_type, kind, file_size
                FROM files WHERE id = $1 AND owner_id = $2 AND trash_id IS NOT NULL")
            .bind(id)
            .bind(owner)
            .opt()
            .await
    }

    /// Takes a file out of the trash into a folder, under a name that is free there.
    pub async fn revive_file(
        &mut self,
        file: FileId,
        folder: FolderId,
        filename: &Filename,
        original_filename: &str,
    ) -> Result<(), DbError> {
        self.q(
            "UPDATE files SET trash_id = NULL, folder_id = $2, filename = $3, search_name = $4 WHERE id = $1",
        )
        .bind(file)
        .bind(folder)
        .bind(filename.as_str())
        .bind(search_name(filename.as_str(), original_filename))
        .exec()
        .await?;
        Ok(())
    }

    pub async fn filename_of(&mut self, file: FileId) -> Result<Option<String>, DbError> {
        let found: Option<(String,)> =
            self.q("SELECT filename FROM files WHERE id = $1").bind(file).opt().await?;
        Ok(found.map(|(filename,)| filename))
    }

    pub async fn set_file_trash(&mut self, file: FileId, trash: Option<TrashId>) -> Result<(), DbError> {
        self.q("UPDATE files SET trash_id = $2 WHERE id = $1").bind(file).bind(trash).exec().await?;
        Ok(())
    }

    /// Takes the living files of all folders of a trash item into it; gives how many.
    pub async fn trash_files_of_folders(&mut self, trash: TrashId) -> Result<u64, DbError> {
        self.q("UPDATE files SET trash_id = $1
                WHERE trash_id IS NULL AND folder_id IN (SELECT id FROM folders WHERE trash_id = $1)")
            .bind(trash)
            .exec()
            .await
    }
}
