//! `[slack]`: sign-in by Slack, or by any provider of OpenID Connect.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::check::Checks;
use super::redact;
use super::server::is_base_url;
use super::units::Span;

/// Slack's own issuer (https://slack.com/.well-known/openid-configuration).
const SLACK_ISSUER: &str = "https://slack.com";

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// Empty: nobody signs in this way.
    pub client_id: String,
    pub client_secret: String,
    /// Empty: any workspace, for providers that have none.
    pub team_id: String,
    pub issuer: String,
    pub authorize_url: String,
    pub token_url: String,
    /// Empty: the ID token says all.
    pub userinfo_url: String,
    pub jwks_url: String,
    /// Empty: the first of `server.frontend_origins`, or this server.
    pub frontend_url: String,
    /// Empty: `quota.default_tier`.
    pub default_tier: String,
    /// Subjects.
    pub admins: Vec<String>,
    pub timeout: Span,
}

impl Default for SlackConfig {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_secret: String::new(),
            team_id: String::new(),
            issuer: SLACK_ISSUER.to_owned(),
            authorize_url: "https://slack.com/openid/connect/authorize".to_owned(),
            token_url: "https://slack.com/api/openid.connect.token".to_owned(),
            userinfo_url: "https://slack.com/api/openid.connect.userInfo".to_owned(),
            jwks_url: "https://slack.com/openid/connect/keys".to_owned(),
            frontend_url: String::new(),
            default_tier: String::new(),
            admins: Vec::new(),
            timeout: Span::from_secs(10),
        }
    }
}

impl fmt::Debug for SlackConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackConfig")
            .field("client_id", &self.client_id)
            .field("client_secret", &redact::secret(&self.client_secret))
            .field("team_id", &self.team_id)
            .field("issuer", &self.issuer)
            .field("authorize_url", &self.authorize_url)
            .field("token_url", &redact::url(&self.token_url))
            .field("userinfo_url", &redact::url(&self.userinfo_url))
            .field("jwks_url", &redact::url(&self.jwks_url))
            .field("frontend_url", &self.frontend_url)
            .field("default_tier", &self.default_tier)
            .field("admins", &self.admins)
            .field("timeout", &self.timeout)
            .finish()
    }
}

impl SlackConfig {
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.client_id.is_empty()
    }

    /// `origins` are those that people may land on.
    pub(super) fn check(&self, checks: &mut Checks, origins: &[String], tiers: &[&str]) {
        checks.above_zero("slack.timeout", self.timeout);
        checks.require(
            self.default_tier.is_empty() || tiers.contains(&self.default_tier.as_str()),
            "slack.default_tier",
            &self.default_tier,
            format!("one of {}, or nothing", tiers.join(", ")),
        );
        let origin = Url::parse(&self.frontend_url).ok().map(|url| url.origin().ascii_serialization());
        checks.require(
            self.frontend_url.is_empty()
                || is_base_url(&self.frontend_url) && origin.is_some_and(|own| origins.contains(&own)),
            "slack.frontend_url",
            redact::url(&self.frontend_url),
            "a URL of this server or of one in `server.frontend_origins`, or nothing",
        );
        if !self.is_enabled() {
            return;
        }
        checks.require(!self.client_secret.is_empty(), "slack.client_secret", "", "the secret of the client");
        checks.require(
            !self.team_id.is_empty() || self.issuer != SLACK_ISSUER,
            "slack.team_id",
            &self.team_id,
            "the id of your workspace, such as \"T0123ABCD\": without it all of Slack could sign in",
        );
        checks.require(!self.issuer.is_empty(), "slack.issuer", &self.issuer, "the provider's issuer");
        let endpoints = [
            ("slack.authorize_url", &self.authorize_url, true),
            ("slack.token_url", &self.token_url, true),
            ("slack.userinfo_url", &self.userinfo_url, false),
            ("slack.jwks_url", &self.jwks_url, true),
        ];
        for (key, url, is_required) in endpoints {
            checks.require(
                is_endpoint(url) || (url.is_empty() && !is_required),
                key,
                redact::url(url),
                "an https URL (http only for this machine)",
            );
        }
    }
}

/// Secrets and tokens go there, so nobody on the way may read along.
fn is_endpoint(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_local = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    is_base_url(text) && (url.scheme() == "https" || is_local)
}
