//! The master key's file while the key is being replaced. The new key is on disk before anything is sealed with it, and takes the
//! place of the old one after everything is: at each moment one of the two files fits the data.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::seal::{KeyError, MasterKey, make_key_file};

/// The new key, beside the old one's file.
fn next_file(file: &Path) -> PathBuf {
    file.with_added_extension("next")
}

/// Makes a new key beside the one in `file`.
///
/// # Errors
/// See [`KeyError`].
pub fn make_next(file: &Path) -> Result<MasterKey, KeyError> {
    discard_next(file)?;
    let next = next_file(file);
    make_key_file(&next).map_err(|source| KeyError::Io { path: next.clone(), source })?;
    MasterKey::read(&next)
}

/// The new key, when there is one.
///
/// # Errors
/// See [`KeyError`].
pub fn next(file: &Path) -> Result<Option<MasterKey>, KeyError> {
    match MasterKey::read(&next_file(file)) {
        Err(KeyError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Puts the new key in the place of the old one.
///
/// # Errors
/// See [`KeyError`]; nothing is lost with any of them.
pub fn adopt_next(file: &Path) -> Result<(), KeyError> {
    settle(file, |next| fs::rename(next, file))
}

/// Removes a new key that nothing was sealed with.
///
/// # Errors
/// See [`KeyError`].
pub fn discard_next(file: &Path) -> Result<(), KeyError> {
    settle(file, |next| match fs::remove_file(next) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    })
}

fn settle(file: &Path, change: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), KeyError> {
    let next = next_file(file);
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let settled = change(&next).and_then(|()| File::open(directory)?.sync_all());
    settled.map_err(|source| KeyError::Io { path: next, source })
}
