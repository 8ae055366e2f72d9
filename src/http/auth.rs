//! The caller of a request: the extractor in a handler's signature is its authorisation.

use super::{ApiError, AppState, client, cookies};
use crate::{
    db::{activity::Origin, users::UserRow},
    service::ServiceError,
};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use cdn_actors::domain::ids::{SessionId, UserId};
use futures_util::future::LocalBoxFuture;

/// A signed-in user.
pub struct CurrentUser {
    pub user: UserRow,
    pub session: Option<SessionId>,
    pub origin: Origin,
}

impl CurrentUser {
    pub fn id(&self) -> UserId {
        self.user.id()
    }
}

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
            let (user, session) =
                state.services.authenticate(&token).await?.ok_or(ApiError::Unauthenticated)?;
            let device = client::device(&request);
            let origin =
                Origin { user: user.id(), ip_address: device.ip_address, user_agent: device.user_agent };
            Ok(Self { user, session: Some(session), origin })
        })
    }
}
