-- Thumbnails: the jobs that make them, and the renditions that come of it.

-- One job for a file and kind, always about the file's present content: new content replaces it.
-- A file's processing status is its job's; without a job nothing is left to be done.
CREATE TABLE processing_jobs (
    id               BLOB PRIMARY KEY,
    file_id          BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    owner_id         INTEGER NOT NULL REFERENCES users (id),
    job_type         TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    -- Higher goes first.
    priority         INTEGER NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    max_attempts     INTEGER NOT NULL DEFAULT 3,
    -- Renditions that are there already are made again.
    is_renewal       INTEGER NOT NULL DEFAULT 0,
    error_message    TEXT NOT NULL DEFAULT '',
    result_data      TEXT NOT NULL,
    due_at           TEXT NOT NULL,
    -- Of the process that works on it; a result is taken from the present lease only.
    lease_id         BLOB,
    instance_id      BLOB,
    lease_expires_at TEXT,
    created_at       TEXT NOT NULL,
    started_at       TEXT,
    completed_at     TEXT,
    UNIQUE (file_id, job_type),
    CHECK ((status = 'processing') = (lease_id IS NOT NULL)),
    CHECK ((lease_id IS NULL) = (lease_expires_at IS NULL) AND (lease_id IS NULL) = (instance_id IS NULL))
) STRICT;
CREATE INDEX processing_jobs_due ON processing_jobs (priority DESC, due_at, id) WHERE status = 'pending';
CREATE INDEX processing_jobs_leased ON processing_jobs (lease_id) WHERE status = 'processing';
CREATE INDEX processing_jobs_by_owner ON processing_jobs (owner_id, created_at, id);

-- Pictures made of a content. source_id is the blob of a stored content, which all its owners share, or the
-- file of a registered one. The bytes are a blob of their own (without a hash there, so that no upload takes
-- it for its content), which lives as long as the row.
CREATE TABLE renditions (
    source_id   BLOB NOT NULL,
    max_side    INTEGER NOT NULL CHECK (max_side > 0),
    format      TEXT NOT NULL CHECK (format IN ('webp', 'jpeg')),
    blob_id     BLOB NOT NULL UNIQUE REFERENCES blobs (id),
    width       INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    is_animated INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (source_id, max_side, format)
) STRICT;

ALTER TABLE files DROP COLUMN processing_status;
