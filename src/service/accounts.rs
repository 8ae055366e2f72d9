//! Users as operators and the server itself make and change them.

use super::{ServiceError, Services};
use crate::db::{
    DbError, Tx,
    users::{UserRow, UserSpec},
};
use cdn_actors::domain::{email::Email, ids::UserId, password};

/// A user to be made, as it comes from outside.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    /// `None`: signs in some other way.
    pub password: Option<String>,
    /// `None`: the configured default.
    pub tier: Option<String>,
    pub is_admin: bool,
}

/// The account that the first start makes.
pub const FIRST_ADMIN_EMAIL: &str = "admin@localhost";

impl Services {
    /// # Errors
    /// A bad address, name, tier or password; an address that is taken.
    pub async fn create_user(&self, user: NewUser) -> Result<UserId, ServiceError> {
        let email = Email::parse(&user.email).map_err(ServiceError::invalid("email"))?;
        let tier = user.tier.unwrap_or_else(|| self.config.quota.default_tier.clone());
        self.check_tier(&tier)?;
        let name =
            if user.name.trim().is_empty() { email.as_str().to_owned() } else { user.name.trim().to_owned() };
        let password_hash = match user.password {
            Some(password) => Some(self.hash_new_password("password", password).await?),
            None => None,
        };
        let (is_admin, now) = (user.is_admin, self.clock.now());
        let spec = UserSpec { email, name, image: None, password_hash, tier, is_admin, now };
        let inserted = self.db.write(async move |tx: &mut Tx| tx.insert_user(&spec).await).await;
        inserted.map_err(|error| match error {
            DbError::UniqueViolation => {
                ServiceError::Conflict("A user with this email address already exists.".into())
            }
            error => error.into(),
        })
    }

    /// Makes the first administrator where there is no user yet; gives the password, which nobody can
    /// read again.
    ///
    /// # Errors
    /// The database's.
    pub async fn create_first_admin(&self) -> Result<Option<String>, ServiceError> {
        if self.db.has_users().await? {
            return Ok(None);
        }
        let password = super::generate_password();
        let user = NewUser {
            email: FIRST_ADMIN_EMAIL.into(),
            name: "Administrator".into(),
            password: Some(password.clone()),
            tier: None,
            is_admin: true,
        };
        match self.create_user(user).await {
            Ok(_) => Ok(Some(password)),
            // Another process of the same database was faster.
            Err(ServiceError::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn find_user_by_email(&self, email: &str) -> Result<UserRow, ServiceError> {
        let email = Email::parse(email).map_err(ServiceError::invalid("email"))?;
        self.db.find_user_by_email(email.as_str()).await?.ok_or(ServiceError::NotFound)
    }

    /// Sets a password as the operator does: without the old one, and ending all sessions.
    ///
    /// # Errors
    /// A weak password.
    pub async fn force_password(&self, user: UserId, password: String) -> Result<(), ServiceError> {
        let hash = self.hash_new_password("password", password).await?;
        self.store_password(user, hash, None).await
    }

    /// # Errors
    /// An unknown tier.
    pub async fn set_tier(&self, user: UserId, tier: String) -> Result<(), ServiceError> {
        self.check_tier(&tier)?;
        let now = self.clock.now();
        Ok(self.db.write(async move |tx: &mut Tx| tx.set_tier(user, &tier, now).await).await?)
    }

    /// Disables a user, ending all sessions at once, or lets them in again.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_active(&self, user: UserId, is_active: bool) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            tx.set_active(user, is_active, now).await?;
            if is_active { Ok(()) } else { tx.end_sessions(user, None).await }
        };
        Ok(self.db.write(work).await?)
    }

    pub(super) async fn hash_new_password(
        &self,
        field: &'static str,
        password: String,
    ) -> Result<String, ServiceError> {
        password::check_strength(&password).map_err(ServiceError::invalid(field))?;
        self.passwords.hash(password).await
    }

    pub(super) async fn store_password(
        &self,
        user: UserId,
        hash: String,
        keep: Option<cdn_actors::domain::ids::SessionId>,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            tx.set_password_hash(user, &hash, now).await?;
            tx.end_sessions(user, keep).await
        };
        Ok(self.db.write(work).await?)
    }

    pub(super) fn check_tier(&self, tier: &str) -> Result<(), ServiceError> {
        if self.config.quota.tiers.contains_key(tier) {
            return Ok(());
        }
        let known: Vec<_> = self.config.quota.tiers.keys().map(String::as_str).collect();
        Err(ServiceError::field(
            "tier",
            format!("There is no tier {tier:?}; there are: {}.", known.join(", ")),
        ))
    }
}
