//! The thread that writes the log: batches in, old rows out.

use std::collections::BTreeSet;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::watch;

use super::queue::Queue;
use super::{ExecutionRow, Options, stats};
use crate::ids::FunctionId;
use crate::store::StoreError;
use crate::store::columns::{Count, Micros};
use crate::store::conn::Database;
use crate::threads;

const INSERT: &str = "INSERT INTO executions \
     (id, app, function_id, function_version, trigger_type, user_id, method, path, status, status_code, duration_ms, fuel, \
     peak_memory_bytes, logs, logs_dropped, error_code, error_message, error_stack, executed_at, completed_at, response_bytes, result) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";
const FIRST: &str = "SELECT executed_at FROM executions ORDER BY sequence LIMIT 1";
const DELETE_OLD: &str = "DELETE FROM executions WHERE executed_at < ?1 AND sequence IN \
     (SELECT sequence FROM executions ORDER BY sequence LIMIT ?2)";
const DELETE_SURPLUS: &str = "DELETE FROM executions WHERE sequence IN \
     (SELECT sequence FROM executions WHERE function_id = ?1 ORDER BY id DESC LIMIT ?3 OFFSET ?2)";
const FUNCTIONS: &str = "SELECT function_id FROM execution_stats \
     GROUP BY function_id HAVING sum(success + error + timeout) > ?1";

/// Writes until the queue is closed and empty. `progress` is how many accepted rows are dealt with.
pub(super) fn run(queue: &Queue, database: &Database, options: Options, progress: &watch::Sender<u64>) {
    // With one client that waits for each response, requests take 6 % longer otherwise (`caddis-bench --bin records`).
    threads::do_not_interrupt();
    let mut retention = Rounds::new(options);
    retention.begin(database);
    let mut reported_drops = 0;
    while let Some(batch) = queue.next_batch() {
        if let Err(error) = write(database, &batch) {
            queue.count_dropped(batch.len() as u64);
            tracing::error!(%error, rows = batch.len(), "executions could not be recorded");
        }
        progress.send_modify(|written| *written += batch.len() as u64);
        let dropped = queue.dropped();
        if dropped > reported_drops {
            tracing::warn!(rows = dropped - reported_drops, total = dropped, "executions were dropped from the log");
            reported_drops = dropped;
        }
        retention.wrote(&batch);
        if retention.is_due() {
            retention.trim(database);
        }
    }
}

fn write(database: &Database, batch: &[ExecutionRow]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    database.write_blocking(|connection| {
        batch.iter().try_for_each(|row| insert(connection, row))?;
        stats::add(connection, batch)
    })
}

fn insert(connection: &Connection, row: &ExecutionRow) -> Result<(), StoreError> {
    connection.prepare_cached(INSERT)?.execute(params![
        row.id,
        row.app,
        row.function_id,
        row.function_version,
        row.trigger_type,
        row.user_id,
        row.method,
        row.path,
        row.status,
        row.status_code,
        Count(row.duration_ms),
        Count(row.fuel),
        Count(row.peak_memory_bytes),
        row.logs,
        Count(row.logs_dropped),
        row.error_code,
        row.error_message,
        row.error_stack,
        Micros(row.executed_at),
        Micros(row.completed_at),
        Count(row.response_bytes),
        row.result,
    ])?;
    Ok(())
}

/// When to remove rows, and whose: only functions that ran since the last round can have too many, and those a round did not get
/// done with.
struct Rounds {
    options: Options,
    rows: usize,
    functions: BTreeSet<FunctionId>,
    last: Instant,
}

impl Rounds {
    fn new(options: Options) -> Self {
        Self { options, rows: 0, functions: BTreeSet::new(), last: Instant::now() }
    }

    /// The first round: less may be kept than before.
    fn begin(&mut self, database: &Database) {
        let kept = self.options.retention.count;
        let known = database.write_blocking(|connection| {
            let mut statement = connection.prepare(FUNCTIONS)?;
            let functions = statement.query_map([kept], |row| row.get(0))?;
            Ok(functions.collect::<rusqlite::Result<_>>()?)
        });
        match known {
            Ok(known) => self.functions = known,
            Err(error) => tracing::error!(%error, "the functions with executions could not be listed"),
        }
        self.trim(database);
    }

    fn wrote(&mut self, batch: &[ExecutionRow]) {
        self.rows += batch.len();
        self.functions.extend(batch.iter().map(|row| row.function_id));
    }

    fn is_due(&self) -> bool {
        self.rows >= self.options.trim_rows || self.last.elapsed() >= self.options.trim_interval
    }

    fn trim(&mut self, database: &Database) {
        let trimmed = self.delete_old(database).and_then(|()| self.delete_surplus(database));
        if let Err(error) = trimmed {
            tracing::error!(%error, "old executions could not be removed");
        }
        self.rows = 0;
        self.last = Instant::now();
    }

    /// Twice as much as one round can have brought in, so that it keeps up but never holds the writer for long.
    fn at_once(&self) -> usize {
        2 * self.options.trim_rows.max(self.options.batch_rows)
    }

    fn delete_surplus(&mut self, database: &Database) -> Result<(), StoreError> {
        let (kept, most) = (self.options.retention.count, self.at_once());
        for function in std::mem::take(&mut self.functions) {
            let delete = |connection: &Connection| {
                Ok(connection.prepare_cached(DELETE_SURPLUS)?.execute((function, kept, Count(most as u64)))?)
            };
            if database.write_blocking(delete)? == most {
                self.functions.insert(function);
            }
        }
        Ok(())
    }

    fn delete_old(&self, database: &Database) -> Result<(), StoreError> {
        let age = SignedDuration::try_from(self.options.retention.age).unwrap_or(SignedDuration::MAX);
        let oldest = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
        let most = Count(self.at_once() as u64);
        database.write_blocking(|connection| {
            // Rows come in the order of their time, but for the length of an execution: what is old is at the front.
            let first: Option<Micros> = connection.prepare_cached(FIRST)?.query_row([], |row| row.get(0)).optional()?;
            if first.is_some_and(|Micros(first)| first < oldest) {
                connection.prepare_cached(DELETE_OLD)?.execute((Micros(oldest), most))?;
            }
            stats::delete_old(connection, oldest)
        })
    }
}
