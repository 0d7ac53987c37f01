//! The SQL databases of the apps: one SQLite file for each, `DIR/apps/<app>/data.sqlite`, which guests reach by text only.
//!
//! ```text
//! Databases ── Database (one app) ── lane of the writer     1 connection   writes, read-write transactions
//!                                 ├─ lane of readers        a few          reads outside a transaction
//!                                 └─ lane of snapshots      a few          read-only transactions
//! ```
//! A statement waits for a connection of its lane, moves there with it to a thread for blocking work, and the connection goes
//! back to its lane from there: whatever becomes of the caller, it is never used twice at the same time nor lost. To stop a
//! statement means to mark that one `guard::Call`; the connection notices, the next statement is another call.
//! Statements that were quick before are run where they are asked for, within a fraction of a millisecond (`connection::quick`), and so are
//! flushes (`journal`).
//! Snapshots and cursors have lanes of their own because a request that holds one may read beside it: with one lane for all, a
//! few such requests would wait for each other.
//!
//! What SQL may not do is in `guard`, what it may cost in `guard` (depths, sizes, time), `heap` (memory), `functions`
//! (functions that no deadline stops), `connection` (results, cached statements, temporary files).

mod connection;
mod cursor;
mod database;
mod dump;
mod error;
mod functions;
mod guard;
mod heap;
mod journal;
mod lane;
mod log;
mod mathematics;
mod migrations;
mod rls;
mod script;
mod text;
mod transaction;
mod value;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::ids::AppName;
use crate::store::private_directory;
use crate::threads;
use crate::tunables::{DATABASE_BYTES, READERS_PER_APP, RESULT_BYTES, RESULT_ROWS, TRANSACTION_TIME, WRITE_LOCK_WAIT};

use connection::Role;
use guard::Call;
use heap::Budget;
use journal::Journal;
use lane::Lane;

pub use cursor::Cursor;
pub use database::Database;
pub use error::{ConstraintKind, Error};
pub use heap::install as install_allocator;
pub use journal::Durability;
pub use migrations::{Applied, Migration, MigrationError};
pub use rls::{Caller, DbRole};
pub use script::ScriptError;
pub use transaction::{Transaction, TransactionMode};
pub use value::{Changes, Outcome, Parameters, Rows, Statement, Value};

/// Apps that stay open while nobody uses them. Each has up to thirteen connections of two file handles.
const OPEN_APPS: usize = 48;

/// What SQLite may allocate for one statement, in bytes, the schema included when it is the first on its connection: far
/// above what a result or a value may hold, far below what a host has.
const STATEMENT_MEMORY: i64 = 64 * 1024 * 1024;

/// The limits that hold for a database, so that tests can meet them.
#[derive(Debug, Clone)]
struct Limits {
    lock_wait: Duration,
    transaction_time: Duration,
    database_bytes: u64,
    result_rows: usize,
    result_bytes: usize,
    open_apps: usize,
    durability: Durability,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lock_wait: WRITE_LOCK_WAIT,
            transaction_time: TRANSACTION_TIME,
            database_bytes: DATABASE_BYTES,
            result_rows: RESULT_ROWS,
            result_bytes: RESULT_BYTES,
            open_apps: OPEN_APPS,
            durability: Durability::default(),
        }
    }
}

/// The databases of all apps of a host. Clones share everything.
#[derive(Clone)]
pub struct Databases {
    directory: Arc<Path>,
    limits: Arc<Limits>,
    open: Arc<Mutex<HashMap<AppName, Entry>>>,
    deleted: Arc<Mutex<HashMap<AppName, Life>>>,
}

/// Which of the apps that had a name one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Life(u64);

struct Entry {
    app: Arc<App>,
    used: Instant,
}

/// The lanes to one file.
struct App {
    prepared: OnceCell<()>,
    file: PathBuf,
    writer: Arc<Lane>,
    readers: Arc<Lane>,
    snapshots: Arc<Lane>,
    cursors: Arc<Lane>,
    journal: Arc<Journal>,
    /// Whether any table has row-level security: before that, all callers are the app itself.
    row_security: AtomicBool,
    limits: Arc<Limits>,
}

impl Databases {
    /// The databases below `directory/apps`. Touches no file. Sets SQLite's allocator, so that no other part of the
    /// process may have used SQLite before, unless it called [`install_allocator`].
    pub fn new(directory: PathBuf, durability: Durability) -> Self {
        Self::with_limits(directory, Limits { durability, ..Limits::default() })
    }

    fn with_limits(directory: PathBuf, limits: Limits) -> Self {
        install_allocator();
        Self { directory: directory.into(), limits: Arc::new(limits), open: Arc::default(), deleted: Arc::default() }
    }

    /// The database of an app; its file is created at the first use. Cheap when it is open already, so callers hold the
    /// result for one request only: a database in use is never closed.
    ///
    /// # Errors
    /// `Internal` when the file cannot be created or opened.
    pub async fn open(&self, name: &AppName) -> Result<Database, Error> {
        let app = self.app(name);
        if !app.prepared.initialized() {
            app.prepared.get_or_try_init(|| prepare(&app)).await?;
        }
        Ok(Database { app, caller: Arc::new(Caller::service()) })
    }

