//! `/secrets`: what `supabase secrets set`, `list` and `unset` call (SB8).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Api;
use super::super::extract::{InApp, list_of};
use super::super::secrets::{apply, check};
use crate::error::Error;
use crate::ids::{ContentHash, VariableName};
use crate::secrets::Secret;
use crate::store::Reader;
use crate::store::secrets::{self as store, Scope};
use crate::tunables::MANAGEMENT_BODY_BYTES;

/// A secret, of which the value is told by its hash only: enough to see whether it is the one somebody has at hand.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SupabaseSecret")]
pub(in crate::api) struct SecretObject {
    name: VariableName,
    value: String,
    updated_at: Timestamp,
}

/// `GET /secrets`
pub(super) async fn list(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let scope = Scope::App(app.name.clone());
    let read = move |tx: &Reader<'_>| Ok((store::list(tx, &scope)?, store::values(tx, &scope)?));
    let (variables, values) = api.store.read(read).await?;
    let object = |variable: store::Variable| {
        let value = values.get(variable.name.as_str());
        let digest = value.map(|value| ContentHash::of(value.expose().as_bytes()).to_string());
        SecretObject { name: variable.name, value: digest.unwrap_or_default(), updated_at: variable.updated_at }
    };
    Ok(Json(variables.into_iter().map(object).collect::<Vec<_>>()).into_response())
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewSupabaseSecret")]
pub(in crate::api) struct NewSecret {
    name: VariableName,
    value: Secret,
}

/// `POST /secrets`
pub(super) async fn set(State(api): State<Arc<Api>>, InApp(app): InApp, request: Request) -> Result<Response, Error> {
    let secrets: Vec<NewSecret> = list_of(request, MANAGEMENT_BODY_BYTES).await?;
    let changes: BTreeMap<_, _> = secrets.into_iter().map(|NewSecret { name, value }| (name, Some(value))).collect();
    check(&changes)?;
    change(&api, &app, changes).await?;
    Ok(StatusCode::CREATED.into_response())
}

/// `DELETE /secrets`
pub(super) async fn unset(State(api): State<Arc<Api>>, InApp(app): InApp, request: Request) -> Result<Response, Error> {
    let names: Vec<VariableName> = list_of(request, MANAGEMENT_BODY_BYTES).await?;
    change(&api, &app, names.into_iter().map(|name| (name, None)).collect()).await?;
    Ok(StatusCode::OK.into_response())
}

async fn change(
    api: &Api,
    app: &crate::router::table::App,
    changes: BTreeMap<VariableName, Option<Secret>>,
) -> Result<(), Error> {
    let scope = Scope::App(app.name.clone());
    let _order = api.deployer.change(app).await?;
    api.store.write(move |tx| apply(tx, &scope, changes)).await?;
    app.forget_environments();
    Ok(())
}
