//! The database of one app, for one caller: each call waits for a connection, and for the disk where it wrote.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::runtime::Handle;

use super::connection::Connection;
use super::cursor::Cursor;
use super::guard::{Call, OnBehalf};
use super::lane::Lease;
use super::rls::Caller;
use super::rls::command::{self, Command};
use super::text::Kind;
use super::transaction::{Transaction, TransactionMode};
use super::value::{Changes, Outcome, Parameters, Rows, Statement};
use super::{App, Cancel, Error, blocking};
use crate::tunables::BATCH_STATEMENTS;

/// The database of one app. Clones share it.
#[derive(Clone)]
pub struct Database {
    pub(super) app: Arc<App>,
    pub(super) caller: Arc<Caller>,
}

impl Database {
    /// The same database, for someone else. As opened, it is the app's own.
    #[must_use]
    pub fn acting_for(self, caller: Arc<Caller>) -> Self {
        Self { caller, ..self }
    }

    pub(super) fn on_behalf(&self) -> OnBehalf {
        let limited = self.caller.role.is_limited() && self.app.row_security.load(Ordering::Acquire);
        OnBehalf { caller: Arc::clone(&self.caller), limited }
    }

    /// A statement that waited for its connection while the first policies were made must not run as if there were none.
    fn recheck(&self, limited: bool) -> Result<(), Error> {
        if self.on_behalf().limited && !limited {
            return Err(Error::Busy("row-level security was enabled meanwhile: try again".to_owned()));
        }
        Ok(())
    }

    async fn apply(&self, command: Command, deadline: Instant) -> Result<(), Error> {
        self.write(false, deadline, move |connection| connection.apply(&command)).await
    }

    /// Runs work that writes on the connection that can, and waits until what it committed is on the disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        limited: bool,
        deadline: Instant,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let lease = self.app.writer.lease(limited, deadline).await?;
        self.recheck(limited)?;
        self.write_with(lease, deadline, work).await
    }

    async fn write_with<T: Send + 'static>(
        &self,
        mut lease: Lease,
        deadline: Instant,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let app = Arc::clone(&self.app);
        let writing = async {
            let (value, commit) = blocking(move || {
                let connection = lease.connection()?;
                let value = work(connection)?;
                if connection.take_policy_change() {
                    app.row_security.store(connection.has_row_security()?, Ordering::Release);
                }
                // Before the flush, so that the next one can write meanwhile.
                drop(lease);
                Ok((value, app.journal.committed()))
            })
            .await?;
            self.app.journal.settle(commit).await.map(|()| value)
        };
        tokio::time::timeout_at(deadline.into(), writing).await.unwrap_or(Err(Error::Timeout))
    }

    /// Runs one statement that writes, where it is asked for or on a thread.
    async fn write_one<T: Send + 'static>(
        &self,
        call: Arc<Call>,
        deadline: Instant,
        work: fn(&mut Connection, &Arc<Call>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut lease = self.app.writer.lease(call.on_behalf.limited, deadline).await?;
        self.recheck(call.on_behalf.limited)?;
        if call.kind == Kind::Writing
            && let Some(written) = lease.write_at_once(&call, work)
        {
            drop(lease);
            let value = written?;
            let commit = self.app.journal.committed_at_once();
            let settled = tokio::time::timeout_at(deadline.into(), self.app.journal.settle(commit)).await;
            return settled.unwrap_or(Err(Error::Timeout)).map(|()| value);
        }
        self.write_with(lease, deadline, move |connection| connection.write(&call, work)).await
    }

    /// Runs one statement and returns its rows and what it changed; what it writes is committed and durable by then. Dropping
    /// the future, or the deadline, stops the statement.
    ///
    /// # Errors
    /// See [`Error`]. With any of them the statement did nothing; only with `Timeout` or `Internal`, or when the future was
    /// dropped, a write may have been committed at the last moment.
    pub async fn run(
        &self,
        sql: String,
        parameters: impl Into<Parameters>,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        let call = Call::new(sql, parameters, self.on_behalf(), deadline)?;
        let limited = call.on_behalf.limited;
        if !limited && let Some(command) = command_of(&call)? {
            self.apply(command, deadline).await?;
            return Ok(Outcome { rows: Rows::default(), changes: Changes::default() });
        }
        let _cancel = Cancel(Arc::clone(&call));
        if call.kind == Kind::Reading {
            let mut lease = self.app.readers.lease(limited, deadline).await?;
            self.recheck(limited)?;
            if let Some(outcome) = lease.query_at_once(&call) {
                return Ok(outcome);
            }
            if let Some(rows) = run(lease, &call, deadline, Connection::query_if_readonly).await? {
                return Ok(Outcome { rows, changes: Changes::default() });
            }
        }
        self.write_one(Arc::clone(&call), deadline, Connection::outcome).await
    }

    /// [`Database::run`] for a statement of which only the rows matter.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn query(
        &self,
        sql: String,
        parameters: impl Into<Parameters>,
        deadline: Instant,
    ) -> Result<Rows, Error> {
        self.run(sql, parameters, deadline).await.map(|outcome| outcome.rows)
    }

    /// Runs one statement and returns what it changed; rows it yields are dropped. Committed and durable by then.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn execute(
        &self,
        sql: String,
        parameters: impl Into<Parameters>,
        deadline: Instant,
    ) -> Result<Changes, Error> {
        let call = Call::new(sql, parameters, self.on_behalf(), deadline)?;
        if !call.on_behalf.limited
            && let Some(command) = command_of(&call)?
        {
            self.apply(command, deadline).await?;
            return Ok(Changes::default());
        }
        let _cancel = Cancel(Arc::clone(&call));
        self.write_one(Arc::clone(&call), deadline, Connection::execute).await
    }

    /// Runs statements in one transaction: all of them are committed and durable when this returns, or none is. Their results
    /// together have the room of one.
    ///
    /// # Errors
    /// As [`run`](Self::run), with the number of the statement in the message; `Timeout` also when the time of a transaction
    /// is over.
    pub async fn batch(&self, statements: Vec<Statement>, deadline: Instant) -> Result<Vec<Outcome>, Error> {
        let on_behalf = self.on_behalf();
        let limited = on_behalf.limited;
        let ends = deadline.min(Instant::now() + self.app.limits.lock_wait + self.app.limits.transaction_time);
        let calls = calls_of(statements, &on_behalf, ends)?;
        let _cancel: Vec<_> = calls.iter().cloned().map(Cancel).collect();
        self.write(limited, ends, move |connection| connection.batch(&calls)).await
    }

    /// Starts a statement that reads, to take its rows piece by piece from one snapshot, up to the deadline.
    ///
    /// # Errors
    /// As [`run`](Self::run); `Denied` for a statement that writes.
    pub async fn cursor(
        &self,
        sql: String,
        parameters: impl Into<Parameters>,
        deadline: Instant,
    ) -> Result<Cursor, Error> {
        let call = Call::new(sql, parameters, self.on_behalf(), deadline)?;
        let lease = self.app.cursors.lease(call.on_behalf.limited, deadline).await?;
        self.recheck(call.on_behalf.limited)?;
        Cursor::open(lease, Lease::connection, call).await
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// `Busy` when none came free within the time the host waits, `Timeout` at the deadline.
    pub async fn begin(&self, mode: TransactionMode, deadline: Instant) -> Result<Transaction, Error> {
        let lane = match mode {
            TransactionMode::ReadOnly => &self.app.snapshots,
            TransactionMode::ReadWrite => &self.app.writer,
        };
        let on_behalf = self.on_behalf();
        let lease = lane.lease(on_behalf.limited, deadline).await?;
        self.recheck(on_behalf.limited)?;
        let expires = Instant::now() + self.app.limits.transaction_time;
        let runtime = Handle::current();
        let journal = Arc::clone(&self.app.journal);
        blocking(move || Transaction::begin(lease, mode, on_behalf, expires, journal, &runtime)).await
    }
}

