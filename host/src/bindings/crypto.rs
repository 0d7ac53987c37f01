//! `caddis:engine/crypto`: the algorithms of the Web Cryptography API that guests leave to the host.
//!
//! Nothing is kept between two calls: keys come in and go out as bytes. A call that may take longer than a host call should moves to a thread for
//! blocking work, where it steps back to low priority, is charged to its function, and stops at the request's deadline.

mod aes;
mod derive;
mod ec;
mod hash;
mod keys;
mod okp;
mod rsa;
#[cfg(test)]
mod tests;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker};

use crate::threads;
use crate::tunables::{CRYPTO_BYTES, CRYPTO_CPU_TIME, CRYPTO_INLINE_BYTES};

use work::{Stop, Work};

/// What `bindgen!` makes of `javy-shim/wit/crypto.wit`.
#[expect(missing_docs, reason = "generated from the documented WIT")]
mod generated {
    wasmtime::component::bindgen!({
        path: ["../wit", "../javy-shim/wit"],
        world: "caddis:engine/cryptography",
        imports: { default: async | trappable },
        require_store_data_send: true,
    });
}

pub use generated::caddis::engine::crypto as wit;

use wit::{Agreement, Cipher, Curve, Derivation, Error, Key, KeyData, KeyFormat, KeyGeneration, KeyKind};
use wit::{ImportedKey, KeyPair, SignatureAlgorithm};

type Result<T> = std::result::Result<T, Error>;

fn invalid_key(message: &str) -> Error {
    Error::InvalidKey(message.to_owned())
}

fn failed(message: &str) -> Error {
    Error::Operation(message.to_owned())
}

/// What one execution may still spend.
#[derive(Debug)]
pub struct CryptoState {
    deadline: Instant,
    cpu_left: Duration,
}

impl CryptoState {
    /// The state of an execution that ends at `deadline` at the latest.
    pub fn new(deadline: Instant) -> Self {
        Self { deadline, cpu_left: CRYPTO_CPU_TIME }
    }
}

/// What `crypto` sees of a store.
pub struct CryptoView<'a>(pub &'a mut CryptoState);

struct Crypto;
impl HasData for Crypto {
    type Data<'a> = CryptoView<'a>;
}

/// Adds the interface to a linker.
pub fn link<T: super::Views>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, Crypto>(linker, T::crypto)
}

/// Where a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the thread of the execution: it takes some hundred microseconds at most.
    Here,
    /// On a thread for blocking work.
    Aside,
}

impl Place {
    fn of(is_quick: bool, bytes: usize) -> Self {
        if is_quick && bytes <= CRYPTO_INLINE_BYTES { Self::Here } else { Self::Aside }
    }
}

type Answer<T> = wasmtime::Result<Result<T>>;

impl CryptoView<'_> {
    /// Does the work of one call whose inputs have this many bytes.
    async fn run<T: Send + 'static>(
        &mut self,
        is_quick: bool,
        bytes: usize,
        action: impl FnOnce(&Work) -> std::result::Result<T, Stop> + Send + 'static,
    ) -> Answer<T> {
        if bytes > CRYPTO_BYTES {
            let message = format!("the inputs of one call have {bytes} bytes; at most {CRYPTO_BYTES} are taken");
            return Ok(Err(Error::Limit(message)));
        }
        let work = Work::new(self.0.deadline, self.0.cpu_left);
        let cancel = work.cancel_on_drop();
        let job = move || {
            // The first look at the clock is also what the work is counted from.
            let begun = work.check();
            let action = || begun.and_then(|()| action(&work));
            let result = catch_unwind(AssertUnwindSafe(action)).unwrap_or(Err(Stop::Panicked));
            (result, work.used())
        };
        let (result, used) = match Place::of(is_quick, bytes) {
            Place::Here => job(),
            Place::Aside => threads::blocking(job).await?,
        };
        drop(cancel);
        self.0.cpu_left = self.0.cpu_left.saturating_sub(used);
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(Stop::Failed(error)) => Ok(Err(error)),
            Err(Stop::CpuTime) => {
                let message =
                    format!("cryptography may use {} seconds of CPU in one request", CRYPTO_CPU_TIME.as_secs());
                Ok(Err(Error::Limit(message)))
            }
            // The execution is about to be ended as timed out; an answer could only make it end in another way first.
            Err(Stop::Deadline) => std::future::pending().await,
            Err(Stop::Panicked) => {
                tracing::error!("a cryptographic operation panicked");
                Ok(Err(Error::Internal("the host failed; its log has the cause".to_owned())))
            }
        }
    }
}

