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
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { format!("{path}: ") };
        Error::invalid(format!("body: {field}{}", error.inner()))
    })?;
    deserializer.end().map_err(|error| Error::invalid(format!("body: {error}")))?;
    Ok(value)
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
