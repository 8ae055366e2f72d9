-- What happened to each user's things, kept for minutes, for those who listen or come back to.

-- The number of a user's last event: taken under the lock of this row, so a reader who sees one event has
-- seen, or can see, all before it. And the used bytes that the last quota event told.
ALTER TABLE accounts ADD COLUMN last_event_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN told_storage_used BIGINT NOT NULL DEFAULT 0;
UPDATE accounts SET told_storage_used = storage_used;

CREATE TABLE events (
    user_id    BIGINT NOT NULL REFERENCES users (id),
    id         BIGINT NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    data       JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX events_by_time ON events (created_at);
