//! Where the caller is signed in.

use crate::{
    db::sessions::SessionRow,
    http::{ApiError, AppState, auth::CurrentUser, cookies, params::PathId, views::ErrorView},
};
use actix_web::{HttpResponse, delete, get, web};
use cdn_actors::domain::{ids::SessionId, timestamp::Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    id: Uuid,
    /// Browser and system, as far as the User-Agent tells.
    device: String,
    user_agent: String,
    ip_address: Option<String>,
    /// Whether this request was made by it.
    is_current: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Exact to a minute.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl SessionView {
    fn new(row: SessionRow, current: Option<SessionId>) -> Self {
        Self {
            id: row.id,
            device: name_device(&row.user_agent),
            user_agent: row.user_agent,
            ip_address: row.ip_address,
            is_current: current == Some(SessionId(row.id)),
            created_at: row.created_at.into(),
            last_seen_at: row.last_seen_at.into(),
            expires_at: row.expires_at.into(),
        }
    }
}

/// The caller's living sessions, the last seen first; at most 100.
#[utoipa::path(tag = "auth", responses((status = 200, body = Vec<SessionView>), (status = 401, body = ErrorView)))]
#[get("/auth/sessions")]
pub async fn list_sessions(
    caller: CurrentUser,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let rows = state.services.list_sessions(caller.id()).await?;
    let views: Vec<_> = rows.into_iter().map(|row| SessionView::new(row, caller.session)).collect();
    Ok(HttpResponse::Ok().json(views))
}

/// Ends one of the caller's sessions at once, its access tokens too.
#[utoipa::path(tag = "auth", params(("id" = Uuid, Path)), responses(
    (status = 204), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[delete("/auth/sessions/{id}")]
pub async fn end_session(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let session = SessionId(id.0);
    state.services.end_session(caller.id(), session).await?;
    let mut response = HttpResponse::NoContent();
    if caller.session == Some(session) {
        cookies::clear(&mut response, &state);
    }
    Ok(response.finish())
}

/// Words that a User-Agent has and what they tell. The first that fits is taken: most browsers also say that
/// they are others.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// `Firefox on Linux`; what is not known is left out.
fn name_device(user_agent: &str) -> String {
    let find = |words: &[(&str, &'static str)]| {
        words.iter().find(|(word, _)| user_agent.contains(word)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Unknown device".to_owned(),
    }
}
