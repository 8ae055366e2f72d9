//! The invariants, verified from the data: counters against rows, rows against objects.

use super::{ServiceError, Services};
use crate::db::{DbError, Tx};
use cdn_actors::domain::ids::BlobId;
use futures_util::StreamExt;
use std::collections::HashMap;
use uuid::Uuid;

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// One sentence a broken invariant.
    pub problems: Vec<String>,
    /// How many of them were put right.
    pub repaired: usize,
    /// Objects in the blob store that were looked at.
    pub objects: u64,
}

impl CheckReport {
    pub fn is_clean(&self) -> bool {
        self.problems.len() == self.repaired
    }
}

/// A figure of a user that is kept, against the one that the rows give.
struct UserFigure {
    name: &'static str,
    /// Rows of (user, kept, counted) where the two differ.
    find: &'static str,
    repair: &'static str,
}

const USER_FIGURES: [UserFigure; 7] = [
    UserFigure {
        name: "storage used",
        find: "SELECT user_id, kept, counted FROM (SELECT a.user_id, a.storage_used AS kept, CAST(
                 COALESCE((SELECT SUM(b.size) FROM blob_owners r JOIN blobs b ON b.id = r.blob_id WHERE r.user_id = a.user_id), 0)
                 + COALESCE((SELECT SUM(f.charged) FROM files f WHERE f.owner_id = a.user_id), 0)
                 + COALESCE((SELECT SUM(v.charged) FROM file_versions v JOIN files f ON f.id = v.file_id WHERE f.owner_id = a.user_id), 0)
               AS BIGINT) AS counted FROM accounts a) AS x WHERE kept <> counted",
        repair: "UPDATE accounts SET storage_used = CAST(
                 COALESCE((SELECT SUM(b.size) FROM blob_owners r JOIN blobs b ON b.id = r.blob_id WHERE r.user_id = accounts.user_id), 0)
                 + COALESCE((SELECT SUM(f.charged) FROM files f WHERE f.owner_id = accounts.user_id), 0)
                 + COALESCE((SELECT SUM(v.charged) FROM file_versions v JOIN files f ON f.id = v.file_id WHERE f.owner_id = accounts.user_id), 0)
               AS BIGINT)",
    },
    UserFigure {
        name: "storage reserved",
        find: "SELECT user_id, kept, counted FROM (SELECT a.user_id, a.storage_reserved AS kept, CAST(
                 COALESCE((SELECT SUM(r.bytes) FROM reservations r WHERE r.user_id = a.user_id), 0) AS BIGINT) AS counted
               FROM accounts a) AS x WHERE kept <> counted",
        repair: "UPDATE accounts SET storage_reserved = CAST(
                 COALESCE((SELECT SUM(r.bytes) FROM reservations r WHERE r.user_id = accounts.user_id), 0) AS BIGINT)",
    },
    UserFigure {
        name: "count of files",
        find: "SELECT user_id, kept, counted FROM (SELECT a.user_id, a.files_count AS kept,
                 (SELECT COUNT(*) FROM files f WHERE f.owner_id = a.user_id AND f.trash_id IS NULL) AS counted
               FROM accounts a) AS x WHERE kept <> counted",
        repair: "UPDATE accounts SET files_count =
                 (SELECT COUNT(*) FROM files f WHERE f.owner_id = accounts.user_id AND f.trash_id IS NULL)",
    },
    UserFigure {
        name: "count of folders",
        find: "SELECT user_id, kept, counted FROM (SELECT a.user_id, a.folders_count AS kept,
                 (SELECT COUNT(*) FROM folders d WHERE d.owner_id = a.user_id AND d.trash_id IS NULL) AS counted
               FROM accounts a) AS x WHERE kept <> counted",
        repair: "UPDATE accounts SET folders_count =
                 (SELECT COUNT(*) FROM folders d WHERE d.owner_id = accounts.user_id AND d.trash_id IS NULL)",
    },
    UserFigure {
        name: "count of trash items",
        find: "SELECT user_id, kept, counted FROM (SELECT a.user_id, a.trash_count AS kept,
                 (SELECT COUNT(*) FROM trash_items t WHERE t.user_id = a.user_id AND t.purging_at IS NULL) AS counted
               FROM accounts a) AS x WHERE kept <> counted",
        repair: "UPDATE accounts SET trash_count =
                 (SELECT COUNT(*) FROM trash_items t WHERE t.user_id = accounts.user_id AND t.purging_at IS NULL)",
    },
    UserFigure {
        name: "total of activity",
        find: "SELECT user_id, kept, counted FROM (SELECT t.user_id, t.total AS kept,
                 (SELECT COUNT(*) FROM activity a WHERE a.user_id = t.user_id AND a.action_type = t.action_type) AS counted
               FROM activity_totals t) AS x WHERE kept <> counted",
        repair: "UPDATE activity_totals SET total = (SELECT COUNT(*) FROM activity a
                 WHERE a.user_id = activity_totals.user_id AND a.action_type = activity_totals.action_type)",
    },
    UserFigure {
        // A number that is behind would be given twice.
        name: "number of the last event",
        find: "SELECT user_id, kept, counted FROM (SELECT a.user_id, a.last_event_id AS kept,
                 COALESCE((SELECT MAX(e.id) FROM events e WHERE e.user_id = a.user_id), 0) AS counted
               FROM accounts a) AS x WHERE kept < counted",
        repair: "UPDATE accounts SET last_event_id = COALESCE(
                 (SELECT MAX(e.id) FROM events e WHERE e.user_id = accounts.user_id), last_event_id)
                 WHERE last_event_id < (SELECT MAX(e.id) FROM events e WHERE e.user_id = accounts.user_id)",
    },
];

