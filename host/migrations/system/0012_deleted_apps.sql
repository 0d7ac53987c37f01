-- Apps whose rows are gone from this file, while their files and executions may still be there.
CREATE TABLE deleted_apps (
    name TEXT PRIMARY KEY
) STRICT;

CREATE TABLE deleted_functions (
    id  BLOB PRIMARY KEY,
    app TEXT NOT NULL REFERENCES deleted_apps (name) ON DELETE CASCADE
) STRICT;
