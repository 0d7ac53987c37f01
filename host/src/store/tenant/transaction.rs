//! Transactions that a guest holds across calls, and how they end without it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::threads;

use super::connection::Connection;
use super::cursor::Cursor;
use super::guard::{Call, OnBehalf};
use super::journal::Journal;
use super::lane::Lease;
use super::text::Kind;
use super::value::{Changes, Outcome, Parameters, Rows, Statement};
use super::{Cancel, Error, blocking, database};

/// How a transaction starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionMode {
    /// Reads one consistent snapshot; every write is denied.
    ReadOnly,
    /// Takes the write lock at once.
    ReadWrite,
}

/// A transaction. It is rolled back when it is dropped, when its time is up, when a statement runs out of time, and when
/// the future of a running statement is dropped. Dropping it never blocks.
pub struct Transaction {
    session: Arc<Session>,
    journal: Arc<Journal>,
    timer: AbortHandle,
}

struct Session {
    mode: TransactionMode,
    on_behalf: OnBehalf,
    expires: Instant,
    state: Mutex<State>,
}

/// The connection of a transaction while a cursor has it. Blocks when it is dropped after the end of the transaction.
struct OnLoan {
    /// There until it is dropped.
    lease: Option<Lease>,
    session: Arc<Session>,
}

enum State {
    Idle(Lease),
    Running,
    Ended,
}

impl Transaction {
    /// Starts a transaction on a leased connection. Blocks; needs the runtime for the timer that ends it.
    pub(super) fn begin(
        mut lease: Lease,
        mode: TransactionMode,
        on_behalf: OnBehalf,
        expires: Instant,
        journal: Arc<Journal>,
        runtime: &Handle,
    ) -> Result<Self, Error> {
        let connection = lease.connection()?;
        match mode {
            _ if on_behalf.limited => connection.begin_limited()?,
            TransactionMode::ReadWrite => connection.host("BEGIN IMMEDIATE")?,
            // The snapshot is taken by the first read, so there has to be one.
            TransactionMode::ReadOnly => connection.host("BEGIN; SELECT rootpage FROM sqlite_schema LIMIT 1")?,
        }
        let session = Arc::new(Session { mode, on_behalf, expires, state: Mutex::new(State::Idle(lease)) });
        let expiring = Arc::clone(&session);
        let timer = runtime.spawn(async move {
            tokio::time::sleep_until(expires.into()).await;
            expiring.abandon();
        });
        Ok(Self { session, journal, timer: timer.abort_handle() })
    }

    /// Runs one statement and returns its rows and what it changed.
    ///
    /// # Errors
    /// As [`Database::run`](super::Database::run); `Closed` when the transaction has ended, `Denied` for a write in a
    /// read-only one. `Timeout` and `Internal` end the transaction, and so do errors for which SQLite itself rolls back.
    pub async fn run(
        &self,
        sql: String,
        parameters: impl Into<Parameters>,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        let call = self.call(sql, parameters.into(), deadline)?;
        if call.kind == Kind::Reading
            && let Some(outcome) = self.session.query_at_once(&call)?
        {
            return Ok(outcome);
        }
        match self.session.mode {
            TransactionMode::ReadWrite => self.perform(call, deadline, Connection::outcome).await,
            TransactionMode::ReadOnly => {
                let rows = self.perform(call, deadline, Connection::query_if_readonly).await?;
                rows.map(|rows| Outcome { rows, changes: Changes::default() }).ok_or_else(Error::read_only)
            }
        }
    }

    /// [`Transaction::run`] for a statement of which only the rows matter.
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