/// A rule about single rows.
struct RowRule {
    /// What a row that breaks it is, before its id.
    name: &'static str,
    /// The ids of the rows that break it.
    find: &'static str,
    repair: Option<&'static str>,
}

const ROW_RULES: [RowRule; 19] = [
    RowRule {
        name: "wrong count of files in folder",
        find: "SELECT d.id FROM folders d WHERE d.trash_id IS NULL AND d.files_count <>
                 (SELECT COUNT(*) FROM files f WHERE f.folder_id = d.id AND f.trash_id IS NULL)",
        repair: Some(
            "UPDATE folders SET files_count =
               (SELECT COUNT(*) FROM files f WHERE f.folder_id = folders.id AND f.trash_id IS NULL)
             WHERE trash_id IS NULL",
        ),
    },
    RowRule {
        name: "wrong count of folders in folder",
        find: "SELECT d.id FROM folders d WHERE d.trash_id IS NULL AND d.children_count <>
                 (SELECT COUNT(*) FROM folders c WHERE c.parent_id = d.id AND c.trash_id IS NULL)",
        repair: Some(
            "UPDATE folders SET children_count =
               (SELECT COUNT(*) FROM folders c WHERE c.parent_id = folders.id AND c.trash_id IS NULL)
             WHERE trash_id IS NULL",
        ),
    },
    RowRule {
        name: "path that is not its parent's and its name, of folder",
        find: "SELECT d.id FROM folders d JOIN folders p ON p.id = d.parent_id
               WHERE d.trash_id IS NULL AND (d.path <> p.path || '/' || d.name OR d.depth <> p.depth + 1)",
        repair: None,
    },
    RowRule {
        name: "living folder in a trashed one",
        find: "SELECT d.id FROM folders d JOIN folders p ON p.id = d.parent_id
               WHERE d.trash_id IS NULL AND p.trash_id IS NOT NULL",
        repair: None,
    },
    RowRule {
        name: "living file in a trashed folder",
        find: "SELECT f.id FROM files f JOIN folders d ON d.id = f.folder_id
               WHERE f.trash_id IS NULL AND d.trash_id IS NOT NULL",
        repair: None,
    },
    RowRule {
        name: "trash item without its thing",
        find: "SELECT t.id FROM trash_items t
               WHERE t.purging_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM files f WHERE t.resource_type = 'file' AND f.id = t.resource_id AND f.trash_id = t.id)
                 AND NOT EXISTS (SELECT 1 FROM folders d WHERE t.resource_type = 'folder' AND d.id = t.resource_id AND d.trash_id = t.id)",
        repair: None,
    },
    RowRule {
        name: "wrong count of versions of file",
        find: "SELECT f.id FROM files f WHERE f.versions_count <>
                 (SELECT COUNT(*) FROM file_versions v WHERE v.file_id = f.id)",
        repair: Some(
            "UPDATE files SET versions_count = (SELECT COUNT(*) FROM file_versions v WHERE v.file_id = files.id)",
        ),
    },
    RowRule {
        name: "wrong count of references to blob",
        find: "SELECT b.id FROM blobs b WHERE b.state = 'live' AND b.ref_count <>
                 (SELECT COUNT(*) FROM files f WHERE f.blob_id = b.id)
                 + (SELECT COUNT(*) FROM file_versions v WHERE v.blob_id = b.id)
                 + (SELECT COUNT(*) FROM renditions r WHERE r.blob_id = b.id)",
        repair: Some(
            "UPDATE blobs SET ref_count = (SELECT COUNT(*) FROM files f WHERE f.blob_id = blobs.id)
               + (SELECT COUNT(*) FROM file_versions v WHERE v.blob_id = blobs.id)
               + (SELECT COUNT(*) FROM renditions r WHERE r.blob_id = blobs.id) WHERE state = 'live'",
        ),
    },
    RowRule {
        name: "wrong count of an owner's references to blob",
        find: "SELECT r.blob_id FROM blob_owners r WHERE r.ref_count <>
                 (SELECT COUNT(*) FROM files f WHERE f.blob_id = r.blob_id AND f.owner_id = r.user_id)
                 + (SELECT COUNT(*) FROM file_versions v JOIN files f ON f.id = v.file_id
                    WHERE v.blob_id = r.blob_id AND f.owner_id = r.user_id)",
        repair: None,
    },
    RowRule {
        name: "file whose content nobody owns",
        find: "SELECT f.id FROM files f WHERE f.blob_id IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM blob_owners r WHERE r.blob_id = f.blob_id AND r.user_id = f.owner_id)",
        repair: None,
    },
    RowRule {
        // A limit that was set below what had been downloaded ends the downloads and takes none back.
        name: "more downloads than the limit of share",
        find: "SELECT s.id FROM shares s WHERE s.download_limit IS NOT NULL AND s.download_count >
                 CASE WHEN s.limited_from > s.download_limit THEN s.limited_from ELSE s.download_limit END",
        repair: None,
    },
    RowRule {
        name: "wrong count of downloads of share",
        find: "SELECT s.id FROM shares s WHERE s.download_count <>
                 (SELECT COUNT(*) FROM share_access_logs l WHERE l.share_id = s.id AND l.access_type = 'download')",
        repair: None,
    },
    RowRule {
        name: "wrong count of visits of share",
        find: "SELECT s.id FROM shares s WHERE s.access_logs_count <>
                 (SELECT COUNT(*) FROM share_access_logs l WHERE l.share_id = s.id)",
        repair: Some(
            "UPDATE shares SET access_logs_count = (SELECT COUNT(*) FROM share_access_logs l WHERE l.share_id = shares.id)",
        ),
    },
    RowRule {
        name: "share that is not its thing's owner's",
        find: "SELECT s.id FROM shares s LEFT JOIN files f ON f.id = s.file_id LEFT JOIN folders d ON d.id = s.folder_id
               WHERE s.owner_id <> COALESCE(f.owner_id, d.owner_id)",
        repair: None,
    },
    RowRule {
        name: "rendition of a content that is no more, with bytes in blob",
        find: "SELECT r.blob_id FROM renditions r
               WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = r.source_id AND b.state = 'live')
                 AND NOT EXISTS (SELECT 1 FROM files f WHERE f.id = r.source_id AND f.blob_id IS NULL)",
        repair: None,
    },
    RowRule {
        name: "rendition whose bytes are not kept, in blob",
        find: "SELECT r.blob_id FROM renditions r JOIN blobs b ON b.id = r.blob_id
               WHERE b.state <> 'live' OR b.size <> r.size",
        repair: None,
    },
    RowRule {
        name: "thumbnail that is not there, of file",
        find: "SELECT f.id FROM files f WHERE (f.thumbnail_url IS NOT NULL OR f.preview_url IS NOT NULL)
                 AND NOT EXISTS (SELECT 1 FROM renditions r WHERE r.source_id = COALESCE(f.blob_id, f.id))",
        repair: Some(
            "UPDATE files SET thumbnail_url = NULL, preview_url = NULL WHERE NOT EXISTS
               (SELECT 1 FROM renditions r WHERE r.source_id = COALESCE(files.blob_id, files.id))",
        ),
    },
    RowRule {
        name: "completed job without a thumbnail, of file",
        find: "SELECT f.id FROM files f JOIN processing_jobs j ON j.file_id = f.id AND j.job_type = 'thumbnail'
               WHERE j.status = 'completed' AND f.thumbnail_url IS NULL",
        repair: None,
    },
    RowRule {
        name: "job of somebody else than the file's owner, of file",
        find: "SELECT f.id FROM files f JOIN processing_jobs j ON j.file_id = f.id WHERE j.owner_id <> f.owner_id",
        repair: None,
    },
];

