//! The hash functions by name.

use super::wit::Hash;

/// Puts the type of a hash function in the place of a name.
macro_rules! with_hash {
    ($hash:expr, $name:ident => $body:expr) => {
        match $hash {
            $crate::bindings::crypto::wit::Hash::Sha1 => {
                type $name = ::sha1::Sha1;
                $body
            }
            $crate::bindings::crypto::wit::Hash::Sha256 => {
                type $name = ::sha2::Sha256;
                $body
            }
            $crate::bindings::crypto::wit::Hash::Sha384 => {
                type $name = ::sha2::Sha384;
                $body
            }
            $crate::bindings::crypto::wit::Hash::Sha512 => {
                type $name = ::sha2::Sha512;
                $body
            }
        }
    };
}
pub(super) use with_hash;

/// The hash of data.
pub(super) fn digest(hash: Hash, data: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    with_hash!(hash, D => D::digest(data).to_vec())
}
