//! The host's cryptography. A failure is returned, not thrown: `{ code, message }`, of which the prelude makes a `DOMException`.
//!
//! Algorithms are objects whose members the prelude has converted; kinds of keys are `RSA`, `Ed25519`, `X25519` and the names of curves.

use rquickjs::{Array, Ctx, IntoJs, Object, Result, TypedArray, Value};

use super::{bytes, define, type_error};
use crate::bindings::caddis::engine::crypto::{
    self, Agreement, Cipher, Ctr, Curve, Derivation, EcPrivateNumbers, EcPublicNumbers, Ecdsa, Error, Gcm, Hash, Hkdf,
    Key, KeyData, KeyFormat, KeyGeneration, KeyKind, Oaep, OkpPrivateNumbers, Pbkdf2, Pss, RsaGeneration,
    RsaPrivateNumbers, RsaPublicNumbers, SignatureAlgorithm,
};

type Bytes<'js> = TypedArray<'js, u8>;

/// What the host takes in one call. More would not be answered but end the request.
const MAX_BYTES: usize = 8 << 20;

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "importKey" => import_key,
        "exportKey" => export_key,
        "generateKey" => generate_key,
        "sign" => sign,
        "verify" => verify,
        "encrypt" => encrypt,
        "decrypt" => decrypt,
        "derive" => derive,
        "agree" => agree,
    );
    Ok(())
}

/// `[is private, the key, bits of the modulus, public exponent]`; the last two of RSA only. `format` is `raw`, `spki`, `pkcs8`, or for the numbers of a
/// JSON Web Key its type in lower case.
fn import_key<'js>(ctx: Ctx<'js>, kind: String, format: String, parts: Vec<Bytes<'js>>) -> Result<Value<'js>> {
    let parts: Vec<Vec<u8>> = parts.iter().map(bytes).collect();
    if let Some(failure) = refuse_large(&ctx, parts.iter().map(Vec::len).sum())? {
        return Ok(failure);
    }
    let data = key_data(&format, parts).ok_or_else(|| type_error(&ctx, "unknown key format"))?;
    answer(&ctx, crypto::import_key(key_kind(&ctx, &kind)?, &data), |imported| {
        let result = Array::new(ctx.clone())?;
        let (is_private, der) = match imported.key {
            Key::Public(der) => (false, der),
            Key::Private(der) => (true, der),
        };
        result.set(0, is_private)?;
        result.set(1, Bytes::new(ctx.clone(), der)?)?;
        if let Some(rsa) = imported.rsa {
            result.set(2, rsa.modulus_length)?;
            result.set(3, Bytes::new(ctx.clone(), rsa.public_exponent)?)?;
        }
        Ok(result.into_value())
    })
}

fn key_data(format: &str, parts: Vec<Vec<u8>>) -> Option<KeyData> {
    let mut parts = parts.into_iter();
    let count = parts.len();
    let mut next = || parts.next().unwrap_or_default();
    Some(match (format, count) {
        ("raw", 1) => KeyData::Raw(next()),
        ("spki", 1) => KeyData::Spki(next()),
        ("pkcs8", 1) => KeyData::Pkcs8(next()),
        ("rsa", 2) => KeyData::RsaPublic(RsaPublicNumbers { n: next(), e: next() }),
        ("rsa", 8) => KeyData::RsaPrivate(RsaPrivateNumbers {
            n: next(),
            e: next(),
            d: next(),
            p: next(),
            q: next(),
            dp: next(),
            dq: next(),
            qi: next(),
        }),
        ("ec", 2) => KeyData::EcPublic(EcPublicNumbers { x: next(), y: next() }),
        ("ec", 3) => KeyData::EcPrivate(EcPrivateNumbers { x: next(), y: next(), d: next() }),
        ("okp", 2) => KeyData::OkpPrivate(OkpPrivateNumbers { x: next(), d: next() }),
        _ => return None,
    })
}

