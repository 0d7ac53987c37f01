//! `/apps`: tenants.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Api;
use super::extract::json;
use crate::auth::jwt::TokenKey;
use crate::error::Error;
use crate::ids::AppName;
use crate::router::table::App;
use crate::secrets::Secret;
use crate::store::apps as store;
use crate::tunables::MANAGEMENT_BODY_BYTES;

/// Fewest bytes of a secret for HS256 (RFC 7518, section 3.2).
const JWT_SECRET_BYTES: usize = 32;

/// Words that are routes below `/v1/` of other APIs, or will be.
const RESERVED: [&str; 3] = ["apps", "projects", "functions"];

#[derive(Serialize)]
struct AppObject {
    name: AppName,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_secret: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApp {
    name: AppName,
    jwt_secret: Option<Secret>,
}

/// `GET /apps`
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Response, Error> {
    let apps = api.store.read(store::list).await?;
    let object = |app: store::App| AppObject { name: app.name, created_at: app.created_at, jwt_secret: None };
    Ok(Json(apps.into_iter().map(object).collect::<Vec<_>>()).into_response())
}

/// `POST /apps`: the only answer that ever holds the app's secret.
pub(super) async fn create(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Error> {
    let NewApp { name, jwt_secret } = json(request, MANAGEMENT_BODY_BYTES).await?;
    if RESERVED.contains(&name.as_str()) {
        return Err(Error::invalid(format!("name: {name} is reserved")));
    }
    let secret = jwt_secret.unwrap_or_else(|| Secret::generate(""));
    if secret.expose().len() < JWT_SECRET_BYTES {
        return Err(Error::invalid(format!("jwt_secret must have at least {JWT_SECRET_BYTES} bytes (RFC 7518)")));
    }
    let tokens = TokenKey::new(&secret);
    let shown = secret.expose().to_owned();
    let app = api.store.write(move |tx| store::create(tx, &name, &secret)).await?;
    let served = App::new(app.name.clone(), tokens, HashMap::new()).map_err(Error::internal)?;
    api.table.insert(Arc::new(served));
    let object = AppObject { name: app.name, created_at: app.created_at, jwt_secret: Some(shown) };
    Ok((StatusCode::CREATED, Json(object)).into_response())
}
