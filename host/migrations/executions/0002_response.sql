-- What the function answered: the size of the body, and the beginning of it where it is text and the function's settings have it kept.
ALTER TABLE executions ADD COLUMN response_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN result TEXT;

-- As before, and by what started it as well.
DROP INDEX executions_by_function;
CREATE INDEX executions_by_function ON executions (function_id, id, status, trigger_type);
