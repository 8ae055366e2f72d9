-- Accounts, sessions, folders, files, blobs, and the counters kept beside them.
-- The same numbers, names and meaning as in migrations/sqlite; only the types differ.

CREATE TABLE users (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         TEXT COLLATE "C" NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    image         TEXT,
    password_hash TEXT,
    tier          TEXT NOT NULL,
    is_active     BOOLEAN NOT NULL DEFAULT TRUE,
    is_admin      BOOLEAN NOT NULL DEFAULT FALSE,
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL
);

-- One row a user: every change of a user's tree or storage locks it first.
CREATE TABLE accounts (
    user_id          BIGINT PRIMARY KEY REFERENCES users (id),
    storage_used     BIGINT NOT NULL DEFAULT 0 CHECK (storage_used >= 0),
    storage_reserved BIGINT NOT NULL DEFAULT 0 CHECK (storage_reserved >= 0),
    files_count      BIGINT NOT NULL DEFAULT 0 CHECK (files_count >= 0),
    folders_count    BIGINT NOT NULL DEFAULT 0 CHECK (folders_count >= 0),
    trash_count      BIGINT NOT NULL DEFAULT 0 CHECK (trash_count >= 0)
);

-- Living files of a user by media type.
CREATE TABLE media_type_totals (
    user_id     BIGINT NOT NULL REFERENCES users (id),
    mime_type   TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    files_count BIGINT NOT NULL,
    total_size  BIGINT NOT NULL,
    PRIMARY KEY (user_id, mime_type)
);

