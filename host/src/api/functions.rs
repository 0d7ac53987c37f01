//! `/functions`: deploy, read, change, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Api;
use super::extract::{InApp, InPath, InQuery, bytes, json};
use crate::error::{Code, Error};
use crate::ids::{AppName, FunctionId, FunctionName};
use crate::settings::{Access, Settings, SettingsPatch};
use crate::store::functions::{self as store, FunctionVersion, Published};

/// How the execution records and versions name the holder of the admin token.
const ADMIN: &str = "admin";

/// The function of a route.
#[derive(Deserialize)]
pub(super) struct FunctionPath {
    pub(super) name: FunctionName,
}

/// A function as clients see it: the fields of FX3, and ours.
#[derive(Serialize)]
struct FunctionObject {
    id: FunctionId,
    app: AppName,
    name: FunctionName,
    version: u32,
    #[serde(flatten)]
    settings: Settings,
    kind: &'static str,
    world: String,
    size_bytes: u64,
    sha256: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: String,
}

impl From<FunctionVersion> for FunctionObject {
    fn from(version: FunctionVersion) -> Self {
        Self {
            id: version.id,
            app: version.app,
            name: version.name,
            version: version.version,
            settings: version.settings,
            kind: "component",
            world: version.world,
            size_bytes: version.size_bytes,
            sha256: version.component.to_string(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            created_by: version.created_by,
        }
    }
}

/// Settings in the query of an upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadQuery {
    description: Option<String>,
    enabled: Option<bool>,
    access: Option<UploadAccess>,
    timeout_seconds: Option<u32>,
    memory_limit_mb: Option<u32>,
    fuel: Option<u64>,
    allow_net: Option<bool>,
    allow_env: Option<bool>,
}

/// The policies that fit into a query.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UploadAccess {
    Public,
    Authenticated,
}

impl From<UploadQuery> for SettingsPatch {
    fn from(query: UploadQuery) -> Self {
        Self {
            description: query.description.map(Some),
            // An upload is meant to be used, whatever became of the version before.
            enabled: Some(query.enabled.unwrap_or(true)),
            access: query.access.map(|access| match access {
                UploadAccess::Public => Access::Public,
                UploadAccess::Authenticated => Access::Authenticated,
            }),
            timeout_seconds: query.timeout_seconds,
            memory_limit_mb: query.memory_limit_mb,
            fuel: query.fuel,
            allow_net: query.allow_net,
            allow_env: query.allow_env,
            ..Self::default()
        }
    }
}

/// `GET /functions`
pub(super) async fn list(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let name = app.name.clone();
    let versions = api.store.read(move |tx| store::list(tx, &name)).await?;
    Ok(Json(versions.into_iter().map(FunctionObject::from).collect::<Vec<_>>()).into_response())
}

/// `GET /functions/{name}`
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(path): InPath<FunctionPath>,
) -> Result<Response, Error> {
    let name = app.name.clone();
    let version = api.store.read(move |tx| store::get(tx, &name, &path.name)).await.map_err(no_function)?;
    Ok(Json(FunctionObject::from(version)).into_response())
}

/// `PUT /functions/{name}`: a component, or settings as JSON.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    InQuery(query): InQuery<std::collections::BTreeMap<String, String>>,
    request: Request,
) -> Result<Response, Error> {
    match media_type(&request) {
        "application/wasm" => {
            let InQuery(query) = upload_query(&request)?;
            let patch = SettingsPatch::from(query);
            let component = bytes(request, api.max_component_bytes).await?;
            let maxima = api.maxima;
            let (version, published) = api.deployer.component(&app, name, patch, maxima, component, ADMIN).await?;
            let status = match published {
                Published::Created => StatusCode::CREATED,
                Published::Updated => StatusCode::OK,
            };
            Ok((status, Json(FunctionObject::from(version))).into_response())
        }
        "application/json" => {
            if let Some(name) = query.keys().next() {
                return Err(Error::invalid(format!("query: {name} belongs into the JSON body here")));
            }
            let patch: SettingsPatch = json(request).await?;
            let version = api.deployer.settings(&app, name, patch, api.maxima, ADMIN).await.map_err(no_function)?;
            Ok(Json(FunctionObject::from(version)).into_response())
        }
        other => Err(Error::new(
            Code::UnsupportedMediaType,
            format!(
                "Content-Type must be application/wasm (a component) or application/json (settings), got {other:?}"
            ),
        )),
    }
}

/// `DELETE /functions/{name}`
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
) -> Result<Response, Error> {
    api.deployer.delete(&app, name).await.map_err(no_function)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn upload_query(request: &Request) -> Result<InQuery<UploadQuery>, Error> {
    match axum::extract::Query::try_from_uri(request.uri()) {
        Ok(axum::extract::Query(query)) => Ok(InQuery(query)),
        Err(rejection) => Err(Error::invalid(format!("query: {}", rejection.body_text()))),
    }
}

/// The media type without its parameters.
fn media_type(request: &Request) -> &str {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Says what was not found.
pub(super) fn no_function(error: impl Into<Error>) -> Error {
    let error = error.into();
    match error.code {
        Code::NotFound => Error::new(Code::NotFound, "there is no such function in this app"),
        _ => error,
    }
}
