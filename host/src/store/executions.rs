//! The log of executions: recorded without waiting, written in batches by a thread of its own, kept for a while.
//!
//! [`ExecutionLog::record`] puts a row into a bounded queue; a row that finds it full is dropped and counted. The writer
//! waits a moment for company, writes what is there in one transaction, and now and then removes what is too old or too
//! much. [`ExecutionLog::flush`] waits until everything recorded before is readable.

mod queue;
pub mod stats;
pub mod tail;
mod writer;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::watch;

use self::queue::Queue;
use self::tail::{Tail, Tails};
use super::columns::{Count, Micros};
use super::conn::Database;
use super::{DirectoryLock, StoreError};
use crate::error::Code;
use crate::ids::{AppName, ExecutionId, FunctionId};
use crate::tunables::{
    EXECUTION_BATCH, EXECUTION_BATCH_DELAY, EXECUTION_QUEUE, EXECUTIONS_KEPT, EXECUTIONS_KEPT_DAYS,
    EXECUTIONS_PAGE_BYTES,
};

/// Bytes of all rows in the queue. Log lines make rows large: by number alone, the queue could take gigabytes.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Rows written between two rounds of retention at most, and at least: a function is over its number by this much at most, and by
/// what comes in one [`TRIM_INTERVAL`].
const TRIM_ROWS: usize = 10_000;
const TRIM_ROWS_MIN: usize = 100;

const SECONDS_PER_DAY: u64 = 86_400;

/// Time between two rounds of retention when little is written.
const TRIM_INTERVAL: Duration = Duration::from_secs(60);

/// Rows deleted in one transaction when a function goes: the writer gets its turn in between.
const DELETE_ROWS: usize = 5_000;

/// Finds the page in the index first, so that a large offset does not read the rows it skips.
const LIST: &str = "SELECT executions.* FROM ( \
         SELECT sequence FROM executions WHERE function_id = ?2 AND (?3 IS NULL OR status = ?3) \
         AND (?4 IS NULL OR trigger_type = ?4) AND NOT (?7 AND status = 'success') AND id >= ?8 AND id < ?9 \
         ORDER BY id DESC LIMIT ?5 OFFSET ?6 \
     ) AS page JOIN executions ON executions.sequence = page.sequence WHERE app = ?1 ORDER BY id DESC";
const ONE: &str = "SELECT * FROM executions WHERE function_id = ?2 AND id = ?3 AND app = ?1";
const DELETE_FUNCTION: &str = "DELETE FROM executions WHERE sequence IN \
     (SELECT sequence FROM executions WHERE function_id = ?1 LIMIT ?2)";

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// As clients and the database have it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

texts! {
    /// How an execution ended.
    Status {
        /// The function answered, with whatever status.
        Success = "success",
        /// It did not answer, or not with valid HTTP.
        Error = "error",
        /// It ran out of time or fuel.
        Timeout = "timeout",
    }
}

texts! {
    /// What started an execution.
    Trigger {
        /// A request.
        Http = "http",
        /// A schedule.
        Cron = "cron",
        /// An event of the host.
        Trigger = "trigger",
    }
}

/// One execution.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRow {
    /// Identifies it; sorts by time.
    pub id: ExecutionId,
    /// The app of the function.
    pub app: AppName,
    /// The function.
    pub function_id: FunctionId,
    /// The version that ran.
    pub function_version: u32,
    /// What started it.
    pub trigger_type: Trigger,
    /// The caller, when it was a user.
    pub user_id: Option<String>,
    /// The request's method.
    pub method: String,
    /// The request's path, as the function saw it.
    pub path: String,
    /// How it ended.
    pub status: Status,
    /// The status the client got, when it got one.
    pub status_code: Option<u16>,
    /// Bytes of the body it sent.
    pub response_bytes: u64,
    /// The beginning of that body, where it is text and the function's settings have it kept.
    pub result: Option<String>,
    /// Wall clock, in milliseconds.
    pub duration_ms: u64,
    /// Fuel used.
    pub fuel: u64,
    /// The most memory it had, in bytes.
    pub peak_memory_bytes: u64,
    /// Log lines, each as `level: text`.
    pub logs: String,
    /// Log lines that were over the limits.
    pub logs_dropped: u64,
    /// What went wrong, for programs.
    pub error_code: Option<Code>,
    /// What went wrong, for people.
    pub error_message: Option<String>,
    /// Where it went wrong.
    pub error_stack: Option<String>,
    /// When it began. Kept to the microsecond.
    pub executed_at: Timestamp,
    /// When it ended. Kept to the microsecond.
    pub completed_at: Timestamp,
}

