//! Who a user is at an identity provider, and what a sign-in there leaves on its way: states and codes.

use super::{Db, DbError, Tx, users::UserRow};
use cdn_actors::domain::ids::UserId;
use chrono::{DateTime, Utc};
use sqlx::FromRow;

/// A person as an issuer knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
}

/// A code to be exchanged for a session.
#[derive(Debug, Clone)]
pub struct AuthCodeSpec {
    pub code_hash: Vec<u8>,
    pub user: UserId,
    /// What the exchange links to the account; its owner has to be signed in then.
    pub link: Option<Identity>,
    pub now: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, Clone, FromRow)]
pub struct AuthCodeRow {
    pub user_id: i64,
    pub issuer: Option<String>,
    pub subject: Option<String>,
}

impl AuthCodeRow {
    pub fn link(&self) -> Option<Identity> {
        Some(Identity { issuer: self.issuer.clone()?, subject: self.subject.clone()? })
    }
}

impl Db {
    pub async fn find_auth_code(
        &self,
        code_hash: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<Option<AuthCodeRow>, DbError> {
        self.q("SELECT user_id, issuer, subject FROM auth_codes WHERE code_hash = $1 AND expires_at > $2")
            .bind(code_hash)
            .bind(now)
            .opt()
            .await
    }
}

impl Tx {
    /// The account of an identity, locked.
    pub async fn find_user_by_identity(&mut self, identity: &Identity) -> Result<Option<UserRow>, DbError> {
        let lock = if self.for_update().is_empty() { "" } else { " FOR UPDATE OF u" };
        self.q_built(format!(
            "SELECT u.id, u.email, u.name, u.image, u.password_hash, u.tier, u.is_active, u.is_admin
             FROM identities i JOIN users u ON u.id = i.user_id WHERE i.issuer = $1 AND i.subject = $2{lock}"
        ))
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .opt()
        .await
    }

    /// # Errors
    /// [`DbError::UniqueViolation`] when the identity or the account is linked already.
    pub async fn insert_identity(
        &mut self,
        identity: &Identity,
        user: UserId,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("INSERT INTO identities (issuer, subject, user_id, created_at, last_used_at) VALUES ($1, $2, $3, $4, $4)")
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .bind(user)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn touch_identity(&mut self, identity: &Identity, now: DateTime<Utc>) -> Result<(), DbError> {
        self.q("UPDATE identities SET last_used_at = $3 WHERE issuer = $1 AND subject = $2")
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    /// Marks a state as used; `false` when it was already.
    pub async fn use_state(
        &mut self,
        state_hash: Vec<u8>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        let inserted = self
            .q("INSERT INTO used_states (state_hash, expires_at) VALUES ($1, $2) ON CONFLICT (state_hash) DO NOTHING")
            .bind(state_hash)
            .bind(expires_at)
            .exec()
            .await?;
        Ok(inserted == 1)
    }

    pub async fn insert_auth_code(&mut self, code: &AuthCodeSpec) -> Result<(), DbError> {
        let link = code.link.clone();
        self.q("INSERT INTO auth_codes (code_hash, user_id, issuer, subject, created_at, expires_at)
                VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(code.code_hash.clone())
            .bind(code.user)
            .bind(link.as_ref().map(|link| link.issuer.clone()))
            .bind(link.map(|link| link.subject))
            .bind(code.now)
            .bind(code.expires_at)
            .exec()
            .await?;
        Ok(())
    }

    /// Takes a living code away and gives what it was for; of several that try, one gets it.
    pub async fn take_auth_code(
        &mut self,
        code_hash: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<Option<AuthCodeRow>, DbError> {
        self.q("DELETE FROM auth_codes WHERE code_hash = $1 AND expires_at > $2 RETURNING user_id, issuer, subject")
            .bind(code_hash)
            .bind(now)
            .opt()
            .await
    }

    /// Removes up to `limit` codes and states that are past their time, of each.
    pub async fn delete_expired_sign_ins(&mut self, now: DateTime<Utc>, limit: u32) -> Result<u64, DbError> {
        let codes = self
            .q("DELETE FROM auth_codes WHERE code_hash IN
                  (SELECT code_hash FROM auth_codes WHERE expires_at <= $1 LIMIT $2)")
            .bind(now)
            .bind(limit)
            .exec()
            .await?;
        let states = self
            .q("DELETE FROM used_states WHERE state_hash IN
                  (SELECT state_hash FROM used_states WHERE expires_at <= $1 LIMIT $2)")
            .bind(now)
            .bind(limit)
            .exec()
            .await?;
        Ok(codes.max(states))
    }
}
