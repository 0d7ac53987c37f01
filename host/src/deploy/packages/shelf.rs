//! The packages this host has, on disk, by the hash of their tarballs. One file each, which is a plain tar of what can be imported:
//! complete or not there at all, and read a file of the package at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::integrity::Integrity;
use crate::js::packages::{Manifest, PackageError};
use crate::store::private_directory;

/// Changes when what is kept of a package changes.
const FORMAT: &str = "v1";

/// What the names of complete files end with.
const FINISHED: &str = "tar";

/// Where the text of a file begins, and its length in bytes.
pub(super) type Extent = (u64, usize);

/// The packages of one data directory.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
}

/// A package, open.
#[derive(Debug)]
pub(super) struct OpenPackage {
    file: File,
    index: BTreeMap<String, Extent>,
    pub(super) manifest: Arc<Manifest>,
}

impl Shelf {
    /// The packages in this directory, which is made if it is missing. Blocks on the disk.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let directory = directory.join(FORMAT);
        private_directory(&directory)?;
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != FINISHED) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Self { directory })
    }

    /// The package, if it is here. Blocks on the disk.
    pub(super) fn find(&self, integrity: Integrity) -> Option<Result<OpenPackage, PackageError>> {
        let opened = File::open(self.path(integrity)).and_then(|file| {
            let index = index(BufReader::with_capacity(1024, &file))?;
            Ok(OpenPackage { file, index, manifest: Arc::default() })
        });
        match opened {
            Ok(package) => Some(package.with_manifest()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "a package in the data directory is damaged; it will be fetched again");
                None
            }
        }
    }

    /// Whether the package is here and whole. Blocks on the disk.
    pub(super) fn has(&self, integrity: Integrity) -> bool {
        self.find(integrity).is_some()
    }

    /// Keeps a package. Blocks on the disk.
    pub(super) fn keep(&self, integrity: Integrity, tar: &[u8]) -> Result<(), PackageError> {
        let aside = self.directory.join(uuid::Uuid::new_v4().to_string());
        // Written aside and renamed: a crash leaves a whole file or none.
        let write = || {
            let mut file = File::create_new(&aside)?;
            file.write_all(tar)?;
            file.sync_all()?;
            std::fs::rename(&aside, self.path(integrity))
        };
        write().map_err(|error| {
            // Cleared away at the next start otherwise.
            let _ = std::fs::remove_file(&aside);
            tracing::error!(%error, "a package cannot be written to the data directory");
            PackageError::Unavailable("the host could not keep it; its log has the cause".to_owned())
        })
    }

    fn path(&self, integrity: Integrity) -> PathBuf {
        self.directory.join(integrity.hex()).with_extension(FINISHED)
    }
}

impl OpenPackage {
    fn with_manifest(self) -> Result<Self, PackageError> {
        let manifest = self.text("package.json").unwrap_or_default();
        Ok(Self { manifest: Arc::new(Manifest::parse(&manifest)?), ..self })
    }

    /// The text of a file of the package.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let (offset, length) = *self.index.get(path)?;
        let mut text = vec![0; length];
        self.file.read_exact_at(&mut text, offset).ok()?;
        String::from_utf8(text).ok()
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.index.contains_key(path)
    }
}

/// Where the files of a tar are in it. Of two with the same path, the later counts.
pub(super) fn index(tar: impl Read + Seek) -> io::Result<BTreeMap<String, Extent>> {
    let mut archive = tar::Archive::new(tar);
    let mut index = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let length = usize::try_from(entry.size()).map_err(io::Error::other)?;
        index.insert(path, (entry.raw_file_position(), length));
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn a_package_is_found_by_its_hash() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(directory.path()).unwrap();
        let integrity = Integrity::of(b"a");
        assert!(shelf.find(integrity).is_none());
        let long = format!("{}/x.js", "d".repeat(200));
        let tar =
            package(&[("package.json", r#"{"main": "a.js"}"#), ("a.js", "old"), ("a.js", "new"), (&long, "long")]);
        shelf.keep(integrity, &tar).unwrap();
        let found = shelf.find(integrity).unwrap().unwrap();
        assert_eq!(found.text("a.js").as_deref(), Some("new"));
        assert_eq!(found.text(&long).as_deref(), Some("long"));
        assert!(found.has("package.json") && !found.has("../x"));
    }

    #[test]
    fn what_was_not_finished_is_gone_after_a_start() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(directory.path()).unwrap();
        let left = shelf.directory.join("left-over");
        std::fs::write(&left, "half").unwrap();
        Shelf::open(directory.path()).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_damaged_file_is_not_a_package() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(directory.path()).unwrap();
        let integrity = Integrity::of(b"a");
        shelf.keep(integrity, &[7; 2000]).unwrap();
        assert!(shelf.find(integrity).is_none());
        shelf.keep(integrity, &package(&[("package.json", "[]")])).unwrap();
        assert!(matches!(shelf.find(integrity), Some(Err(PackageError::Unusable(_)))));
    }
}
