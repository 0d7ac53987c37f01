//! The tokens of one app: which keys may have signed them, and whom they speak for.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

use super::jwks::{FetchError, RemoteKeys};
use super::jwt::{Expected, InvalidToken, Presented, TokenKey};
use super::keys::{InvalidKey, KeySet, PublicKey};
use super::project::ProjectKeys;
use super::recent::RecentTokens;
use super::{KeyHash, User};
use crate::bindings::egress::{AllowRule, EgressPolicy};
use crate::bindings::fetch::Dialer;
use crate::ids::AppName;
use crate::secrets::Secret;
use crate::settings::app::AppSettings;
use crate::settings::issuer::{IssuerSettings, JwksUrl};

/// Roles that act for the app itself: nobody but the app gives them away.
const SERVICE_ROLES: [&str; 2] = ["service_role", "butterbase_service"];

/// Makes the verifiers of all apps.
pub struct Verifiers {
    dialer: Arc<Dialer>,
    opened: Vec<AllowRule>,
    policy: Arc<EgressPolicy>,
    operators: BTreeMap<AppName, Vec<IssuerSettings>>,
}

impl Verifiers {
    /// With these issuers of the operator for each app, and these destinations open besides public ones.
    pub fn new(dialer: Arc<Dialer>, opened: Vec<AllowRule>, operators: BTreeMap<AppName, Vec<IssuerSettings>>) -> Self {
        let policy = Arc::new(EgressPolicy::new(opened.clone()));
        Self { dialer, opened, policy, operators }
    }

    /// The verifier of an app. The operator's issuers count before its own. Fetches nothing.
    ///
    /// # Errors
    /// When the keys of an issuer are none.
    pub fn verifier(&self, app: &AppName, secret: &Secret, settings: &AppSettings) -> Result<Verifier, InvalidIssuer> {
        let operators = self.operators.get(app).map_or(&[][..], Vec::as_slice);
        let anywhere = |url: &Uri| Arc::new(self.operators_policy(url));
        Ok(Verifier {
            own: TokenKey::new(secret, &settings.audiences),
            project_keys: ProjectKeys::new(app, secret)?,
            operators: self.issuers(operators, anywhere)?,
            issuers: self.issuers(&settings.issuers, |_| self.policy.clone())?,
            recent: RecentTokens::default(),
        })
    }

    fn issuers(
        &self,
        settings: &[IssuerSettings],
        policy: impl Fn(&Uri) -> Arc<EgressPolicy>,
    ) -> Result<Vec<Issuer>, InvalidIssuer> {
        let issuer = |(issuer, settings): (usize, &IssuerSettings)| {
            let keys = match &settings.jwks_url {
                Some(JwksUrl(url)) => {
                    Keys::Published(Arc::new(RemoteKeys::new(url.clone(), self.dialer.clone(), policy(url))))
                }
                None => Keys::Given(given_keys(issuer, settings)?),
            };
            let expected = Expected { issuer: settings.issuer.clone(), audiences: settings.audiences.clone() };
            Ok(Issuer { expected, keys })
        };
        settings.iter().enumerate().map(issuer).collect()
    }

    /// Whoever starts the host may name a URL anywhere.
    fn operators_policy(&self, url: &Uri) -> EgressPolicy {
        let port = url.port_u16().unwrap_or(if url.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 });
        let rule = url.host().and_then(|host| format!("{host}:{port}").parse().ok());
        EgressPolicy::new(self.opened.iter().cloned().chain(rule).collect())
    }
}

/// An issuer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidIssuer {
    /// A key that is none.
    #[error("issuers[{issuer}].keys[{key}] {error}")]
    Key {
        /// Position of the issuer.
        issuer: usize,
        /// Position of the key.
        key: usize,
        /// What is wrong.
        error: InvalidKey,
    },
    /// The app itself.
    #[error("jwt_secret cannot sign: {0}")]
    Secret(#[from] jsonwebtoken::errors::Error),
    /// No keys, or from two places.
    #[error("issuers[{0}]: give either keys or jwks_url")]
    Keys(usize),
}

