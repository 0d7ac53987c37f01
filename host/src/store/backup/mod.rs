//! Copies of a whole data directory in one file, made while a host serves it, and taken back elsewhere.
//!
//! The file is a tar: what it is, the databases, the packages, and last of all the sums of the files, without which it is not
//! complete. First all databases are opened and a snapshot of each is held, which takes milliseconds; then each is
//! copied as it was in that moment, however long that takes and whatever is written meanwhile.

mod copies;
mod copying;
mod restore;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, backup};
use sha2::{Digest, Sha256};

use super::tenant::install_allocator;
use super::{EXECUTIONS_FILE, SYSTEM_FILE};
use crate::ids::AppName;
use crate::tunables::WRITE_LOCK_WAIT;

pub use copies::{Added, Copies};
pub use copying::Copying;
pub use restore::restore;

/// The first file: what this is.
const ABOUT: &str = "caddis-backup.txt";

/// The text of the first file. Another layout gets another number.
const FORMAT: &str = "caddis backup, format 1\n";

/// The last file: the sums of all others.
const SUMS: &str = "SHA256SUMS";

/// Where the packages are.
const PACKAGES: &str = "packages";

/// Pages that are copied in one step.
const PAGES: i32 = 4_096;

/// Why there is no backup, or nothing was restored. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A database cannot be read.
    #[error("{}: {source}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is not what it should be.
    #[error("{}: {problem}", .path.display())]
    Unfit {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl BackupError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }

    fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self + '_ {
        |source| Self::Database { path: path.to_owned(), source: source.into() }
    }

    fn unfit(path: &Path, problem: impl Into<String>) -> Self {
        Self::Unfit { path: path.to_owned(), problem: problem.into() }
    }
}

/// What is in a backup.
#[derive(Debug)]
pub struct Summary {
    /// The moment everything in it is of.
    pub taken_at: Timestamp,
    /// Databases of apps.
    pub apps: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A database whose state is held.
struct Held {
    name: String,
    path: PathBuf,
    sqlite: Connection,
}

/// Writes a backup of a data directory, which a host may be serving. The file is there when it is complete. Blocks.
///
/// # Errors
/// See [`BackupError`].
pub fn write(data: &Path, file: &Path) -> Result<Summary, BackupError> {
    install_allocator();
    let held = hold_all(data)?;
    let taken_at = Timestamp::now();
    let part = beside(file, "part");
    let out = private(&part)?;
    let written =
        Archive { tar: tar::Builder::new(out), sums: String::new(), bytes: 0, taken_at }.fill(data, &held, file);
    let finished = written.and_then(|bytes| {
        fs::rename(&part, file).map_err(BackupError::io(file))?;
        Ok(Summary { taken_at, apps: held.len() - 2, bytes })
    });
    if finished.is_err() {
        // Whether it can be removed changes nothing about the error.
        let _ = fs::remove_file(&part);
    }
    finished
}

/// Holds a snapshot of each database there is.
fn hold_all(data: &Path) -> Result<Vec<Held>, BackupError> {
    check_data(data)?;
    let names = [SYSTEM_FILE, EXECUTIONS_FILE].map(str::to_owned).into_iter().chain(app_databases(data)?);
    names.map(|name| hold(data, name)).collect()
}

fn check_data(data: &Path) -> Result<(), BackupError> {
    if data.join(SYSTEM_FILE).is_file() {
        return Ok(());
    }
    Err(BackupError::unfit(data, format!("there is no {SYSTEM_FILE}: this is no data directory of caddis")))
}

/// The databases of apps, by their names in the data directory.
fn app_databases(data: &Path) -> Result<Vec<String>, BackupError> {
    // What is being deleted has another name.
    let apps = entries(&data.join("apps"))?.into_iter().filter(|name| name.parse::<AppName>().is_ok());
    Ok(apps.map(|name| format!("apps/{name}/data.sqlite")).filter(|name| data.join(name).is_file()).collect())
}

/// The packages, likewise.
fn packages(data: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for version in entries(&data.join(PACKAGES))? {
        let packages = entries(&data.join(PACKAGES).join(&version))?.into_iter().filter(|name| name.ends_with(".tar"));
        names.extend(packages.map(|package| format!("{PACKAGES}/{version}/{package}")));
    }
    Ok(names)
}

fn hold(data: &Path, name: String) -> Result<Held, BackupError> {
    let path = data.join(&name);
    let open = || {
        let sqlite = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        sqlite.busy_timeout(WRITE_LOCK_WAIT)?;
        // A backup leaves the directory as it found it.
        sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        sqlite.pragma_update(None, "query_only", true)?;
        sqlite.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
        Ok(sqlite)
    };
    match open() {
        Ok(sqlite) => Ok(Held { name, path, sqlite }),
        Err(error) => Err(BackupError::database(&path)(error)),
    }
}

/// The names in a directory, in order; none when there is no directory.
fn entries(directory: &Path) -> Result<Vec<String>, BackupError> {
    let list = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        list => list.map_err(BackupError::io(directory))?,
    };
    let names = list.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect::<io::Result<_>>().map_err(BackupError::io(directory))?;
    names.sort();
    Ok(names)
}

