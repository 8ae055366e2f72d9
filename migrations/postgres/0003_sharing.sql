-- Shares: a thing, a link to it, the people it was given to, and who came by the link.

-- The token itself is computed from token_nonce and the server's secret; the hash is what a link is looked up by.
-- A share goes with its thing. level and the grants' level: 1 view, 2 download, 3 edit, 4 admin.
CREATE TABLE shares (
    id                UUID PRIMARY KEY,
    owner_id          BIGINT NOT NULL REFERENCES users (id),
    created_by        BIGINT NOT NULL REFERENCES users (id),
    file_id           UUID REFERENCES files (id) ON DELETE CASCADE,
    folder_id         UUID REFERENCES folders (id) ON DELETE CASCADE,
    level             BIGINT NOT NULL CHECK (level BETWEEN 1 AND 4),
    is_public         BOOLEAN NOT NULL,
    token_nonce       BYTEA NOT NULL,
    token_hash        BYTEA NOT NULL UNIQUE,
    password_hash     TEXT,
    expires_at        TIMESTAMPTZ,
    allow_download    BOOLEAN NOT NULL,
    allow_preview     BOOLEAN NOT NULL,
    download_limit    BIGINT CHECK (download_limit > 0),
    -- Downloads when the limit was set: a limit below them ends the downloads and takes none back.
    limited_from      BIGINT NOT NULL DEFAULT 0,
    download_count    BIGINT NOT NULL DEFAULT 0,
    access_logs_count BIGINT NOT NULL DEFAULT 0,
    allow_upload      BOOLEAN NOT NULL,
    max_files         BIGINT CHECK (max_files > 0),
    max_size          BIGINT CHECK (max_size > 0),
    uploads_count     BIGINT NOT NULL DEFAULT 0,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    CHECK ((file_id IS NULL) <> (folder_id IS NULL))
);
CREATE INDEX shares_by_owner ON shares (owner_id, created_at, id);
CREATE INDEX shares_by_file ON shares (file_id) WHERE file_id IS NOT NULL;
CREATE INDEX shares_by_folder ON shares (folder_id) WHERE folder_id IS NOT NULL;

CREATE TABLE share_grants (
    share_id   UUID NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    user_id    BIGINT NOT NULL REFERENCES users (id),
    level      BIGINT NOT NULL CHECK (level BETWEEN 1 AND 4),
    granted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (share_id, user_id)
);
CREATE INDEX share_grants_by_user ON share_grants (user_id, share_id);

CREATE TABLE share_access_logs (
    id          UUID PRIMARY KEY,
    share_id    UUID NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    user_id     BIGINT REFERENCES users (id),
    access_type TEXT COLLATE "C" NOT NULL CHECK (access_type IN ('view', 'download', 'preview')),
    ip_address  TEXT,
    user_agent  TEXT NOT NULL,
    accessed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX share_access_logs_by_share ON share_access_logs (share_id, accessed_at, id);
