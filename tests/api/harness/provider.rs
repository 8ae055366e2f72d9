//! A provider of OpenID Connect that a test starts beside the server, and the browser that goes there.
//!
//! It checks what a strict provider checks (client secret, PKCE, redirect URL, codes used once), and answers
//! wrongly where a test asks for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use hackclub_cdn::config::Config;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::reply::{Fetch, Reply};
use super::samples::merged;
use super::{Client, TestApp};

const CLIENT_ID: &str = "cdn-under-test";
const CLIENT_SECRET: &str = "the provider's secret for the client";
const KEY_ID: &str = "key-1";
pub const TEAM: &str = "T0HACKCLUB";
/// An RSA key that was made for these tests and signs nothing else.
const KEY: &str = include_str!("provider_key.txt");

thread_local! {
    /// The provider of the test that runs on this thread.
    static CURRENT: RefCell<Option<Provider>> = const { RefCell::new(None) };
}

/// How ID tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signature {
    #[default]
    Right,
    /// `alg: none`.
    None,
    /// With the public key's modulus as if it were a shared secret.
    Symmetric,
    /// One bit is not as it was.
    Broken,
    /// By a key that the provider doesn't name.
    UnknownKey,
}

/// What the token endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    #[default]
    Good,
    /// `invalid_grant`, as RFC 6749 says it.
    Refusing,
    /// `"ok": false` with a status of 200, as Slack says it.
    RefusingLikeSlack,
    /// 500.
    Broken,
    /// No answer at all.
    Silent,
}

struct Grant {
    challenge: String,
    redirect_url: String,
    nonce: String,
    claims: Value,
}

#[derive(Default)]
struct State {
    issuer: String,
    grants: HashMap<String, Grant>,
    userinfo: Value,
    signature: Signature,
    mood: Mood,
    calls: usize,
    made: usize,
}

#[derive(Clone)]
pub struct Provider(Arc<Mutex<State>>);

impl Provider {
    /// Starts a provider and points the configuration to it; for `with |config| { … }`.
    pub fn start(config: &mut Config) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("it is bound"));
        let provider = Self(Arc::new(Mutex::new(State { issuer: issuer.clone(), ..State::default() })));
        let state = web::Data::new(provider.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .route("/token", web::post().to(answer_token))
                .route("/userinfo", web::get().to(answer_userinfo))
                .route("/keys", web::get().to(answer_keys))
        });
        let server = server.workers(1).disable_signals().listen(listener).expect("it listens").run();
        actix_web::rt::spawn(server);
        CURRENT.set(Some(provider));

        config.server.frontend_origins = vec![FRONTEND.to_owned()];
        let slack = &mut config.slack;
        slack.client_id = CLIENT_ID.to_owned();
        slack.client_secret = CLIENT_SECRET.to_owned();
        slack.team_id = TEAM.to_owned();
        slack.authorize_url = format!("{issuer}/authorize");
        slack.token_url = format!("{issuer}/token");
        slack.userinfo_url = format!("{issuer}/userinfo");
        slack.jwks_url = format!("{issuer}/keys");
        slack.issuer = issuer;
    }

    /// The one that this test's server was configured with.
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone).expect("the test configures a provider")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it was held")
    }

    pub fn sign_by(&self, signature: Signature) {
        self.state().signature = signature;
    }

    pub fn be(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// What the userinfo endpoint tells.
    pub fn tell(&self, userinfo: Value) {
        self.state().userinfo = userinfo;
    }

    /// Calls of the server's.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// What the provider does when a person agrees on its page: checks the URL, and gives a code and the state.
    pub fn agree(&self, location: &str, claims: Value) -> (String, String) {
        let url = Url::parse(location).expect("a URL");
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let of = |name: &str| query.get(name).unwrap_or_else(|| panic!("no {name} in {location}")).clone();
        let mut state = self.state();
        assert!(location.starts_with(&format!("{}/authorize?", state.issuer)), "{location}");
        assert_eq!(of("response_type"), "code");
        assert_eq!(of("client_id"), CLIENT_ID);
        assert_eq!(of("code_challenge_method"), "S256");
        let scopes = of("scope");
        for scope in ["openid", "profile", "email"] {
            assert!(scopes.split(' ').any(|given| given == scope), "{scopes}");
        }
        state.made += 1;
        let code = format!("code-{}", state.made);
        let grant = Grant {
            challenge: of("code_challenge"),
            redirect_url: of("redirect_uri"),
            nonce: of("nonce"),
            claims,
        };
        state.grants.insert(code.clone(), grant);
        (code, of("state"))
    }
}

/// Where people land after they signed in.
pub const FRONTEND: &str = "https://files.example";

/// What the provider says of somebody with this address, who is known to it by it too.
pub fn person(email: &str) -> Value {
    json!({
        "sub": format!("U-{email}"),
        "email": email,
        "email_verified": true,
        "name": format!("Person {email}"),
        "picture": format!("https://pictures.example/{email}.png"),
        "https://slack.com/team_id": TEAM,
    })
}

