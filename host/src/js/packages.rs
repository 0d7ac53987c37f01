//! npm packages: the interface through which a bundle asks for them, and the way Node keeps them on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{Source, join};

pub use super::manifest::{Dependency, ImportKind, Manifest};

/// The largest file of a package that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// What a module asks for when it imports from a package.
#[derive(Debug, Clone, Copy)]
pub struct PackageRequest<'a> {
    /// The package's name: `zod`, `@hono/zod-validator`.
    pub name: &'a str,
    /// The version it asks for, as written: `4`, `^1.2`, `latest`. `None` where the specifier has none.
    pub requirement: Option<&'a str>,
    /// The package that asks; `None` for a file of the function.
    pub importer: Option<&'a Package>,
    /// Whether the module cannot even be linked without it: a static import.
    pub needed: bool,
}

/// A package that was found.
#[derive(Debug, Clone)]
pub struct Package {
    /// Names this very package among all that a source of packages has. The modules of the package are named after it.
    pub id: String,
    /// Its `package.json`.
    pub manifest: Arc<Manifest>,
}

/// Why there is no such package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// There is none of that name and version.
    #[error("the package was not found")]
    NotFound,
    /// There is one, but it cannot be used; the text says why.
    #[error("{0}")]
    Unusable(String),
    /// Nobody knows now whether there is one; the text says why.
    #[error("{0}")]
    Unavailable(String),
    /// It is not here, and was noted down: asked again, when those noted down are here, there will be an answer.
    #[error("the package has to be fetched first")]
    Wanted,
}

/// Whether a package can have this name: as npm allows it, and nothing that could be a path of another kind.
pub fn is_package_name(name: &str) -> bool {
    let part = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
    };
    if name.len() > 214 {
        return false;
    }
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| part(scope) && part(name)),
        None => part(name) && name != "node_modules",
    }
}

/// Where packages come from.
pub trait Packages: Sync {
    /// The package that a request means.
    fn find(&self, request: PackageRequest<'_>) -> Result<Package, PackageError>;

    /// The text of a file of a package; `path` is relative to the package and has no `..`.
    fn read(&self, package: &Package, path: &str) -> Option<String>;

    /// Whether `read` would find the file.
    fn has(&self, package: &Package, path: &str) -> bool {
        self.read(package, path).is_some()
    }
}

/// No packages at all.
#[derive(Debug, Clone, Copy)]
pub struct NoPackages;

impl Packages for NoPackages {
    fn find(&self, _: PackageRequest<'_>) -> Result<Package, PackageError> {
        Err(PackageError::NotFound)
    }

    fn read(&self, _: &Package, _: &str) -> Option<String> {
        None
    }
}

/// Where the text of a file is found: the files of a function, or a directory.
pub trait FileTree: Sync {
    /// The text of the file, if it is there and is text. `path` is relative and has no `..`.
    fn read(&self, path: &str) -> Option<String>;

    /// The path that a directory has when symbolic links are followed; itself where there are none.
    fn canonical(&self, directory: &str) -> Option<String> {
        Some(directory.to_owned())
    }
}

impl FileTree for Source {
    fn read(&self, path: &str) -> Option<String> {
        self.text(path).map(str::to_owned)
    }
}

impl FileTree for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Option<String> {
        self.get(path).cloned()
    }
}

/// A directory on the host. Nothing outside of it is read, whatever its symbolic links say.
#[derive(Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory that holds `node_modules`. Errors: it does not exist.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        path.canonicalize().map(Self)
    }

    fn resolve(&self, path: &str) -> Option<PathBuf> {
        let found = self.0.join(path).canonicalize().ok()?;
        found.starts_with(&self.0).then_some(found)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl FileTree for Directory {
    fn read(&self, path: &str) -> Option<String> {
        let path = self.resolve(path)?;
        let metadata = path.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return None;
        }
        std::fs::read_to_string(path).ok()
    }

    fn canonical(&self, directory: &str) -> Option<String> {
        let found = self.resolve(directory)?;
        found.strip_prefix(&self.0).ok()?.to_str().map(str::to_owned)
    }
}

/// Packages as Node finds them: in the nearest `node_modules` above the importer. What is installed there is the answer,
/// whichever version was asked for.
#[derive(Debug, Clone)]
pub struct NodeModules<T>(pub T);

impl<T: FileTree> Packages for NodeModules<T> {
    fn find(&self, request: PackageRequest<'_>) -> Result<Package, PackageError> {
        let mut directory = request.importer.map_or("", |package| package.id.as_str());
        loop {
            let place = join(directory, &format!("node_modules/{}", request.name));
            if let Some(id) = self.0.canonical(&place)
                && let Some(text) = self.0.read(&format!("{id}/package.json"))
            {
                return Ok(Package { id, manifest: Arc::new(Manifest::parse(&text)?) });
            }
            if directory.is_empty() {
                return Err(PackageError::NotFound);
            }
            directory = super::source::directory(directory);
        }
    }

    fn read(&self, package: &Package, path: &str) -> Option<String> {
        self.0.read(&join(&package.id, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_not_left() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.js"), "1").unwrap();
        let root = tempfile::tempdir().unwrap();
        let store = root.path().join("node_modules/.store/a/node_modules/a");
        std::fs::create_dir_all(&store).unwrap();
        std::fs::write(store.join("package.json"), "{}").unwrap();
        std::os::unix::fs::symlink(&store, root.path().join("node_modules/a")).unwrap();
        std::os::unix::fs::symlink(outside.path(), store.join("out")).unwrap();
        let packages = NodeModules(Directory::open(root.path()).unwrap());
        let package =
            packages.find(PackageRequest { name: "a", requirement: None, importer: None, needed: true }).unwrap();
        assert_eq!(package.id, "node_modules/.store/a/node_modules/a");
        assert_eq!(packages.read(&package, "package.json").unwrap(), "{}");
        assert_eq!(packages.read(&package, "out/secret.js"), None);
    }
}
