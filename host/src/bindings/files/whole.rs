//! `caddis:engine/files`: whole files at a time, for programs in JavaScript.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::io::Errno;

use super::FilesView;
use crate::files::{Directory, Open, Place};
use crate::threads;
use crate::tunables::WHOLE_FILE_BYTES;

/// What `bindgen!` makes of `javy-shim/wit/files.wit`.
mod generated {
    wasmtime::component::bindgen!({
        path: ["../wit", "../javy-shim/wit"],
        world: "caddis:engine/filing",
        imports: { default: async | trappable },
        require_store_data_send: true,
    });
}

pub(super) use generated::caddis::engine::files as wit;
use wit::{Error, Info, Placement};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// The names of what can go wrong, and a text for people.
const NAMES: [(Errno, &str, &str); 12] = [
    (Errno::NOENT, "ENOENT", "No such file or directory"),
    (Errno::EXIST, "EEXIST", "It exists already"),
    (Errno::NOTDIR, "ENOTDIR", "Not a directory"),
    (Errno::ISDIR, "EISDIR", "Is a directory"),
    (Errno::NOTEMPTY, "ENOTEMPTY", "The directory is not empty"),
    (Errno::NOSPC, "ENOSPC", "The function's directory is full"),
    (Errno::FBIG, "EFBIG", "More than 8 MiB in one call"),
    (Errno::NAMETOOLONG, "ENAMETOOLONG", "The name is too long, or the directory too deep"),
    (Errno::PERM, "EPERM", "The path leads out of the function's directory"),
    (Errno::DQUOT, "EDQUOT", "Too many files are open on this host"),
    (Errno::INVAL, "EINVAL", "Not a path"),
    (Errno::OPNOTSUPP, "ENOTSUP", "A directory cannot move into another"),
];

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let errno = Errno::from_io_error(&error);
        let known = NAMES.iter().find(|(known, ..)| Some(*known) == errno);
        let (code, message) = known.map_or(("EIO", "The host could not do it"), |(_, code, message)| (code, message));
        Self { code: code.to_owned(), message: message.to_owned() }
    }
}

/// What a call needs.
enum Needs {
    Reading,
    Writing,
}

impl FilesView<'_> {
    /// Does the work of one call on a thread for it.
    async fn whole<T: Send + 'static>(
        &mut self,
        needs: Needs,
        work: impl FnOnce(&Directory, &File) -> io::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let (is_allowed, setting) = match (&needs, &self.state.access) {
            (Needs::Reading, access) => (access.as_ref().is_some_and(|access| access.read), "allow_read"),
            (Needs::Writing, access) => (access.as_ref().is_some_and(|access| access.write), "allow_write"),
        };
        let Some(access) = self.state.access.as_ref().filter(|_| is_allowed) else {
            let message = format!("The function's setting {setting} is false");
            return Ok(Err(Error { code: "EACCES".to_owned(), message }));
        };
        let directory: Arc<Directory> = access.directory.clone();
        let Some(root) = directory.root().cloned() else { return Ok(Err(io::Error::from(Errno::NOENT).into())) };
        if !self.state.take_handle() {
            return Ok(Err(io::Error::from(Errno::DQUOT).into()));
        }
        Ok(threads::blocking(move || work(&directory, &root)).await?.map_err(Error::from))
    }
}

const READ: Open =
    Open { read: true, write: false, create: false, exclusive: false, truncate: false, directory: false };

fn how(placement: Placement) -> Open {
    Open {
        read: false,
        write: true,
        create: placement != Placement::Existing,
        exclusive: placement == Placement::CreateNew,
        truncate: matches!(placement, Placement::Replace | Placement::Existing),
        directory: false,
    }
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(WHOLE_FILE_BYTES as u64 + 1).read_to_end(&mut content)?;
    if content.len() > WHOLE_FILE_BYTES { Err(Errno::FBIG.into()) } else { Ok(content) }
}

impl wit::Host for FilesView<'_> {
    async fn read(&mut self, path: String) -> Answer<Vec<u8>> {
        self.whole(Needs::Reading, move |directory, root| read(&*directory.open(root, &path, READ)?)).await
    }

    async fn write(&mut self, path: String, bytes: Vec<u8>, placement: Placement) -> Answer<()> {
        let write = move |directory: &Directory, root: &File| {
            if bytes.len() > WHOLE_FILE_BYTES {
                return Err(Errno::FBIG.into());
            }
            let file = directory.open(root, &path, how(placement))?;
            directory.write(&file, &bytes, Place::End)
        };
        self.whole(Needs::Writing, write).await
    }

    async fn stat(&mut self, path: String) -> Answer<Info> {
        let stat = move |directory: &Directory, root: &File| {
            let found = directory.open(root, &path, READ)?.metadata()?;
            let modified = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(Info { is_directory: found.is_dir(), size: found.len(), modified: modified.as_millis() as f64 })
        };
        self.whole(Needs::Reading, stat).await
    }

    async fn entries(&mut self, path: String) -> Answer<Vec<(String, bool)>> {
        let entries = move |directory: &Directory, root: &File| {
            Directory::entries(&*directory.open(root, &path, Open { directory: true, ..READ })?)
        };
        self.whole(Needs::Reading, entries).await
    }

    async fn make_directory(&mut self, path: String) -> Answer<()> {
        self.whole(Needs::Writing, move |directory, root| directory.make_directory(root, &path)).await
    }

    async fn remove(&mut self, path: String) -> Answer<()> {
        let remove = move |directory: &Directory, root: &File| match directory.remove_file(root, &path) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::ISDIR) => directory.remove_directory(root, &path),
            removed => removed,
        };
        self.whole(Needs::Writing, remove).await
    }

    async fn rename(&mut self, path: String, to: String) -> Answer<()> {
        self.whole(Needs::Writing, move |directory, root| directory.rename(root, &path, root, &to)).await
    }
}
