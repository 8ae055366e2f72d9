-- Files that are kept for a while only: when their time is over they are deleted for good.
ALTER TABLE files ADD COLUMN expires_at TIMESTAMPTZ;
CREATE INDEX files_by_expiry ON files (expires_at, id) WHERE expires_at IS NOT NULL;