/// The parts of the key, in the order in which [`import_key`] takes them.
fn export_key<'js>(
    ctx: Ctx<'js>,
    kind: String,
    is_private: bool,
    key: Bytes<'js>,
    format: String,
) -> Result<Value<'js>> {
    let key = if is_private { Key::Private(bytes(&key)) } else { Key::Public(bytes(&key)) };
    let format = match format.as_str() {
        "raw" => KeyFormat::Raw,
        "spki" => KeyFormat::Spki,
        "pkcs8" => KeyFormat::Pkcs8,
        _ => KeyFormat::Numbers,
    };
    answer(&ctx, crypto::export_key(key_kind(&ctx, &kind)?, &key, format), |data| {
        let parts = match data {
            KeyData::Raw(bytes) | KeyData::Spki(bytes) | KeyData::Pkcs8(bytes) => vec![bytes],
            KeyData::RsaPublic(RsaPublicNumbers { n, e }) => vec![n, e],
            KeyData::RsaPrivate(RsaPrivateNumbers { n, e, d, p, q, dp, dq, qi }) => vec![n, e, d, p, q, dp, dq, qi],
            KeyData::EcPublic(EcPublicNumbers { x, y }) => vec![x, y],
            KeyData::EcPrivate(EcPrivateNumbers { x, y, d }) => vec![x, y, d],
            KeyData::OkpPrivate(OkpPrivateNumbers { x, d }) => vec![x, d],
        };
        list(&ctx, parts)
    })
}

/// `[public key, private key]`. The numbers are for RSA.
fn generate_key<'js>(ctx: Ctx<'js>, kind: String, modulus_length: u32, public_exponent: u32) -> Result<Value<'js>> {
    let what = match key_kind(&ctx, &kind)? {
        KeyKind::Rsa => KeyGeneration::Rsa(RsaGeneration { modulus_length, public_exponent }),
        KeyKind::Ec(curve) => KeyGeneration::Ec(curve),
        KeyKind::Ed25519 => KeyGeneration::Ed25519,
        KeyKind::X25519 => KeyGeneration::X25519,
    };
    answer(&ctx, crypto::generate_key(what), |pair| list(&ctx, vec![pair.public, pair.private]))
}

/// `algorithm`: `{ name, hash, saltLength, namedCurve }`.
fn sign<'js>(ctx: Ctx<'js>, algorithm: Object<'js>, key: Bytes<'js>, data: Bytes<'js>) -> Result<Value<'js>> {
    let data = bytes(&data);
    if let Some(failure) = refuse_large(&ctx, data.len())? {
        return Ok(failure);
    }
    let signed = crypto::sign(signature_algorithm(&ctx, &algorithm)?, &bytes(&key), &data);
    answer(&ctx, signed, |signature| view(&ctx, signature))
}

fn verify<'js>(
    ctx: Ctx<'js>,
    algorithm: Object<'js>,
    key: Bytes<'js>,
    signature: Bytes<'js>,
    data: Bytes<'js>,
) -> Result<Value<'js>> {
    let (signature, data) = (bytes(&signature), bytes(&data));
    if let Some(failure) = refuse_large(&ctx, signature.len().saturating_add(data.len()))? {
        return Ok(failure);
    }
    let verified = crypto::verify(signature_algorithm(&ctx, &algorithm)?, &bytes(&key), &signature, &data);
    answer(&ctx, verified, |fits| fits.into_js(&ctx))
}

/// `algorithm`: `{ name, hash, label }`, `{ name, iv, additionalData, tagLength }`, `{ name, iv }`, `{ name, counter, length }` or `{ name }`.
fn encrypt<'js>(ctx: Ctx<'js>, algorithm: Object<'js>, key: Bytes<'js>, data: Bytes<'js>) -> Result<Value<'js>> {
    transform(&ctx, &algorithm, &key, &data, crypto::encrypt)
}

fn decrypt<'js>(ctx: Ctx<'js>, algorithm: Object<'js>, key: Bytes<'js>, data: Bytes<'js>) -> Result<Value<'js>> {
    transform(&ctx, &algorithm, &key, &data, crypto::decrypt)
}

