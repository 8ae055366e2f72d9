//! Sign-in by the identity provider: the redirect there, the way back, and the code that the frontend
//! exchanges for a session.
//!
//! What one sign-in needs to keep is a random seed in a signed cookie of its browser; state, nonce and PKCE
//! verifier are computed from it. Accounts are found by the provider's subject. Where only the e-mail address
//! fits an account, its owner has to be signed in to it before the two are linked.

use super::{
    ServiceError, Services,
    keys::{random_token, token_hash},
    sessions::{Device, TokenPair},
};
use crate::{
    db::{
        DbError, Tx,
        audit::Act,
        identities::{AuthCodeSpec, Identity},
        users::{Profile, UserRow, UserSpec},
    },
    net::identity::{Challenge, IdentityProvider, Person, ProviderError},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cdn_actors::domain::{email::Email, ids::UserId};
use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

/// How long a browser may take at the provider.
pub const SIGN_IN_TIME: TimeDelta = TimeDelta::minutes(10);
/// How long the frontend may take to exchange a code (contract, section 2).
const CODE_TIME: TimeDelta = TimeDelta::minutes(5);
/// Longest `next` path and picture URL, in bytes.
const MAX_PATH: usize = 2000;
/// Longest name, in characters.
const MAX_NAME: usize = 200;

const NOT_SET_UP: &str = "Sign-in by an identity provider is not set up on this server.";
const BAD_STATE: &str = "This sign-in has expired or was begun in another browser. Start again.";
const REFUSED: &str = "The identity provider refused the sign-in.";
const BAD_CODE: &str = "Invalid or expired auth_code";
const LINK_FIRST: &str = "An account with this email address exists already. Sign in to it with its password first, then try again.";
const OTHER_IDENTITY: &str = "This account belongs to somebody else at the identity provider.";
const INACTIVE: &str = "Account is inactive.";

/// Where a browser is sent, and what it keeps until it is back.
pub struct Departure {
    pub url: String,
    pub cookie: String,
}

/// What a browser brings back from the provider.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    pub cookie: Option<String>,
    pub code: Option<String>,
    pub state: Option<String>,
    /// Whether the provider says that something went wrong.
    pub is_error: bool,
}

/// A cookie of ours, read.
struct Ticket {
    seed: String,
    next: Option<String>,
}

/// Whom a sign-in is for, by the rows.
enum Found {
    Linked(UserRow),
    /// An account with the same e-mail address, whose owner has yet to agree.
    Unlinked(UserRow),
}

impl Services {
    /// # Errors
    /// [`ServiceError::Missing`] without a provider; a `next` that is no path.
    pub fn begin_sign_in(&self, base_url: &str, next: Option<&str>) -> Result<Departure, ServiceError> {
        let provider = self.identity_provider()?;
        if next.is_some_and(|next| !is_path(next)) {
            return Err(ServiceError::field(
                "next",
                "Not valid: expected a path that begins with one slash.",
            ));
        }
        let seed = random_token();
        let expires_at = (self.clock.now() + SIGN_IN_TIME).timestamp();
        let next = URL_SAFE_NO_PAD.encode(next.unwrap_or_default());
        let ticket = format!("{seed}.{expires_at}.{next}");
        let signature = self.keys.sign_sign_in("cookie", &ticket);
        let url =
            provider.authorize_url(&redirect_url(base_url), &self.challenge(&seed)).map_err(in_service)?;
        Ok(Departure { url, cookie: format!("{ticket}.{signature}") })
    }

    /// Takes a browser back from the provider; gives where in the frontend it goes on.
    ///
    /// # Errors
    /// See section 2 of the contract.
    pub async fn finish_sign_in(
        &self,
        base_url: &str,
        arrival: Arrival,
        caller: Option<UserId>,
    ) -> Result<String, ServiceError> {
        let provider = self.identity_provider()?;
        let code = match arrival.code.filter(|code| !code.is_empty()) {
            Some(code) => code,
            None if arrival.is_error => return Err(ServiceError::BadRequest(REFUSED.into())),
            None => return Err(ServiceError::BadRequest("No code provided".into())),
        };
        let ticket = self.read_ticket(arrival.cookie.as_deref(), arrival.state.as_deref())?;
        self.use_state(&ticket).await?;
        let challenge = self.challenge(&ticket.seed);
        let identified = provider.identify(&redirect_url(base_url), code, &challenge, self.clock.now()).await;
        let person = identified.map_err(in_service)?;
        let team = &self.config.slack.team_id;
        if !team.is_empty() && person.team.as_ref() != Some(team) {
            return Err(ServiceError::Forbidden("User is not in Hack Club Slack".into()));
        }
        let email = person.email.as_deref().and_then(|email| Email::parse(email).ok());
        let email = email.ok_or(ServiceError::BadRequest("Email is required".into()))?;
        if !person.is_email_verified {
            return Err(ServiceError::Forbidden(
                "The identity provider has not verified the email address.".into(),
            ));
        }
        let (path, auth_code) = self.admit(person, email, caller).await?;
        self.landing(base_url, path, &auth_code, ticket.next.as_deref())
    }

