//! Whose account somebody gets who has signed in at the identity provider: by the provider's subject, and where
//! only the e-mail address fits, by its owner's leave.

use super::ServiceError;
use crate::db::{
    Tx,
    audit::Act,
    identities::Identity,
    users::{Profile, UserRow, UserSpec},
};
use cdn_actors::domain::ids::UserId;
use chrono::{DateTime, Utc};

pub(super) const OTHER_IDENTITY: &str = "This account belongs to somebody else at the identity provider.";

/// Whom a sign-in is for, by the rows.
pub(super) enum Found {
    Linked(UserRow),
    /// An account with the same e-mail address, whose owner has yet to agree.
    Unlinked(UserRow),
}

pub(super) async fn find_or_create(
    tx: &mut Tx,
    identity: &Identity,
    profile: &Profile,
    spec: &UserSpec,
    caller: Option<UserId>,
) -> Result<Found, ServiceError> {
    if let Some(user) = find_linked(tx, identity, profile, spec.now).await? {
        return Ok(Found::Linked(user));
    }
    let Some(user) = tx.find_user_by_email(spec.email.as_str()).await? else {
        let id = tx.insert_user(spec).await?;
        tx.insert_identity(identity, id, spec.now).await?;
        if profile.is_admin {
            note_administrator(tx, id, spec.now).await?;
        }
        let made = tx.find_user(id).await?;
        return made.map(Found::Linked).ok_or(ServiceError::NotFound);
    };
    // Since the first look another sign-in of this person may have made the account, and linked it.
    if let Some(user) = find_linked(tx, identity, profile, spec.now).await? {
        return Ok(Found::Linked(user));
    }
    if caller != Some(user.id()) || !user.is_active {
        return Ok(Found::Unlinked(user));
    }
    tx.insert_identity(identity, user.id(), spec.now).await?;
    refresh(tx, &user, profile, spec.now).await?;
    Ok(Found::Linked(user))
}

async fn find_linked(
    tx: &mut Tx,
    identity: &Identity,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<Option<UserRow>, ServiceError> {
    let found = tx.find_user_by_identity(identity).await?;
    if let Some(user) = &found {
        refresh(tx, user, profile, now).await?;
        tx.touch_identity(identity, now).await?;
    }
    Ok(found)
}

/// Links an identity to an account, unless it is already.
pub(super) async fn link(
    tx: &mut Tx,
    identity: &Identity,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    match tx.find_user_by_identity(identity).await? {
        Some(linked) if linked.id() == user => Ok(()),
        Some(_) => Err(ServiceError::Conflict(OTHER_IDENTITY.into())),
        None => Ok(tx.insert_identity(identity, user, now).await?),
    }
}

async fn refresh(
    tx: &mut Tx,
    user: &UserRow,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    tx.refresh_profile(user, profile, now).await?;
    if profile.is_admin && !user.is_admin {
        note_administrator(tx, user.id(), now).await?;
    }
    Ok(())
}

/// The configured list gives rights to a user, who is on both ends of that.
async fn note_administrator(tx: &mut Tx, user: UserId, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let act = Act {
        event: "administrator_by_configuration",
        actor: user,
        user: Some(user),
        network: String::new(),
        route: "/api/slack/callback",
        details: serde_json::json!({"is_admin": {"from": false, "to": true}}),
        now,
    };
    Ok(tx.record_act(&act).await?)
}
