//! One connection: how it is set up, and how it runs one statement. Everything here blocks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, OpenFlags, OptionalExtension, Row, Statement, StatementStatus, ffi};

use super::Error;
use super::Limits;
use super::functions;
use super::guard::{self, Call, OnBehalf, Watch};
use super::mathematics;
use super::migrations::{Mode, is_frame};
use super::rls::command::{self, Command};
use super::rls::rewrite::{self, Rewritten};
use super::rls::shadow::{self, Shadows};
use super::rls::{self, catalog};
use super::script::{ScriptError, pieces};
use super::text::{self, Kind};
use super::value::{Changes, Outcome, Parameters, Rows, Value};
use crate::tunables::{CURSOR_BYTES, CURSOR_ROWS};

/// Prepared statements one connection keeps.
const CACHED_STATEMENTS: usize = 64;

/// Longest text of a statement that is kept, in bytes, and most memory one may take after its first run: together they
/// bound the memory of a cache that guests fill.
const CACHED_TEXT_BYTES: usize = 8 * 1024;
const CACHED_STATEMENT_BYTES: i32 = 128 * 1024;

/// Milliseconds SQLite waits for the short locks it takes by itself: recovery after a crash, the last checkpoint of a
/// connection that closes.
const INTERNAL_LOCK_WAIT_MS: u64 = 1_000;

/// Size the write-ahead log is cut back to after a checkpoint, in bytes.
const JOURNAL_BYTES: i64 = 64 * 1024 * 1024;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that writes. Sorts and statement journals beyond its memory go to temporary files, because building an
    /// index on a large table or undoing a large update needs the room, and there is one writer at a time. SQLite puts
    /// them into `SQLITE_TMPDIR`, `TMPDIR` or `/var/tmp` and unlinks them at once.
    Writer,
    /// Cannot write. Its sorts stay in memory, within the budget of a statement: many run at the same time, and a query
    /// of an app must not fill a disk.
    Reader,
}

/// A connection under guard.
pub(super) struct Connection {
    sqlite: rusqlite::Connection,
    watch: Arc<Watch>,
    limits: Arc<Limits>,
    role: Role,
    shadows: Option<Arc<Shadows>>,
    policies_changed: bool,
}

/// Times a limited statement tries to begin while others change the schema.
const SHADOW_ATTEMPTS: usize = 8;

impl Connection {
    /// Opens the file, which must exist.
    pub(super) fn open(file: &Path, role: Role, limits: &Arc<Limits>) -> Result<Self, Error> {
        Self::set_up(file, role, limits).map_err(Error::internal)
    }

    fn set_up(file: &Path, role: Role, limits: &Arc<Limits>) -> rusqlite::Result<Self> {
        let access = match role {
            Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let mut sqlite = rusqlite::Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        sqlite.busy_timeout(std::time::Duration::from_millis(INTERNAL_LOCK_WAIT_MS))?;
        sqlite.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        match role {
            Role::Writer => {
                sqlite.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
                // Flushing each commit is the journal's part.
                sqlite.pragma_update(None, "synchronous", "normal")?;
                sqlite.pragma_update(None, "temp_store", "file")?;
                sqlite.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES, |_| Ok(()))?;
                let page_size: i64 = sqlite.pragma_query_value(None, "page_size", |row| row.get(0))?;
                let pages = i64::try_from(limits.database_bytes).unwrap_or(i64::MAX) / page_size.max(1);
                sqlite.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            }
            Role::Reader => {
                sqlite.pragma_update(None, "query_only", true)?;
                sqlite.pragma_update(None, "temp_store", "memory")?;
            }
        }
        functions::install(&sqlite)?;
        mathematics::install(&sqlite)?;
        let watch = guard::install(&mut sqlite)?;
        functions::install_callers(&sqlite, &watch)?;
        Ok(Self { sqlite, watch, limits: Arc::clone(limits), role, shadows: None, policies_changed: false })
    }

    /// Runs a statement and returns its rows and what it changed. A statement that writes is undone when its result breaks
    /// a limit.
    pub(super) fn outcome(&mut self, call: &Arc<Call>) -> Result<Outcome, Error> {
        let mut room = self.limits.result_bytes;
        self.outcome_within(call, &mut room)
    }

