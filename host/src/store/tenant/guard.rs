//! What a guest's SQL may do: SQLite's limits, its authorizer, and the handler that stops a running statement.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use crate::threads;
use crate::tunables::{STATEMENT_BYTES, VALUE_BYTES};

use super::Error;
use super::connection::quick::is_cheap;
use super::rls::rewrite::Rewritten;
use super::rls::shadow::Shadows;
use super::rls::{Caller, access, catalog};
use super::text::Kind;
use super::value::Parameters;

/// Instructions of SQLite's machine between two looks at the clock: microseconds of work, so that a look costs little of it.
const PROGRESS_INTERVAL: i32 = 250;

/// Limits that SQLite itself holds to, with the reason where its default is not kept. The work of the parser and the
/// code generator is recursive, on a thread with a stack of 2 MiB: the depths and the number of schema objects (a chain
/// of views or triggers is as deep as there are objects) keep it far from the end of that stack.
const LIMITS: [(Limit, usize); 13] = [
    (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, STATEMENT_BYTES),
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
    (Limit::SQLITE_LIMIT_PARSER_DEPTH, 1_000),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    // Matching costs pattern times text.
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 50),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    (Limit::SQLITE_LIMIT_SCHEMA, 1_000),
];

/// Who a statement runs for.
#[derive(Debug, Clone)]
pub(super) struct OnBehalf {
    /// Who it is.
    pub(super) caller: Arc<Caller>,
    /// Whether policies hold: a limited role, in an app that has any.
    pub(super) limited: bool,
}

/// One statement of a guest on its way through SQLite.
pub(super) struct Call {
    /// The text.
    pub(super) sql: String,
    /// What its text starts with.
    pub(super) kind: Kind,
    /// What is bound to it.
    pub(super) parameters: Parameters,
    /// Who it runs for.
    pub(super) on_behalf: OnBehalf,
    deadline: Instant,
    /// When it is to stop although its time is not over, in nanoseconds since the start of the process; 0 for never.
    hurry: AtomicU64,
    cancelled: AtomicBool,
}

impl Call {
    /// A statement that is to end before the deadline.
    pub(super) fn new(
        sql: String,
        parameters: impl Into<Parameters>,
        on_behalf: OnBehalf,
        deadline: Instant,
    ) -> Result<Arc<Self>, Error> {
        let kind = super::text::inspect(&sql)?;
        Ok(Arc::new(Self {
            sql,
            kind,
            parameters: parameters.into(),
            on_behalf,
            deadline,
            hurry: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        }))
    }

    /// A statement of a text that the host was given as a whole: its length is that text's.
    pub(super) fn of_script(sql: String, on_behalf: OnBehalf, deadline: Instant) -> Result<Arc<Self>, Error> {
        let kind = super::text::kind(&sql)?;
        let parameters = Parameters::Positional(Vec::new());
        let (hurry, cancelled) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Arc::new(Self { sql, kind, parameters, on_behalf, deadline, hurry, cancelled }))
    }

    /// Asks the statement to stop, wherever it is. Affects no other statement, however late it comes.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// From now on it has to be over by then, or (none) by its deadline only.
    pub(super) fn hurry(&self, until: Option<Duration>) {
        let until = until.map_or(0, |time| threads::since_start().saturating_add(threads::nanoseconds(time)));
        self.hurry.store(until, Ordering::Relaxed);
    }

    /// Whether it has to be over before its deadline.
    pub(super) fn is_in_a_hurry(&self) -> bool {
        self.hurry.load(Ordering::Relaxed) != 0
    }

    /// Whether the statement has lost its reason to run.
    pub(super) fn is_over(&self) -> bool {
        let until = self.hurry.load(Ordering::Relaxed);
        self.cancelled.load(Ordering::Relaxed)
            || Instant::now() >= self.deadline
            || (until != 0 && threads::since_start() >= until)
    }
}

/// What was seen of a statement when it was prepared.
#[derive(Default)]
pub(super) struct Prepared {
    /// Whether it has a function that no deadline stops.
    pub(super) is_costly: bool,
    /// The tables and views it reads or writes.
    pub(super) tables: Vec<String>,
}

