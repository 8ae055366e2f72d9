//! API keys: credentials for programs, with a part of their user's rights.

use super::{
    ServiceError, Services,
    keys::{random_token, token_hash},
    sightings::Seen,
};
use crate::db::{
    Tx,
    api_keys::{ApiKeyRow, ApiKeySpec},
    users::UserRow,
};
use cdn_actors::domain::ids::UserId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What every key begins with, so that people and scanners of leaked secrets know one when they see it.
pub const PREFIX: &str = "sk_cdn_";
/// Characters of a key that stay to tell it from others: 24 of its 256 random bits.
const HINT_LENGTH: usize = PREFIX.len() + 4;
/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// What a key permits. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// List, see and download.
    Read,
    /// Add files, versions and folders.
    Upload,
    /// Change, share, trash, restore and delete.
    Manage,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Upload, Self::Manage];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Manage => "manage",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// The scopes of a row.
pub fn parse_scopes(text: &str) -> Vec<Scope> {
    text.split(' ').filter_map(Scope::parse).collect()
}

/// A key to be made, as it comes from outside.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Services {
    /// Makes a key; the second value is the key itself, which nobody can read again.
    ///
    /// # Errors
    /// A name or an expiry that can't be, no scope, as many keys as are allowed.
    pub async fn create_api_key(
        &self,
        user: UserId,
        new: NewApiKey,
    ) -> Result<(ApiKeyRow, String), ServiceError> {
        let now = self.clock.now();
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(ServiceError::field(
                "name",
                format!("A name of 1 to {MAX_NAME} characters is required."),
            ));
        }
        let mut scopes = new.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(ServiceError::field("scopes", "At least one scope is required."));
        }
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(ServiceError::field("expires_at", "The expiry must be in the future."));
        }
        let key = format!("{PREFIX}{}", random_token());
        let spec = ApiKeySpec {
            id: Uuid::now_v7(),
            user,
            name,
            key_hash: token_hash(&key),
            hint: key.chars().take(HINT_LENGTH).collect(),
            scopes: scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            now,
            expires_at: new.expires_at,
        };
        let limit = i64::from(self.config.limits.api_keys_per_user);
        let work = async move |tx: &mut Tx| {
            tx.lock_account(user).await?;
            if tx.count_api_keys(user).await? >= limit {
                return Err(ServiceError::Conflict(
                    format!("You have {limit} API keys already; delete one first.").into(),
                ));
            }
            Ok(tx.insert_api_key(&spec).await?)
        };
        Ok((self.db.write(work).await?, key))
    }

    /// # Errors
    /// The database's.
    pub async fn list_api_keys(&self, user: UserId) -> Result<Vec<ApiKeyRow>, ServiceError> {
        Ok(self.db.list_api_keys(user).await?)
    }

    /// # Errors
    /// [`ServiceError::NotFound`], for somebody else's key too.
    pub async fn delete_api_key(&self, user: UserId, id: Uuid) -> Result<(), ServiceError> {
        let work = async move |tx: &mut Tx| {
            tx.lock_account(user).await?;
            if tx.delete_api_key(user, id).await? { Ok(()) } else { Err(ServiceError::NotFound) }
        };
        self.db.write(work).await
    }

    /// The user of a living API key, and what it permits.
    ///
    /// # Errors
    /// The database's; a bad key is `None`.
    pub async fn authenticate_key(&self, key: &str) -> Result<Option<(UserRow, Vec<Scope>)>, ServiceError> {
        let now = self.clock.now();
        let Some(found) = self.db.find_key_user(token_hash(key), now).await? else { return Ok(None) };
        self.see(Seen::ApiKey(found.key_id), now);
        Ok(Some((found.user, parse_scopes(&found.key_scopes))))
    }
}
