//! Shares: made, shown, changed and ended by the owner of a thing and by those it was given to as `admin`.

mod gate;
pub mod links;
pub mod people;
mod requests;

pub(super) use gate::DbGate;
pub use people::NewGrant;
pub use requests::{ReceivedFile, hide_usage};

use super::{
    ServiceError, Services,
    access::{self, Access, Viewer, lock_folder, reach_file, reach_folder},
    act::Act,
    keys::token_hash,
    renditions::private_picture_path,
};
use crate::db::{
    Tx,
    access::Read,
    activity::{Action, Origin},
    share_links::AccessLogRow,
    shares::{ShareRow, ShareSettings, find_grant, find_share},
    trash::ResourceType,
};
use cdn_actors::domain::{
    ids::{FileId, FolderId, ShareId, UserId},
    page::Page,
    permission::Permission,
};
use chrono::{DateTime, Utc};
use people::{Recipient, check_recipients};
use uuid::Uuid;

/// A share as somebody may see it.
#[derive(Debug, Clone)]
pub struct ShareDetails {
    pub row: ShareRow,
    /// For owners and admins of the thing, while the link is on.
    pub token: Option<String>,
    /// The thing's id as the caller may use it.
    pub thing: Uuid,
    pub is_expired: bool,
}

/// What a client wants of a share; `None` leaves it, an inner `None` clears it.
#[derive(Debug, Clone, Default)]
pub struct ShareChange {
    pub permission: Option<Permission>,
    pub is_public: Option<bool>,
    pub expires_at: Option<Option<DateTime<Utc>>>,
    pub allow_download: Option<bool>,
    pub allow_preview: Option<bool>,
    pub download_limit: Option<Option<i64>>,
    pub password: Option<Option<String>>,
    pub rotate_token: bool,
    pub allow_upload: Option<bool>,
    pub max_files: Option<Option<i64>>,
    pub max_size: Option<Option<i64>>,
}

/// A share to be made.
#[derive(Debug, Clone)]
pub struct NewShare {
    pub kind: ResourceType,
    pub thing: Uuid,
    pub settings: ShareChange,
    pub people: Vec<NewGrant>,
}

/// A token's secret half and the hash it is looked up by.
type Token = (Vec<u8>, Vec<u8>);

impl Services {
    /// Shares a thing.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a thing that the caller may not share on, [`ServiceError::Missing`] for
    /// an unknown user, a time that is over. Then nothing is made.
    pub async fn create_share(&self, origin: &Origin, new: NewShare) -> Result<ShareDetails, ServiceError> {
        let act = self.act(origin);
        let id = ShareId::new();
        let recipients = self.find_recipients(&new.people).await?;
        let password_hash = self.hash_share_password(&new.settings).await?;
        let token = self.new_token();
        let settings = settings_of(&new.settings, None, password_hash, token, act.now)?;
        let NewShare { kind, thing, .. } = new;
        let work = async move |tx: &mut Tx| {
            let (thing, access) = lock_thing(tx, &act.viewer, kind, thing).await?;
            check_kind(kind, &settings)?;
            check_recipients(&act, &access, &recipients)?;
            tx.insert_share(id, (access.owner, act.user()), (kind, thing), &settings, act.now).await?;
            for Recipient { user, permission, .. } in &recipients {
                tx.put_grant(id, *user, permission.unwrap_or(settings.level), act.now).await?;
            }
            let row = find_share(tx, id).await?.ok_or(ServiceError::NotFound)?;
            let people: Vec<&str> = recipients.iter().map(|recipient| recipient.email.as_str()).collect();
            let metadata =
                serde_json::json!({"share": id, "is_public": settings.is_public, "shared_with": people});
            act.record(tx, Action::Share, (kind, thing), &row.thing_name, metadata).await?;
            Ok::<_, ServiceError>((row, access))
        };
        let (row, access) = self.db.write(work).await?;
        Ok(self.share_details(&self.viewer(origin.user), row, &access))
    }

