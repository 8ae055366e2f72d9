//! Views and downloads of files, one row for a file and a day, and the totals by media type.

use super::{
    Db, DbError, Tx, Value,
    files::{FileRow, file_query},
    placeholders,
};
use cdn_actors::domain::{
    ids::{FileId, UserId},
    page::Page,
};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, FromRow)]
pub struct AnalyticsRow {
    pub id: Uuid,
    pub file_id: Uuid,
    /// `YYYY-MM-DD`, UTC.
    pub access_date: String,
    pub view_count: i64,
    pub download_count: i64,
    pub responses: i64,
    pub response_ms: i64,
    pub country_code: String,
    pub referrer_domain: String,
}

#[derive(Debug, Clone, FromRow)]
pub struct TypeTotalRow {
    pub mime_type: String,
    pub files_count: i64,
    pub total_size: i64,
}

/// What statistics are filtered by; days as `YYYY-MM-DD`, both included.
#[derive(Debug, Clone, Default)]
pub struct AnalyticsFilter {
    pub file: Option<FileId>,
    pub since: Option<String>,
    pub until: Option<String>,
}

/// What is added to one file's day.
#[derive(Debug, Clone, Default)]
pub struct DayOfFile {
    pub views: i64,
    pub downloads: i64,
    pub responses: i64,
    pub response_ms: i64,
    pub country_code: String,
    pub referrer_domain: String,
}

impl AnalyticsFilter {
    fn conditions(&self, values: &mut Vec<Value>) -> String {
        let mut sql = String::from("a.owner_id = $1 AND f.trash_id IS NULL");
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ${}", values.len()));
        };
        if let Some(file) = self.file {
            add("a.file_id =", file.into());
        }
        if let Some(since) = &self.since {
            add("a.access_date >=", since.into());
        }
        if let Some(until) = &self.until {
            add("a.access_date <=", until.into());
        }
        sql
    }
}

impl Db {
    pub async fn list_analytics(
        &self,
        owner: UserId,
        filter: &AnalyticsFilter,
        page: Page,
    ) -> Result<Vec<AnalyticsRow>, DbError> {
        let mut values = vec![Value::from(owner)];
        let conditions = filter.conditions(&mut values);
        let (limit, offset) = (values.len() + 1, values.len() + 2);
        self.q_built(format!(
            "SELECT a.id, a.file_id, a.access_date, a.view_count, a.download_count, a.responses, a.response_ms,
                    a.country_code, a.referrer_domain
             FROM file_analytics a JOIN files f ON f.id = a.file_id
             WHERE {conditions} ORDER BY a.access_date DESC, a.id DESC LIMIT ${limit} OFFSET ${offset}"
        ))
        .bind_all(values)
        .bind(page.size)
        .bind(page.offset())
        .all()
        .await
    }

    pub async fn count_analytics(&self, owner: UserId, filter: &AnalyticsFilter) -> Result<i64, DbError> {
        let mut values = vec![Value::from(owner)];
        let conditions = filter.conditions(&mut values);
        self.q_built(format!(
            "SELECT COUNT(*) FROM file_analytics a JOIN files f ON f.id = a.file_id WHERE {conditions}"
        ))
        .bind_all(values)
        .scalar()
        .await
    }

    /// Living files of this owner by their ids.
    pub async fn find_files(&self, owner: UserId, ids: &[Uuid]) -> Result<Vec<FileRow>, DbError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let list = placeholders(2, ids.len());
        self.q_built(format!(
            "{}WHERE f.owner_id = $1 AND f.trash_id IS NULL AND f.id IN ({list})",
            file_query!()
        ))
        .bind(owner)
        .bind_all(ids.iter().copied())
        .all()
        .await
    }

    pub async fn list_newest_files(&self, owner: UserId, limit: u32) -> Result<Vec<FileRow>, DbError> {
        self.q(file_query!(
            "WHERE f.owner_id = $1 AND f.trash_id IS NULL ORDER BY f.created_at DESC, f.id DESC LIMIT $2"
        ))
        .bind(owner)
        .bind(limit)
        .all()
        .await
    }

    /// Bytes of living files, from the totals by media type.
    pub async fn total_living_size(&self, owner: UserId) -> Result<i64, DbError> {
        self.q(
            "SELECT CAST(COALESCE(SUM(total_size), 0) AS BIGINT) FROM media_type_totals WHERE user_id = $1",
        )
        .bind(owner)
        .scalar()
        .await
    }

    pub async fn largest_media_types(&self, owner: UserId, limit: u32) -> Result<Vec<TypeTotalRow>, DbError> {
        self.q("SELECT mime_type, files_count, total_size FROM media_type_totals
                WHERE user_id = $1 AND files_count > 0 ORDER BY total_size DESC, mime_type LIMIT $2")
            .bind(owner)
            .bind(limit)
            .all()
            .await
    }
}

impl Tx {
    /// Adds to a file's day; a file that is gone meanwhile has none.
    pub async fn add_to_day(&mut self, file: FileId, date: &str, day: &DayOfFile) -> Result<(), DbError> {
        self.q("INSERT INTO file_analytics (id, file_id, owner_id, access_date, view_count, download_count, responses,
                    response_ms, country_code, referrer_domain)
                SELECT $1, f.id, f.owner_id, $3, $4, $5, $6, $7, $8, $9 FROM files f WHERE f.id = $2
                ON CONFLICT (file_id, access_date) DO UPDATE SET
                    view_count = file_analytics.view_count + excluded.view_count,
                    download_count = file_analytics.download_count + excluded.download_count,
                    responses = file_analytics.responses + excluded.responses,
                    response_ms = file_analytics.response_ms + excluded.response_ms,
                    country_code = COALESCE(NULLIF(excluded.country_code, ''), file_analytics.country_code),
                    referrer_domain = COALESCE(NULLIF(excluded.referrer_domain, ''), file_analytics.referrer_domain)")
            .bind(Uuid::now_v7())
            .bind(file)
            .bind(date)
            .bind(day.views)
            .bind(day.downloads)
            .bind(day.responses)
            .bind(day.response_ms)
            .bind(&day.country_code)
            .bind(&day.referrer_domain)
            .exec()
            .await?;
        Ok(())
    }
}
