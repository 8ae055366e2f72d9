//! The objects of the contract, section 3, as they go over the wire.

use crate::{
    db::{
        activity::ActivityRow,
        analytics::AnalyticsRow,
        folders::FolderRow,
        trash::TrashRow,
        users::{OwnerRow, UserRow},
        versions::VersionRow,
    },
    service::{files::FileDetails, folders::FolderContents},
};
use cdn_actors::domain::{size::human_size, timestamp::Timestamp};
use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What stays as it is in a path segment (RFC 3986, section 2.3: unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The signed-in user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    pub id: i64,
    pub name: String,
    pub email: String,
    pub image: Option<String>,
}

impl From<UserRow> for UserView {
    fn from(user: UserRow) -> Self {
        Self { id: user.id, name: user.name, email: user.email, image: user.image }
    }
}

/// Somebody whose thing is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProfileView {
    pub id: i64,
    /// The same as the e-mail address.
    pub username: String,
    pub email: String,
    pub full_name: String,
    pub profile_picture: Option<String>,
}

impl From<&OwnerRow> for ProfileView {
    fn from(owner: &OwnerRow) -> Self {
        Self {
            id: owner.owner_id,
            username: owner.owner_email.clone(),
            email: owner.owner_email.clone(),
            full_name: owner.owner_name.clone(),
            profile_picture: owner.owner_image.clone(),
        }
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FolderView {
    pub id: Uuid,
    pub name: String,
    pub parent: Option<Uuid>,
    pub owner: i64,
    pub owner_detail: ProfileView,
    pub path: String,
    pub is_root: bool,
    /// Folders directly in it, without what is in the trash.
    pub children_count: i64,
    /// Files directly in it, without what is in the trash.
    pub files_count: i64,
    /// Names from the root's on, joined by `/`.
    pub full_path: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<&FolderRow> for FolderView {
    fn from(folder: &FolderRow) -> Self {
        Self {
            id: folder.folder_id,
            name: folder.folder_name.clone(),
            parent: folder.folder_parent_id,
            owner: folder.owner.owner_id,
            owner_detail: (&folder.owner).into(),
            path: folder.folder_path.clone(),
            is_root: folder.folder_is_root,
            children_count: folder.folder_children_count,
            files_count: folder.folder_files_count,
            full_path: folder.folder_path.clone(),
            created_at: folder.folder_created_at.into(),
            updated_at: folder.folder_updated_at.into(),
        }
    }
}

pub fn folder_views(folders: &[FolderRow]) -> Vec<FolderView> {
    folders.iter().map(Into::into).collect()
}

/// A former content of a file.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileVersionView {
    pub id: Uuid,
    pub version_number: i64,
    pub file_size: i64,
    pub file_size_human: String,
    pub mime_type: String,
    pub sha256_hash: String,
    pub created_by: Option<i64>,
    pub created_by_detail: Option<ProfileView>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl From<&VersionRow> for FileVersionView {
    fn from(version: &VersionRow) -> Self {
        let creator = version.created_by.map(|id| {
            let email = version.creator_email.clone().unwrap_or_default();
            ProfileView {
                id,
                username: email.clone(),
                email,
                full_name: version.creator_name.clone().unwrap_or_default(),
                profile_picture: version.creator_image.clone(),
            }
        });
        Self {
            id: version.id,
            version_number: version.version_number,
            file_size: version.file_size,
            file_size_human: human_size(unsigned(version.file_size)),
            mime_type: version.mime_type.clone(),
            sha256_hash: version.sha256_hash.clone(),
            created_by: version.created_by,
            created_by_detail: creator,
            created_at: version.created_at.into(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    pub id: Uuid,
    pub filename: String,
    pub original_filename: String,
    pub folder: Uuid,
    pub folder_detail: FolderView,
    pub owner: i64,
    pub owner_detail: ProfileView,
    /// Bytes.
    pub file_size: i64,
    pub file_size_human: String,
    pub mime_type: String,
    /// Of the original name, lower case, with its dot; or "".
    pub file_extension: String,
    /// Where the file lies in its owner's tree.
    pub storage_path: String,
    pub cdn_url: Option<String>,
    pub thumbnail_url: Option<String>,
    pub preview_url: Option<String>,
    pub is_processed: bool,
    /// `pending`, `processing`, `completed` or `failed`.
    pub processing_status: String,
    pub versions: Vec<FileVersionView>,
    pub versions_count: i64,
    /// By the caller.
    pub is_starred: bool,
    pub md5_hash: String,
    pub sha256_hash: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub last_accessed: Timestamp,
}

impl FileView {
    pub fn new(base_url: &str, file: &FileDetails) -> Self {
        let row = &file.row;
        let folder = FolderView::from(&row.folder);
        Self {
            id: row.id,
            storage_path: format!("{}/{}", folder.path, row.filename).trim_start_matches('/').to_owned(),
            cdn_url: file.has_bytes.then(|| match &row.cdn_url {
                Some(url) => url.clone(),
                None => content_url(base_url, row.id, &row.filename),
            }),
            folder: folder.id,
            owner: folder.owner,
            owner_detail: folder.owner_detail.clone(),
            folder_detail: folder,
            filename: row.filename.clone(),
            original_filename: row.original_filename.clone(),
            file_size: row.file_size,
            file_size_human: human_size(unsigned(row.file_size)),
            mime_type: row.mime_type.clone(),
            file_extension: row.file_extension.clone(),
            thumbnail_url: row.thumbnail_url.clone(),
            preview_url: row.preview_url.clone(),
            is_processed: row.processing_status == "completed",
            processing_status: row.processing_status.clone(),
            versions: file.versions.iter().map(Into::into).collect(),
            versions_count: row.versions_count,
            is_starred: row.is_starred,
            md5_hash: row.md5_hash.clone(),
            sha256_hash: row.sha256_hash.clone(),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            last_accessed: row.last_accessed.into(),
        }
    }
}

pub fn file_views(base_url: &str, files: &[FileDetails]) -> Vec<FileView> {
    files.iter().map(|file| FileView::new(base_url, file)).collect()
}

/// The public URL of a stored file. The name in it is cosmetic.
pub fn content_url(base_url: &str, id: Uuid, filename: &str) -> String {
    format!("{base_url}/f/{id}/{}", utf8_percent_encode(filename, SEGMENT))
}

/// Where a file can be fetched as a download, and what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DownloadView {
    pub download_url: String,
    pub filename: String,
    /// Bytes.
    pub size: i64,
    pub mime_type: String,
}

impl DownloadView {
    pub fn new(base_url: &str, file: &FileDetails) -> Self {
        let row = &file.row;
        let own = || format!("{}?download=1", content_url(base_url, row.id, &row.filename));
        Self {
            download_url: row.cdn_url.clone().unwrap_or_else(own),
            filename: row.filename.clone(),
            size: row.file_size,
            mime_type: row.mime_type.clone(),
        }
    }
}

impl DownloadView {
    /// `link` is what the signed URL's query says.
    pub fn of_version(base_url: &str, file: &FileDetails, version: &VersionRow, link: &str) -> Self {
        let row = &file.row;
        let own = || format!("{}?download=1&{link}", content_url(base_url, row.id, &row.filename));
        Self {
            download_url: version.cdn_url.clone().unwrap_or_else(own),
            filename: row.filename.clone(),
            size: version.file_size,
            mime_type: version.mime_type.clone(),
        }
    }
}

/// Something that a user did.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityView {
    pub id: Uuid,
    pub user: i64,
    pub user_detail: ProfileView,
    pub action_type: String,
    pub resource_type: Option<String>,
    pub resource_id: Option<Uuid>,
    pub resource_name: String,
    #[schema(value_type = Object)]
    pub metadata: serde_json::Value,
    pub ip_address: Option<String>,
    pub user_agent: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl From<ActivityRow> for ActivityView {
    fn from(row: ActivityRow) -> Self {
        Self {
            id: row.id,
            user: row.owner.owner_id,
            user_detail: (&row.owner).into(),
            action_type: row.action_type,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            resource_name: row.resource_name,
            metadata: row.metadata.0,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            created_at: row.created_at.into(),
        }
    }
}

/// Something in the trash.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrashItemView {
    pub id: Uuid,
    pub user: i64,
    pub user_detail: ProfileView,
    pub resource_type: String,
    pub resource_id: Uuid,
    pub original_name: String,
    pub original_path: String,
    #[schema(value_type = String, format = DateTime)]
    pub deleted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub permanent_delete_at: Timestamp,
    /// Whole days, begun ones counted; 0 when it is due.
    pub days_until_permanent_delete: i64,
}

impl TrashItemView {
    pub fn new(row: TrashRow, now: DateTime<Utc>) -> Self {
        let left = (row.permanent_delete_at - now).max(TimeDelta::zero());
        let day = TimeDelta::days(1).num_seconds();
        Self {
            id: row.id,
            user: row.owner.owner_id,
            user_detail: (&row.owner).into(),
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            original_name: row.original_name,
            original_path: row.original_path,
            deleted_at: row.deleted_at.into(),
            permanent_delete_at: row.permanent_delete_at.into(),
            days_until_permanent_delete: (left.num_seconds() + day - 1) / day,
        }
    }
}

/// One day of a file.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnalyticsView {
    pub id: Uuid,
    pub file: Uuid,
    pub file_detail: FileView,
    /// `YYYY-MM-DD`, UTC.
    pub access_date: String,
    pub view_count: i64,
    pub download_count: i64,
    /// Two letters, of the last visitor whose country is known; or "".
    pub country_code: String,
    pub region: String,
    pub city: String,
    /// Milliseconds until the first byte.
    pub avg_response_time: Option<i64>,
    pub cache_hit_ratio: Option<String>,
    /// Of the last visitor that came from another page; or "".
    pub referrer_domain: String,
}

impl AnalyticsView {
    pub fn new(base_url: &str, row: AnalyticsRow, file: &FileDetails) -> Self {
        Self {
            id: row.id,
            file: row.file_id,
            file_detail: FileView::new(base_url, file),
            access_date: row.access_date,
            view_count: row.view_count,
            download_count: row.download_count,
            country_code: row.country_code,
            region: String::new(),
            city: String::new(),
            avg_response_time: (row.responses > 0).then(|| row.response_ms / row.responses),
            cache_hit_ratio: None,
            referrer_domain: row.referrer_domain,
        }
    }
}

/// What is directly in a folder.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContentsView {
    pub folders: Vec<FolderView>,
    pub files: Vec<FileView>,
}

impl ContentsView {
    pub fn new(base_url: &str, contents: &FolderContents) -> Self {
        Self { folders: folder_views(&contents.folders), files: file_views(base_url, &contents.files) }
    }
}

/// The root with what is directly in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootView {
    pub root_folder: FolderView,
    pub folders: Vec<FolderView>,
    pub files: Vec<FileView>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorView {
    pub error: String,
    /// The same message.
    pub detail: String,
    /// Field → messages for a validation error; else empty or specific to the error.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

/// A plain confirmation.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    pub message: &'static str,
}

/// A plain confirmation.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetailView {
    pub detail: &'static str,
}

/// Sizes in the database are never negative: a CHECK holds that.
fn unsigned(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}
