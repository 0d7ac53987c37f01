//! Taking a backup back.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use super::{ABOUT, BackupError, FORMAT, PACKAGES, SUMS, Summed, beside, copies, hexadecimal, private};
use crate::ids::AppName;
use crate::store::tenant::install_allocator;
use crate::store::{EXECUTIONS_FILE, SYSTEM_FILE};

/// Most bytes of a text in the archive.
const TEXT_BYTES: u64 = 64 * 1024 * 1024;

/// Makes a data directory of a backup, or of the last copy in a directory of copies that is not after `at`: complete and checked, or
/// not at all. The directory must not exist, or be empty. Says of what time the copy is. Blocks. `key` is a file with the master key, which is no part of a backup; without one the key has to be put in place before the
/// host is started.
///
/// # Errors
/// See [`BackupError`].
pub fn restore(
    file: &Path,
    data: &Path,
    key: Option<&Path>,
    at: Option<Timestamp>,
) -> Result<Option<Timestamp>, BackupError> {
    install_allocator();
    let is_free = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(BackupError::io(data)(error)),
    };
    if !is_free {
        return Err(BackupError::unfit(
            data,
            "a backup is restored into a new or empty directory, and this one is not",
        ));
    }
    let part = beside(data, "part");
    let unpacked = match (copies::is_one(file), at) {
        (true, at) => copies::unpack(file, at, &part).map(|(time, names)| (Some(time), names)),
        (false, None) => unpack(file, &part).map(|names| (None, names)),
        (false, Some(_)) => {
            Err(BackupError::unfit(file, "a backup in one file is of one time: --at is for directories"))
        }
    };
    let restored = unpacked.and_then(|(time, names)| {
        names.iter().filter(|name| name.ends_with(".sqlite")).try_for_each(|name| check(&part.join(name)))?;
        key.map_or(Ok(()), |key| copy_key(key, &part))?;
        put_in_place(&part, data).map(|()| time)
    });
    if restored.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    restored
}

/// The names of what is in a file, unpacked.
fn unpack(file: &Path, part: &Path) -> Result<Vec<String>, BackupError> {
    let broken = || BackupError::unfit(file, "it is not a complete backup");
    make_directory(part)?;
    let mut archive = tar::Archive::new(File::open(file).map_err(BackupError::io(file))?);
    let mut found = BTreeMap::new();
    let mut sums = None;
    let mut is_known = false;
    for entry in archive.entries().map_err(BackupError::io(file))? {
        let mut entry = entry.map_err(|_| broken())?;
        let name = entry.path().map_err(|_| broken())?.to_string_lossy().into_owned();
        match name.as_str() {
            ABOUT => is_known = text(&mut entry).map_err(|_| broken())? == FORMAT,
            _ if !is_known => return Err(BackupError::unfit(file, "it is no backup this version of caddis can read")),
            SUMS => sums = Some(text(&mut entry).map_err(|_| broken())?),
            _ => {
                if !is_expected(&name) {
                    return Err(BackupError::unfit(file, format!("{name} does not belong into a backup")));
                }
                let sum = unpack_one(entry, &part.join(&name))?;
                found.insert(name, sum);
            }
        }
    }
    let sums = sums.ok_or_else(broken)?;
    let expected: BTreeMap<_, _> = sums
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect();
    if let Some((name, _)) = found.iter().find(|(name, sum)| expected.get(*name) != Some(sum)) {
        return Err(BackupError::unfit(file, format!("{name} is damaged")));
    }
    if found.len() != expected.len() || !found.contains_key(SYSTEM_FILE) {
        return Err(broken());
    }
    Ok(found.into_keys().collect())
}

fn text(entry: &mut impl Read) -> io::Result<String> {
    let mut text = String::new();
    entry.take(TEXT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a file of this name is part of a data directory.
pub(super) fn is_expected(name: &str) -> bool {
    let path = Path::new(name);
    let parts: Option<Vec<&str>> =
        path.components().map(|part| if let Component::Normal(part) = part { part.to_str() } else { None }).collect();
    match parts.unwrap_or_default().as_slice() {
        [file] => [SYSTEM_FILE, EXECUTIONS_FILE].contains(file),
        ["apps", app, "data.sqlite"] => app.parse::<AppName>().is_ok(),
        [PACKAGES, _, package] => package.ends_with(".tar"),
        _ => false,
    }
}

fn unpack_one(entry: impl Read, path: &Path) -> Result<String, BackupError> {
    path.parent().map_or(Ok(()), make_directory)?;
    let mut out = private(path)?;
    let mut summed = Summed { from: entry, hasher: Sha256::new() };
    io::copy(&mut summed, &mut out).and_then(|_| out.sync_all()).map_err(BackupError::io(path))?;
    Ok(hexadecimal(summed.hasher))
}

pub(super) fn make_directory(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(BackupError::io(path))
}

/// A sum says that the file is as it was copied; this, that it was sound then.
fn check(path: &Path) -> Result<(), BackupError> {
    let open = || {
        let sqlite = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        sqlite.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
    };
    match open() {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(BackupError::unfit(path, verdict)),
        Err(error) => Err(BackupError::database(path)(error)),
    }
}

fn copy_key(key: &Path, part: &Path) -> Result<(), BackupError> {
    let target = part.join("master.key");
    let mut from = File::open(key).map_err(BackupError::io(key))?;
    let mut to = private(&target)?;
    io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).map_err(BackupError::io(&target))
}

fn put_in_place(part: &Path, data: &Path) -> Result<(), BackupError> {
    sync_directories(part).map_err(BackupError::io(part))?;
    // An empty directory gives way.
    fs::rename(part, data).map_err(BackupError::io(data))?;
    let parent = data.canonicalize().ok().and_then(|data| data.parent().map(PathBuf::from)).unwrap_or_default();
    File::open(&parent).and_then(|parent| parent.sync_all()).map_err(BackupError::io(&parent))
}

fn sync_directories(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_directories(&path)?;
        }
    }
    File::open(directory)?.sync_all()
}
