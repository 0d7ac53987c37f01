//! Paths and directories by their handles: no step follows a link or leaves the directory it began in.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::account::{Account, charge};
use crate::tunables::FILES_DEPTH;

/// For a directory on the way to something.
const ON_THE_WAY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// For a directory whose entries are read.
const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The parts of a path, without those that lead nowhere. As nothing is a link, `..` is simply the part before.
fn parts(path: &str) -> io::Result<Vec<&str>> {
    if path.is_empty() {
        return Err(Errno::NOENT.into());
    }
    if path.starts_with('/') {
        return Err(Errno::PERM.into());
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or(Errno::PERM)?),
            part => parts.push(part),
        }
    }
    Ok(parts)
}

/// The directory that the last part of a path is in, and that part; none for the directory itself.
pub(super) fn parent<'a>(directory: &File, path: &'a str) -> io::Result<(OwnedFd, Option<&'a str>)> {
    let mut parts = parts(path)?;
    let last = parts.pop();
    let mut at = OwnedFd::from(directory.try_clone()?);
    for part in parts {
        at = openat(&at, part, ON_THE_WAY, Mode::empty())?;
    }
    Ok((at, last))
}

/// What is there under a name, itself and not what it may point to.
pub(super) fn entry(directory: impl AsFd, name: &str) -> io::Result<Option<Stat>> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

pub(super) fn same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// How many directories one is below the root, or that there is no room for one more below it.
pub(super) fn check_depth(directory: impl AsFd, root: &File) -> io::Result<()> {
    let root = fstat(root)?;
    let mut at = openat(directory, ".", ON_THE_WAY, Mode::empty())?;
    for _ in 0..FILES_DEPTH {
        if same(&fstat(&at)?, &root) {
            return Ok(());
        }
        at = openat(&at, "..", ON_THE_WAY, Mode::empty())?;
    }
    Err(Errno::NAMETOOLONG.into())
}

/// Names in a directory, and whether each is one itself.
pub(super) fn list(directory: &File) -> io::Result<Vec<(String, bool)>> {
    let mut names = Vec::new();
    for found in Dir::read_from(directory)? {
        let found = found?;
        let name = found.file_name().to_string_lossy();
        if name != "." && name != ".." {
            names.push((name.into_owned(), found.file_type() == FileType::Directory));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Counts what is in a directory.
pub(super) fn measure(root: &File) -> io::Result<Account> {
    let mut account = Account::default();
    let mut open = vec![Dir::read_from(root)?];
    while let Some(directory) = open.last_mut() {
        let Some(found) = directory.read() else {
            open.pop();
            continue;
        };
        let found = found?;
        let name = found.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let stat = statat(directory.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
        account.entries += 1;
        account.bytes += charge(&stat);
        if kind(&stat) == FileType::Directory {
            let below = openat(directory.fd()?, name, LISTED, Mode::empty())?;
            open.push(Dir::new(below)?);
        }
    }
    Ok(account)
}
