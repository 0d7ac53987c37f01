//! From a package's tarball to the files of it that can be imported. The tarball is somebody's upload: everything in it is checked.

use std::io::{self, Read};
use std::path::Component;

use flate2::read::GzDecoder;
use tar::{Archive, Builder, EntryType, Header};

use crate::js::packages::MAX_FILE_BYTES;
use crate::js::source::is_module_path;
use crate::tunables::{PACKAGE_FILES, PACKAGE_KEPT_BYTES, PACKAGE_UNPACKED_BYTES};

/// Longest path of a file in a package, in bytes.
const PATH_BYTES: usize = 512;

/// Why a tarball is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTarball {
    #[error("its tarball is damaged or not a tarball")]
    Damaged,
    #[error("its tarball has a link or a device, {0:?}")]
    NotAFile(String),
    #[error("its tarball has a file outside of the package, {0:?}")]
    Outside(String),
    #[error("its tarball unpacks to more than {PACKAGE_UNPACKED_BYTES} bytes")]
    TooLarge,
    #[error("it has more than {PACKAGE_KEPT_BYTES} bytes of code")]
    TooMuchCode,
    #[error("its tarball has more than {PACKAGE_FILES} files")]
    TooManyFiles,
    #[error("it has no package.json")]
    NoManifest,
}

/// Reads a `.tgz` and writes the files that can be imported as a plain tar.
pub(super) fn unpack(tarball: &[u8]) -> Result<Vec<u8>, BadTarball> {
    let mut unpacked =
        Archive::new(Limited { from: GzDecoder::new(tarball), left: PACKAGE_UNPACKED_BYTES, met: false });
    let mut kept = Kept { tar: Builder::new(Vec::new()), bytes: 0, has_manifest: false };
    let read = read_entries(&mut unpacked, &mut kept);
    if unpacked.into_inner().met {
        return Err(BadTarball::TooLarge);
    }
    read?;
    if !kept.has_manifest {
        return Err(BadTarball::NoManifest);
    }
    kept.tar.into_inner().map_err(|_| BadTarball::Damaged)
}

fn read_entries(unpacked: &mut Archive<impl Read>, kept: &mut Kept) -> Result<(), BadTarball> {
    let damaged = |_| BadTarball::Damaged;
    for (count, entry) in unpacked.entries().map_err(damaged)?.enumerate() {
        let entry = entry.map_err(damaged)?;
        if count >= PACKAGE_FILES {
            return Err(BadTarball::TooManyFiles);
        }
        let shown = || String::from_utf8_lossy(&entry.path_bytes()).chars().take(200).collect();
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous => {}
            _ => return Err(BadTarball::NotAFile(shown())),
        }
        let path = inside(&entry.path().map_err(damaged)?).ok_or_else(|| BadTarball::Outside(shown()))?;
        if is_module_path(&path) && path.len() <= PATH_BYTES && entry.size() <= MAX_FILE_BYTES {
            kept.add(&path, entry)?;
        }
    }
    Ok(())
}

/// The path below the tarball's one directory, if it is there.
fn inside(path: &std::path::Path) -> Option<String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    let (_directory, names) = names.split_first()?;
    Some(names.join("/"))
}

/// What is kept of a package.
struct Kept {
    tar: Builder<Vec<u8>>,
    bytes: u64,
    has_manifest: bool,
}

impl Kept {
    fn add(&mut self, path: &str, entry: impl Read) -> Result<(), BadTarball> {
        let mut text = String::new();
        match entry.take(MAX_FILE_BYTES).read_to_string(&mut text) {
            Ok(_) => {}
            // Not text, so nothing to import.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(()),
            Err(_) => return Err(BadTarball::Damaged),
        }
        self.bytes += text.len() as u64;
        if self.bytes > PACKAGE_KEPT_BYTES {
            return Err(BadTarball::TooMuchCode);
        }
        self.has_manifest |= path == "package.json";
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, path, text.as_bytes()).map_err(|_| BadTarball::Damaged)
    }
}

/// Ends with an error when there is more than it may read.
struct Limited<R> {
    from: R,
    left: u64,
    met: bool,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                self.met = true;
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::deploy::packages::shelf::index;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Names are written as they are, which the builder of the library would refuse.
    fn entry(tar: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, bytes: &[u8]) {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    }

