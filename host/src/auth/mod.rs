//! Who makes a request. The app knows its keys, the request brings a credential; neither knows HTTP.

pub mod jwks;
pub mod jwt;
pub mod keys;
pub mod management;
pub mod policy;
pub mod project;
mod recent;
pub mod verifier;

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ids::{ApiKeyId, TokenId};

/// A verified end user.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The `sub` claim.
    pub id: String,
    /// The `email` claim.
    pub email: Option<String>,
    /// The `role` claim; `authenticated` when there is none.
    pub role: String,
    /// The `groups` claim.
    pub groups: Vec<String>,
    /// All claims.
    pub claims: Map<String, Value>,
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// An end user with a token of the app.
    User(Arc<User>),
    /// A program with an API key of the app.
    ApiKey(ApiKeyId),
    /// Whoever has the app's public `anon` key: nobody in particular, by way of a client of the app.
    AnonKey,
    /// A program with the app's `service_role` key.
    ServiceRole,
    /// Whoever holds a management token, in the name of the app.
    Token(TokenId),
    /// The operator.
    Admin,
}

impl Identity {
    /// The user, if it is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::User(user) => Some(user),
            Self::Anonymous | Self::AnonKey | Self::ApiKey(_) | Self::ServiceRole | Self::Token(_) | Self::Admin => {
                None
            }
        }
    }

    /// Whether it stands for the app itself.
    pub fn is_the_app(&self) -> bool {
        matches!(self, Self::ApiKey(_) | Self::ServiceRole | Self::Token(_) | Self::Admin)
    }

    /// How execution records name it.
    pub fn label(&self) -> Option<String> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user.id.clone()),
            Self::ApiKey(id) => Some(format!("api-key:{id}")),
            Self::AnonKey => Some("anon".to_owned()),
            Self::ServiceRole => Some("service_role".to_owned()),
            Self::Token(id) => Some(format!("token:{id}")),
            Self::Admin => Some("admin".to_owned()),
        }
    }
}

/// The hash under which the host keeps a key or token.
#[derive(Clone, Copy, Eq, Hash)]
#[expect(
    clippy::derived_hash_with_manual_eq,
    reason = "equal are those of equal bytes; only how long that takes is special"
)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of a presented key.
    pub fn of(key: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// In constant time.
impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
