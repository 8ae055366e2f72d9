-- What happened to each user's things, kept for minutes, for those who listen or come back to.

-- The number of a user's last event: taken under the lock of this row, so a reader who sees one event has
-- seen, or can see, all before it. And the used bytes that the last quota event told.
ALTER TABLE accounts ADD COLUMN last_event_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN told_storage_used INTEGER NOT NULL DEFAULT 0;
UPDATE accounts SET told_storage_used = storage_used;

CREATE TABLE events (
    user_id    INTEGER NOT NULL REFERENCES users (id),
    id         INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    data       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_time ON events (created_at);
