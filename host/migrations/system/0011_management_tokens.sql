CREATE TABLE management_tokens (
    id         BLOB PRIMARY KEY,
    name       TEXT NOT NULL,
    scope      TEXT NOT NULL,
    app        TEXT REFERENCES apps (name), -- NULL: good for all
    rate_limit TEXT,                        -- NULL: that of the host
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;
