//! A provider of OpenID Connect: where browsers are sent, the exchange of what they bring back, and the check
//! of the ID token (OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3).

use crate::config::SlackConfig;
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse},
};
use oauth2::{
    AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, ExtraTokenFields, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Largest answer of a provider that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// How far the provider's clock may be from ours, in seconds.
const CLOCK_SKEW: i64 = 60;
/// How long a provider's keys are used without asking again.
const KEYS_MAX_AGE: Duration = Duration::from_secs(3600);
/// How often a token with a key that isn't known may make us ask again.
const KEYS_MIN_AGE: Duration = Duration::from_secs(30);

/// Sign-ins that ask the provider at the same time; one more is refused, so that nobody makes this server
/// flood it.
const MAX_CONCURRENT: usize = 32;

/// Why nobody signed in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("too many sign-ins at once")]
    Busy,
    #[error("the identity provider can't be reached: {0}")]
    Unavailable(String),
    #[error("the identity provider refused: {0}")]
    Refused(String),
    #[error("the identity provider's answer can't be trusted: {0}")]
    Untrusted(String),
    #[error("the identity provider's settings: {0}")]
    Settings(String),
}

/// The secrets of one sign-in, which only its browser's state leads to.
#[derive(Debug, Clone)]
pub struct Challenge {
    pub state: String,
    pub nonce: String,
    /// Of PKCE: 43 to 128 characters (RFC 7636, section 4.1).
    pub verifier: String,
}

/// What the provider vouches for.
#[derive(Debug, Clone)]
pub struct Person {
    pub subject: String,
    pub email: Option<String>,
    pub is_email_verified: bool,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub team: Option<String>,
}

/// The claims of an ID token, and of the userinfo endpoint.
#[derive(Debug, Default, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    #[serde(default)]
    exp: i64,
    iat: Option<i64>,
    nonce: Option<String>,
    azp: Option<String>,
    aud: Option<Audience>,
    email: Option<String>,
    email_verified: Option<bool>,
    name: Option<String>,
    picture: Option<String>,
    #[serde(rename = "https://slack.com/team_id")]
    team: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(#[expect(dead_code, reason = "its value is checked where the signature is")] String),
    Many(Vec<String>),
}

/// The token endpoint's answer has an ID token beside the access token.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct IdToken {
    id_token: String,
}

impl ExtraTokenFields for IdToken {}

type Tokens = StandardTokenResponse<IdToken, BasicTokenType>;
type OidcClient<Authorize = oauth2::EndpointNotSet, Token = oauth2::EndpointNotSet> = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    Authorize,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    Token,
>;

/// A call that had no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CallFailed(String);

/// The configured provider. Its keys are kept for a while.
pub struct IdentityProvider {
    config: SlackConfig,
    keys: Mutex<Option<(Instant, JwkSet)>>,
    places: Semaphore,
}

impl IdentityProvider {
    pub fn new(config: SlackConfig) -> Self {
        Self { config, keys: Mutex::new(None), places: Semaphore::new(MAX_CONCURRENT) }
    }