const MEDIA_TYPE_TOTALS: &str = "SELECT m.user_id, m.files_count, COUNT(f.id) FROM media_type_totals m
    LEFT JOIN files f ON f.owner_id = m.user_id AND f.mime_type = m.mime_type AND f.trash_id IS NULL
    GROUP BY m.user_id, m.mime_type, m.files_count, m.total_size
    HAVING m.files_count <> COUNT(f.id) OR m.total_size <> CAST(COALESCE(SUM(f.file_size), 0) AS BIGINT)";

const REPAIR_MEDIA_TYPE_TOTALS: &str = "UPDATE media_type_totals SET
    files_count = (SELECT COUNT(*) FROM files f WHERE f.owner_id = media_type_totals.user_id
                   AND f.mime_type = media_type_totals.mime_type AND f.trash_id IS NULL),
    total_size = CAST(COALESCE((SELECT SUM(f.file_size) FROM files f WHERE f.owner_id = media_type_totals.user_id
                   AND f.mime_type = media_type_totals.mime_type AND f.trash_id IS NULL), 0) AS BIGINT)";

/// Totals of whole tables that differ from their rows.
const SITE_TOTALS: &str = "SELECT name, total, counted FROM (SELECT s.name, s.total,
      CASE s.name WHEN 'users' THEN (SELECT COUNT(*) FROM users)
        WHEN 'audit_refusal' THEN (SELECT COUNT(*) FROM audit WHERE kind = 'refusal')
        WHEN 'audit_act' THEN (SELECT COUNT(*) FROM audit WHERE kind = 'act') END AS counted
    FROM site_totals s) AS x WHERE total <> counted";

