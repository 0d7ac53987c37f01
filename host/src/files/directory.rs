//! One function's directory: all that changes it, in turn.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, mkdirat, open, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::FileLimits;
use super::account::{Account, blocks, is_alive, opened};
use super::tree::{check_depth, entry, kind, list, measure, parent, same, size};

/// How a file or a directory is opened.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of WASI")]
pub struct Open {
    /// To read from it.
    pub read: bool,
    /// To write to it.
    pub write: bool,
    /// Made if it is not there.
    pub create: bool,
    /// An error if it is there.
    pub exclusive: bool,
    /// Emptied.
    pub truncate: bool,
    /// Only if it is a directory.
    pub directory: bool,
}

/// Where bytes go.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// From there on.
    At(u64),
    /// Behind the last one.
    End,
}

/// The private directory of one function. Paths are relative to the directory that is given with them, and do not lead out of it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    limits: FileLimits,
    /// Set once, under the lock.
    root: OnceLock<Arc<File>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    account: Account,
    /// Who has which file open, by its inode.
    open: HashMap<u64, Vec<Weak<File>>>,
    closed: bool,
}

impl State {
    /// Notes that a file is open.
    fn note(&mut self, stat: &Stat, file: &Arc<File>) {
        // As many as are open on the whole host are bound to be few.
        self.open.retain(|_, by| by.iter().any(is_alive));
        opened(self.open.entry(stat.st_ino).or_default(), file);
    }

    /// A file changed its size. One without a name stays counted as it was when it lost it.
    fn resized(&mut self, before: &Stat, after: &Stat) {
        if before.st_nlink > 0 {
            self.account.resized(size(before), size(after));
        }
    }

    fn removed(&mut self, stat: &Stat) {
        let open = self.open.remove(&stat.st_ino).unwrap_or_default();
        self.account.removed(stat, open);
    }
}

impl Directory {
    pub(super) fn new(path: PathBuf, limits: FileLimits) -> Self {
        Self { path, limits, root: OnceLock::new(), state: Mutex::default() }
    }

    /// Changes nothing from now on.
    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    /// The directory itself, once it was prepared. Never waits.
    pub fn root(&self) -> Option<&Arc<File>> {
        self.root.get()
    }

