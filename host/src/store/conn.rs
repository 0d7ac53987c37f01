//! One database file: a connection that writes, a few that read, and the pragmas with their reasons. Knows no table.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::migrate::{MigrateError, Migrations, migrate};
use super::tenant::install_allocator;
use super::{OpenError, StoreError};
use crate::tunables::WRITE_LOCK_WAIT;

/// Connections that read one file at the same time.
const READERS: usize = 4;

/// How long a caller waits for a connection. A write in front of it may be storing a large component.
const CONNECTION_WAIT: Duration = WRITE_LOCK_WAIT;

/// Statements a connection keeps compiled: more than the store has.
const CACHED_STATEMENTS: usize = 64;

/// Size the write-ahead log is cut back to after a checkpoint, in bytes: one large component would leave it that large.
const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// Pages of the write-ahead log after which there is a checkpoint, where commits do not wait for the disk anyway: as much as it is cut
/// back to.
const LOG_PAGES: u32 = 4_000;

/// What a commit survives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Durability {
    /// Loss of power: each commit waits for the disk.
    PowerLoss,
    /// The end of this process in any manner, but not always loss of power, which may take the last commits with it.
    ProcessCrash,
}

/// An open database file.
pub(super) struct Database {
    // Declared before the writer: the connection that closes last checkpoints, and only the writer may.
    idle_readers: Arc<Mutex<Vec<Connection>>>,
    reader_permits: Arc<Semaphore>,
    writer: Arc<AsyncMutex<Connection>>,
}

impl Database {
    /// Opens the file, or makes it with mode 0600, and brings its schema up to date. Blocks.
    pub(super) fn open(path: &Path, durability: Durability, migrations: Migrations) -> Result<Self, OpenError> {
        private_file(path).map_err(|source| OpenError::NotWritable { path: path.to_owned(), source })?;
        let writer = open_writer(path, durability, migrations).map_err(|error| match error {
            MigrateError::Newer { found, known } => OpenError::Newer { path: path.to_owned(), found, known },
            MigrateError::Database(error) => OpenError::Damaged { path: path.to_owned(), source: error.into() },
        })?;
        let readers = (0..READERS)
            .map(|_| open_reader(path))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(|error| OpenError::Damaged { path: path.to_owned(), source: error.into() })?;
        Ok(Self {
            reader_permits: Arc::new(Semaphore::new(readers.len())),
            idle_readers: Arc::new(Mutex::new(readers)),
            writer: Arc::new(AsyncMutex::new(writer)),
        })
    }

    /// Runs `work` on one snapshot of the database.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let mut lease = self.lease().await?;
        blocking(move || work(&*lease.connection()?.transaction()?)).await
    }

    /// Runs `work` in a transaction that holds the write lock from its start. It is committed when this returns `Ok` and
    /// rolled back when `work` fails. A caller that goes away does not stop work that has begun.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let writer = Arc::clone(&self.writer).lock_owned();
        let mut writer = timeout(CONNECTION_WAIT, writer).await.map_err(|_| StoreError::Busy)?;
        blocking(move || commit(&mut writer, work)).await
    }

    /// [`Database::write`] before anybody else has the database. Blocks.
    pub(super) fn write_at_start<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError>,
    {
        // Not `blocking_lock`: start-up may well run on a thread of the runtime.
        commit(&mut *self.writer.try_lock().map_err(|_| StoreError::Busy)?, work)
    }

    /// [`Database::write`] for a thread of its own. Must not be called on a thread that runs async tasks.
    pub(super) fn write_blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError>,
    {
        commit(&mut self.writer.blocking_lock(), work)
    }

    async fn lease(&self) -> Result<Lease, StoreError> {
        let permit = Arc::clone(&self.reader_permits).acquire_owned();
        let permit = timeout(CONNECTION_WAIT, permit)
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|closed| StoreError::Internal(closed.into()))?;
        let connection = lock(&self.idle_readers).pop();
        Ok(Lease { connection, idle: Arc::clone(&self.idle_readers), _permit: permit })
    }
}

/// A reader on loan. It goes back also when the work panics; the permit is released after that.
struct Lease {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        self.connection.as_mut().ok_or_else(|| StoreError::Internal("a permit without a connection".into()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.idle).extend(self.connection.take());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    spawn_blocking(work).await.unwrap_or_else(|error| Err(StoreError::Internal(error.into())))
}

fn commit<T, F>(connection: &mut Connection, work: F) -> Result<T, StoreError>
where
    F: FnOnce(&Connection) -> Result<T, StoreError>,
{
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Makes the file when it is not there, for its owner only: SQLite gives its log and its index the same mode.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn open_writer(path: &Path, durability: Durability, migrations: Migrations) -> Result<Connection, MigrateError> {
    let mut connection = connect(path)?;
    // Readers and the writer do not wait for each other.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::PowerLoss => "FULL",
        Durability::ProcessCrash => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    if let Durability::ProcessCrash = durability {
        // Each checkpoint flushes the disk; a page that is written often goes to the file once for each.
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    }
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES as i64)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Whoever uses SQLite first decides on its allocator for the whole process.
    install_allocator();
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(WRITE_LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}
