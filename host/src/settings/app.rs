//! What the owner of an app may choose for all of its functions. Changed at once, without a deployment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_size;
use super::cors::CorsSettings;
use super::issuer::IssuerSettings;
use super::rate::RateLimits;
use crate::error::Error;
use crate::tunables::{APP_SETTINGS_BYTES, AUDIENCES, ISSUER_KEYS, ISSUERS};

/// The settings of an app.
// An app stored by an older host lacks the newer fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AppSettings {
    /// What the `aud` of tokens that are signed with the app's secret must name, if anything.
    pub audiences: Vec<String>,
    /// Who else makes tokens for the app's users.
    pub issuers: Vec<IssuerSettings>,
    /// What browsers are told about pages of other origins, where a function has no settings for that.
    pub cors: Option<CorsSettings>,
    /// How often one caller may ask.
    pub rate_limits: RateLimits,
}

/// Settings to change; what is left out stays, `null` goes back to the default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of AppSettings")]
pub struct AppPatch {
    #[serde(default, deserialize_with = "given")]
    pub audiences: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    pub issuers: Option<Vec<IssuerSettings>>,
    #[serde(default, deserialize_with = "given")]
    pub cors: Option<Option<CorsSettings>>,
    #[serde(default, deserialize_with = "given")]
    pub rate_limits: Option<RateLimits>,
}

/// `null` is there, and means the default.
fn given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer).map(|value| Some(value.unwrap_or_default()))
}

impl AppPatch {
    /// The settings with these changes, or what is wrong with them.
    ///
    /// # Errors
    /// The message names the field.
    pub fn apply(self, mut settings: AppSettings) -> Result<AppSettings, Error> {
        if let Some(audiences) = self.audiences {
            check_audiences("audiences", &audiences)?;
            settings.audiences = audiences;
        }
        if let Some(issuers) = self.issuers {
            check_issuers(&issuers)?;
            settings.issuers = issuers;
        }
        if let Some(cors) = self.cors {
            settings.cors = cors;
        }
        if let Some(limits) = self.rate_limits {
            settings.rate_limits = limits;
        }
        check_size("the settings of an app", &settings, APP_SETTINGS_BYTES)?;
        Ok(settings)
    }
}

fn check_audiences(field: &str, audiences: &[String]) -> Result<(), Error> {
    if audiences.len() > AUDIENCES || audiences.iter().any(String::is_empty) {
        return Err(Error::invalid(format!("{field} has at most {AUDIENCES} entries, none of them empty")));
    }
    Ok(())
}

fn check_issuers(issuers: &[IssuerSettings]) -> Result<(), Error> {
    if issuers.len() > ISSUERS {
        return Err(Error::invalid(format!("issuers: there can be at most {ISSUERS}")));
    }
    for (index, settings) in issuers.iter().enumerate() {
        let field = format!("issuers[{index}]");
        check_audiences(&format!("{field}.audiences"), &settings.audiences)?;
        if settings.jwks_url.is_some() != settings.keys.is_empty() {
            return Err(Error::invalid(format!("{field}: give either keys or jwks_url")));
        }
        if settings.keys.len() > ISSUER_KEYS {
            return Err(Error::invalid(format!("{field}.keys: there can be at most {ISSUER_KEYS}")));
        }
        if !settings.is_sent_safely() {
            return Err(Error::invalid(format!("{field}.jwks_url must be an https URL, unless it is on loopback")));
        }
        let twice = |other: &IssuerSettings| other.issuer == settings.issuer;
        if issuers.iter().take(index).any(twice) {
            return Err(Error::invalid(format!("{field}.issuer is there twice: give one issuer all of its keys")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(patch: serde_json::Value) -> Result<AppSettings, String> {
        let patch: AppPatch = serde_json::from_value(patch).map_err(|error| error.to_string())?;
        patch.apply(AppSettings::default()).map_err(|error| error.message.into_owned())
    }

    #[test]
    fn errors_name_the_field() {
        let url = "https://issuer.example/jwks.json";
        for (patch, part) in [
            (json!({"audiences": [""]}), "audiences"),
            (json!({"audience": "x"}), "audience"),
            (json!({"issuers": [{"jwks_url": url, "audiences": vec!["a"; 21]}]}), "issuers[0].audiences"),
            (json!({"issuers": [{"issuer": "i"}]}), "issuers[0]: give either keys or jwks_url"),
            (json!({"issuers": [{"jwks_url": url, "keys": [{}]}]}), "issuers[0]: give either keys or jwks_url"),
            (json!({"issuers": [{"keys": vec![json!({}); 51]}]}), "issuers[0].keys"),
            (json!({"issuers": [{"jwks_url": url}, {"jwks_url": url}]}), "issuers[1].issuer"),
            (json!({"issuers": [{"jwks_url": "http://issuer.example/"}]}), "issuers[0].jwks_url"),
            (json!({"issuers": [{"jwks_url": "ftp://issuer.example/"}]}), "jwks_url"),
            (json!({"issuers": [{"jwks_url": "https://me:secret@issuer.example/"}]}), "jwks_url"),
            (json!({"issuers": [{"jwks_url": url, "audience": "x"}]}), "audience"),
            (json!({"audiences": ["a".repeat(1_100_000)]}), "the settings of an app"),
        ] {
            let error = apply(patch.clone()).unwrap_err();
            assert!(error.contains(part), "{patch}: {error}");
            assert!(!error.contains("secret@"), "{error}");
        }
        let eleven: Vec<_> = (0..11).map(|n| json!({"issuer": n.to_string(), "jwks_url": url})).collect();
        assert!(apply(json!({ "issuers": eleven })).unwrap_err().contains("at most 10"));
    }

    #[test]
    fn null_goes_back_to_the_default_and_what_is_left_out_stays() {
        let settings = apply(json!({"audiences": ["a"], "issuers": [{"jwks_url": "https://i.example/k"}]})).unwrap();
        let patch: AppPatch = serde_json::from_value(json!({"audiences": null})).unwrap();
        let settings = patch.apply(settings).unwrap();
        assert_eq!((settings.audiences.len(), settings.issuers.len()), (0, 1));
    }
}
