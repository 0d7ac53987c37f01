//! What handlers take from a request, with errors that name what is wrong.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Api;
use super::reception::bytes;
use crate::auth::management::Principal;
use crate::deploy::find_app;
use crate::error::Error;
use crate::ids::AppName;
use crate::router::table::App;

/// The app the route is about.
pub struct InApp(pub Arc<App>);

impl FromRequestParts<Arc<Api>> for InApp {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct AppPath {
            app: Option<AppName>,
        }
        let InPath(AppPath { app }) = InPath::from_request_parts(parts, api).await?;
        find_app(&api.table, &app.unwrap_or_else(AppName::default_app)).map(Self)
    }
}

/// Who makes the request: whom the gate let through.
pub struct By(pub Arc<Principal>);

impl FromRequestParts<Arc<Api>> for By {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Error> {
        let principal = parts.extensions.get::<Arc<Principal>>().cloned();
        principal.map(Self).ok_or_else(|| Error::internal("a management route without its gate"))
    }
}

/// Names in the path.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Api>> for InPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Error> {
        match Path::from_request_parts(parts, api).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Error::invalid(format!("path: {}", rejection.body_text()))),
        }
    }
}

/// The query.
pub struct InQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for InQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Error> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Error::invalid(format!("query: {}", rejection.body_text()))),
        }
    }
}

/// A JSON object as the body, of at most `limit` bytes. Errors name the field, the line and the column.
pub async fn json<T: DeserializeOwned>(request: axum::extract::Request, limit: usize) -> Result<T, Error> {
    parse(&bytes(request, limit).await?, b'{', "body: must be a JSON object")
}

/// A JSON array as the body, of at most `limit` bytes.
pub async fn list_of<T: DeserializeOwned>(request: axum::extract::Request, limit: usize) -> Result<Vec<T>, Error> {
    parse(&bytes(request, limit).await?, b'[', "body: must be a JSON array")
}

/// JSON that starts with this character. Anything else would be quoted in the error, and a bare string is most likely a secret without
/// its name.
fn parse<T: DeserializeOwned>(body: &[u8], start: u8, otherwise: &'static str) -> Result<T, Error> {
    if body.trim_ascii_start().first() != Some(&start) {
        return Err(Error::invalid(otherwise));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| wrong("", &error))?;
    deserializer.end().map_err(|error| Error::invalid(format!("body: {error}")))?;
    Ok(value)
}

/// Deserializes a value of a body. `within` says where it was, with a colon and a space at its end.
pub fn value_of<T: DeserializeOwned>(within: &str, value: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| wrong(within, &error))
}

fn wrong(within: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let path = error.path().to_string();
    let field = if path == "." { String::new() } else { format!("{path}: ") };
    Error::invalid(format!("body: {within}{field}{}", without_what_was_found(error.inner().to_string())))
}

/// serde's text quotes a value of the wrong type: in the wrong place, that may be a secret.
fn without_what_was_found(message: String) -> String {
    const START: &str = "invalid type: ";
    let found = message.strip_prefix(START).and_then(|rest| rest.rsplit_once(", expected "));
    let Some((found, expected)) = found else { return message };
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{START}{kind}, expected {expected}")
}

/// A JSON object in which no name is there twice: which of two values counts is nothing to guess about.
pub struct Object(pub Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some(name) = access.next_key::<String>()? {
                    if object.contains_key(&name) {
                        return Err(serde::de::Error::custom(format!("{name} is there twice")));
                    }
                    object.insert(name, access.next_value()?);
                }
                Ok(Object(object))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        let error =
            |value: Value| value_of::<std::collections::BTreeMap<String, u32>>("x: ", value).unwrap_err().message;
        for (value, expected) in [
            (Value::from("hunter2, expected \"y\""), "body: x: invalid type: string, expected a map"),
            (serde_json::json!({ "a": "hunter2" }), "body: x: a: invalid type: string, expected u32"),
            (serde_json::json!({ "a": 4.5 }), "body: x: a: invalid type: floating point, expected u32"),
            (serde_json::json!({ "a": -1 }), "body: x: a: invalid value: integer `-1`, expected u32"),
        ] {
            assert_eq!(error(value), expected);
        }
    }
}
