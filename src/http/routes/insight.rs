//! What a user sees of their own use: dashboard, activity, statistics.

use crate::{
    db::{
        activity::{Action, ActivityFilter},
        analytics::AnalyticsFilter,
        trash::ResourceType,
    },
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        pages::PageView,
        params::{Query, parse_day, parse_time, parse_until},
        views::{ActivityView, AnalyticsView, ErrorView, FileView, file_views},
    },
    service::dashboard::ANALYTICS_ROWS,
};
use actix_web::{HttpRequest, HttpResponse, get, web};
use cdn_actors::domain::{ids::FileId, page::Page, size::human_size};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Serialize, ToSchema)]
struct DashboardView {
    stats: StatsView,
    recent_activity: Vec<ActivityView>,
    recent_files: Vec<FileView>,
    /// The five with most bytes.
    storage_by_type: Vec<TypeTotalView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct StatsView {
    total_files: i64,
    total_folders: i64,
    /// Bytes of living files.
    total_size: i64,
    total_size_human: String,
    /// Bytes that count against the limit: distinct contents, versions and trash included.
    storage_used: u64,
    storage_limit: u64,
    quota_tier: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct TypeTotalView {
    mime_type: String,
    count: i64,
    /// Bytes.
    size: i64,
}

/// The caller's storage and latest doings.
#[utoipa::path(tag = "insight", responses((status = 200, body = DashboardView), (status = 401, body = ErrorView)))]
#[get("/cdn/dashboard")]
pub async fn show_dashboard(
    caller: CurrentUser,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let dashboard = state.services.dashboard(&caller.user).await?;
    let types = dashboard.largest_types.into_iter();
    Ok(HttpResponse::Ok().json(DashboardView {
        stats: StatsView {
            total_files: dashboard.account.files_count,
            total_folders: dashboard.account.folders_count,
            total_size: dashboard.total_size,
            total_size_human: human_size(u64::try_from(dashboard.total_size).unwrap_or(0)),
            storage_used: dashboard.usage.used,
            storage_limit: dashboard.usage.limit,
            quota_tier: dashboard.usage.tier,
        },
        recent_activity: dashboard.recent_activity.into_iter().map(Into::into).collect(),
        recent_files: file_views(&state.base_url, &dashboard.recent_files),
        storage_by_type: types
            .map(|row| TypeTotalView {
                mime_type: row.mime_type,
                count: row.files_count,
                size: row.total_size,
            })
            .collect(),
    }))
}

/// What the caller did, newest first.
#[utoipa::path(tag = "insight", params(
    ("action_type" = Option<String>, Query), ("resource_type" = Option<String>, Query),
    ("resource_id" = Option<Uuid>, Query), ("since" = Option<String>, Query, description = "RFC 3339, or a day"),
    ("until" = Option<String>, Query), ("page" = Option<u64>, Query), ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = PageView<ActivityView>), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/activity")]
pub async fn list_activity(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let page = query.page()?;
    let time = "a time of RFC 3339, or a day";
    let filter = ActivityFilter {
        action: query.get_with("action_type", "a kind of action", Action::parse)?,
        resource_type: query.get_with("resource_type", "file or folder", ResourceType::parse)?,
        resource: query.get_with("resource_id", "a UUID", |text| Uuid::parse_str(text).ok())?,
        since: query.get_with("since", time, parse_time)?,
        until: query.get_with("until", time, parse_until)?,
    };
    let (count, rows) = state.services.list_activity(caller.id(), &filter, page).await?;
    let views: Vec<ActivityView> = rows.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}

/// Views and downloads of the caller's files, newest day first; an array of at most 100, or a page.
#[utoipa::path(tag = "insight", params(
    ("file" = Option<Uuid>, Query), ("since" = Option<String>, Query), ("until" = Option<String>, Query),
    ("page" = Option<u64>, Query, description = "answers a page instead of an array"),
    ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = Vec<AnalyticsView>), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/analytics")]
pub async fn list_analytics(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let day = "a day, YYYY-MM-DD";
    let filter = AnalyticsFilter {
        file: query.get_with("file", "a UUID", |text| Uuid::parse_str(text).ok())?.map(FileId),
        since: query.get_with("since", day, parse_day)?,
        until: query.get_with("until", day, parse_day)?,
    };
    let is_paged = query.get("page").is_some();
    let page = if is_paged { query.page()? } else { Page { number: 1, size: ANALYTICS_ROWS } };
    let rows = state.services.list_analytics(caller.id(), &filter, page).await?;
    let views: Vec<AnalyticsView> =
        rows.into_iter().map(|(row, file)| AnalyticsView::new(&state.base_url, row, &file)).collect();
    if !is_paged {
        return Ok(HttpResponse::Ok().json(views));
    }
    let count = state.services.count_analytics(caller.id(), &filter).await?;
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}
