//! The two cookies that carry a session, and the one of a sign-in under way (contract, section 2).

use super::AppState;
use crate::service::{sessions::TokenPair, sign_in::SIGN_IN_TIME};
use actix_web::{
    HttpRequest, HttpResponseBuilder,
    cookie::{Cookie, SameSite, time::Duration},
};

pub const ACCESS: &str = "access_token";
pub const REFRESH: &str = "refresh_token";
pub const SIGN_IN: &str = "sign_in";

/// A cookie's value, if the client sent it.
pub fn read(request: &HttpRequest, name: &str) -> Option<String> {
    request.cookie(name).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

/// Sets both cookies.
pub fn set(response: &mut HttpResponseBuilder, state: &AppState, tokens: &TokenPair) {
    let auth = &state.services.config.auth;
    response.cookie(build(state, ACCESS, tokens.access.clone(), seconds(auth.access_ttl.duration())));
    response.cookie(build(state, REFRESH, tokens.refresh.clone(), seconds(auth.refresh_ttl.duration())));
}

/// Takes both cookies back.
pub fn clear(response: &mut HttpResponseBuilder, state: &AppState) {
    for name in [ACCESS, REFRESH] {
        response.cookie(build(state, name, String::new(), Duration::ZERO));
    }
}

/// What a browser keeps while it is at the identity provider; `None` takes it back.
pub fn set_sign_in(response: &mut HttpResponseBuilder, state: &AppState, value: Option<String>) {
    let seconds = if value.is_some() { SIGN_IN_TIME.num_seconds() } else { 0 };
    // Lax: the way back is a navigation that another site begins, and nothing else needs it.
    let cookie = Cookie::build(SIGN_IN, value.unwrap_or_default())
        .path("/api/slack")
        .http_only(true)
        .secure(state.is_https())
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .finish();
    response.cookie(cookie);
}

fn build(state: &AppState, name: &'static str, value: String, max_age: Duration) -> Cookie<'static> {
    // Browsers take SameSite=None only with Secure, and Secure only over https.
    let same_site = if state.is_https() { SameSite::None } else { SameSite::Lax };
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .secure(state.is_https())
        .same_site(same_site)
        .max_age(max_age)
        .finish()
}

fn seconds(span: std::time::Duration) -> Duration {
    Duration::seconds(i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
}
