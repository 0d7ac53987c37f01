//! Which hosts a function may call, if not all (`allowed_hosts`).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most entries of one function.
pub const ALLOWED_HOSTS: usize = 100;

/// A host, or all below a name, on any port or on one: `api.stripe.com`, `*.example.com`, `db.example.com:8443`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedHost {
    /// In lower case.
    host: String,
    /// Whether it is all names below `host` instead.
    below: bool,
    port: Option<u16>,
}

/// Why an entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowed_hosts: {0:?} is neither a host such as api.example.com or *.example.com, nor one with a port")]
pub struct InvalidHost(String);

impl AllowedHost {
    /// Whether a request may go there.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_meant = match self.below {
            true => host.strip_suffix(&self.host).is_some_and(|rest| rest.ends_with('.')),
            false => host == self.host,
        };
        is_meant && self.port.is_none_or(|allowed| allowed == port)
    }
}

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let refuse = || InvalidHost(text.chars().take(100).collect());
        let authority: http::uri::Authority = text.strip_prefix("*.").unwrap_or(text).parse().map_err(|_| refuse())?;
        let host = authority.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let is_name =
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'));
        if host.is_empty() || !is_name || authority.as_str().contains('@') {
            return Err(refuse());
        }
        let has_port = authority.as_str().len() > authority.host().len();
        match (has_port, authority.port_u16()) {
            (true, None | Some(0)) => Err(refuse()),
            (_, port) => Ok(Self { host, below: text.starts_with("*."), port }),
        }
    }
}

impl TryFrom<String> for AllowedHost {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl From<AllowedHost> for String {
    fn from(host: AllowedHost) -> Self {
        host.to_string()
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        let host = &self.host;
        match (host.contains(':'), self.port) {
            (true, None) => write!(f, "[{host}]"),
            (true, Some(port)) => write!(f, "[{host}]:{port}"),
            (false, None) => write!(f, "{below}{host}"),
            (false, Some(port)) => write!(f, "{below}{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, host: &str, port: u16) -> bool {
        entry.parse::<AllowedHost>().unwrap().allows(host, port)
    }

    #[test]
    fn an_entry_is_a_host_or_what_is_below_it() {
        assert!(allows("api.stripe.com", "API.stripe.com.", 443));
        assert!(!allows("api.stripe.com", "evil-api.stripe.com", 443));
        assert!(!allows("api.stripe.com", "api.stripe.com.evil.example", 443));
        assert!(allows("*.example.com", "a.b.example.com", 80));
        assert!(!allows("*.example.com", "example.com", 80));
        assert!(!allows("*.example.com", "notexample.com", 80));
        assert!(allows("example.com:8443", "example.com", 8443));
        assert!(!allows("example.com:8443", "example.com", 443));
        assert!(allows("[2001:db8::1]:443", "2001:db8::1", 443));
        assert!(allows("192.0.2.1", "192.0.2.1", 1));
    }

    #[test]
    fn entries_read_as_they_are_written() {
        for entry in ["api.stripe.com", "*.example.com", "*.example.com:1", "[2001:db8::1]:443", "[2001:db8::1]"] {
            assert_eq!(entry.parse::<AllowedHost>().unwrap().to_string(), entry);
        }
        for bad in
            ["", "*", "*.", "https://a.example", "a b", "u@a.example", "a.example:0", "a.example:x", "a/b", "*.*.a"]
        {
            assert!(bad.parse::<AllowedHost>().is_err(), "{bad}");
        }
    }
}
