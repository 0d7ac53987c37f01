//! ECDSA and ECDH on the curves of NIST.

use ecdsa::hazmat::{sign_prehashed_rfc6979, verify_prehashed};
use getrandom::SysRng;
use getrandom::rand_core::{TryRng, UnwrapErr};
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};

use super::hash::{digest, with_hash};
use super::wit::{Curve, EcPrivateNumbers, EcPublicNumbers, Ecdsa, Key, KeyData, KeyFormat, KeyPair};
use super::{Error, Result, failed, invalid_key};

/// Puts the crate of a curve in the place of a name.
macro_rules! with_curve {
    ($curve:expr, $name:ident => $body:expr) => {
        match $curve {
            Curve::P256 => {
                use ::p256 as $name;
                $body
            }
            Curve::P384 => {
                use ::p384 as $name;
                $body
            }
            Curve::P521 => {
                use ::p521 as $name;
                $body
            }
        }
    };
}

fn malformed(_: impl std::error::Error) -> Error {
    invalid_key("the key is not a key on this curve")
}

/// SEC 1: a point in full.
fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

/// The two coordinates of a point in full.
fn coordinates(point: &[u8]) -> EcPublicNumbers {
    let rest = point.get(1..).unwrap_or_default();
    let (x, y) = rest.split_at_checked(rest.len() / 2).unwrap_or_default();
    EcPublicNumbers { x: x.to_vec(), y: y.to_vec() }
}

/// Reads a key and writes it in the one form.
pub(super) fn import(curve: Curve, data: KeyData) -> Result<Key> {
    with_curve!(curve, nist => {
        let public = match data {
            KeyData::Raw(bytes) => nist::PublicKey::from_sec1_bytes(&bytes).map_err(malformed)?,
            KeyData::Spki(der) => nist::PublicKey::from_public_key_der(&der).map_err(malformed)?,
            KeyData::EcPublic(numbers) => {
                nist::PublicKey::from_sec1_bytes(&point(&numbers.x, &numbers.y)).map_err(malformed)?
            }
            KeyData::Pkcs8(der) => {
                let key = nist::SecretKey::from_pkcs8_der(&der).map_err(malformed)?;
                return Ok(Key::Private(key.to_pkcs8_der().map_err(malformed)?.as_bytes().to_vec()));
            }
            KeyData::EcPrivate(numbers) => {
                let bytes = nist::FieldBytes::try_from(numbers.d.as_slice())
                    .map_err(|_| invalid_key("the private key has another size than the curve"))?;
                let key = nist::SecretKey::from_bytes(&bytes).map_err(malformed)?;
                if *key.public_key().to_sec1_point(false).as_bytes() != *point(&numbers.x, &numbers.y) {
                    return Err(invalid_key("the public key is not that of the private key"));
                }
                return Ok(Key::Private(key.to_pkcs8_der().map_err(malformed)?.as_bytes().to_vec()));
            }
            _ => return Err(invalid_key("the key is of another kind")),
        };
        Ok(Key::Public(public.to_public_key_der().map_err(malformed)?.as_bytes().to_vec()))
    })
}

/// Encodes a key.
pub(super) fn export(curve: Curve, key: &Key, format: KeyFormat) -> Result<KeyData> {
    with_curve!(curve, nist => {
        let (private, public) = match key {
            Key::Public(der) => (None, nist::PublicKey::from_public_key_der(der).map_err(malformed)?),
            Key::Private(der) => {
                let key = nist::SecretKey::from_pkcs8_der(der).map_err(malformed)?;
                let public = key.public_key();
                (Some(key), public)
            }
        };
        let point = public.to_sec1_point(false).as_bytes().to_vec();
        Ok(match (format, private) {
            (KeyFormat::Raw, _) => KeyData::Raw(point),
            (KeyFormat::Spki, _) => KeyData::Spki(public.to_public_key_der().map_err(malformed)?.as_bytes().to_vec()),
            (KeyFormat::Pkcs8, Some(key)) => KeyData::Pkcs8(key.to_pkcs8_der().map_err(malformed)?.as_bytes().to_vec()),
            (KeyFormat::Pkcs8, None) => return Err(invalid_key("the key is public")),
            (KeyFormat::Numbers, None) => KeyData::EcPublic(coordinates(&point)),
            (KeyFormat::Numbers, Some(key)) => {
                let EcPublicNumbers { x, y } = coordinates(&point);
                KeyData::EcPrivate(EcPrivateNumbers { x, y, d: key.to_bytes().to_vec() })
            }
        })
    })
}

/// Makes a key pair.
pub(super) fn generate(curve: Curve) -> Result<KeyPair> {
    with_curve!(curve, nist => {
        let key = nist::SecretKey::generate_from_rng(&mut UnwrapErr(SysRng));
        Ok(KeyPair {
            public: key.public_key().to_public_key_der().map_err(malformed)?.as_bytes().to_vec(),
            private: key.to_pkcs8_der().map_err(malformed)?.as_bytes().to_vec(),
        })
    })
}

/// Signs with ECDSA.
pub(super) fn sign(parameters: Ecdsa, private_key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let hashed = digest(parameters.hash, data);
    // RFC 6979 with fresh randomness mixed in: safe whichever of the two fails.
    let mut extra = [0; 32];
    SysRng.try_fill_bytes(&mut extra).map_err(|_| failed("the system gives no random numbers"))?;
    with_curve!(parameters.curve, nist => {
        let key = nist::SecretKey::from_pkcs8_der(private_key).map_err(malformed)?.to_nonzero_scalar();
        with_hash!(parameters.hash, D => {
            let (signature, _) = sign_prehashed_rfc6979::<_, D>(&key, &hashed, &extra);
            Ok(signature.to_bytes().to_vec())
        })
    })
}

/// Checks a signature of ECDSA.
pub(super) fn verify(parameters: Ecdsa, public_key: &[u8], signature: &[u8], data: &[u8]) -> Result<bool> {
    let hashed = digest(parameters.hash, data);
    with_curve!(parameters.curve, nist => {
        let key = nist::PublicKey::from_public_key_der(public_key).map_err(malformed)?;
        let Ok(signature) = nist::ecdsa::Signature::from_slice(signature) else { return Ok(false) };
        Ok(verify_prehashed(&key.to_projective(), &hashed, &signature).is_ok())
    })
}

/// Agrees on a secret with ECDH.
pub(super) fn agree(curve: Curve, private_key: &[u8], public_key: &[u8]) -> Result<Vec<u8>> {
    with_curve!(curve, nist => {
        let private = nist::SecretKey::from_pkcs8_der(private_key).map_err(malformed)?;
        let public = nist::PublicKey::from_public_key_der(public_key).map_err(malformed)?;
        Ok(private.diffie_hellman(&public).raw_secret_bytes().to_vec())
    })
}
