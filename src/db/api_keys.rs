//! API keys: only their hashes, and a few characters to tell them apart by.

use super::{Db, DbError, Tx, users::UserRow};
use cdn_actors::domain::ids::UserId;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct ApiKeySpec {
    pub id: Uuid,
    pub user: UserId,
    pub name: String,
    pub key_hash: Vec<u8>,
    pub hint: String,
    /// Names in one order, separated by spaces.
    pub scopes: String,
    pub now: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, FromRow)]
pub struct ApiKeyRow {
    pub id: Uuid,
    pub name: String,
    pub hint: String,
    pub scopes: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A valid key with its user.
#[derive(Debug, Clone, FromRow)]
pub struct KeyUserRow {
    pub key_id: Uuid,
    pub key_scopes: String,
    #[sqlx(flatten)]
    pub user: UserRow,
}

impl Db {
    /// The living key of a hash and its user, unless that is disabled.
    pub async fn find_key_user(
        &self,
        key_hash: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<Option<KeyUserRow>, DbError> {
        self.q("SELECT k.id AS key_id, k.scopes AS key_scopes,
                       u.id, u.email, u.name, u.image, u.password_hash, u.tier, u.is_active, u.is_admin
                FROM api_keys k JOIN users u ON u.id = k.user_id
                WHERE k.key_hash = $1 AND (k.expires_at IS NULL OR k.expires_at > $2) AND u.is_active")
            .bind(key_hash)
            .bind(now)
            .opt()
            .await
    }

    /// A user's keys, newest first; their number is bounded.
    pub async fn list_api_keys(&self, user: UserId) -> Result<Vec<ApiKeyRow>, DbError> {
        self.q("SELECT id, name, hint, scopes, created_at, expires_at, last_used_at
                FROM api_keys WHERE user_id = $1 ORDER BY id DESC")
            .bind(user)
            .all()
            .await
    }
}

impl Tx {
    /// How many keys a user has; their number is bounded.
    pub async fn count_api_keys(&mut self, user: UserId) -> Result<i64, DbError> {
        self.q("SELECT COUNT(*) FROM api_keys WHERE user_id = $1").bind(user).scalar().await
    }

    pub async fn insert_api_key(&mut self, key: &ApiKeySpec) -> Result<ApiKeyRow, DbError> {
        self.q("INSERT INTO api_keys (id, user_id, name, key_hash, hint, scopes, created_at, expires_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                RETURNING id, name, hint, scopes, created_at, expires_at, last_used_at")
            .bind(key.id)
            .bind(key.user)
            .bind(&key.name)
            .bind(key.key_hash.clone())
            .bind(&key.hint)
            .bind(&key.scopes)
            .bind(key.now)
            .bind(key.expires_at)
            .one()
            .await
    }

    /// Whether there was such a key of this user's.
    pub async fn delete_api_key(&mut self, user: UserId, id: Uuid) -> Result<bool, DbError> {
        let deleted = self.q("DELETE FROM api_keys WHERE id = $1 AND user_id = $2").bind(id).bind(user);
        Ok(deleted.exec().await? == 1)
    }

    pub async fn delete_api_keys(&mut self, user: UserId) -> Result<u64, DbError> {
        self.q("DELETE FROM api_keys WHERE user_id = $1").bind(user).exec().await
    }

    pub async fn touch_api_key(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
        self.q("UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)")
            .bind(id)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }
}
