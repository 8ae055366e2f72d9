//! Names found by any part of them.
//!
//! Three or more characters ask the index (FTS5 trigram, or pg_trgm). An index over all users is slow for a
//! needle that matches nearly everything, so its matches are counted first, up to a bound: past it the
//! owner's own rows, newest first, are the shorter way.

use super::{
    Db, DbError, Engine, Query, Value,
    access::given,
    files::{FileRow, contains_pattern, file_query},
    folders::{FolderRow, folder_columns},
    users::owner_columns,
};
use cdn_actors::domain::{filename::fold_case, ids::UserId};
use chrono::{DateTime, Utc};

/// Matches up to which the index is joined to the rows.
const INDEX_MATCHES: i64 = 2000;
/// Characters below which a trigram index finds nothing.
const TRIGRAM: usize = 3;

/// How a needle is looked for.
#[derive(Debug, Clone)]
pub(super) enum Needle {
    /// No name contains it.
    Nothing,
    /// Against every row of the owner's.
    Scan { pattern: String },
    /// By PostgreSQL's index first.
    Few { pattern: String },
    /// By the index first; the phrase is for FTS5.
    Index { phrase: String },
}

impl Db {
    /// Chooses the way for a needle; `index` is the FTS5 table.
    pub(super) async fn needle(&self, index: &'static str, text: &str) -> Result<Needle, DbError> {
        // Names have no control characters, and the two names in one column are parted by one.
        if text.chars().any(char::is_control) {
            return Ok(Needle::Nothing);
        }
        let pattern = contains_pattern(text);
        let folded = fold_case(text);
        if folded.chars().count() < TRIGRAM {
            return Ok(Needle::Scan { pattern });
        }
        if self.engine() == Engine::Postgres {
            let table = index.trim_end_matches("_search");
            return self.postgres_needle(table, pattern).await;
        }
        // A string in FTS5's own quotes is matched as it is.
        let phrase = format!("\"{}\"", folded.replace('"', "\"\""));
        let matches: i64 = self
            .q_built(format!(
                "SELECT COUNT(*) FROM (SELECT rowid FROM {index} WHERE {index} MATCH $1 LIMIT $2)"
            ))
            .bind(&phrase)
            .bind(INDEX_MATCHES + 1)
            .scalar()
            .await?;
        Ok(if matches > INDEX_MATCHES { Needle::Scan { pattern } } else { Needle::Index { phrase } })
    }