const REPAIR_SITE_TOTALS: &str = "UPDATE site_totals SET total =
    CASE name WHEN 'users' THEN (SELECT COUNT(*) FROM users)
      WHEN 'audit_refusal' THEN (SELECT COUNT(*) FROM audit WHERE kind = 'refusal')
      WHEN 'audit_act' THEN (SELECT COUNT(*) FROM audit WHERE kind = 'act') ELSE total END";

impl Services {
    /// Verifies the invariants; with `repair` puts right what can be computed from the rows, and removes
    /// objects that no row names.
    ///
    /// # Errors
    /// The database's or the store's, when the check itself can't be run.
    pub async fn check(&self, repair: bool) -> Result<CheckReport, ServiceError> {
        let mut report = CheckReport::default();
        for figure in &USER_FIGURES {
            let rows: Vec<(i64, i64, i64)> = self.db.q(figure.find).all().await?;
            let problems = rows.iter().map(|(user, kept, counted)| {
                format!("{} of user {user}: kept {kept}, counted {counted}", figure.name)
            });
            self.note(&mut report, problems.collect(), Some(figure.repair), repair).await?;
        }
        let rows: Vec<(i64, i64, i64)> = self.db.q(MEDIA_TYPE_TOTALS).all().await?;
        let problems = rows.iter().map(|(user, kept, counted)| {
            format!("totals of a media type of user {user}: kept {kept}, counted {counted}")
        });
        self.note(&mut report, problems.collect(), Some(REPAIR_MEDIA_TYPE_TOTALS), repair).await?;
        let rows: Vec<(String, i64, i64)> = self.db.q(SITE_TOTALS).all().await?;
        let problems = rows
            .iter()
            .map(|(name, kept, counted)| format!("total of {name}: kept {kept}, counted {counted}"));
        self.note(&mut report, problems.collect(), Some(REPAIR_SITE_TOTALS), repair).await?;
        for rule in &ROW_RULES {
            let rows: Vec<(Uuid,)> = self.db.q(rule.find).all().await?;
            let problems = rows.iter().map(|(id,)| format!("{} {id}", rule.name));
            self.note(&mut report, problems.collect(), rule.repair, repair).await?;
        }
        self.check_objects(&mut report, repair).await?;
        Ok(report)
    }

    async fn note(
        &self,
        report: &mut CheckReport,
        problems: Vec<String>,
        repair_sql: Option<&'static str>,
        repair: bool,
    ) -> Result<(), ServiceError> {
        if let Some(sql) = repair_sql.filter(|_| repair && !problems.is_empty()) {
            self.db.write::<_, _, DbError>(async move |tx: &mut Tx| tx.q(sql).exec().await).await?;
            report.repaired += problems.len();
        }
        report.problems.extend(problems);
        Ok(())
    }

    /// Every live blob has its object with its size, and every object its row.
    async fn check_objects(&self, report: &mut CheckReport, repair: bool) -> Result<(), ServiceError> {
        let mut objects = HashMap::new();
        let mut listing = self.blobs.list();
        while let Some(object) = listing.next().await {
            let (id, size) = object?;
            objects.insert(id, size);
        }
        report.objects = objects.len() as u64;
        // Read after the listing: an object comes after its row and goes before it.
        let rows: Vec<(Uuid, String, i64)> = self.db.q("SELECT id, state, size FROM blobs").all().await?;
        for (id, state, size) in rows {
            let mut found = objects.remove(&BlobId(id));
            if state != "live" || found.is_some_and(|found| i64::try_from(found) == Ok(size)) {
                continue;
            }
            // It may have come since the listing.
            found = self.blobs.size_of(BlobId(id)).await?;
            match found {
                None => report.problems.push(format!("blob {id} has no object")),
                Some(found) if i64::try_from(found) != Ok(size) => {
                    report.problems.push(format!("blob {id} has {size} bytes, its object {found}"));
                }
                Some(_) => {}
            }
        }
        for id in objects.into_keys() {
            report.problems.push(format!("object {id} has no row"));
            if repair {
                self.blobs.delete(id).await?;
                report.repaired += 1;
            }
        }
        Ok(())
    }
}
