//! What a share's link opens, for anybody who has it: the thing, what lies below it, and never what is above.

use crate::{
    db::{
        DbError, Tx,
        files::{ContentRow, FileRow},
        folders::FolderRow,
        share_links::AccessLogSpec,
        shares::{ShareRow, lies_within},
        trash::ResourceType,
    },
    service::{ServiceError, Services, guesses::Guess, keys::token_hash, seal::SealKey, sessions::Device},
};
use cdn_actors::{
    domain::{
        ids::{FileId, FolderId, TokenHash, UserId},
        permission::Permission,
    },
    ports::Visit,
    runtime::CallError,
    shares::AdmitError,
};
use chrono::TimeDelta;
use std::net::IpAddr;
use uuid::Uuid;

/// How long a link to bytes works that was handed out for a share's password.
pub const PASS_TTL: TimeDelta = TimeDelta::hours(1);
/// Nobody's id: who is not signed in has no stars.
const NOBODY: UserId = UserId(0);

/// What a visitor brings.
#[derive(Debug, Clone, Default)]
pub struct Key {
    pub token: String,
    pub password: Option<String>,
    /// What an answer to the right password put into its links.
    pub pass: Option<String>,
    /// Where the visitor is, for the limit on guesses.
    pub address: Option<IpAddr>,
}

/// Who came, as the access log keeps it.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub user: Option<UserId>,
    pub device: Device,
}

/// A link that this visitor may open now.
#[derive(Debug, Clone)]
pub struct OpenedShare {
    pub row: ShareRow,
    pub token: String,
    hash: TokenHash,
    seal: SealKey,
    /// For the links in the answer; none without a password.
    pub pass: Option<String>,
}

impl OpenedShare {
    /// Whether the bytes are to be had by the share's own URLs only. Then nothing is shown that leads to them
    /// otherwise, not even a file's id.
    pub fn is_restricted(&self) -> bool {
        self.row.download_limit.is_some()
            || self.row.password_hash.is_some()
            || self.row.expires_at.is_some()
            || !self.row.allow_download
    }

    /// A file's id as this link's visitors are shown it.
    pub fn shown_id(&self, file: Uuid) -> Uuid {
        if self.is_restricted() { self.seal.seal(file) } else { file }
    }

    /// Whether a download would be admitted as things stand.
    pub fn can_download(&self) -> bool {
        self.require_download().is_ok()
    }

    /// Whether the bytes may be looked at in place: by whoever could have them all the same, and not past a limit.
    pub fn shows_bytes(&self) -> bool {
        self.row.allow_preview && self.row.allow_download && self.row.download_limit.is_none()
    }

    /// Whether it is an upload request: strangers may upload, and see nothing of what is there.
    pub fn takes_uploads(&self) -> bool {
        self.row.allow_upload
            && self.row.kind() == ResourceType::Folder
            && self.row.permission() >= Permission::Edit
    }

    pub(super) fn hash(&self) -> TokenHash {
        self.hash
    }

    /// # Errors
    /// [`ServiceError::Forbidden`] when downloads are off, [`ServiceError::Gone`] when the limit is spent.
    pub fn require_download(&self) -> Result<(), ServiceError> {
        if !self.row.allow_download || self.takes_uploads() {
            return Err(ServiceError::Forbidden("Downloads are disabled for this share.".into()));
        }
        if self.row.is_spent() { Err(limit_reached()) } else { Ok(()) }
    }

    /// # Errors
    /// [`ServiceError::Forbidden`] when previews are off.
    pub fn require_preview(&self) -> Result<(), ServiceError> {
        if self.row.allow_preview { Ok(()) } else { Err(previews_disabled()) }
    }
}

/// What is said where a share shows nothing in place.
pub fn previews_disabled() -> ServiceError {
    ServiceError::Forbidden("Previews are disabled for this share.".into())
}

fn limit_reached() -> ServiceError {
    ServiceError::Gone("Download limit reached".into())
}