    /// [`Connection::outcome`] with so many bytes for the rows, and fewer afterwards.
    fn outcome_within(&mut self, call: &Arc<Call>, room: &mut usize) -> Result<Outcome, Error> {
        self.run(call, |connection, statement| {
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

    /// Runs a statement and returns its rows, unless it writes: then nothing happens and there are none.
    pub(super) fn query_if_readonly(&mut self, call: &Arc<Call>) -> Result<Option<Rows>, Error> {
        let mut room = self.limits.result_bytes;
        self.run(
            call,
            |connection, statement| {
                if statement.readonly() { connection.collect(statement, &mut room).map(Some) } else { Ok(None) }
            },
        )
    }

    /// Runs a statement to its end and returns what it changed; rows it yields are dropped.
    pub(super) fn execute(&mut self, call: &Arc<Call>) -> Result<Changes, Error> {
        self.run(call, |connection, statement| {
            let before = connection.sqlite.total_changes();
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            drop(rows);
            Ok(connection.changes_since(before))
        })
    }

    /// Runs statements in one transaction: all of them, or none. The results have the room of one.
    pub(super) fn batch(&mut self, calls: &[Arc<Call>]) -> Result<Vec<Outcome>, Error> {
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
    pub(super) fn stream(
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

    fn changes_since(&self, before: u64) -> Changes {
        // SQLite's count is that of the last statement that changed anything, which need not be this one.
        let changed = self.sqlite.total_changes() != before;
        Changes {
            rows_affected: if changed { self.sqlite.changes() } else { 0 },
            last_insert_id: self.sqlite.last_insert_rowid(),
        }
    }

    /// Runs the statements of a text in one transaction, and then what the host has to do in it.
    pub(super) fn run_script(
        &mut self,
        text: &str,
        mode: Mode,
        on_behalf: &OnBehalf,
        deadline: Instant,
        finish: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()>,
    ) -> Result<(), ScriptError> {
        let of_whole = |error| ScriptError::of_whole(text, error);
        let result = self
            .ease(text.len(), mode)
            .and_then(|()| self.host("BEGIN IMMEDIATE"))
            .map_err(of_whole)
            .and_then(|()| self.run_pieces(text, mode, on_behalf, deadline))
            .and_then(|()| self.on_host(finish).map_err(Error::from).map_err(of_whole))
            .and_then(|()| self.commit_script(mode).map_err(of_whole));
        if self.is_in_transaction() {
            self.host("ROLLBACK").map_err(of_whole)?;
        }
        let restored = self.ease(0, Mode::Migration).map_err(of_whole);
        result.and(restored)
    }

    /// Makes room for a text of the host, or with a length of 0 takes it away.
    fn ease(&self, length: usize, mode: Mode) -> Result<(), Error> {
        guard::allow_length(&self.sqlite, length)?;
        Ok(guard::check_foreign_keys(&self.sqlite, mode == Mode::Migration)?)
    }

    fn commit_script(&self, mode: Mode) -> Result<(), Error> {
        if mode == Mode::Import {
            let dangling = |sqlite: &rusqlite::Connection| {
                sqlite.query_row("SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT 1", [], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                })
            };
            if let Some((table, parent)) = self.on_host(dangling).optional()? {
                let message = format!("FOREIGN KEY constraint failed: a row of {table} refers to no row of {parent}");
                return Err(Error::Constraint { kind: super::ConstraintKind::ForeignKey, message });
            }
        }
        self.host("COMMIT")
    }

    fn run_pieces(
        &mut self,
        text: &str,
        mode: Mode,
        on_behalf: &OnBehalf,
        deadline: Instant,
    ) -> Result<(), ScriptError> {
        let mut pieces = pieces(text);
        if mode == Mode::Import {
            pieces.retain(|piece| !is_frame(piece));
        }
        for piece in &pieces {
            self.run_piece(piece.sql, on_behalf, deadline).map_err(|error| ScriptError::at(text, piece, error))?;
        }
        Ok(())
    }

    fn run_piece(&mut self, sql: &str, on_behalf: &OnBehalf, deadline: Instant) -> Result<(), Error> {
        let call = Call::of_script(sql.to_owned(), on_behalf.clone(), deadline)?;
        let command = if call.kind == Kind::Schema { command::parse(sql)? } else { None };
        match command {
            Some(command) => self.apply(&command)?,
            None => drop(self.execute(&call)?),
        }
        if self.is_in_transaction() { Ok(()) } else { Err(Error::Closed) }
    }

    /// Lets the host do something that no guest may.
    pub(super) fn on_host<T>(&self, work: impl FnOnce(&rusqlite::Connection) -> T) -> T {
        let _unguarded = self.watch.pause();
        work(&self.sqlite)
    }

    /// Runs SQL of the host, unguarded and to its end.
    pub(super) fn host(&self, sql: &str) -> Result<(), Error> {
        let unguarded = self.watch.pause();
        let result = self.sqlite.execute_batch(sql);
        drop(unguarded);
        Ok(result?)
    }

    /// Whether a transaction is open.
    pub(super) fn is_in_transaction(&self) -> bool {
        !self.sqlite.is_autocommit()
    }

    /// Whether policies may have changed since this was asked last.
    pub(super) fn take_policy_change(&mut self) -> bool {
        std::mem::take(&mut self.policies_changed)
    }

    /// `last_insert_rowid()` is the connection's, and the next one to use it is somebody else.
    #[expect(unsafe_code, reason = "rusqlite has no function for it")]
    pub(super) fn forget_last_row(&self) {
        // SAFETY: the handle is that of an open connection, which no other thread uses.
        unsafe { ffi::sqlite3_set_last_insert_rowid(self.sqlite.handle(), 0) }
    }

    /// Whether any table of the app has row-level security.
    pub(super) fn has_row_security(&self) -> Result<bool, Error> {
        Ok(catalog::is_used(&self.sqlite)?)
    }

    /// Changes policies.
    pub(super) fn apply(&mut self, command: &Command) -> Result<(), Error> {
        self.policies_changed = true;
        let _unguarded = self.watch.pause();
        catalog::apply(&self.sqlite, command)
    }

    /// Begins a transaction in which policies hold: its snapshot is the one the shadows were made from.
    pub(super) fn begin_limited(&mut self) -> Result<(), Error> {
        let begin = match self.role {
            Role::Writer => "BEGIN IMMEDIATE",
            Role::Reader => "BEGIN",
        };
        for _ in 0..SHADOW_ATTEMPTS {
            self.host(begin)?;
            let version: i64 = self.sqlite.pragma_query_value(None, "schema_version", |row| row.get(0))?;
            if self.shadows.as_ref().is_some_and(|shadows| shadows.version == version) {
                return Ok(());
            }
            self.host("ROLLBACK")?;
            self.build_shadows()?;
        }
        Err(Error::Busy("the schema changes all the time: try again".to_owned()))
    }

    fn build_shadows(&mut self) -> Result<(), Error> {
        self.shadows = None;
        let prefix = format!("rls_{}_", uuid::Uuid::new_v4().simple());
        self.sqlite.pragma_update(None, "query_only", false)?;
        let built = shadow::build(&self.sqlite, &prefix);
        self.sqlite.pragma_update(None, "query_only", self.role == Role::Reader)?;
        self.shadows = Some(Arc::new(built?));
        Ok(())
    }

    fn run<T>(
        &mut self,
        call: &Arc<Call>,
        work: impl FnOnce(&Self, &mut Statement<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if call.is_over() {
            return Err(Error::Timeout);
        }
        if !call.on_behalf.limited {
            self.refuse_renaming(call)?;
            let rewritten = rewrite::for_owner(&call.sql);
            let sql = rewritten.as_deref().unwrap_or(&call.sql);
            if call.kind == Kind::Schema && command::drops_table(sql) {
                return self.run_drop(call, sql, work);
            }
            return self.run_text(call, sql, None, work);
        }
        if self.is_in_transaction() {
            return self.run_limited(call, work);
        }
        self.begin_limited()?;
        let result = self.run_limited(call, work);
        let result = match result {
            Ok(value) if self.is_in_transaction() => self.host("COMMIT").map(|()| value),
            other => other,
        };
        if self.is_in_transaction() {
            self.host("ROLLBACK")?;
        }
        result
    }

    /// A table takes its policies along: another of the same name begins without.
    fn run_drop<T>(
        &mut self,
        call: &Arc<Call>,
        sql: &str,
        work: impl FnOnce(&Self, &mut Statement<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.host("SAVEPOINT dropping")?;
        let result = self.run_text(call, sql, None, work).and_then(|value| {
            let _unguarded = self.watch.pause();
            catalog::forget_dropped(&self.sqlite)?;
            Ok(value)
        });
        let result = result.and_then(|value| self.host("RELEASE dropping").map(|()| value));
        if result.is_err() && self.is_in_transaction() {
            self.host("ROLLBACK TO dropping; RELEASE dropping")?;
        }
        self.policies_changed = true;
        result
    }

    /// Policies are kept by the name of the table, and must not be lost with it.
    fn refuse_renaming(&self, call: &Call) -> Result<(), Error> {
        let renamed = if call.kind == Kind::Schema { command::renamed_table(&call.sql) } else { None };
        let Some(table) = renamed else { return Ok(()) };
        if catalog::protected(&self.sqlite)?.iter().any(|name| name.eq_ignore_ascii_case(&table)) {
            return Err(Error::Denied(format!(
                "{table} has row-level security, which goes by the table's name: disable it before renaming the table"
            )));
        }
        Ok(())
    }

    fn run_limited<T>(
        &self,
        call: &Arc<Call>,
        work: impl FnOnce(&Self, &mut Statement<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let shadows = self.shadows.clone().ok_or_else(|| Error::internal("a limited statement without shadows"))?;
        if !matches!(call.kind, Kind::Reading | Kind::Writing) {
            return Err(Error::Denied("this role may not change the schema (42501)".to_owned()));
        }
        let rewritten = rewrite::for_limited(&call.sql, &shadows)?;
        let sql = rewritten.sql.clone();
        self.run_text(call, &sql, Some((shadows, rewritten)), work)
    }

    fn run_text<T>(
        &self,
        call: &Arc<Call>,
        sql: &str,
        limits: Option<(Arc<Shadows>, Rewritten)>,
        work: impl FnOnce(&Self, &mut Statement<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let watching = self.watch.during(call, limits);
        self.with_statement(sql, |statement| {
            bind(statement, &call.parameters)?;
            work(self, statement)
        })
        .map_err(|error| watching.explain(error))
        .map_err(explain_violation)
    }

    fn with_statement<T>(
        &self,
        sql: &str,
        work: impl FnOnce(&mut Statement<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let sql = text::without_terminator(sql);
        if sql.len() > CACHED_TEXT_BYTES || sql.contains(';') {
            return work(&mut self.only_statement(sql)?);
        }
        let mut statement = self.sqlite.prepare_cached(sql)?;
        let result = work(&mut statement);
        let is_new = statement.get_status(StatementStatus::Run) <= 1;
        if is_new && statement.get_status(StatementStatus::MemUsed) > CACHED_STATEMENT_BYTES {
            statement.discard();
        }
        result
    }

    /// Prepares a text that may hold several statements. (`Connection::prepare` finds that out by recursion, one level
    /// for each statement: a text of a megabyte overflows the stack.)
    fn only_statement(&self, sql: &str) -> Result<Statement<'_>, Error> {
        let mut batch = Batch::new(&self.sqlite, sql);
        let statement = batch.next()?.ok_or_else(|| Error::Syntax("the statement is empty".to_owned()))?;
        match batch.next() {
            Ok(None) => Ok(statement),
            Ok(Some(_)) | Err(_) => Err(Error::Syntax("one statement at a time: there is text behind it".to_owned())),
        }
    }

    fn collect(&self, statement: &mut Statement<'_>, room: &mut usize) -> Result<Rows, Error> {
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

/// A row that no policy admits is not a broken constraint of the schema.
fn explain_violation(error: Error) -> Error {
    match error {
        Error::Constraint { message, .. } if message.starts_with(rls::VIOLATION) => {
            Error::Denied(format!("{message} (42501)"))
        }
        other => other,
    }
}

fn column_names(statement: &Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

fn bind(statement: &mut Statement<'_>, parameters: &Parameters) -> Result<(), Error> {
    match parameters {
        Parameters::Positional(values) => bind_in_order(statement, values),
        Parameters::Named(values) => bind_by_name(statement, values),
    }
}

fn bind_in_order(statement: &mut Statement<'_>, values: &[Value]) -> Result<(), Error> {
    let wanted = statement.parameter_count();
    if wanted != values.len() {
        return Err(Error::Parameter(format!(
            "the statement has {wanted} parameters, {} values were given",
            values.len()
        )));
    }
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(())
}

fn bind_by_name(statement: &mut Statement<'_>, values: &[(String, Value)]) -> Result<(), Error> {
    let mut unused: HashMap<&str, &Value> = HashMap::with_capacity(values.len());
    for (name, value) in values {
        if unused.insert(without_sign(name), value).is_some() {
            return Err(Error::Parameter(format!("the parameter {name} is given twice")));
        }
    }
    let given = unused.clone();
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).map(str::to_owned);
        let Some(name) = name.filter(|name| !name.starts_with('?')) else {
            return Err(Error::Parameter(format!(
                "parameter {index} of the statement has no name: pass values in order"
            )));
        };
        let value = given.get(without_sign(&name)).ok_or_else(|| {
            Error::Parameter(format!("the statement has the parameter {name}, for which there is no value"))
        })?;
        statement.raw_bind_parameter(index, *value)?;
        unused.remove(without_sign(&name));
    }
    match unused.keys().min() {
        None => Ok(()),
        Some(name) => Err(Error::Parameter(format!("the statement has no parameter {name}"))),
    }
}

fn without_sign(name: &str) -> &str {
    name.strip_prefix([':', '@', '$']).unwrap_or(name)
}
