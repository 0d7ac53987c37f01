-- How many executions of a function ended in an hour, by how long they took: counted when they are written, so that sums
-- over many need not read each.
CREATE TABLE execution_stats (
    function_id BLOB NOT NULL,
    hour        INTEGER NOT NULL, -- hours since 1970
    bucket      INTEGER NOT NULL, -- of the duration; see stats.rs
    success     INTEGER NOT NULL,
    error       INTEGER NOT NULL,
    timeout     INTEGER NOT NULL,
    duration_us INTEGER NOT NULL, -- of all of them
    PRIMARY KEY (function_id, hour, bucket)
) STRICT, WITHOUT ROWID;

CREATE INDEX execution_stats_by_hour ON execution_stats (hour);