/// Whether these issuers can be used.
///
/// # Errors
/// What is wrong with the first that cannot.
pub fn check_issuers(issuers: &[IssuerSettings]) -> Result<(), InvalidIssuer> {
    for (index, issuer) in issuers.iter().enumerate() {
        if issuer.jwks_url.is_some() != issuer.keys.is_empty() {
            return Err(InvalidIssuer::Keys(index));
        }
        given_keys(index, issuer)?;
    }
    Ok(())
}

/// The keys in the settings of an issuer.
fn given_keys(issuer: usize, settings: &IssuerSettings) -> Result<KeySet, InvalidIssuer> {
    let parse = |(key, json)| PublicKey::from_json(json).map_err(|error| InvalidIssuer::Key { issuer, key, error });
    settings.keys.iter().enumerate().map(parse).collect::<Result<_, _>>().map(KeySet::new)
}

/// Checks the tokens of an app's users.
pub struct Verifier {
    own: TokenKey,
    project_keys: ProjectKeys,
    /// Those of the operator.
    operators: Vec<Issuer>,
    /// Those of the app.
    issuers: Vec<Issuer>,
    /// Their tokens that were found good.
    recent: RecentTokens,
}

struct Issuer {
    expected: Expected,
    keys: Keys,
}

enum Keys {
    Given(KeySet),
    Published(Arc<RemoteKeys>),
}

impl Verifier {
    /// The key of the app itself.
    pub fn own(&self) -> &TokenKey {
        &self.own
    }

    /// The keys that stand for a role instead of a user.
    pub fn project_keys(&self) -> &ProjectKeys {
        &self.project_keys
    }

    /// The user a token speaks for. Waits for the issuer's keys where they are not there yet.
    ///
    /// # Errors
    /// See [`InvalidToken`].
    pub async fn verify(&self, text: &str) -> Result<Arc<User>, InvalidToken> {
        let token = Presented::parse(text)?;
        let Some(issuer) = self.issuer_of(&token) else {
            // A token of the app may name any issuer, or none.
            return match self.own.verify(&token) {
                Err(InvalidToken::Algorithm) if self.all().next().is_some() => Err(InvalidToken::Issuer),
                verified => verified.map(Arc::new),
            };
        };
        let hash = KeyHash::of(text);
        if let Some(user) = self.recent.get(&hash) {
            return Ok(user);
        }
        let user = token.verify(&issuer.key(&token).await?, &issuer.expected)?;
        if SERVICE_ROLES.contains(&user.role.as_str()) {
            return Err(InvalidToken::Claim(format!("role ({} is only for tokens the app signs itself)", user.role)));
        }
        let user = Arc::new(user);
        self.recent.keep(hash, &user);
        Ok(user)
    }

    /// The issuer a token names; else, unless a shared secret signed it, the one that has no name.
    fn issuer_of(&self, token: &Presented<'_>) -> Option<&Issuer> {
        let is_named =
            |issuer: &&Issuer| issuer.expected.issuer.is_some() && issuer.expected.issuer.as_deref() == token.issuer();
        let is_for_others = |issuer: &&Issuer| issuer.expected.issuer.is_none() && !token.is_symmetric();
        self.all().find(is_named).or_else(|| self.all().find(is_for_others))
    }

    fn all(&self) -> impl Iterator<Item = &Issuer> {
        self.operators.iter().chain(&self.issuers)
    }

    /// Fetches the keys that the issuers of the app publish.
    ///
    /// # Errors
    /// Of the first that cannot be fetched: the position of its issuer, and why.
    pub async fn fetch(&self) -> Result<(), (usize, FetchError)> {
        for (index, issuer) in self.issuers.iter().enumerate() {
            if let Keys::Published(keys) = &issuer.keys {
                keys.fetch().await.map_err(|error| (index, error))?;
            }
        }
        Ok(())
    }

    /// Has all keys that are published fetched before anybody needs them.
    pub fn fetch_ahead(&self) {
        for issuer in self.all() {
            if let Keys::Published(keys) = &issuer.keys {
                keys.fetch_ahead();
            }
        }
    }
}

impl Issuer {
    async fn key(&self, token: &Presented<'_>) -> Result<PublicKey, InvalidToken> {
        match &self.keys {
            Keys::Given(keys) => keys.find(token).cloned(),
            Keys::Published(keys) => keys.find(token).await,
        }
    }
}

#[cfg(test)]
mod tests;
