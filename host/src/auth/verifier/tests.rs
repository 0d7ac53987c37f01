use caddis_tests::Signer;
use caddis_tests::signer::sign_with_secret;
use serde_json::{Value, json};

use super::*;
use crate::settings::app::AppPatch;

const SECRET: &str = "a secret of this test, long enough";

fn verifier(settings: Value) -> Verifier {
    let patch: AppPatch = serde_json::from_value(settings).unwrap();
    let settings = patch.apply(AppSettings::default()).unwrap();
    let verifiers = Verifiers::new(Arc::new(Dialer::new(b"").unwrap()), Vec::new(), BTreeMap::new());
    verifiers.verifier(&AppName::default_app(), &Secret::from(SECRET.to_owned()), &settings).unwrap()
}

fn later() -> u64 {
    jsonwebtoken::get_current_timestamp() + 60
}

/// The claims of a token that is in order.
fn claims(more: Value) -> Value {
    let mut claims = json!({ "sub": "u1", "exp": later(), "iss": "https://issuer.example", "aud": "caddis" });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn issuer(keys: Value) -> Value {
    json!({ "issuers": [{ "issuer": "https://issuer.example", "audiences": ["caddis"], "keys": keys }] })
}

#[tokio::test]
async fn each_algorithm_is_understood_as_jwk_and_as_pem() {
    for signer in [Signer::rs256(), Signer::es256(), Signer::ed25519()] {
        for key in [signer.jwk("k1"), json!({ "kid": "k1", "pem": signer.pem() }), json!({ "pem": signer.pem() })] {
            let verifier = verifier(issuer(json!([key])));
            for kid in [Some("k1"), None] {
                let user = verifier.verify(&signer.sign(kid, &claims(json!({})))).await.unwrap();
                assert_eq!(user.id, "u1");
            }
        }
    }
}

#[tokio::test]
async fn every_way_to_be_refused_has_its_reason() {
    let (good, other) = (Signer::es256(), Signer::es256());
    let rsa = Signer::rs256();
    let verifier = verifier(issuer(json!([good.jwk("k1"), rsa.jwk("k2")])));
    let refused = async |token: String| verifier.verify(&token).await.unwrap_err();
    let now = jsonwebtoken::get_current_timestamp();

    assert_eq!(refused(good.sign(Some("k3"), &claims(json!({})))).await, InvalidToken::UnknownKey);
    assert_eq!(refused(other.sign(Some("k1"), &claims(json!({})))).await, InvalidToken::Signature);
    assert_eq!(refused(good.sign(Some("k2"), &claims(json!({})))).await, InvalidToken::Algorithm);
    assert_eq!(refused(good.sign(Some("k1"), &claims(json!({"exp": now - 60})))).await, InvalidToken::Expired);
    assert_eq!(refused(good.sign(Some("k1"), &claims(json!({"nbf": now + 60})))).await, InvalidToken::Immature);
    assert_eq!(refused(good.sign(Some("k1"), &claims(json!({"aud": "other"})))).await, InvalidToken::Audience);
    assert_eq!(refused(good.sign(Some("k1"), &claims(json!({"aud": null})))).await, InvalidToken::Audience);
    assert_eq!(refused(good.sign(Some("k1"), &claims(json!({"iss": "https://x"})))).await, InvalidToken::Issuer);
    let service = refused(good.sign(Some("k1"), &claims(json!({"role": "service_role"})))).await;
    assert!(matches!(service, InvalidToken::Claim(ref claim) if claim.contains("role")), "{service}");

    // What everybody knows of a key is no secret to sign with, whether the algorithm says so or not.
    for public in [rsa.pem().into_bytes(), rsa.jwk("k2")["n"].as_str().unwrap().as_bytes().to_vec()] {
        let confused = sign_with_secret(&public, Some("k2"), &claims(json!({})));
        assert_eq!(refused(confused).await, InvalidToken::Algorithm);
        let confused = sign_with_secret(&public, None, &claims(json!({"iss": null})));
        assert_eq!(refused(confused).await, InvalidToken::Signature);
    }
    // {"alg":"none"}
    let signed = good.sign(Some("k1"), &claims(json!({})));
    let body = signed.split('.').nth(1).unwrap();
    assert_eq!(refused(format!("eyJhbGciOiJub25lIn0.{body}.")).await, InvalidToken::Algorithm);
    // The app's own secret does not speak for the issuer.
    let own = sign_with_secret(SECRET.as_bytes(), None, &claims(json!({})));
    assert_eq!(refused(own).await, InvalidToken::Algorithm);
}

#[tokio::test]
async fn several_issuers_and_the_app_s_own_secret_stand_side_by_side() {
    let (red, blue, anybody) = (Signer::es256(), Signer::ed25519(), Signer::es256());
    let verifier = verifier(json!({ "issuers": [
        { "issuer": "red", "keys": [red.jwk("k")] },
        { "issuer": "blue", "keys": [blue.jwk("k")] },
        { "keys": [anybody.jwk("k")] },
    ] }));
    for (signer, issuer) in
        [(&red, json!("red")), (&blue, json!("blue")), (&anybody, json!("x")), (&anybody, json!(null))]
    {
        verifier.verify(&signer.sign(Some("k"), &claims(json!({ "iss": issuer })))).await.unwrap();
    }
    for (signer, issuer) in [(&red, "blue"), (&blue, "red"), (&anybody, "red"), (&red, "x")] {
        verifier.verify(&signer.sign(Some("k"), &claims(json!({ "iss": issuer })))).await.unwrap_err();
    }
    for issuer in [json!(null), json!("supabase")] {
        let own = sign_with_secret(SECRET.as_bytes(), None, &claims(json!({ "iss": issuer, "role": "service_role" })));
        verifier.verify(&own).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_was_found_good_is_not_checked_again_and_no_other_takes_its_place() {
    let signer = Signer::es256();
    let verifier = verifier(issuer(json!([signer.jwk("k1")])));
    let token = signer.sign(Some("k1"), &claims(json!({})));
    let first = verifier.verify(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token).await.unwrap()));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let other = Signer::es256().sign(Some("k1"), &claims(json!({})));
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(verifier.verify(&format!("{signed}.{signature}")).await.unwrap_err(), InvalidToken::Signature);
}

#[tokio::test]
async fn a_token_without_kid_needs_a_key_that_is_the_only_one_of_its_kind() {
    let (one, two, ed) = (Signer::es256(), Signer::es256(), Signer::ed25519());
    let verifier = verifier(issuer(json!([one.jwk("k1"), two.jwk("k2"), ed.jwk("k3")])));
    verifier.verify(&ed.sign(None, &claims(json!({})))).await.unwrap();
    let ambiguous = verifier.verify(&one.sign(None, &claims(json!({})))).await.unwrap_err();
    assert_eq!(ambiguous, InvalidToken::UnknownKey);
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_not_repeated() {
    let key = |key: Value| PublicKey::from_json(key.as_object().unwrap()).err().expect("an error");
    let es256 = Signer::es256();
    let with = |name: &str, value: Value| {
        let mut jwk = es256.jwk("k");
        jwk[name] = value;
        jwk
    };
    assert_eq!(key(with("d", json!("c2VjcmV0"))), InvalidKey::Private);
    assert_eq!(key(json!({ "kty": "oct", "k": "c2VjcmV0" })), InvalidKey::Private);
    assert_eq!(
        key(json!({ "pem": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----" })),
        InvalidKey::Private
    );
    assert_eq!(key(json!({ "pem": "secret" })), InvalidKey::NotPem);
    for (name, value) in [("use", "enc"), ("alg", "ES384"), ("alg", "HS256"), ("crv", "P-384"), ("kty", "RSA")] {
        assert_eq!(key(with(name, json!(value))), InvalidKey::Unsupported, "{name}");
    }
    assert_eq!(key(with("key_ops", json!(["sign"]))), InvalidKey::Unsupported);
    assert_eq!(key(with("x", json!("AAAA"))), InvalidKey::Malformed("x and y"));
    assert!(matches!(key(with("x", json!("%"))), InvalidKey::NotAJwk(_)));
    assert!(matches!(key(with("x", json!(7))), InvalidKey::NotAJwk(_)));
    // The neutral point of the curve: with it, one signature fits every message.
    let weak = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
    assert_eq!(key(weak), InvalidKey::Malformed("x is a weak point"));
    let mut short = Signer::rs256().jwk("k");
    short["n"] = json!(&short["n"].as_str().unwrap()[..88]);
    assert!(matches!(key(short), InvalidKey::Malformed(_)));
}
