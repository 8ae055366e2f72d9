//! One page of a list, with absolute links to its neighbours.

use super::{ApiError, AppState, openapi, params::Query};
use cdn_actors::domain::page::Page;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageView<T> {
    /// Rows of the whole list.
    pub count: i64,
    /// The next page's URL.
    pub next: Option<String>,
    /// The previous page's URL.
    pub previous: Option<String>,
    pub results: Vec<T>,
}

impl<T> PageView<T> {
    /// # Errors
    /// 404 for a page past the end.
    pub fn new(
        state: &AppState,
        path: &str,
        query: &Query,
        page: Page,
        count: i64,
        results: Vec<T>,
    ) -> Result<Self, ApiError> {
        let total = u64::try_from(count).unwrap_or(0);
        if !page.exists_in(total) {
            return Err(ApiError::PageNotFound);
        }
        let url = |number: u64| page_url(&state.base_url, path, query, number);
        Ok(Self {
            count,
            next: page.has_next(total).then(|| url(page.number + 1)),
            previous: (page.number > 1).then(|| url(page.number - 1)),
            results,
        })
    }
}

fn page_url(base_url: &str, path: &str, query: &Query, number: u64) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(query.without("page"));
    if number > 1 {
        pairs.append_pair("page", &number.to_string());
    }
    let pairs = pairs.finish();
    let path = openapi::canonical_path(path);
    if pairs.is_empty() { format!("{base_url}{path}") } else { format!("{base_url}{path}?{pairs}") }
}