    /// Runs one statement and returns what it changed; rows it yields are dropped.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn execute(
        &self,
        sql: String,
        parameters: impl Into<Parameters>,
        deadline: Instant,
    ) -> Result<Changes, Error> {
        match self.session.mode {
            TransactionMode::ReadWrite => {
                let call = self.call(sql, parameters.into(), deadline)?;
                self.perform(call, deadline, Connection::execute).await
            }
            TransactionMode::ReadOnly => self.run(sql, parameters, deadline).await.map(|outcome| outcome.changes),
        }
    }

    /// Runs statements without the caller between them: all are done, or none is, and then the transaction goes on as if they had never
    /// been begun. Their results together have the room of one.
    ///
    /// # Errors
    /// As [`run`](Self::run), with the number of the statement in the message.
    pub async fn batch(&self, statements: Vec<Statement>, deadline: Instant) -> Result<Vec<Outcome>, Error> {
        let deadline = deadline.min(self.session.expires);
        let calls = database::calls_of(statements, &self.session.on_behalf, deadline)?;
        let _cancel: Vec<_> = calls.iter().cloned().map(Cancel).collect();
        self.perform_all(deadline, move |connection| connection.batch_within(&calls)).await
    }

    /// Starts a statement that reads, to take its rows piece by piece. Until the cursor is closed the transaction runs no other.
    ///
    /// # Errors
    /// As [`run`](Self::run); `Denied` for a statement that writes.
    pub async fn cursor(
        &self,
        sql: String,
        parameters: impl Into<Parameters>,
        deadline: Instant,
    ) -> Result<Cursor, Error> {
        let call = self.call(sql, parameters.into(), deadline)?;
        let lease = Some(self.session.take()?);
        let on_loan = OnLoan { lease, session: Arc::clone(&self.session) };
        Cursor::open(on_loan, OnLoan::connection, call).await
    }

    /// Makes the writes visible and durable, all or none. Once begun it runs to its end, even when the future is dropped.
    ///
    /// # Errors
    /// `Closed` when the transaction has ended already; `Constraint` for a deferred foreign key, `Internal`: then it is
    /// rolled back.
    pub async fn commit(self) -> Result<(), Error> {
        let mut lease = self.session.take()?;
        self.session.end();
        let journal = Arc::clone(&self.journal);
        let writes = self.session.mode == TransactionMode::ReadWrite;
        let commit = blocking(move || {
            let result = lease.connection()?.host("COMMIT");
            roll_back(lease);
            result.map(|()| writes.then(|| journal.committed()))
        })
        .await?;
        match commit {
            Some(commit) => self.journal.settle(commit).await,
            None => Ok(()),
        }
    }

    /// Undoes the writes.
    ///
    /// # Errors
    /// `Closed` when the transaction has ended already.
    pub async fn rollback(self) -> Result<(), Error> {
        let lease = self.session.take()?;
        self.session.end();
        blocking(move || {
            roll_back(lease);
            Ok(())
        })
        .await
    }

    fn call(&self, sql: String, parameters: Parameters, deadline: Instant) -> Result<Arc<Call>, Error> {
        let deadline = deadline.min(self.session.expires);
        let call = Call::new(sql, parameters, self.session.on_behalf.clone(), deadline)?;
        database::refuse_command(&call)?;
        Ok(call)
    }

    async fn perform<T: Send + 'static>(
        &self,
        call: Arc<Call>,
        deadline: Instant,
        work: fn(&mut Connection, &Arc<Call>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _cancel = Cancel(Arc::clone(&call));
        self.perform_all(deadline, move |connection| work(connection, &call)).await
    }

    async fn perform_all<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let deadline = deadline.min(self.session.expires);
        let mut lease = self.session.take()?;
        let session = Arc::clone(&self.session);
        let running = blocking(move || {
            let result = lease.connection().and_then(work);
            session.put_back(lease, matches!(result, Err(Error::Timeout | Error::Internal(_))));
            result
        });
        let result = tokio::time::timeout_at(deadline.into(), running).await.unwrap_or(Err(Error::Timeout));
        if matches!(result, Err(Error::Timeout | Error::Internal(_))) {
            self.session.abandon();
        }
        result
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.timer.abort();
        self.session.abandon();
    }
}

impl OnLoan {
    fn connection(&mut self) -> Result<&mut Connection, Error> {
        self.lease.as_mut().ok_or(Error::Closed)?.connection()
    }
}

impl Drop for OnLoan {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.session.put_back(lease, false);
        }
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection for one call.
    fn take(&self) -> Result<Lease, Error> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Running) {
            State::Idle(lease) => Ok(lease),
            State::Running => Err(Error::Busy("another statement of this transaction is running".to_owned())),
            State::Ended => {
                *state = State::Ended;
                Err(Error::Closed)
            }
        }
    }

    /// Runs a statement that reads, if it is one that is quick on this connection.
    fn query_at_once(self: &Arc<Self>, call: &Arc<Call>) -> Result<Option<Outcome>, Error> {
        let mut lease = self.take()?;
        let outcome = lease.query_at_once(call);
        let mut state = self.lock();
        if matches!(*state, State::Running) && lease.is_in_transaction() {
            *state = State::Idle(lease);
            return Ok(outcome);
        }
        // Its time ran out meanwhile.
        *state = State::Ended;
        drop(state);
        threads::start(move || roll_back(lease));
        Err(Error::Closed)
    }

    /// Gives the connection back after a call. Blocks when that is the end of the transaction.
    fn put_back(&self, lease: Lease, failed: bool) {
        let mut state = self.lock();
        if matches!(*state, State::Running) && !failed && lease.is_in_transaction() {
            *state = State::Idle(lease);
            return;
        }
        *state = State::Ended;
        drop(state);
        roll_back(lease);
    }

    /// Ends the transaction; a statement that is running rolls back when it stops.
    fn end(&self) -> Option<Lease> {
        match std::mem::replace(&mut *self.lock(), State::Ended) {
            State::Idle(lease) => Some(lease),
            State::Running | State::Ended => None,
        }
    }

    /// Ends the transaction and has it rolled back, without blocking.
    fn abandon(&self) {
        if let Some(lease) = self.end() {
            threads::start(move || roll_back(lease));
        }
    }
}

/// Ends whatever transaction is open. When that fails, dropping the lease closes the connection, which does it too.
fn roll_back(mut lease: Lease) {
    if lease.is_in_transaction()
        && let Ok(connection) = lease.connection()
        && let Err(error) = connection.host("ROLLBACK")
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "a transaction could not be rolled back");
    }
}
