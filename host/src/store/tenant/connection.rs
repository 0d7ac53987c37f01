//! One connection: how it is set up, and how it runs one statement. Everything here blocks.

mod parameters;
pub(super) mod quick;
mod results;
mod scripts;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, OpenFlags, Statement, StatementStatus, ffi};

use super::Error;
use super::Limits;
use super::functions;
use super::guard::{self, Call, Watch};
use super::log::Log;
use super::mathematics;
use super::rls::command::{self, Command};
use super::rls::rewrite::{self, Rewritten};
use super::rls::shadow::{self, Shadows};
use super::rls::{self, catalog};
use super::text::{self, Kind};
use parameters::bind;
use quick::Paces;

/// Prepared statements one connection keeps.
const CACHED_STATEMENTS: usize = 64;

/// Longest text of a statement that is kept, in bytes, and most memory one may take after its first run: together they
/// bound the memory of a cache that guests fill.
const CACHED_TEXT_BYTES: usize = 8 * 1024;
const CACHED_STATEMENT_BYTES: i32 = 128 * 1024;

/// How long SQLite waits for the short locks it takes by itself: recovery after a crash, the last checkpoint of a connection
/// that closes.
const INTERNAL_LOCK_WAIT: Duration = Duration::from_secs(1);

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
    log: Arc<Log>,
    shadows: Option<Arc<Shadows>>,
    policies_changed: bool,
    paces: Box<Paces>,
}

/// Times a limited statement tries to begin while others change the schema.
const SHADOW_ATTEMPTS: usize = 8;

impl Connection {
    /// Opens the file, which must exist.
    pub(super) fn open(file: &Path, role: Role, limits: &Arc<Limits>, log: &Arc<Log>) -> Result<Self, Error> {
        Self::set_up(file, role, limits, log).map_err(Error::internal)
    }

    fn set_up(file: &Path, role: Role, limits: &Arc<Limits>, log: &Arc<Log>) -> rusqlite::Result<Self> {
        let access = match role {
            Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let mut sqlite = rusqlite::Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        sqlite.busy_timeout(INTERNAL_LOCK_WAIT)?;
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
                log.follow(&mut sqlite)?;
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
        Ok(Self {
            sqlite,
            watch,
            limits: Arc::clone(limits),
            role,
            log: Arc::clone(log),
            shadows: None,
            policies_changed: false,
            paces: Box::default(),
        })
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
        self.begin_limited_unless(|| false)
    }

    /// [`Connection::begin_limited`], but a timeout where shadows are to be made and the caller has no time for it.
    fn begin_limited_unless(&mut self, in_a_hurry: impl Fn() -> bool) -> Result<(), Error> {
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
            if in_a_hurry() {
                return Err(Error::Timeout);
            }
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
            if self.role == Role::Writer && call.kind == Kind::Schema && command::drops_table(sql) {
                return self.run_drop(call, sql, work);
            }
            return self.run_text(call, sql, None, work);
        }
        if self.is_in_transaction() {
            return self.run_limited(call, work);
        }
        self.begin_limited_unless(|| call.is_in_a_hurry())?;
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
        if !is_kept(sql) {
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
}

/// Whether a statement of this text, which has no terminator, may stay prepared.
fn is_kept(sql: &str) -> bool {
    sql.len() <= CACHED_TEXT_BYTES && !sql.contains(';')
}

/// A row that no policy admits is not a broken constraint of the schema.
fn explain_violation(error: Error) -> Error {
    match error {
        Error::Constraint { message, .. } | Error::Syntax(message) if message.starts_with(rls::VIOLATION) => {
            Error::Denied(format!("{message} (42501)"))
        }
        other => other,
    }
}
