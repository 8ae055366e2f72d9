-- Accounts, sessions, folders, files, blobs, and the counters kept beside them.
-- The same numbers, names and meaning as in migrations/postgres; only the types differ.

CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    image         TEXT,
    password_hash TEXT,
    tier          TEXT NOT NULL,
    is_active     INTEGER NOT NULL DEFAULT 1,
    is_admin      INTEGER NOT NULL DEFAULT 0,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
) STRICT;

-- One row a user: every change of a user's tree or storage locks it first.
CREATE TABLE accounts (
    user_id          INTEGER PRIMARY KEY REFERENCES users (id),
    storage_used     INTEGER NOT NULL DEFAULT 0 CHECK (storage_used >= 0),
    storage_reserved INTEGER NOT NULL DEFAULT 0 CHECK (storage_reserved >= 0),
    files_count      INTEGER NOT NULL DEFAULT 0 CHECK (files_count >= 0),
    folders_count    INTEGER NOT NULL DEFAULT 0 CHECK (folders_count >= 0),
    trash_count      INTEGER NOT NULL DEFAULT 0 CHECK (trash_count >= 0)
) STRICT;

-- Living files of a user by media type.
CREATE TABLE media_type_totals (
    user_id     INTEGER NOT NULL REFERENCES users (id),
    mime_type   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    files_count INTEGER NOT NULL,
    total_size  INTEGER NOT NULL,
    PRIMARY KEY (user_id, mime_type)
) STRICT;

-- Running server processes; what belongs to one that stopped beating is reclaimed.
CREATE TABLE instances (
    id           BLOB PRIMARY KEY,
    started_at   TEXT NOT NULL,
    last_seen_at TEXT NOT NULL
) STRICT;

CREATE TABLE leases (
    name        TEXT PRIMARY KEY,
    instance_id BLOB NOT NULL,
    expires_at  TEXT NOT NULL
) STRICT;

CREATE TABLE reservations (
    id          BLOB PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES users (id),
    instance_id BLOB NOT NULL,
    bytes       INTEGER NOT NULL CHECK (bytes >= 0),
    created_at  TEXT NOT NULL
) STRICT;
CREATE INDEX reservations_by_instance ON reservations (instance_id);
CREATE INDEX reservations_by_user ON reservations (user_id);

CREATE TABLE sessions (
    id           BLOB PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    user_agent   TEXT NOT NULL,
    ip_address   TEXT,
    created_at   TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    expires_at   TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    token_hash BLOB PRIMARY KEY,
    session_id BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    used_at    TEXT
) STRICT;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE blobs (
    id          BLOB PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'live', 'deleting')),
    sha256      TEXT,
    size        INTEGER NOT NULL DEFAULT 0,
    ref_count   INTEGER NOT NULL DEFAULT 0 CHECK (ref_count >= 0),
    instance_id BLOB NOT NULL,
    created_at  TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX blobs_live_by_hash ON blobs (sha256) WHERE state = 'live';
CREATE INDEX blobs_not_live ON blobs (instance_id) WHERE state <> 'live';
CREATE INDEX blobs_unreferenced ON blobs (id) WHERE state = 'live' AND ref_count = 0;

-- How often an owner's files and versions refer to a blob: the first charges the quota, the last frees it.
CREATE TABLE blob_owners (
    user_id   INTEGER NOT NULL REFERENCES users (id),
    blob_id   BLOB NOT NULL REFERENCES blobs (id),
    ref_count INTEGER NOT NULL CHECK (ref_count > 0),
    PRIMARY KEY (user_id, blob_id)
) STRICT;
CREATE INDEX blob_owners_by_blob ON blob_owners (blob_id);

CREATE TABLE trash_items (
    id                  BLOB PRIMARY KEY,
    user_id             INTEGER NOT NULL REFERENCES users (id),
    resource_type       TEXT NOT NULL CHECK (resource_type IN ('file', 'folder')),
    resource_id         BLOB NOT NULL UNIQUE,
    original_name       TEXT NOT NULL,
    original_path       TEXT NOT NULL,
    deleted_at          TEXT NOT NULL,
    permanent_delete_at TEXT NOT NULL,
    -- Set once nobody can restore it any more; what is left of it is removed in batches.
    purging_at          TEXT
) STRICT;
CREATE INDEX trash_items_by_user ON trash_items (user_id, deleted_at, id) WHERE purging_at IS NULL;
CREATE INDEX trash_items_by_due ON trash_items (permanent_delete_at);
CREATE INDEX trash_items_purging ON trash_items (id) WHERE purging_at IS NOT NULL;

