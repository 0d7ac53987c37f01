//! JSON Web Tokens (RFC 7519). The algorithm is pinned to the key: what a token's header says about it is only compared, never
//! obeyed (RFC 8725, section 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use super::User;
use super::keys::PublicKey;
use crate::error::{Code, Error};
use crate::secrets::Secret;

/// Seconds by which clocks may differ.
const LEEWAY_SECONDS: u64 = 10;

/// Why a token was refused, in words for its holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// No JSON Web Token at all: a word, or a key that is no longer known.
    #[error("the token is neither a JSON Web Token nor a key of this app")]
    Unknown,
    /// Three parts, but not what they should be.
    #[error("the token is not a valid JSON Web Token")]
    Malformed,
    /// Signed with another key.
    #[error("the token's signature does not fit this app")]
    Signature,
    /// Another algorithm than the key's.
    #[error("the token's algorithm is not the one of the key")]
    Algorithm,
    /// `kid` names no key of the issuer, or is needed to tell its keys apart.
    #[error("the token's kid names no key of its issuer")]
    UnknownKey,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    Immature,
    /// `iss` is nobody this app trusts.
    #[error("the token's issuer (iss) is not one of this app")]
    Issuer,
    /// `aud` does not name this app.
    #[error("the token is for another audience (aud)")]
    Audience,
    /// A claim is missing or has the wrong type.
    #[error("the token's claim {0} is missing or not valid")]
    Claim(String),
    /// The issuer's keys could not be fetched; not the token's fault.
    #[error("the keys of the token's issuer cannot be fetched at the moment")]
    KeysUnavailable,
}

impl InvalidToken {
    fn code(&self) -> Code {
        match self {
            Self::Unknown => Code::Unauthorized,
            Self::Malformed => Code::TokenMalformed,
            Self::Signature => Code::TokenSignature,
            Self::Algorithm => Code::TokenAlgorithm,
            Self::UnknownKey => Code::TokenUnknownKey,
            Self::Expired => Code::TokenExpired,
            Self::Immature => Code::TokenNotYetValid,
            Self::Issuer => Code::TokenIssuer,
            Self::Audience => Code::TokenAudience,
            Self::Claim(_) => Code::TokenClaim,
            Self::KeysUnavailable => Code::KeysUnavailable,
        }
    }
}

impl From<InvalidToken> for Error {
    fn from(invalid: InvalidToken) -> Self {
        Self::new(invalid.code(), invalid.to_string())
    }
}

/// A token as it came, with what it says before anybody has checked it.
pub struct Presented<'a> {
    text: &'a str,
    algorithm: Algorithm,
    key_id: Option<String>,
    issuer: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claimed {
    iss: Option<Value>,
}

impl<'a> Presented<'a> {
    /// Takes a token apart, and believes nothing of it.
    pub fn parse(text: &'a str) -> Result<Self, InvalidToken> {
        let mut parts = text.split('.');
        let (Some(head), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidToken::Unknown);
        };
        let Head { alg, kid, crit } = part(head)?;
        // Extensions that must be understood are not understood here (RFC 7515, section 4.1.11).
        if crit.is_some() {
            return Err(InvalidToken::Malformed);
        }
        let algorithm = match alg.as_str() {
            "HS256" => Algorithm::HS256,
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(InvalidToken::Algorithm),
        };
        let Claimed { iss } = part(claims)?;
        Ok(Self { text, algorithm, key_id: kid, issuer: iss.and_then(|iss| iss.as_str().map(str::to_owned)) })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it says that a shared secret signed it.
    pub(super) fn is_symmetric(&self) -> bool {
        self.algorithm == Algorithm::HS256
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The user it speaks for, when this key signed it and it is what is expected.
    pub(super) fn verify(&self, key: &PublicKey, expected: &Expected) -> Result<User, InvalidToken> {
        let (algorithm, decoding) = key.parts();
        decode(self.text, decoding, &expected.validation(algorithm))
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, InvalidToken> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| InvalidToken::Malformed)
}

/// What the claims of a token must say.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Exactly this `iss`, if it matters.
    pub issuer: Option<String>,
    /// One of these in `aud`, unless there are none.
    pub audiences: Vec<String>,
}

impl Expected {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        let mut required = vec!["exp", "sub"];
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = !self.audiences.is_empty();
        if validation.validate_aud {
            validation.set_audience(&self.audiences);
            required.push("aud");
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// Checks and makes the tokens that are signed with an app's own secret (HS256).
pub struct TokenKey {
    decoding: DecodingKey,
    encoding: EncodingKey,
    validation: Validation,
    audience: Option<String>,
}

impl TokenKey {
    /// The key of an app with this secret, whose tokens must be for one of these audiences, if there are any.
    pub fn new(secret: &Secret, audiences: &[String]) -> Self {
        let secret = secret.expose().as_bytes();
        let expected = Expected { issuer: None, audiences: audiences.to_vec() };
        Self {
            decoding: DecodingKey::from_secret(secret),
            encoding: EncodingKey::from_secret(secret),
            validation: expected.validation(Algorithm::HS256),
            audience: audiences.first().cloned(),
        }
    }

    /// The user a token speaks for.
    pub fn verify(&self, token: &Presented<'_>) -> Result<User, InvalidToken> {
        if token.algorithm != Algorithm::HS256 {
            return Err(InvalidToken::Algorithm);
        }
        decode(token.text, &self.decoding, &self.validation)
    }

    /// A token with these claims, for the app's audience unless they name another.
    pub fn sign(&self, mut claims: Map<String, Value>) -> Result<String, jsonwebtoken::errors::Error> {
        if let Some(audience) = &self.audience {
            claims.entry("aud").or_insert_with(|| Value::from(audience.as_str()));
        }
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }
}

fn decode(token: &str, key: &DecodingKey, validation: &Validation) -> Result<User, InvalidToken> {
    let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, key, validation);
    user(decoded.map_err(|error| explain(error.kind()))?.claims)
}

fn explain(kind: &ErrorKind) -> InvalidToken {
    match kind {
        ErrorKind::InvalidSignature => InvalidToken::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::MissingAlgorithm => {
            InvalidToken::Algorithm
        }
        ErrorKind::ExpiredSignature => InvalidToken::Expired,
        ErrorKind::ImmatureSignature => InvalidToken::Immature,
        ErrorKind::InvalidIssuer => InvalidToken::Issuer,
        ErrorKind::InvalidAudience => InvalidToken::Audience,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "aud" => InvalidToken::Audience,
            "iss" => InvalidToken::Issuer,
            _ => InvalidToken::Claim(claim.clone()),
        },
        ErrorKind::InvalidClaimFormat(claim) => InvalidToken::Claim(claim.clone()),
        _ => InvalidToken::Malformed,
    }
}

fn user(claims: Map<String, Value>) -> Result<User, InvalidToken> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(User {
        id: text("sub").ok_or_else(|| InvalidToken::Claim("sub".to_owned()))?,
        email: text("email"),
        role: text("role").unwrap_or_else(|| "authenticated".to_owned()),
        groups: groups(&claims),
        claims,
    })
}

fn groups(claims: &Map<String, Value>) -> Vec<String> {
    let listed = claims.get("groups").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
