//! What is made of the caller's files, and another try at what failed.

use crate::{
    db::processing::{JobFilter, JobStatus},
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        pages::PageView,
        params::{PathId, Query},
        views::{ErrorView, JobView},
    },
    service::processing::JOB_ROWS,
};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use cdn_actors::domain::{
    ids::{FileId, JobId},
    page::Page,
};
use uuid::Uuid;

/// Jobs of the caller's files, newest first; an array of at most 100, or a page.
#[utoipa::path(tag = "processing", params(
    ("status" = Option<String>, Query, description = "pending, processing, completed or failed"),
    ("job_type" = Option<String>, Query), ("file" = Option<Uuid>, Query),
    ("page" = Option<u64>, Query, description = "answers a page instead of an array"),
    ("page_size" = Option<u64>, Query),
), responses(
    (status = 200, body = Vec<JobView>), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
    (status = 404, body = ErrorView),
))]
#[get("/cdn/processing")]
pub async fn list_jobs(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let filter = JobFilter {
        status: query.get_with("status", "pending, processing, completed or failed", JobStatus::parse)?,
        job_type: query.text("job_type")?,
        file: query.get_with("file", "a UUID", |text| Uuid::parse_str(text).ok())?.map(FileId),
    };
    let is_paged = query.get("page").is_some();
    let page = if is_paged { query.page()? } else { Page { number: 1, size: JOB_ROWS } };
    let jobs = state.services.list_jobs(caller.id(), &filter, page).await?;
    let views: Vec<JobView> =
        jobs.into_iter().map(|(row, file)| JobView::new(&state.base_url, row, &file)).collect();
    if !is_paged {
        return Ok(HttpResponse::Ok().json(views));
    }
    let count = state.services.count_jobs(caller.id(), &filter).await?;
    Ok(HttpResponse::Ok().json(PageView::new(&state, request.path(), &query, page, count, views)?))
}

/// One job.
#[utoipa::path(tag = "processing", params(("id" = Uuid, Path)), responses(
    (status = 200, body = JobView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
))]
#[get("/cdn/processing/{id}")]
pub async fn show_job(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let (row, file) = state.services.job(caller.id(), JobId(id.0)).await?;
    Ok(HttpResponse::Ok().json(JobView::new(&state.base_url, row, &file)))
}

/// Queues a failed job again, with all its attempts.
#[utoipa::path(tag = "processing", params(("id" = Uuid, Path)), responses(
    (status = 200, body = JobView), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
    (status = 409, body = ErrorView, description = "It has not failed"),
))]
#[post("/cdn/processing/{id}/retry")]
pub async fn retry_job(
    caller: CurrentUser,
    state: web::Data<AppState>,
    id: PathId,
) -> Result<HttpResponse, ApiError> {
    let (row, file) = state.services.retry_job(caller.id(), JobId(id.0)).await?;
    Ok(HttpResponse::Ok().json(JobView::new(&state.base_url, row, &file)))
}