/// A sign-in up to the callback's answer, by a browser that may be signed in already.
pub async fn sign_in(browser: &Client, claims: Value) -> Reply {
    let login = browser.get("/api/slack/login").fetch().await;
    login.expect_status(302);
    let (code, state) = Provider::current().agree(login.header("location"), claims);
    call_back(browser, &code, &state).await
}

pub async fn call_back(browser: &Client, code: &str, state: &str) -> Reply {
    browser.get_with("/api/slack/callback", &[("code", code), ("state", state)]).fetch().await
}

/// The page of the frontend that an answer leads to, and the code it is given.
#[track_caller]
pub fn landing_of(reply: &Reply) -> (String, String) {
    reply.expect_status(302);
    let url = Url::parse(reply.header("location")).expect("a URL");
    let code = url.query_pairs().find(|(name, _)| name == "auth_code").expect("a code").1.into_owned();
    (format!("{}{}", url.origin().ascii_serialization(), url.path()), code)
}

pub async fn retrieve(client: &Client, code: &str) -> Reply {
    client.post("/api/auth/retrieve").json(&json!({"auth_code": code})).fetch().await
}

impl TestApp {
    /// Somebody who has signed in by the provider.
    pub async fn user_by_provider(&self, claims: Value) -> Client {
        let browser = self.anonymous();
        let (_, code) = landing_of(&sign_in(&browser, claims).await);
        let reply = retrieve(&browser, &code).await;
        browser.logged_in_by(&reply)
    }
}

async fn answer_token(
    provider: web::Data<Provider>,
    request: HttpRequest,
    form: web::Form<HashMap<String, String>>,
) -> HttpResponse {
    let mood = {
        let mut state = provider.state();
        state.calls += 1;
        state.mood
    };
    match mood {
        Mood::Good => {}
        Mood::Refusing => return HttpResponse::BadRequest().json(json!({"error": "invalid_grant"})),
        Mood::RefusingLikeSlack => return HttpResponse::Ok().json(json!({"ok": false, "error": "bad_code"})),
        Mood::Broken => return HttpResponse::InternalServerError().finish(),
        Mood::Silent => std::future::pending().await,
    }
    let of = |name: &str| form.get(name).cloned().unwrap_or_default();
    let mut state = provider.state();
    let Some(grant) = state.grants.remove(&of("code")) else {
        return HttpResponse::BadRequest().json(json!({"error": "invalid_grant"}));
    };
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    // RFC 6749, 2.3.1: both are form-encoded before they are joined.
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET)));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(of("code_verifier")));
    if authorization != Some(&format!("Basic {basic}"))
        || grant.challenge != challenge
        || grant.redirect_url != of("redirect_uri")
        || of("grant_type") != "authorization_code"
    {
        return HttpResponse::BadRequest().json(json!({"error": "invalid_request"}));
    }
    let now = Utc::now().timestamp();
    let defaults = json!({
        "iss": state.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": grant.nonce,
    });
    let id_token = sign(&merged(defaults, grant.claims), state.signature);
    HttpResponse::Ok().json(json!({
        "ok": true, "access_token": "xoxp-1", "token_type": "Bearer", "id_token": id_token,
    }))
}

async fn answer_userinfo(provider: web::Data<Provider>, request: HttpRequest) -> HttpResponse {
    let mut state = provider.state();
    state.calls += 1;
    if request.headers().get("authorization").is_none_or(|value| value != "Bearer xoxp-1") {
        return HttpResponse::Unauthorized().finish();
    }
    HttpResponse::Ok().json(&state.userinfo)
}

async fn answer_keys(provider: web::Data<Provider>) -> HttpResponse {
    provider.state().calls += 1;
    let key = json!(Jwk::from_encoding_key(&signing_key(), Algorithm::RS256).expect("an RSA key"));
    HttpResponse::Ok().json(json!({"keys": [merged(key, json!({"kid": KEY_ID, "use": "sig"}))]}))
}

fn signing_key() -> EncodingKey {
    let der = STANDARD.decode(KEY.split_whitespace().collect::<String>()).expect("base64");
    EncodingKey::from_rsa_der(&der)
}

fn sign(claims: &Value, signature: Signature) -> String {
    let header = |algorithm, id: &str| Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
    let encode = |header: &Header, key: &EncodingKey| {
        jsonwebtoken::encode(header, claims, key).expect("the token is signed")
    };
    let right = || encode(&header(Algorithm::RS256, KEY_ID), &signing_key());
    match signature {
        Signature::Right => right(),
        Signature::UnknownKey => encode(&header(Algorithm::RS256, "key-2"), &signing_key()),
        Signature::None => {
            let head = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string());
            format!("{head}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
        }
        Signature::Symmetric => {
            let public = json!(Jwk::from_encoding_key(&signing_key(), Algorithm::RS256).expect("an RSA key"));
            let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().expect("a modulus")).expect("base64");
            encode(&header(Algorithm::HS256, KEY_ID), &EncodingKey::from_secret(&modulus))
        }
        Signature::Broken => {
            let token = right();
            let (head, signature) = token.rsplit_once('.').expect("three parts");
            let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            bytes[7] ^= 1;
            format!("{head}.{}", URL_SAFE_NO_PAD.encode(bytes))
        }
    }
}
