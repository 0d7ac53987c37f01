//! The verified caller.

use serde::de::DeserializeOwned;

use crate::Result;
use crate::bindings::caddis::function::user as wit;

/// A caller whose token the host has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The `sub` claim.
    pub id: String,
    /// The `email` claim.
    pub email: Option<String>,
    /// The `role` claim, or `authenticated` when the token has none.
    pub role: String,
    /// The `groups` claim; empty when the token has none.
    pub groups: Vec<String>,
    claims: String,
}

impl User {
    pub(crate) fn current() -> Option<Self> {
        wit::current().map(Self::from)
    }

    /// All claims of the token, as a type of yours or as `serde_json::Value`.
    ///
    /// # Errors
    /// When the claims do not fit the type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(&self.claims)?)
    }
}

impl From<wit::Identity> for User {
    fn from(identity: wit::Identity) -> Self {
        let wit::Identity { id, email, role, groups, claims } = identity;
        Self { id, email, role, groups, claims }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_fit_a_type_or_say_why_not() {
        let user = User::from(wit::Identity {
            id: "u1".into(),
            email: None,
            role: "admin".into(),
            groups: vec![],
            claims: r#"{"sub":"u1","plan":"pro"}"#.into(),
        });
        #[derive(serde::Deserialize)]
        struct Claims {
            plan: String,
        }
        assert_eq!(user.claims::<Claims>().unwrap().plan, "pro");
        #[derive(serde::Deserialize, Debug)]
        struct Other {
            #[expect(dead_code, reason = "the test is that it cannot be filled")]
            seats: u32,
        }
        assert!(user.claims::<Other>().unwrap_err().to_string().contains("seats"));
    }
}
