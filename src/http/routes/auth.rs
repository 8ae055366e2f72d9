//! Password sign-in, sign-out, refresh.

use crate::http::{
    ApiError, AppState,
    auth::{CurrentUser, bearer_token},
    body::JsonBody,
    client, cookies,
    views::{DetailView, ErrorView, UserView},
};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Deserialize, ToSchema)]
struct LogInBody {
    email: Option<String>,
    password: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct ResetPasswordBody {
    new_password: Option<String>,
    /// Required where a password is set.
    old_password: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignedInView {
    pub(super) user: UserView,
}

#[derive(Debug, Serialize, ToSchema)]
struct SuccessView {
    success: bool,
}

/// Signs in with e-mail and password; sets both cookies.
#[utoipa::path(tag = "auth", security(()), request_body = LogInBody, responses(
    (status = 200, body = SignedInView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView),
))]
#[post("/auth/login")]
pub async fn log_in(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<LogInBody>,
) -> Result<HttpResponse, ApiError> {
    let LogInBody { email, password } = body.0;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (Some(email), Some(password)) = (given(email), given(password)) else {
        return Err(ApiError::bad_request("Email and password are required."));
    };
    let (address, device) = (client::address(&request), client::device(&request));
    let (user, tokens) = state.services.log_in(&email, password, address, device).await?;
    let mut response = HttpResponse::Ok();
    cookies::set(&mut response, &state, &tokens);
    Ok(response.json(SignedInView { user: user.into() }))
}

/// Ends the session, if there is one, and takes the cookies back.
#[utoipa::path(tag = "auth", security(()), responses((status = 200, body = DetailView)))]
#[post("/auth/logout")]
pub async fn log_out(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let access =
        bearer_token(&request).map(str::to_owned).or_else(|| cookies::read(&request, cookies::ACCESS));
    let refresh = cookies::read(&request, cookies::REFRESH);
    state.services.log_out(access.as_deref(), refresh.as_deref()).await?;
    let mut response = HttpResponse::Ok();
    cookies::clear(&mut response, &state);
    Ok(response.json(DetailView { detail: "Logged out successfully." }))
}

/// The signed-in user.
#[utoipa::path(tag = "auth", responses((status = 200, body = SignedInView), (status = 401, body = ErrorView)))]
#[get("/auth/me")]
pub async fn show_me(caller: CurrentUser) -> HttpResponse {
    HttpResponse::Ok().json(SignedInView { user: caller.user.into() })
}

/// Exchanges the refresh cookie for a new pair. A repeat within 30 seconds gets the same successor.
#[utoipa::path(tag = "auth", security(()), responses(
    (status = 200, body = SuccessView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
))]
#[post("/auth/refresh")]
pub async fn refresh_tokens(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    // Without a cookie this is no 401: pages would answer that with another refresh.
    let Some(token) = cookies::read(&request, cookies::REFRESH) else {
        return Ok(refused(&state, ApiError::bad_request("Refresh token is required.")));
    };
    match state.services.refresh(&token).await? {
        Some(tokens) => {
            let mut response = HttpResponse::Ok();
            cookies::set(&mut response, &state, &tokens);
            Ok(response.json(SuccessView { success: true }))
        }
        None => Ok(refused(&state, ApiError::Unauthenticated)),
    }
}

/// The error's answer, with both cookies taken back.
fn refused(state: &AppState, error: ApiError) -> HttpResponse {
    let mut response = actix_web::ResponseError::error_response(&error);
    let mut cleared = HttpResponse::Ok();
    cookies::clear(&mut cleared, state);
    let cleared = cleared.finish();
    for cookie in cleared.cookies() {
        // A cookie of ours has only characters that a header takes.
        let _ = response.add_cookie(&cookie);
    }
    response
}

/// Sets the caller's password; their other sessions end.
#[utoipa::path(tag = "auth", request_body = ResetPasswordBody, responses(
    (status = 200, body = DetailView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
))]
#[post("/auth/reset_password")]
pub async fn reset_password(
    caller: CurrentUser,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<ResetPasswordBody>,
) -> Result<HttpResponse, ApiError> {
    let ResetPasswordBody { new_password, old_password } = body.0;
    let address = client::address(&request);
    let (user, session) = (&caller.user, caller.session);
    state.services.reset_password(user, session, old_password, new_password, address).await?;
    Ok(HttpResponse::Ok().json(DetailView { detail: "Password updated successfully." }))
}
