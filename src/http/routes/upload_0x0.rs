//! Uploads that are passed on to a host elsewhere, and how that goes.

use super::uploads::{FORM_SLACK, parse_filename};
use crate::{
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        multipart::{Form, Part},
        views::{ErrorView, content_url},
    },
    service::upload_0x0::{Fields, ProxyOutcome, ProxySpec, ProxyStatus, ProxyUpload, Reading, no_file},
};
use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{StatusCode, header},
    post, web,
};
use cdn_actors::{domain::timestamp::Timestamp, ports::HostAnswer};
use serde::Serialize;
use utoipa::ToSchema;

/// A form for the host.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct ProxyForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// When the host shall forget the file: hours, or milliseconds since 1970.
    expires: Option<String>,
    /// Asks the host for a URL that is hard to guess.
    secret: Option<String>,
}

/// Uploads in this process that are passed on.
#[derive(Debug, Serialize, ToSchema)]
struct ProxyStatusView {
    /// The host's name, or `local`.
    endpoint: String,
    /// Uploads that can run at the same time.
    slots: usize,
    running: usize,
    /// Uploads that can wait for a slot.
    queue: usize,
    waiting: usize,
    /// Newest first, of all users.
    recent_failures: Vec<ProxyFailureView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ProxyFailureView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `connection_error`, `timeout`, `bad_answer` or `failed`.
    outcome: &'static str,
    attempts: u32,
}

impl From<ProxyStatus> for ProxyStatusView {
    fn from(status: ProxyStatus) -> Self {
        let failures = status.failures.into_iter().map(|failure| ProxyFailureView {
            at: failure.at.into(),
            outcome: failure.outcome,
            attempts: failure.attempts,
        });
        Self {
            endpoint: status.endpoint,
            slots: status.slots,
            running: status.running,
            queue: status.queue,
            waiting: status.waiting,
            recent_failures: failures.collect(),
        }
    }
}

/// Passes a file on to the configured host; the host's answer comes back as it is.
#[utoipa::path(tag = "files", request_body(content = ProxyForm, content_type = "multipart/form-data"), responses(
    (status = 200, description = "What the host answered, with its status and content type", body = String,
        content_type = "text/plain"),
    (status = 400, body = ErrorView), (status = 401, body = ErrorView), (status = 402, body = ErrorView),
    (status = 413, body = ErrorView), (status = 415, body = ErrorView), (status = 502, body = ErrorView),
    (status = 503, body = ErrorView), (status = 504, body = ErrorView),
))]
#[post("/cdn/upload-0x0")]
pub async fn pass_upload_on(
    caller: CurrentUser,
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let mut form = Form::new(&request, payload, state.services.config.uploads.stall_timeout.duration())?;
    let mut fields = Fields::default();
    let mut taken = None;
    let read = read_form(&state, &caller, &mut form, &mut fields, &mut taken).await;
    let upload: ProxyUpload = match (read, taken) {
        (Ok(()), Some(upload)) => upload,
        (Ok(()), None) => return Err(no_file().into()),
        (Err(ApiError::Service(error)), Some(upload)) => {
            upload.abandon(&error).await;
            return Err(error.into());
        }
        (Err(error), _) => return Err(error),
    };
    Ok(match upload.finish(fields).await? {
        ProxyOutcome::Answer(answer) => passed_back(answer),
        ProxyOutcome::Kept(file) => {
            let mut response = HttpResponse::Ok();
            if let Some(until) = file.row.expires_at {
                response.insert_header(("X-Expires", until.timestamp_millis().to_string()));
            }
            let url = content_url(&state.base_url, file.row.id, &file.row.filename);
            response.content_type("text/plain; charset=utf-8").body(format!("{url}\n"))
        }
    })
}

/// Reads the form to its end, or as far as it matters.
async fn read_form(
    state: &AppState,
    caller: &CurrentUser,
    form: &mut Form,
    fields: &mut Fields,
    taken: &mut Option<ProxyUpload>,
) -> Result<(), ApiError> {
    let services = &state.services;
    while let Some(part) = form.next_part().await? {
        match part {
            Part::File(_) if taken.is_some() => {
                return Err(ApiError::field("file", "Send one file in a request."));
            }
            Part::File(file) => {
                let spec = ProxySpec {
                    filename: parse_filename("file", file.filename())?,
                    declared_type: file.content_type.clone(),
                    declared_size: file.declared_size,
                    slack: FORM_SLACK,
                    tier_max_size: services.max_file_size(&caller.user.tier),
                };
                let upload = taken.insert(services.begin_upload_0x0(&caller.origin, spec, fields).await?);
                if upload.receive(file.into_content()).await? == Reading::Settled {
                    return Ok(());
                }
            }
            Part::Text { name, value } => fields.set(&name, value),
        }
    }
    Ok(())
}

/// The host's answer as the host gave it.
fn passed_back(answer: HostAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    if let Some(content_type) = answer.content_type {
        response.insert_header((header::CONTENT_TYPE, content_type));
    }
    for (name, value) in [("X-Expires", answer.expires), ("X-Token", answer.token)] {
        if let Some(value) = value {
            response.insert_header((name, value));
        }
    }
    response.body(answer.body)
}

/// Slots, line and recent failures of the uploads that are passed on.
#[utoipa::path(tag = "files", responses(
    (status = 200, body = ProxyStatusView), (status = 401, body = ErrorView),
))]
#[get("/cdn/upload-0x0/status")]
pub async fn show_upload_status(_caller: CurrentUser, state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().json(ProxyStatusView::from(state.services.upload_0x0_status()))
}
