//! `POST /functions/{name}/cron`: a run of a function's schedule, now.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

use super::Api;
use super::extract::{InApp, InPath};
use super::functions::{FunctionPath, no_function};
use crate::error::{Code, Error};
use crate::invoke::Call;

/// `POST /functions/{name}/cron`: answers what the function answers.
pub(super) async fn run(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
) -> Result<Response, Error> {
    let function = app.function(&name).ok_or_else(|| no_function(Error::new(Code::NotFound, "not found")))?;
    if function.version.settings.cron_schedule.is_none() {
        return Err(Error::invalid(format!(
            "{name} has no schedule; give it one: {{\"cron_schedule\": \"*/5 * * * *\"}}"
        )));
    }
    let call = Call::scheduled(app, &function, &api.origin, Timestamp::now())?;
    let switchboard = api.invoker.switchboard();
    let switchboard = switchboard.ok_or_else(|| Error::new(Code::ShuttingDown, "the host is shutting down"))?;
    Ok(switchboard.connect(call).await.map(Body::new))
}
