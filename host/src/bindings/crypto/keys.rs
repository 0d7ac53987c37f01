//! Keys of every kind: reading, writing, making.

use super::wit::{ImportedKey, Key, KeyData, KeyFormat, KeyGeneration, KeyKind, KeyPair};
use super::work::{Stop, Work};
use super::{Result, ec, okp, rsa, sum};

/// How many bytes there are to read.
pub(super) fn data_bytes(data: &KeyData) -> usize {
    match data {
        KeyData::Raw(bytes) | KeyData::Spki(bytes) | KeyData::Pkcs8(bytes) => bytes.len(),
        KeyData::RsaPublic(numbers) => sum(&[numbers.n.len(), numbers.e.len()]),
        KeyData::RsaPrivate(numbers) => {
            let parts =
                [&numbers.n, &numbers.e, &numbers.d, &numbers.p, &numbers.q, &numbers.dp, &numbers.dq, &numbers.qi];
            sum(&parts.map(Vec::len))
        }
        KeyData::EcPublic(numbers) => sum(&[numbers.x.len(), numbers.y.len()]),
        KeyData::EcPrivate(numbers) => sum(&[numbers.x.len(), numbers.y.len(), numbers.d.len()]),
        KeyData::OkpPrivate(numbers) => sum(&[numbers.x.len(), numbers.d.len()]),
    }
}

/// Reads a key.
pub(super) fn import(kind: KeyKind, data: KeyData) -> Result<ImportedKey> {
    let key = match kind {
        KeyKind::Rsa => {
            let (key, details) = rsa::import(data)?;
            return Ok(ImportedKey { key, rsa: Some(details) });
        }
        KeyKind::Ec(curve) => ec::import(curve, data),
        KeyKind::Ed25519 => okp::import(okp::Curve::Ed25519, data),
        KeyKind::X25519 => okp::import(okp::Curve::X25519, data),
    };
    Ok(ImportedKey { key: key?, rsa: None })
}

/// Encodes a key.
pub(super) fn export(kind: KeyKind, key: &Key, format: KeyFormat) -> Result<KeyData> {
    match kind {
        KeyKind::Rsa => rsa::export(key, format),
        KeyKind::Ec(curve) => ec::export(curve, key, format),
        KeyKind::Ed25519 => okp::export(okp::Curve::Ed25519, key, format),
        KeyKind::X25519 => okp::export(okp::Curve::X25519, key, format),
    }
}

/// Makes a key pair.
pub(super) fn generate(what: KeyGeneration, work: &Work) -> std::result::Result<KeyPair, Stop> {
    match what {
        KeyGeneration::Rsa(rsa) => rsa::generate(rsa, work),
        KeyGeneration::Ec(curve) => Ok(ec::generate(curve)?),
        KeyGeneration::Ed25519 => Ok(okp::generate(okp::Curve::Ed25519)?),
        KeyGeneration::X25519 => Ok(okp::generate(okp::Curve::X25519)?),
    }
}