    /// Exchanges a code for a session, once. `caller` is who is signed in already.
    ///
    /// # Errors
    /// [`ServiceError::Missing`] for a code that is none or no more; 403 for one that would link an account
    /// whose owner isn't signed in, which leaves the code valid.
    pub async fn retrieve_session(
        &self,
        code: &str,
        caller: Option<UserId>,
        device: Device,
    ) -> Result<(UserRow, TokenPair), ServiceError> {
        let (now, code_hash) = (self.clock.now(), token_hash(code));
        let gone = || ServiceError::Missing(BAD_CODE.into());
        let found = self.db.find_auth_code(code_hash.clone(), now).await?.ok_or_else(gone)?;
        let user = UserId(found.user_id);
        if found.link().is_some() && caller != Some(user) {
            return Err(ServiceError::Forbidden(LINK_FIRST.into()));
        }
        let (session, tokens) = self.prepare_session(user, device)?;
        let work = async move |tx: &mut Tx| {
            // Which of several gets it is said here.
            let taken = tx.take_auth_code(code_hash.clone(), now).await?.ok_or_else(gone)?;
            let row = tx.find_user(user).await?.ok_or_else(gone)?;
            if !row.is_active {
                return Err(ServiceError::Forbidden(INACTIVE.into()));
            }
            if let Some(identity) = taken.link() {
                tx.insert_identity(&identity, user, now).await?;
            }
            session.insert(tx).await?;
            Ok(row)
        };
        match self.db.write(work).await {
            Ok(row) => Ok((row, tokens)),
            Err(error) => Err(or_conflict(error)),
        }
    }

    fn identity_provider(&self) -> Result<&IdentityProvider, ServiceError> {
        self.identity_provider.as_ref().ok_or(ServiceError::Missing(NOT_SET_UP.into()))
    }

    fn challenge(&self, seed: &str) -> Challenge {
        Challenge {
            state: self.keys.sign_sign_in("state", seed),
            nonce: self.keys.sign_sign_in("nonce", seed),
            verifier: self.keys.sign_sign_in("verifier", seed),
        }
    }

    /// The ticket in a cookie of ours that is still good, and belongs to this state.
    fn read_ticket(&self, cookie: Option<&str>, state: Option<&str>) -> Result<Ticket, ServiceError> {
        let read = || {
            let (ticket, signature) = cookie?.rsplit_once('.')?;
            if !self.keys.verify_sign_in("cookie", ticket, signature) {
                return None;
            }
            let mut parts = ticket.split('.');
            let (seed, expires_at, next) = (parts.next()?, parts.next()?, parts.next()?);
            let is_living = expires_at.parse::<i64>().ok()? > self.clock.now().timestamp();
            if !is_living || !self.keys.verify_sign_in("state", seed, state?) {
                return None;
            }
            let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
            Some(Ticket { seed: seed.to_owned(), next: Some(next).filter(|next| !next.is_empty()) })
        };
        read().ok_or(ServiceError::BadRequest(BAD_STATE.into()))
    }

    /// A state is good for one way back, whoever has a copy of the cookie.
    async fn use_state(&self, ticket: &Ticket) -> Result<(), ServiceError> {
        let hash = token_hash(&ticket.seed);
        let expires_at = self.clock.now() + SIGN_IN_TIME;
        let work = async move |tx: &mut Tx| tx.use_state(hash.clone(), expires_at).await;
        if self.db.write::<_, _, DbError>(work).await? {
            return Ok(());
        }
        Err(ServiceError::BadRequest(BAD_STATE.into()))
    }

