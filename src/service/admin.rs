//! What administrators see and do. Each act is in the audit, by the transaction that does it.

use super::{ServiceError, Services, usage_of};
use crate::db::{
    Tx,
    admin::{JobOverviewRow, KindFiguresRow, SiteFiguresRow, UserChange, UserOverviewRow},
    audit::Act,
    processing::JobStatus,
};
use cdn_actors::domain::{
    ids::{SessionId, UserId},
    page::Page,
    quota::Usage,
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// An administrator at work.
#[derive(Debug, Clone)]
pub struct Administrator {
    pub user: UserId,
    pub session: Option<SessionId>,
    pub network: String,
}

const LAST_ADMINISTRATOR: &str = "At least one active administrator must remain.";

impl Services {
    /// How many jobs of everybody are in each state, and a page of those in one, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_all_jobs(
        &self,
        status: JobStatus,
        page: Page,
    ) -> Result<(HashMap<String, i64>, Vec<JobOverviewRow>), ServiceError> {
        let mut counts: HashMap<String, i64> =
            JobStatus::ALL.into_iter().map(|status| (status.as_str().to_owned(), 0)).collect();
        counts.extend(self.db.count_jobs_by_status().await?);
        Ok((counts, self.db.list_all_jobs(status, page).await?))
    }

    /// A page of users by id, and how many there are; a needle is looked for in addresses and names.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_users(
        &self,
        search: Option<&str>,
        page: Page,
    ) -> Result<(i64, Vec<UserOverviewRow>), ServiceError> {
        Ok((self.db.count_users(search).await?, self.db.list_user_overviews(search, page).await?))
    }

    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn show_user(&self, user: UserId) -> Result<UserOverviewRow, ServiceError> {
        self.db.find_user_overview(user).await?.ok_or(ServiceError::NotFound)
    }

    /// Changes a user's tier and rights. Who is disabled is signed out at once.
    ///
    /// # Errors
    /// An unknown tier, an unknown user, a change that would leave no active administrator.
    pub async fn change_user(
        &self,
        admin: Administrator,
        user: UserId,
        change: UserChange,
    ) -> Result<UserOverviewRow, ServiceError> {
        if let Some(tier) = &change.tier {
            self.check_tier(tier)?;
        }
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            let administrators = tx.lock_administrators().await?;
            let before = tx.find_user(user).await?.ok_or(ServiceError::NotFound)?;
            let takes_rights = change.is_active == Some(false) || change.is_admin == Some(false);
            if takes_rights && administrators == [(user.get(),)] {
                return Err(ServiceError::Conflict(LAST_ADMINISTRATOR.into()));
            }
            tx.change_user(user, &change, now).await?;
            if change.is_active == Some(false) {
                tx.end_sessions(user, None).await?;
            }
            let after = tx.user_overview(user).await?.ok_or(ServiceError::NotFound)?;
            let mut details = serde_json::Map::new();
            let mut compare = |field: &str, old: Value, new: Value| {
                if old != new {
                    details.insert(field.to_owned(), json!({"from": old, "to": new}));
                }
            };
            compare("tier", json!(before.tier), json!(after.user.tier));
            compare("is_active", json!(before.is_active), json!(after.user.is_active));
            compare("is_admin", json!(before.is_admin), json!(after.user.is_admin));
            if !details.is_empty() {
                let route = "/api/admin/users/{id}";
                tx.record_act(&admin.act("user_changed", user, route, details.into(), now)).await?;
            }
            Ok(after)
        };
        self.db.write(work).await
    }

    /// Ends all sessions of a user's, but the one that asks; with `revoke_keys` their API keys go too.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn sign_out_user(
        &self,
        admin: Administrator,
        user: UserId,
        revoke_keys: bool,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let work = async move |tx: &mut Tx| {
            tx.find_user(user).await?.ok_or(ServiceError::NotFound)?;
            let keep = admin.session.filter(|_| admin.user == user);
            tx.end_sessions(user, keep).await?;
            let revoked = if revoke_keys { tx.delete_api_keys(user).await? } else { 0 };
            let route = "/api/admin/users/{id}/sign-out";
            let details = json!({"api_keys_revoked": revoked});
            Ok::<_, ServiceError>(
                tx.record_act(&admin.act("user_signed_out", user, route, details, now)).await?,
            )
        };
        self.db.write(work).await
    }

    pub fn usage_of_overview(&self, row: &UserOverviewRow) -> Usage {
        usage_of(&self.config.quota, row.storage_used, row.storage_reserved, &row.user.tier)
    }

    /// Sums over all accounts, and living files by kind of media.
    ///
    /// # Errors
    /// The database's.
    pub async fn site_figures(&self) -> Result<(SiteFiguresRow, Vec<KindFiguresRow>), ServiceError> {
        Ok((self.db.site_figures().await?, self.db.figures_by_kind().await?))
    }
}

impl Administrator {
    fn act(
        &self,
        event: &'static str,
        user: UserId,
        route: &'static str,
        details: Value,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Act {
        Act { event, actor: self.user, user: Some(user), network: self.network.clone(), route, details, now }
    }
}
