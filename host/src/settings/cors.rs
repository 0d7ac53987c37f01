//! Which pages of other origins may call, and read the answers (the CORS protocol of the Fetch standard).

use http::uri::Scheme;
use http::{HeaderName, Method, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tunables::{CORS_MAX_AGE_SECONDS, CORS_NAMES};

/// What the host says to browsers for a function, or for all functions of an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "CorsObject", into = "CorsObject")]
pub struct CorsSettings {
    origins: Origins,
    methods: Vec<String>,
    headers: Vec<String>,
    expose_headers: Vec<String>,
    credentials: bool,
    max_age_seconds: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Origins {
    Any,
    These(Vec<String>),
}

/// The settings as JSON has them.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CorsObject {
    /// `*`, or as browsers write them: scheme, host and port.
    origins: Vec<String>,
    /// Whatever is asked for, when there are none.
    #[serde(default)]
    methods: Vec<String>,
    /// Whatever is asked for, when there are none.
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    expose_headers: Vec<String>,
    #[serde(default)]
    credentials: bool,
    #[serde(default = "max_age")]
    max_age_seconds: u32,
}

fn max_age() -> u32 {
    CORS_MAX_AGE_SECONDS.default
}

impl CorsSettings {
    /// Whether every page may call.
    pub fn allows_any(&self) -> bool {
        self.origins == Origins::Any
    }

    /// Whether pages of this origin may call.
    pub fn allows(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::These(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    /// With which methods, if that matters.
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// With which header fields, if that matters.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Which header fields of an answer pages may read.
    pub fn expose_headers(&self) -> &[String] {
        &self.expose_headers
    }

    /// Whether browsers may send cookies.
    pub fn credentials(&self) -> bool {
        self.credentials
    }

    /// How long browsers may remember all this.
    pub fn max_age_seconds(&self) -> u32 {
        self.max_age_seconds
    }
}

impl TryFrom<CorsObject> for CorsSettings {
    type Error = String;

    fn try_from(object: CorsObject) -> Result<Self, String> {
        let CorsObject { origins, methods, headers, expose_headers, credentials, max_age_seconds } = object;
        let range = CORS_MAX_AGE_SECONDS;
        if !(range.min..=range.max).contains(&max_age_seconds) {
            return Err(format!("max_age_seconds must be between {} and {}", range.min, range.max));
        }
        for (field, names) in
            [("origins", &origins), ("methods", &methods), ("headers", &headers), ("expose_headers", &expose_headers)]
        {
            if names.len() > CORS_NAMES {
                return Err(format!("{field} has at most {CORS_NAMES} entries"));
            }
        }
        for method in &methods {
            Method::from_bytes(method.as_bytes()).map_err(|_| format!("methods: {method:?} is not a method"))?;
        }
        for header in headers.iter().chain(&expose_headers) {
            HeaderName::from_bytes(header.as_bytes())
                .map_err(|_| format!("headers: {header:?} is not a field name"))?;
        }
        let origins = if origins == ["*"] { Origins::Any } else { Origins::These(checked(origins)?) };
        // Browsers refuse the pair, so that no page of whoever reads with the cookies of somebody else.
        if credentials && origins == Origins::Any {
            return Err("credentials need origins that are named, not *".to_owned());
        }
        Ok(Self { origins, methods, headers, expose_headers, credentials, max_age_seconds })
    }
}

fn checked(origins: Vec<String>) -> Result<Vec<String>, String> {
    if origins.is_empty() {
        return Err("origins must name at least one, or be [\"*\"]".to_owned());
    }
    for origin in &origins {
        let is_origin = |uri: &Uri| {
            let web = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
            let serialized =
                uri.authority().map(|authority| format!("{}://{authority}", uri.scheme_str().unwrap_or_default()));
            web && serialized.as_deref() == Some(origin) && !origin.contains('@')
        };
        let lower = origin.to_ascii_lowercase() == *origin;
        if !lower || !origin.parse().is_ok_and(|uri| is_origin(&uri)) {
            return Err(format!(
                "origins: {origin:?} is not an origin as browsers send it, such as https://app.example.com or http://localhost:3000"
            ));
        }
    }
    Ok(origins)
}

impl From<CorsSettings> for CorsObject {
    fn from(settings: CorsSettings) -> Self {
        let CorsSettings { origins, methods, headers, expose_headers, credentials, max_age_seconds } = settings;
        let origins = match origins {
            Origins::Any => vec!["*".to_owned()],
            Origins::These(origins) => origins,
        };
        Self { origins, methods, headers, expose_headers, credentials, max_age_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_named() {
        let parse = |value| serde_json::from_value::<CorsSettings>(value).map_err(|error| error.to_string());
        for (value, part) in [
            (json!({}), "origins"),
            (json!({"origins": []}), "origins"),
            (json!({"origins": ["*", "https://a.example"]}), "\"*\""),
            (json!({"origins": ["a.example"]}), "a.example"),
            (json!({"origins": ["https://a.example/"]}), "a.example"),
            (json!({"origins": ["https://A.example"]}), "A.example"),
            (json!({"origins": ["ftp://a.example"]}), "ftp"),
            (json!({"origins": ["null"]}), "null"),
            (json!({"origins": ["*"], "credentials": true}), "credentials"),
            (json!({"origins": ["*"], "methods": ["GET IT"]}), "GET IT"),
            (json!({"origins": ["*"], "headers": ["a b"]}), "a b"),
            (json!({"origins": ["*"], "expose_headers": ["ä"]}), "ä"),
            (json!({"origins": ["*"], "expose_headers": vec!["a"; 101]}), "expose_headers"),
            (json!({"origins": ["*"], "max_age_seconds": 100_000}), "max_age_seconds"),
            (json!({"origins": ["*"], "origin": "x"}), "origin"),
        ] {
            let error = parse(value.clone()).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
        let settings = parse(json!({"origins": ["https://a.example", "http://[::1]:3000"]})).unwrap();
        assert!(settings.allows("https://a.example") && settings.allows("http://[::1]:3000"));
        assert!(!settings.allows("https://a.example.evil") && !settings.allows("http://a.example"));
        let full = serde_json::to_value(&settings).unwrap();
        assert_eq!(parse(full).unwrap(), settings);
    }
}
