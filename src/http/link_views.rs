//! Shares as they go over the wire to anybody who has a link: nobody's e-mail address, nothing of what lies above,
//! and of a restricted share nothing that leads to the bytes but its own URLs.

use super::{
    share_views::ResourceView,
    views::{content_url, picture_url},
};
use crate::{
    db::{files::FileRow, folders::FolderRow},
    service::shares::{ReceivedFile, links::OpenedShare},
};
use cdn_actors::domain::{size::human_size, timestamp::Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Whose share it is, for anybody.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicOwnerView {
    pub full_name: String,
    pub profile_picture: Option<String>,
}

/// A share for anybody who has its link.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicShareView {
    pub id: Uuid,
    pub resource_type: &'static str,
    /// One of this link's own where only its URLs lead to the bytes.
    pub resource_id: Uuid,
    pub owner_detail: PublicOwnerView,
    pub permission_level: &'static str,
    pub is_public: bool,
    pub password_protected: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    pub allow_download: bool,
    pub allow_preview: bool,
    pub download_limit: Option<i64>,
    pub download_count: i64,
    pub allow_upload: bool,
    /// Bytes of one upload.
    pub max_size: Option<i64>,
    pub resource_detail: ResourceView,
    pub is_expired: bool,
    pub can_download: bool,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl PublicShareView {
    pub fn new(base_url: &str, share: &OpenedShare) -> Self {
        let row = &share.row;
        let id = if row.file_id.is_some() { share.shown_id(row.thing()) } else { row.thing() };
        let mut resource_detail = ResourceView::new(base_url, row, id);
        match &mut resource_detail {
            ResourceView::File { thumbnail_url, .. } => {
                *thumbnail_url = share_picture_url(base_url, share, id, row.thing_thumbnail.as_deref());
            }
            ResourceView::Folder { path, files_count, name, .. } => {
                // What is above the folder is nobody's to see here.
                path.clone_from(name);
                if share.takes_uploads() {
                    *files_count = 0;
                }
            }
        }
        Self {
            id: row.share_id,
            resource_type: row.kind().as_str(),
            resource_id: id,
            owner_detail: PublicOwnerView {
                full_name: row.owner.owner_name.clone(),
                profile_picture: row.owner.owner_image.clone(),
            },
            permission_level: row.permission().as_str(),
            is_public: true,
            password_protected: row.password_hash.is_some(),
            expires_at: row.expires_at.map(Into::into),
            allow_download: row.allow_download,
            allow_preview: row.allow_preview,
            download_limit: row.download_limit,
            download_count: row.download_count,
            allow_upload: share.takes_uploads(),
            max_size: row.max_size,
            resource_detail,
            is_expired: false,
            can_download: share.can_download(),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}

/// Where a link's visitors see a file's thumbnail or preview; `path` is what the file's row says. A restricted share
/// has a URL of its own: the other one tells the file's id.
fn share_picture_url(base_url: &str, share: &OpenedShare, file: Uuid, path: Option<&str>) -> Option<String> {
    let path = path.filter(|_| share.row.allow_preview && !share.takes_uploads())?;
    if !share.is_restricted() {
        return picture_url(base_url, Some(path));
    }
    let (_, picture) = path.split_once('?')?;
    Some(format!("{base_url}/api/cdn/shares/public/thumbnail/?{}&{picture}", link_query(share, file)))
}

/// A file for anybody who has a link to it or to a folder above it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicFileView {
    /// For `file=`; one of this link's own where only its URLs lead to the bytes.
    pub id: Uuid,
    pub filename: String,
    pub original_filename: String,
    /// Bytes.
    pub file_size: i64,
    pub file_size_human: String,
    pub mime_type: String,
    pub file_extension: String,
    /// The share's own download URL where the share has a limit, a password, an end, or no downloads.
    pub cdn_url: String,
    /// The share's own.
    pub download_url: String,
    pub thumbnail_url: Option<String>,
    pub preview_url: Option<String>,
    pub md5_hash: String,
    pub sha256_hash: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl PublicFileView {
    pub fn new(base_url: &str, share: &OpenedShare, row: &FileRow) -> Self {
        let id = share.shown_id(row.id);
        let download_url = share_download_url(base_url, share, id);
        let own = || row.cdn_url.clone().unwrap_or_else(|| content_url(base_url, row.id, &row.filename));
        Self {
            id,
            filename: row.filename.clone(),
            original_filename: row.original_filename.clone(),
            file_size: row.file_size,
            file_size_human: human_size(u64::try_from(row.file_size).unwrap_or(0)),
            mime_type: row.mime_type.clone(),
            file_extension: row.file_extension.clone(),
            cdn_url: if share.is_restricted() { download_url.clone() } else { own() },
            download_url,
            thumbnail_url: share_picture_url(base_url, share, id, row.thumbnail_url.as_deref()),
            preview_url: share_picture_url(base_url, share, id, row.preview_url.as_deref()),
            md5_hash: row.md5_hash.clone(),
            sha256_hash: row.sha256_hash.clone(),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}

/// Where a link's visitors download a file.
pub fn share_download_url(base_url: &str, share: &OpenedShare, file: Uuid) -> String {
    format!("{base_url}/api/cdn/shares/public/download/?{}", link_query(share, file))
}

/// What a call by a link to one file says. Whoever had the right password needs it no more for an hour.
fn link_query(share: &OpenedShare, file: Uuid) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("token", &share.token).append_pair("file", &file.to_string());
    if let Some(pass) = &share.pass {
        query.append_pair("pass", pass);
    }
    query.finish()
}

/// A folder for anybody who has a link to it or to one above it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicFolderView {
    pub id: Uuid,
    pub name: String,
    /// Names from the shared folder down, for `path=`; "" for the shared folder itself.
    pub path: String,
    pub children_count: i64,
    pub files_count: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl PublicFolderView {
    pub fn new(share: &OpenedShare, row: &FolderRow) -> Self {
        let top = share.row.thing_path.as_deref().unwrap_or_default();
        let below = row.folder_path.strip_prefix(top).unwrap_or_default().trim_start_matches('/');
        let is_hidden = share.takes_uploads();
        let count = |count: i64| if is_hidden { 0 } else { count };
        Self {
            id: row.folder_id,
            name: row.folder_name.clone(),
            path: below.to_owned(),
            children_count: count(row.folder_children_count),
            files_count: count(row.folder_files_count),
            created_at: row.folder_created_at.into(),
            updated_at: row.folder_updated_at.into(),
        }
    }
}

/// What a link opens: a file, or a folder with what is directly in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum OpenedView {
    File {
        share: Box<PublicShareView>,
        resource: Box<PublicFileView>,
    },
    Folder {
        share: Box<PublicShareView>,
        resource: Vec<PublicFileView>,
        folder: PublicFolderView,
        folders: Vec<PublicFolderView>,
    },
}

/// What an uploader by a link is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceivedView {
    pub filename: String,
    /// Bytes.
    pub file_size: u64,
    pub file_size_human: String,
    pub mime_type: String,
}

impl From<ReceivedFile> for ReceivedView {
    fn from(file: ReceivedFile) -> Self {
        Self {
            filename: file.filename,
            file_size: file.size,
            file_size_human: human_size(file.size),
            mime_type: file.mime_type,
        }
    }
}
