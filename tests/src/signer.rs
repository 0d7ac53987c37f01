//! Keys that sign tokens, as identity providers have them.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};

/// Making one takes a second.
static RSA: LazyLock<rsa::RsaPrivateKey> =
    LazyLock::new(|| rsa::RsaPrivateKey::new(&mut UnwrapErr(SysRng), 2048).expect("an RSA key can be made"));

/// A key pair.
#[derive(Debug)]
pub struct Signer {
    algorithm: Algorithm,
    private: Vec<u8>,
    public: Vec<u8>,
    jwk: Value,
}

impl Signer {
    /// For RS256; the same key each time.
    pub fn rs256() -> Self {
        let private = RSA.to_pkcs1_der().expect("the key can be written").as_bytes().to_vec();
        let public = RSA.to_public_key().to_public_key_der().expect("the key can be written").into_vec();
        let jwk = json!({ "kty": "RSA", "n": encoded(&RSA.n_bytes()), "e": encoded(&RSA.e_bytes()) });
        Self { algorithm: Algorithm::RS256, private, public, jwk }
    }

    /// For ES256.
    pub fn es256() -> Self {
        let key = p256::SecretKey::generate_from_rng(&mut UnwrapErr(SysRng));
        let public = key.public_key();
        let point = public.to_sec1_point(false);
        let coordinates = &point.as_bytes()[1..];
        let jwk = json!({ "kty": "EC", "crv": "P-256",
            "x": encoded(&coordinates[..32]), "y": encoded(&coordinates[32..]) });
        Self {
            algorithm: Algorithm::ES256,
            private: key.to_pkcs8_der().expect("the key can be written").as_bytes().to_vec(),
            public: public.to_public_key_der().expect("the key can be written").into_vec(),
            jwk,
        }
    }

    /// For EdDSA with Ed25519.
    pub fn ed25519() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("there are random numbers");
        let key = ed25519_dalek::SigningKey::from_bytes(&bytes);
        let public = key.verifying_key();
        Self {
            algorithm: Algorithm::EdDSA,
            private: key.to_pkcs8_der().expect("the key can be written").as_bytes().to_vec(),
            public: public.to_public_key_der().expect("the key can be written").into_vec(),
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(public.as_bytes()) }),
        }
    }

    /// The public key under this name.
    pub fn jwk(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = json!(kid);
        jwk
    }

    /// The public key as PEM.
    pub fn pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&self.public))
    }

    /// A token with these claims, by the key of this name.
    pub fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        let key = match self.algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_der(&self.private),
            Algorithm::ES256 => EncodingKey::from_ec_der(&self.private),
            _ => EncodingKey::from_ed_der(&self.private),
        };
        jsonwebtoken::encode(&header, claims, &key).expect("the claims can be signed")
    }
}

/// A token that says it was signed with a shared secret: these bytes.
pub fn sign_with_secret(secret: &[u8], kid: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).expect("the claims can be signed")
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