impl Prepared {
    fn note(&mut self, action: &AuthAction<'_>) {
        match action {
            AuthAction::Function { function_name } => self.is_costly |= !is_cheap(function_name),
            AuthAction::Read { table_name, .. }
            | AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. }
                if !self.tables.iter().any(|known| known == table_name) =>
            {
                self.tables.push((*table_name).to_owned());
            }
            _ => {}
        }
    }
}

/// What a connection is doing, as its callbacks see it. Without a call it runs SQL of the host, which may do everything.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    call: Option<Arc<Call>>,
    limits: Option<(Arc<Shadows>, Rewritten)>,
    refusal: Option<String>,
    /// Whether something had to be prepared for a call in a hurry, which has no time for it.
    unprepared: bool,
    /// The last statement; known when it was prepared for its call.
    prepared: Option<Prepared>,
}

impl Watch {
    /// From now on the connection works for this call, until the guard is dropped.
    pub(super) fn during(&self, call: &Arc<Call>, limits: Option<(Arc<Shadows>, Rewritten)>) -> Watching<'_> {
        *self.lock() = Watched { call: Some(Arc::clone(call)), limits, ..Watched::default() };
        Watching(self)
    }

    /// The connection works for the host, until the guard is dropped.
    pub(super) fn pause(&self) -> Paused<'_> {
        Paused { call: self.lock().call.take(), watch: self }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the statement at work runs for.
    pub(super) fn caller(&self) -> Option<Arc<Caller>> {
        self.lock().call.as_ref().map(|call| Arc::clone(&call.on_behalf.caller))
    }

    /// What the statement at work was found to be, if it is one of a limited role.
    pub(super) fn statement<T>(&self, of: impl FnOnce(&Rewritten) -> T) -> Option<T> {
        self.lock().limits.as_ref().map(|(_, statement)| of(statement))
    }

    /// What the last statement is, if it was prepared for its call.
    pub(super) fn prepared(&self) -> Option<Prepared> {
        self.lock().prepared.take()
    }

    fn must_stop(&self) -> bool {
        threads::step_back_when_long();
        self.lock().call.as_ref().is_some_and(|call| call.is_over())
    }

    fn authorize(&self, context: &AuthContext<'_>) -> Authorization {
        let mut state = self.lock();
        if state.call.is_none() {
            return Authorization::Allow;
        }
        if state.call.as_ref().is_some_and(|call| call.is_in_a_hurry()) {
            state.unprepared = true;
            return Authorization::Deny;
        }
        state.prepared.get_or_insert_default().note(&context.action);
        let Some(call) = &state.call else {
            return Authorization::Allow;
        };
        let limited =
            || state.limits.as_ref().and_then(|(shadows, statement)| access::refusal(context, shadows, statement));
        match refusal(context, call.kind).or_else(limited) {
            None => Authorization::Allow,
            Some(text) => {
                state.refusal = Some(text);
                Authorization::Deny
            }
        }
    }
}

/// A connection at work for a guest.
pub(super) struct Watching<'a>(&'a Watch);

impl Watching<'_> {
    /// The error to report: the authorizer's reason, when it gave one, says more than SQLite's code.
    pub(super) fn explain(&self, error: Error) -> Error {
        let mut state = self.0.lock();
        match state.refusal.take() {
            Some(text) => Error::Denied(text),
            None if state.unprepared => Error::Timeout,
            None => error,
        }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        *state = Watched { prepared: state.prepared.take(), ..Watched::default() };
    }
}

/// A connection at work for the host.
pub(super) struct Paused<'a> {
    watch: &'a Watch,
    call: Option<Arc<Call>>,
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.watch.lock().call = self.call.take();
    }
}

