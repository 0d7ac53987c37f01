//! Lanes: connections of one kind, and the queue in front of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::connection::{Connection, Role};
use super::guard::Call;
use super::log::Log;
use super::value::Outcome;
use super::{Error, Limits};

/// Some connections to one database and a fair queue of those who wait for one. The writer lane has one connection.
pub(super) struct Lane {
    file: PathBuf,
    role: Role,
    limits: Arc<Limits>,
    log: Arc<Log>,
    permits: Arc<Semaphore>,
    /// Those of the app itself, and those with shadows for limited roles: the permits count both together.
    idle: [Mutex<Vec<Connection>>; 2],
}

impl Lane {
    /// A lane that opens up to `width` connections when they are needed.
    pub(super) fn new(file: PathBuf, role: Role, width: usize, limits: &Arc<Limits>) -> Arc<Self> {
        Arc::new(Self {
            file,
            role,
            limits: Arc::clone(limits),
            log: Log::new(),
            permits: Arc::new(Semaphore::new(width)),
            idle: Default::default(),
        })
    }

    /// Waits for a connection: until the deadline, and never longer than for the write lock.
    pub(super) async fn lease(self: &Arc<Self>, limited: bool, deadline: Instant) -> Result<Lease, Error> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait(deadline).await?,
        };
        let connection = self.idle(limited).lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Lease { connection, lane: Arc::clone(self), limited, _permit: permit })
    }

    /// Opens no connection any more, because the file's name is about to be another one's.
    pub(super) fn close(&self) {
        self.permits.close();
    }

    fn idle(&self, limited: bool) -> &Mutex<Vec<Connection>> {
        let [of_app, of_limited_roles] = &self.idle;
        if limited { of_limited_roles } else { of_app }
    }

    /// Waits until no connection is out.
    #[cfg(test)]
    pub(super) async fn all_back(&self) {
        let width = if self.role == Role::Writer { 1 } else { crate::tunables::READERS_PER_APP };
        drop(self.permits.acquire_many(u32::try_from(width).unwrap()).await.unwrap());
    }

    async fn wait(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        let patience = Instant::now() + self.limits.lock_wait;
        match timeout_at(deadline.min(patience).into(), Arc::clone(&self.permits).acquire_owned()).await {
            Ok(permit) => permit.map_err(|_| deleted()),
            Err(_) if deadline <= patience => Err(Error::Timeout),
            Err(_) => Err(Error::Busy(format!(
                "the database was busy for longer than {} ms: try again",
                self.limits.lock_wait.as_millis()
            ))),
        }
    }
}

/// What functions of an app that is gone are told.
pub(super) fn deleted() -> Error {
    Error::Denied("the app has been deleted".to_owned())
}

/// The right to use one connection of a lane. Goes back when it is dropped; a connection in doubt is closed instead.
pub(super) struct Lease {
    connection: Option<Connection>,
    lane: Arc<Lane>,
    limited: bool,
    // Last, so that the connection is back before the next in the queue comes.
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// The connection; opens it when it is the first. Blocks.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None if self.lane.permits.is_closed() => return Err(deleted()),
            None => Connection::open(&self.lane.file, self.lane.role, &self.lane.limits, &self.lane.log)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Runs a statement that reads on a connection that is open already, if it is one that is quick there.
    pub(super) fn query_at_once(&mut self, call: &Arc<Call>) -> Option<Outcome> {
        self.connection.as_mut()?.query_at_once(call)
    }

    /// Runs a statement that writes on a connection that is open already, if it is one that is quick there. What it wrote is
    /// committed then.
    pub(super) fn write_at_once<T>(
        &mut self,
        call: &Arc<Call>,
        work: fn(&mut Connection, &Arc<Call>) -> Result<T, Error>,
    ) -> Option<Result<T, Error>> {
        self.connection.as_mut()?.write_at_once(call, work)
    }

    /// Whether a transaction is open.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_in_transaction)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if std::thread::panicking() || connection.is_in_transaction() {
            return;
        }
        connection.forget_last_row();
        self.lane.idle(self.limited).lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
