//! What users did, one row an action, written in the transaction of the action.

use super::{DbError, Tx, trash::ResourceType};
use cdn_actors::domain::ids::{ActivityId, UserId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Upload,
    Download,
    View,
    Share,
    Delete,
    Restore,
    Move,
    Rename,
    Copy,
}

impl Action {
    pub const ALL: [Self; 9] = [
        Self::Upload,
        Self::Download,
        Self::View,
        Self::Share,
        Self::Delete,
        Self::Restore,
        Self::Move,
        Self::Rename,
        Self::Copy,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::View => "view",
            Self::Share => "share",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Move => "move",
            Self::Rename => "rename",
            Self::Copy => "copy",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// Who asks, and from where.
#[derive(Debug, Clone)]
pub struct Origin {
    pub user: UserId,
    pub ip_address: Option<String>,
    pub user_agent: String,
}

impl Tx {
    pub async fn record_activity(
        &mut self,
        origin: &Origin,
        action: Action,
        resource: (ResourceType, Uuid),
        name: &str,
        metadata: serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO activity (id, user_id, action_type, resource_type, resource_id, resource_name, metadata,
                    ip_address, user_agent, created_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(ActivityId::new())
            .bind(origin.user)
            .bind(action.as_str())
            .bind(resource.0.as_str())
            .bind(resource.1)
            .bind(name)
            .bind(metadata)
            .bind(origin.ip_address.clone())
            .bind(&origin.user_agent)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }
}
