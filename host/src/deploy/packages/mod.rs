//! npm packages by name.
//!
//! ```text
//! Npm ──┬── registry ── client    which versions there are, and their tarballs
//!       ├── tarball               what can be imported of one
//!       └── shelf                 packages that are here, by hash
//! Resolution ── lock              which version each import of one function means
//! ```
//!
//! A function's source says names and versions, never where from: that is the operator's choice. The bundler asks a [`Resolution`] for
//! packages and is told at once or not at all; [`Resolution::supply`] then gets what was asked for, all of it at the same time, and the
//! bundler goes on. So only packages that are imported are fetched, nothing waits for a network while it holds a thread, and what
//! version an import gets does not depend on which answer comes first.

mod client;
mod integrity;
mod lock;
mod registry;
mod resolution;
mod shelf;
mod tarball;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use self::integrity::Integrity;
use self::lock::Release;
pub use self::lock::{LockedPackage, LockedPackages};
use self::registry::Registry;
pub use self::registry::{InvalidRegistry, RegistryAddress, RegistryChoice};
pub use self::resolution::{PackageVersions, Resolution};
use self::shelf::Shelf;
use crate::bindings::egress::AllowRule;
use crate::js::packages::PackageError;
use crate::tunables::UNPACKED_TOGETHER;

/// The scope of what JSR's own npm registry has.
const JSR_SCOPE: &str = "@jsr/";

/// Where this host gets packages from.
pub struct Npm {
    npm: Option<Registry>,
    jsr: Option<Registry>,
    shelf: Shelf,
    /// Tarballs are large when they are unpacked.
    unpacking: Semaphore,
}

/// Which registries there are, and how they are reached.
#[derive(Debug)]
pub struct Registries {
    /// For all names.
    pub npm: RegistryChoice,
    /// For names that begin with `@jsr/`.
    pub jsr: RegistryChoice,
    /// Certificate authorities to trust besides the public ones (PEM).
    pub roots: Vec<u8>,
    /// Where functions, and so redirects of registries, may connect to besides public addresses.
    pub opened: Vec<AllowRule>,
}

/// Why the host has no packages.
#[derive(Debug, thiserror::Error)]
pub enum NpmError {
    /// The directory cannot be used.
    #[error("the directory for packages: {0}")]
    Directory(#[from] std::io::Error),
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Roots(#[from] crate::bindings::fetch::InvalidRoots),
}

impl Npm {
    /// Packages from these registries, kept in this directory. Blocks on the disk.
    pub fn open(registries: Registries, directory: &Path) -> Result<Self, NpmError> {
        let Registries { npm, jsr, roots, opened } = registries;
        let registry = |choice| match choice {
            RegistryChoice::Off => Ok(None),
            RegistryChoice::At(address) => Registry::new(address, &roots, &opened).map(Some),
        };
        Ok(Self {
            npm: registry(npm)?,
            jsr: registry(jsr)?,
            shelf: Shelf::open(directory)?,
            unpacking: Semaphore::new(UNPACKED_TOGETHER),
        })
    }

    fn registry(&self, name: &str) -> Result<&Registry, PackageError> {
        let (registry, option) =
            if name.starts_with(JSR_SCOPE) { (&self.jsr, "--jsr-registry") } else { (&self.npm, "--npm-registry") };
        registry.as_ref().ok_or_else(|| {
            let why = format!(
                "this host gets no packages by name ({option} is off); put it into node_modules/ among the files"
            );
            PackageError::Unusable(why)
        })
    }

    /// Fetches a package, unless it is on the shelf.
    async fn fetch(self: Arc<Self>, release: &Release, integrity: Integrity) -> Result<(), PackageError> {
        let npm = self.clone();
        if spawn_blocking(move || npm.shelf.has(integrity)).await.unwrap_or(false) {
            return Ok(());
        }
        let tarball = self.registry(&release.name)?.tarball(release, integrity).await?;
        let unpacker = self.clone();
        let _turn = unpacker.unpacking.acquire().await;
        let kept = spawn_blocking(move || {
            let unpacked = tarball::unpack(&tarball).map_err(|bad| PackageError::Unusable(bad.to_string()))?;
            self.shelf.keep(integrity, &unpacked)
        });
        kept.await.map_err(|_| PackageError::Unavailable("the host could not unpack it".to_owned()))?
    }
}
