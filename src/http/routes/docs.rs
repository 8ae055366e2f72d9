//! The OpenAPI document and the way to its page.

use actix_web::{HttpResponse, get, http::header, web};
use utoipa::openapi::OpenApi;

/// This API as OpenAPI 3.1.
#[utoipa::path(tag = "operation", security(()), responses((status = 200, body = Object)))]
#[get("/openapi.json")]
pub async fn show_openapi(document: web::Data<OpenApi>) -> HttpResponse {
    HttpResponse::Ok().json(document.get_ref())
}

/// The page's files lie below its path, so the browser must ask for one of them.
pub async fn redirect_to_index() -> HttpResponse {
    HttpResponse::Found().insert_header((header::LOCATION, "/api/docs/index.html")).finish()
}
