//! `/functions/{name}/versions`, `…/rollback`, `…/traffic`: which of the versions that are kept serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::extract::{InApp, InPath, json};
use super::functions::{FunctionObject, FunctionPath, kind, no_function, recipe_of};
use crate::error::{Code, Error};
use crate::store::functions::{self, FunctionVersion, versions};
use crate::tunables::MANAGEMENT_BODY_BYTES;

/// A version of a function. What was deployed is identified, not shown: `GET /functions/{name}` has the source.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Version")]
pub(in crate::api) struct VersionObject {
    version: u32,
    /// Whether it is the one that gets the requests nobody else gets.
    active: bool,
    /// Requests of a hundred.
    traffic: u8,
    kind: &'static str,
    sha256: String,
    size_bytes: u64,
    created_at: Timestamp,
    created_by: String,
}

impl VersionObject {
    fn new(version: FunctionVersion, active: u32, traffic: &versions::Traffic) -> Self {
        let shared: u8 = traffic.values().sum();
        let is_active = version.version == active;
        Self {
            version: version.version,
            active: is_active,
            traffic: match traffic.get(&version.version) {
                Some(percent) => *percent,
                None if is_active => 100_u8.saturating_sub(shared),
                None => 0,
            },
            kind: kind(&version),
            sha256: version.component.to_string(),
            size_bytes: version.size_bytes,
            created_at: version.updated_at,
            created_by: version.created_by,
        }
    }
}

/// `GET /functions/{name}/versions`
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
) -> Result<Response, Error> {
    let app_name = app.name.clone();
    let read = move |tx: &crate::store::Reader<'_>| {
        let active = functions::get(tx, &app_name, &name)?;
        Ok((active.version, versions::traffic(tx, active.id)?, versions::list(tx, &app_name, &name)?))
    };
    let (active, traffic, found) = api.store.read(read).await.map_err(no_function)?;
    let objects: Vec<_> = found.into_iter().map(|version| VersionObject::new(version, active, &traffic)).collect();
    Ok(Json(objects).into_response())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Rollback {
    version: u32,
}

/// `POST /functions/{name}/rollback`
pub(super) async fn rollback(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    request: Request,
) -> Result<Response, Error> {
    let Rollback { version } = json(request, MANAGEMENT_BODY_BYTES).await?;
    let active = api.deployer.rollback(&app, name, version).await.map_err(named)?;
    let recipe = recipe_of(&api, &active).await?;
    Ok(Json(FunctionObject::new(active, recipe)).into_response())
}

/// `POST /functions/{name}/traffic`
pub(super) async fn traffic(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    request: Request,
) -> Result<Response, Error> {
    let traffic: BTreeMap<u32, u8> = json(request, MANAGEMENT_BODY_BYTES).await?;
    let traffic = api.deployer.set_traffic(&app, name, traffic).await.map_err(named)?;
    Ok(Json(traffic).into_response())
}

/// Says that the function is missing, unless it says already which version is.
fn named(error: Error) -> Error {
    match error.code {
        Code::NotFound if !error.message.contains("version") => no_function(error),
        _ => error,
    }
}