    /// What the user shares and was given, newest first, and how many these are.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_shares(
        &self,
        user: UserId,
        page: Page,
    ) -> Result<(i64, Vec<ShareDetails>), ServiceError> {
        let viewer = self.viewer(user);
        let count = self.db.count_shares(user, viewer.now).await?;
        let rows = self.db.list_shares(user, viewer.now, page).await?;
        let accesses = self.accesses_of_shares(&viewer, &rows).await?;
        let details = rows.into_iter().filter_map(|row| {
            let access = accesses.get(&row.thing()).copied()?;
            Some(self.share_details(&viewer, row, &access))
        });
        Ok((count, details.collect()))
    }

    /// One share, for those who may change it.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn share(&self, user: UserId, id: ShareId) -> Result<ShareDetails, ServiceError> {
        let viewer = self.viewer(user);
        let (row, access) = managed_share(&mut &self.db, &viewer, id).await?;
        Ok(self.share_details(&viewer, row, &access))
    }

    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`], a time that is over.
    pub async fn change_share(
        &self,
        origin: &Origin,
        id: ShareId,
        change: ShareChange,
    ) -> Result<ShareDetails, ServiceError> {
        let act = self.act(origin);
        // Not for everybody who asks: a hash takes a core for a moment.
        self.share(origin.user, id).await?;
        let password_hash = self.hash_share_password(&change).await?;
        let token = self.new_token();
        let work = async move |tx: &mut Tx| {
            let (row, access) = lock_share(tx, &act.viewer, id).await?;
            let is_limited_anew = change.download_limit.is_some_and(|limit| limit != row.download_limit);
            let settings = settings_of(&change, Some(&row), password_hash.clone(), token.clone(), act.now)?;
            check_kind(row.kind(), &settings)?;
            tx.update_share(id, &settings, is_limited_anew, act.now).await?;
            let row = find_share(tx, id).await?.ok_or(ServiceError::NotFound)?;
            Ok::<_, ServiceError>((row, access))
        };
        let (row, access) = self.db.write(work).await?;
        Ok(self.share_details(&self.viewer(origin.user), row, &access))
    }

    /// Ends a share for everybody.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn delete_share(&self, user: UserId, id: ShareId) -> Result<(), ServiceError> {
        let viewer = self.viewer(user);
        let work = async move |tx: &mut Tx| {
            lock_share(tx, &viewer, id).await?;
            Ok::<_, ServiceError>(tx.delete_share(id).await?)
        };
        self.db.write(work).await
    }

    /// Who came by the link, newest first, and how many visits there were.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Forbidden`].
    pub async fn list_access_logs(
        &self,
        user: UserId,
        id: ShareId,
        page: Page,
    ) -> Result<(i64, Vec<AccessLogRow>), ServiceError> {
        let (row, _) = managed_share(&mut &self.db, &self.viewer(user), id).await?;
        Ok((row.access_logs_count, self.db.list_access_logs(id, page).await?))
    }

    fn share_details(&self, viewer: &Viewer, mut row: ShareRow, access: &Access) -> ShareDetails {
        let token = self.token_of(&row).filter(|_| access.level.permits(Permission::Admin));
        let thing = match row.kind() {
            ResourceType::File => viewer.shown_id(row.thing(), access),
            ResourceType::Folder => row.thing(),
        };
        if thing != row.thing() {
            row.thing_thumbnail = row.thing_thumbnail.map(|path| private_picture_path(&path, thing));
        }
        row.thing_path = row.thing_path.map(|path| access.shown_path(&path));
        ShareDetails { is_expired: row.is_expired(viewer.now), token, thing, row }
    }

    /// The token of a link that is on. `None` also when the server has another secret than when it was made:
    /// the old link still works, but nobody can tell it any more; rotating it makes one that can be told.
    fn token_of(&self, row: &ShareRow) -> Option<String> {
        let token = self.keys.share_token(&row.token_nonce);
        (row.is_public && token_hash(&token) == row.token_hash).then_some(token)
    }

    fn new_token(&self) -> Token {
        let nonce: [u8; 32] = rand::random();
        let hash = token_hash(&self.keys.share_token(&nonce));
        (nonce.to_vec(), hash)
    }

    /// The hash of a password that is to be set; `Some(None)` when it is to be cleared.
    async fn hash_share_password(
        &self,
        change: &ShareChange,
    ) -> Result<Option<Option<String>>, ServiceError> {
        Ok(match &change.password {
            None => None,
            Some(None) => Some(None),
            Some(Some(password)) => Some(Some(self.passwords.hash(password.clone()).await?)),
        })
    }

    /// What the viewer is to the things of these shares.
    async fn accesses_of_shares(
        &self,
        viewer: &Viewer,
        rows: &[ShareRow],
    ) -> Result<std::collections::HashMap<Uuid, Access>, ServiceError> {
        let of = |kind: ResourceType| {
            let rows = rows.iter().filter(move |row| row.kind() == kind);
            rows.map(|row| (row.thing(), row.owner())).collect::<Vec<_>>()
        };
        let mut accesses = self.accesses_to_files(viewer, &of(ResourceType::File)).await?;
        accesses.extend(self.accesses_to_folders(viewer, &of(ResourceType::Folder)).await?);
        Ok(accesses)
    }
}

