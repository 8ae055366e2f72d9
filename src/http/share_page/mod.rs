//! The page that people see who open a share's link: HTML that needs no script, and the answers that carry it.

mod refusal;
mod template;

pub use refusal::PageError;
pub use template::{FileEntry, FilePage, FolderEntry, FolderPage, Head, Preview, PreviewKind, UploadForm};

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::Markup;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");

/// Nothing runs, nothing is loaded from elsewhere, and the one style sheet is known by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self'; media-src 'self'; frame-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// A page as an answer. Its address holds the token: it is kept by nobody and sent to no other site.
fn answer(status: StatusCode, page: Markup) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    add_headers(&mut response);
    response.body(page.into_string())
}

fn add_headers(response: &mut HttpResponseBuilder) {
    response
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY.as_str()))
        // Not no-referrer: with it browsers send no origin with a form, and the form would be refused.
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::HeaderName::from_static("x-robots-tag"), "noindex"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
}
