//! Live events, as server-sent events (HTML standard, section 9.2).

use crate::{
    http::{ApiError, AppState, auth::CurrentUser, params::Query, views::ErrorView},
    service::events::{EventStream, StreamItem},
};
use actix_web::{HttpRequest, HttpResponse, get, http::header, rt, web};
use bytes::Bytes;
use cdn_actors::domain::timestamp::Timestamp;
use serde_json::{Value, json};
use std::{convert::Infallible, time::Duration};
use tokio::sync::mpsc;

/// Messages on their way to a reader; one that doesn't take them in time is dropped.
const QUEUE: usize = 16;
/// How long a browser waits before it comes back, in milliseconds.
const RETRY: u32 = 3000;

/// What happens to the caller's things, as it happens.
///
/// Each message has an `id`, an `event` (its type) and JSON `data`: `type`, `at`, and what the type says. The first
/// is `ready`, or `reset` when what was missed is no longer kept: load anew then. Lines that start with `:` are
/// heartbeats. `Last-Event-ID` goes on after an event of the last minutes, and browsers send it by themselves.
#[utoipa::path(tag = "events", params(
    ("last_event_id" = Option<i64>, Query, description = "As the header, for the first request of a page"),
    ("Last-Event-ID" = Option<i64>, Header, description = "The last message that was read"),
), responses(
    (status = 200, body = String, content_type = "text/event-stream"),
    (status = 400, body = ErrorView), (status = 401, body = ErrorView), (status = 503, body = ErrorView),
))]
#[get("/cdn/events")]
pub async fn stream_events(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let after = last_event_id(&request, &query)?;
    let events = state.services.open_events(caller.id(), caller.session, after).await?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let stall_timeout = state.services.config.events.stall_timeout.duration();
    rt::spawn(send_events(events, sender, stall_timeout));
    let messages = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let message = receiver.recv().await?;
        Some((Ok::<_, Infallible>(message), receiver))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would keep messages back until it has a buffer full of them.
        .insert_header((header::HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(messages))
}

/// The header of a browser that comes back, else the page's own word.
fn last_event_id(request: &HttpRequest, query: &Query) -> Result<Option<i64>, ApiError> {
    let parse = |text: &str| text.parse().ok().filter(|id: &i64| *id >= 0);
    match request.headers().get("last-event-id").map(|value| value.to_str().unwrap_or("").trim()) {
        None | Some("") => query.get_with("last_event_id", "the id of an event", parse),
        Some(text) => parse(text)
            .map(Some)
            .ok_or_else(|| ApiError::field("last_event_id", "Not valid: expected the id of an event.")),
    }
}

/// Hands messages on until the stream is over, the reader goes away, or it doesn't take one in time.
async fn send_events(mut events: EventStream, sender: mpsc::Sender<Bytes>, stall_timeout: Duration) {
    loop {
        let item = tokio::select! {
            item = events.next() => item,
            () = sender.closed() => None,
        };
        let Some(item) = item else { return };
        if sender.send_timeout(message(&item), stall_timeout).await.is_err() {
            return;
        }
    }
}

fn message(item: &StreamItem) -> Bytes {
    let text = match item {
        StreamItem::Ready(id) => {
            format!("retry: {RETRY}\nid: {id}\nevent: ready\ndata: {{\"type\":\"ready\"}}\n\n")
        }
        StreamItem::Reset(id) => {
            format!("retry: {RETRY}\nid: {id}\nevent: reset\ndata: {{\"type\":\"reset\"}}\n\n")
        }
        StreamItem::Heartbeat => ":\n\n".to_owned(),
        StreamItem::Event { row, usage } => {
            let mut data = row.data.0.clone();
            data["at"] = json!(Timestamp::from(row.created_at));
            if let Some(usage) = usage {
                data["storage_limit"] = usage.limit.into();
                data["quota_tier"] = Value::from(usage.tier.as_str());
                data["percentage_used"] = json!(usage.percentage_used());
            }
            // JSON has no line break outside its strings, and none in them that isn't escaped.
            format!("id: {}\nevent: {}\ndata: {data}\n\n", row.id, row.kind)
        }
    };
    Bytes::from(text)
}
