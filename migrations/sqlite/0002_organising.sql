-- Stars on folders, statistics of files, totals of activity, and the index that search asks.

CREATE TABLE folder_stars (
    user_id    INTEGER NOT NULL REFERENCES users (id),
    folder_id  BLOB NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    starred_at TEXT NOT NULL,
    PRIMARY KEY (user_id, folder_id)
) STRICT;
CREATE INDEX folder_stars_by_folder ON folder_stars (folder_id);
CREATE INDEX file_stars_by_user ON file_stars (user_id, starred_at, file_id);

-- One row for a file and a day (UTC). response_ms is a sum over responses.
CREATE TABLE file_analytics (
    id              BLOB PRIMARY KEY,
    file_id         BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    owner_id        INTEGER NOT NULL REFERENCES users (id),
    access_date     TEXT NOT NULL,
    view_count      INTEGER NOT NULL DEFAULT 0,
    download_count  INTEGER NOT NULL DEFAULT 0,
    responses       INTEGER NOT NULL DEFAULT 0,
    response_ms     INTEGER NOT NULL DEFAULT 0,
    country_code    TEXT NOT NULL DEFAULT '',
    referrer_domain TEXT NOT NULL DEFAULT '',
    UNIQUE (file_id, access_date)
) STRICT;
CREATE INDEX file_analytics_by_owner ON file_analytics (owner_id, access_date, id);

-- Rows of activity by user and kind, so that its pages need no counting.
CREATE TABLE activity_totals (
    user_id     INTEGER NOT NULL REFERENCES users (id),
    action_type TEXT NOT NULL,
    total       INTEGER NOT NULL,
    PRIMARY KEY (user_id, action_type)
) STRICT;

-- Any substring of three or more characters of the folded names. The names stay in their own tables.
CREATE INDEX folders_by_owner_created ON folders (owner_id, created_at, id) WHERE trash_id IS NULL;

CREATE VIRTUAL TABLE files_search USING fts5 (search_name, content = 'files', content_rowid = 'seq', tokenize = 'trigram');
CREATE TRIGGER files_search_insert AFTER INSERT ON files BEGIN
    INSERT INTO files_search (rowid, search_name) VALUES (new.seq, new.search_name);
END;
CREATE TRIGGER files_search_delete AFTER DELETE ON files BEGIN
    INSERT INTO files_search (files_search, rowid, search_name) VALUES ('delete', old.seq, old.search_name);
END;
CREATE TRIGGER files_search_update AFTER UPDATE OF search_name ON files WHEN old.search_name <> new.search_name BEGIN
    INSERT INTO files_search (files_search, rowid, search_name) VALUES ('delete', old.seq, old.search_name);
    INSERT INTO files_search (rowid, search_name) VALUES (new.seq, new.search_name);
END;

CREATE VIRTUAL TABLE folders_search USING fts5 (search_name, content = 'folders', content_rowid = 'seq', tokenize = 'trigram');
CREATE TRIGGER folders_search_insert AFTER INSERT ON folders BEGIN
    INSERT INTO folders_search (rowid, search_name) VALUES (new.seq, new.search_name);
END;
CREATE TRIGGER folders_search_delete AFTER DELETE ON folders BEGIN
    INSERT INTO folders_search (folders_search, rowid, search_name) VALUES ('delete', old.seq, old.search_name);
END;
CREATE TRIGGER folders_search_update AFTER UPDATE OF search_name ON folders WHEN old.search_name <> new.search_name BEGIN
    INSERT INTO folders_search (folders_search, rowid, search_name) VALUES ('delete', old.seq, old.search_name);
    INSERT INTO folders_search (rowid, search_name) VALUES (new.seq, new.search_name);
END;
