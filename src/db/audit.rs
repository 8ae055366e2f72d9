//! The audit: what was refused, summed by minute, and what administrators did. Rows are added and, when
//! they are old or too many, removed; nothing changes them.

use super::{Db, DbError, Tx, Value};
use cdn_actors::domain::{ids::UserId, page::Page};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// Which half of the audit a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditKind {
    Refusal,
    Act,
}

impl AuditKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Act => "act",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Refusal, Self::Act].into_iter().find(|kind| kind.as_str() == text)
    }

    /// The name of its counter.
    fn total(self) -> &'static str {
        match self {
            Self::Refusal => "audit_refusal",
            Self::Act => "audit_act",
        }
    }
}

/// What refusals of one minute are summed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefusalKey {
    pub minute: DateTime<Utc>,
    pub event: &'static str,
    /// The client's network, or "" for all that were too many to be told apart.
    pub network: String,
    /// The pattern of the route.
    pub route: String,
}

/// Something an administrator did.
#[derive(Debug, Clone)]
pub struct Act {
    pub event: &'static str,
    pub actor: UserId,
    /// Whom it was done to.
    pub user: Option<UserId>,
    pub network: String,
    pub route: &'static str,
    pub details: serde_json::Value,
    pub now: DateTime<Utc>,
}

#[derive(Debug, Clone, FromRow)]
pub struct AuditRow {
    pub id: Uuid,
    pub kind: String,
    pub event: String,
    pub actor_id: Option<i64>,
    pub user_id: Option<i64>,
    pub network: String,
    pub route: String,
    pub times: i64,
    pub details: sqlx::types::Json<serde_json::Value>,
    pub created_at: DateTime<Utc>,
}

/// What a page of the audit is filtered by.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub kind: Option<AuditKind>,
    pub event: Option<String>,
    pub user: Option<UserId>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

impl AuditFilter {
    fn conditions(&self, values: &mut Vec<Value>) -> String {
        let mut sql = String::from("seq > 0");
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {}", condition.replace('?', &format!("${}", values.len()))));
        };
        if let Some(kind) = self.kind {
            add("kind = ?", kind.as_str().into());
        }
        if let Some(event) = &self.event {
            add("event = ?", event.into());
        }
        if let Some(user) = self.user {
            add("(user_id = ? OR actor_id = ?)", user.into());
        }
        if let Some(since) = self.since {
            add("created_at >= ?", since.into());
        }
        if let Some(until) = self.until {
            add("created_at <= ?", until.into());
        }
        sql
    }

    /// Whether the kept totals answer how many rows it lets through.
    fn is_counted(&self) -> bool {
        self.event.is_none() && self.user.is_none() && self.since.is_none() && self.until.is_none()
    }
}

impl Db {
    /// The audit, newest first.
    pub async fn list_audit(&self, filter: &AuditFilter, page: Page) -> Result<Vec<AuditRow>, DbError> {
        let mut values = Vec::new();
        let conditions = filter.conditions(&mut values);
        let (limit, offset) = (values.len() + 1, values.len() + 2);
        self.q_built(format!(
            "SELECT id, kind, event, actor_id, user_id, network, route, times, details, created_at
             FROM audit WHERE {conditions} ORDER BY seq DESC LIMIT ${limit} OFFSET ${offset}"
        ))
        .bind_all(values)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    pub async fn count_audit(&self, filter: &AuditFilter) -> Result<i64, DbError> {
        if filter.is_counted() {
            let names = match filter.kind {
                Some(kind) => [kind.total(); 2],
                None => [AuditKind::Refusal.total(), AuditKind::Act.total()],
            };
            return self
                .q("SELECT CAST(COALESCE(SUM(total), 0) AS BIGINT) FROM site_totals WHERE name IN ($1, $2)")
                .bind_all(names)
                .scalar()
                .await;
        }
        let mut values = Vec::new();
        let conditions = filter.conditions(&mut values);
        self.q_built(format!("SELECT COUNT(*) FROM audit WHERE {conditions}")).bind_all(values).scalar().await
    }
}

impl Tx {
    /// Adds refusals of one minute; gives how many rows are new (0 or 1).
    pub async fn add_refusals(&mut self, key: &RefusalKey, times: i64) -> Result<i64, DbError> {
        let sum: i64 = self
            .q("INSERT INTO audit (id, kind, event, network, route, times, details, created_at)
                VALUES ($1, 'refusal', $2, $3, $4, $5, $6, $7)
                ON CONFLICT (created_at, event, network, route) WHERE kind = 'refusal'
                DO UPDATE SET times = audit.times + excluded.times RETURNING times")
            .bind(Uuid::now_v7())
            .bind(key.event)
            .bind(&key.network)
            .bind(&key.route)
            .bind(times)
            .bind(serde_json::json!({}))
            .bind(key.minute)
            .scalar()
            .await?;
        // A row that was there had at least one.
        Ok(i64::from(sum == times))
    }

    pub async fn record_act(&mut self, act: &Act) -> Result<(), DbError> {
        self.q("INSERT INTO audit (id, kind, event, actor_id, user_id, network, route, times, details, created_at)
                VALUES ($1, 'act', $2, $3, $4, $5, $6, 1, $7, $8)")
            .bind(Uuid::now_v7())
            .bind(act.event)
            .bind(act.actor)
            .bind(act.user)
            .bind(&act.network)
            .bind(act.route)
            .bind(act.details.clone())
            .bind(act.now)
            .exec()
            .await?;
        self.count_audit_rows(AuditKind::Act, 1).await
    }

    pub async fn count_audit_rows(&mut self, kind: AuditKind, by: i64) -> Result<(), DbError> {
        self.add_to_site_total(kind.total(), by).await
    }

    pub(super) async fn add_to_site_total(&mut self, name: &'static str, by: i64) -> Result<(), DbError> {
        self.q("UPDATE site_totals SET total = total + $2 WHERE name = $1")
            .bind(name)
            .bind(by)
            .exec()
            .await?;
        Ok(())
    }

    /// Removes up to `limit` rows of a kind from before a time, and, of refusals, the oldest that are more
    /// than `keep`.
    pub async fn trim_audit(
        &mut self,
        kind: AuditKind,
        before: DateTime<Utc>,
        keep: Option<u32>,
        limit: u32,
    ) -> Result<u64, DbError> {
        let mut removed = self
            .q("DELETE FROM audit WHERE kind = $1 AND seq IN
                  (SELECT seq FROM audit WHERE kind = $1 AND created_at < $2 ORDER BY seq LIMIT $3)")
            .bind(kind.as_str())
            .bind(before)
            .bind(limit)
            .exec()
            .await?;
        if let Some(keep) = keep {
            let total: i64 =
                self.q("SELECT total FROM site_totals WHERE name = $1").bind(kind.total()).scalar().await?;
            let excess = total - i64::try_from(removed).unwrap_or(i64::MAX) - i64::from(keep);
            if excess > 0 {
                removed += self
                    .q("DELETE FROM audit WHERE kind = $1 AND seq IN
                          (SELECT seq FROM audit WHERE kind = $1 ORDER BY seq LIMIT $2)")
                    .bind(kind.as_str())
                    .bind(excess.min(i64::from(limit)))
                    .exec()
                    .await?;
            }
        }
        if removed > 0 {
            self.count_audit_rows(kind, -i64::try_from(removed).unwrap_or(i64::MAX)).await?;
        }
        Ok(removed)
    }
}
