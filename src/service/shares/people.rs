//! The people of a share: given, taken back, listed.

use super::{ShareDetails, lock_share, managed_share};
use crate::{
    db::{
        Tx,
        activity::Origin,
        shares::{GrantRow, find_grant, list_grants},
        trash::ResourceType,
    },
    service::{
        ServiceError, Services,
        access::{Access, reach_file, reach_folder},
        act::Act,
    },
};
use cdn_actors::domain::{
    email::Email,
    ids::{FileId, FolderId, ShareId, UserId},
    permission::Permission,
};
use std::collections::HashMap;
use uuid::Uuid;

/// Somebody to be given a share.
#[derive(Debug, Clone)]
pub struct NewGrant {
    pub email: String,
    /// Default: the share's own.
    pub permission: Option<Permission>,
}

/// The same with the user found.
#[derive(Debug, Clone)]
pub(super) struct Recipient {
    pub user: UserId,
    pub email: String,
    pub permission: Option<Permission>,
}

/// A share of one thing as its owner or somebody it was given to sees it.
#[derive(Debug, Clone)]
pub struct ShareStatus {
    pub share: ShareDetails,
    /// By this share; none for whoever it wasn't given to.
    pub your_permission: Option<Permission>,
    /// For owners and admins only.
    pub shared_with: Vec<GrantRow>,
}

/// What adding somebody did.
#[derive(Debug, Clone)]
pub struct Added {
    pub is_new: bool,
    pub email: String,
    pub permission: Permission,
}

impl Services {
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn list_shared_users(&self, user: UserId, id: ShareId) -> Result<Vec<GrantRow>, ServiceError> {
        managed_share(&mut &self.db, &self.viewer(user), id).await?;
        Ok(list_grants(&mut &self.db, id).await?)
    }

    /// Gives a share to somebody, or another level of it.
    ///
    /// # Errors
    /// [`ServiceError::Missing`] for an unknown user; the thing's owner and the caller have it already.
    pub async fn add_shared_user(
        &self,
        origin: &Origin,
        id: ShareId,
        new: NewGrant,
    ) -> Result<Added, ServiceError> {
        let act = self.act(origin);
        // Whoever may not change the share learns nothing about addresses here.
        self.share(origin.user, id).await?;
        let recipients = self.find_recipients(std::slice::from_ref(&new)).await?;
        let work = async move |tx: &mut Tx| {
            let (row, access) = lock_share(tx, &act.viewer, id).await?;
            check_recipients(&act, &access, &recipients)?;
            let [recipient] = recipients.as_slice() else { return Err(ServiceError::NotFound) };
            let permission = recipient.permission.unwrap_or(row.permission());
            let is_new = find_grant(tx, id, recipient.user).await?.is_none();
            tx.put_grant(id, recipient.user, permission, act.now).await?;
            let metadata = serde_json::json!({
                "share": id, "shared_with": [recipient.email], "permission_level": permission.as_str(),
            });
            act.record_share(tx, &row, metadata).await?;
            Ok(Added { is_new, email: recipient.email.clone(), permission })
        };
        self.db.write(work).await
    }

    /// Takes a share back from somebody; it acts on their next request.
    ///
    /// # Errors
    /// Somebody who doesn't have it.
    pub async fn remove_shared_user(
        &self,
        user: UserId,
        id: ShareId,
        email: &str,
    ) -> Result<(), ServiceError> {
        let viewer = self.viewer(user);
        managed_share(&mut &self.db, &viewer, id).await?;
        let has_none = || ServiceError::BadRequest("User doesn't have access to this share!".into());
        let email = Email::parse(email).map_err(|_| has_none())?;
        let found = self.db.find_user_ids(&[email.as_str().to_owned()]).await?;
        let (recipient, _) = found.into_iter().next().ok_or_else(has_none)?;
        let work = async move |tx: &mut Tx| {
            lock_share(tx, &viewer, id).await?;
            Ok::<_, ServiceError>(tx.delete_grant(id, UserId(recipient)).await?)
        };
        if self.db.write(work).await? { Ok(()) } else { Err(has_none()) }
    }

    /// The shares of one thing that the user owns, or those by which the user was given it, oldest first.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a thing that the user may not see.
    pub async fn share_status(
        &self,
        user: UserId,
        kind: ResourceType,
        thing: Uuid,
    ) -> Result<Vec<ShareStatus>, ServiceError> {
        let viewer = self.viewer(user);
        let (thing, access) = match kind {
            ResourceType::File => {
                let reach = reach_file(&mut &self.db, &viewer, FileId(thing)).await?;
                (reach.id.get(), reach.access)
            }
            ResourceType::Folder => {
                let reach = reach_folder(&mut &self.db, &viewer, FolderId(thing)).await?;
                (reach.id.get(), reach.access)
            }
        };
        let rows = self.db.list_shares_of(thing).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.share_id).collect();
        let mut grants: HashMap<Uuid, Vec<GrantRow>> = HashMap::new();
        for grant in self.db.list_grants_of(&ids).await? {
            grants.entry(grant.share_id).or_default().push(grant);
        }
        let is_manager = access.level.permits(Permission::Admin);
        let statuses = rows.into_iter().filter_map(|row| {
            let people = grants.remove(&row.share_id).unwrap_or_default();
            let own = people.iter().find(|grant| grant.user_id == user.get()).map(GrantRow::permission);
            let is_given = own.is_some() && !row.is_expired(viewer.now);
            (is_manager || is_given).then(|| ShareStatus {
                share: self.share_details(&viewer, row, &access),
                your_permission: own,
                shared_with: if is_manager { people } else { Vec::new() },
            })
        });
        Ok(statuses.collect())
    }

    /// # Errors
    /// [`ServiceError::Missing`] when there is no such user.
    pub(super) async fn find_recipients(&self, people: &[NewGrant]) -> Result<Vec<Recipient>, ServiceError> {
        let unknown = || ServiceError::Missing("User not found".into());
        let mut emails = Vec::with_capacity(people.len());
        for person in people {
            emails.push(Email::parse(&person.email).map_err(|_| unknown())?.as_str().to_owned());
        }
        let found: HashMap<String, i64> =
            self.db.find_user_ids(&emails).await?.into_iter().map(|(id, email)| (email, id)).collect();
        let recipients = emails.into_iter().zip(people).map(|(email, person)| {
            let user = found.get(&email).copied().map(UserId).ok_or_else(unknown)?;
            Ok(Recipient { user, email, permission: person.permission })
        });
        recipients.collect()
    }
}

/// The owner has everything already, and a grant that somebody made for themselves would outlive the one by
/// which they came to it.
pub(super) fn check_recipients(
    act: &Act,
    access: &Access,
    recipients: &[Recipient],
) -> Result<(), ServiceError> {
    for recipient in recipients {
        if recipient.user == access.owner {
            return Err(ServiceError::field("user_email", "The owner has every permission already."));
        }
        if recipient.user == act.user() {
            return Err(ServiceError::field("user_email", "This can't be shared with yourself."));
        }
    }
    Ok(())
}