    fn tarball(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (name, kind, bytes) in entries {
            entry(&mut tar, name, *kind, bytes);
        }
        gzip(&tar.into_inner().unwrap())
    }

    fn with_manifest(name: &str, kind: EntryType, bytes: &[u8]) -> Result<Vec<u8>, BadTarball> {
        unpack(&tarball(&[("package/package.json", EntryType::Regular, b"{}"), (name, kind, bytes)]))
    }

    #[test]
    fn files_that_can_be_imported_are_kept_without_their_directory() {
        let long = format!("{}/b.mjs", "a".repeat(90));
        let kept = unpack(&tarball(&[
            ("zod/", EntryType::Directory, b""),
            ("zod/package.json", EntryType::Regular, b"{}"),
            ("./zod/lib/index.js", EntryType::Regular, "ä".as_bytes()),
            (&format!("zod/{long}"), EntryType::Regular, b"1"),
            ("zod/lib/index.d.ts", EntryType::Regular, b"x"),
            ("zod/README.md", EntryType::Regular, b"x"),
            ("zod/binary.js", EntryType::Regular, b"\xff"),
        ]))
        .unwrap();
        let names: Vec<_> = index(io::Cursor::new(kept)).unwrap().into_keys().collect();
        assert_eq!(names, [long.as_str(), "lib/index.js", "package.json"]);
    }

    #[test]
    fn nothing_leaves_the_package() {
        for name in ["package/../../x.js", "../x.js", "/etc/x.js", "package/a/../b.js"] {
            assert_eq!(
                with_manifest(name, EntryType::Regular, b"1").unwrap_err(),
                BadTarball::Outside(name.to_owned()),
                "{name}"
            );
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo, EntryType::GNUSparse] {
            let refused = with_manifest("package/x.js", kind, b"").unwrap_err();
            assert!(matches!(refused, BadTarball::NotAFile(_) | BadTarball::Damaged), "{kind:?}: {refused}");
        }
    }

    #[test]
    fn bombs_and_floods_end_at_their_limits() {
        let zeros = vec![0; 1 << 20];
        let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for index in 0..=PACKAGE_UNPACKED_BYTES >> 20 {
            let mut header = Header::new_gnu();
            header.set_size(zeros.len() as u64);
            tar.append_data(&mut header, format!("package/{index}.bin"), zeros.as_slice()).unwrap();
        }
        let bomb = tar.into_inner().unwrap().finish().unwrap();
        assert_eq!(unpack(&bomb).unwrap_err(), BadTarball::TooLarge);

        let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for index in 0..=PACKAGE_KEPT_BYTES >> 20 {
            let mut header = Header::new_gnu();
            header.set_size(zeros.len() as u64);
            tar.append_data(&mut header, format!("package/{index}.js"), zeros.as_slice()).unwrap();
        }
        assert_eq!(unpack(&tar.into_inner().unwrap().finish().unwrap()).unwrap_err(), BadTarball::TooMuchCode);

        let mut tar = Builder::new(Vec::new());
        for index in 0..=PACKAGE_FILES {
            entry(&mut tar, &format!("package/{index}"), EntryType::Regular, b"");
        }
        assert_eq!(unpack(&gzip(&tar.into_inner().unwrap())).unwrap_err(), BadTarball::TooManyFiles);
    }

    #[test]
    fn what_is_no_package_is_refused() {
        assert_eq!(unpack(&tarball(&[("a/b.js", EntryType::Regular, b"")])).unwrap_err(), BadTarball::NoManifest);
        assert_eq!(unpack(b"").unwrap_err(), BadTarball::Damaged);
        assert_eq!(unpack(b"<html>").unwrap_err(), BadTarball::Damaged);
        let whole = tarball(&[("package/package.json", EntryType::Regular, &[b' '; 5000])]);
        assert_eq!(unpack(&whole[..whole.len() / 2]).unwrap_err(), BadTarball::Damaged);
        assert_eq!(unpack(&gzip(b"not a tar")).unwrap_err(), BadTarball::Damaged);
    }
}
