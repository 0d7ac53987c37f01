//! The host's own data: apps, functions, variables, keys (`caddis.sqlite`) and the log of executions
//! (`executions.sqlite`).
//!
//! Callers open a [`Store`] once and run closures in it; the functions of the table modules take the [`Reader`] or
//! [`Writer`] the closure gets:
//!
//! ```no_run
//! # use caddis::{ids::AppName, store::{Store, StoreError, functions}};
//! # async fn example(store: Store, app: AppName) -> Result<(), StoreError> {
//! let all = store.read(move |tx| functions::list(tx, &app)).await?;
//! # Ok(()) }
//! ```
//!
//! A write is on disk when it returns. No caller ever waits for SQLite on a thread of the async runtime. SQLite and its
//! crate are known inside this module only.

pub mod api_keys;
pub mod apps;
pub mod backup;
mod columns;
mod conn;
pub mod executions;
pub mod functions;
mod migrate;
pub mod reseal;
pub mod secrets;
pub mod tenant;
pub mod tokens;

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OptionalExtension};
use rustix::fs::{FlockOperation, flock};

use self::conn::{Database, Durability};
use self::executions::{ExecutionLog, Options, Retention};
use crate::error::{Code, Error};
use crate::secrets::Secret;
use crate::secrets::seal::Sealer;

/// The system database, inside the data directory.
const SYSTEM_FILE: &str = "caddis.sqlite";

/// The log of executions, inside the data directory.
const EXECUTIONS_FILE: &str = "executions.sqlite";

/// Whoever has this file locked owns the data directory.
const LOCK_FILE: &str = "caddis.lock";

/// Where the check of the master key is kept, and what it is sealed under.
const KEY_CHECK: &str = "key_check";
const KEY_CHECK_CONTEXT: &str = "host/key_check";
const KEY_CHECK_TEXT: &[u8] = b"caddis";

const HOST_VALUE: &str = "SELECT value FROM host WHERE name = ?1";
const SET_HOST_VALUE: &str =
    "INSERT INTO host (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Why a data directory cannot be used. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be made or written.
    #[error("cannot write {}: {source}", .path.display())]
    NotWritable {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another host runs on it.
    #[error("data directory {} is in use by another caddis process", .0.display())]
    InUse(PathBuf),
    /// A newer caddis has been here.
    #[error(
        "{} was made by a newer version of caddis (schema {found}, this version knows {known}): run that version",
        .path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The file's schema version.
        found: usize,
        /// The highest schema version this build knows.
        known: usize,
    },
    /// The master key is not the one the directory was made with.
    #[error("CADDIS_MASTER_KEY (or master.key) does not fit data directory {}", .0.display())]
    WrongMasterKey(PathBuf),
    /// The file is not a database, is damaged, or cannot be read.
    #[error("cannot open {}: {source}", .path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a read or write did not happen. A write that fails has changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What was asked for, or what a new row belongs to, does not exist.
    #[error("not found")]
    NotFound,
    /// It exists already.
    #[error("{0} exists already")]
    Conflict(&'static str),
    /// A connection or the write lock did not become free in time.
    #[error("the store is busy")]
    Busy,
    /// The closure's own verdict, formed inside the transaction and carried out of it unchanged.
    #[error(transparent)]
    Refused(#[from] crate::error::Error),
    /// The database failed or is damaged.
    #[error("the store failed: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if matches!(error, rusqlite::Error::QueryReturnedNoRows) {
            return Self::NotFound;
        }
        match error.sqlite_error() {
            Some(failure) if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Self::NotFound,
            Some(failure) if matches!(failure.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(failure) if failure.code == ErrorCode::DiskFull => {
                tracing::error!("the disk with the data directory is full");
                Self::Refused(Error::new(Code::Overloaded, "the host's disk is full; nothing was changed"))
            }
            _ => Self::Internal(error.into()),
        }
    }
}

/// The open data directory. Clones share it; the last one to go closes the files and releases the directory.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    executions: ExecutionLog,
    system: Database,
    sealer: Arc<Sealer>,
    // Last: the directory is free only when its files are closed.
    _lock: Arc<DirectoryLock>,
}

