-- Shares: a thing, a link to it, the people it was given to, and who came by the link.

-- The token itself is computed from token_nonce and the server's secret; the hash is what a link is looked up by.
-- A share goes with its thing. level and the grants' level: 1 view, 2 download, 3 edit, 4 admin.
CREATE TABLE shares (
    id                BLOB PRIMARY KEY,
    owner_id          INTEGER NOT NULL REFERENCES users (id),
    created_by        INTEGER NOT NULL REFERENCES users (id),
    file_id           BLOB REFERENCES files (id) ON DELETE CASCADE,
    folder_id         BLOB REFERENCES folders (id) ON DELETE CASCADE,
    level             INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4),
    is_public         INTEGER NOT NULL,
    token_nonce       BLOB NOT NULL,
    token_hash        BLOB NOT NULL UNIQUE,
    password_hash     TEXT,
    expires_at        TEXT,
    allow_download    INTEGER NOT NULL,
    allow_preview     INTEGER NOT NULL,
    download_limit    INTEGER CHECK (download_limit > 0),
    -- Downloads when the limit was set: a limit below them ends the downloads and takes none back.
    limited_from      INTEGER NOT NULL DEFAULT 0,
    download_count    INTEGER NOT NULL DEFAULT 0,
    access_logs_count INTEGER NOT NULL DEFAULT 0,
    allow_upload      INTEGER NOT NULL,
    max_files         INTEGER CHECK (max_files > 0),
    max_size          INTEGER CHECK (max_size > 0),
    uploads_count     INTEGER NOT NULL DEFAULT 0,
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    CHECK ((file_id IS NULL) <> (folder_id IS NULL))
) STRICT;
CREATE INDEX shares_by_owner ON shares (owner_id, created_at, id);
CREATE INDEX shares_by_file ON shares (file_id) WHERE file_id IS NOT NULL;
CREATE INDEX shares_by_folder ON shares (folder_id) WHERE folder_id IS NOT NULL;

CREATE TABLE share_grants (
    share_id   BLOB NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    level      INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4),
    granted_at TEXT NOT NULL,
    PRIMARY KEY (share_id, user_id)
) STRICT;
CREATE INDEX share_grants_by_user ON share_grants (user_id, share_id);

CREATE TABLE share_access_logs (
    id          BLOB PRIMARY KEY,
    share_id    BLOB NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    user_id     INTEGER REFERENCES users (id),
    access_type TEXT NOT NULL CHECK (access_type IN ('view', 'download', 'preview')),
    ip_address  TEXT,
    user_agent  TEXT NOT NULL,
    accessed_at TEXT NOT NULL
) STRICT;
CREATE INDEX share_access_logs_by_share ON share_access_logs (share_id, accessed_at, id);