impl Services {
    /// Opens a link.
    ///
    /// # Errors
    /// [`ServiceError::Missing`] for a token of nothing that is shared now, [`ServiceError::Gone`] for a share
    /// whose time is over, [`ServiceError::Unauthenticated`] without the right password, and
    /// [`ServiceError::TooManyAttempts`].
    pub async fn open_share(&self, key: &Key) -> Result<OpenedShare, ServiceError> {
        let hash = token_hash(&key.token);
        let Some(row) = self.db.find_share_by_token(hash.clone()).await? else {
            // Only tokens that are none are counted, and never given back.
            let _counted = self.take_guess(&Guess::ShareToken, key.address).await?;
            return Err(ServiceError::Missing("Invalid token".into()));
        };
        if row.is_expired(self.clock.now()) {
            return Err(ServiceError::Gone("Share expired".into()));
        }
        let has_pass = key.pass.as_deref().is_some_and(|pass| self.is_pass(&row, pass));
        if !has_pass {
            self.check_share_password(&row, key).await?;
        }
        let pass = row.password_hash.is_some().then(|| self.sign_pass(&row));
        let hash: [u8; 32] =
            hash.try_into().map_err(|_| ServiceError::Internal("a hash of another length".into()))?;
        Ok(OpenedShare {
            seal: SealKey::new(self.keys.seal_key(&format!("share/{}", row.share_id))),
            token: key.token.clone(),
            hash: TokenHash(hash),
            pass,
            row,
        })
    }

    async fn check_share_password(&self, row: &ShareRow, key: &Key) -> Result<(), ServiceError> {
        if row.password_hash.is_none() {
            return Ok(());
        }
        let Some(password) = key.password.clone().filter(|password| !password.is_empty()) else {
            return Err(ServiceError::Unauthenticated("Password required".into()));
        };
        let taken = self.take_guess(&Guess::SharePassword { share: row.share_id }, key.address).await?;
        if !self.passwords.verify(password, row.password_hash.clone()).await? {
            return Err(ServiceError::Unauthenticated("Wrong password".into()));
        }
        self.give_guess_back(taken).await
    }

    /// What stands for the right password in a link, for an hour and as long as the password is the same.
    fn sign_pass(&self, row: &ShareRow) -> String {
        let expires = (self.clock.now() + PASS_TTL).timestamp();
        format!("{expires}.{}", self.keys.sign_link(&pass_message(row, expires)))
    }

    fn is_pass(&self, row: &ShareRow, pass: &str) -> bool {
        let Some((expires, signature)) = pass.split_once('.') else { return false };
        let Ok(expires) = expires.parse::<i64>() else { return false };
        expires > self.clock.now().timestamp()
            && self.keys.verify_link(&pass_message(row, expires), signature)
    }

