//! AES in the modes of the Web Cryptography API.

use ::aes::cipher::block_padding::Pkcs7;
use ::aes::cipher::{
    Array, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit, KeyIvInit, StreamCipher,
};
use ::aes::{Aes128, Aes192, Aes256};
use aes_kw::AesKw;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;

use super::wit::{Ctr, Gcm};
use super::{Error, Result, failed, invalid_key};

const BLOCK: usize = 16;

/// Puts the cipher for a key in the place of a name.
macro_rules! with_cipher {
    ($key:expr, $name:ident => $body:expr) => {
        match $key.len() {
            16 => {
                type $name = Aes128;
                $body
            }
            24 => {
                type $name = Aes192;
                $body
            }
            32 => {
                type $name = Aes256;
                $body
            }
            _ => Err(invalid_key("an AES key has 16, 24 or 32 bytes")),
        }
    };
}

fn bad_length(_: impl std::fmt::Debug) -> Error {
    failed("the initialization vector or counter does not have 16 bytes")
}

fn undecryptable(_: impl std::fmt::Debug) -> Error {
    failed("the data cannot be decrypted")
}

/// AES-CBC.
pub(super) fn encrypt_cbc(iv: &[u8], key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    with_cipher!(key, Aes => {
        let cipher = cbc::Encryptor::<Aes>::new_from_slices(key, iv).map_err(bad_length)?;
        Ok(cipher.encrypt_padded_vec::<Pkcs7>(data))
    })
}

/// AES-CBC.
pub(super) fn decrypt_cbc(iv: &[u8], key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    with_cipher!(key, Aes => {
        let cipher = cbc::Decryptor::<Aes>::new_from_slices(key, iv).map_err(bad_length)?;
        cipher.decrypt_padded_vec::<Pkcs7>(data).map_err(undecryptable)
    })
}

/// AES-CTR, both ways.
pub(super) fn apply_ctr(parameters: &Ctr, key: &[u8], mut data: Vec<u8>) -> Result<Vec<u8>> {
    let start: [u8; BLOCK] = parameters.counter.as_slice().try_into().map_err(bad_length)?;
    let start = u128::from_be_bytes(start);
    let length = u32::from(parameters.length);
    if !(1..=128).contains(&length) {
        return Err(failed("the counter has 1 to 128 bits"));
    }
    let mask = u128::MAX >> (128 - length);
    let blocks = data.len().div_ceil(BLOCK) as u128;
    if blocks.checked_sub(1).is_some_and(|last| last > mask) {
        return Err(failed("the data has more blocks than the counter can count"));
    }
    // The counter starts again at zero, beside bits that stay: what lies behind that point is a stream of its own.
    let before = (mask - (start & mask)).saturating_add(1).saturating_mul(BLOCK as u128);
    let before = usize::try_from(before).unwrap_or(usize::MAX).min(data.len());
    let (first, second) = data.split_at_mut(before);
    with_cipher!(key, Aes => {
        for (start, part) in [(start, first), (start & !mask, second)] {
            let mut stream = ctr::Ctr128BE::<Aes>::new_from_slices(key, &start.to_be_bytes()).map_err(bad_length)?;
            stream.try_apply_keystream(part).map_err(|_| failed("the data is too long"))?;
        }
        Ok(())
    })?;
    Ok(data)
}

/// AES-KW.
pub(super) fn wrap(key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    if data.len() < BLOCK {
        return Err(failed("AES-KW wraps 16 bytes at least"));
    }
    let mut wrapped = vec![0; data.len() + 8];
    with_cipher!(key, Aes => {
        let cipher = AesKw::<Aes>::new_from_slice(key).map_err(|_| invalid_key("the key has another size"))?;
        cipher.wrap_key(data, &mut wrapped).map_err(|_| failed("AES-KW wraps a multiple of 8 bytes"))?;
        Ok(())
    })?;
    Ok(wrapped)
}

/// AES-KW.
pub(super) fn unwrap(key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    if data.len() < BLOCK + 8 {
        return Err(undecryptable(()));
    }
    let mut unwrapped = vec![0; data.len() - 8];
    with_cipher!(key, Aes => {
        let cipher = AesKw::<Aes>::new_from_slice(key).map_err(|_| invalid_key("the key has another size"))?;
        cipher.unwrap_key(data, &mut unwrapped).map_err(undecryptable)?;
        Ok(())
    })?;
    Ok(unwrapped)
}

