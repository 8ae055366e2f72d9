//! Sign-in sessions and their rotating refresh tokens. A session that is over has no row.

use super::{Db, DbError, Tx};
use crate::db::users::UserRow;
use cdn_actors::domain::ids::{SessionId, UserId};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// A session to be started.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    pub id: SessionId,
    pub user: UserId,
    pub user_agent: String,
    pub ip_address: Option<String>,
    pub now: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, Clone, FromRow)]
pub struct RefreshTokenRow {
    pub session_id: Uuid,
    pub user_id: i64,
    pub used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub is_active: bool,
}

#[derive(Debug, Clone, FromRow)]
pub struct SessionRow {
    pub id: Uuid,
    pub user_agent: String,
    pub ip_address: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

impl Db {
    /// A user's living sessions, the last seen first, up to `limit`.
    pub async fn list_sessions(
        &self,
        user: UserId,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, DbError> {
        self.q("SELECT id, user_agent, ip_address, created_at, last_seen_at, expires_at FROM sessions
                WHERE user_id = $1 AND expires_at > $2 ORDER BY last_seen_at DESC, id DESC LIMIT $3")
            .bind(user)
            .bind(now)
            .bind(limit)
            .all()
            .await
    }

    /// The user of a living session.
    pub async fn find_session_user(
        &self,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<UserRow>, DbError> {
        self.q("SELECT u.id, u.email, u.name, u.image, u.password_hash, u.tier, u.is_active, u.is_admin
                FROM sessions s JOIN users u ON u.id = s.user_id
                WHERE s.id = $1 AND s.expires_at > $2 AND u.is_active")
            .bind(session)
            .bind(now)
            .opt()
            .await
    }
}

impl Tx {
    pub async fn insert_session(&mut self, session: &SessionSpec) -> Result<(), DbError> {
        self.q(
            "INSERT INTO sessions (id, user_id, user_agent, ip_address, created_at, last_seen_at, expires_at)
                VALUES ($1, $2, $3, $4, $5, $5, $6)",
        )
        .bind(session.id)
        .bind(session.user)
        .bind(&session.user_agent)
        .bind(session.ip_address.clone())
        .bind(session.now)
        .bind(session.expires_at)
        .exec()
        .await?;
        Ok(())
    }

    /// Adds a refresh token; the same token twice is one token.
    pub async fn insert_refresh_token(
        &mut self,
        hash: Vec<u8>,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO refresh_tokens (token_hash, session_id, created_at) VALUES ($1, $2, $3)
                ON CONFLICT (token_hash) DO NOTHING")
            .bind(hash)
            .bind(session)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn find_refresh_token(&mut self, hash: Vec<u8>) -> Result<Option<RefreshTokenRow>, DbError> {
        let lock = if self.for_update().is_empty() { "" } else { " FOR UPDATE OF t" };
        self.q_built(format!(
            "SELECT t.session_id, s.user_id, t.used_at, s.expires_at, u.is_active
             FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
             WHERE t.token_hash = $1{lock}"
        ))
        .bind(hash)
        .opt()
        .await
    }

    pub async fn mark_refresh_token_used(
        &mut self,
        hash: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE refresh_tokens SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL")
            .bind(hash)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn extend_session(
        &mut self,
        session: SessionId,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1")
            .bind(session)
            .bind(now)
            .bind(expires_at)
            .exec()
            .await?;
        Ok(())
    }

    /// Ends a session if it is this user's; whether it was.
    pub async fn end_session_of(&mut self, user: UserId, session: SessionId) -> Result<bool, DbError> {
        let ended = self.q("DELETE FROM sessions WHERE id = $1 AND user_id = $2").bind(session).bind(user);
        Ok(ended.exec().await? == 1)
    }

    pub async fn touch_session(&mut self, session: SessionId, now: DateTime<Utc>) -> Result<(), DbError> {
        self.q("UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2")
            .bind(session)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn end_session(&mut self, session: SessionId) -> Result<(), DbError> {
        self.q("DELETE FROM sessions WHERE id = $1").bind(session).exec().await?;
        Ok(())
    }

    /// Ends all of a user's sessions but the one to keep.
    pub async fn end_sessions(&mut self, user: UserId, keep: Option<SessionId>) -> Result<(), DbError> {
        match keep {
            Some(keep) => {
                self.q("DELETE FROM sessions WHERE user_id = $1 AND id <> $2")
                    .bind(user)
                    .bind(keep)
                    .exec()
                    .await?
            }
            None => self.q("DELETE FROM sessions WHERE user_id = $1").bind(user).exec().await?,
        };
        Ok(())
    }

    /// Removes up to `limit` sessions that are past their time.
    pub async fn delete_expired_sessions(&mut self, now: DateTime<Utc>, limit: u32) -> Result<u64, DbError> {
        self.q("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= $1 LIMIT $2)")
            .bind(now)
            .bind(limit)
            .exec()
            .await
    }
}