    /// Finds or makes the account of a person, and a code for it; gives the page of the frontend to go to.
    async fn admit(
        &self,
        person: Person,
        email: Email,
        caller: Option<UserId>,
    ) -> Result<(&'static str, String), ServiceError> {
        let config = &self.config.slack;
        let now = self.clock.now();
        let identity = Identity { issuer: config.issuer.clone(), subject: person.subject.clone() };
        let profile = Profile {
            name: person.name.map(|name| clean_name(&name)).filter(|name| !name.is_empty()),
            image: person.picture.filter(|url| is_picture(url)),
            is_admin: config.admins.contains(&identity.subject),
        };
        let tier = if config.default_tier.is_empty() {
            self.config.quota.default_tier.clone()
        } else {
            config.default_tier.clone()
        };
        let spec = UserSpec {
            name: profile.name.clone().unwrap_or_else(|| email.as_str().to_owned()),
            email,
            image: profile.image.clone(),
            password_hash: None,
            tier,
            is_admin: profile.is_admin,
            now,
        };
        let auth_code = random_token();
        let code_hash = token_hash(&auth_code);
        // Two first sign-ins of one person at once: the second run finds what the other made.
        let mut attempts = 0;
        let found = loop {
            let (identity, profile, spec) = (identity.clone(), profile.clone(), spec.clone());
            let code_hash = code_hash.clone();
            let work = async move |tx: &mut Tx| {
                let found = find_or_create(tx, &identity, &profile, &spec, caller).await?;
                let (user, link) = match &found {
                    Found::Linked(user) => (user, None),
                    Found::Unlinked(user) => (user, Some(identity.clone())),
                };
                if !user.is_active {
                    return Err(ServiceError::Forbidden(INACTIVE.into()));
                }
                let expires_at = now + CODE_TIME;
                let code =
                    AuthCodeSpec { code_hash: code_hash.clone(), user: user.id(), link, now, expires_at };
                tx.insert_auth_code(&code).await?;
                Ok(found)
            };
            match self.db.write(work).await {
                Err(ServiceError::Database(DbError::UniqueViolation)) if attempts == 0 => attempts += 1,
                outcome => break outcome.map_err(or_conflict)?,
            }
        };
        Ok(match found {
            Found::Linked(user) if user.password_hash.is_none() => ("auth/set_new_password", auth_code),
            Found::Linked(_) | Found::Unlinked(_) => ("auth/auth_session", auth_code),
        })
    }

    /// The URL of a page of the frontend.
    fn landing(
        &self,
        base_url: &str,
        path: &str,
        auth_code: &str,
        next: Option<&str>,
    ) -> Result<String, ServiceError> {
        let config = &self.config;
        let frontend = match config.slack.frontend_url.as_str() {
            "" => config.server.frontend_origins.first().map_or(base_url, String::as_str),
            url => url,
        };
        let mut url = Url::parse(&format!("{}/{path}", frontend.trim_end_matches('/')))
            .map_err(|error| ServiceError::Internal(format!("the frontend's URL: {error}")))?;
        url.query_pairs_mut().append_pair("auth_code", auth_code);
        if let Some(next) = next {
            url.query_pairs_mut().append_pair("next", next);
        }
        Ok(url.into())
    }
}

async fn find_or_create(
    tx: &mut Tx,
    identity: &Identity,
    profile: &Profile,
    spec: &UserSpec,
    caller: Option<UserId>,
) -> Result<Found, ServiceError> {
    if let Some(user) = tx.find_user_by_identity(identity).await? {
        refresh(tx, &user, profile, spec.now).await?;
        tx.touch_identity(identity, spec.now).await?;
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
    if caller != Some(user.id()) || !user.is_active {
        return Ok(Found::Unlinked(user));
    }
    tx.insert_identity(identity, user.id(), spec.now).await?;
    refresh(tx, &user, profile, spec.now).await?;
    Ok(Found::Linked(user))
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

/// The identity or the account is linked to another already.
fn or_conflict(error: ServiceError) -> ServiceError {
    match error {
        ServiceError::Database(DbError::UniqueViolation) => ServiceError::Conflict(OTHER_IDENTITY.into()),
        error => error,
    }
}

fn in_service(error: ProviderError) -> ServiceError {
    tracing::warn!(event = "provider_sign_in_failed", %error, "a sign-in by the identity provider failed");
    match error {
        ProviderError::Busy => ServiceError::Busy,
        ProviderError::Unavailable(reason) => ServiceError::Unavailable(reason),
        ProviderError::Refused(_) | ProviderError::Untrusted(_) => ServiceError::BadRequest(REFUSED.into()),
        ProviderError::Settings(reason) => ServiceError::Internal(reason),
    }
}

/// Where the provider sends browsers back to.
fn redirect_url(base_url: &str) -> String {
    format!("{base_url}/api/slack/callback")
}

/// Whether a browser stays on the frontend when it follows this: `//host` and `/\host` would leave it.
fn is_path(text: &str) -> bool {
    let is_clean = !text.contains('\\') && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    text.starts_with('/') && !text.starts_with("//") && is_clean && text.len() <= MAX_PATH
}

fn is_picture(url: &str) -> bool {
    url.len() <= MAX_PATH && Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

fn clean_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    name.trim().to_owned()
}