type Transformation = fn(&Cipher, &[u8], &[u8]) -> std::result::Result<Vec<u8>, Error>;

fn transform<'js>(
    ctx: &Ctx<'js>,
    algorithm: &Object<'js>,
    key: &Bytes<'js>,
    data: &Bytes<'js>,
    how: Transformation,
) -> Result<Value<'js>> {
    let (key, data) = (bytes(key), bytes(data));
    let cipher = cipher(ctx, algorithm)?;
    let beside = match &cipher {
        Cipher::RsaOaep(oaep) => oaep.label.len(),
        Cipher::AesGcm(gcm) => gcm.iv.len().saturating_add(gcm.additional_data.len()),
        Cipher::AesCbc(_) | Cipher::AesCtr(_) | Cipher::AesKw => 0,
    };
    if let Some(failure) = refuse_large(ctx, beside.saturating_add(data.len()))? {
        return Ok(failure);
    }
    answer(ctx, how(&cipher, &key, &data), |result| view(ctx, result))
}

/// `algorithm`: `{ name: "HKDF", hash, salt, info }` or `{ name: "PBKDF2", hash, salt, iterations }`.
fn derive<'js>(ctx: Ctx<'js>, algorithm: Object<'js>, secret: Bytes<'js>, length: u32) -> Result<Value<'js>> {
    let hash = hash(&ctx, &algorithm)?;
    let salt = member(&algorithm, "salt")?;
    let secret = bytes(&secret);
    let (derivation, beside) = if algorithm.get::<_, String>("name")? == "HKDF" {
        let info = member(&algorithm, "info")?;
        let beside = info.len();
        (Derivation::Hkdf(Hkdf { hash, salt, info }), beside)
    } else {
        (Derivation::Pbkdf2(Pbkdf2 { hash, salt, iterations: algorithm.get("iterations")? }), 0)
    };
    let salt = match &derivation {
        Derivation::Hkdf(Hkdf { salt, .. }) | Derivation::Pbkdf2(Pbkdf2 { salt, .. }) => salt.len(),
    };
    if let Some(failure) = refuse_large(&ctx, secret.len().saturating_add(salt).saturating_add(beside))? {
        return Ok(failure);
    }
    answer(&ctx, crypto::derive(&derivation, &secret, length), |derived| view(&ctx, derived))
}

fn agree<'js>(ctx: Ctx<'js>, kind: String, private_key: Bytes<'js>, public_key: Bytes<'js>) -> Result<Value<'js>> {
    let algorithm = match key_kind(&ctx, &kind)? {
        KeyKind::Ec(curve) => Agreement::Ecdh(curve),
        _ => Agreement::X25519,
    };
    answer(&ctx, crypto::agree(algorithm, &bytes(&private_key), &bytes(&public_key)), |secret| view(&ctx, secret))
}

fn key_kind(ctx: &Ctx<'_>, name: &str) -> Result<KeyKind> {
    Ok(match name {
        "RSA" => KeyKind::Rsa,
        "Ed25519" => KeyKind::Ed25519,
        "X25519" => KeyKind::X25519,
        curve => KeyKind::Ec(named_curve(ctx, curve)?),
    })
}

fn named_curve(ctx: &Ctx<'_>, name: &str) -> Result<Curve> {
    match name {
        "P-256" => Ok(Curve::P256),
        "P-384" => Ok(Curve::P384),
        "P-521" => Ok(Curve::P521),
        _ => Err(type_error(ctx, "unknown curve")),
    }
}

fn hash(ctx: &Ctx<'_>, algorithm: &Object<'_>) -> Result<Hash> {
    match algorithm.get::<_, String>("hash")?.as_str() {
        "SHA-1" => Ok(Hash::Sha1),
        "SHA-256" => Ok(Hash::Sha256),
        "SHA-384" => Ok(Hash::Sha384),
        "SHA-512" => Ok(Hash::Sha512),
        _ => Err(type_error(ctx, "unknown digest")),
    }
}

