//! Bytes from secrets: HKDF and PBKDF2.

use hmac::{Hmac, KeyInit, Mac};
use zeroize::Zeroizing;

use super::hash::with_hash;
use super::wit::{Derivation, Hkdf, Pbkdf2};
use super::work::{Stop, Work};
use super::{Result, failed};
use crate::tunables::CRYPTO_DERIVED_BYTES;

/// Iterations of PBKDF2 between two looks at the clock: some hundred microseconds.
const ITERATIONS_BETWEEN_CHECKS: u32 = 500;

/// Whether this takes no longer than a host call may.
pub(super) fn is_quick(algorithm: &Derivation, bytes: usize, length: u32) -> bool {
    match algorithm {
        Derivation::Hkdf(_) => bytes.saturating_mul(length as usize / 32) < (1 << 18),
        Derivation::Pbkdf2(pbkdf2) => {
            u64::from(pbkdf2.iterations).saturating_mul(u64::from(length / 20 + 1))
                <= u64::from(ITERATIONS_BETWEEN_CHECKS)
        }
    }
}

fn check_length(length: u32) -> Result<usize> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > CRYPTO_DERIVED_BYTES {
        return Err(failed(&format!("at most {CRYPTO_DERIVED_BYTES} bytes can be derived at once")));
    }
    Ok(length)
}

/// HKDF.
pub(super) fn hkdf(parameters: &Hkdf, secret: &[u8], length: u32) -> Result<Vec<u8>> {
    let mut derived = vec![0; check_length(length)?];
    with_hash!(parameters.hash, D => {
        hkdf::Hkdf::<D>::new(Some(&parameters.salt), secret).expand(&parameters.info, &mut derived)
    })
    .map_err(|_| failed("HKDF gives at most 255 times as many bytes as its hash has"))?;
    Ok(derived)
}

/// PBKDF2, a block of the hash's size at a time. It is written out because it must be able to stop in the middle.
pub(super) fn pbkdf2(
    parameters: &Pbkdf2,
    secret: &[u8],
    length: u32,
    work: &Work,
) -> std::result::Result<Vec<u8>, Stop> {
    let mut derived = vec![0; check_length(length)?];
    if parameters.iterations == 0 {
        return Err(failed("PBKDF2 needs at least one iteration").into());
    }
    with_hash!(parameters.hash, D => {
        let keyed = Hmac::<D>::new_from_slice(secret).map_err(|_| failed("the secret does not fit"))?;
        let size = <D as sha2::Digest>::output_size();
        for (number, block) in (1_u32..).zip(derived.chunks_mut(size)) {
            derive_block(&keyed, parameters, number, block, work)?;
        }
    });
    Ok(derived)
}

fn derive_block<M: Mac + Clone>(
    keyed: &M,
    parameters: &Pbkdf2,
    number: u32,
    block: &mut [u8],
    work: &Work,
) -> std::result::Result<(), Stop> {
    work.check()?;
    let first = keyed.clone().chain_update(&parameters.salt).chain_update(number.to_be_bytes());
    let mut last = first.finalize().into_bytes();
    let mut sum = Zeroizing::new(last.to_vec());
    for iteration in 1..parameters.iterations {
        if iteration % ITERATIONS_BETWEEN_CHECKS == 0 {
            work.check()?;
        }
        last = keyed.clone().chain_update(&last).finalize().into_bytes();
        sum.iter_mut().zip(&last).for_each(|(sum, byte)| *sum ^= byte);
    }
    block.iter_mut().zip(sum.iter()).for_each(|(byte, sum)| *byte = *sum);
    Ok(())
}
