//! What every change of a user's things knows: who, from where, when, and until when trash is kept.

use super::{ServiceError, Services, access::Viewer, sessions::time_delta};
use crate::db::{
    Tx,
    activity::{Action, Origin},
    trash::{ResourceType, TrashSpec},
};
use cdn_actors::domain::ids::{TrashId, UserId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The circumstances of a change.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub origin: Origin,
    pub viewer: Viewer,
    pub now: DateTime<Utc>,
    /// When what goes into the trash now is purged.
    purge_at: DateTime<Utc>,
}

impl Services {
    pub(super) fn act(&self, origin: &Origin) -> Act {
        let viewer = self.viewer(origin.user);
        let now = viewer.now;
        let purge_at = now + time_delta(self.config.trash.retention.duration());
        Act { origin: origin.clone(), viewer, now, purge_at }
    }
}

impl Act {
    pub fn user(&self) -> UserId {
        self.origin.user
    }

    pub async fn record(
        &self,
        tx: &mut Tx,
        action: Action,
        resource: (ResourceType, Uuid),
        name: &str,
        metadata: serde_json::Value,
    ) -> Result<(), ServiceError> {
        tx.record_activity(&self.origin, action, resource, name, metadata, self.now).await?;
        Ok(())
    }

    /// An item for the trash of the thing's owner, whoever puts it there.
    pub fn trash_item(
        &self,
        owner: UserId,
        resource_type: ResourceType,
        resource: Uuid,
        name: &str,
        path: String,
    ) -> TrashSpec {
        TrashSpec {
            id: TrashId::new(),
            user: owner,
            resource_type,
            resource,
            name: name.to_owned(),
            path,
            deleted_at: self.now,
            permanent_delete_at: self.purge_at,
        }
    }
}
