//! JSON Web Tokens of an app (RFC 7519), signed with its secret (HS256). The algorithm is pinned to the key: what a token's
//! header says about it is only compared, never obeyed (RFC 8725, section 3.1).

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value};

use super::User;
use crate::secrets::Secret;

/// Seconds by which clocks may differ.
const LEEWAY_SECONDS: u64 = 10;

/// Checks and makes the tokens of one app.
pub struct TokenKey {
    decoding: DecodingKey,
    encoding: EncodingKey,
    validation: Validation,
}

/// Why a token was refused, in words for its holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Not three base64url parts of JSON.
    #[error("the token is not a JSON Web Token")]
    Malformed,
    /// Signed with another key.
    #[error("the token's signature does not fit this app")]
    Signature,
    /// Another algorithm than the key's.
    #[error("the token's algorithm is not HS256")]
    Algorithm,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    Immature,
    /// A claim is missing or has the wrong type.
    #[error("the token's claim {0} is missing or not valid")]
    Claim(String),
}

impl TokenKey {
    /// The key of an app with this secret.
    pub fn new(secret: &Secret) -> Self {
        let secret = secret.expose().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        // Which audience to expect is a setting that apps do not have yet.
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self { decoding: DecodingKey::from_secret(secret), encoding: EncodingKey::from_secret(secret), validation }
    }

    /// The user a token speaks for.
    pub fn verify(&self, token: &str) -> Result<Arc<User>, InvalidToken> {
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &self.decoding, &self.validation)
            .map_err(|error| explain(error.kind()))?
            .claims;
        user(claims).map(Arc::new)
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
    }
}

fn explain(kind: &ErrorKind) -> InvalidToken {
    match kind {
        ErrorKind::InvalidSignature => InvalidToken::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::MissingAlgorithm => {
            InvalidToken::Algorithm
        }
        ErrorKind::ExpiredSignature => InvalidToken::Expired,
        ErrorKind::ImmatureSignature => InvalidToken::Immature,
        ErrorKind::MissingRequiredClaim(claim) => InvalidToken::Claim(claim.clone()),
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
mod tests {
    use super::*;
    use serde_json::json;

    fn key() -> TokenKey {
        TokenKey::new(&Secret::from("a secret of this test".to_owned()))
    }

    fn now() -> u64 {
        jsonwebtoken::get_current_timestamp()
    }

    fn token(claims: Value) -> String {
        key().sign(claims.as_object().unwrap()).unwrap()
    }

    #[test]
    fn a_valid_token_names_its_user() {
        let user = key()
            .verify(&token(
                json!({"sub": "u1", "exp": now() + 60, "email": "a@example.com", "groups": ["x", 1], "k": [1]}),
            ))
            .unwrap();
        assert_eq!(
            (user.id.as_str(), user.email.as_deref(), user.role.as_str()),
            ("u1", Some("a@example.com"), "authenticated")
        );
        assert_eq!(user.groups, ["x"]);
        assert_eq!(user.claims.get("k"), Some(&json!([1])));
    }

    #[test]
    fn every_way_to_be_invalid_is_named() {
        let verify = |claims| key().verify(&token(claims)).unwrap_err();
        assert_eq!(verify(json!({"sub": "u1", "exp": now() - 60})), InvalidToken::Expired);
        assert_eq!(verify(json!({"sub": "u1", "exp": now() + 60, "nbf": now() + 50})), InvalidToken::Immature);
        assert_eq!(verify(json!({"sub": "u1"})), InvalidToken::Claim("exp".to_owned()));
        assert_eq!(verify(json!({"exp": now() + 60})), InvalidToken::Claim("sub".to_owned()));
        assert_eq!(key().verify("x").unwrap_err(), InvalidToken::Malformed);
        assert_eq!(key().verify("").unwrap_err(), InvalidToken::Malformed);
        let other = TokenKey::new(&Secret::from("another".to_owned()));
        let foreign = other.sign(json!({"sub": "u1", "exp": now() + 60}).as_object().unwrap()).unwrap();
        assert_eq!(key().verify(&foreign).unwrap_err(), InvalidToken::Signature);
    }

    #[test]
    fn the_algorithm_is_the_keys_and_not_the_tokens() {
        let claims = json!({"sub": "u1", "exp": now() + 60});
        let secret = EncodingKey::from_secret(b"a secret of this test");
        let hs512 = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &secret).unwrap();
        assert_eq!(key().verify(&hs512).unwrap_err(), InvalidToken::Algorithm);
        // {"alg":"none"} . {"sub":"u1","exp":9999999999} . no signature
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSIsImV4cCI6OTk5OTk5OTk5OX0.";
        assert!(key().verify(none).is_err());
    }
}
