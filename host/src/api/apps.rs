//! `/apps`: tenants.

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
use super::extract::{By, InApp, Object, json, value_of};
use crate::error::{Code, Error};
use crate::ids::AppName;
use crate::secrets::Secret;
use crate::settings::app::{AppPatch, AppSettings};
use crate::store::apps as store;
use crate::tunables::MANAGEMENT_BODY_BYTES;

/// Fewest bytes of a secret for HS256 (RFC 7518, section 3.2).
const JWT_SECRET_BYTES: usize = 32;

/// Words that are routes below `/v1/` of other APIs, or will be.
const RESERVED: [&str; 3] = ["apps", "projects", "functions"];

/// An app as clients see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "App")]
pub(in crate::api) struct AppObject {
    name: AppName,
    created_at: Timestamp,
    #[serde(flatten)]
    settings: AppSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_secret: Option<String>,
}

impl AppObject {
    fn new(app: store::App, jwt_secret: Option<String>) -> Self {
        Self { name: app.name, created_at: app.created_at, settings: app.settings, jwt_secret }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewApp {
    name: AppName,
    jwt_secret: Option<Secret>,
}

/// `GET /apps`
pub(super) async fn list(State(api): State<Arc<Api>>, By(principal): By) -> Result<Response, Error> {
    let apps = api.store.read(store::list).await?;
    let apps = apps.into_iter().filter(|app| principal.require_app(Some(&app.name)).is_ok());
    Ok(Json(apps.map(|app| AppObject::new(app, None)).collect::<Vec<_>>()).into_response())
}

/// `POST /apps`: the only answer that ever holds the app's secret.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    principal.require_app(None)?;
    let NewApp { name, jwt_secret } = json(request, MANAGEMENT_BODY_BYTES).await?;
    if RESERVED.contains(&name.as_str()) {
        return Err(Error::invalid(format!("name: {name} is reserved")));
    }
    let secret = jwt_secret.unwrap_or_else(|| Secret::generate(""));
    check_secret(&secret)?;
    let shown = secret.expose().to_owned();
    let app = api.deployer.create_app(name, secret).await?;
    Ok((StatusCode::CREATED, Json(AppObject::new(app, Some(shown)))).into_response())
}

fn check_secret(secret: &Secret) -> Result<(), Error> {
    if secret.expose().len() < JWT_SECRET_BYTES {
        return Err(Error::invalid(format!("jwt_secret must have at least {JWT_SECRET_BYTES} bytes (RFC 7518)")));
    }
    Ok(())
}

/// `GET /apps/{app}`
pub(super) async fn get(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let name = app.name.clone();
    let app = api.store.read(move |tx| store::get(tx, &name)).await?;
    Ok(Json(AppObject::new(app, None)).into_response())
}

/// `PATCH /apps/{app}`: changes what is given.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    request: Request,
) -> Result<Response, Error> {
    let Object(mut body) = json(request, MANAGEMENT_BODY_BYTES).await?;
    let secret = match body.remove("jwt_secret") {
        Some(Value::String(secret)) => Some(Secret::from(secret)),
        Some(_) => return Err(Error::invalid("body: jwt_secret must be a string")),
        None => None,
    };
    secret.as_ref().map_or(Ok(()), check_secret)?;
    let patch: AppPatch = value_of("", Value::Object(body))?;
    let changed = api.deployer.change_app(&app, patch, secret).await?;
    Ok(Json(AppObject::new(changed, None)).into_response())
}

/// `DELETE /apps/{app}`: with everything that is in it.
pub(super) async fn delete(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    if app.name == AppName::default_app() {
        return Err(Error::new(Code::Conflict, "the default app is always there; delete its functions instead"));
    }
    api.deployer.delete_app(&app).await?;
    api.tokens.retain(|principal| principal.app.as_ref() != Some(&app.name));
    Ok(StatusCode::NO_CONTENT.into_response())
}
