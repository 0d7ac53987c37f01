//! What a statement did: its rows, whole or piece by piece, and its changes, within the limits of a result.

use std::sync::Arc;

use rusqlite::{Row, Statement};

use super::{Connection, Role};
use crate::store::tenant::Error;
use crate::store::tenant::guard::Call;
use crate::store::tenant::text::Kind;
use crate::store::tenant::value::{Changes, Outcome, Rows, Value};
use crate::tunables::{CURSOR_BYTES, CURSOR_ROWS};

impl Connection {
    /// Runs a statement and returns its rows and what it changed. A statement that writes is undone when its result breaks
    /// a limit.
    pub(in crate::store::tenant) fn outcome(&mut self, call: &Arc<Call>) -> Result<Outcome, Error> {
        if call.kind == Kind::Reading
            && let Some(rows) = self.query_if_readonly(call)?
        {
            return Ok(self.only(rows));
        }
        let mut room = self.limits.result_bytes;
        self.outcome_within(call, &mut room)
    }

    /// [`Connection::outcome`] with so many bytes for the rows, and fewer afterwards.
    fn outcome_within(&mut self, call: &Arc<Call>, room: &mut usize) -> Result<Outcome, Error> {
        self.run(call, |connection, statement| {
            if connection.role == Role::Reader && !statement.readonly() {
                return Err(Error::read_only());
            }
            let before = connection.sqlite.total_changes();
            let rows = if statement.readonly() || statement.column_count() == 0 {
                connection.collect(statement, room)?
            } else {
                connection.collect_or_undo(statement, room)?
            };
            Ok(Outcome { rows, changes: connection.changes_since(before) })
        })
    }

    /// SQLite makes all changes before the first row and commits them even when not every row is fetched.
    fn collect_or_undo(&self, statement: &mut Statement<'_>, room: &mut usize) -> Result<Rows, Error> {
        self.host("SAVEPOINT result")?;
        let result = self.collect(statement, room).and_then(|rows| self.host("RELEASE result").map(|()| rows));
        if result.is_err() && self.is_in_transaction() {
            self.host("ROLLBACK TO result; RELEASE result")?;
        }
        result
    }

    /// Runs a statement to its end and returns what it changed; rows it yields are dropped.
    pub(in crate::store::tenant) fn execute(&mut self, call: &Arc<Call>) -> Result<Changes, Error> {
        self.run(call, |connection, statement| {
            let before = connection.sqlite.total_changes();
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            drop(rows);
            Ok(connection.changes_since(before))
        })
    }

    /// Runs statements in one transaction: all of them, or none. The results have the room of one.
    pub(in crate::store::tenant) fn batch(&mut self, calls: &[Arc<Call>]) -> Result<Vec<Outcome>, Error> {
        let limited = calls.first().is_some_and(|call| call.on_behalf.limited);
        if limited {
            self.begin_limited()?
        } else {
            self.host("BEGIN IMMEDIATE")?
        }
        let result = self.run_all(calls).and_then(|outcomes| self.host("COMMIT").map(|()| outcomes));
        if self.is_in_transaction() {
            self.host("ROLLBACK")?;
        }
        result
    }

    /// Runs statements in the transaction that is open: all of them, or none. The results have the room of one.
    pub(in crate::store::tenant) fn batch_within(&mut self, calls: &[Arc<Call>]) -> Result<Vec<Outcome>, Error> {
        self.host("SAVEPOINT batch")?;
        let result = self.run_all(calls).and_then(|outcomes| self.host("RELEASE batch").map(|()| outcomes));
        if result.is_err() && self.is_in_transaction() {
            self.host("ROLLBACK TO batch; RELEASE batch")?;
        }
        result
    }

    fn run_all(&mut self, calls: &[Arc<Call>]) -> Result<Vec<Outcome>, Error> {
        let mut room = self.limits.result_bytes;
        let mut outcomes = Vec::with_capacity(calls.len());
        for (call, number) in calls.iter().zip(1..) {
            let outcome = self.outcome_within(call, &mut room).map_err(|error| error.in_statement(number))?;
            if !self.is_in_transaction() {
                return Err(Error::Closed);
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Runs a statement that reads and passes its rows on, piece by piece: at least one, for the names of the columns.
    pub(in crate::store::tenant) fn stream(
        &mut self,
        call: &Arc<Call>,
        mut pass: impl FnMut(Rows) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.run(call, |connection, statement| {
            if !statement.readonly() {
                return Err(Error::Denied("a cursor reads; this statement writes".to_owned()));
            }
            let mut piece = Rows::default();
            let mut is_first = true;
            let mut bytes = 0;
            let mut cursor = statement.raw_query();
            while let Some(row) = cursor.next()? {
                if is_first && piece.rows.is_empty() {
                    piece.columns = column_names(row.as_ref());
                }
                piece.rows.push(connection.values_of(row, &mut bytes, connection.limits.result_bytes)?);
                if piece.rows.len() == CURSOR_ROWS || bytes >= CURSOR_BYTES {
                    pass(std::mem::take(&mut piece))?;
                    (is_first, bytes) = (false, 0);
                }
            }
            drop(cursor);
            if is_first && piece.rows.is_empty() {
                piece.columns = column_names(statement);
            }
            if is_first || !piece.rows.is_empty() { pass(piece) } else { Ok(()) }
        })
    }

    /// What a statement did that only read.
    pub(super) fn only(&self, rows: Rows) -> Outcome {
        Outcome { rows, changes: self.changes_since(self.sqlite.total_changes()) }
    }

    fn changes_since(&self, before: u64) -> Changes {
        // SQLite's count is that of the last statement that changed anything, which need not be this one.
        let changed = self.sqlite.total_changes() != before;
        Changes {
            rows_affected: if changed { self.sqlite.changes() } else { 0 },
            last_insert_id: self.sqlite.last_insert_rowid(),
        }
    }

    pub(super) fn collect(&self, statement: &mut Statement<'_>, room: &mut usize) -> Result<Rows, Error> {
        let mut columns: Option<Vec<String>> = None;
        let mut rows = Vec::new();
        let mut bytes = 0;
        let mut cursor = statement.raw_query();
        while let Some(row) = cursor.next()? {
            // Asked for here, because the first step may prepare the statement again after a change of the schema.
            columns.get_or_insert_with(|| column_names(row.as_ref()));
            if rows.len() == self.limits.result_rows {
                return Err(Error::Limit(format!(
                    "a result has at most {} rows: read it with a cursor",
                    self.limits.result_rows
                )));
            }
            rows.push(self.values_of(row, &mut bytes, *room)?);
        }
        drop(cursor);
        *room -= bytes;
        Ok(Rows { columns: columns.unwrap_or_else(|| column_names(statement)), rows })
    }

    /// Copies a row, and adds what it counts for.
    fn values_of(&self, row: &Row<'_>, bytes: &mut usize, room: usize) -> Result<Vec<Value>, Error> {
        let width = row.as_ref().column_count();
        let mut values = Vec::with_capacity(width);
        for index in 0..width {
            let column = row.get_ref(index)?;
            *bytes += Value::size(column);
            if *bytes > room {
                return Err(Error::Limit(format!(
                    "a result, or the results of a batch together, have at most {} bytes",
                    self.limits.result_bytes
                )));
            }
            values.push(Value::from_column(column));
        }
        Ok(values)
    }
}

fn column_names(statement: &Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}
