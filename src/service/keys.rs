//! The server's secret, and what is made from it: access tokens and the chain of refresh tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cdn_actors::domain::{
    hash::to_hex,
    ids::{SessionId, UserId},
};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path};

/// Bytes of the secret, as many as HMAC-SHA-256 has use for (RFC 2104, section 3).
const SECRET_BYTES: usize = 64;

/// Signs and reads tokens.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    refresh_key: [u8; 32],
    link_key: [u8; 32],
    guess_key: [u8; 32],
    seal_key: [u8; 32],
    share_key: [u8; 32],
    sign_in_key: [u8; 32],
}

/// What an access token says (RFC 7519, section 4.1).
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    sid: SessionId,
    iat: i64,
    exp: i64,
    /// Tells an access token from any other token that may once be signed with the same key.
    typ: String,
}

const ACCESS: &str = "access";

/// The user and session an access token names; whether the session lives is for the database to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    pub user: UserId,
    pub session: SessionId,
}

impl Keys {
    /// Reads the secret file, or makes one that only its owner may read.
    ///
    /// # Errors
    /// A file that can't be read or made, or that holds too little to be a secret.
    pub fn load_or_create(path: &Path) -> std::io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().len() >= SECRET_BYTES => Ok(Self::from_secret(text.trim().as_bytes())),
            Ok(_) => Err(std::io::Error::other(format!(
                "{} is no secret: it needs at least {SECRET_BYTES} characters",
                path.display()
            ))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create_secret(path),
            Err(error) => Err(error),
        }
    }

    fn from_secret(secret: &[u8]) -> Self {
        let access_key = derive(secret, b"access token");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        // The clock is ours (tests move it), so expiry is checked below.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(&access_key),
            decoding: DecodingKey::from_secret(&access_key),
            validation,
            refresh_key: derive(secret, b"refresh token"),
            link_key: derive(secret, b"content link"),
            guess_key: derive(secret, b"guess counter"),
            seal_key: derive(secret, b"sealed id"),
            share_key: derive(secret, b"share token"),
            sign_in_key: derive(secret, b"sign-in by provider"),
        }
    }

    /// # Errors
    /// Only when signing itself fails.
    pub fn sign_access(
        &self,
        claims: AccessClaims,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            sub: claims.user.to_string(),
            sid: claims.session,
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            typ: ACCESS.into(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }

    /// `None` for anything but an unexpired access token of ours.
    pub fn read_access(&self, token: &str, now: DateTime<Utc>) -> Option<AccessClaims> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        if claims.typ != ACCESS || claims.exp <= now.timestamp() {
            return None;
        }
        Some(AccessClaims { user: UserId(claims.sub.parse().ok()?), session: claims.sid })
    }

    /// The refresh token that follows another. It is computed, not stored: the same token sent twice gets
    /// the same successor, from any process, and the database keeps only hashes.
    pub fn successor_of(&self, refresh_token: &str) -> String {
        URL_SAFE_NO_PAD.encode(derive(&self.refresh_key, refresh_token.as_bytes()))
    }
}

impl Keys {
    /// A signature over what a link allows, for its query.
    pub fn sign_link(&self, message: &str) -> String {
        URL_SAFE_NO_PAD.encode(derive(&self.link_key, message.as_bytes()))
    }

    /// The name of a counter that doesn't tell what it counts.
    pub fn sign_guess(&self, message: &str) -> Vec<u8> {
        derive(&self.guess_key, message.as_bytes()).to_vec()
    }

    /// The key under which one reader is shown ids.
    pub fn seal_key(&self, reader: &str) -> [u8; 32] {
        derive(&self.seal_key, reader.as_bytes())
    }

    /// The token of a share's link. It is computed, not stored: the database keeps what is left to guess of it
    /// only as a hash, and its owner can be shown it again.
    pub fn share_token(&self, nonce: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(derive(&self.share_key, nonce))
    }

    /// Whether the signature is ours, in a time that tells nothing.
    pub fn verify_link(&self, message: &str, signature: &str) -> bool {
        verify(&self.link_key, message, signature)
    }

    /// What belongs to one sign-in at an identity provider: 43 characters, computed from what its browser
    /// keeps, and stored nowhere.
    pub fn sign_sign_in(&self, purpose: &str, message: &str) -> String {
        URL_SAFE_NO_PAD.encode(derive(&self.sign_in_key, format!("{purpose}\0{message}").as_bytes()))
    }

    pub fn verify_sign_in(&self, purpose: &str, message: &str, signature: &str) -> bool {
        verify(&self.sign_in_key, &format!("{purpose}\0{message}"), signature)
    }
}

fn verify(key: &[u8], message: &str, signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    Hmac::<Sha256>::new_from_slice(key).is_ok_and(|mut mac| {
        mac.update(message.as_bytes());
        mac.verify_slice(&signature).is_ok()
    })
}

/// A new token of 256 random bits.
pub fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What the database keeps of a token.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

fn derive(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn create_secret(path: &Path) -> std::io::Result<Keys> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let bytes: [u8; SECRET_BYTES] = rand::random();
    let text = to_hex(&bytes);
    let mut file = match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        // Another process was faster: its secret is the secret.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Keys::load_or_create(path),
        Err(error) => return Err(error),
    };
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(Keys::from_secret(text.as_bytes()))
}
