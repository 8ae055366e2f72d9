//! Signing in and out: sessions in the database, short access tokens, rotating refresh tokens.

use super::{
    ServiceError, Services,
    guesses::Guess,
    keys::{AccessClaims, random_token, token_hash},
    sightings::Seen,
};
use crate::db::{
    DbError, Tx,
    sessions::{SessionRow, SessionSpec},
    users::UserRow,
};
use cdn_actors::domain::{
    email::Email,
    ids::{SessionId, UserId},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::net::IpAddr;

/// How long a used refresh token still gets its successor: a page fires several refreshes at once, and an
/// answer can be lost (contract, section 2).
const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(30);

/// The pair of tokens that a browser keeps in cookies.
#[derive(Debug, Clone)]
pub struct TokenPair {
    pub access: String,
    pub refresh: String,
}

/// The device a session is for.
#[derive(Debug, Clone)]
pub struct Device {
    pub ip_address: Option<String>,
    pub user_agent: String,
}

/// Sessions of one user that a list shows at most.
const MAX_SESSIONS_SHOWN: u32 = 100;

/// A session that is about to begin.
#[derive(Debug, Clone)]
pub(super) struct PreparedSession {
    spec: SessionSpec,
    refresh_hash: Vec<u8>,
}

impl PreparedSession {
    pub(super) async fn insert(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.insert_session(&self.spec).await?;
        tx.insert_refresh_token(self.refresh_hash.clone(), self.spec.id, self.spec.now).await
    }
}

/// Why a refresh gave nothing.
#[derive(Debug)]
enum Refusal {
    Unknown,
    /// Used before, longer ago than the grace: somebody else has the chain. The family has been ended.
    Reused,
}

const INVALID_CREDENTIALS: &str = "Invalid credentials.";

impl Services {
    /// # Errors
    /// One answer, after one time, for an unknown address and a wrong password; after too many of them
    /// [`ServiceError::TooManyAttempts`].
    pub async fn log_in(
        &self,
        email: &str,
        password: String,
        address: Option<IpAddr>,
        device: Device,
    ) -> Result<(UserRow, TokenPair), ServiceError> {
        let taken = self.take_guess(&Guess::Password { email: email.to_owned() }, address).await?;
        // What is no address is nobody's, and takes the same time.
        let user = match Email::parse(email) {
            Ok(email) => self.db.find_user_by_email(email.as_str()).await?,
            Err(_) => None,
        };
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let is_right = self.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|_| is_right) else {
            return Err(ServiceError::Unauthenticated(INVALID_CREDENTIALS.into()));
        };
        self.give_guess_back(taken).await?;
        if !user.is_active {
            return Err(ServiceError::Forbidden("Account is inactive.".into()));
        }
        let tokens = self.start_session(user.id(), device).await?;
        Ok((user, tokens))
    }

    /// # Errors
    /// The database's.
    pub async fn start_session(&self, user: UserId, device: Device) -> Result<TokenPair, ServiceError> {
        let (session, tokens) = self.prepare_session(user, device)?;
        let work = async move |tx: &mut Tx| session.insert(tx).await;
        self.db.write::<_, _, DbError>(work).await?;
        Ok(tokens)
    }

    /// A session that begins once it is inserted, and its tokens.
    pub(super) fn prepare_session(
        &self,
        user: UserId,
        device: Device,
    ) -> Result<(PreparedSession, TokenPair), ServiceError> {
        let now = self.clock.now();
        let spec = SessionSpec {
            id: SessionId::new(),
            user,
            user_agent: device.user_agent,
            ip_address: device.ip_address,
            now,
            expires_at: self.session_end(now),
        };
        let refresh = random_token();
        let tokens = TokenPair { access: self.sign_access(user, spec.id, now)?, refresh };
        self.sightings.note(spec.id.get(), now);
        Ok((PreparedSession { spec, refresh_hash: token_hash(&tokens.refresh) }, tokens))
    }

    /// A user's living sessions, the last seen first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_sessions(&self, user: UserId) -> Result<Vec<SessionRow>, ServiceError> {
        Ok(self.db.list_sessions(user, self.clock.now(), MAX_SESSIONS_SHOWN).await?)
    }

    /// Ends one session of a user's, with its access tokens.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for one that is over, and for somebody else's.
    pub async fn end_session(&self, user: UserId, session: SessionId) -> Result<(), ServiceError> {
        let work = async move |tx: &mut Tx| tx.end_session_of(user, session).await;
        if self.db.write::<_, _, DbError>(work).await? { Ok(()) } else { Err(ServiceError::NotFound) }
    }

    /// The user of a valid access token whose session lives, and the session.
    ///
    /// # Errors
    /// The database's; a bad token is `None`.
    pub async fn authenticate(&self, token: &str) -> Result<Option<(UserRow, SessionId)>, ServiceError> {
        let now = self.clock.now();
        let Some(claims) = self.keys.read_access(token, now) else { return Ok(None) };
        let user = self.db.find_session_user(claims.session, now).await?;
        let Some(user) = user.filter(|user| user.id() == claims.user) else { return Ok(None) };
        self.see(Seen::Session(claims.session), now);
        Ok(Some((user, claims.session)))
    }

    /// Exchanges a refresh token for its successor and a new access token; `None` for a token that is
    /// unknown, expired, or used before the grace (which ends its whole family).
    ///
    /// # Errors
    /// The database's.
    pub async fn refresh(&self, token: &str) -> Result<Option<TokenPair>, ServiceError> {
        let now = self.clock.now();
        let successor = self.keys.successor_of(token);
        let (hash, next_hash) = (token_hash(token), token_hash(&successor));
        let expires_at = self.session_end(now);
        let work = async move |tx: &mut Tx| {
            let Some(row) = tx.find_refresh_token(hash.clone()).await? else {
                return Ok(Err(Refusal::Unknown));
            };
            let session = SessionId(row.session_id);
            if row.expires_at <= now || !row.is_active {
                return Ok(Err(Refusal::Unknown));
            }
            if row.used_at.is_some_and(|used_at| used_at + REFRESH_GRACE < now) {
                tx.end_session(session).await?;
                return Ok(Err(Refusal::Reused));
            }
            tx.mark_refresh_token_used(hash.clone(), now).await?;
            tx.insert_refresh_token(next_hash.clone(), session, now).await?;
            tx.extend_session(session, now, expires_at).await?;
            Ok::<_, DbError>(Ok((UserId(row.user_id), session)))
        };
        match self.db.write(work).await? {
            Ok((user, session)) => {
                Ok(Some(TokenPair { access: self.sign_access(user, session, now)?, refresh: successor }))
            }
            Err(Refusal::Reused) => {
                tracing::warn!(
                    event = "refresh_token_reused",
                    "a used refresh token came back; its session has ended"
                );
                Ok(None)
            }
            Err(Refusal::Unknown) => Ok(None),
        }
    }

    /// Ends the session that either token names; tokens that name none change nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn log_out(&self, access: Option<&str>, refresh: Option<&str>) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let by_access =
            access.and_then(|token| self.keys.read_access(token, now)).map(|claims| claims.session);
        let refresh_hash = refresh.map(token_hash);
        if by_access.is_none() && refresh_hash.is_none() {
            return Ok(());
        }
        let work = async move |tx: &mut Tx| {
            if let Some(session) = by_access {
                tx.end_session(session).await?;
            }
            if let Some(hash) = &refresh_hash
                && let Some(row) = tx.find_refresh_token(hash.clone()).await?
            {
                tx.end_session(SessionId(row.session_id)).await?;
            }
            Ok(())
        };
        Ok(self.db.write::<_, _, DbError>(work).await?)
    }

    /// Sets a user's own password; their other sessions end.
    ///
    /// # Errors
    /// A missing or wrong old password where one is set, a weak new one.
    pub async fn reset_password(
        &self,
        user: &UserRow,
        session: Option<SessionId>,
        old_password: Option<String>,
        new_password: Option<String>,
        address: Option<IpAddr>,
    ) -> Result<(), ServiceError> {
        let Some(new_password) = new_password.filter(|password| !password.is_empty()) else {
            return Err(ServiceError::BadRequest("New password is required.".into()));
        };
        if user.password_hash.is_some() {
            let Some(old_password) = old_password.filter(|password| !password.is_empty()) else {
                return Err(ServiceError::BadRequest("Old password is required.".into()));
            };
            // A session that somebody left open is no way to guess without end.
            let taken = self.take_guess(&Guess::Password { email: user.email.clone() }, address).await?;
            if !self.passwords.verify(old_password, user.password_hash.clone()).await? {
                return Err(ServiceError::BadRequest("Old password is incorrect.".into()));
            }
            self.give_guess_back(taken).await?;
        }
        let hash = self.hash_new_password("new_password", new_password).await?;
        self.store_password(user.id(), hash, session).await
    }

    fn sign_access(
        &self,
        user: UserId,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<String, ServiceError> {
        let expires_at = now + time_delta(self.config.auth.access_ttl.duration());
        self.keys
            .sign_access(AccessClaims { user, session }, now, expires_at)
            .map_err(|error| ServiceError::Internal(error.to_string()))
    }

    fn session_end(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + time_delta(self.config.auth.refresh_ttl.duration())
    }
}

/// A configured span as a difference of times; spans end at 100 years, far inside its range.
pub(super) fn time_delta(span: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}