/// A name in the same directory that nobody else has.
fn beside(file: &Path, what: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{what}", std::process::id()));
    file.with_file_name(name)
}

fn private(path: &Path) -> Result<File, BackupError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(BackupError::io(path))
}

/// The file that is being written.
struct Archive {
    tar: tar::Builder<File>,
    sums: String,
    bytes: u64,
    taken_at: Timestamp,
}

impl Archive {
    fn fill(mut self, data: &Path, held: &[Held], file: &Path) -> Result<u64, BackupError> {
        self.text(ABOUT, FORMAT, file)?;
        for Held { name, path, sqlite } in held {
            let copy = beside(file, "sqlite");
            let copied =
                copy_database(sqlite, &copy).map_err(BackupError::database(path)).and_then(|()| self.file(name, &copy));
            let _ = fs::remove_file(&copy);
            copied?;
        }
        for name in packages(data)? {
            self.file(&name, &data.join(&name))?;
        }
        let sums = std::mem::take(&mut self.sums);
        self.text(SUMS, &sums, file)?;
        let mut out = self.tar.into_inner().map_err(BackupError::io(file))?;
        out.flush().and_then(|()| out.sync_all()).map_err(BackupError::io(file))?;
        Ok(self.bytes)
    }

    fn text(&mut self, name: &str, text: &str, file: &Path) -> Result<(), BackupError> {
        let mut header = self.header(text.len() as u64);
        self.tar.append_data(&mut header, name, text.as_bytes()).map_err(BackupError::io(file))
    }

    fn file(&mut self, name: &str, path: &Path) -> Result<(), BackupError> {
        let append = || {
            let content = File::open(path)?;
            let size = content.metadata()?.len();
            let mut header = self.header(size);
            let mut summed = Summed { from: content, hasher: Sha256::new() };
            self.tar.append_data(&mut header, name, &mut summed)?;
            self.sums += &format!("{}  {name}\n", hexadecimal(summed.hasher));
            self.bytes += size;
            Ok(())
        };
        let mut append = append;
        append().map_err(BackupError::io(path))
    }

    fn header(&self, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.taken_at.as_second()).unwrap_or_default());
        header
    }
}

fn copy_database(sqlite: &Connection, copy: &Path) -> rusqlite::Result<()> {
    let mut target = Connection::open(copy)?;
    // It is read back at once and removed; the archive is what has to last.
    target.pragma_update(None, "synchronous", "off")?;
    backup::Backup::new(sqlite, &mut target)?.run_to_completion(PAGES, Duration::ZERO, None)
}

/// What is read, and the sum of it.
struct Summed<R> {
    from: R,
    hasher: Sha256,
}

impl<R: io::Read> io::Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.hasher.update(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}

fn hexadecimal(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
