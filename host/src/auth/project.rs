//! The two keys that Supabase's clients are made with: tokens of the app that stand for a role instead of a user.
//!
//! They follow from the app's secret, so that nothing has to be kept, and change with it. `anon` is public, as it is in every page
//! that uses it; `service_role` stands for the app itself.

use jsonwebtoken::errors::Error;
use serde_json::Value;

use super::jwt::TokenKey;
use super::{Identity, KeyHash};
use crate::ids::AppName;
use crate::secrets::Secret;

/// When the keys say they were made, and until when they are good: as long as the secret. Seconds since 1970: the starts of 2026 and 2100.
const ISSUED_AT: u64 = 1_767_225_600;
const EXPIRES_AT: u64 = 4_102_444_800;

/// The keys of one app.
#[derive(Clone)]
pub struct ProjectKeys {
    /// For pages and apps of users: it opens what needs no user.
    pub anon: String,
    /// For servers: it opens everything of the app.
    pub service_role: Secret,
    hashes: [KeyHash; 2],
}

impl ProjectKeys {
    /// The keys of the app with this secret.
    ///
    /// # Errors
    /// When the secret cannot sign.
    pub fn new(app: &AppName, secret: &Secret) -> Result<Self, Error> {
        // Whatever audience the tokens of users are for: a change of that must not make the keys useless.
        let tokens = TokenKey::new(secret, &[]);
        let [anon, service_role] = [sign(app, &tokens, "anon")?, sign(app, &tokens, "service_role")?];
        let hashes = [KeyHash::of(&anon), KeyHash::of(&service_role)];
        Ok(Self { anon, service_role: Secret::from(service_role), hashes })
    }

    /// Who presents this key, if it is one of them.
    pub fn identify(&self, presented: &KeyHash) -> Option<Identity> {
        let [anon, service_role] = &self.hashes;
        // Both are looked at, whichever it is.
        match (anon == presented, service_role == presented) {
            (true, _) => Some(Identity::AnonKey),
            (_, true) => Some(Identity::ServiceRole),
            (false, false) => None,
        }
    }
}

fn sign(app: &AppName, tokens: &TokenKey, role: &str) -> Result<String, Error> {
    let claims: [(&str, Value); 5] = [
        ("iss", "caddis".into()),
        ("ref", app.as_str().into()),
        ("role", role.into()),
        ("iat", ISSUED_AT.into()),
        ("exp", EXPIRES_AT.into()),
    ];
    tokens.sign(claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(app: &str, secret: &str) -> ProjectKeys {
        ProjectKeys::new(&app.parse().unwrap(), &Secret::from(secret.to_owned())).unwrap()
    }

    #[test]
    fn keys_are_those_of_their_app_and_secret() {
        let shop = keys("shop", "a secret");
        assert_eq!(shop.identify(&KeyHash::of(&shop.anon)), Some(Identity::AnonKey));
        assert_eq!(shop.identify(&KeyHash::of(shop.service_role.expose())), Some(Identity::ServiceRole));
        assert_eq!(shop.anon, keys("shop", "a secret").anon);
        for other in [keys("other", "a secret"), keys("shop", "another")] {
            assert_eq!(shop.identify(&KeyHash::of(other.service_role.expose())), None);
            assert_eq!(shop.identify(&KeyHash::of(&other.anon)), None);
        }
        assert_eq!(shop.identify(&KeyHash::of("")), None);
    }
}
