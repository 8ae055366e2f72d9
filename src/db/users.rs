//! Users, and the one account row that every change of their storage locks first.

use super::{Db, DbError, Tx};
use cdn_actors::domain::{email::Email, filename::fold_case, ids::UserId};
use chrono::{DateTime, Utc};
use sqlx::FromRow;

#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    pub id: i64,
    pub email: String,
    pub name: String,
    pub image: Option<String>,
    pub password_hash: Option<String>,
    pub tier: String,
    pub is_active: bool,
    pub is_admin: bool,
}

impl UserRow {
    pub fn id(&self) -> UserId {
        UserId(self.id)
    }
}

/// The columns of a user that a view of their things shows.
#[derive(Debug, Clone, FromRow)]
pub struct OwnerRow {
    pub owner_id: i64,
    pub owner_email: String,
    pub owner_name: String,
    pub owner_image: Option<String>,
}

/// The `OwnerRow` columns of `users o`.
macro_rules! owner_columns {
    () => {
        "o.id AS owner_id, o.email AS owner_email, o.name AS owner_name, o.image AS owner_image"
    };
}
pub(super) use owner_columns;

#[derive(Debug, Clone, FromRow)]
pub struct AccountRow {
    pub storage_used: i64,
    pub storage_reserved: i64,
    pub files_count: i64,
    pub folders_count: i64,
    pub trash_count: i64,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct UserSpec {
    pub email: Email,
    pub name: String,
    pub image: Option<String>,
    pub password_hash: Option<String>,
    pub tier: String,
    pub is_admin: bool,
    pub now: DateTime<Utc>,
}

/// What an identity provider says of a user.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: Option<String>,
    pub image: Option<String>,
    pub is_admin: bool,
}

/// What administrators search.
fn search_name(email: &str, name: &str) -> String {
    fold_case(&format!("{email} {name}"))
}

const USER: &str = "SELECT id, email, name, image, password_hash, tier, is_active, is_admin FROM users";

impl Db {
    pub async fn find_user_by_email(&self, email: &str) -> Result<Option<UserRow>, DbError> {
        self.q_built(format!("{USER} WHERE email = $1")).bind(email).opt().await
    }

    pub async fn find_user(&self, id: UserId) -> Result<Option<UserRow>, DbError> {
        self.q_built(format!("{USER} WHERE id = $1")).bind(id).opt().await
    }

    pub async fn list_users(&self) -> Result<Vec<UserRow>, DbError> {
        self.q_built(format!("{USER} ORDER BY id")).all().await
    }

    pub async fn has_users(&self) -> Result<bool, DbError> {
        Ok(self.q("SELECT id FROM users LIMIT 1").opt::<(i64,)>().await?.is_some())
    }

    pub async fn account(&self, user: UserId) -> Result<AccountRow, DbError> {
        self.q("SELECT storage_used, storage_reserved, files_count, folders_count, trash_count FROM accounts WHERE user_id = $1")
            .bind(user)
            .one()
            .await
    }
}

impl Tx {
    /// # Errors
    /// [`DbError::UniqueViolation`] when the address is taken.
    pub async fn insert_user(&mut self, user: &UserSpec) -> Result<UserId, DbError> {
        let id: i64 = self
            .q("INSERT INTO users (email, name, password_hash, tier, is_admin, created_at, updated_at, image, search_name)
                VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8) RETURNING id")
            .bind(user.email.as_str())
            .bind(&user.name)
            .bind(user.password_hash.clone())
            .bind(&user.tier)
            .bind(user.is_admin)
            .bind(user.now)
            .bind(user.image.clone())
            .bind(search_name(user.email.as_str(), &user.name))
            .scalar()
            .await?;
        self.q("INSERT INTO accounts (user_id) VALUES ($1)").bind(id).exec().await?;
        self.add_to_site_total("users", 1).await?;
        Ok(UserId(id))
    }

    /// Takes over what an identity provider says of a user. What it leaves out stays, and rights are only
    /// ever given.
    pub async fn refresh_profile(
        &mut self,
        user: &UserRow,
        profile: &Profile,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let name = profile.name.as_ref().unwrap_or(&user.name);
        self.q("UPDATE users SET name = $2, image = $3, is_admin = $4, search_name = $5, updated_at = $6 WHERE id = $1")
            .bind(user.id())
            .bind(name)
            .bind(profile.image.clone().or_else(|| user.image.clone()))
            .bind(profile.is_admin || user.is_admin)
            .bind(search_name(&user.email, name))
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn find_user_by_email(&mut self, email: &str) -> Result<Option<UserRow>, DbError> {
        let lock = self.for_update();
        self.q_built(format!("{USER} WHERE email = $1{lock}")).bind(email).opt().await
    }

    pub async fn find_user(&mut self, id: UserId) -> Result<Option<UserRow>, DbError> {
        let lock = self.for_update();
        self.q_built(format!("{USER} WHERE id = $1{lock}")).bind(id).opt().await
    }

    pub async fn set_password_hash(
        &mut self,
        user: UserId,
        hash: &str,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1")
            .bind(user)
            .bind(hash)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    pub async fn set_tier(&mut self, user: UserId, tier: &str, now: DateTime<Utc>) -> Result<(), DbError> {
        self.q("UPDATE users SET tier = $2, updated_at = $3 WHERE id = $1")
            .bind(user)
            .bind(tier)
            .bind(now)
            .exec()
            .await?;
        self.record_quota_event(user, now).await
    }

    pub async fn set_active(
        &mut self,
        user: UserId,
        is_active: bool,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        self.q("UPDATE users SET is_active = $2, updated_at = $3 WHERE id = $1")
            .bind(user)
            .bind(is_active)
            .bind(now)
            .exec()
            .await?;
        Ok(())
    }

    /// Takes the user's account row: changes of one user's tree and storage run one after the other.
    pub async fn lock_account(&mut self, user: UserId) -> Result<AccountRow, DbError> {
        let lock = self.for_update();
        self.q_built(format!(
            "SELECT storage_used, storage_reserved, files_count, folders_count, trash_count FROM accounts WHERE user_id = $1{lock}"
        ))
        .bind(user)
        .one()
        .await
    }
}
