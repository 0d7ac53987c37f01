//! Statements that are over before another thread could take them: reads and writes of a few rows, by texts that were quick before.
//!
//! To hand a statement to a thread for blocking work and its rows back costs two wake-ups, many times what a read by a key takes.
//! A text that was prepared and run on such a thread within [`QUICK`] is run by its caller the next time, for at most
//! [`AT_ONCE`]; when that is not enough it is stopped and begun anew on a thread. It has done nothing by then: SQLite undoes
//! a write that it stops.
//! The clock is looked at every few instructions of SQLite's machine, so none of them may take long: statements with
//! functions other than those of [`CHEAP`], with virtual tables, or with large values always go to a thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CACHED_STATEMENTS, Connection, INTERNAL_LOCK_WAIT, is_kept};
use crate::store::tenant::guard::{Call, Prepared};
use crate::store::tenant::heap::Budget;
use crate::store::tenant::text;
use crate::store::tenant::value::{Outcome, Rows};
use crate::store::tenant::{Error, STATEMENT_MEMORY};

/// What a text may take on a thread to be tried without one, prepared anew or not.
const QUICK: Duration = Duration::from_millis(1);

/// What a statement may take without one.
const AT_ONCE: Duration = Duration::from_micros(200);

/// What its rows may take, or its parameters, in bytes.
const BYTES_AT_ONCE: usize = 64 * 1024;

/// What SQLite may allocate for it, in bytes: a value that does not fit is too large to be handled within one instruction.
const MEMORY_AT_ONCE: i64 = 256 * 1024;

/// Functions that take no longer for large values than for small ones, or a step for each row. `count` is not among them: without a
/// condition SQLite counts a whole table in one instruction.
const CHEAP: [&str; 24] = [
    "abs",
    "auth_email",
    "auth_jwt",
    "auth_role",
    "auth_uid",
    "avg",
    "caddis_reads_back",
    "caddis_refuse",
    "caddis_writes",
    "coalesce",
    "date",
    "datetime",
    "ifnull",
    "iif",
    "last_insert_rowid",
    "max",
    "min",
    "nullif",
    "random",
    "round",
    "row_number",
    "sum",
    "total",
    "unixepoch",
];