/// Keeps other hosts out of the directory until it is dropped, or until the process is gone in whatever manner.
struct DirectoryLock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Store {
    /// Opens a data directory, making it (mode 0700) and its files (mode 0600) as needed. Blocks; for start-up.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path, sealer: Arc<Sealer>) -> Result<Self, OpenError> {
        Self::open_keeping(directory, sealer, Retention::default())
    }

    /// The same, with so much of the log of executions.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_keeping(directory: &Path, sealer: Arc<Sealer>, retention: Retention) -> Result<Self, OpenError> {
        Self::open_with(directory, sealer, retention.into())
    }

    /// Whether there is data in a directory.
    pub fn exists(directory: &Path) -> bool {
        directory.join(SYSTEM_FILE).exists()
    }

    fn open_with(directory: &Path, sealer: Arc<Sealer>, options: Options) -> Result<Self, OpenError> {
        let not_writable = |source| OpenError::NotWritable { path: directory.to_owned(), source };
        private_directory(directory).map_err(not_writable)?;
        let lock = Arc::new(lock_directory(directory)?);
        let system_file = directory.join(SYSTEM_FILE);
        let system = Database::open(&system_file, Durability::PowerLoss, migrate::SYSTEM)?;
        let fits = system
            .write_at_start(|connection| master_key_fits(connection, &sealer))
            .map_err(|error| OpenError::Damaged { path: system_file, source: error.into() })?;
        if !fits {
            return Err(OpenError::WrongMasterKey(directory.to_owned()));
        }
        let executions_file = directory.join(EXECUTIONS_FILE);
        let database = Database::open(&executions_file, Durability::ProcessCrash, migrate::EXECUTIONS)?;
        // The files' names are on disk before anything is acknowledged that is in them.
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(not_writable)?;
        let executions = ExecutionLog::start(database, options, Arc::clone(&lock))
            .map_err(|source| OpenError::Damaged { path: executions_file, source: source.into() })?;
        Ok(Self(Arc::new(Inner { executions, system, sealer, _lock: lock })))
    }

    /// Runs `work` on one snapshot of the system database.
    ///
    /// # Errors
    /// What `work` returns, [`StoreError::Busy`] when no connection becomes free, [`StoreError::Internal`] when `work`
    /// panics or the database fails.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let sealer = Arc::clone(&self.0.sealer);
        self.0.system.read(move |connection| work(&Reader { connection, sealer: &sealer })).await
    }

    /// Runs `work` in one transaction of the system database, alone among writers. When this returns `Ok`, what was
    /// written is on disk; when `work` fails or panics, nothing is. Dropping the future does not stop work that has begun.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let sealer = Arc::clone(&self.0.sealer);
        let work = move |connection: &Connection| work(&Writer(Reader { connection, sealer: &sealer }));
        self.0.system.write(work).await
    }

    /// The log of executions.
    pub fn executions(&self) -> &ExecutionLog {
        &self.0.executions
    }

    /// Makes the `default` app at the first start, with this secret for its tokens or a fresh one. A secret that is given
    /// replaces the stored one, so that the operator can change it.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn ensure_default_app(&self, jwt_secret: Option<Secret>) -> Result<(), StoreError> {
        self.write(move |tx| apps::ensure_default(tx, jwt_secret.as_ref())).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// One snapshot of the system database, for the functions of the table modules.
pub struct Reader<'a> {
    connection: &'a Connection,
    sealer: &'a Sealer,
}

/// One write transaction of the system database. It reads what it has written.
pub struct Writer<'a>(Reader<'a>);

impl<'a> Deref for Writer<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.0
    }
}

impl Reader<'_> {
    fn host_value<T: rusqlite::types::FromSql>(&self, name: &str) -> rusqlite::Result<Option<T>> {
        host_value(self.connection, name)
    }

    /// Opens what a column holds sealed.
    fn unseal(&self, context: &str, sealed: &[u8]) -> Result<Secret, StoreError> {
        let plain = self.sealer.open(context, sealed).map_err(|error| StoreError::Internal(error.into()))?;
        let text = str::from_utf8(&plain).map_err(|error| StoreError::Internal(error.into()))?;
        Ok(Secret::from(text.to_owned()))
    }

    fn seal(&self, context: &str, secret: &Secret) -> Vec<u8> {
        self.sealer.seal(context, secret.expose().as_bytes())
    }
}

impl Writer<'_> {
    fn set_host_value(&self, name: &str, value: &[u8]) -> rusqlite::Result<()> {
        self.connection.execute(SET_HOST_VALUE, (name, value)).map(drop)
    }
}

fn host_value<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    connection.query_row(HOST_VALUE, [name], |row| row.get(0)).optional()
}

/// Makes a directory, and those above it that are missing, for its owner only: also in a data directory that others may look into.
pub fn private_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Takes the directory, or says who has it.
fn lock_directory(directory: &Path) -> Result<DirectoryLock, OpenError> {
    let path = directory.join(LOCK_FILE);
    let locked = conn::private_file(&path).and_then(|file| {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(DirectoryLock(file))
    });
    locked.map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse(directory.to_owned()),
        _ => OpenError::NotWritable { path, source },
    })
}

/// A value sealed at the first start opens only with the key of that start. Without it, a wrong key would show up much
/// later, as one unreadable secret.
fn master_key_fits(connection: &Connection, sealer: &Sealer) -> Result<bool, StoreError> {
    if let Some(sealed) = host_value::<Vec<u8>>(connection, KEY_CHECK)? {
        return Ok(sealer.open(KEY_CHECK_CONTEXT, &sealed).is_ok());
    }
    connection.execute(SET_HOST_VALUE, (KEY_CHECK, sealer.seal(KEY_CHECK_CONTEXT, KEY_CHECK_TEXT)))?;
    Ok(true)
}

#[cfg(test)]
mod tests;