    /// The same choice on PostgreSQL, whose planner would walk a large owner's rows by age instead.
    async fn postgres_needle(&self, table: &str, pattern: String) -> Result<Needle, DbError> {
        let matches: i64 = self
            .q_built(format!(
                "SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE search_name LIKE $1 ESCAPE '\\' AND trash_id IS NULL
                 LIMIT $2) AS m"
            ))
            .bind(&pattern)
            .bind(INDEX_MATCHES + 1)
            .plan_anew()
            .scalar()
            .await?;
        Ok(if matches > INDEX_MATCHES { Needle::Scan { pattern } } else { Needle::Few { pattern } })
    }

    /// The user's living files whose names contain the text, newest first.
    pub async fn search_files(&self, user: UserId, text: &str, limit: u32) -> Result<Vec<FileRow>, DbError> {
        let needle = self.needle("files_search", text).await?;
        let mut values = vec![Value::from(user)];
        let condition = file_condition(&needle, &mut values);
        let limit_at = values.len() + 1;
        self.q_built(format!(
            "{}WHERE {condition} AND f.trash_id IS NULL
             ORDER BY f.created_at DESC, f.id DESC LIMIT ${limit_at}",
            file_query!()
        ))
        .bind_all(values)
        .bind(limit)
        .plan_anew()
        .all()
        .await
    }

    /// The same of files of others that were given to the user, by themselves or with a folder.
    pub async fn search_given_files(
        &self,
        user: UserId,
        text: &str,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<FileRow>, DbError> {
        if text.chars().any(char::is_control) {
            return Ok(Vec::new());
        }
        self.q(concat!(
            given!(),
            file_query!(
                "WHERE f.owner_id <> $1 AND f.trash_id IS NULL AND f.search_name LIKE $3 ESCAPE '\\' AND f.id IN (
                     SELECT x.id FROM given JOIN files x ON x.folder_id = given.id
                     UNION
                     SELECT s.file_id FROM share_grants g JOIN shares s ON s.id = g.share_id
                     WHERE g.user_id = $1 AND s.file_id IS NOT NULL AND (s.expires_at IS NULL OR s.expires_at > $2))
                 ORDER BY f.created_at DESC, f.id DESC LIMIT $4"
            )
        ))
        .bind(user)
        .bind(now)
        .bind(contains_pattern(text))
        .bind(limit)
        .plan_anew()
        .all()
        .await
    }

    /// The same of folders.
    pub async fn search_given_folders(
        &self,
        user: UserId,
        text: &str,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<FolderRow>, DbError> {
        if text.chars().any(char::is_control) {
            return Ok(Vec::new());
        }
        self.q(concat!(
            given!(),
            "SELECT ",
            folder_columns!(),
            ", ",
            owner_columns!(),
            " FROM folders d JOIN users o ON o.id = d.owner_id
              WHERE d.owner_id <> $1 AND d.search_name LIKE $3 ESCAPE '\\' AND d.id IN (SELECT id FROM given)
              ORDER BY d.created_at DESC, d.id DESC LIMIT $4"
        ))
        .bind(user)
        .bind(now)
        .bind(contains_pattern(text))
        .bind(limit)
        .plan_anew()
        .all()
        .await
    }

    /// The user's living folders whose names contain the text, newest first.
    pub async fn search_folders(
        &self,
        user: UserId,
        text: &str,
        limit: u32,
    ) -> Result<Vec<FolderRow>, DbError> {
        let needle = self.needle("folders_search", text).await?;
        let query: Query<'_> = match &needle {
            Needle::Nothing => return Ok(Vec::new()),
            Needle::Scan { pattern } => self
                .q(concat!(
                    "SELECT ",
                    folder_columns!(),
                    ", ",
                    owner_columns!(),
                    " FROM folders d JOIN users o ON o.id = d.owner_id
                      WHERE d.owner_id = $1 AND d.trash_id IS NULL AND d.search_name LIKE $2 ESCAPE '\\'
                      ORDER BY d.created_at DESC, d.id DESC LIMIT $3"
                ))
                .bind(user)
                .bind(pattern),
            Needle::Few { pattern } => self
                .q(concat!(
                    "SELECT ",
                    folder_columns!(),
                    ", ",
                    owner_columns!(),
                    " FROM folders d JOIN users o ON o.id = d.owner_id
                      WHERE d.owner_id = $1 AND d.trash_id IS NULL AND d.id = ANY (ARRAY(
                          SELECT id FROM folders WHERE search_name LIKE $2 ESCAPE '\\' AND trash_id IS NULL))
                      ORDER BY d.created_at DESC, d.id DESC LIMIT $3"
                ))
                .bind(user)
                .bind(pattern),
            Needle::Index { phrase } => self
                .q(concat!(
                    "SELECT ",
                    folder_columns!(),
                    ", ",
                    owner_columns!(),
                    " FROM (SELECT rowid AS seq FROM folders_search WHERE folders_search MATCH $2) AS m
                      CROSS JOIN folders d ON d.seq = m.seq CROSS JOIN users o ON o.id = d.owner_id
                      WHERE +d.owner_id = $1 AND d.trash_id IS NULL
                      ORDER BY d.created_at DESC, d.id DESC LIMIT $3"
                ))
                .bind(user)
                .bind(phrase),
        };
        query.bind(limit).plan_anew().all().await
    }
}

/// The owner's rows of `files f` that match, with the value added. A trigram phrase matches exactly the substrings that
/// LIKE does, so one of the two is enough.
pub(super) fn file_condition(needle: &Needle, values: &mut Vec<Value>) -> String {
    match needle {
        Needle::Nothing => "f.owner_id = $1 AND 1 = 0".to_owned(),
        Needle::Scan { pattern } => {
            values.push(pattern.into());
            format!("f.owner_id = $1 AND f.search_name LIKE ${} ESCAPE '\\'", values.len())
        }
        Needle::Few { pattern } => {
            values.push(pattern.into());
            // An array is looked up by key; a plain subquery would be merged into the walk it is to replace.
            format!(
                "f.owner_id = $1 AND f.id = ANY (ARRAY(SELECT id FROM files WHERE search_name LIKE ${} ESCAPE '\\'
                 AND trash_id IS NULL))",
                values.len()
            )
        }
        Needle::Index { phrase } => {
            values.push(phrase.into());
            // The unary plus keeps the planner from starting at the owner's index.
            format!(
                "+f.owner_id = $1 AND f.seq IN (SELECT rowid FROM files_search WHERE files_search MATCH ${})",
                values.len()
            )
        }
    }
}
