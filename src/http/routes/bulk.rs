//! Many things changed by one request.

use super::folders::parse_folder;
use crate::{
    db::trash::ResourceType,
    http::{ApiError, AppState, auth::CurrentUser, body::JsonBody, views::ErrorView},
    service::bulk::{BulkAction, BulkItem, MAX_ITEMS},
};
use actix_web::{HttpResponse, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Deserialize, ToSchema)]
struct BulkBody {
    /// move, trash, restore, star or unstar.
    #[schema(required = true)]
    action: Option<String>,
    /// Up to 500.
    #[schema(required = true)]
    items: Option<Vec<BulkItemBody>>,
    /// Where to move; null: the root.
    target: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct BulkItemBody {
    /// file or folder.
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct BulkView {
    succeeded: usize,
    failed: usize,
    results: Vec<BulkResultView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BulkResultView {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    /// What the request for this thing alone would have answered.
    status: u16,
    error: Option<String>,
}

/// Does one thing to up to 500 files and folders, in one transaction, with a result for each.
#[utoipa::path(tag = "bulk", request_body = BulkBody, responses(
    (status = 200, body = BulkView), (status = 400, body = ErrorView), (status = 401, body = ErrorView),
))]
#[post("/cdn/bulk")]
pub async fn change_many(
    caller: CurrentUser,
    state: web::Data<AppState>,
    body: JsonBody<BulkBody>,
) -> Result<HttpResponse, ApiError> {
    let BulkBody { action, items, target } = body.0;
    let action = match action.as_deref() {
        Some("move") => BulkAction::Move(parse_folder(target.as_deref())?),
        Some("trash") => BulkAction::Trash,
        Some("restore") => BulkAction::Restore,
        Some("star") => BulkAction::Star,
        Some("unstar") => BulkAction::Unstar,
        Some(_) => return Err(ApiError::field("action", "One of move, trash, restore, star, unstar.")),
        None => return Err(ApiError::field("action", "This field is required.")),
    };
    let items = items.ok_or_else(|| ApiError::field("items", "This field is required."))?;
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(ApiError::field("items", format!("Send 1 to {MAX_ITEMS} items.")));
    }
    let parsed: Vec<Option<BulkItem>> = items.iter().map(parse_item).collect();
    let known = parsed.iter().flatten().copied().collect();
    let mut outcomes = state.services.change_many(&caller.origin, action, known).await?.into_iter();
    let results: Vec<BulkResultView> = items
        .into_iter()
        .zip(parsed)
        .map(|(item, parsed)| {
            let outcome = match parsed {
                Some(_) => outcomes.next().unwrap_or(Ok(())).map_err(ApiError::Service),
                None => Err(ApiError::NOT_FOUND),
            };
            let (status, error) = match outcome {
                Ok(()) => (200, None),
                Err(error) => (error.status(), Some(error.message())),
            };
            BulkResultView { kind: item.kind, id: item.id, status, error }
        })
        .collect();
    let succeeded = results.iter().filter(|result| result.error.is_none()).count();
    Ok(HttpResponse::Ok().json(BulkView { succeeded, failed: results.len() - succeeded, results }))
}

/// `None` for what can't be the name of any thing.
fn parse_item(item: &BulkItemBody) -> Option<BulkItem> {
    Some(BulkItem { kind: ResourceType::parse(&item.kind)?, id: Uuid::parse_str(&item.id).ok()? })
}
