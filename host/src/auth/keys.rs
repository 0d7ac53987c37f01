//! Public keys that tokens are signed with, as JWK (RFC 7517) or PEM. Each is for one algorithm, whatever a token says about it
//! (RFC 8725, section 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use jsonwebtoken::{Algorithm, DecodingKey};
use p256::elliptic_curve::sec1::ToSec1Point;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, RsaPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::jwt::{InvalidToken, Presented};
use crate::tunables::{ISSUER_KEYS, TOKEN_RSA_BITS};

/// Why a key cannot be used. The texts are for whoever configures it, and repeat nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not a JWK: what is wrong with it.
    #[error("is not a JWK: {0}")]
    NotAJwk(String),
    /// Not PEM with a public key in it.
    #[error("pem must hold one public key (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    /// Half of what signs.
    #[error(
        "holds a private or a secret key: give the public key only, and replace this one, as it has been sent around"
    )]
    Private,
    /// For something else than signatures, or with an algorithm that is not known here.
    #[error("is not for RS256, ES256 or EdDSA signatures")]
    Unsupported,
    /// The numbers make no key.
    #[error("is not a valid key: {0}")]
    Malformed(&'static str),
}

/// A key that signatures are checked with.
#[derive(Clone)]
pub struct PublicKey {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// What only the owner of a private key, or of a shared secret, has.
    d: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pem {
    kid: Option<String>,
    pem: String,
}

impl PublicKey {
    /// The key that a JWK, or `{"kid": …, "pem": …}`, describes.
    pub fn from_json(object: &Map<String, Value>) -> Result<Self, InvalidKey> {
        let value = Value::Object(object.clone());
        // serde's text quotes values; which field it is about is what helps.
        let not_a_jwk =
            |_| InvalidKey::NotAJwk("kty must be there, and all members that are known be strings".to_owned());
        if object.contains_key("pem") {
            let Pem { kid, pem } = serde_json::from_value(value).map_err(|_| InvalidKey::NotPem)?;
            return Self::from_pem(kid, &pem);
        }
        Self::from_jwk(serde_json::from_value(value).map_err(not_a_jwk)?)
    }

    fn from_pem(id: Option<String>, pem: &str) -> Result<Self, InvalidKey> {
        if pem.contains("PRIVATE KEY") {
            return Err(InvalidKey::Private);
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidKey::NotPem)?;
        if let Ok(key) = RsaPublicKey::from_public_key_der(&der) {
            return Self::rsa(id, &key);
        }
        if let Ok(key) = p256::PublicKey::from_public_key_der(&der) {
            return Ok(Self::p256(id, &key));
        }
        match VerifyingKey::from_public_key_der(&der) {
            Ok(key) => Self::ed25519(id, &key),
            Err(_) => Err(InvalidKey::Unsupported),
        }
    }

    fn from_jwk(jwk: Jwk) -> Result<Self, InvalidKey> {
        if jwk.d.is_some() || jwk.k.is_some() {
            return Err(InvalidKey::Private);
        }
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") || !jwk.key_ops.as_ref().is_none_or(verifies) {
            return Err(InvalidKey::Unsupported);
        }
        let alg = jwk.alg.as_deref();
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) if alg.is_none_or(|alg| alg == "RS256") => {
                let number = |member, name| Ok(BoxedUint::from_be_slice_vartime(&octets(member, name)?));
                let key = RsaPublicKey::new(number(jwk.n, "n")?, number(jwk.e, "e")?);
                Self::rsa(jwk.kid, &key.map_err(|_| InvalidKey::Malformed("n and e"))?)
            }
            ("EC", Some("P-256")) if alg.is_none_or(|alg| alg == "ES256") => {
                let point = [vec![4], octets(jwk.x, "x")?, octets(jwk.y, "y")?].concat();
                let key = p256::PublicKey::from_sec1_bytes(&point);
                Ok(Self::p256(jwk.kid, &key.map_err(|_| InvalidKey::Malformed("x and y"))?))
            }
            ("OKP", Some("Ed25519")) if alg.is_none_or(|alg| matches!(alg, "EdDSA" | "Ed25519")) => {
                let bytes = octets(jwk.x, "x")?.try_into().map_err(|_| InvalidKey::Malformed("x"))?;
                Self::ed25519(jwk.kid, &VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidKey::Malformed("x"))?)
            }
            _ => Err(InvalidKey::Unsupported),
        }
    }

    fn rsa(id: Option<String>, key: &RsaPublicKey) -> Result<Self, InvalidKey> {
        if !TOKEN_RSA_BITS.contains(&key.n().bits()) {
            return Err(InvalidKey::Malformed("RSA keys have 2048 to 4096 bits"));
        }
        let decoding = DecodingKey::from_rsa_raw_components(&key.n_bytes(), &key.e_bytes());
        Ok(Self { id, algorithm: Algorithm::RS256, decoding })
    }

    fn p256(id: Option<String>, key: &p256::PublicKey) -> Self {
        let decoding = DecodingKey::from_ec_der(key.to_sec1_point(false).as_bytes());
        Self { id, algorithm: Algorithm::ES256, decoding }
    }

    fn ed25519(id: Option<String>, key: &VerifyingKey) -> Result<Self, InvalidKey> {
        if key.is_weak() {
            return Err(InvalidKey::Malformed("x is a weak point"));
        }
        Ok(Self { id, algorithm: Algorithm::EdDSA, decoding: DecodingKey::from_ed_der(key.as_bytes()) })
    }

    /// What it verifies, and with what.
    pub(super) fn parts(&self) -> (Algorithm, &DecodingKey) {
        (self.algorithm, &self.decoding)
    }
}

fn octets(member: Option<String>, name: &'static str) -> Result<Vec<u8>, InvalidKey> {
    let text = member.ok_or_else(|| InvalidKey::NotAJwk(format!("{name} is missing")))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidKey::NotAJwk(format!("{name} is not base64url")))
}

/// The keys of one issuer.
#[derive(Clone, Default)]
pub struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// These keys.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys)
    }

    /// The keys of a JWK set that can be used here; others are there for others. None when it is no JWK set, or none can be used.
    pub fn from_jwks(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Map<String, Value>>,
        }
        let Set { keys } = serde_json::from_slice(json).ok()?;
        let keys: Vec<_> = keys.iter().filter_map(|key| PublicKey::from_json(key).ok()).take(ISSUER_KEYS).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The key of a token: the one it names, else the only one it can mean.
    pub(super) fn find(&self, token: &Presented<'_>) -> Result<&PublicKey, InvalidToken> {
        let named = |key: &&PublicKey| key.id.is_some() && key.id.as_deref() == token.key_id();
        if let Some(key) = self.0.iter().find(named) {
            return if key.algorithm == token.algorithm() { Ok(key) } else { Err(InvalidToken::Algorithm) };
        }
        let possible = || self.0.iter().filter(|key| token.key_id().is_none() || key.id.is_none());
        let mut fit = possible().filter(|key| key.algorithm == token.algorithm());
        match (fit.next(), fit.next()) {
            (Some(key), None) => Ok(key),
            (None, _) if possible().next().is_some() => Err(InvalidToken::Algorithm),
            (None | Some(_), _) => Err(InvalidToken::UnknownKey),
        }
    }
}
