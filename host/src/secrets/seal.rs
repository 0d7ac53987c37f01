//! Everything cryptographic about data at rest: the master key, sealing of values, tags for compiled artefacts.
//!
//! One master key per data directory. HKDF-SHA256 derives a subkey for each purpose, so that none of them says anything
//! about another. The only file that names the crypto crates.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Secret;

/// Bytes of the master key and of a subkey that encrypts.
const KEY_BYTES: usize = 32;

/// Bytes of the subkey that tags: a full block of SHA-256, so that HMAC takes it as it is.
const TAG_KEY_BYTES: usize = 64;

/// Bytes of an XChaCha20 nonce: long enough to be drawn at random without ever counting.
const NONCE_BYTES: usize = 24;

/// First byte of a sealed value. Another algorithm gets another number.
const VERSION: u8 = 1;

/// No key file is longer; more is a file that was named by mistake.
const KEY_FILE_BYTES: u64 = 4096;

/// Why there is no master key. Each text is one line and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The value from the environment is not a key.
    #[error("CADDIS_MASTER_KEY must be 64 hex digits or 32 bytes in base64 (make one with: openssl rand -hex 32)")]
    MalformedValue,
    /// The file does not hold a key.
    #[error("{} must hold 64 hex digits or 32 bytes in base64: restore it from a backup", .0.display())]
    MalformedFile(PathBuf),
    /// Other users of the machine can read the file.
    #[error("{} is open to others (mode {mode:04o}): run chmod 600 on it", .path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is data that was sealed with a key, and no key.
    #[error("{} is missing, and the data beside it is sealed with it: restore it from a backup, or set CADDIS_MASTER_KEY", .0.display())]
    Missing(PathBuf),
    /// The file can neither be read nor made.
    #[error("cannot read or make {}: {source}", .path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The key all others are derived from. Zeroed when dropped.
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// The key given in the environment, or else the one in `file`, which is made at first use (mode 0600, with its
    /// directory).
    ///
    /// # Errors
    /// See [`KeyError`]. Nothing is written when a value is given.
    pub fn load(env_value: Option<&Secret>, file: &Path) -> Result<Self, KeyError> {
        if let Some(value) = env_value {
            return Self::parse(value.expose()).ok_or(KeyError::MalformedValue);
        }
        match Self::read(file) {
            Err(KeyError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                make_key_file(file).map_err(|source| KeyError::Io { path: file.to_owned(), source })?;
                Self::read(file)
            }
            read => read,
        }
    }

    /// The key given in the environment, or else the one in `file`, which must be there.
    ///
    /// # Errors
    /// See [`KeyError`]. Nothing is ever written.
    pub fn existing(env_value: Option<&Secret>, file: &Path) -> Result<Self, KeyError> {
        if let Some(value) = env_value {
            return Self::parse(value.expose()).ok_or(KeyError::MalformedValue);
        }
        Self::read(file).map_err(|error| match error {
            KeyError::Io { path, source } if source.kind() == ErrorKind::NotFound => KeyError::Missing(path),
            other => other,
        })
    }

    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(128));
        file.take(KEY_FILE_BYTES).read_to_end(&mut text).map_err(failed)?;
        str::from_utf8(&text).ok().and_then(Self::parse).ok_or_else(|| KeyError::MalformedFile(path.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(parse_hex(text).or_else(|| STANDARD.decode(text).ok())?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = Vec::with_capacity(KEY_BYTES);
    for pair in text.as_bytes().chunks_exact(2) {
        let [high, low] = pair else { return None };
        bytes.push(nibble(high)? << 4 | nibble(low)?);
    }
    Some(bytes)
}

/// The file appears under its name only when it is complete and on disk: a crash leaves no half key behind, and of two
/// hosts that start together both end up with the same one.
pub(super) fn make_key_file(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let unfinished = path.with_added_extension(Uuid::new_v4().simple().to_string());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let mut line = Zeroizing::new(STANDARD.encode(random::<KEY_BYTES>().as_slice()));
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    let linked = match fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    fs::remove_file(&unfinished)?;
    linked?;
    File::open(directory)?.sync_all()
}

/// Random bytes from the operating system.
#[expect(clippy::expect_used, reason = "without the system's random numbers no key, nonce or identifier can be made")]
pub(super) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).expect("the operating system gives random numbers");
    bytes
}

/// A sealed value that does not open: wrong key, wrong place, or damaged. Which of them is not knowable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open: it is damaged, in the wrong place, or sealed with another master key")]
pub struct OpenError;

/// Seals values for the database, and tags files the host must be able to trust.
pub struct Sealer {
    sealing_key: Zeroizing<[u8; KEY_BYTES]>,
    tag_key: Zeroizing<[u8; TAG_KEY_BYTES]>,
}

impl Sealer {
    /// A sealer with the subkeys of this master key.
    pub fn new(master: &MasterKey) -> Self {
        Self { sealing_key: subkey(master, "caddis v1 seal"), tag_key: subkey(master, "caddis v1 artifact tag") }
    }

    /// `plain`, encrypted and authenticated. It opens only with the same `context`, which names the place the value
    /// belongs to, so that nobody can move it to another row. Adds 41 bytes.
    #[expect(clippy::expect_used, reason = "fails only for more than 256 GiB")]
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = random::<NONCE_BYTES>();
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        let encrypted = self.cipher().encrypt(&XNonce::from(*nonce), payload).expect("the value fits the cipher");
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + encrypted.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_slice());
        sealed.extend_from_slice(&encrypted);
        sealed
    }

    /// What was sealed under `context`.
    ///
    /// # Errors
    /// [`OpenError`] when this key, this context and these bytes do not belong together.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Some((&VERSION, rest)) = sealed.split_first() else {
            return Err(OpenError);
        };
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
        let payload = Payload { msg: encrypted, aad: context.as_bytes() };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| OpenError)?;
        Ok(Zeroizing::new(plain))
    }

    /// The tag of an artefact made of these parts. The parts count one by one: moving a byte from one to the next
    /// changes the tag.
    pub fn artifact_tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.artifact_mac(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` is the tag of these parts. Takes the same time wherever they differ.
    pub fn verify_artifact_tag(&self, parts: &[&[u8]], tag: &[u8; 32]) -> bool {
        self.artifact_mac(parts).verify(tag.into()).is_ok()
    }

    fn artifact_mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new((&*self.tag_key).into());
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.sealing_key).into())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
fn subkey<const N: usize>(master: &MasterKey, label: &str) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(None, master.0.as_slice())
        .expand(label.as_bytes(), key.as_mut_slice())
        .expect("the subkey is short");
    key
}

#[cfg(test)]
mod tests;