-- trash_id names the trash item that took the row: its own, or that of a folder above.
CREATE TABLE folders (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB NOT NULL UNIQUE,
    owner_id       INTEGER NOT NULL REFERENCES users (id),
    parent_id      BLOB REFERENCES folders (id),
    name           TEXT NOT NULL,
    path           TEXT NOT NULL,
    search_name    TEXT NOT NULL,
    depth          INTEGER NOT NULL,
    is_root        INTEGER NOT NULL DEFAULT 0,
    children_count INTEGER NOT NULL DEFAULT 0 CHECK (children_count >= 0),
    files_count    INTEGER NOT NULL DEFAULT 0 CHECK (files_count >= 0),
    trash_id       BLOB REFERENCES trash_items (id),
    created_at     TEXT NOT NULL,
    updated_at     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX folders_root ON folders (owner_id) WHERE is_root;
CREATE UNIQUE INDEX folders_by_parent_name ON folders (parent_id, name) WHERE trash_id IS NULL;
CREATE INDEX folders_by_parent ON folders (parent_id);
CREATE INDEX folders_by_owner_name ON folders (owner_id, name, id) WHERE trash_id IS NULL;
CREATE INDEX folders_by_trash ON folders (trash_id) WHERE trash_id IS NOT NULL;

-- Content is either stored (blob_id) or registered (cdn_url); charged is what a registered one counts
-- against the quota. content_changed_at is what Last-Modified tells.
CREATE TABLE files (
    seq                INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 BLOB NOT NULL UNIQUE,
    owner_id           INTEGER NOT NULL REFERENCES users (id),
    folder_id          BLOB NOT NULL REFERENCES folders (id),
    filename           TEXT NOT NULL,
    original_filename  TEXT NOT NULL,
    file_extension     TEXT NOT NULL,
    search_name        TEXT NOT NULL,
    mime_type          TEXT NOT NULL,
    kind               TEXT NOT NULL,
    file_size          INTEGER NOT NULL CHECK (file_size >= 0),
    md5_hash           TEXT NOT NULL,
    sha256_hash        TEXT NOT NULL,
    blob_id            BLOB REFERENCES blobs (id),
    cdn_url            TEXT,
    charged            INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
    thumbnail_url      TEXT,
    preview_url        TEXT,
    processing_status  TEXT NOT NULL,
    versions_count     INTEGER NOT NULL DEFAULT 0,
    last_version       INTEGER NOT NULL DEFAULT 0,
    -- Who put the present content here.
    content_by         INTEGER REFERENCES users (id),
    trash_id           BLOB REFERENCES trash_items (id),
    content_changed_at TEXT NOT NULL,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    last_accessed      TEXT NOT NULL,
    CHECK ((blob_id IS NULL) <> (cdn_url IS NULL))
) STRICT;
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
    id                 BLOB PRIMARY KEY,
    file_id            BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    version_number     INTEGER NOT NULL,
    mime_type          TEXT NOT NULL,
    file_size          INTEGER NOT NULL,
    md5_hash           TEXT NOT NULL,
    sha256_hash        TEXT NOT NULL,
    blob_id            BLOB REFERENCES blobs (id),
    cdn_url            TEXT,
    charged            INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
    created_by         INTEGER REFERENCES users (id),
    content_changed_at TEXT NOT NULL,
    created_at         TEXT NOT NULL,
    UNIQUE (file_id, version_number)
) STRICT;
CREATE INDEX file_versions_by_blob ON file_versions (blob_id) WHERE blob_id IS NOT NULL;

CREATE TABLE file_stars (
    user_id    INTEGER NOT NULL REFERENCES users (id),
    file_id    BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    starred_at TEXT NOT NULL,
    PRIMARY KEY (user_id, file_id)
) STRICT;
CREATE INDEX file_stars_by_file ON file_stars (file_id);

CREATE TABLE activity (
    id            BLOB PRIMARY KEY,
    user_id       INTEGER NOT NULL REFERENCES users (id),
    action_type   TEXT NOT NULL,
    resource_type TEXT,
    resource_id   BLOB,
    resource_name TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    ip_address    TEXT,
    user_agent    TEXT NOT NULL,
    created_at    TEXT NOT NULL
) STRICT;
CREATE INDEX activity_by_user ON activity (user_id, created_at, id);
CREATE INDEX activity_by_user_action ON activity (user_id, action_type, created_at, id);
CREATE INDEX activity_by_resource ON activity (resource_id);