    /// The app that has this name now.
    pub fn life(&self, name: &AppName) -> Life {
        let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.get(name).copied().unwrap_or_default()
    }

    /// As [`open`](Self::open), for an app that may have been deleted since it had this `life`.
    ///
    /// # Errors
    /// `Denied` when it was: its functions have no database any more, and least of all that of the next app of this name.
    pub async fn open_in(&self, name: &AppName, life: Life) -> Result<Database, Error> {
        if self.life(name) != life {
            return Err(lane::deleted());
        }
        self.open(name).await
    }

    /// Deletes an app's database and all its files. Whoever has it open goes on with what is no longer there.
    ///
    /// # Errors
    /// When the directory cannot be removed; then this can be tried again.
    pub async fn delete(&self, name: &AppName) -> io::Result<()> {
        let entry = {
            let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
            deleted.entry(name.clone()).or_default().0 += 1;
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
        };
        let apps = self.directory.join("apps");
        let directory = apps.join(name.as_str());
        // No app has such a name.
        let going = apps.join(format!("{name}.deleted"));
        if let Some(Entry { app, .. }) = &entry {
            [&app.writer, &app.readers, &app.snapshots, &app.cursors].into_iter().for_each(|lane| lane.close());
        }
        let delete = move || {
            drop(entry);
            remove_directory(&going)?;
            match fs::rename(&directory, &going) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                renamed => renamed?,
            }
            File::open(&apps)?.sync_all()?;
            remove_directory(&going)
        };
        tokio::task::spawn_blocking(delete).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn app(&self, name: &AppName) -> Arc<App> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = open.get_mut(name) {
            entry.used = Instant::now();
            return Arc::clone(&entry.app);
        }
        if open.len() >= self.limits.open_apps {
            close_one(&mut open);
        }
        let app = Arc::new(App::new(&self.directory, name, &self.limits));
        open.insert(name.clone(), Entry { app: Arc::clone(&app), used: Instant::now() });
        app
    }
}

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Closes the app that was not used for the longest time, if there is one nobody holds. A closing connection may write, so
/// that happens on a thread for it.
fn close_one(open: &mut HashMap<AppName, Entry>) {
    let unused = open.iter().filter(|(_, entry)| entry.app.is_unused()).min_by_key(|(_, entry)| entry.used);
    let Some(name) = unused.map(|(name, _)| name.clone()) else {
        return;
    };
    if let Some(entry) = open.remove(&name) {
        threads::start(move || drop(entry));
    }
}

/// Creates the file and makes it a database in WAL mode, which readers rely on.
async fn prepare(app: &App) -> Result<(), Error> {
    let file = app.file.clone();
    let mut lease = app.writer.lease(false, Instant::now() + app.limits.lock_wait).await?;
    let used = blocking(move || {
        create(&file).map_err(Error::internal)?;
        lease.connection()?.has_row_security()
    });
    app.row_security.store(used.await?, Ordering::Release);
    Ok(())
}

fn create(file: &Path) -> io::Result<()> {
    let directory = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    private_directory(directory)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    // The names of the new directories have to survive a loss of power as the data in them does.
    directory.ancestors().take(3).try_for_each(|directory| File::open(directory)?.sync_all())
}

impl App {
    fn new(directory: &Path, name: &AppName, limits: &Arc<Limits>) -> Self {
        let file = directory.join("apps").join(name.as_str()).join("data.sqlite");
        let lane = |role, width| Lane::new(file.clone(), role, width, limits);
        Self {
            prepared: OnceCell::new(),
            writer: lane(Role::Writer, 1),
            readers: lane(Role::Reader, READERS_PER_APP),
            snapshots: lane(Role::Reader, READERS_PER_APP),
            cursors: lane(Role::Reader, READERS_PER_APP),
            journal: Journal::of(&file, limits.durability),
            row_security: AtomicBool::new(false),
            limits: Arc::clone(limits),
            file,
        }
    }

    /// Whether only the table of open apps knows it: no request, and no statement that outlived its request.
    fn is_unused(self: &Arc<Self>) -> bool {
        let lanes = [&self.writer, &self.readers, &self.snapshots, &self.cursors];
        Arc::strong_count(self) == 1 && lanes.iter().all(|lane| Arc::strong_count(lane) == 1)
    }
}

/// Stops the statement when its caller goes away or has its answer.
struct Cancel(Arc<Call>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs work that blocks, on a thread for it and with a budget of memory. Once begun it is not stopped by dropping the
/// future.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let within_budget = || {
        let _budget = Budget::of(STATEMENT_MEMORY);
        work()
    };
    threads::blocking(within_budget).await.unwrap_or_else(|failure| Err(Error::internal(failure)))
}

#[cfg(test)]
mod tests;
