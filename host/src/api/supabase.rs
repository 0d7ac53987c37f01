//! `/v1/projects/{ref}/…`: the part of Supabase's management API that its CLI calls to deploy, list and delete functions and to set and
//! list secrets. A project is an app: its ref is the app's name.
//!
//! The CLI wants refs of 20 lower-case letters and tokens of the form `sbp_` and 40 hexadecimal digits.

pub(super) mod functions;
pub(super) mod secrets;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::extract::InApp;
use crate::error::{Code, Error};
use crate::ids::AppName;
use crate::store::apps;

/// The routes of one project.
pub(super) fn of_a_project() -> Router<Arc<Api>> {
    Router::new()
        .route("/", get(project))
        .route("/api-keys", get(api_keys))
        .route("/functions", get(functions::list).post(functions::eszip).put(functions::eszip))
        .route("/functions/deploy", post(functions::deploy))
        .route("/functions/{slug}", get(functions::get).patch(functions::patch).delete(functions::delete))
        .route("/functions/{slug}/body", get(functions::body))
        .route("/secrets", get(secrets::list).post(secrets::set).delete(secrets::unset))
}

/// An app as a project.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SupabaseProject")]
pub(in crate::api) struct ProjectObject {
    id: AppName,
    #[serde(rename = "ref")]
    reference: AppName,
    name: AppName,
    organization_id: &'static str,
    organization_slug: &'static str,
    region: &'static str,
    status: &'static str,
    created_at: Timestamp,
}

/// `GET /`
async fn project(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let known = api.store.read(apps::list).await?;
    let found = known.into_iter().find(|known| known.name == app.name);
    let created_at = found.ok_or_else(|| Error::new(Code::NotFound, "there is no such project"))?.created_at;
    let name = app.name.clone();
    let object = ProjectObject {
        id: name.clone(),
        reference: name.clone(),
        name,
        organization_id: "caddis",
        organization_slug: "caddis",
        region: "self-hosted",
        status: "ACTIVE_HEALTHY",
        created_at,
    };
    Ok(Json(object).into_response())
}

/// A key of the project.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SupabaseKey")]
pub(in crate::api) struct KeyObject<'a> {
    name: &'static str,
    api_key: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// `GET /api-keys`
async fn api_keys(InApp(app): InApp) -> Response {
    let verifier = app.verifier();
    let keys = verifier.project_keys();
    let key = |name, api_key| KeyObject { name, api_key, kind: "legacy" };
    Json([key("anon", keys.anon.as_str()), key("service_role", keys.service_role.expose())]).into_response()
}
