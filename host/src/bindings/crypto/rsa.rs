//! RSA (RFC 8017).

use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use crypto_primes::{Flavor, is_prime, sieve_and_find};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, Oaep, Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};

use super::hash::{digest, with_hash};
use super::wit::{self, Hash, Key, KeyData, KeyFormat, KeyPair, RsaDetails, RsaPrivateNumbers, RsaPublicNumbers};
use super::work::{Stop, Work};
use super::{Error, Result, failed, invalid_key};
use crate::tunables::{RSA_GENERATED_BITS, RSA_KEY_BITS};

/// DER of a private key of the largest size is about 2,400 bytes. What is longer is refused before numbers are read from it.
const DER_BYTES: usize = 4 * 1024;

/// Salts longer than any modulus could hold are refused before they are made.
const SALT_BYTES: u32 = 512;

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn malformed(_: impl std::error::Error) -> Error {
    invalid_key("the key is not an RSA key of 1,024 to 4,096 bits")
}

fn check_size(key: &RsaPublicKey) -> Result<()> {
    let bits = key.n().bits();
    if RSA_KEY_BITS.contains(&bits) {
        return Ok(());
    }
    let (min, max) = (RSA_KEY_BITS.start(), RSA_KEY_BITS.end());
    Err(invalid_key(&format!("an RSA key has {min} to {max} bits; this one has {bits}")))
}

fn short(der: &[u8]) -> Result<&[u8]> {
    if der.len() <= DER_BYTES { Ok(der) } else { Err(invalid_key("the RSA key is too large")) }
}

fn read_public(der: &[u8]) -> Result<RsaPublicKey> {
    let key = RsaPublicKey::from_public_key_der(short(der)?).map_err(malformed)?;
    check_size(&key)?;
    Ok(key)
}

fn read_private(der: &[u8]) -> Result<RsaPrivateKey> {
    let key = RsaPrivateKey::from_pkcs8_der(short(der)?).map_err(malformed)?;
    check_size(key.as_public_key())?;
    Ok(key)
}

fn write_public(key: &RsaPublicKey) -> Result<Vec<u8>> {
    Ok(key.to_public_key_der().map_err(malformed)?.as_bytes().to_vec())
}