    /// Where a browser is sent to sign in.
    ///
    /// # Errors
    /// [`ProviderError::Settings`].
    pub fn authorize_url(&self, redirect_url: &str, challenge: &Challenge) -> Result<String, ProviderError> {
        let client = self.client(redirect_url)?;
        let verifier = PkceCodeVerifier::new(challenge.verifier.clone());
        let state = challenge.state.clone();
        let (url, _) = client
            .authorize_url(move || CsrfToken::new(state))
            .add_scopes(["openid", "profile", "email"].map(|scope| Scope::new(scope.into())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_extra_param("nonce", &challenge.nonce)
            .url();
        let mut url = url;
        if !self.config.team_id.is_empty() {
            // Slack asks for this workspace at once; others don't know the parameter.
            url.query_pairs_mut().append_pair("team", &self.config.team_id);
        }
        Ok(url.into())
    }

    /// Exchanges a code for the person who signed in.
    ///
    /// # Errors
    /// See [`ProviderError`].
    pub async fn identify(
        &self,
        redirect_url: &str,
        code: String,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<Person, ProviderError> {
        let _place = self.places.try_acquire().map_err(|_| ProviderError::Busy)?;
        let client = self.client(redirect_url)?;
        let http = awc::Client::builder().disable_redirects().disable_timeout().finish();
        let send = |request: HttpRequest| self.send(&http, request);
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(challenge.verifier.clone()))
            .request_async(&send)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(CallFailed(reason)) => ProviderError::Unavailable(reason),
                RequestTokenError::ServerResponse(answer) => {
                    ProviderError::Refused(answer.error().to_string())
                }
                // Slack says `"ok": false` with a status of 200. The body may hold tokens: it isn't logged.
                RequestTokenError::Parse(error, _) => ProviderError::Refused(error.path().to_string()),
                RequestTokenError::Other(reason) => ProviderError::Refused(reason),
            })?;
        let claims = self.verify(&http, &tokens.extra_fields().id_token, challenge, now).await?;
        let claims = self.complete(&http, claims, &tokens).await?;
        Ok(Person {
            subject: claims.sub,
            email: claims.email.filter(|email| !email.is_empty()),
            is_email_verified: claims.email_verified == Some(true),
            name: claims.name.filter(|name| !name.trim().is_empty()),
            picture: claims.picture,
            team: claims.team,
        })
    }

    fn client(
        &self,
        redirect_url: &str,
    ) -> Result<OidcClient<oauth2::EndpointSet, oauth2::EndpointSet>, ProviderError> {
        let bad = |error: oauth2::url::ParseError| ProviderError::Settings(error.to_string());
        Ok(OidcClient::new(ClientId::new(self.config.client_id.clone()))
            .set_client_secret(ClientSecret::new(self.config.client_secret.clone()))
            .set_auth_uri(AuthUrl::new(self.config.authorize_url.clone()).map_err(bad)?)
            .set_token_uri(TokenUrl::new(self.config.token_url.clone()).map_err(bad)?)
            .set_redirect_uri(RedirectUrl::new(redirect_url.to_owned()).map_err(bad)?))
    }

