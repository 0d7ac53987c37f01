-- Times are microseconds since 1970, UTC. Identifiers are the 16 bytes of a UUID; those of executions sort by time.

CREATE TABLE executions (
    sequence          INTEGER PRIMARY KEY,
    id                BLOB NOT NULL,
    app               TEXT NOT NULL,
    function_id       BLOB NOT NULL,
    function_version  INTEGER NOT NULL,
    trigger_type      TEXT NOT NULL,
    user_id           TEXT,
    method            TEXT NOT NULL,
    path              TEXT NOT NULL,
    status            TEXT NOT NULL,
    status_code       INTEGER,
    duration_ms       INTEGER NOT NULL,
    fuel              INTEGER NOT NULL,
    peak_memory_bytes INTEGER NOT NULL,
    logs              TEXT NOT NULL,
    logs_dropped      INTEGER NOT NULL,
    error_code        TEXT,
    error_message     TEXT,
    error_stack       TEXT,
    executed_at       INTEGER NOT NULL,
    completed_at      INTEGER NOT NULL
) STRICT;

-- Finds a page of one function's executions, of any status, without touching a row that is not on the page.
CREATE INDEX executions_by_function ON executions (function_id, id, status);

-- For retention by age.
CREATE INDEX executions_by_time ON executions (executed_at);
