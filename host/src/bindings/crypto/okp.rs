//! Ed25519 (RFC 8032) and X25519 (RFC 7748), with their encodings (RFC 8410).

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use getrandom::SysRng;
use getrandom::rand_core::TryRng;
use rsa::pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use rsa::pkcs8::der::{Decode, Encode};
use rsa::pkcs8::spki::AlgorithmIdentifierRef;
use rsa::pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::wit::{Key, KeyData, KeyFormat, KeyPair, OkpPrivateNumbers};
use super::{Error, Result, failed, invalid_key};

const SIZE: usize = 32;

type Bytes = [u8; SIZE];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    Ed25519,
    X25519,
}

impl Curve {
    fn identifier(self) -> ObjectIdentifier {
        match self {
            Self::Ed25519 => ObjectIdentifier::new_unwrap("1.3.101.112"),
            Self::X25519 => ObjectIdentifier::new_unwrap("1.3.101.110"),
        }
    }

    fn algorithm(self) -> AlgorithmIdentifierRef<'static> {
        AlgorithmIdentifierRef { oid: self.identifier(), parameters: None }
    }

    /// The public key of a private one.
    fn public(self, private: &Bytes) -> Bytes {
        match self {
            Self::Ed25519 => SigningKey::from_bytes(private).verifying_key().to_bytes(),
            Self::X25519 => PublicKey::from(&StaticSecret::from(*private)).to_bytes(),
        }
    }
}

fn fixed(bytes: &[u8]) -> Result<Bytes> {
    Bytes::try_from(bytes).map_err(|_| invalid_key("a key of this kind has 32 bytes"))
}

fn malformed(_: impl std::error::Error) -> Error {
    invalid_key("the key is not DER of a key of this kind")
}

fn read_public(curve: Curve, der: &[u8]) -> Result<Bytes> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
    if info.algorithm != curve.algorithm() {
        return Err(invalid_key("the key is for another algorithm"));
    }
    fixed(info.subject_public_key.as_bytes().unwrap_or_default())
}

fn read_private(curve: Curve, der: &[u8]) -> Result<Zeroizing<Bytes>> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(malformed)?;
    if info.algorithm != curve.algorithm() {
        return Err(invalid_key("the key is for another algorithm"));
    }
    let inner = <&OctetStringRef>::from_der(info.private_key.as_bytes()).map_err(malformed)?;
    Ok(Zeroizing::new(fixed(inner.as_bytes())?))
}

fn write_public(curve: Curve, key: &Bytes) -> Result<Vec<u8>> {
    let key = BitStringRef::from_bytes(key).map_err(malformed)?;
    SubjectPublicKeyInfoRef { algorithm: curve.algorithm(), subject_public_key: key }.to_der().map_err(malformed)
}

fn write_private(curve: Curve, key: &Bytes) -> Result<Vec<u8>> {
    let inner = Zeroizing::new(OctetStringRef::new(key).and_then(|inner| inner.to_der()).map_err(malformed)?);
    let inner = OctetStringRef::new(&inner).map_err(malformed)?;
    PrivateKeyInfoRef::new(curve.algorithm(), inner).to_der().map_err(malformed)
}

/// Reads a key and writes it in the one form.
pub(super) fn import(curve: Curve, data: KeyData) -> Result<Key> {
    match data {
        KeyData::Raw(bytes) => Ok(Key::Public(write_public(curve, &fixed(&bytes)?)?)),
        KeyData::Spki(der) => Ok(Key::Public(write_public(curve, &read_public(curve, &der)?)?)),
        KeyData::Pkcs8(der) => Ok(Key::Private(write_private(curve, &*read_private(curve, &der)?)?)),
        KeyData::OkpPrivate(numbers) => {
            let private = Zeroizing::new(fixed(&numbers.d)?);
            if curve.public(&private) != fixed(&numbers.x)? {
                return Err(invalid_key("the public key is not that of the private key"));
            }
            Ok(Key::Private(write_private(curve, &private)?))
        }
        _ => Err(invalid_key("the key is of another kind")),
    }
}

/// Encodes a key.
pub(super) fn export(curve: Curve, key: &Key, format: KeyFormat) -> Result<KeyData> {
    match (key, format) {
        (Key::Private(der), KeyFormat::Pkcs8) => Ok(KeyData::Pkcs8(der.clone())),
        (Key::Private(der), KeyFormat::Numbers) => {
            let private = read_private(curve, der)?;
            Ok(KeyData::OkpPrivate(OkpPrivateNumbers { x: curve.public(&private).to_vec(), d: private.to_vec() }))
        }
        (Key::Public(_), KeyFormat::Pkcs8) => Err(invalid_key("the key is public")),
        (_, KeyFormat::Spki | KeyFormat::Raw | KeyFormat::Numbers) => {
            let public = match key {
                Key::Public(der) => read_public(curve, der)?,
                Key::Private(der) => curve.public(&*read_private(curve, der)?),
            };
            if format == KeyFormat::Spki {
                return Ok(KeyData::Spki(write_public(curve, &public)?));
            }
            Ok(KeyData::Raw(public.to_vec()))
        }
    }
}

/// Makes a key pair.
pub(super) fn generate(curve: Curve) -> Result<KeyPair> {
    let mut private = Zeroizing::new(Bytes::default());
    SysRng.try_fill_bytes(&mut *private).map_err(|_| failed("the system gives no random numbers"))?;
    Ok(KeyPair { public: write_public(curve, &curve.public(&private))?, private: write_private(curve, &private)? })
}

/// Signs with Ed25519.
pub(super) fn sign(private_key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let key = SigningKey::from_bytes(&*read_private(Curve::Ed25519, private_key)?);
    Ok(key.sign(data).to_vec())
}

/// Checks a signature of Ed25519. Points of small order are refused, as the Web Cryptography API asks.
pub(super) fn verify(public_key: &[u8], signature: &[u8], data: &[u8]) -> Result<bool> {
    let public = read_public(Curve::Ed25519, public_key)?;
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(&public), Signature::from_slice(signature)) else {
        return Ok(false);
    };
    Ok(key.verify_strict(data, &signature).is_ok())
}

/// Agrees on a secret with X25519.
pub(super) fn agree(private_key: &[u8], public_key: &[u8]) -> Result<Vec<u8>> {
    let private = StaticSecret::from(*read_private(Curve::X25519, private_key)?);
    let public = PublicKey::from(read_public(Curve::X25519, public_key)?);
    let secret = private.diffie_hellman(&public);
    if !secret.was_contributory() {
        return Err(failed("the public key is a point of small order"));
    }
    Ok(secret.as_bytes().to_vec())
}