    /// The claims of an ID token that the provider signed, for us, for this sign-in, and not too long ago.
    async fn verify(
        &self,
        http: &awc::Client,
        token: &str,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<Claims, ProviderError> {
        let untrusted = |reason: &str| ProviderError::Untrusted(reason.to_owned());
        let header = jsonwebtoken::decode_header(token).map_err(|_| untrusted("the ID token is none"))?;
        if header.alg != Algorithm::RS256 {
            return Err(untrusted("the ID token is not signed by RS256"));
        }
        let key = self.signing_key(http, header.kid.as_deref()).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| untrusted("the key can't be used"))?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.client_id]);
        // The clock is the caller's, so times are checked below.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|error| ProviderError::Untrusted(error.to_string()))?
            .claims;
        let now = now.timestamp();
        let is_for_several = matches!(&claims.aud, Some(Audience::Many(all)) if all.len() > 1);
        let is_for_us = claims.azp.as_ref().is_none_or(|party| *party == self.config.client_id);
        if claims.sub.is_empty() {
            Err(untrusted("no subject"))
        } else if claims.exp <= now.saturating_sub(CLOCK_SKEW) {
            Err(untrusted("the ID token has expired"))
        } else if claims.iat.is_some_and(|at| at > now.saturating_add(CLOCK_SKEW)) {
            Err(untrusted("the ID token is from the future"))
        } else if claims.nonce.as_ref() != Some(&challenge.nonce) {
            Err(untrusted("another nonce"))
        } else if !is_for_us || (is_for_several && claims.azp.is_none()) {
            Err(untrusted("another authorized party"))
        } else {
            Ok(claims)
        }
    }

    /// Asks the userinfo endpoint for what the ID token leaves out.
    async fn complete(
        &self,
        http: &awc::Client,
        claims: Claims,
        tokens: &Tokens,
    ) -> Result<Claims, ProviderError> {
        if claims.email.is_some() || self.config.userinfo_url.is_empty() {
            return Ok(claims);
        }
        let bearer = format!("Bearer {}", tokens.access_token().secret());
        let told: Claims = self.get_json(http, &self.config.userinfo_url, Some(&bearer)).await?;
        if told.sub != claims.sub {
            return Err(ProviderError::Untrusted("the userinfo endpoint tells of somebody else".into()));
        }
        Ok(Claims {
            email: told.email,
            email_verified: told.email_verified,
            name: claims.name.or(told.name),
            picture: claims.picture.or(told.picture),
            team: claims.team.or(told.team),
            ..claims
        })
    }

    /// The provider's key of this name; asked for when it isn't known, as providers change their keys.
    async fn signing_key(&self, http: &awc::Client, id: Option<&str>) -> Result<Jwk, ProviderError> {
        let (kept, age) = {
            let kept = self.kept_keys();
            let age = kept.as_ref().map(|(at, _)| at.elapsed());
            (kept.as_ref().and_then(|(_, keys)| find_key(keys, id)), age)
        };
        if let (Some(key), Some(age)) = (kept, age)
            && age < KEYS_MAX_AGE
        {
            return Ok(key);
        }
        let unknown = || ProviderError::Untrusted("the ID token's key is none of the provider's".into());
        if age.is_some_and(|age| age < KEYS_MIN_AGE) {
            return Err(unknown());
        }
        let keys: JwkSet = self.get_json(http, &self.config.jwks_url, None).await?;
        let key = find_key(&keys, id);
        *self.kept_keys() = Some((Instant::now(), keys));
        key.ok_or_else(unknown)
    }

    fn kept_keys(&self) -> MutexGuard<'_, Option<(Instant, JwkSet)>> {
        // What was put there is whole, whoever panicked.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get_json<T: DeserializeOwned>(
        &self,
        http: &awc::Client,
        url: &str,
        authorization: Option<&str>,
    ) -> Result<T, ProviderError> {
        let mut request = oauth2::http::Request::get(url).header("accept", "application/json");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let request = request.body(Vec::new()).map_err(|error| ProviderError::Settings(error.to_string()))?;
        let answer = self
            .send(http, request)
            .await
            .map_err(|CallFailed(reason)| ProviderError::Unavailable(reason))?;
        if !answer.status().is_success() {
            return Err(ProviderError::Refused(format!("{} from {url}", answer.status())));
        }
        serde_json::from_slice(answer.body())
            .map_err(|_| ProviderError::Refused(format!("{url} did not answer what it should")))
    }

    /// One call within the configured time. What is the provider's own trouble is a failed call.
    async fn send(&self, http: &awc::Client, request: HttpRequest) -> Result<HttpResponse, CallFailed> {
        let timeout = self.config.timeout.duration();
        tokio::time::timeout(timeout, call(http, request))
            .await
            .map_err(|_| CallFailed(format!("no answer within {} ms", timeout.as_millis())))?
    }
}

/// The same request by awc, which has another version's types.
async fn call(http: &awc::Client, request: HttpRequest) -> Result<HttpResponse, CallFailed> {
    let failed = |error: &dyn std::fmt::Display| CallFailed(error.to_string());
    let (parts, body) = request.into_parts();
    let method = awc::http::Method::from_bytes(parts.method.as_str().as_bytes())
        .map_err(|error| CallFailed(error.to_string()))?;
    let mut sent = http.request(method, parts.uri.to_string());
    for (name, value) in &parts.headers {
        sent = sent.insert_header((name.as_str(), value.as_bytes()));
    }
    let mut answer = sent.send_body(body).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(CallFailed(format!("it answered {status}")));
    }
    let mut received = oauth2::http::Response::builder().status(status.as_u16());
    for (name, value) in answer.headers() {
        received = received.header(name.as_str(), value.as_bytes());
    }
    let body = answer.body().limit(MAX_ANSWER).await.map_err(|error| failed(&error))?;
    received.body(body.to_vec()).map_err(|error| failed(&error))
}

/// The RSA key for signatures with this id; without an id, the only one there is.
fn find_key(keys: &JwkSet, id: Option<&str>) -> Option<Jwk> {
    let signs = |key: &&Jwk| {
        matches!(key.algorithm, AlgorithmParameters::RSA(_))
            && !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption))
    };
    let mut found = keys
        .keys
        .iter()
        .filter(signs)
        .filter(|key| id.is_none_or(|id| key.common.key_id.as_deref() == Some(id)));
    let key = found.next()?;
    (id.is_some() || found.next().is_none()).then(|| key.clone())
}
