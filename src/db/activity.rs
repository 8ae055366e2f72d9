//! What users did, one row an action, written in the transaction of the action.

use super::{
    Db, DbError, Tx, Value,
    events::Event,
    trash::ResourceType,
    users::{OwnerRow, owner_columns},
};
use cdn_actors::domain::{
    ids::{ActivityId, UserId},
    page::Page,
};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
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

#[derive(Debug, Clone, FromRow)]
pub struct ActivityRow {
    pub id: Uuid,
    pub action_type: String,
    pub resource_type: Option<String>,
    pub resource_id: Option<Uuid>,
    pub resource_name: String,
    pub metadata: sqlx::types::Json<serde_json::Value>,
    pub ip_address: Option<String>,
    pub user_agent: String,
    pub created_at: DateTime<Utc>,
    #[sqlx(flatten)]
    pub owner: OwnerRow,
}

/// What a list of activity is filtered by; times both included.
#[derive(Debug, Clone, Default)]
pub struct ActivityFilter {
    pub action: Option<Action>,
    pub resource_type: Option<ResourceType>,
    pub resource: Option<Uuid>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

impl ActivityFilter {
    fn conditions(&self, values: &mut Vec<Value>) -> String {
        let mut sql = String::from("a.user_id = $1");
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ${}", values.len()));
        };
        if let Some(action) = self.action {
            add("a.action_type =", action.as_str().into());
        }
        if let Some(resource_type) = self.resource_type {
            add("a.resource_type =", resource_type.as_str().into());
        }
        if let Some(resource) = self.resource {
            add("a.resource_id =", resource.into());
        }
        if let Some(since) = self.since {
            add("a.created_at >=", since.into());
        }
        if let Some(until) = self.until {
            add("a.created_at <=", until.into());
        }
        sql
    }

    /// Whether the kept totals answer how many rows it lets through.
    fn is_counted(&self) -> bool {
        self.resource_type.is_none()
            && self.resource.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }
}

impl Db {
    /// A user's activity, newest first.
    pub async fn list_activity(
        &self,
        user: UserId,
        filter: &ActivityFilter,
        page: Page,
    ) -> Result<Vec<ActivityRow>, DbError> {
        let mut values = vec![Value::from(user)];
        let conditions = filter.conditions(&mut values);
        let (limit, offset) = (values.len() + 1, values.len() + 2);
        let owner = owner_columns!();
        self.q_built(format!(
            "SELECT a.id, a.action_type, a.resource_type, a.resource_id, a.resource_name, a.metadata, a.ip_address,
                    a.user_agent, a.created_at, {owner}
             FROM activity a JOIN users o ON o.id = a.user_id
             WHERE {conditions} ORDER BY a.created_at DESC, a.id DESC LIMIT ${limit} OFFSET ${offset}"
        ))
        .bind_all(values)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    pub async fn count_activity(&self, user: UserId, filter: &ActivityFilter) -> Result<i64, DbError> {
        if filter.is_counted() {
            return self
                .q("SELECT CAST(COALESCE(SUM(total), 0) AS BIGINT) FROM activity_totals
                    WHERE user_id = $1 AND action_type = COALESCE($2, action_type)")
                .bind(user)
                .bind(filter.action.map(Action::as_str))
                .scalar()
                .await;
        }
        let mut values = vec![Value::from(user)];
        let conditions = filter.conditions(&mut values);
        self.q_built(format!("SELECT COUNT(*) FROM activity a WHERE {conditions}"))
            .bind_all(values)
            .scalar()
            .await
    }
}

impl Tx {
    /// Writes what was done, and tells those who listen for the thing's owner.
    pub async fn record_activity(
        &mut self,
        origin: &Origin,
        action: Action,
        resource: impl Into<Option<(ResourceType, Uuid)>>,
        name: &str,
        metadata: serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<ActivityId, DbError> {
        let (id, resource) = (ActivityId::new(), resource.into());
        if let Some(resource) = resource
            && let Some(event) = Event::of_action(action, resource, name, &metadata)
        {
            self.record_event_of(resource, &event, now).await?;
        }
        let (resource_type, resource_id) = resource.unzip();
        self.q("INSERT INTO activity (id, user_id, action_type, resource_type, resource_id, resource_name, metadata,
                    ip_address, user_agent, created_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(id)
            .bind(origin.user)
            .bind(action.as_str())
            .bind(resource_type.map(ResourceType::as_str))
            .bind(resource_id)
            .bind(name)
            .bind(metadata)
            .bind(origin.ip_address.clone())
            .bind(&origin.user_agent)
            .bind(now)
            .exec()
            .await?;
        self.q("INSERT INTO activity_totals (user_id, action_type, total) VALUES ($1, $2, 1)
                ON CONFLICT (user_id, action_type) DO UPDATE SET total = activity_totals.total + 1")
            .bind(origin.user)
            .bind(action.as_str())
            .exec()
            .await?;
        Ok(id)
    }

    /// Writes what became known after the fact. The row may be gone by then, with its user.
    pub async fn amend_activity(
        &mut self,
        activity: ActivityId,
        metadata: serde_json::Value,
    ) -> Result<(), DbError> {
        self.q("UPDATE activity SET metadata = $2 WHERE id = $1")
            .bind(activity)
            .bind(metadata)
            .exec()
            .await?;
        Ok(())
    }
}
