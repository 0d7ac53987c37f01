//! What calls may cost.

use super::wit::{Hash, Host, Pbkdf2, RsaGeneration};
use super::*;

const SOON: Duration = Duration::from_millis(50);

fn endless() -> Derivation {
    Derivation::Pbkdf2(Pbkdf2 { hash: Hash::Sha256, salt: Vec::new(), iterations: u32::MAX })
}

#[tokio::test]
async fn cpu_time_is_limited_over_all_calls() {
    let mut state = CryptoState { deadline: Instant::now() + Duration::from_secs(60), cpu_left: SOON };
    let mut view = CryptoView(&mut state);
    for _ in 0..2 {
        let result = view.derive(endless(), Vec::new(), 32).await.unwrap();
        assert!(matches!(&result, Err(Error::Limit(message)) if message.contains("10 seconds")), "{result:?}");
    }
    let what = KeyGeneration::Rsa(RsaGeneration { modulus_length: 4096, public_exponent: 65_537 });
    assert!(matches!(view.generate_key(what).await.unwrap(), Err(Error::Limit(_))));
    assert!(matches!(view.generate_key(KeyGeneration::Ed25519).await.unwrap(), Err(Error::Limit(_))));
}

#[tokio::test]
async fn what_never_looks_at_the_clock_is_counted_too() {
    let mut state = CryptoState { deadline: Instant::now() + Duration::from_secs(60), cpu_left: SOON };
    let mut view = CryptoView(&mut state);
    let mut signed = 0;
    let refused = loop {
        let pair = view.generate_key(KeyGeneration::Ed25519).await.unwrap();
        match pair {
            Ok(pair) => drop(view.sign(SignatureAlgorithm::Ed25519, pair.private, vec![0; 1 << 16]).await.unwrap()),
            Err(error) => break error,
        }
        signed += 1;
        assert!(signed < 1_000_000, "{signed} signatures");
    };
    assert!(matches!(refused, Error::Limit(_)), "{refused:?}");
}

#[tokio::test]
async fn a_call_past_the_deadline_is_not_answered() {
    let mut state = CryptoState::new(Instant::now() + SOON);
    let mut view = CryptoView(&mut state);
    let answer = tokio::time::timeout(SOON * 4, view.derive(endless(), Vec::new(), 32)).await;
    assert!(answer.is_err());
}

#[test]
fn work_stops_when_nobody_waits_for_it() {
    let work = Work::new(Instant::now() + Duration::from_secs(60), Duration::from_secs(60));
    let cancel = work.cancel_on_drop();
    assert!(work.check().is_ok());
    drop(cancel);
    assert!(matches!(work.check(), Err(Stop::Deadline)));
}

#[tokio::test]
async fn what_is_too_large_or_too_small_is_refused() {
    let mut state = CryptoState::new(Instant::now() + Duration::from_secs(60));
    let mut view = CryptoView(&mut state);
    let large = view.encrypt(Cipher::AesKw, vec![0; 16], vec![0; CRYPTO_BYTES]).await.unwrap();
    assert!(matches!(large, Err(Error::Limit(_))));
    for (modulus_length, public_exponent) in [(1024, 65_537), (8192, 65_537), (2049, 65_537), (2048, 1)] {
        let what = KeyGeneration::Rsa(RsaGeneration { modulus_length, public_exponent });
        assert!(matches!(view.generate_key(what).await.unwrap(), Err(Error::Operation(_))));
    }
    let hkdf = Derivation::Pbkdf2(Pbkdf2 { hash: Hash::Sha1, salt: Vec::new(), iterations: 1 });
    assert!(matches!(view.derive(hkdf, Vec::new(), 65_537).await.unwrap(), Err(Error::Operation(_))));
}
