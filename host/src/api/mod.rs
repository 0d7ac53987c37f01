//! The management API: its routes, and the one gate before them. Handlers parse, call one thing, and answer.
//!
//! Everything of an app is there twice: `/api/v1/…` is the default app (FX1), `/v1/{app}/…` any app (BB1).

pub mod apps;
mod auth_user;
mod butterbase;
mod database;
pub mod executions;
mod export;
pub mod extract;
pub mod functions;
mod gate;
pub mod keys;
pub mod metrics;
mod multipart;
mod openapi;
mod pages;
mod presented;
mod reception;
mod schedule;
pub mod secrets;
mod stats;
mod supabase;
mod test_call;
mod tokens;
mod triggers;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use http::StatusCode;

use self::metrics::Gauges;
use crate::auth::management::ManagementTokens;
use crate::deploy::Deployer;
use crate::error::{Code, Error};
use crate::http::rate::Limiter;
use crate::http::respond;
use crate::invoke::Invoker;
use crate::router::table::Table;
use crate::runtime::limits::MemoryBudget;
use crate::sandbox::origin::Origin;
use crate::store::Store;

/// What the handlers work with.
pub struct Api {
    /// Apps and their functions, as served.
    pub table: Arc<Table>,
    /// What is kept.
    pub store: Store,
    /// Makes versions active.
    pub deployer: Arc<Deployer>,
    /// Who may manage.
    pub tokens: Arc<ManagementTokens>,
    /// How often they may ask.
    pub limiter: Arc<Limiter>,
    /// Where the host is reached.
    pub origin: Origin,
    /// Runs functions.
    pub invoker: Arc<Invoker>,
    /// What the host is measured by.
    pub gauges: Gauges,
    /// For all large bodies of requests together.
    pub bodies: Arc<MemoryBudget>,
    /// Largest upload, in bytes.
    pub max_component_bytes: usize,
}

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    let managed = Router::new()
        .route("/api/v1/apps", get(apps::list).post(apps::create))
        .route("/api/v1/apps/{app}", get(apps::get).patch(apps::change).delete(apps::delete))
        .route("/metrics", get(metrics::get))
        .route("/api/v1/token", get(presented::get))
        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{id}", delete(tokens::delete))
        .nest("/api/v1", native().merge(of_an_app()))
        .nest("/v1/{app}", in_butterbase_s_words().merge(of_an_app()))
        .nest("/v1/projects/{app}", supabase::of_a_project())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(api.clone(), gate::authorize))
        .with_state(api.clone());
    let open = Router::new()
        .route("/auth/v1/user", get(auth_user::user).options(auth_user::preflight))
        .route("/projects/{app}/auth/v1/user", get(auth_user::user).options(auth_user::preflight))
        .route("/openapi.json", get(openapi::get))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(api);
    let pages = Router::new().route("/admin", get(elsewhere));
    Router::new().merge(open).merge(pages).route("/healthz", get(healthy)).route("/readyz", get(healthy)).merge(managed)
}

fn native() -> Router<Arc<Api>> {
    Router::new()
        .route("/functions", get(functions::list).post(functions::create))
        .route("/functions/{name}", get(functions::get).put(functions::put).delete(functions::delete))
}

fn in_butterbase_s_words() -> Router<Arc<Api>> {
    Router::new()
        .route("/functions", get(butterbase::list).post(butterbase::deploy))
        .route("/functions/{name}", get(butterbase::get).put(functions::put).delete(functions::delete))
}

fn of_an_app() -> Router<Arc<Api>> {
    Router::new()
        .route("/functions/{name}/settings", patch(butterbase::settings))
        .route("/functions/{name}/logs", get(butterbase::logs))
        .route("/functions/{name}/stats", get(stats::of_function))
        .route("/functions/{name}/test", post(test_call::call))
        .route("/functions/{name}/versions", get(versions::list))
        .route("/functions/{name}/rollback", post(versions::rollback))
        .route("/functions/{name}/traffic", post(versions::traffic))
        .route("/functions/{name}/cron", post(schedule::run))
        .route("/functions/{name}/env", get(secrets::list_function).patch(secrets::patch_function))
        .route("/functions/{name}/executions", get(executions::list))
        .route("/functions/{name}/executions/{id}", get(executions::get))
        .route("/functions/{name}/executions/export", get(export::export))
        .route("/functions/{name}/executions/stream", get(export::tail))
        .route("/stats", get(stats::of_app))
        .route("/secrets", get(secrets::list).put(secrets::put))
        .route("/secrets/{name}", delete(secrets::delete))
        .route("/api-keys", get(keys::list).post(keys::create))
        .route("/api-keys/{id}", delete(keys::delete))
        .route("/user-tokens", post(keys::sign_user_token))
        .route("/db/migrations", get(database::migrations).post(database::migrate))
        .route("/db/query", post(database::query))
        .route("/db/dump", get(database::dump))
        .route("/db/import", post(database::import))
        .route("/project", get(keys::project))
}

/// What somebody is told who looks for the admin interface among the functions.
async fn elsewhere() -> Error {
    let message = "the admin interface is at an address of its own, where no function answers: the host prints it when it starts, and --admin-listen chooses it";
    Error::new(Code::NotFound, message)
}

async fn healthy() -> StatusCode {
    StatusCode::OK
}

async fn not_found() -> Error {
    Error::new(Code::NotFound, "there is no such route")
}

async fn method_not_allowed() -> Error {
    Error::new(Code::MethodNotAllowed, "the route exists, but not with this method; see the Allow header")
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        respond::error(&self).map(axum::body::Body::new)
    }
}
