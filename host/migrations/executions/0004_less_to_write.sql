-- Rows are in the order of their time already, but for the length of an execution: retention finds what is old at the front.
DROP INDEX executions_by_time;