#[cfg(test)]
thread_local! {
    /// Statements this thread has run for itself.
    pub(in crate::store::tenant) static RUN_AT_ONCE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Whether a statement with this function may be quick.
pub(in crate::store::tenant) fn is_cheap(function: &str) -> bool {
    CHEAP.iter().any(|cheap| cheap.eq_ignore_ascii_case(function))
}

/// What a connection knows of the texts it has prepared.
#[derive(Default)]
pub(super) struct Paces(HashMap<String, Pace>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Has nothing in it that could not be stopped.
    Unknown,
    /// And was quick the last time.
    Quick,
}

impl Paces {
    fn is_quick(&self, sql: &str) -> bool {
        self.0.get(sql) == Some(&Pace::Quick)
    }

    /// Notes a run on a thread. `stoppable` is known when the statement was prepared for it.
    fn ran(&mut self, sql: &str, took: Duration, stoppable: Option<bool>) {
        match stoppable {
            Some(false) => drop(self.0.remove(sql)),
            Some(true) if is_kept(text::without_terminator(sql)) => {
                if self.0.len() >= CACHED_STATEMENTS {
                    self.0.clear();
                }
                self.0.insert(sql.to_owned(), Pace::Unknown);
            }
            _ => {}
        }
        if took <= QUICK
            && let Some(pace) = self.0.get_mut(sql)
        {
            *pace = Pace::Quick;
        }
    }

    fn failed(&mut self, sql: &str) {
        if let Some(pace) = self.0.get_mut(sql) {
            *pace = Pace::Unknown;
        }
    }
}

impl Connection {
    /// Runs a statement that reads, if it is one that is quick. None when it has to be run on a thread: nothing has happened then.
    pub(in crate::store::tenant) fn query_at_once(&mut self, call: &Arc<Call>) -> Option<Outcome> {
        if !self.paces.is_quick(&call.sql) {
            return None;
        }
        // Where memory runs out in a transaction, SQLite rolls it back.
        let budget = if self.is_in_transaction() { STATEMENT_MEMORY } else { MEMORY_AT_ONCE };
        let _budget = Budget::of(budget);
        call.hurry(Some(AT_ONCE));
        let result = self.read(call, BYTES_AT_ONCE);
        call.hurry(None);
        if let Ok(Some(rows)) = result {
            #[cfg(test)]
            RUN_AT_ONCE.set(RUN_AT_ONCE.get() + 1);
            return Some(self.only(rows));
        }
        // Whatever it failed with, a thread finds out.
        self.paces.failed(&call.sql);
        None
    }

    /// Runs a statement and returns its rows, unless it writes: then nothing happens and there are none.
    pub(in crate::store::tenant) fn query_if_readonly(&mut self, call: &Arc<Call>) -> Result<Option<Rows>, Error> {
        let begun = Instant::now();
        let rows = self.read(call, self.limits.result_bytes)?;
        if rows.is_some() {
            self.note_pace(call, begun);
        }
        Ok(rows)
    }

    /// Runs a statement that writes, if it is one that is quick, and leaves nothing for later but to flush the log. None when it has to
    /// be run on a thread: nothing has happened then.
    pub(in crate::store::tenant) fn write_at_once<T>(
        &mut self,
        call: &Arc<Call>,
        work: fn(&mut Self, &Arc<Call>) -> Result<T, Error>,
    ) -> Option<Result<T, Error>> {
        if !self.log.has_room() || !self.paces.is_quick(&call.sql) || call.parameters.size() > BYTES_AT_ONCE {
            return None;
        }
        let result = self.in_a_hurry(call, work);
        call.hurry(None);
        match &result {
            Ok(_) => {}
            // Its time, its memory, or a lock of another process. Nothing of it is left; other errors may leave something
            // (`INSERT OR FAIL`), and are those of the statement.
            Err(Error::Timeout) if call.is_over() => {}
            Err(Error::Timeout | Error::Limit(_) | Error::Busy(_)) => {
                self.paces.failed(&call.sql);
                self.forget_last_row();
                return None;
            }
            Err(_) => {}
        }
        #[cfg(test)]
        RUN_AT_ONCE.set(RUN_AT_ONCE.get() + 1);
        Some(result)
    }

    fn in_a_hurry<T>(
        &mut self,
        call: &Arc<Call>,
        work: fn(&mut Self, &Arc<Call>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let log = Arc::clone(&self.log);
        let _log_stays = log.at_once();
        let _budget = Budget::of(MEMORY_AT_ONCE);
        self.sqlite.busy_timeout(Duration::ZERO)?;
        call.hurry(Some(AT_ONCE));
        let result = work(self, call);
        self.sqlite.busy_timeout(INTERNAL_LOCK_WAIT)?;
        result
    }

    /// Runs a statement that writes, on a thread.
    pub(in crate::store::tenant) fn write<T>(
        &mut self,
        call: &Arc<Call>,
        work: fn(&mut Self, &Arc<Call>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let result = work(self, call)?;
        self.note_pace(call, begun);
        Ok(result)
    }

    fn note_pace(&mut self, call: &Call, begun: Instant) {
        let took = begun.elapsed();
        let stoppable = self.watch.prepared().map(|prepared| self.is_stoppable(&prepared));
        self.paces.ran(&call.sql, took, stoppable);
    }

    /// Whether each instruction of the statement is over soon: it is not where a function or a virtual table does as it likes.
    fn is_stoppable(&self, prepared: &Prepared) -> bool {
        const VIRTUAL: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage = 0
            UNION ALL SELECT name FROM pragma_module_list";
        if prepared.is_costly {
            return false;
        }
        let names = self.on_host(|sqlite| {
            sqlite.prepare_cached(VIRTUAL)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
        });
        let Ok(names) = names else { return false };
        // What a virtual table keeps is in tables with its name in front, for which it prepares statements of its own.
        let is_of = |table: &str, name: &str| {
            table.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && table.get(name.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        !prepared.tables.iter().any(|table| names.iter().any(|name| is_of(table, name)))
    }

    fn read(&mut self, call: &Arc<Call>, mut room: usize) -> Result<Option<Rows>, Error> {
        self.run(
            call,
            |connection, statement| {
                if statement.readonly() { connection.collect(statement, &mut room).map(Some) } else { Ok(None) }
            },
        )
    }
}
