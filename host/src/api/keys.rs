//! `/api-keys` for programs, `/user-tokens` for people.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Api;
use super::extract::{InApp, InPath, json};
use crate::auth::KeyHash;
use crate::error::{Code, Error};
use crate::ids::ApiKeyId;
use crate::secrets::Secret;
use crate::store::StoreError;
use crate::store::api_keys::{self as store, ApiKey};
use crate::tunables::MANAGEMENT_BODY_BYTES;

/// What API keys start with, so that scanners and people recognise them.
const PREFIX: &str = "cak_";

/// Longest name of a key, in bytes.
const NAME_BYTES: usize = 100;

/// How long a user token is good for, in seconds: by default, and at most.
const TOKEN_SECONDS: u64 = 3_600;
const TOKEN_SECONDS_MAX: u64 = 30 * 24 * 3_600;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(in crate::api) struct KeyObject {
    id: ApiKeyId,
    name: String,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyObject {
    fn new(key: ApiKey, shown: Option<String>) -> Self {
        Self { id: key.id, name: key.name, created_at: key.created_at, key: shown }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewApiKey")]
pub(in crate::api) struct NewKey {
    name: String,
}

/// A key of a route.
#[derive(Deserialize)]
pub(super) struct KeyPath {
    id: ApiKeyId,
}

/// `GET /api-keys`
pub(super) async fn list(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let name = app.name.clone();
    let keys = api.store.read(move |tx| store::list(tx, &name)).await?;
    Ok(Json(keys.into_iter().map(|key| KeyObject::new(key, None)).collect::<Vec<_>>()).into_response())
}

/// `POST /api-keys`: the only answer that ever holds the key.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    request: Request,
) -> Result<Response, Error> {
    let NewKey { name } = json(request, MANAGEMENT_BODY_BYTES).await?;
    check_name(&name)?;
    let key = Secret::generate(PREFIX);
    let hash = KeyHash::of(key.expose());
    let app_name = app.name.clone();
    let _order = api.deployer.change(&app).await?;
    let stored = api.store.write(move |tx| store::create(tx, &app_name, &name, &hash.0)).await?;
    app.add_api_key(hash, stored.id);
    Ok((StatusCode::CREATED, Json(KeyObject::new(stored, Some(key.expose().to_owned())))).into_response())
}

/// What a key or a token may be called.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES {
        return Err(Error::invalid(format!("name must have 1 to {NAME_BYTES} bytes")));
    }
    Ok(())
}

/// `DELETE /api-keys/{id}`
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(KeyPath { id }): InPath<KeyPath>,
) -> Result<Response, Error> {
    let name = app.name.clone();
    let _order = api.deployer.change(&app).await?;
    api.store.write(move |tx| store::delete(tx, &name, id)).await.map_err(|error| match error {
        StoreError::NotFound => Error::new(Code::NotFound, "there is no such API key in this app"),
        other => other.into(),
    })?;
    app.remove_api_key(id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewUserToken")]
pub(in crate::api) struct NewToken {
    sub: String,
    expires_in: Option<u64>,
    #[serde(flatten)]
    claims: Map<String, Value>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UserToken")]
pub(in crate::api) struct TokenObject {
    token: String,
    expires_in: u64,
}

/// `POST /user-tokens`: signs a token for a user of the app, with whatever claims the body has.
pub(super) async fn sign_user_token(InApp(app): InApp, request: Request) -> Result<Response, Error> {
    let NewToken { sub, expires_in, mut claims } = json(request, MANAGEMENT_BODY_BYTES).await?;
    let expires_in = expires_in.unwrap_or(TOKEN_SECONDS);
    if sub.is_empty() || !(1..=TOKEN_SECONDS_MAX).contains(&expires_in) {
        let message = format!("sub must not be empty, and expires_in be between 1 and {TOKEN_SECONDS_MAX} seconds");
        return Err(Error::invalid(message));
    }
    let now = jsonwebtoken::get_current_timestamp();
    claims.insert("sub".to_owned(), Value::from(sub));
    claims.insert("iat".to_owned(), Value::from(now));
    claims.insert("exp".to_owned(), Value::from(now + expires_in));
    let token = app.verifier().own().sign(claims).map_err(Error::internal)?;
    Ok((StatusCode::CREATED, Json(TokenObject { token, expires_in })).into_response())
}

/// What clients in Supabase's manner are made with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProjectKeys")]
pub(in crate::api) struct ProjectObject<'a> {
    url: String,
    anon_key: &'a str,
    service_role_key: &'a str,
}

/// `GET /project`: the URL and the keys for `createClient(url, key)`.
pub(super) async fn project(State(api): State<Arc<Api>>, InApp(app): InApp) -> Response {
    let verifier = app.verifier();
    let keys = verifier.project_keys();
    let url = api.origin.project_url(&app.name);
    Json(ProjectObject { url, anon_key: &keys.anon, service_role_key: keys.service_role.expose() }).into_response()
}
