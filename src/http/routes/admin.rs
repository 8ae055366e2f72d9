//! Administration: users, figures of the site, the audit. Others than administrators get 403.

use crate::{
    db::{
        admin::{JobOverviewRow, KindFiguresRow, UserChange, UserOverviewRow},
        audit::{AuditFilter, AuditKind, AuditRow},
        processing::JobStatus,
    },
    http::{
        ApiError, AppState,
        auth::AdminUser,
        body::JsonBody,
        pages::PageView,
        params::{PathUserId, Query, parse_time, parse_until},
        views::{DetailView, ErrorView},
    },
};
use actix_web::{HttpRequest, HttpResponse, get, patch, post, web};
use cdn_actors::domain::{ids::UserId, size::human_size, timestamp::Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Serialize, ToSchema)]
struct AdminUserView {
    id: i64,
    email: String,
    name: String,
    image: Option<String>,
    tier: String,
    is_active: bool,
    is_admin: bool,
    /// Whether they can sign in by a password.
    has_password: bool,
    /// Bytes.
    storage_used: u64,
    /// Bytes.
    storage_limit: u64,
    files_count: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Of their living sessions the last seen; exact to a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
}

impl AdminUserView {
    fn new(state: &AppState, row: UserOverviewRow) -> Self {
        let usage = state.services.usage_of_overview(&row);
        Self {
            id: row.user.id,
            has_password: row.user.password_hash.is_some(),
            email: row.user.email,
            name: row.user.name,
            image: row.user.image,
            tier: row.user.tier,
            is_active: row.user.is_active,
            is_admin: row.user.is_admin,
            storage_used: usage.used,
            storage_limit: usage.limit,
            files_count: row.files_count,
            created_at: row.created_at.into(),
            last_seen_at: row.last_seen_at.map(Into::into),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
struct UserChangeBody {
    tier: Option<String>,
    is_active: Option<bool>,
    is_admin: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SiteView {
    users: i64,
    files: i64,
    folders: i64,
    trash_items: i64,
    /// Bytes that count against quotas, of all accounts.
    storage_used: i64,
    storage_used_human: String,
    /// Bytes set aside for uploads under way.
    storage_reserved: i64,
    files_by_kind: Vec<KindView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct KindView {
    kind: String,
    files: i64,
    /// Bytes.
    size: i64,
}

impl From<KindFiguresRow> for KindView {
    fn from(row: KindFiguresRow) -> Self {
        Self { kind: row.kind, files: row.files, size: row.size }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct AuditView {
    id: Uuid,
    /// `refusal` or `act`.
    kind: String,
    event: String,
    /// Who acted.
    actor: Option<i64>,
    /// Whom it was done to.
    user: Option<i64>,
    /// The client's address, or the /64 of an IPv6 one; "" for many networks in one row.
    network: String,
    route: String,
    /// How often, within the minute.
    times: i64,
    #[schema(value_type = Object)]
    details: serde_json::Value,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            event: row.event,
            actor: row.actor_id,
            user: row.user_id,
            network: row.network,
            route: row.route,
            times: row.times,
            details: row.details.0,
            created_at: row.created_at.into(),
        }
    }
}

/// All users by id; `search` is looked for in addresses and names.
#[utoipa::path(tag = "admin", params(
    ("search" = Option<String>, Query), ("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = PageView<AdminUserView>), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/admin/users")]
pub async fn list_users(
    _admin: AdminUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let (page, search) = (query.page()?, query.text("search")?);
    let (count, rows) = state.services.list_users(search.as_deref(), page).await?;
    let views = rows.into_iter().map(|row| AdminUserView::new(&state, row)).collect();
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}

/// One user.
#[utoipa::path(tag = "admin", params(("id" = i64, Path)), responses(
    (status = 200, body = AdminUserView), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/admin/users/{id}")]
pub async fn show_user(
    _admin: AdminUser,
    state: web::Data<AppState>,
    id: PathUserId,
) -> Result<HttpResponse, ApiError> {
    let row = state.services.show_user(id.0).await?;
    Ok(HttpResponse::Ok().json(AdminUserView::new(&state, row)))
}

/// Changes a user's tier or rights. Who is disabled is signed out at once; the last active administrator
/// stays one.
#[utoipa::path(tag = "admin", params(("id" = i64, Path)), request_body = UserChangeBody, responses(
    (status = 200, body = AdminUserView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView), (status = 409, body = ErrorView),
))]
#[patch("/admin/users/{id}")]
pub async fn change_user(
    admin: AdminUser,
    state: web::Data<AppState>,
    id: PathUserId,
    body: JsonBody<UserChangeBody>,
) -> Result<HttpResponse, ApiError> {
    let UserChangeBody { tier, is_active, is_admin } = body.0;
    let change = UserChange { tier, is_active, is_admin };
    let row = state.services.change_user(admin.0, id.0, change).await?;
    Ok(HttpResponse::Ok().json(AdminUserView::new(&state, row)))
}

/// Ends all sessions of a user, but the one that asks.
#[utoipa::path(tag = "admin", params(
    ("id" = i64, Path), ("api_keys" = Option<bool>, Query, description = "whether their API keys go too"),
), responses(
    (status = 200, body = DetailView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[post("/admin/users/{id}/sign-out")]
pub async fn sign_out_user(
    admin: AdminUser,
    state: web::Data<AppState>,
    id: PathUserId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let revoke_keys = query.get_with("api_keys", "true or false", |text| text.parse().ok())?.unwrap_or(false);
    state.services.sign_out_user(admin.0, id.0, revoke_keys).await?;
    Ok(HttpResponse::Ok().json(DetailView { detail: "The user has been signed out everywhere." }))
}

/// Figures of the whole site.
#[utoipa::path(tag = "admin", responses(
    (status = 200, body = SiteView), (status = 401, body = ErrorView), (status = 403, body = ErrorView),
))]
#[get("/admin/stats")]
pub async fn show_stats(_admin: AdminUser, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let (figures, kinds) = state.services.site_figures().await?;
    Ok(HttpResponse::Ok().json(SiteView {
        users: figures.users,
        files: figures.files,
        folders: figures.folders,
        trash_items: figures.trash_items,
        storage_used: figures.storage_used,
        storage_used_human: human_size(u64::try_from(figures.storage_used).unwrap_or(0)),
        storage_reserved: figures.storage_reserved,
        files_by_kind: kinds.into_iter().map(Into::into).collect(),
    }))
}

