-- Thumbnails: the jobs that make them, and the renditions that come of it.

-- One job for a file and kind, always about the file's present content: new content replaces it.
-- A file's processing status is its job's; without a job nothing is left to be done.
CREATE TABLE processing_jobs (
    id               UUID PRIMARY KEY,
    file_id          UUID NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    owner_id         BIGINT NOT NULL REFERENCES users (id),
    job_type         TEXT COLLATE "C" NOT NULL,
    status           TEXT COLLATE "C" NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    -- Higher goes first.
    priority         BIGINT NOT NULL,
    attempts         BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    max_attempts     BIGINT NOT NULL DEFAULT 3,
    -- Renditions that are there already are made again.
    is_renewal       BOOLEAN NOT NULL DEFAULT FALSE,
    error_message    TEXT NOT NULL DEFAULT '',
    result_data      JSONB NOT NULL,
    due_at           TIMESTAMPTZ NOT NULL,
    -- Of the process that works on it; a result is taken from the present lease only.
    lease_id         UUID,
    instance_id      UUID,
    lease_expires_at TIMESTAMPTZ,
    created_at       TIMESTAMPTZ NOT NULL,
    started_at       TIMESTAMPTZ,
    completed_at     TIMESTAMPTZ,
    UNIQUE (file_id, job_type),
    CHECK ((status = 'processing') = (lease_id IS NOT NULL)),
    CHECK ((lease_id IS NULL) = (lease_expires_at IS NULL) AND (lease_id IS NULL) = (instance_id IS NULL))
);
CREATE INDEX processing_jobs_due ON processing_jobs (priority DESC, due_at, id) WHERE status = 'pending';
CREATE INDEX processing_jobs_leased ON processing_jobs (lease_id) WHERE status = 'processing';
CREATE INDEX processing_jobs_by_owner ON processing_jobs (owner_id, created_at, id);

-- Pictures made of a content. source_id is the blob of a stored content, which all its owners share, or the
-- file of a registered one. The bytes are a blob of their own (without a hash there, so that no upload takes
-- it for its content), which lives as long as the row.
CREATE TABLE renditions (
    source_id   UUID NOT NULL,
    max_side    BIGINT NOT NULL CHECK (max_side > 0),
    format      TEXT COLLATE "C" NOT NULL CHECK (format IN ('webp', 'jpeg')),
    blob_id     UUID NOT NULL UNIQUE REFERENCES blobs (id),
    width       BIGINT NOT NULL,
    height      BIGINT NOT NULL,
    is_animated BOOLEAN NOT NULL,
    size        BIGINT NOT NULL,
    sha256      TEXT COLLATE "C" NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (source_id, max_side, format)
);

ALTER TABLE files DROP COLUMN processing_status;
