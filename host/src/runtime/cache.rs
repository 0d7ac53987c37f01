//! Machine code on disk, keyed by component and engine. Loading foreign machine code would be running it outside the sandbox, so
//! every file carries a tag that only this data directory's key can make.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::ids::ContentHash;
use crate::secrets::seal::Sealer;
use crate::store::private_directory;

/// Bytes of the tag at the end of a file.
const TAG_BYTES: usize = 32;

/// What the names of complete files end with.
const FINISHED: &str = "cwasm";

/// Machine code that this host made: only a [`Cache`] vouches for that.
pub struct MachineCode(Vec<u8>);

impl MachineCode {
    /// How much it is, in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// The machine code of one data directory.
#[derive(Clone)]
pub struct Cache {
    directory: PathBuf,
    engine: Engine,
    version: Arc<str>,
    sealer: Arc<Sealer>,
}

impl Cache {
    /// The cache in this directory, which is made if it is missing.
    pub fn open(directory: &Path, engine: Engine, sealer: Arc<Sealer>) -> io::Result<Self> {
        let version: Arc<str> = engine_version(&engine).into();
        let directory = directory.join(&*version);
        private_directory(&directory)?;
        remove_unfinished(&directory)?;
        Ok(Self { directory, engine, version, sealer })
    }

    /// The machine code for the WebAssembly with this hash, if this host compiled it for this engine. Blocks on the disk.
    pub fn read(&self, hash: ContentHash) -> Option<MachineCode> {
        let mut file = std::fs::read(self.path(hash)).ok()?;
        let tag = file.split_off(file.len().checked_sub(TAG_BYTES)?);
        let tag = tag.first_chunk()?;
        if !self.sealer.verify_artifact_tag(&self.parts(&hash, &file), tag) {
            tracing::warn!(component = %hash, "machine code in the cache was not made by this host; ignored");
            return None;
        }
        Some(MachineCode(file))
    }

    /// Keeps what the compiling process has just made. Blocks on the disk.
    pub fn keep(&self, hash: ContentHash, code: Vec<u8>) -> MachineCode {
        let tag = self.sealer.artifact_tag(&self.parts(&hash, &code));
        // Written aside and renamed: a crash leaves the old file or the new one. Losing it costs a compilation.
        if let Err(error) = self.write(hash, &code, &tag) {
            tracing::warn!(component = %hash, %error, "machine code could not be kept; it will be compiled again");
        }
        MachineCode(code)
    }

    /// Loads a component.
    #[expect(unsafe_code, reason = "machine code can only be loaded through an unsafe function")]
    pub fn component(&self, code: &MachineCode) -> wasmtime::Result<Component> {
        // SAFETY: `MachineCode` was made by `Engine::precompile_component` in our own compiling process: either just now, or in an earlier
        // run that authenticated it with a key nobody else has. It is a private copy, so nobody can change it after the check.
        unsafe { Component::deserialize(&self.engine, &code.0) }
    }

    fn write(&self, hash: ContentHash, code: &[u8], tag: &[u8; TAG_BYTES]) -> io::Result<()> {
        let aside = self.directory.join(format!("{hash}.{}", uuid::Uuid::new_v4()));
        let mut file = std::fs::File::create_new(&aside)?;
        let done = file
            .write_all(code)
            .and_then(|()| file.write_all(tag))
            .and_then(|()| std::fs::rename(&aside, self.path(hash)));
        if done.is_err() {
            let _ = std::fs::remove_file(&aside);
        }
        done
    }

    fn path(&self, hash: ContentHash) -> PathBuf {
        self.directory.join(format!("{hash}.{FINISHED}"))
    }

    fn parts<'a>(&'a self, hash: &'a ContentHash, code: &'a [u8]) -> [&'a [u8]; 3] {
        [self.version.as_bytes(), &hash.0, code]
    }
}

/// Removes what a host left that ended while it wrote.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != FINISHED) {
            // What stays is in nobody's way.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

/// A name for everything that decides the machine code: another engine never finds it.
fn engine_version(engine: &Engine) -> String {
    use std::hash::{Hash, Hasher};
    let mut hasher = sha2_hasher::Sha256Hasher::default();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A stable `Hasher`: the standard one may change between Rust versions, and then the cache would only grow.
mod sha2_hasher {
    use sha2::{Digest, Sha256};

    #[derive(Default)]
    pub(super) struct Sha256Hasher(Sha256);

    impl std::hash::Hasher for Sha256Hasher {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            let digest: [u8; 32] = self.0.clone().finalize().into();
            digest.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
        }
    }
}
