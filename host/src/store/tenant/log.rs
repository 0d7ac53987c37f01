//! How long the write-ahead log is, and who shortens it.
//!
//! When a log has [`LOG_PAGES`], the commit that made it so long takes its content into the database (a checkpoint), and the
//! next one may begin it anew: both flush the disk, whatever the durability. Those are commits on threads for blocking work: a log
//! that is about to be long is written to there only (`connection::quick`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rusqlite::hooks::Wal;

/// Pages of a log that is taken into the database, as SQLite has it.
pub(super) const LOG_PAGES: u32 = 1_000;

/// Pages that are kept for what a statement may write that is over at once.
const ROOM: u32 = 100;

/// What the connections that write to one file know of its log. One of them writes at a time.
pub(super) struct Log {
    /// Pages after the last commit; as if it were long where that is not known.
    pages: AtomicU32,
    at_once: AtomicBool,
}

impl Log {
    /// A log of which nothing is known.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { pages: AtomicU32::new(u32::MAX), at_once: AtomicBool::new(false) })
    }

    /// Follows the commits of a connection.
    pub(super) fn follow(self: &Arc<Self>, sqlite: &mut rusqlite::Connection) -> rusqlite::Result<()> {
        let log = Arc::clone(self);
        sqlite.wal_hook(Some(move |wal: &mut Wal, pages| {
            log.grew(wal, pages);
            Ok(())
        }))
    }

    fn grew(&self, wal: &mut Wal, pages: i32) {
        let pages = u32::try_from(pages).unwrap_or_default();
        self.pages.store(pages, Ordering::Relaxed);
        if pages >= LOG_PAGES
            && !self.at_once.load(Ordering::Relaxed)
            && let Err(error) = wal.checkpoint()
        {
            // The next commit tries again.
            tracing::debug!(%error, "a log was not taken into its database");
        }
    }

    /// Whether the next commit flushes nothing.
    pub(super) fn has_room(&self) -> bool {
        self.pages.load(Ordering::Relaxed) < LOG_PAGES - ROOM
    }

    /// What is committed until the guard is dropped leaves the log as long as it is.
    pub(super) fn at_once(&self) -> AtOnce<'_> {
        self.at_once.store(true, Ordering::Relaxed);
        AtOnce(self)
    }
}

/// Commits that flush nothing.
pub(super) struct AtOnce<'a>(&'a Log);

impl Drop for AtOnce<'_> {
    fn drop(&mut self) {
        self.0.at_once.store(false, Ordering::Relaxed);
    }
}