    /// Makes the directory if it is not there, and counts what is in it.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn prepare(&self) -> io::Result<()> {
        self.changing().map(drop)
    }

    /// Opens what a path names.
    ///
    /// # Errors
    /// Those of `open(2)`; `ENOSPC` when there is no room for another entry.
    pub fn open(&self, at: &File, path: &str, how: Open) -> io::Result<Arc<File>> {
        let (mut state, root) = self.changing()?;
        let (parent, name) = parent(at, path)?;
        let Some(name) = name else { return open_directory(&parent, ".", how) };
        let found = entry(&parent, name)?;
        match &found {
            Some(_) if how.create && how.exclusive => return Err(Errno::EXIST.into()),
            Some(found) if kind(found) == FileType::Directory => return open_directory(&parent, name, how),
            Some(_) if how.directory => return Err(Errno::NOTDIR.into()),
            Some(found) if kind(found) != FileType::RegularFile => return Err(Errno::PERM.into()),
            None if !how.create => return Err(Errno::NOENT.into()),
            None => {
                check_depth(&parent, &root)?;
                state.account.reserve(self.limits, 0, 1)?;
            }
            Some(_) => {}
        }
        let file = Arc::new(File::from(openat(&parent, name, flags(how), Mode::RUSR | Mode::WUSR)?));
        let opened = fstat(&*file)?;
        match &found {
            None => state.account.added(&opened),
            Some(found) => state.resized(found, &opened),
        }
        state.note(&opened, &file);
        Ok(file)
    }

    /// Names in a directory that was opened here, and whether each is one.
    ///
    /// # Errors
    /// `ENOTDIR`, or that it cannot be read.
    pub fn entries(directory: &File) -> io::Result<Vec<(String, bool)>> {
        list(directory)
    }

    /// Writes to a file that was opened here.
    ///
    /// # Errors
    /// `ENOSPC` when the bytes do not fit; then none of them is written.
    pub fn write(&self, file: &File, bytes: &[u8], place: Place) -> io::Result<()> {
        let (mut state, _) = self.changing()?;
        let before = fstat(file)?;
        let offset = match place {
            Place::At(offset) => offset,
            Place::End => size(&before),
        };
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::FBIG)?;
        self.reserve_growth(&mut state, &before, end)?;
        let written = file.write_all_at(bytes, offset);
        state.resized(&before, &fstat(file)?);
        written
    }

    /// Cuts a file that was opened here, or fills it up with zeros.
    ///
    /// # Errors
    /// `ENOSPC` when that does not fit.
    pub fn set_size(&self, file: &File, length: u64) -> io::Result<()> {
        let (mut state, _) = self.changing()?;
        let before = fstat(file)?;
        self.reserve_growth(&mut state, &before, length)?;
        let resized = file.set_len(length);
        state.resized(&before, &fstat(file)?);
        resized
    }

    fn reserve_growth(&self, state: &mut State, before: &Stat, end: u64) -> io::Result<()> {
        let grown = blocks(end.max(size(before))).saturating_sub(blocks(size(before)));
        if before.st_nlink == 0 && grown > 0 {
            return Err(Errno::NOSPC.into());
        }
        state.account.reserve(self.limits, grown, 0)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// Those of `mkdir(2)`; `ENOSPC` when there is no room for it, `ENAMETOOLONG` when it would be too deep.
    pub fn make_directory(&self, at: &File, path: &str) -> io::Result<()> {
        let (mut state, root) = self.changing()?;
        let (parent, name) = parent(at, path)?;
        let name = name.ok_or(Errno::EXIST)?;
        check_depth(&parent, &root)?;
        state.account.reserve(self.limits, blocks(1), 1)?;
        mkdirat(&parent, name, Mode::RWXU)?;
        if let Some(made) = entry(&parent, name)? {
            state.account.added(&made);
        }
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    pub fn remove_file(&self, at: &File, path: &str) -> io::Result<()> {
        self.remove(at, path, AtFlags::empty())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Those of `rmdir(2)`.
    pub fn remove_directory(&self, at: &File, path: &str) -> io::Result<()> {
        self.remove(at, path, AtFlags::REMOVEDIR)
    }

    fn remove(&self, at: &File, path: &str, what: AtFlags) -> io::Result<()> {
        let (mut state, _) = self.changing()?;
        let (parent, name) = parent(at, path)?;
        let name = name.ok_or(Errno::INVAL)?;
        let found = entry(&parent, name)?.ok_or(Errno::NOENT)?;
        unlinkat(&parent, name, what)?;
        state.removed(&found);
        Ok(())
    }

    /// Gives a file or a directory another name. A directory stays in the one it is in, so that it gets no deeper.
    ///
    /// # Errors
    /// Those of `rename(2)`; `EOPNOTSUPP` for a directory that would go into another one.
    pub fn rename(&self, at: &File, path: &str, to: &File, new_path: &str) -> io::Result<()> {
        let (mut state, _) = self.changing()?;
        let (parent, name) = parent(at, path)?;
        let (new_parent, new_name) = super::tree::parent(to, new_path)?;
        let (name, new_name) = (name.ok_or(Errno::BUSY)?, new_name.ok_or(Errno::BUSY)?);
        let moved = entry(&parent, name)?.ok_or(Errno::NOENT)?;
        let replaced = entry(&new_parent, new_name)?.filter(|replaced| !same(replaced, &moved));
        if kind(&moved) == FileType::Directory && !same(&fstat(&parent)?, &fstat(&new_parent)?) {
            return Err(Errno::OPNOTSUPP.into());
        }
        renameat(&parent, name, &new_parent, new_name)?;
        if let Some(replaced) = replaced {
            state.removed(&replaced);
        }
        Ok(())
    }

    /// The lock, the directory, and what is in it.
    fn changing(&self) -> io::Result<(MutexGuard<'_, State>, Arc<File>)> {
        let mut state = self.state();
        if state.closed {
            return Err(Errno::NOENT.into());
        }
        if let Some(root) = self.root.get() {
            return Ok((state, root.clone()));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = Arc::new(File::from(open(&self.path, how, Mode::empty())?));
        state.account = measure(&root)?;
        Ok((state, self.root.get_or_init(|| root).clone()))
    }

    /// Insists that the account is what is there, while nothing changes.
    #[cfg(test)]
    pub(super) fn audit(&self) {
        let (state, root) = self.changing().unwrap();
        let (account, counted) = (&state.account, measure(&root).unwrap());
        let nameless: u64 = account.nameless.iter().map(|(_, charge)| charge).sum();
        assert_eq!((account.bytes, account.entries), (counted.bytes + nameless, counted.entries));
        assert!(account.bytes <= self.limits.bytes && account.entries <= self.limits.entries);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_directory(parent: impl AsFd, name: &str, how: Open) -> io::Result<Arc<File>> {
    if how.write || how.create || how.truncate {
        return Err(Errno::ISDIR.into());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Arc::new(File::from(openat(parent, name, flags, Mode::empty())?)))
}

fn flags(how: Open) -> OFlags {
    let mut flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    flags |= match (how.read, how.write || how.truncate) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    flags.set(OFlags::CREATE, how.create);
    flags.set(OFlags::TRUNC, how.truncate);
    flags
}
