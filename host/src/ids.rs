//! Parsed names and numbers. Nothing past the edge of the host handles a raw string as an identifier.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a name was refused. The text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must match {pattern}, got {found:?}")]
pub struct InvalidName {
    what: &'static str,
    pattern: &'static str,
    found: String,
}

/// Longest part of a bad name an error repeats, in characters.
const ECHO_LIMIT: usize = 120;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName {
                        what: $what,
                        pattern: $pattern,
                        found: text.chars().take(ECHO_LIMIT).collect(),
                    })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

name!(
    /// The name of an app: a tenant with its own database, secrets, users and functions.
    AppName,
    "app name",
    "[a-z0-9_-]{1,63}",
    |text| is_word(text, 63) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
);

name!(
    /// The name of a function inside its app.
    FunctionName,
    "function name",
    "[A-Za-z0-9_-]{1,100}",
    |text| is_word(text, 100)
);

name!(
    /// The name of a variable or a secret.
    VariableName,
    "variable name",
    "[A-Za-z_][A-Za-z0-9_]{0,255}",
    |text| {
        is_word(text, 256) && !text.contains('-') && !text.starts_with(|first: char| first.is_ascii_digit())
    }
);

impl AppName {
    /// The app every host has from its first start.
    pub fn default_app() -> Self {
        Self("default".to_owned())
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $make:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one.
            pub fn generate() -> Self {
                let make: fn() -> Uuid = $make;
                Self(make())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identifier!(
    /// Identifies a function for good, whatever becomes of its name.
    FunctionId,
    Uuid::new_v4
);
identifier!(
    /// Identifies one run of a function. Version 7, so that identifiers sort by time.
    ExecutionId,
    Uuid::now_v7
);
identifier!(
    /// Identifies an API key.
    ApiKeyId,
    Uuid::new_v4
);
identifier!(
    /// Identifies a management token.
    TokenId,
    Uuid::new_v4
);

impl ExecutionId {
    /// After all that executions have.
    pub const LAST: Self = Self(Uuid::max());

    /// The least one that an execution can have that began then or later.
    pub fn not_before(time: Timestamp) -> Self {
        let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
        // Version 7 has the time in its first 48 bits (RFC 9562, section 5.7).
        Self(Uuid::from_u128(u128::from(milliseconds) << 80))
    }
}

/// The SHA-256 of an uploaded component: what identifies its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_to_their_patterns() {
        for good in ["a", "A-b_9", &"x".repeat(100)] {
            assert_eq!(good.parse::<FunctionName>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "../x", "é", "a/b", "a.b", &"x".repeat(101)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad:?}");
        }
        assert!("Default".parse::<AppName>().is_err());
        assert!("1X".parse::<VariableName>().is_err());
        assert!("A-B".parse::<VariableName>().is_err());
        assert!("_A1".parse::<VariableName>().is_ok());
    }
}
