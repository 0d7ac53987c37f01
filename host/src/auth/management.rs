//! Who may manage: the operator with the admin token, and whoever got a token from them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyHash;
use crate::error::{Code, Error};
use crate::ids::{AppName, TokenId};
use crate::settings::rate::RateLimit;

/// What a token is good for; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See everything that is not secret.
    Read,
    /// Deploy and call functions, set secrets and variables.
    Deploy,
    /// Manage apps, keys and tokens.
    Admin,
}

impl Scope {
    /// As clients and the database have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }

    /// The one with this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Deploy, Self::Admin].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// The holder of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// Which token; none is the admin token.
    pub token: Option<TokenId>,
    /// What it is good for.
    pub scope: Scope,
    /// The only app it is good for, if it is bound to one.
    pub app: Option<AppName>,
    /// The rate of its requests, if it has one of its own.
    pub rate_limit: Option<RateLimit>,
}

impl Principal {
    const OPERATOR: Self = Self { token: None, scope: Scope::Admin, app: None, rate_limit: None };

    /// How records name it.
    pub fn label(&self) -> String {
        self.token.map_or_else(|| "admin".to_owned(), |id| format!("token:{id}"))
    }

    /// Refuses what the token is not good for.
    ///
    /// # Errors
    /// `Forbidden`; the message names the scope that is needed.
    pub fn require(&self, needed: Scope) -> Result<(), Error> {
        if self.scope >= needed {
            return Ok(());
        }
        let (needed, has) = (needed.as_str(), self.scope.as_str());
        Err(Error::new(Code::Forbidden, format!("this needs a token with the scope {needed}; this one has {has}")))
    }

    /// Refuses what is not about the app the token is bound to. None is what is about all apps.
    ///
    /// # Errors
    /// `Forbidden`; the same whether there is such an app or not.
    pub fn require_app(&self, app: Option<&AppName>) -> Result<(), Error> {
        match &self.app {
            Some(bound) if app != Some(bound) => {
                Err(Error::new(Code::Forbidden, format!("this token is bound to the app {bound}")))
            }
            _ => Ok(()),
        }
    }
}

/// All tokens that may manage, by their hashes: what requests are compared with.
pub struct ManagementTokens {
    admin: KeyHash,
    operator: Arc<Principal>,
    tokens: ArcSwap<HashMap<KeyHash, Arc<Principal>>>,
}

impl ManagementTokens {
    /// The admin token of this hash, and these.
    pub fn new(admin: KeyHash, tokens: HashMap<KeyHash, Arc<Principal>>) -> Self {
        Self { admin, operator: Arc::new(Principal::OPERATOR), tokens: ArcSwap::from_pointee(tokens) }
    }

    /// Who presents this token.
    pub fn principal(&self, hash: KeyHash) -> Option<Arc<Principal>> {
        if self.admin == hash {
            return Some(self.operator.clone());
        }
        self.tokens.load().get(&hash).cloned()
    }

    /// The rate that the requests with a token may have, if it has one of its own.
    pub fn rate_limit(&self, id: TokenId) -> Option<RateLimit> {
        self.tokens.load().values().find(|principal| principal.token == Some(id))?.rate_limit
    }

    /// Adds a token.
    pub fn add(&self, hash: KeyHash, principal: Arc<Principal>) {
        self.tokens.rcu(|tokens| {
            let mut tokens = HashMap::clone(tokens);
            tokens.insert(hash, principal.clone());
            tokens
        });
    }

    /// Keeps only the tokens of which this is true: the next request with another is refused.
    pub fn retain(&self, keep: impl Fn(&Principal) -> bool) {
        self.tokens.rcu(|tokens| {
            tokens
                .iter()
                .filter(|(_, principal)| keep(principal))
                .map(|(hash, principal)| (*hash, principal.clone()))
                .collect::<HashMap<_, _>>()
        });
    }
}