-- Running server processes; what belongs to one that stopped beating is reclaimed.
CREATE TABLE instances (
    id           UUID PRIMARY KEY,
    started_at   TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE leases (
    name        TEXT PRIMARY KEY,
    instance_id UUID NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);

CREATE TABLE reservations (
    id          UUID PRIMARY KEY,
    user_id     BIGINT NOT NULL REFERENCES users (id),
    instance_id UUID NOT NULL,
    bytes       BIGINT NOT NULL CHECK (bytes >= 0),
    created_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX reservations_by_instance ON reservations (instance_id);
CREATE INDEX reservations_by_user ON reservations (user_id);

CREATE TABLE sessions (
    id           UUID PRIMARY KEY,
    user_id      BIGINT NOT NULL REFERENCES users (id),
    user_agent   TEXT NOT NULL,
    ip_address   TEXT,
    created_at   TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    token_hash BYTEA PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE blobs (
    id          UUID PRIMARY KEY,
    state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'live', 'deleting')),
    sha256      TEXT COLLATE "C",
    size        BIGINT NOT NULL DEFAULT 0,
    ref_count   BIGINT NOT NULL DEFAULT 0 CHECK (ref_count >= 0),
    instance_id UUID NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX blobs_live_by_hash ON blobs (sha256) WHERE state = 'live';
CREATE INDEX blobs_not_live ON blobs (instance_id) WHERE state <> 'live';
CREATE INDEX blobs_unreferenced ON blobs (id) WHERE state = 'live' AND ref_count = 0;

-- How often an owner's files and versions refer to a blob: the first charges the quota, the last frees it.
CREATE TABLE blob_owners (
    user_id   BIGINT NOT NULL REFERENCES users (id),
    blob_id   UUID NOT NULL REFERENCES blobs (id),
    ref_count BIGINT NOT NULL CHECK (ref_count > 0),
    PRIMARY KEY (user_id, blob_id)
);
CREATE INDEX blob_owners_by_blob ON blob_owners (blob_id);

CREATE TABLE trash_items (
    id                  UUID PRIMARY KEY,
    user_id             BIGINT NOT NULL REFERENCES users (id),
    resource_type       TEXT COLLATE "C" NOT NULL CHECK (resource_type IN ('file', 'folder')),
    resource_id         UUID NOT NULL UNIQUE,
    original_name       TEXT NOT NULL,
    original_path       TEXT NOT NULL,
    deleted_at          TIMESTAMPTZ NOT NULL,
    permanent_delete_at TIMESTAMPTZ NOT NULL,
    -- Set once nobody can restore it any more; what is left of it is removed in batches.
    purging_at          TIMESTAMPTZ
);
CREATE INDEX trash_items_by_user ON trash_items (user_id, deleted_at, id) WHERE purging_at IS NULL;
CREATE INDEX trash_items_by_due ON trash_items (permanent_delete_at);
CREATE INDEX trash_items_purging ON trash_items (id) WHERE purging_at IS NOT NULL;

-- trash_id names the trash item that took the row: its own, or that of a folder above.
CREATE TABLE folders (
    id             UUID PRIMARY KEY,
    owner_id       BIGINT NOT NULL REFERENCES users (id),
    parent_id      UUID REFERENCES folders (id),
    name           TEXT COLLATE "C" NOT NULL,
    path           TEXT COLLATE "C" NOT NULL,
    search_name    TEXT COLLATE "C" NOT NULL,
    depth          BIGINT NOT NULL,
    is_root        BOOLEAN NOT NULL DEFAULT FALSE,
    children_count BIGINT NOT NULL DEFAULT 0 CHECK (children_count >= 0),
    files_count    BIGINT NOT NULL DEFAULT 0 CHECK (files_count >= 0),
    trash_id       UUID REFERENCES trash_items (id),
    created_at     TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX folders_root ON folders (owner_id) WHERE is_root;
CREATE UNIQUE INDEX folders_by_parent_name ON folders (parent_id, name) WHERE trash_id IS NULL;
CREATE INDEX folders_by_parent ON folders (parent_id);
CREATE INDEX folders_by_owner_name ON folders (owner_id, name, id) WHERE trash_id IS NULL;
CREATE INDEX folders_by_trash ON folders (trash_id) WHERE trash_id IS NOT NULL;

-- Content is either stored (blob_id) or registered (cdn_url); charged is what a registered one counts
-- against the quota. content_changed_at is what Last-Modified tells.
CREATE TABLE files (
    id                 UUID PRIMARY KEY,
    owner_id           BIGINT NOT NULL REFERENCES users (id),
    folder_id          UUID NOT NULL REFERENCES folders (id),
    filename           TEXT COLLATE "C" NOT NULL,
    original_filename  TEXT NOT NULL,
    file_extension     TEXT NOT NULL,
    search_name        TEXT COLLATE "C" NOT NULL,
    mime_type          TEXT COLLATE "C" NOT NULL,
    kind               TEXT COLLATE "C" NOT NULL,
    file_size          BIGINT NOT NULL CHECK (file_size >= 0),
    md5_hash           TEXT COLLATE "C" NOT NULL,
    sha256_hash        TEXT COLLATE "C" NOT NULL,
    blob_id            UUID REFERENCES blobs (id),
    cdn_url            TEXT,
    charged            BIGINT NOT NULL DEFAULT 0 CHECK (charged >= 0),
    thumbnail_url      TEXT,
    preview_url        TEXT,
    processing_status  TEXT COLLATE "C" NOT NULL,
    versions_count     BIGINT NOT NULL DEFAULT 0,
    last_version       BIGINT NOT NULL DEFAULT 0,
    -- Who put the present content here.
    content_by         BIGINT REFERENCES users (id),
    trash_id           UUID REFERENCES trash_items (id),
    content_changed_at TIMESTAMPTZ NOT NULL,
    created_at         TIMESTAMPTZ NOT NULL,
    updated_at         TIMESTAMPTZ NOT NULL,
    last_accessed      TIMESTAMPTZ NOT NULL,
    CHECK ((blob_id IS NULL) <> (cdn_url IS NULL))
);
CREATE UNIQUE INDEX files_by_folder_name ON files (folder_id, filename) WHERE trash_id IS NULL;
CREATE INDEX files_by_folder ON files (folder_id);
CREATE INDEX files_by_owner_created ON files (owner_id, created_at, id) WHERE trash_id IS NULL;
CREATE INDEX files_by_owner_kind ON files (owner_id, kind, created_at, id) WHERE trash_id IS NULL;
CREATE INDEX files_by_owner_name ON files (owner_id, filename, id) WHERE trash_id IS NULL;
CREATE INDEX files_by_owner_size ON files (owner_id, file_size, id) WHERE trash_id IS NULL;
CREATE INDEX files_by_owner_access ON files (owner_id, last_accessed, id) WHERE trash_id IS NULL;
CREATE INDEX files_by_owner_hash ON files (owner_id, sha256_hash, md5_hash) WHERE trash_id IS NULL;
CREATE INDEX files_by_trash ON files (trash_id) WHERE trash_id IS NOT NULL;
CREATE INDEX files_by_blob ON files (blob_id) WHERE blob_id IS NOT NULL;

-- Former contents of a file.
CREATE TABLE file_versions (
    id                 UUID PRIMARY KEY,
    file_id            UUID NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    version_number     BIGINT NOT NULL,
    mime_type          TEXT NOT NULL,
    file_size          BIGINT NOT NULL,
    md5_hash           TEXT NOT NULL,
    sha256_hash        TEXT NOT NULL,
    blob_id            UUID REFERENCES blobs (id),
    cdn_url            TEXT,
    charged            BIGINT NOT NULL DEFAULT 0 CHECK (charged >= 0),
    created_by         BIGINT REFERENCES users (id),
    content_changed_at TIMESTAMPTZ NOT NULL,
    created_at         TIMESTAMPTZ NOT NULL,
    UNIQUE (file_id, version_number)
);
CREATE INDEX file_versions_by_blob ON file_versions (blob_id) WHERE blob_id IS NOT NULL;

CREATE TABLE file_stars (
    user_id    BIGINT NOT NULL REFERENCES users (id),
    file_id    UUID NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    starred_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, file_id)
);
CREATE INDEX file_stars_by_file ON file_stars (file_id);

CREATE TABLE activity (
    id            UUID PRIMARY KEY,
    user_id       BIGINT NOT NULL REFERENCES users (id),
    action_type   TEXT COLLATE "C" NOT NULL,
    resource_type TEXT COLLATE "C",
    resource_id   UUID,
    resource_name TEXT NOT NULL,
    metadata      JSONB NOT NULL,
    ip_address    TEXT,
    user_agent    TEXT NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX activity_by_user ON activity (user_id, created_at, id);
CREATE INDEX activity_by_user_action ON activity (user_id, action_type, created_at, id);
CREATE INDEX activity_by_resource ON activity (resource_id);