fn signature_algorithm(ctx: &Ctx<'_>, algorithm: &Object<'_>) -> Result<SignatureAlgorithm> {
    match algorithm.get::<_, String>("name")?.as_str() {
        "RSASSA-PKCS1-v1_5" => Ok(SignatureAlgorithm::RsaPkcs1(hash(ctx, algorithm)?)),
        "RSA-PSS" => {
            let salt_length = algorithm.get("saltLength")?;
            Ok(SignatureAlgorithm::RsaPss(Pss { hash: hash(ctx, algorithm)?, salt_length }))
        }
        "ECDSA" => {
            let curve = named_curve(ctx, &algorithm.get::<_, String>("namedCurve")?)?;
            Ok(SignatureAlgorithm::Ecdsa(Ecdsa { curve, hash: hash(ctx, algorithm)? }))
        }
        "Ed25519" => Ok(SignatureAlgorithm::Ed25519),
        _ => Err(type_error(ctx, "unknown signature algorithm")),
    }
}

fn cipher(ctx: &Ctx<'_>, algorithm: &Object<'_>) -> Result<Cipher> {
    match algorithm.get::<_, String>("name")?.as_str() {
        "RSA-OAEP" => Ok(Cipher::RsaOaep(Oaep { hash: hash(ctx, algorithm)?, label: member(algorithm, "label")? })),
        "AES-GCM" => Ok(Cipher::AesGcm(Gcm {
            iv: member(algorithm, "iv")?,
            additional_data: member(algorithm, "additionalData")?,
            tag_length: algorithm.get("tagLength")?,
        })),
        "AES-CBC" => Ok(Cipher::AesCbc(member(algorithm, "iv")?)),
        "AES-CTR" => {
            Ok(Cipher::AesCtr(Ctr { counter: member(algorithm, "counter")?, length: algorithm.get("length")? }))
        }
        "AES-KW" => Ok(Cipher::AesKw),
        _ => Err(type_error(ctx, "unknown cipher")),
    }
}

fn member(object: &Object<'_>, name: &str) -> Result<Vec<u8>> {
    Ok(bytes(&object.get::<_, Bytes<'_>>(name)?))
}

fn view<'js>(ctx: &Ctx<'js>, bytes: Vec<u8>) -> Result<Value<'js>> {
    Ok(Bytes::new(ctx.clone(), bytes)?.into_value())
}

fn list<'js>(ctx: &Ctx<'js>, parts: Vec<Vec<u8>>) -> Result<Value<'js>> {
    let result = Array::new(ctx.clone())?;
    for (index, part) in parts.into_iter().enumerate() {
        result.set(index, Bytes::new(ctx.clone(), part)?)?;
    }
    Ok(result.into_value())
}

fn answer<'js, T>(
    ctx: &Ctx<'js>,
    result: std::result::Result<T, Error>,
    to_js: impl FnOnce(T) -> Result<Value<'js>>,
) -> Result<Value<'js>> {
    match result {
        Ok(value) => to_js(value),
        Err(Error::InvalidKey(message)) => failure(ctx, "DataError", &message),
        Err(Error::Operation(message) | Error::Limit(message) | Error::Internal(message)) => {
            failure(ctx, "OperationError", &message)
        }
    }
}

fn failure<'js>(ctx: &Ctx<'js>, name: &str, message: &str) -> Result<Value<'js>> {
    let failure = Object::new(ctx.clone())?;
    failure.set("code", name)?;
    failure.set("message", message)?;
    Ok(failure.into_value())
}

fn refuse_large<'js>(ctx: &Ctx<'js>, length: usize) -> Result<Option<Value<'js>>> {
    if length <= MAX_BYTES {
        return Ok(None);
    }
    let message = format!("The data has {length} bytes; one call of crypto.subtle takes at most {MAX_BYTES}");
    failure(ctx, "OperationError", &message).map(Some)
}
