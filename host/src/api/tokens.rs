//! `/tokens`: who else may manage. A token is shown once, when it is made.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::extract::{By, InPath, json};
use super::keys::check_name;
use crate::auth::KeyHash;
use crate::auth::management::Scope;
use crate::error::{Code, Error};
use crate::ids::{AppName, TokenId};
use crate::secrets::Secret;
use crate::settings::rate::RateLimit;
use crate::store::tokens::{self as store, ManagementToken, NewToken};
use crate::store::{StoreError, Writer};
use crate::tunables::{MANAGEMENT_BODY_BYTES, MANAGEMENT_TOKENS};

/// What tokens start with, so that scanners and people recognise them.
const PREFIX: &str = "cmt_";

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagementToken")]
pub(in crate::api) struct TokenObject {
    id: TokenId,
    name: String,
    scope: Scope,
    app: Option<AppName>,
    rate_limit: Option<RateLimit>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl TokenObject {
    fn new(token: ManagementToken, shown: Option<String>) -> Self {
        let ManagementToken { id, name, scope, app, rate_limit, created_at } = token;
        Self { id, name, scope, app, rate_limit, created_at, token: shown }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewManagementToken")]
pub(in crate::api) struct Wanted {
    name: String,
    scope: Scope,
    app: Option<AppName>,
    rate_limit: Option<RateLimit>,
}

/// A token of a route.
#[derive(Deserialize)]
pub(super) struct TokenPath {
    id: TokenId,
}

/// `GET /tokens`
pub(super) async fn list(State(api): State<Arc<Api>>, By(principal): By) -> Result<Response, Error> {
    let app = principal.app.clone();
    let tokens = api.store.read(move |tx| store::list(tx, app.as_ref())).await?;
    Ok(Json(tokens.into_iter().map(|token| TokenObject::new(token, None)).collect::<Vec<_>>()).into_response())
}

/// `POST /tokens`: the only answer that ever holds the token. Whoever is bound to an app binds others to it too.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let Wanted { name, scope, app, rate_limit } = json(request, MANAGEMENT_BODY_BYTES).await?;
    check_name(&name)?;
    principal.require_app(app.as_ref())?;
    let token = Secret::generate(PREFIX);
    let hash = KeyHash::of(token.expose());
    let new = NewToken { name, scope, app: app.clone(), rate_limit };
    let write = move |tx: &Writer<'_>| {
        if store::count(tx)? >= MANAGEMENT_TOKENS {
            return Err(Error::invalid(format!("there can be at most {MANAGEMENT_TOKENS} tokens")).into());
        }
        store::create(tx, new, &hash.0)
    };
    let _order = api.deployer.apps.lock().await;
    let stored = api.store.write(write).await.map_err(|error| match (error, app) {
        (StoreError::NotFound, Some(app)) => Error::invalid(format!("app: there is no app {app}")),
        (other, _) => other.into(),
    })?;
    api.tokens.add(hash, Arc::new(stored.principal()));
    Ok((StatusCode::CREATED, Json(TokenObject::new(stored, Some(token.expose().to_owned())))).into_response())
}

/// `DELETE /tokens/{id}`
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    By(principal): By,
    InPath(TokenPath { id }): InPath<TokenPath>,
) -> Result<Response, Error> {
    let app = principal.app.clone();
    let _order = api.deployer.apps.lock().await;
    api.store.write(move |tx| store::delete(tx, id, app.as_ref())).await.map_err(|error| match error {
        StoreError::NotFound => Error::new(Code::NotFound, "there is no such token"),
        other => other.into(),
    })?;
    api.tokens.retain(|other| other.token != Some(id));
    Ok(StatusCode::NO_CONTENT.into_response())
}