/// The statements of a batch.
pub(super) fn calls_of(
    statements: Vec<Statement>,
    on_behalf: &OnBehalf,
    deadline: Instant,
) -> Result<Vec<Arc<Call>>, Error> {
    if statements.len() > BATCH_STATEMENTS {
        let given = statements.len();
        return Err(Error::Limit(format!("a batch has at most {BATCH_STATEMENTS} statements, this one has {given}")));
    }
    let call_of = |Statement { sql, parameters }| {
        let call = Call::new(sql, parameters, on_behalf.clone(), deadline)?;
        refuse_command(&call).map(|()| call)
    };
    statements
        .into_iter()
        .zip(1..)
        .map(|(one, number)| call_of(one).map_err(|error| error.in_statement(number)))
        .collect()
}

/// Refuses a statement about policies in a transaction.
pub(super) fn refuse_command(call: &Call) -> Result<(), Error> {
    if !call.on_behalf.limited && command_of(call)?.is_some() {
        return Err(Error::Denied("row-level security changes outside of transactions only".to_owned()));
    }
    Ok(())
}

/// The change of row-level security a statement is, if it is one.
fn command_of(call: &Call) -> Result<Option<Command>, Error> {
    if call.kind == Kind::Schema { command::parse(&call.sql) } else { Ok(None) }
}

/// Runs a statement on a leased connection.
async fn run<T: Send + 'static>(
    mut lease: Lease,
    call: &Arc<Call>,
    deadline: Instant,
    work: fn(&mut Connection, &Arc<Call>) -> Result<T, Error>,
) -> Result<T, Error> {
    let call = Arc::clone(call);
    let running = blocking(move || work(lease.connection()?, &call));
    tokio::time::timeout_at(deadline.into(), running).await.unwrap_or(Err(Error::Timeout))
}
