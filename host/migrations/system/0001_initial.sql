-- Times are microseconds since 1970, UTC. Identifiers are the 16 bytes of a UUID, hashes the 32 bytes of a SHA-256.
-- "Sealed" columns hold what secrets/seal.rs makes of a value.

-- Single values of the host itself: the check of the master key, the hash of the admin token.
CREATE TABLE host (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE apps (
    name       TEXT PRIMARY KEY,
    jwt_secret BLOB NOT NULL, -- sealed
    created_at INTEGER NOT NULL
) STRICT;

-- Uploaded bytes, once for each content. The bytes stand last so that reading the size does not walk over them.
CREATE TABLE components (
    hash       BLOB PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    bytes      BLOB NOT NULL
) STRICT;

CREATE TABLE functions (
    id             BLOB PRIMARY KEY,
    app            TEXT NOT NULL REFERENCES apps (name),
    name           TEXT NOT NULL,
    active_version INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    UNIQUE (app, name),
    -- Checked at commit: a function and its first version need each other.
    FOREIGN KEY (id, active_version) REFERENCES function_versions (function_id, version) DEFERRABLE INITIALLY DEFERRED
) STRICT;

-- Never updated: a deployment adds a row and moves active_version.
CREATE TABLE function_versions (
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    version     INTEGER NOT NULL CHECK (version >= 1),
    settings    TEXT NOT NULL, -- JSON
    component   BLOB NOT NULL REFERENCES components (hash),
    world       TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    PRIMARY KEY (function_id, version)
) STRICT;

CREATE INDEX function_versions_by_component ON function_versions (component);

CREATE TABLE app_secrets (
    app        TEXT NOT NULL REFERENCES apps (name),
    name       TEXT NOT NULL,
    value      BLOB NOT NULL, -- sealed
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app, name)
) STRICT;

CREATE TABLE function_variables (
    function_id BLOB NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    value       BLOB NOT NULL, -- sealed
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (function_id, name)
) STRICT;

CREATE TABLE api_keys (
    id         BLOB PRIMARY KEY,
    app        TEXT NOT NULL REFERENCES apps (name),
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX api_keys_by_app ON api_keys (app);
