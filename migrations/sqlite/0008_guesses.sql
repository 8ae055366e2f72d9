-- Attempts to guess a secret, counted for all processes. A key is a keyed hash of what is guessed and from where.

CREATE TABLE guesses (
    key            BLOB PRIMARY KEY,
    taken          INTEGER NOT NULL CHECK (taken >= 0),
    window_ends_at TEXT NOT NULL
) STRICT;
CREATE INDEX guesses_by_end ON guesses (window_ends_at);
