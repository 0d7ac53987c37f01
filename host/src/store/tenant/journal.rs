//! What makes a commit last: a flush of the write-ahead log, shared by all that committed before it began.
//!
//! SQLite writes a commit to the log and returns; the writer lane is free again, and the flush comes after that. Whoever commits
//! while another's flush runs waits for the next one, which is then for all of them: on a slow disk many small
//! transactions cost as much as one. SQLite itself flushes before it takes the log's content into the database and before
//! it starts the log anew, so that a file is never damaged, and a commit is either in a flushed log or in a flushed database.
//!
//! A flush may take microseconds or, on another disk or the same a moment later, a second. Where the last ones were quick, whoever
//! has written without a thread for it flushes without one, too; a slow one ends that for a while. One thread of the process at a
//! time does so: should the disk stall just then, the others go on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::{Error, blocking};
use crate::threads::nanoseconds;

/// What flushes may take on average to count as quick.
const QUICK: Duration = Duration::from_micros(400);

/// What the average is taken for before anything is known: some flushes have to be quick first.
const UNKNOWN: Duration = Duration::from_millis(10);

/// What one flush counts for at most: one that is slow among many is no reason to take all to threads, one after the other is.
const MOST: Duration = Duration::from_millis(2);

/// Flushes that count in the average, about.
const FLUSHES: u64 = 8;

/// Whether a thread that does not only block is flushing.
static FLUSHING_AT_ONCE: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
thread_local! {
    /// Flushes this thread has done for itself.
    pub(super) static FLUSHED_AT_ONCE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// What a commit of an app survives once it is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The end of the process in any manner, a crash of the system, loss of power: the log is flushed to the disk first.
    #[default]
    Full,
    /// The end of the process in any manner. A crash of the system or loss of power may take the last commits, never an
    /// earlier one without the later ones, and never damages the file.
    Normal,
}

/// The write-ahead log of one app.
pub(super) struct Journal {
    log: PathBuf,
    durability: Durability,
    /// Commits so far.
    commits: AtomicU64,
    flushed: Arc<Mutex<Flushed>>,
    /// What flushes take: a moving average, in nanoseconds.
    pub(super) pace: AtomicU64,
    #[cfg(test)]
    pub(super) flushes: AtomicU64,
}

#[derive(Default)]
struct Flushed {
    /// Commits that are on the disk.
    commits: u64,
    /// A disk that could not write once may say later that it has: from then on nothing is acknowledged.
    failed: bool,
}

/// A commit, by its number.
pub(super) struct Commit {
    number: u64,
    result: Option<Result<(), Error>>,
}

impl Journal {
    /// The log of this database file.
    pub(super) fn of(file: &Path, durability: Durability) -> Arc<Self> {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        Arc::new(Self {
            log: log.into(),
            durability,
            commits: AtomicU64::new(0),
            flushed: Arc::default(),
            pace: AtomicU64::new(nanoseconds(UNKNOWN)),
            #[cfg(test)]
            flushes: AtomicU64::new(0),
        })
    }

    /// Notes that something was committed, and flushes it here and now unless another flush is running. Blocks.
    pub(super) fn committed(&self) -> Commit {
        let number = self.count();
        let result = match self.durability {
            Durability::Normal => Some(Ok(())),
            Durability::Full => self.flushed.try_lock().ok().map(|mut flushed| self.flush(&mut flushed)),
        };
        Commit { number, result }
    }

    /// [`Journal::committed`] on a thread that must not block: flushes only where that is likely to be over at once.
    pub(super) fn committed_at_once(&self) -> Commit {
        let likely_quick = self.pace.load(Ordering::Relaxed) <= nanoseconds(QUICK);
        match self.durability {
            Durability::Normal => self.committed(),
            Durability::Full if likely_quick && let Some(_alone) = FlushingAtOnce::begin() => self.committed(),
            Durability::Full => Commit { number: self.count(), result: None },
        }
    }

    fn count(&self) -> u64 {
        self.commits.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Waits until the commit is on the disk.
    pub(super) async fn settle(self: &Arc<Self>, commit: Commit) -> Result<(), Error> {
        if let Some(result) = commit.result {
            return result;
        }
        let mut flushed = Arc::clone(&self.flushed).lock_owned().await;
        if flushed.commits >= commit.number && !flushed.failed {
            return Ok(());
        }
        let journal = Arc::clone(self);
        // The lock goes along: a flush that was begun is noted even when nobody waits for it any more.
        blocking(move || journal.flush(&mut flushed)).await
    }

    /// Keeps others from flushing, as a slow flush does.
    #[cfg(test)]
    pub(super) async fn hold(self: Arc<Self>) -> impl Send {
        Arc::clone(&self.flushed).lock_owned().await
    }

    fn flush(&self, flushed: &mut Flushed) -> Result<(), Error> {
        #[cfg(test)]
        self.flushes.fetch_add(1, Ordering::Relaxed);
        let commits = self.commits.load(Ordering::Acquire);
        if flushed.failed {
            return Err(Error::internal("an earlier flush to the disk failed"));
        }
        let begun = Instant::now();
        match File::open(&self.log).and_then(|log| log.sync_data()) {
            Ok(()) => self.took(begun.elapsed()),
            // The last connection has taken it into the database, and flushed that.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                flushed.failed = true;
                return Err(Error::internal(error));
            }
        }
        flushed.commits = commits;
        Ok(())
    }

    fn took(&self, time: Duration) {
        let before = self.pace.load(Ordering::Relaxed);
        self.pace.store(before - before / FLUSHES + nanoseconds(time.min(MOST)) / FLUSHES, Ordering::Relaxed);
    }
}

/// The right to flush on a thread that has other things to do.
struct FlushingAtOnce(());

impl FlushingAtOnce {
    /// None while another thread does so, and where there is no other to go on with the rest.
    fn begin() -> Option<Self> {
        let alone = Handle::try_current().map_or(true, |runtime| runtime.metrics().num_workers() < 2);
        (!alone && !FLUSHING_AT_ONCE.swap(true, Ordering::Acquire)).then_some(Self(()))
    }
}

impl Drop for FlushingAtOnce {
    fn drop(&mut self) {
        #[cfg(test)]
        FLUSHED_AT_ONCE.set(FLUSHED_AT_ONCE.get() + 1);
        FLUSHING_AT_ONCE.store(false, Ordering::Release);
    }
}
