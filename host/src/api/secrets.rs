//! `/secrets` and `/functions/{name}/env`: values go in and never come out.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Api;
use super::extract::{InApp, InPath, Object, json, value_of};
use super::functions::{FunctionPath, no_function};
use crate::error::{Code, Error};
use crate::ids::VariableName;
use crate::store::secrets::{self as store, Changes, Scope, Variable};
use crate::store::{Reader, StoreError, Writer, functions};
use crate::tunables::{MANAGEMENT_BODY_BYTES, VARIABLE_BYTES};

/// Names the host keeps for itself.
const RESERVED_PREFIX: &str = "CADDIS_";

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Variable")]
pub(in crate::api) struct VariableObject {
    name: VariableName,
    updated_at: Timestamp,
}

impl From<Variable> for VariableObject {
    fn from(variable: Variable) -> Self {
        Self { name: variable.name, updated_at: variable.updated_at }
    }
}

fn listed(variables: Vec<Variable>) -> Response {
    Json(variables.into_iter().map(VariableObject::from).collect::<Vec<_>>()).into_response()
}

/// `GET /secrets`
pub(super) async fn list(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let scope = Scope::App(app.name.clone());
    Ok(listed(api.store.read(move |tx| store::list(tx, &scope)).await?))
}

/// `PUT /secrets`: `{"NAME": "value"}`; `null` removes.
pub(super) async fn put(State(api): State<Arc<Api>>, InApp(app): InApp, request: Request) -> Result<Response, Error> {
    let changes = changes(request).await?;
    let scope = Scope::App(app.name.clone());
    let _order = api.deployer.change(&app).await?;
    let variables = api.store.write(move |tx| apply(tx, &scope, changes)).await?;
    app.forget_environments();
    Ok(listed(variables))
}

/// `DELETE /secrets/{name}`
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(path): InPath<VariablePath>,
) -> Result<Response, Error> {
    let scope = Scope::App(app.name.clone());
    let _order = api.deployer.change(&app).await?;
    let found = api.store.write(move |tx| store::delete(tx, &scope, &path.name)).await?;
    if !found {
        return Err(Error::new(Code::NotFound, "there is no such secret in this app"));
    }
    app.forget_environments();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A secret of a route.
#[derive(Deserialize)]
pub(super) struct VariablePath {
    name: VariableName,
}

/// `GET /functions/{name}/env`
pub(super) async fn list_function(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
) -> Result<Response, Error> {
    let app_name = app.name.clone();
    let read = move |tx: &Reader<'_>| {
        let id = functions::get(tx, &app_name, &name)?.id;
        store::list(tx, &Scope::Function(id))
    };
    Ok(listed(api.store.read(read).await.map_err(no_function)?))
}

/// `PATCH /functions/{name}/env` (BB12): merges; `null` removes.
pub(super) async fn patch_function(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    request: Request,
) -> Result<Response, Error> {
    let changes = function_changes(request).await?;
    let app_name = app.name.clone();
    let function = name.clone();
    let write = move |tx: &Writer<'_>| {
        let id = functions::get(tx, &app_name, &function)?.id;
        apply(tx, &Scope::Function(id), changes)
    };
    let _order = api.deployer.change(&app).await?;
    let variables = api.store.write(write).await.map_err(no_function)?;
    app.forget_environment(&name);
    Ok(listed(variables))
}

/// Variables of one function: as they are, or below `envVars` as Butterbase has them.
async fn function_changes(request: Request) -> Result<Changes, Error> {
    let Object(mut body) = json(request, MANAGEMENT_BODY_BYTES).await?;
    let nested = body.get("envVars").is_some_and(Value::is_object) && body.len() == 1;
    let given = if nested { body.remove("envVars").unwrap_or_default() } else { Value::Object(body) };
    let changes: Changes = value_of("", given)?;
    check(&changes)?;
    Ok(changes)
}

async fn changes(request: Request) -> Result<Changes, Error> {
    let changes: Changes = json(request, MANAGEMENT_BODY_BYTES).await?;
    check(&changes)?;
    Ok(changes)
}

/// Refuses names and values that cannot be.
pub(super) fn check(changes: &Changes) -> Result<(), Error> {
    for (name, value) in changes {
        if name.as_str().starts_with(RESERVED_PREFIX) {
            return Err(Error::invalid(format!("{name}: names that start with {RESERVED_PREFIX} are reserved")));
        }
        if value.as_ref().is_some_and(|value| value.expose().len() > VARIABLE_BYTES) {
            return Err(Error::invalid(format!("{name}: a value has at most {VARIABLE_BYTES} bytes")));
        }
        // WASI passes variables as C strings do.
        if value.as_ref().is_some_and(|value| value.expose().contains('\0')) {
            return Err(Error::invalid(format!("{name}: a value cannot contain a NUL character")));
        }
    }
    Ok(())
}

/// Sets and removes, and says what there is now.
pub(super) fn apply(tx: &Writer<'_>, scope: &Scope, changes: Changes) -> Result<Vec<Variable>, StoreError> {
    store::apply(tx, scope, changes)?;
    store::list(tx, scope)
}