/// AES-GCM.
pub(super) fn encrypt_gcm(parameters: &Gcm, key: &[u8], mut data: Vec<u8>) -> Result<Vec<u8>> {
    let tag_length = tag_length(parameters)?;
    with_cipher!(key, Aes => {
        let gcm = GcmStream::new(Aes::new_from_slice(key).map_err(|_| invalid_key("the key has another size"))?, &parameters.iv)?;
        gcm.apply(&mut data)?;
        let tag = gcm.tag(&parameters.additional_data, &data);
        data.extend(tag.iter().take(tag_length));
        Ok(data)
    })
}

/// AES-GCM.
pub(super) fn decrypt_gcm(parameters: &Gcm, key: &[u8], mut data: Vec<u8>) -> Result<Vec<u8>> {
    let tag_length = tag_length(parameters)?;
    let split = data.len().checked_sub(tag_length).ok_or_else(|| failed("the data is shorter than the tag"))?;
    let given = data.split_off(split);
    with_cipher!(key, Aes => {
        let gcm = GcmStream::new(Aes::new_from_slice(key).map_err(|_| invalid_key("the key has another size"))?, &parameters.iv)?;
        let tag = gcm.tag(&parameters.additional_data, &data);
        let fits = tag.get(..tag_length).unwrap_or_default().ct_eq(&given);
        if !bool::from(fits) {
            return Err(undecryptable(()));
        }
        gcm.apply(&mut data)?;
        Ok(data)
    })
}

/// In bytes.
fn tag_length(parameters: &Gcm) -> Result<usize> {
    if parameters.iv.is_empty() {
        return Err(failed("AES-GCM needs an initialization vector"));
    }
    match parameters.tag_length {
        bits @ (32 | 64 | 96 | 104 | 112 | 120 | 128) => Ok(usize::from(bits / 8)),
        bits => Err(failed(&format!("a tag of AES-GCM has 32, 64, 96, 104, 112, 120 or 128 bits, not {bits}"))),
    }
}

/// GCM (SP 800-38D) made of its two parts, as the ready-made cipher takes vectors of one length and tags of a few only.
struct GcmStream<C> {
    cipher: C,
    hash: GHash,
    /// The counter block that encrypts the tag.
    first: [u8; BLOCK],
}

impl<C: BlockCipherEncrypt<BlockSize = ::aes::cipher::consts::U16> + Clone> GcmStream<C> {
    fn new(cipher: C, iv: &[u8]) -> Result<Self> {
        let mut hash_key = Array::default();
        cipher.encrypt_block(&mut hash_key);
        let hash = GHash::new(&hash_key);
        let first = match iv {
            [_, ..] if iv.len() == 12 => {
                let mut block = [0; BLOCK];
                block.iter_mut().zip(iv.iter().chain(&[0, 0, 0, 1])).for_each(|(block, byte)| *block = *byte);
                block
            }
            _ => {
                let mut hash = hash.clone();
                hash.update_padded(iv);
                hash.update_padded(&lengths(0, iv.len()));
                hash.finalize().into()
            }
        };
        Ok(Self { cipher, hash, first })
    }

    /// Encrypts or decrypts.
    fn apply(&self, data: &mut [u8]) -> Result<()> {
        let mut stream = self.keystream();
        // The first block is the tag's.
        let mut skipped = [0; BLOCK];
        stream.try_apply_keystream(&mut skipped).map_err(|_| failed("the data is too long"))?;
        stream.try_apply_keystream(data).map_err(|_| failed("the data is too long"))
    }

    fn tag(&self, additional_data: &[u8], ciphertext: &[u8]) -> [u8; BLOCK] {
        let mut hash = self.hash.clone();
        hash.update_padded(additional_data);
        hash.update_padded(ciphertext);
        hash.update_padded(&lengths(additional_data.len(), ciphertext.len()));
        let mut tag: [u8; BLOCK] = hash.finalize().into();
        self.keystream().apply_keystream(&mut tag);
        tag
    }

    fn keystream(&self) -> ctr::Ctr32BE<C> {
        let core = ctr::CtrCore::inner_iv_init(self.cipher.clone(), &self.first.into());
        ctr::Ctr32BE::from_core(core)
    }
}

/// The last block that is hashed: two lengths in bits.
fn lengths(first: usize, second: usize) -> [u8; BLOCK] {
    let bits = |bytes: usize| (bytes as u128).saturating_mul(8);
    (bits(first) << 64 | bits(second)).to_be_bytes()
}
