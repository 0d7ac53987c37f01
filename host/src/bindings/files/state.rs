//! What one execution may do with files, and has open.

use std::fs::File;
use std::sync::{Arc, Weak};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;

use crate::files::{Directory, Files};
use crate::tunables::FILES_OPEN;

/// What a function may do with its directory.
pub struct FileAccess {
    /// The directories of the host.
    pub files: Arc<Files>,
    /// That of the function, which is there.
    pub directory: Arc<Directory>,
    /// Whether it may see what is in it.
    pub read: bool,
    /// Whether it may change it.
    pub write: bool,
}

/// The files of one execution.
#[derive(Default)]
pub struct FilesState {
    pub(super) access: Option<FileAccess>,
    /// Without any directory.
    pub(super) wasi: WasiFilesystemCtx,
    open: Vec<Weak<File>>,
    /// As many as there were ever open at a time.
    permits: Vec<OwnedSemaphorePermit>,
}

impl FilesState {
    /// With this directory, if it may have any.
    pub fn new(access: Option<FileAccess>) -> Self {
        Self { access, ..Self::default() }
    }

    /// Takes room for one more open file, if there is any.
    pub(super) fn take_handle(&mut self) -> bool {
        self.open.retain(|file| file.strong_count() > 0);
        if self.open.len() >= FILES_OPEN {
            return false;
        }
        if self.open.len() >= self.permits.len() {
            let permit = self.access.as_ref().and_then(|access| access.files.handle());
            self.permits.extend(permit);
        }
        self.open.len() < self.permits.len()
    }

    /// Notes a file that was opened after that.
    pub(super) fn opened(&mut self, file: &Arc<File>) {
        self.open.push(Arc::downgrade(file));
    }
}
