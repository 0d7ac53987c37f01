-- How many of a hundred requests go to versions other than the active one.
CREATE TABLE function_traffic (
    function_id BLOB NOT NULL,
    version     INTEGER NOT NULL,
    percent     INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 100),
    PRIMARY KEY (function_id, version),
    FOREIGN KEY (function_id, version) REFERENCES function_versions (function_id, version) ON DELETE CASCADE
) STRICT;
