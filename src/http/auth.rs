//! The caller of a request: the extractor in a handler's signature is its authorisation.

use super::{ApiError, AppState, access, client, cookies};
use crate::{
    db::{activity::Origin, users::UserRow},
    service::{ServiceError, admin::Administrator, api_keys},
};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use cdn_actors::domain::ids::{SessionId, UserId};
use futures_util::future::LocalBoxFuture;

/// A signed-in user, or a program with an API key of theirs whose scopes permit the route.
pub struct CurrentUser {
    pub user: UserRow,
    /// `None` for an API key.
    pub session: Option<SessionId>,
    pub origin: Origin,
}

impl CurrentUser {
    pub fn id(&self) -> UserId {
        self.user.id()
    }
}

/// An administrator who is signed in. API keys don't reach what takes one.
pub struct AdminUser(pub Administrator);

/// The token of an `Authorization: Bearer` header; the scheme in any case (RFC 9110, section 11.1).
pub fn bearer_token(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl FromRequest for CurrentUser {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = request
                .app_data::<web::Data<AppState>>()
                .ok_or_else(|| ServiceError::Internal("no state".into()))?;
            let has_header = request.headers().contains_key(header::AUTHORIZATION);
            let token = match bearer_token(&request) {
                Some(token) => Some(token.to_owned()),
                // A header that is no Bearer token is a failed attempt, not a reason to look at cookies.
                None if has_header => None,
                None => cookies::read(&request, cookies::ACCESS),
            };
            let token = token.ok_or(ApiError::Unauthenticated)?;
            let (user, session) = if token.starts_with(api_keys::PREFIX) {
                (authenticate_key(state, &request, &token).await?, None)
            } else {
                let found = state.services.authenticate(&token).await?;
                found.map(|(user, session)| (user, Some(session))).ok_or(ApiError::Unauthenticated)?
            };
            state.limits.check_account(user.id())?;
            let device = client::device(&request);
            let origin =
                Origin { user: user.id(), ip_address: device.ip_address, user_agent: device.user_agent };
            Ok(Self { user, session, origin })
        })
    }
}

async fn authenticate_key(state: &AppState, request: &HttpRequest, key: &str) -> Result<UserRow, ApiError> {
    let found = state.services.authenticate_key(key).await?;
    let (user, scopes) = found.ok_or(ApiError::Unauthenticated)?;
    if access::permits(&scopes, request.method(), request.match_pattern().as_deref()) {
        Ok(user)
    } else {
        Err(ApiError::BeyondScope)
    }
}

impl FromRequest for AdminUser {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = CurrentUser::from_request(request, payload);
        let network = client::network(request);
        Box::pin(async move {
            let caller = caller.await?;
            if !caller.user.is_admin {
                return Err(ApiError::NotAdministrator);
            }
            Ok(Self(Administrator { user: caller.id(), session: caller.session, network }))
        })
    }
}
