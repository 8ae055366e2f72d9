-- Sign-in by an identity provider, API keys, and the audit of refusals and of what administrators do.
-- The same numbers, names and meaning as in migrations/sqlite; only the types differ.

-- What an administrator searches: address and name, folded.
ALTER TABLE users ADD COLUMN search_name TEXT NOT NULL DEFAULT '';
UPDATE users SET search_name = lower(email || ' ' || name);

-- An account and who it is at an identity provider. Subjects are unique within their issuer only.
CREATE TABLE identities (
    issuer       TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    user_id      BIGINT NOT NULL REFERENCES users (id),
    created_at   TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE UNIQUE INDEX identities_by_user ON identities (user_id, issuer);

-- States of the identity provider's redirects that have come back: each is good for one.
CREATE TABLE used_states (
    state_hash BYTEA PRIMARY KEY,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX used_states_by_expiry ON used_states (expires_at);

-- What the frontend exchanges for cookies, once. With an issuer and a subject the exchange also links them
-- to the account, and is for somebody who is signed in to it only.
CREATE TABLE auth_codes (
    code_hash  BYTEA PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES users (id),
    issuer     TEXT COLLATE "C",
    subject    TEXT COLLATE "C",
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CHECK ((issuer IS NULL) = (subject IS NULL))
);
CREATE INDEX auth_codes_by_expiry ON auth_codes (expires_at);

-- scopes: names in one order, separated by spaces.
CREATE TABLE api_keys (
    id           UUID PRIMARY KEY,
    user_id      BIGINT NOT NULL REFERENCES users (id),
    name         TEXT NOT NULL,
    key_hash     BYTEA NOT NULL UNIQUE,
    hint         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
);
CREATE INDEX api_keys_by_user ON api_keys (user_id, id);

-- Refusals are summed by minute, so that an attack makes few rows; acts are one row each.
CREATE TABLE audit (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         UUID NOT NULL UNIQUE,
    kind       TEXT COLLATE "C" NOT NULL CHECK (kind IN ('refusal', 'act')),
    event      TEXT COLLATE "C" NOT NULL,
    actor_id   BIGINT REFERENCES users (id),
    user_id    BIGINT REFERENCES users (id),
    network    TEXT COLLATE "C" NOT NULL,
    route      TEXT COLLATE "C" NOT NULL,
    times      BIGINT NOT NULL CHECK (times > 0),
    details    JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX audit_refusals ON audit (created_at, event, network, route) WHERE kind = 'refusal';
CREATE INDEX audit_by_kind ON audit (kind, seq);
CREATE INDEX audit_by_time ON audit (created_at);

-- Rows of whole tables, so that their pages need no counting.
CREATE TABLE site_totals (
    name  TEXT COLLATE "C" PRIMARY KEY,
    total BIGINT NOT NULL
);
INSERT INTO site_totals (name, total) SELECT 'users', COUNT(*) FROM users;
INSERT INTO site_totals (name, total) VALUES ('audit_refusal', 0), ('audit_act', 0);

CREATE INDEX sessions_by_user_seen ON sessions (user_id, last_seen_at);
CREATE INDEX users_admins ON users (id) WHERE is_admin;
