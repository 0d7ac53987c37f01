//! `/token`: what the token is good for that a request presents.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::extract::By;
use crate::auth::management::Scope;
use crate::ids::{AppName, TokenId};
use crate::settings::rate::RateLimit;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PresentedToken")]
pub(in crate::api) struct PresentedObject<'a> {
    /// None is the admin token.
    id: Option<TokenId>,
    scope: Scope,
    /// The only app it is good for, if it is bound to one.
    app: Option<&'a AppName>,
    rate_limit: Option<RateLimit>,
    /// Where functions are called.
    url: String,
    /// The version of the host.
    host_version: &'static str,
}

/// `GET /token`
pub(super) async fn get(State(api): State<Arc<Api>>, By(principal): By) -> Response {
    let object = PresentedObject {
        id: principal.token,
        scope: principal.scope,
        app: principal.app.as_ref(),
        rate_limit: principal.rate_limit,
        url: api.origin.project_url(&AppName::default_app()),
        host_version: env!("CARGO_PKG_VERSION"),
    };
    Json(object).into_response()
}