/// What was refused, summed by minute, and what administrators did; newest first.
#[utoipa::path(tag = "admin", params(
    ("kind" = Option<String>, Query, description = "refusal or act"), ("event" = Option<String>, Query),
    ("user" = Option<i64>, Query, description = "by or to whom"), ("since" = Option<String>, Query),
    ("until" = Option<String>, Query), ("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = PageView<AuditView>), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/admin/audit")]
pub async fn list_audit(
    _admin: AdminUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let time = "a time of RFC 3339, or a day";
    let filter = AuditFilter {
        kind: query.get_with("kind", "refusal or act", AuditKind::parse)?,
        event: query.text("event")?,
        user: query.get_with("user", "a user's id", |text| text.parse().ok())?.map(UserId),
        since: query.get_with("since", time, parse_time)?,
        until: query.get_with("until", time, parse_until)?,
    };
    let (count, rows) = state.services.list_audit(&filter, page).await?;
    let views: Vec<AuditView> = rows.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}

#[derive(Debug, Serialize, ToSchema)]
struct AdminJobView {
    id: Uuid,
    file: Uuid,
    owner: i64,
    job_type: String,
    status: String,
    priority: i64,
    attempts: i64,
    max_attempts: i64,
    error_message: String,
    /// When the next attempt is due, of one that waits.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
}

impl From<JobOverviewRow> for AdminJobView {
    fn from(row: JobOverviewRow) -> Self {
        Self {
            id: row.id,
            file: row.file_id,
            owner: row.owner_id,
            job_type: row.job_type,
            status: row.status,
            priority: row.priority,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            error_message: row.error_message,
            due_at: row.due_at.into(),
            created_at: row.created_at.into(),
            started_at: row.started_at.map(Into::into),
            completed_at: row.completed_at.map(Into::into),
        }
    }
}

/// A page of jobs in one state, and how many there are in each.
#[derive(Debug, Serialize, ToSchema)]
struct AdminJobsView {
    counts: HashMap<String, i64>,
    #[serde(flatten)]
    page: PageView<AdminJobView>,
}

/// Everybody's processing jobs in one state, newest first, and how many are in each.
#[utoipa::path(tag = "admin", params(
    ("status" = Option<String>, Query, description = "pending, processing, completed or failed (the default)"),
    ("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = AdminJobsView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 403, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/admin/jobs")]
pub async fn list_all_jobs(
    _admin: AdminUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let states = "pending, processing, completed or failed";
    let status = query.get_with("status", states, JobStatus::parse)?.unwrap_or(JobStatus::Failed);
    let (counts, rows) = state.services.list_all_jobs(status, page).await?;
    let count = counts.get(status.as_str()).copied().unwrap_or_default();
    let views = rows.into_iter().map(Into::into).collect();
    let page = PageView::new(&state, request.path(), &query, page, count, views)?;
    Ok(HttpResponse::Ok().json(AdminJobsView { counts, page }))
}
