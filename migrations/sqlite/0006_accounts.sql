-- Sign-in by an identity provider, API keys, and the audit of refusals and of what administrators do.
-- The same numbers, names and meaning as in migrations/postgres; only the types differ.

-- What an administrator searches: address and name, folded.
ALTER TABLE users ADD COLUMN search_name TEXT NOT NULL DEFAULT '';
UPDATE users SET search_name = lower(email || ' ' || name);

-- An account and who it is at an identity provider. Subjects are unique within their issuer only.
CREATE TABLE identities (
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    created_at   TEXT NOT NULL,
    last_used_at TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT;
CREATE UNIQUE INDEX identities_by_user ON identities (user_id, issuer);

-- States of the identity provider's redirects that have come back: each is good for one.
CREATE TABLE used_states (
    state_hash BLOB PRIMARY KEY,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX used_states_by_expiry ON used_states (expires_at);

-- What the frontend exchanges for cookies, once. With an issuer and a subject the exchange also links them
-- to the account, and is for somebody who is signed in to it only.
CREATE TABLE auth_codes (
    code_hash  BLOB PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    issuer     TEXT,
    subject    TEXT,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    CHECK ((issuer IS NULL) = (subject IS NULL))
) STRICT;
CREATE INDEX auth_codes_by_expiry ON auth_codes (expires_at);

-- scopes: names in one order, separated by spaces.
CREATE TABLE api_keys (
    id           BLOB PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    name         TEXT NOT NULL,
    key_hash     BLOB NOT NULL UNIQUE,
    hint         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    expires_at   TEXT,
    last_used_at TEXT
) STRICT;
CREATE INDEX api_keys_by_user ON api_keys (user_id, id);

-- Refusals are summed by minute, so that an attack makes few rows; acts are one row each.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('refusal', 'act')),
    event      TEXT NOT NULL,
    actor_id   INTEGER REFERENCES users (id),
    user_id    INTEGER REFERENCES users (id),
    network    TEXT NOT NULL,
    route      TEXT NOT NULL,
    times      INTEGER NOT NULL CHECK (times > 0),
    details    TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX audit_refusals ON audit (created_at, event, network, route) WHERE kind = 'refusal';
CREATE INDEX audit_by_kind ON audit (kind, seq);
CREATE INDEX audit_by_time ON audit (created_at);

-- Rows of whole tables, so that their pages need no counting.
CREATE TABLE site_totals (
    name  TEXT PRIMARY KEY,
    total INTEGER NOT NULL
) STRICT;
INSERT INTO site_totals (name, total) SELECT 'users', COUNT(*) FROM users;
INSERT INTO site_totals (name, total) VALUES ('audit_refusal', 0), ('audit_act', 0);

CREATE INDEX sessions_by_user_seen ON sessions (user_id, last_seen_at);
CREATE INDEX users_admins ON users (id) WHERE is_admin;
