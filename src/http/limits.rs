//! Too many requests of one network or one account: refused before any work is done, and counted in memory.
//!
//! Guesses at secrets are counted elsewhere, in the database (`service::guesses`).

use super::{ApiError, AppState, client};
use crate::config::LimitsConfig;
use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use cdn_actors::domain::ids::UserId;
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock};
use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

/// Checks between two clearances of networks and accounts that have gone quiet.
const CLEAR_EVERY: u32 = 4096;

/// Who has asked for how much; shared by all workers.
pub struct RateLimits {
    networks: Option<Limiter<String>>,
    accounts: Option<Limiter<UserId>>,
}

struct Limiter<K: Hash + Eq + Clone> {
    keyed: DefaultKeyedRateLimiter<K>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// `None` where nothing is limited.
    fn new(per_minute: u32, burst: u32) -> Option<Self> {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute)?).allow_burst(NonZeroU32::new(burst)?);
        Some(Self { keyed: DefaultKeyedRateLimiter::dashmap(quota), checks: AtomicU32::new(0) })
    }

    fn check(&self, key: &K) -> Result<(), ApiError> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CLEAR_EVERY == CLEAR_EVERY - 1 {
            self.keyed.retain_recent();
        }
        self.keyed.check_key(key).map_err(|not_until| ApiError::TooManyRequests {
            retry_after: not_until.wait_time_from(self.keyed.clock().now()),
        })
    }
}

impl RateLimits {
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            networks: Limiter::new(config.network_requests_per_minute, config.network_burst),
            accounts: Limiter::new(config.account_requests_per_minute, config.account_burst),
        }
    }

    /// # Errors
    /// 429 with the time to wait.
    pub fn check_account(&self, user: UserId) -> Result<(), ApiError> {
        self.accounts.as_ref().map_or(Ok(()), |accounts| accounts.check(&user))
    }

    fn check_network(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        let Some(networks) = &self.networks else { return Ok(()) };
        networks.check(&client::network(request.request()))
    }
}

/// For the API: inside CORS, so that a frontend can read the refusal.
pub async fn limit_api(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    limit(request, next, true).await
}

/// For all else but what operators look at.
pub async fn limit_content(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let path = request.path();
    let is_limited = !path.starts_with("/api/") && !matches!(path, "/healthz" | "/readyz" | "/metrics");
    limit(request, next, is_limited).await
}

async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    is_limited: bool,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let state = request.app_data::<web::Data<AppState>>();
    if let Some(state) = state.filter(|_| is_limited)
        && let Err(refusal) = state.limits.check_network(&request)
    {
        return Ok(request.error_response(refusal));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}
