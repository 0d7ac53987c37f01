//! `/functions/{name}/executions`: what ran, newest first (FX9, FX10).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::extract::{InApp, InPath, InQuery};
use super::functions::{FunctionPath, no_function};
use super::pages::Pages;
use crate::error::{Code, Error};
use crate::ids::{AppName, ExecutionId, FunctionId, FunctionName};
use crate::store::executions::{ExecutionRow, Page, Status, Trigger};
use crate::store::functions;

/// Rows of one page: by default, and at most (FX9).
const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 1_000;

/// How many rows somebody gets who asks for this many.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Error> {
    let limit = asked.unwrap_or(LIMIT);
    match (1..=LIMIT_MAX).contains(&limit) {
        true => Ok(limit),
        false => Err(Error::invalid(format!("query: limit must be between 1 and {LIMIT_MAX}, got {limit}"))),
    }
}

/// The function a route is about, with all that is recorded of it by now: a caller who just got a response finds its execution.
pub(super) async fn recorded(api: &Api, app: &AppName, name: FunctionName) -> Result<FunctionId, Error> {
    let app = app.clone();
    let id = api.store.read(move |tx| functions::get(tx, &app, &name)).await.map_err(no_function)?.id;
    api.store.executions().flush().await?;
    Ok(id)
}

/// Which executions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ExecutionsQuery {
    limit: Option<u32>,
    #[serde(default)]
    offset: u32,
    status: Option<StatusName>,
    trigger_type: Option<TriggerName>,
    since: Option<Timestamp>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ExecutionStatus")]
pub(super) enum StatusName {
    Success,
    Error,
    Timeout,
}

impl From<StatusName> for Status {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Success => Self::Success,
            StatusName::Error => Self::Error,
            StatusName::Timeout => Self::Timeout,
        }
    }
}

impl From<Status> for StatusName {
    fn from(status: Status) -> Self {
        match status {
            Status::Success => Self::Success,
            Status::Error => Self::Error,
            Status::Timeout => Self::Timeout,
        }
    }
}

/// What started an execution, by its name.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub(super) struct TriggerName(#[schemars(with = "String")] pub(super) Trigger);

impl TryFrom<String> for TriggerName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Trigger::parse(&name)
            .map(Self)
            .ok_or_else(|| format!("trigger_type must be http, cron or trigger, got {name:?}"))
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Execution")]
pub(in crate::api) struct ExecutionObject {
    id: ExecutionId,
    function_id: FunctionId,
    function_version: u32,
    trigger_type: &'static str,
    user_id: Option<String>,
    method: String,
    path: String,
    status: StatusName,
    status_code: Option<u16>,
    duration_ms: u64,
    fuel: u64,
    peak_memory_bytes: u64,
    response_bytes: u64,
    result: Option<String>,
    logs: String,
    logs_dropped: u64,
    error_code: Option<&'static str>,
    error_message: Option<String>,
    error_stack: Option<String>,
    executed_at: Timestamp,
    completed_at: Timestamp,
}

impl From<ExecutionRow> for ExecutionObject {
    fn from(row: ExecutionRow) -> Self {
        Self {
            id: row.id,
            function_id: row.function_id,
            function_version: row.function_version,
            trigger_type: row.trigger_type.as_str(),
            user_id: row.user_id,
            method: row.method,
            path: row.path,
            status: row.status.into(),
            status_code: row.status_code,
            duration_ms: row.duration_ms,
            fuel: row.fuel,
            peak_memory_bytes: row.peak_memory_bytes,
            response_bytes: row.response_bytes,
            result: row.result,
            logs: row.logs,
            logs_dropped: row.logs_dropped,
            error_code: row.error_code.map(|code| code.as_str()),
            error_message: row.error_message,
            error_stack: row.error_stack,
            executed_at: row.executed_at,
            completed_at: row.completed_at,
        }
    }
}

/// `GET /functions/{name}/executions?limit=&offset=&status=&trigger_type=&since=`
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    InQuery(query): InQuery<ExecutionsQuery>,
) -> Result<Response, Error> {
    let limit = limit(query.limit)?;
    let id = recorded(&api, &app.name, name).await?;
    let trigger = query.trigger_type.map(|TriggerName(trigger)| trigger);
    let status = query.status.map(Status::from);
    let page = Page { limit, offset: query.offset, status, trigger, since: query.since, ..Page::default() };
    Pages::new(&api, app.name.clone(), id, page).array::<ExecutionObject>().await
}

/// An execution of a route.
#[derive(Deserialize)]
pub(super) struct ExecutionPath {
    name: FunctionName,
    id: ExecutionId,
}

/// `GET /functions/{name}/executions/{id}`
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(ExecutionPath { name, id }): InPath<ExecutionPath>,
) -> Result<Response, Error> {
    let function = recorded(&api, &app.name, name).await?;
    let row = api.store.executions().get(app.name.clone(), function, id).await?;
    let none = || {
        let message = "no such execution of this function is kept: it may still run, or be too old";
        Error::new(Code::NotFound, message)
    };
    Ok(Json(ExecutionObject::from(row.ok_or_else(none)?)).into_response())
}
