//! What a user sees of their own use: dashboard, activity, statistics, search.

use super::{ServiceError, Services, files::FileDetails};
use crate::db::{
    activity::{ActivityFilter, ActivityRow},
    analytics::{AnalyticsFilter, AnalyticsRow, TypeTotalRow},
    folders::FolderRow,
    users::{AccountRow, UserRow},
};
use cdn_actors::domain::{ids::UserId, page::Page, quota::Usage};
use std::{cmp::Reverse, collections::HashMap};
use uuid::Uuid;

/// Rows of each kind that a search shows.
const SEARCH_RESULTS: u32 = 20;
/// Rows that statistics show without pages.
pub const ANALYTICS_ROWS: u64 = 100;

/// The dashboard's parts, all from kept counters and short index ranges.
#[derive(Debug)]
pub struct Dashboard {
    pub account: AccountRow,
    pub usage: Usage,
    /// Bytes of living files.
    pub total_size: i64,
    pub recent_activity: Vec<ActivityRow>,
    pub recent_files: Vec<FileDetails>,
    pub largest_types: Vec<TypeTotalRow>,
}

impl Services {
    /// # Errors
    /// The database's.
    pub async fn dashboard(&self, user: &UserRow) -> Result<Dashboard, ServiceError> {
        let id = user.id();
        let account = self.db.account(id).await?;
        let usage =
            super::usage_of(&self.config.quota, account.storage_used, account.storage_reserved, &user.tier);
        let newest = Page { number: 1, size: 10 };
        let recent_files = self.with_versions(self.db.list_newest_files(id, 5).await?).await?;
        Ok(Dashboard {
            usage,
            total_size: self.db.total_living_size(id).await?,
            recent_activity: self.db.list_activity(id, &ActivityFilter::default(), newest).await?,
            recent_files,
            largest_types: self.db.largest_media_types(id, 5).await?,
            account,
        })
    }

    /// # Errors
    /// The database's.
    pub async fn list_activity(
        &self,
        user: UserId,
        filter: &ActivityFilter,
        page: Page,
    ) -> Result<(i64, Vec<ActivityRow>), ServiceError> {
        let count = self.db.count_activity(user, filter).await?;
        Ok((count, self.db.list_activity(user, filter, page).await?))
    }

    /// Statistics of the user's files with the files, newest day first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_analytics(
        &self,
        user: UserId,
        filter: &AnalyticsFilter,
        page: Page,
    ) -> Result<Vec<(AnalyticsRow, FileDetails)>, ServiceError> {
        let rows = self.db.list_analytics(user, filter, page).await?;
        let mut ids: Vec<Uuid> = rows.iter().map(|row| row.file_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let files = self.with_versions(self.db.find_files(user, &ids).await?).await?;
        let files: HashMap<Uuid, FileDetails> = files.into_iter().map(|file| (file.row.id, file)).collect();
        Ok(rows
            .into_iter()
            .filter_map(|row| files.get(&row.file_id).cloned().map(|file| (row, file)))
            .collect())
    }

    /// # Errors
    /// The database's.
    pub async fn count_analytics(&self, user: UserId, filter: &AnalyticsFilter) -> Result<i64, ServiceError> {
        Ok(self.db.count_analytics(user, filter).await?)
    }

    /// Files and folders of the user's or given to the user whose names contain the text, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn search(
        &self,
        user: UserId,
        text: &str,
    ) -> Result<(Vec<FileDetails>, Vec<FolderRow>), ServiceError> {
        let viewer = self.viewer(user);
        let mut files = self.db.search_files(user, text, SEARCH_RESULTS).await?;
        let mut folders = self.db.search_folders(user, text, SEARCH_RESULTS).await?;
        if self.db.has_grants(user).await? {
            let (now, most) = (viewer.now, SEARCH_RESULTS);
            files.extend(self.db.search_given_files(user, text, most, now).await?);
            files.sort_by_key(|file| Reverse((file.created_at, file.id)));
            files.truncate(SEARCH_RESULTS as usize);
            folders.extend(self.db.search_given_folders(user, text, most, now).await?);
            folders.sort_by_key(|folder| Reverse((folder.folder_created_at, folder.folder_id)));
            folders.truncate(SEARCH_RESULTS as usize);
        }
        Ok((self.show_files(&viewer, files).await?, self.show_folders(&viewer, folders).await?))
    }
}
