//! The hash by which a tarball is known, as registries and lock files write it (Subresource Integrity).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha512};

/// The SHA-512 of a tarball.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Integrity([u8; 64]);

/// A text without a usable SHA-512 in it.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} has no sha512- hash")]
pub struct InvalidIntegrity(String);

impl Integrity {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha512::digest(bytes).into())
    }

    /// A name for a file.
    pub(super) fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(128), |mut text, byte| {
            // Writing into a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl FromStr for Integrity {
    type Err = InvalidIntegrity;

    /// Takes the first SHA-512 of a list of hashes; options behind `?` mean nothing here.
    fn from_str(text: &str) -> Result<Self, InvalidIntegrity> {
        let hashes = text.split_ascii_whitespace().filter_map(|hash| hash.strip_prefix("sha512-"));
        let mut digests = hashes.filter_map(|hash| {
            let digest = STANDARD.decode(hash.split('?').next().unwrap_or(hash)).ok()?;
            <[u8; 64]>::try_from(digest).ok()
        });
        digests.next().map(Self).ok_or_else(|| InvalidIntegrity(text.chars().take(120).collect()))
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha512-{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Integrity {
    type Error = InvalidIntegrity;

    fn try_from(text: String) -> Result<Self, InvalidIntegrity> {
        text.parse()
    }
}

impl From<Integrity> for String {
    fn from(integrity: Integrity) -> Self {
        integrity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strong_hash_of_a_list_counts() {
        let integrity = Integrity::of(b"abc");
        assert_eq!(
            format!("sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0= {integrity}?x=y").parse::<Integrity>().unwrap(),
            integrity
        );
        assert!(integrity.hex().starts_with("ddaf35a193617aba"), "{}", integrity.hex());
        for text in ["", "sha512-", "sha512-AAAA", "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "sha512-***"] {
            assert!(text.parse::<Integrity>().is_err(), "{text}");
        }
    }
}