    /// The shared folder, or the one that a path of names leads to from there.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn shared_folder(
        &self,
        share: &OpenedShare,
        path: Option<&str>,
    ) -> Result<FolderRow, ServiceError> {
        let id = share.row.folder_id.map(FolderId).ok_or(ServiceError::NotFound)?;
        let top = self.db.read_folder(id).await?.ok_or(ServiceError::NotFound)?;
        // No folder is called "..", so a path leads down or nowhere.
        let names: Vec<&str> = path.unwrap_or_default().split('/').filter(|name| !name.is_empty()).collect();
        let Some(name) = names.last() else { return Ok(top) };
        if share.takes_uploads() {
            return Err(ServiceError::NotFound);
        }
        let full_path = format!("{}/{}", top.folder_path, names.join("/"));
        let found = self.db.find_folder_by_path(share.row.owner(), name, &full_path).await?;
        found.ok_or(ServiceError::NotFound)
    }

    /// What is directly in a folder of a share.
    ///
    /// # Errors
    /// The database's.
    pub async fn shared_contents(
        &self,
        share: &OpenedShare,
        folder: FolderId,
    ) -> Result<(Vec<FolderRow>, Vec<FileRow>), ServiceError> {
        if share.takes_uploads() {
            return Ok((Vec::new(), Vec::new()));
        }
        Ok((self.db.list_subfolders(folder).await?, self.db.list_folder_files(NOBODY, folder).await?))
    }

    /// The shared file, or one anywhere below the shared folder, by the id that visitors are shown or its own.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn shared_file(
        &self,
        share: &OpenedShare,
        file: Option<Uuid>,
    ) -> Result<FileRow, ServiceError> {
        if share.takes_uploads() {
            return Err(ServiceError::NotFound);
        }
        let meant = file.map(|id| [id, share.seal.open(id)]);
        let id = match (share.row.file_id, meant) {
            (Some(own), None) => own,
            (Some(own), Some(meant)) if meant.contains(&own) => own,
            (Some(_), Some(_)) => return Err(ServiceError::NotFound),
            (None, None) => return Err(ServiceError::field("file", "This field is required.")),
            (None, Some([id, other])) => {
                let found = crate::db::access::find_owned_file(&mut &self.db, id, other).await?;
                found.ok_or(ServiceError::NotFound)?.id
            }
        };
        let row = self.db.read_file(NOBODY, FileId(id)).await?.ok_or(ServiceError::NotFound)?;
        if let Some(top) = share.row.folder_id
            && !lies_within(&mut &self.db, row.folder.id(), FolderId(top)).await?
        {
            return Err(ServiceError::NotFound);
        }
        Ok(row)
    }

    /// Where the bytes of a shared file are.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn shared_content(
        &self,
        share: &OpenedShare,
        file: Option<Uuid>,
    ) -> Result<(FileId, ContentRow), ServiceError> {
        let id = self.shared_file(share, file).await?.id();
        Ok((id, self.content(id).await?))
    }

    /// Counts one download by a link, or refuses it.
    ///
    /// # Errors
    /// [`ServiceError::Gone`] at the limit or when the share has ended meanwhile.
    pub async fn admit_download(&self, share: &OpenedShare, visitor: &Visitor) -> Result<(), ServiceError> {
        share.require_download()?;
        let visit = Visit {
            user: visitor.user,
            ip_address: visitor.device.ip_address.clone(),
            user_agent: visitor.device.user_agent.clone(),
            at: self.clock.now(),
        };
        self.shares.admit_download(share.hash, visit).await.map_err(|error| match error {
            CallError::Domain(AdmitError::LimitReached) => limit_reached(),
            CallError::Domain(AdmitError::Closed) => ServiceError::Gone("Share expired".into()),
            CallError::Domain(AdmitError::Full) => ServiceError::StorageFull,
            CallError::Domain(AdmitError::Failed(reason)) => ServiceError::Internal(reason),
            CallError::Busy => ServiceError::Busy,
            error => ServiceError::Unavailable(error.to_string()),
        })
    }

    /// Notes in the access log that somebody looked, and tells the owner.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_share_opened(
        &self,
        share: &OpenedShare,
        visitor: &Visitor,
    ) -> Result<(), ServiceError> {
        self.note_visit(share, visitor, "view").await
    }

    /// The same of somebody who looked at a file in place.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_share_previewed(
        &self,
        share: &OpenedShare,
        visitor: &Visitor,
    ) -> Result<(), ServiceError> {
        self.note_visit(share, visitor, "preview").await
    }

    async fn note_visit(
        &self,
        share: &OpenedShare,
        visitor: &Visitor,
        access_type: &'static str,
    ) -> Result<(), ServiceError> {
        let log = AccessLogSpec {
            user: visitor.user,
            access_type,
            ip_address: visitor.device.ip_address.clone(),
            user_agent: visitor.device.user_agent.clone(),
            at: self.clock.now(),
        };
        let (id, hash) = (share.row.id(), share.hash);
        let work = async move |tx: &mut Tx| {
            // Gone since it was opened: nobody wants to know.
            let Some(shared) = tx.lock_shared_thing(hash.0.to_vec()).await? else { return Ok(()) };
            tx.add_access_logs(id, std::slice::from_ref(&log)).await?;
            tx.record_event(shared.owner(), &shared.opened(access_type, 1), log.at).await
        };
        Ok(self.db.write::<_, _, DbError>(work).await?)
    }
}

/// Another password or another token has another message.
fn pass_message(row: &ShareRow, expires: i64) -> String {
    let password = row.password_hash.as_deref().unwrap_or_default();
    let token = cdn_actors::domain::hash::to_hex(&row.token_hash);
    format!("share pass/{}/{token}/{password}/{expires}", row.share_id)
}