/// Whether private-key operations on a curve are short.
fn is_quick_curve(curve: Curve) -> bool {
    curve == Curve::P256
}

fn is_quick_kind(kind: KeyKind) -> bool {
    match kind {
        KeyKind::Rsa => false,
        KeyKind::Ec(curve) => is_quick_curve(curve),
        KeyKind::Ed25519 | KeyKind::X25519 => true,
    }
}

fn is_quick_signature(algorithm: SignatureAlgorithm) -> bool {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss(_) => false,
        SignatureAlgorithm::Ecdsa(ecdsa) => is_quick_curve(ecdsa.curve),
        SignatureAlgorithm::Ed25519 => true,
    }
}

fn cipher_bytes(algorithm: &Cipher) -> usize {
    match algorithm {
        Cipher::RsaOaep(oaep) => oaep.label.len(),
        Cipher::AesGcm(gcm) => gcm.iv.len().saturating_add(gcm.additional_data.len()),
        Cipher::AesCbc(iv) => iv.len(),
        Cipher::AesCtr(ctr) => ctr.counter.len(),
        Cipher::AesKw => 0,
    }
}

fn sum(lengths: &[usize]) -> usize {
    lengths.iter().fold(0, |sum, length| sum.saturating_add(*length))
}

impl wit::Host for CryptoView<'_> {
    async fn import_key(&mut self, kind: KeyKind, data: KeyData) -> Answer<ImportedKey> {
        let bytes = keys::data_bytes(&data);
        self.run(is_quick_kind(kind), bytes, move |_| Ok(keys::import(kind, data)?)).await
    }

    async fn export_key(&mut self, kind: KeyKind, key: Key, format: KeyFormat) -> Answer<KeyData> {
        let (Key::Public(bytes) | Key::Private(bytes)) = &key;
        self.run(is_quick_kind(kind), bytes.len(), move |_| Ok(keys::export(kind, &key, format)?)).await
    }

    async fn generate_key(&mut self, what: KeyGeneration) -> Answer<KeyPair> {
        let is_quick = match what {
            KeyGeneration::Rsa(_) => false,
            KeyGeneration::Ec(curve) => is_quick_curve(curve),
            KeyGeneration::Ed25519 | KeyGeneration::X25519 => true,
        };
        self.run(is_quick, 0, move |work| keys::generate(what, work)).await
    }

    async fn sign(&mut self, algorithm: SignatureAlgorithm, key: Vec<u8>, data: Vec<u8>) -> Answer<Vec<u8>> {
        let bytes = sum(&[key.len(), data.len()]);
        let action = move |_: &Work| {
            Ok(match algorithm {
                SignatureAlgorithm::RsaPkcs1(hash) => rsa::sign_pkcs1(hash, &key, &data),
                SignatureAlgorithm::RsaPss(pss) => rsa::sign_pss(pss, &key, &data),
                SignatureAlgorithm::Ecdsa(ecdsa) => ec::sign(ecdsa, &key, &data),
                SignatureAlgorithm::Ed25519 => okp::sign(&key, &data),
            }?)
        };
        self.run(is_quick_signature(algorithm), bytes, action).await
    }

    async fn verify(
        &mut self,
        algorithm: SignatureAlgorithm,
        key: Vec<u8>,
        signature: Vec<u8>,
        data: Vec<u8>,
    ) -> Answer<bool> {
        let bytes = sum(&[key.len(), signature.len(), data.len()]);
        let action = move |_: &Work| {
            Ok(match algorithm {
                SignatureAlgorithm::RsaPkcs1(hash) => rsa::verify_pkcs1(hash, &key, &signature, &data),
                SignatureAlgorithm::RsaPss(pss) => rsa::verify_pss(pss, &key, &signature, &data),
                SignatureAlgorithm::Ecdsa(ecdsa) => ec::verify(ecdsa, &key, &signature, &data),
                SignatureAlgorithm::Ed25519 => okp::verify(&key, &signature, &data),
            }?)
        };
        self.run(is_quick_signature(algorithm), bytes, action).await
    }

    async fn encrypt(&mut self, algorithm: Cipher, key: Vec<u8>, data: Vec<u8>) -> Answer<Vec<u8>> {
        let bytes = sum(&[cipher_bytes(&algorithm), key.len(), data.len()]);
        let is_quick = !matches!(algorithm, Cipher::RsaOaep(_));
        let action = move |_: &Work| {
            Ok(match algorithm {
                Cipher::RsaOaep(oaep) => rsa::encrypt(&oaep, &key, &data),
                Cipher::AesGcm(gcm) => aes::encrypt_gcm(&gcm, &key, data),
                Cipher::AesCbc(iv) => aes::encrypt_cbc(&iv, &key, &data),
                Cipher::AesCtr(ctr) => aes::apply_ctr(&ctr, &key, data),
                Cipher::AesKw => aes::wrap(&key, &data),
            }?)
        };
        self.run(is_quick, bytes, action).await
    }

    async fn decrypt(&mut self, algorithm: Cipher, key: Vec<u8>, data: Vec<u8>) -> Answer<Vec<u8>> {
        let bytes = sum(&[cipher_bytes(&algorithm), key.len(), data.len()]);
        let is_quick = !matches!(algorithm, Cipher::RsaOaep(_));
        let action = move |_: &Work| {
            Ok(match algorithm {
                Cipher::RsaOaep(oaep) => rsa::decrypt(&oaep, &key, &data),
                Cipher::AesGcm(gcm) => aes::decrypt_gcm(&gcm, &key, data),
                Cipher::AesCbc(iv) => aes::decrypt_cbc(&iv, &key, &data),
                Cipher::AesCtr(ctr) => aes::apply_ctr(&ctr, &key, data),
                Cipher::AesKw => aes::unwrap(&key, &data),
            }?)
        };
        self.run(is_quick, bytes, action).await
    }

    async fn derive(&mut self, algorithm: Derivation, secret: Vec<u8>, length: u32) -> Answer<Vec<u8>> {
        let bytes = match &algorithm {
            Derivation::Hkdf(hkdf) => sum(&[secret.len(), hkdf.salt.len(), hkdf.info.len()]),
            Derivation::Pbkdf2(pbkdf2) => sum(&[secret.len(), pbkdf2.salt.len()]),
        };
        let is_quick = derive::is_quick(&algorithm, bytes, length);
        self.run(is_quick, bytes, move |work| match algorithm {
            Derivation::Hkdf(hkdf) => Ok(derive::hkdf(&hkdf, &secret, length)?),
            Derivation::Pbkdf2(pbkdf2) => derive::pbkdf2(&pbkdf2, &secret, length, work),
        })
        .await
    }

    async fn agree(&mut self, algorithm: Agreement, private_key: Vec<u8>, public_key: Vec<u8>) -> Answer<Vec<u8>> {
        let is_quick = match algorithm {
            Agreement::Ecdh(curve) => is_quick_curve(curve),
            Agreement::X25519 => true,
        };
        let bytes = sum(&[private_key.len(), public_key.len()]);
        let action = move |_: &Work| {
            Ok(match algorithm {
                Agreement::Ecdh(curve) => ec::agree(curve, &private_key, &public_key),
                Agreement::X25519 => okp::agree(&private_key, &public_key),
            }?)
        };
        self.run(is_quick, bytes, action).await
    }
}
