//! `Secret`: text that nobody sees by accident. It redacts itself wherever it is printed and is zeroed when dropped.

pub mod redact;
pub mod rotation;
pub mod seal;

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Text that must not reach a log, an error or a response: a token, a key, the value of a variable.
///
/// It has no `Serialize` and no `PartialEq`: sending it takes a visible [`Secret::expose`], and comparing it is for code
/// that does so in constant time.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A fresh one: `prefix` and 256 random bits in URL-safe base64 (43 characters).
    pub fn generate(prefix: &str) -> Self {
        let random = seal::random::<32>();
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 43));
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(random.as_slice(), &mut text);
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own text quotes what it found instead of a string, which may be the secret typed without quotes.
        String::deserialize(deserializer)
            .map(Self::from)
            .map_err(|_| serde::de::Error::custom("a secret must be a string"))
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_shows_nothing() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "[redacted] [redacted] Some([redacted])");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        assert_eq!(serde_json::from_str::<Secret>("\"hunter2\"").unwrap().expose(), "hunter2");
        let error = serde_json::from_str::<Secret>("4711").unwrap_err().to_string();
        assert!(error.contains("must be a string") && !error.contains("4711"), "{error}");
    }

    #[test]
    fn generated_secrets_differ_and_carry_their_prefix() {
        let (one, two) = (Secret::generate("cad_"), Secret::generate("cad_"));
        assert_ne!(one.expose(), two.expose());
        assert!(one.expose().starts_with("cad_"));
        assert_eq!(one.expose().len(), 47);
    }
}
