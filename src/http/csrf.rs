//! Refuses writes that another site made a browser send, before their body is read.
//!
//! With `SameSite=None` cookies the browser adds them to requests from anywhere; what tells them apart is
//! `Origin`, else `Referer`, else `Sec-Fetch-Site` (contract, section 2). A client that sends none of the
//! three is no browser. Bearer calls carry nothing that a browser adds by itself.

use super::{ApiError, AppState, auth, cookies, observe::loggable};
use actix_web::{
    Error, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web,
};
use url::Url;

pub async fn refuse_foreign_writes(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if is_refused(request.request()) {
        tracing::warn!(
            event = "cross_site_write_refused",
            path = loggable(request.path()).as_ref(),
            peer = ?request.peer_addr(),
            "a write from another site was refused"
        );
        return Ok(request.error_response(ApiError::CrossSite));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

fn is_refused(request: &HttpRequest) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return false;
    }
    let is_bearer = auth::bearer_token(request).is_some();
    let has_cookie = [cookies::ACCESS, cookies::REFRESH].iter().any(|name| request.cookie(name).is_some());
    // Signing in sets cookies: another site must not sign a visitor in as somebody else.
    let signs_in = request.path().starts_with("/api/auth/");
    if is_bearer || !(has_cookie || signs_in) {
        return false;
    }
    let text =
        |name: header::HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(origin) = text(header::ORIGIN) {
        return !is_ours(request, origin);
    }
    if let Some(referer) = text(header::REFERER) {
        let origin = Url::parse(referer).ok().map(|url| url.origin().ascii_serialization());
        return !origin.is_some_and(|origin| is_ours(request, &origin));
    }
    text(header::HeaderName::from_static("sec-fetch-site")) == Some("cross-site")
}

/// This server's own origin, by its configuration or by the host that was asked for, or a frontend's.
fn is_ours(request: &HttpRequest, origin: &str) -> bool {
    let Some(state) = request.app_data::<web::Data<AppState>>() else { return false };
    if state.services.config.server.frontend_origins.iter().any(|allowed| allowed == origin) {
        return true;
    }
    let Ok(url) = Url::parse(origin) else { return false };
    if !matches!(url.scheme(), "http" | "https") {
        return false;
    }
    let own = Url::parse(&state.base_url).is_ok_and(|own| own.origin() == url.origin());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    own || (authority.is_some() && authority == host)
}