fn write_private(key: &RsaPrivateKey) -> Result<Vec<u8>> {
    Ok(key.to_pkcs8_der().map_err(malformed)?.as_bytes().to_vec())
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn number(bytes: &[u8]) -> Result<BoxedUint> {
    let bytes = trimmed(bytes);
    if bytes.is_empty() || bytes.len() > 512 {
        return Err(invalid_key("a number of the RSA key is zero or too large"));
    }
    let bits = u32::try_from(bytes.len() * 8).unwrap_or(u32::MAX);
    BoxedUint::from_be_slice(bytes, bits).map_err(|_| invalid_key("a number of the RSA key cannot be read"))
}

/// Reads a key and writes it in the one form.
pub(super) fn import(data: KeyData) -> Result<(Key, RsaDetails)> {
    match data {
        KeyData::Spki(der) => public(&read_public(&der)?),
        KeyData::RsaPublic(numbers) => {
            let key = RsaPublicKey::new(number(&numbers.n)?, number(&numbers.e)?).map_err(malformed)?;
            check_size(&key)?;
            public(&key)
        }
        KeyData::Pkcs8(der) => private(&read_private(&der)?),
        KeyData::RsaPrivate(numbers) => private(&from_numbers(&numbers)?),
        _ => Err(invalid_key("the key is of another kind")),
    }
}

fn public(key: &RsaPublicKey) -> Result<(Key, RsaDetails)> {
    Ok((Key::Public(write_public(key)?), details(key)))
}

fn private(key: &RsaPrivateKey) -> Result<(Key, RsaDetails)> {
    Ok((Key::Private(write_private(key)?), details(key.as_public_key())))
}

fn details(key: &RsaPublicKey) -> RsaDetails {
    RsaDetails { modulus_length: key.n().bits(), public_exponent: key.e_bytes().to_vec() }
}

fn from_numbers(numbers: &RsaPrivateNumbers) -> Result<RsaPrivateKey> {
    let primes = vec![number(&numbers.p)?, number(&numbers.q)?];
    let (n, e, d) = (number(&numbers.n)?, number(&numbers.e)?, number(&numbers.d)?);
    let key = RsaPrivateKey::from_components(n, e, d, primes).map_err(malformed)?;
    check_size(key.as_public_key())?;
    let made = private_numbers(&key)?;
    let fits = [(&made.dp, &numbers.dp), (&made.dq, &numbers.dq), (&made.qi, &numbers.qi)];
    if fits.iter().any(|(made, given)| made.as_slice() != trimmed(given)) {
        return Err(invalid_key("the numbers of the RSA key do not fit each other"));
    }
    Ok(key)
}

fn private_numbers(key: &RsaPrivateKey) -> Result<RsaPrivateNumbers> {
    let bytes = |number: &BoxedUint| number.to_be_bytes_trimmed_vartime().to_vec();
    let unusual = || invalid_key("the RSA key has other than two primes");
    let [p, q] = key.primes() else { return Err(unusual()) };
    Ok(RsaPrivateNumbers {
        n: key.n_bytes().to_vec(),
        e: key.e_bytes().to_vec(),
        d: bytes(key.d()),
        p: bytes(p),
        q: bytes(q),
        dp: bytes(key.dp().ok_or_else(unusual)?),
        dq: bytes(key.dq().ok_or_else(unusual)?),
        qi: bytes(&key.crt_coefficient().ok_or_else(unusual)?),
    })
}

/// Encodes a key.
pub(super) fn export(key: &Key, format: KeyFormat) -> Result<KeyData> {
    match (key, format) {
        (_, KeyFormat::Raw) => Err(invalid_key("an RSA key has no raw form")),
        (Key::Public(_), KeyFormat::Pkcs8) => Err(invalid_key("the key is public")),
        (Key::Public(der), KeyFormat::Spki) => Ok(KeyData::Spki(der.clone())),
        (Key::Public(der), KeyFormat::Numbers) => {
            let key = read_public(der)?;
            Ok(KeyData::RsaPublic(RsaPublicNumbers { n: key.n_bytes().to_vec(), e: key.e_bytes().to_vec() }))
        }
        (Key::Private(der), KeyFormat::Pkcs8) => Ok(KeyData::Pkcs8(der.clone())),
        (Key::Private(der), KeyFormat::Spki) => Ok(KeyData::Spki(write_public(read_private(der)?.as_public_key())?)),
        (Key::Private(der), KeyFormat::Numbers) => Ok(KeyData::RsaPrivate(private_numbers(&read_private(der)?)?)),
    }
}

/// Makes a key pair.
pub(super) fn generate(what: wit::RsaGeneration, work: &Work) -> std::result::Result<KeyPair, Stop> {
    let bits = what.modulus_length;
    if !RSA_GENERATED_BITS.contains(&bits) || !bits.is_multiple_of(8) {
        let (min, max) = (RSA_GENERATED_BITS.start(), RSA_GENERATED_BITS.end());
        return Err(failed(&format!("RSA keys of {min} to {max} bits, in steps of 8, can be made")).into());
    }
    if ![3, 65_537].contains(&what.public_exponent) {
        return Err(failed("the public exponent of a new RSA key is 3 or 65537").into());
    }
    loop {
        let (p, q) = (prime(bits / 2, work)?, prime(bits / 2, work)?);
        // Fails when the exponent divides p - 1 or q - 1: then others will do.
        let exponent = BoxedUint::from(u64::from(what.public_exponent));
        if let Ok(key) = RsaPrivateKey::from_p_q(p, q, exponent) {
            return Ok(KeyPair { public: write_public(key.as_public_key())?, private: write_private(&key)? });
        }
    }
}

/// A random prime. Looks at the clock before each candidate, of which every hundredth or so is prime.
fn prime(bits: u32, work: &Work) -> std::result::Result<BoxedUint, Stop> {
    let sieve = SmallFactorsSieveFactory::new(Flavor::Any, bits, SetBits::TwoMsb);
    let sieve = sieve.map_err(|_| failed("no prime of this size can be made"))?;
    let found = sieve_and_find(&mut rng(), sieve, |_, candidate: &BoxedUint| {
        work.check().is_err() || is_prime(Flavor::Any, candidate)
    });
    work.check()?;
    found.ok().flatten().ok_or_else(|| failed("no prime of this size was found").into())
}

/// Signs with RSASSA-PKCS1-v1_5.
pub(super) fn sign_pkcs1(hash: Hash, private_key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let key = read_private(private_key)?;
    let padding = with_hash!(hash, D => Pkcs1v15Sign::new::<D>());
    key.sign_with_rng(&mut rng(), padding, &digest(hash, data))
        .map_err(|_| failed("the key is too short to sign with this hash"))
}

/// Checks a signature of RSASSA-PKCS1-v1_5.
pub(super) fn verify_pkcs1(hash: Hash, public_key: &[u8], signature: &[u8], data: &[u8]) -> Result<bool> {
    let key = read_public(public_key)?;
    let padding = with_hash!(hash, D => Pkcs1v15Sign::new::<D>());
    Ok(key.verify(padding, &digest(hash, data), signature).is_ok())
}

/// Signs with RSASSA-PSS.
pub(super) fn sign_pss(parameters: wit::Pss, private_key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let wit::Pss { hash, salt_length } = parameters;
    let key = read_private(private_key)?;
    let too_long = || failed("the salt is too long for the key and the hash");
    if salt_length > SALT_BYTES {
        return Err(too_long());
    }
    let hashed = digest(hash, data);
    let salt_length = salt_length as usize;
    with_hash!(hash, D => key.sign_with_rng(&mut rng(), Pss::<D>::new_with_salt(salt_length), &hashed))
        .map_err(|_| too_long())
}

/// Checks a signature of RSASSA-PSS.
pub(super) fn verify_pss(parameters: wit::Pss, public_key: &[u8], signature: &[u8], data: &[u8]) -> Result<bool> {
    let wit::Pss { hash, salt_length } = parameters;
    let key = read_public(public_key)?;
    if salt_length > SALT_BYTES {
        return Ok(false);
    }
    let hashed = digest(hash, data);
    let salt_length = salt_length as usize;
    Ok(with_hash!(hash, D => key.verify(Pss::<D>::new_with_salt(salt_length), &hashed, signature)).is_ok())
}

/// Encrypts with RSAES-OAEP.
pub(super) fn encrypt(parameters: &wit::Oaep, public_key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let key = read_public(public_key)?;
    let label = parameters.label.clone();
    with_hash!(parameters.hash, D => key.encrypt(&mut rng(), Oaep::<D>::new_with_label(label), data))
        .map_err(|_| failed("the data is too long for the key and the hash"))
}

/// Decrypts with RSAES-OAEP.
pub(super) fn decrypt(parameters: &wit::Oaep, private_key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let key = read_private(private_key)?;
    let label = parameters.label.clone();
    with_hash!(parameters.hash, D => key.decrypt_blinded(&mut rng(), Oaep::<D>::new_with_label(label), data))
        .map_err(|_| failed("the data cannot be decrypted"))
}
