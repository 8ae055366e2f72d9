//! Shares as they go over the wire to people who are signed in.

use super::views::{ProfileView, picture_url};
use crate::{
    db::{
        share_links::AccessLogRow,
        shares::{GrantRow, ShareRow},
        trash::ResourceType,
    },
    service::shares::{ShareDetails, people::ShareStatus},
};
use cdn_actors::domain::timestamp::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is shared, in short.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ResourceView {
    File { id: Uuid, filename: String, file_size: i64, mime_type: String, thumbnail_url: Option<String> },
    Folder { id: Uuid, name: String, path: String, files_count: i64 },
}

impl ResourceView {
    pub fn new(base_url: &str, row: &ShareRow, id: Uuid) -> Self {
        match row.kind() {
            ResourceType::File => Self::File {
                id,
                filename: row.thing_name.clone(),
                file_size: row.thing_size.unwrap_or_default(),
                mime_type: row.thing_type.clone().unwrap_or_default(),
                thumbnail_url: picture_url(base_url, row.thing_thumbnail.as_deref()),
            },
            ResourceType::Folder => Self::Folder {
                id,
                name: row.thing_name.clone(),
                path: row.thing_path.clone().unwrap_or_default(),
                files_count: row.thing_files_count.unwrap_or_default(),
            },
        }
    }
}

/// A share for its owner, admins and those it was given to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShareView {
    pub id: Uuid,
    /// `file` or `folder`.
    pub resource_type: &'static str,
    pub resource_id: Uuid,
    pub owner: i64,
    pub owner_detail: ProfileView,
    /// `view`, `download`, `edit` or `admin`.
    pub permission_level: &'static str,
    pub is_public: bool,
    /// For the owner and admins, while the link is on.
    pub public_token: Option<String>,
    pub password_protected: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    pub allow_download: bool,
    pub allow_preview: bool,
    pub download_limit: Option<i64>,
    pub download_count: i64,
    /// Anybody with the link may upload into the folder, and sees nothing of it.
    pub allow_upload: bool,
    pub max_files: Option<i64>,
    /// Bytes of one upload.
    pub max_size: Option<i64>,
    pub uploads_count: i64,
    pub resource_detail: ResourceView,
    pub is_expired: bool,
    /// Whether the link admits a download now.
    pub can_download: bool,
    pub access_logs_count: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl ShareView {
    pub fn new(base_url: &str, share: ShareDetails) -> Self {
        let row = share.row;
        Self {
            id: row.share_id,
            resource_type: row.kind().as_str(),
            resource_id: share.thing,
            owner: row.owner.owner_id,
            owner_detail: (&row.owner).into(),
            permission_level: row.permission().as_str(),
            is_public: row.is_public,
            public_token: share.token,
            password_protected: row.password_hash.is_some(),
            expires_at: row.expires_at.map(Into::into),
            allow_download: row.allow_download,
            allow_preview: row.allow_preview,
            download_limit: row.download_limit,
            download_count: row.download_count,
            allow_upload: row.allow_upload,
            max_files: row.max_files,
            max_size: row.max_size,
            uploads_count: row.uploads_count,
            resource_detail: ResourceView::new(base_url, &row, share.thing),
            is_expired: share.is_expired,
            can_download: row.allow_download && !share.is_expired && !row.is_spent(),
            access_logs_count: row.access_logs_count,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}

/// Somebody a share was given to.
#[derive(Debug, Serialize, ToSchema)]
pub struct SharedUserView {
    pub user_id: i64,
    /// The e-mail address.
    pub username: String,
    pub permission_level: &'static str,
}

impl From<GrantRow> for SharedUserView {
    fn from(grant: GrantRow) -> Self {
        Self { user_id: grant.user_id, permission_level: grant.permission().as_str(), username: grant.email }
    }
}

/// One share of a thing.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShareStatusView {
    pub share_id: Uuid,
    /// The owner's e-mail address.
    pub owner: String,
    pub is_public: bool,
    pub public_token: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    pub password_protected: bool,
    /// By this share.
    pub your_permission: Option<&'static str>,
    pub shared_with: Vec<SharedUserView>,
}

impl From<ShareStatus> for ShareStatusView {
    fn from(status: ShareStatus) -> Self {
        let row = status.share.row;
        Self {
            share_id: row.share_id,
            owner: row.owner.owner_email,
            is_public: row.is_public,
            public_token: status.share.token,
            expires_at: row.expires_at.map(Into::into),
            password_protected: row.password_hash.is_some(),
            your_permission: status.your_permission.map(|permission| permission.as_str()),
            shared_with: status.shared_with.into_iter().map(Into::into).collect(),
        }
    }
}

/// A visit by the link.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessLogView {
    pub id: Uuid,
    pub share: Uuid,
    pub accessed_by_user: Option<i64>,
    pub accessed_by_detail: Option<ProfileView>,
    /// `view`, `download` or `preview`.
    pub access_type: String,
    pub ip_address: Option<String>,
    pub user_agent: String,
    #[schema(value_type = String, format = DateTime)]
    pub accessed_at: Timestamp,
}

impl From<AccessLogRow> for AccessLogView {
    fn from(log: AccessLogRow) -> Self {
        let visitor = log.user_id.map(|id| {
            let email = log.user_email.clone().unwrap_or_default();
            ProfileView {
                id,
                username: email.clone(),
                email,
                full_name: log.user_name.clone().unwrap_or_default(),
                profile_picture: log.user_image.clone(),
            }
        });
        Self {
            id: log.id,
            share: log.share_id,
            accessed_by_user: log.user_id,
            accessed_by_detail: visitor,
            access_type: log.access_type,
            ip_address: log.ip_address,
            user_agent: log.user_agent,
            accessed_at: log.accessed_at.into(),
        }
    }
}
