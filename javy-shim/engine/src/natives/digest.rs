//! Digests and HMAC. They are in the guest because what is hashed is mostly small: a call of the host would cost more. So is scrypt, whose memory is
//! that of the function then.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rquickjs::{Ctx, Object, Result, TypedArray};
use scrypt::{Params, scrypt};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::{bytes, define, type_error};

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native, "digest" => digest, "hmac" => hmac, "scrypt" => derive);
    Ok(())
}

/// `algorithm` is a name of the Web Cryptography API in upper case, or one of two more that Node.js has: `MD5`, `SHA-224`.
fn digest<'js>(ctx: Ctx<'js>, algorithm: String, data: TypedArray<'js, u8>) -> Result<TypedArray<'js, u8>> {
    let data = bytes(&data);
    let hash = match algorithm.as_str() {
        "MD5" => Md5::digest(data).to_vec(),
        "SHA-1" => Sha1::digest(data).to_vec(),
        "SHA-224" => Sha224::digest(data).to_vec(),
        "SHA-256" => Sha256::digest(data).to_vec(),
        "SHA-384" => Sha384::digest(data).to_vec(),
        "SHA-512" => Sha512::digest(data).to_vec(),
        _ => return Err(type_error(&ctx, "unknown digest")),
    };
    TypedArray::new(ctx, hash)
}

fn hmac<'js>(
    ctx: Ctx<'js>,
    algorithm: String,
    key: TypedArray<'js, u8>,
    data: TypedArray<'js, u8>,
) -> Result<TypedArray<'js, u8>> {
    let (key, data) = (bytes(&key), bytes(&data));
    let code = match algorithm.as_str() {
        "MD5" => authenticate::<Hmac<Md5>>(&key, &data),
        "SHA-1" => authenticate::<Hmac<Sha1>>(&key, &data),
        "SHA-224" => authenticate::<Hmac<Sha224>>(&key, &data),
        "SHA-256" => authenticate::<Hmac<Sha256>>(&key, &data),
        "SHA-384" => authenticate::<Hmac<Sha384>>(&key, &data),
        "SHA-512" => authenticate::<Hmac<Sha512>>(&key, &data),
        _ => None,
    };
    match code {
        Some(code) => TypedArray::new(ctx, code),
        None => Err(type_error(&ctx, "unknown digest")),
    }
}

/// scrypt (RFC 7914): `size` bytes at a cost of 2^`log_cost`. Null where the parameters are none.
fn derive<'js>(
    ctx: Ctx<'js>,
    password: TypedArray<'js, u8>,
    salt: TypedArray<'js, u8>,
    log_cost: u8,
    block_size: u32,
    parallelization: u32,
    size: usize,
) -> Result<Option<TypedArray<'js, u8>>> {
    let Ok(params) = Params::new(log_cost, block_size, parallelization) else { return Ok(None) };
    let mut key = vec![0; size];
    match scrypt(&bytes(&password), &bytes(&salt), &params, &mut key) {
        Ok(()) => TypedArray::new(ctx, key).map(Some),
        Err(_) => Ok(None),
    }
}

fn authenticate<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    mac.update(data);
    Some(mac.finalize().into_bytes().to_vec())
}