/// A share whose thing the viewer owns or was given as `admin`.
async fn managed_share(
    on: &mut impl Read,
    viewer: &Viewer,
    id: ShareId,
) -> Result<(ShareRow, Access), ServiceError> {
    let row = find_share(on, id).await?.ok_or(ServiceError::NotFound)?;
    let access = match row.kind() {
        ResourceType::File => reach_file(on, viewer, FileId(row.thing())).await?.access,
        ResourceType::Folder => reach_folder(on, viewer, FolderId(row.thing())).await?.access,
    };
    // Whoever was given it by another share knows nothing of this one.
    if !access.level.permits(Permission::Admin) && find_grant(on, id, viewer.user).await?.is_none() {
        return Err(ServiceError::NotFound);
    }
    Ok((row, access.require(Permission::Admin)?))
}

/// The same for a change: the account that the thing belongs to is locked.
async fn lock_share(tx: &mut Tx, viewer: &Viewer, id: ShareId) -> Result<(ShareRow, Access), ServiceError> {
    let (row, _) = managed_share(tx, viewer, id).await?;
    tx.lock_account(row.owner()).await?;
    managed_share(tx, viewer, id).await
}

/// Locks the account of a thing that the viewer may share on; for anybody else it is not there.
async fn lock_thing(
    tx: &mut Tx,
    viewer: &Viewer,
    kind: ResourceType,
    thing: Uuid,
) -> Result<(Uuid, Access), ServiceError> {
    let locked = match kind {
        ResourceType::File => access::lock_file(tx, viewer, FileId(thing), Permission::Admin)
            .await
            .map(|reach| (reach.id.get(), reach.access)),
        ResourceType::Folder => lock_folder(tx, viewer, FolderId(thing), Permission::Admin)
            .await
            .map(|reach| (reach.id.get(), reach.access)),
    };
    locked.map_err(|error| match error {
        ServiceError::Forbidden(_) => ServiceError::NotFound,
        error => error,
    })
}

/// What a share will be: what it is, or the defaults, with the change over it.
fn settings_of(
    change: &ShareChange,
    row: Option<&ShareRow>,
    password_hash: Option<Option<String>>,
    (new_nonce, new_hash): Token,
    now: DateTime<Utc>,
) -> Result<ShareSettings, ServiceError> {
    if change.expires_at.flatten().is_some_and(|at| at <= now) {
        return Err(ServiceError::field("expires_at", "This time is over."));
    }
    let (token_nonce, token_hash) = match row {
        Some(row) if !change.rotate_token => (row.token_nonce.clone(), row.token_hash.clone()),
        _ => (new_nonce, new_hash),
    };
    let kept = |wanted: Option<bool>, kept: Option<bool>, default: bool| wanted.or(kept).unwrap_or(default);
    let number = |wanted: Option<Option<i64>>, kept: Option<Option<i64>>| wanted.or(kept).unwrap_or_default();
    Ok(ShareSettings {
        level: change.permission.or(row.map(ShareRow::permission)).unwrap_or(Permission::View),
        is_public: kept(change.is_public, row.map(|row| row.is_public), false),
        token_nonce,
        token_hash,
        password_hash: password_hash.unwrap_or_else(|| row.and_then(|row| row.password_hash.clone())),
        expires_at: change.expires_at.or(row.map(|row| row.expires_at)).unwrap_or_default(),
        allow_download: kept(change.allow_download, row.map(|row| row.allow_download), true),
        allow_preview: kept(change.allow_preview, row.map(|row| row.allow_preview), true),
        download_limit: number(change.download_limit, row.map(|row| row.download_limit)),
        allow_upload: kept(change.allow_upload, row.map(|row| row.allow_upload), false),
        max_files: number(change.max_files, row.map(|row| row.max_files)),
        max_size: number(change.max_size, row.map(|row| row.max_size)),
    })
}

fn check_kind(kind: ResourceType, settings: &ShareSettings) -> Result<(), ServiceError> {
    if settings.allow_upload && kind == ResourceType::File {
        return Err(ServiceError::field("allow_upload", "Only folders take uploads."));
    }
    Ok(())
}

impl Act {
    /// The share's own row of activity.
    async fn record_share(
        &self,
        tx: &mut Tx,
        row: &ShareRow,
        metadata: serde_json::Value,
    ) -> Result<(), ServiceError> {
        self.record(tx, Action::Share, (row.kind(), row.thing()), &row.thing_name, metadata).await
    }
}