/// Puts a new connection under guard, for good.
pub(super) fn install(sqlite: &mut rusqlite::Connection) -> rusqlite::Result<Arc<Watch>> {
    for (limit, value) in LIMITS {
        sqlite.set_limit(limit, i32::try_from(value).unwrap_or(i32::MAX))?;
    }
    for (setting, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        // A misspelt "column" is an error, not a string.
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        sqlite.set_db_config(setting, value)?;
    }
    let watch = Arc::new(Watch::default());
    let observer = Arc::clone(&watch);
    sqlite.progress_handler(PROGRESS_INTERVAL, Some(move || observer.must_stop()))?;
    let observer = Arc::clone(&watch);
    sqlite.authorizer(Some(move |context: AuthContext<'_>| observer.authorize(&context)))?;
    Ok(watch)
}

/// Lets statements be as long as this, or as long as a guest's if that is more.
pub(super) fn allow_length(sqlite: &rusqlite::Connection, bytes: usize) -> rusqlite::Result<()> {
    let bytes = i32::try_from(bytes.max(STATEMENT_BYTES)).unwrap_or(i32::MAX);
    sqlite.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, bytes).map(drop)
}

/// Has FOREIGN KEYs checked, or not. Outside of transactions only.
pub(super) fn check_foreign_keys(sqlite: &rusqlite::Connection, on: bool) -> rusqlite::Result<()> {
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, on).map(drop)
}

/// They would stay on the connection and meet the next request there.
const NO_TEMPORARY: &str = "temporary tables, views and triggers are not allowed: connections are shared";

/// Why a guest may not do this, or nothing when it may. Whatever is not known to be harmless is refused.
fn refusal(context: &AuthContext<'_>, kind: Kind) -> Option<String> {
    match &context.action {
        // `CREATE TABLE temp.t` comes as an ordinary table, but not without an entry in the schema of its database.
        AuthAction::Insert { .. } if context.database_name == Some("temp") => Some(NO_TEMPORARY.to_owned()),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Some("ATTACH, DETACH and VACUUM are not allowed".to_owned())
        }
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
            Some("BEGIN, COMMIT, ROLLBACK and SAVEPOINT are not allowed in SQL: use a transaction".to_owned())
        }
        AuthAction::Pragma { pragma_name, pragma_value } => refused_pragma(pragma_name, *pragma_value),
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => refused_write(table_name, kind),
        AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::CreateIndex { table_name, .. }
            if is_of_host(table_name) =>
        {
            Some(format!("{table_name} is the host's: names that begin with {} are", catalog::PREFIX))
        }
        AuthAction::CreateVtable { module_name, .. } => refused_module(module_name),
        AuthAction::Function { function_name } => refused_function(function_name),
        AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. } => Some(NO_TEMPORARY.to_owned()),
        AuthAction::CreateIndex { .. }
        | AuthAction::CreateTable { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropView { .. }
        | AuthAction::DropVtable { .. }
        | AuthAction::AlterTable { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::Analyze { .. }
        | AuthAction::Read { .. }
        | AuthAction::Select
        | AuthAction::Recursive => None,
        _ => Some("this statement is not allowed".to_owned()),
    }
}

/// The pragmas that describe the schema, and the two that full-text and R-tree tables ask for themselves.
fn refused_pragma(name: &str, value: Option<&str>) -> Option<String> {
    const DESCRIBING: [&str; 6] =
        ["table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list"];
    const ASKING: [&str; 2] = ["data_version", "page_size"];
    let is_one_of = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let allowed = is_one_of(&DESCRIBING) || (value.is_none() && is_one_of(&ASKING));
    (!allowed).then(|| format!("PRAGMA {name} is not allowed"))
}

/// SQLite's own tables change only as part of a statement that changes the schema. (`sqlite_schema` itself is guarded by
/// SQLite; this is for `sqlite_sequence` and the statistics.)
fn refused_write(table: &str, kind: Kind) -> Option<String> {
    let is_system = table.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("sqlite_"));
    let refused = (is_system && kind != Kind::Schema) || is_of_host(table);
    refused.then(|| format!("writing to {table} is not allowed"))
}

/// Whether it is where policies are kept.
fn is_of_host(table: &str) -> bool {
    table.get(..catalog::PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(catalog::PREFIX))
}

fn refused_module(name: &str) -> Option<String> {
    const MODULES: [&str; 4] = ["fts5", "fts5vocab", "rtree", "rtree_i32"];
    let allowed = MODULES.iter().any(|known| known.eq_ignore_ascii_case(name));
    (!allowed).then(|| format!("virtual tables of the module {name} are not allowed"))
}

fn refused_function(name: &str) -> Option<String> {
    const FUNCTIONS: [&str; 2] = ["load_extension", "fts3_tokenizer"];
    let refused = FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(name));
    refused.then(|| format!("the function {name} is not allowed"))
}
