//! Private directories of functions: one for each function that may read or write files, below the directory of its app, shared by all of
//! its versions and executions, and gone with it.
//!
//! No file system here knows quotas that need no privileges, so the host keeps the account itself: every change of a directory
//! goes through [`Directory`], under its lock, and is refused when it would take the directory over its limits. There are regular files and
//! directories and nothing else: with links of either kind, a byte would not be one byte, nor a path one place.
//!
//! Everything here blocks; callers are on threads for that.

mod account;
mod directory;
mod tree;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::{AppName, FunctionId};
use crate::tunables::FILES_OPEN_ON_HOST;

pub use self::directory::{Directory, Open, Place};

/// What a directory may hold.
#[derive(Debug, Clone, Copy)]
pub struct FileLimits {
    /// Bytes, in whole blocks.
    pub bytes: u64,
    /// Files and directories.
    pub entries: u64,
}

/// The directories of all functions.
pub struct Files {
    /// Where the apps' directories are.
    apps: PathBuf,
    limits: FileLimits,
    known: Mutex<HashMap<FunctionId, (AppName, Arc<Directory>)>>,
    handles: Arc<Semaphore>,
}

impl Files {
    /// Below this data directory.
    pub fn new(data: &Path, limits: FileLimits) -> Self {
        let handles = Arc::new(Semaphore::new(FILES_OPEN_ON_HOST));
        Self { apps: data.join("apps"), limits, known: Mutex::default(), handles }
    }

    /// The directory of a function. It is made when it is first used.
    pub fn of(&self, app: &AppName, function: FunctionId) -> Arc<Directory> {
        let make = || (app.clone(), Arc::new(Directory::new(self.path(app, function), self.limits)));
        self.known().entry(function).or_insert_with(make).1.clone()
    }

    /// Room for one more open file on this host, if there is any.
    pub fn handle(&self) -> Option<OwnedSemaphorePermit> {
        self.handles.clone().try_acquire_owned().ok()
    }

    /// Removes the directory of a function.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn delete(&self, app: &AppName, function: FunctionId) -> io::Result<()> {
        let known = self.known().remove(&function);
        if let Some((_, directory)) = known {
            directory.close();
        }
        match fs::remove_dir_all(self.path(app, function)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Changes nothing of this app's directories any more: they are about to be removed with everything that is the app's.
    pub fn close_app(&self, app: &AppName) {
        self.known().retain(|_, (owner, directory)| {
            if owner == app {
                directory.close();
            }
            owner != app
        });
    }

    /// Removes directories of functions that are not there: what a crash, or an execution that outlived its function, left behind.
    ///
    /// # Errors
    /// When one cannot be read or removed.
    pub fn sweep(&self, is_known: impl Fn(&AppName, FunctionId) -> bool) -> io::Result<()> {
        for app in names_below(&self.apps)? {
            let Ok(app) = app.parse::<AppName>() else { continue };
            for name in names_below(&self.apps.join(app.as_str()).join(FILES))? {
                let function = name.parse().map(FunctionId);
                if function.is_ok_and(|function| !is_known(&app, function)) {
                    fs::remove_dir_all(self.apps.join(app.as_str()).join(FILES).join(name))?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, app: &AppName, function: FunctionId) -> PathBuf {
        self.apps.join(app.as_str()).join(FILES).join(function.to_string())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<FunctionId, (AppName, Arc<Directory>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the directories are in, in an app's own.
const FILES: &str = "files";

/// Names that are text; there are no others.
fn names_below(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries
        .map(|entry| entry.map(|entry| entry.file_name().into_string()))
        .filter_map(|name| name.map(Result::ok).transpose())
        .collect()
}

#[cfg(test)]
mod tests;
