-- Stars on folders, statistics of files, totals of activity, and the index that search asks.

CREATE TABLE folder_stars (
    user_id    BIGINT NOT NULL REFERENCES users (id),
    folder_id  UUID NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    starred_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, folder_id)
);
CREATE INDEX folder_stars_by_folder ON folder_stars (folder_id);
CREATE INDEX file_stars_by_user ON file_stars (user_id, starred_at, file_id);

-- One row for a file and a day (UTC). response_ms is a sum over responses.
CREATE TABLE file_analytics (
    id              UUID PRIMARY KEY,
    file_id         UUID NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    owner_id        BIGINT NOT NULL REFERENCES users (id),
    access_date     TEXT COLLATE "C" NOT NULL,
    view_count      BIGINT NOT NULL DEFAULT 0,
    download_count  BIGINT NOT NULL DEFAULT 0,
    responses       BIGINT NOT NULL DEFAULT 0,
    response_ms     BIGINT NOT NULL DEFAULT 0,
    country_code    TEXT NOT NULL DEFAULT '',
    referrer_domain TEXT NOT NULL DEFAULT '',
    UNIQUE (file_id, access_date)
);
CREATE INDEX file_analytics_by_owner ON file_analytics (owner_id, access_date, id);

-- Rows of activity by user and kind, so that its pages need no counting.
CREATE TABLE activity_totals (
    user_id     BIGINT NOT NULL REFERENCES users (id),
    action_type TEXT COLLATE "C" NOT NULL,
    total       BIGINT NOT NULL,
    PRIMARY KEY (user_id, action_type)
);

-- Any substring of three or more characters of the folded names.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX files_by_search_name ON files USING gin (search_name gin_trgm_ops) WHERE trash_id IS NULL;
CREATE INDEX folders_by_search_name ON folders USING gin (search_name gin_trgm_ops) WHERE trash_id IS NULL;
CREATE INDEX folders_by_owner_created ON folders (owner_id, created_at, id) WHERE trash_id IS NULL;
