//! Who makes tokens for the users of an app, beside the app itself.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An issuer: its name, and where its keys are from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The `iss` of its tokens. Without it, this one is for the tokens of nobody else.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What the `aud` of its tokens must name one of, if anything.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Where it publishes its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<JwksUrl>,
    /// Its keys, where it publishes none: JWKs, or objects of `pem` and `kid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Map<String, Value>>,
}

impl IssuerSettings {
    /// Whether its keys come over a connection on which nobody can change them.
    pub(super) fn is_sent_safely(&self) -> bool {
        let Some(JwksUrl(url)) = &self.jwks_url else { return true };
        let host = url.host().unwrap_or_default();
        url.scheme() == Some(&Scheme::HTTPS) || host == "localhost" || host == "[::1]" || host.starts_with("127.")
    }
}

/// Where a JWK set is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct JwksUrl(pub Uri);

/// What was given is no such place. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("jwks_url must be an absolute http or https URL without user name and password")]
pub struct InvalidUrl;

impl FromStr for JwksUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let usable = |uri: &Uri| {
            let known = matches!(uri.scheme(), Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
            known && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        };
        text.parse().ok().filter(usable).map(Self).ok_or(InvalidUrl)
    }
}

impl TryFrom<String> for JwksUrl {
    type Error = InvalidUrl;

    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        text.parse()
    }
}

impl From<JwksUrl> for String {
    fn from(url: JwksUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