impl ExecutionRow {
    /// Memory the row takes, in bytes, give or take an allocator's rounding.
    fn size(&self) -> usize {
        let optional = [&self.user_id, &self.result, &self.error_message, &self.error_stack];
        size_of::<Self>()
            + self.method.len()
            + self.path.len()
            + self.logs.len()
            + optional.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// Which executions of a function.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    /// Rows at most.
    pub limit: u32,
    /// Rows left out before the first.
    pub offset: u32,
    /// Only those that ended like this.
    pub status: Option<Status>,
    /// Only those that did not end well.
    pub failed: bool,
    /// Only those started by this.
    pub trigger: Option<Trigger>,
    /// Only those that began then or later.
    pub since: Option<Timestamp>,
    /// Only those before this one.
    pub before: Option<ExecutionId>,
}

/// What is kept of each function.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The newest so many executions; 0: none is recorded.
    pub count: u32,
    /// Those that began less than so long ago.
    pub age: Duration,
}

impl Retention {
    /// The newest `count` of the last `days`.
    pub fn new(count: u32, days: u32) -> Self {
        Self { count, age: Duration::from_secs(u64::from(days) * SECONDS_PER_DAY) }
    }

    /// All that is there: for whoever opens a log without being its host.
    pub fn everything() -> Self {
        Self { count: u32::MAX, age: Duration::MAX }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::new(EXECUTIONS_KEPT.default, EXECUTIONS_KEPT_DAYS.default)
    }
}

/// Sizes of the log. The defaults are the tunables; tests take smaller ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Rows that wait at most.
    pub(super) queue_rows: usize,
    /// Bytes of the rows that wait.
    pub(super) queue_bytes: usize,
    /// Rows of one transaction at most.
    pub(super) batch_rows: usize,
    /// How long a row waits for company.
    pub(super) batch_delay: Duration,
    /// Which rows are kept.
    pub(super) retention: Retention,
    /// Rows between two rounds of retention.
    pub(super) trim_rows: usize,
    /// Time between two rounds of retention.
    pub(super) trim_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_rows: EXECUTION_QUEUE,
            queue_bytes: QUEUE_BYTES,
            batch_rows: EXECUTION_BATCH,
            batch_delay: EXECUTION_BATCH_DELAY,
            retention: Retention::default(),
            trim_rows: TRIM_ROWS,
            trim_interval: TRIM_INTERVAL,
        }
    }
}

impl From<Retention> for Options {
    /// A smaller number is held to more closely: a tenth of it at a time.
    fn from(retention: Retention) -> Self {
        let trim_rows = (retention.count as usize / 10).clamp(TRIM_ROWS_MIN, TRIM_ROWS);
        Self { retention, trim_rows, ..Self::default() }
    }
}

/// The log. Clones share it; the last one to go blocks until what is queued is written (see [`ExecutionLog::stop`]).
#[derive(Clone)]
pub struct ExecutionLog(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    /// Whether rows are written at all.
    records: bool,
    tails: Tails,
    /// How many of the accepted rows are dealt with. Closed when the writer ends.
    written: watch::Receiver<u64>,
    writer: Mutex<Option<JoinHandle<()>>>,
    database: Arc<Database>,
    // Last: the directory is free only when its files are closed.
    _lock: Arc<DirectoryLock>,
}

impl ExecutionLog {
    /// Starts the writer.
    pub(super) fn start(database: Database, options: Options, lock: Arc<DirectoryLock>) -> io::Result<Self> {
        let database = Arc::new(database);
        let queue = Arc::new(Queue::new(options));
        let (progress, written) = watch::channel(0);
        let writer = {
            let (queue, database) = (Arc::clone(&queue), Arc::clone(&database));
            thread::Builder::new()
                .name("execution-log".to_owned())
                .spawn(move || writer::run(&queue, &database, options, &progress))?
        };
        let tails = Tails::default();
        let (records, writer) = (options.retention.count > 0, Mutex::new(Some(writer)));
        Ok(Self(Arc::new(Inner { queue, records, tails, written, writer, database, _lock: lock })))
    }

    /// Hands over a row. Never waits: a row that finds the queue full, or the log stopped, is dropped and counted.
    pub fn record(&self, row: ExecutionRow) {
        self.0.tails.show(&row);
        if self.0.records {
            self.0.queue.push(row);
        }
    }

