-- What the owner of an app chose for all of its functions, as JSON.
ALTER TABLE apps ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
