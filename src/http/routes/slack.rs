//! Sign-in by Slack, or another provider of OpenID Connect.

use super::auth::SignedInView;
use crate::{
    http::{
        ApiError, AppState, auth::CurrentUser, body::JsonBody, client, cookies, params::Query,
        views::ErrorView,
    },
    service::sign_in::Arrival,
};
use actix_web::{HttpRequest, HttpResponse, get, http::header, post, web};
use cdn_actors::domain::ids::UserId;
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Debug, Deserialize, ToSchema)]
struct RetrieveBody {
    #[schema(required = true)]
    auth_code: Option<String>,
}

/// Who is signed in; a program's key is not its owner at a keyboard.
fn signed_in(caller: Option<CurrentUser>) -> Option<UserId> {
    caller.filter(|caller| caller.session.is_some()).map(|caller| caller.id())
}

/// Sends the browser to the identity provider.
#[utoipa::path(tag = "auth", security(()), params(
    ("next" = Option<String>, Query, description = "a path of the frontend, given back to it afterwards"),
), responses((status = 302), (status = 400, body = ErrorView), (status = 404, body = ErrorView)))]
#[get("/slack/login")]
pub async fn begin_sign_in(state: web::Data<AppState>, query: Query) -> Result<HttpResponse, ApiError> {
    let departure = state.services.begin_sign_in(&state.base_url, query.get("next"))?;
    let mut response = HttpResponse::Found();
    cookies::set_sign_in(&mut response, &state, Some(departure.cookie));
    Ok(response.insert_header((header::LOCATION, departure.url)).finish())
}

/// Where the identity provider sends the browser back to; goes on to the frontend with a code.
///
/// A first sign-in makes an account. Where an account has the same e-mail address already, its owner must be
/// signed in to it, here or when the code is exchanged; then the two are linked.
#[utoipa::path(tag = "auth", security(()), params(
    ("code" = Option<String>, Query), ("state" = Option<String>, Query), ("error" = Option<String>, Query),
), responses(
    (status = 302), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView), (status = 409, body = ErrorView), (status = 503, body = ErrorView),
))]
#[get("/slack/callback")]
pub async fn finish_sign_in(
    request: HttpRequest,
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let arrival = Arrival {
        cookie: cookies::read(&request, cookies::SIGN_IN),
        code: query.get("code").map(str::to_owned),
        state: query.get("state").map(str::to_owned),
        is_error: query.get("error").is_some(),
    };
    let caller = signed_in(caller);
    let url = state.services.finish_sign_in(&state.base_url, arrival, caller).await?;
    let mut response = HttpResponse::Found();
    cookies::set_sign_in(&mut response, &state, None);
    Ok(response.insert_header((header::LOCATION, url)).finish())
}

/// Exchanges the code of a sign-in for a session, once, within five minutes; sets both cookies.
///
/// A code that would link an account to the identity provider answers 403, and stays valid, until the request
/// comes from somebody who is signed in to that account.
#[utoipa::path(tag = "auth", security(()), request_body = RetrieveBody, responses(
    (status = 200, body = SignedInView), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView), (status = 409, body = ErrorView),
))]
#[post("/auth/retrieve")]
pub async fn retrieve_session(
    request: HttpRequest,
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    body: JsonBody<RetrieveBody>,
) -> Result<HttpResponse, ApiError> {
    let code = body.0.auth_code.filter(|code| !code.is_empty());
    let code = code.ok_or_else(|| ApiError::bad_request("Missing auth_code"))?;
    let device = client::device(&request);
    let (user, tokens) = state.services.retrieve_session(&code, signed_in(caller), device).await?;
    let mut response = HttpResponse::Ok();
    cookies::set(&mut response, &state, &tokens);
    Ok(response.json(SignedInView { user: user.into() }))
}