    /// Follows the log of all functions from now on; none when too many do, or when the host stops.
    pub fn tail(&self) -> Option<Tail> {
        self.0.tails.follow()
    }

    /// Ends what follows the log, so that the connections behind it can end.
    pub fn end_tails(&self) {
        self.0.tails.end();
    }

    /// Rows dropped since the start: the queue was full, the log was stopped, or the database failed.
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// Waits until every row recorded before is readable (or, if the database failed, dropped).
    ///
    /// # Errors
    /// [`StoreError::Internal`] when the writer is gone.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let target = self.0.queue.hurry();
        let mut written = self.0.written.clone();
        let reached = written.wait_for(|written| *written >= target).await;
        reached.map(drop).map_err(|closed| StoreError::Internal(closed.into()))
    }

    /// Takes no more rows, and waits until those it has are written.
    pub async fn stop(&self) {
        self.0.queue.close();
        let mut written = self.0.written.clone();
        while written.changed().await.is_ok() {}
    }

    /// A page of a function's executions, newest first: fewer than its limit when they are large, and none only where there are none. Shows what is written: [`Self::flush`]
    /// first to see the latest.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Internal`].
    pub async fn list(&self, app: AppName, function: FunctionId, page: Page) -> Result<Vec<ExecutionRow>, StoreError> {
        let read = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(LIST)?;
            let Page { limit, offset, status, failed, trigger, since, before } = page;
            let since = ExecutionId::not_before(since.unwrap_or(Timestamp::UNIX_EPOCH));
            let parameters =
                (app, function, status, trigger, limit, offset, failed, since, before.unwrap_or(ExecutionId::LAST));
            let mut rows = statement.query_map(parameters, execution)?;
            let (mut page, mut bytes) = (Vec::new(), 0);
            while bytes < EXECUTIONS_PAGE_BYTES
                && let Some(row) = rows.next().transpose()?
            {
                bytes += row.size();
                page.push(row);
            }
            Ok(page)
        };
        self.0.database.read(read).await
    }

    /// One execution of a function, if it is kept.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Internal`].
    pub async fn get(
        &self,
        app: AppName,
        function: FunctionId,
        id: ExecutionId,
    ) -> Result<Option<ExecutionRow>, StoreError> {
        let read = move |connection: &Connection| {
            Ok(connection.prepare_cached(ONE)?.query_row((app, function, id), execution).optional()?)
        };
        self.0.database.read(read).await
    }

    /// Removes the executions of a function that is gone. Runs that still end afterwards leave rows until they are old.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Internal`].
    pub async fn delete_function(&self, function: FunctionId) -> Result<(), StoreError> {
        self.flush().await?;
        self.0.database.write(move |connection| stats::delete_function(connection, function)).await?;
        loop {
            let delete = move |connection: &Connection| {
                let mut statement = connection.prepare_cached(DELETE_FUNCTION)?;
                Ok(statement.execute((function, Count(DELETE_ROWS as u64)))?)
            };
            if self.0.database.write(delete).await? < DELETE_ROWS {
                return Ok(());
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of the execution log panicked");
        }
    }
}

fn execution(row: &Row<'_>) -> rusqlite::Result<ExecutionRow> {
    Ok(ExecutionRow {
        id: row.get("id")?,
        app: row.get("app")?,
        function_id: row.get("function_id")?,
        function_version: row.get("function_version")?,
        trigger_type: row.get("trigger_type")?,
        user_id: row.get("user_id")?,
        method: row.get("method")?,
        path: row.get("path")?,
        status: row.get("status")?,
        status_code: row.get("status_code")?,
        response_bytes: row.get::<_, Count>("response_bytes")?.0,
        result: row.get("result")?,
        duration_ms: row.get::<_, Count>("duration_ms")?.0,
        fuel: row.get::<_, Count>("fuel")?.0,
        peak_memory_bytes: row.get::<_, Count>("peak_memory_bytes")?.0,
        logs: row.get("logs")?,
        logs_dropped: row.get::<_, Count>("logs_dropped")?.0,
        error_code: row.get("error_code")?,
        error_message: row.get("error_message")?,
        error_stack: row.get("error_stack")?,
        executed_at: row.get::<_, Micros>("executed_at")?.0,
        completed_at: row.get::<_, Micros>("completed_at")?.0,
    })
}

#[cfg(test)]
mod tests;
