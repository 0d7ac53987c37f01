//! What a directory holds, against its limits.

use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::FileLimits;
use super::tree::{kind, size};

/// What a file system gives out at least, in bytes: a byte in a file takes as much.
const BLOCK_BYTES: u64 = 4_096;

/// What a file of this size counts as. A hole counts as if it were filled: it may be.
pub(super) fn blocks(size: u64) -> u64 {
    size.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

/// What an entry counts as.
pub(super) fn charge(stat: &Stat) -> u64 {
    match kind(stat) {
        FileType::RegularFile => blocks(size(stat)),
        _ => BLOCK_BYTES,
    }
}

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) bytes: u64,
    pub(super) entries: u64,
    /// Files without a name that somebody has open still: they take room until the last one closes them.
    pub(super) nameless: Vec<(Vec<Weak<File>>, u64)>,
}

impl Account {
    /// Whether there is room for more.
    ///
    /// # Errors
    /// `ENOSPC`.
    pub(super) fn reserve(&mut self, limits: FileLimits, bytes: u64, entries: u64) -> io::Result<()> {
        if bytes == 0 && entries == 0 {
            return Ok(());
        }
        self.settle();
        let fits = |held: u64, more: u64, limit: u64| held.checked_add(more).is_some_and(|sum| sum <= limit);
        match fits(self.bytes, bytes, limits.bytes) && fits(self.entries, entries, limits.entries) {
            true => Ok(()),
            false => Err(Errno::NOSPC.into()),
        }
    }

    /// A file changed its size.
    pub(super) fn resized(&mut self, before: u64, after: u64) {
        self.bytes = self.bytes.saturating_sub(blocks(before)).saturating_add(blocks(after));
    }

    /// An entry came.
    pub(super) fn added(&mut self, stat: &Stat) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(charge(stat));
    }

    /// An entry went. These have it open.
    pub(super) fn removed(&mut self, stat: &Stat, open: Vec<Weak<File>>) {
        self.entries = self.entries.saturating_sub(1);
        match open.iter().any(is_alive) {
            true => self.nameless.push((open, charge(stat))),
            false => self.bytes = self.bytes.saturating_sub(charge(stat)),
        }
    }

    fn settle(&mut self) {
        let Self { bytes, nameless, .. } = self;
        nameless.retain(|(open, charge)| {
            let is_open = open.iter().any(is_alive);
            if !is_open {
                *bytes = bytes.saturating_sub(*charge);
            }
            is_open
        });
    }
}

pub(super) fn is_alive(file: &Weak<File>) -> bool {
    file.strong_count() > 0
}

/// Who has a file open: those that are alive among these, and one more.
pub(super) fn opened(by: &mut Vec<Weak<File>>, file: &Arc<File>) {
    by.retain(is_alive);
    by.push(Arc::downgrade(file));
}
