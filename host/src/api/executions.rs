//! `/functions/{name}/executions`: what ran, newest first (FX9, FX10).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::extract::{InApp, InPath, InQuery};
use super::functions::{FunctionPath, no_function};
use super::pages::Pages;
use crate::error::Error;
use crate::ids::{AppName, ExecutionId, FunctionId, FunctionName};
use crate::store::executions::stats::Stats;
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

/// Hours the statistics are about: by default, and at most, which is how long they are kept.
const HOURS: u32 = 24;
const HOURS_MAX: u32 = 720;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StatsQuery {
    hours: Option<u32>,
}

/// What BB10 asks for, and percentiles. Times in milliseconds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Statistics")]
pub(in crate::api) struct StatsObject {
    hours: u32,
    count: u64,
    errors: u64,
    timeouts: u64,
    error_rate: f64,
    average_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    last_invocation: Option<Timestamp>,
}

impl StatsObject {
    fn new(hours: u32, stats: &Stats) -> Self {
        let Stats { success, error, timeout, .. } = *stats;
        let failed = error + timeout;
        let count = success + failed;
        let milliseconds = |microseconds: f64| (microseconds / 10.0).round() / 100.0;
        let [p50, p95, p99] = match stats.percentiles_us {
            Some(percentiles) => percentiles.map(milliseconds).map(Some),
            None => [None; 3],
        };
        Self {
            hours,
            count,
            errors: failed,
            timeouts: timeout,
            error_rate: if count == 0 { 0.0 } else { failed as f64 / count as f64 },
            average_ms: stats.average_us.map(milliseconds),
            p50_ms: p50,
            p95_ms: p95,
            p99_ms: p99,
            last_invocation: stats.last,
        }
    }
}

/// `GET /functions/{name}/stats?hours=`
pub(super) async fn stats(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    InQuery(query): InQuery<StatsQuery>,
) -> Result<Response, Error> {
    let hours = query.hours.unwrap_or(HOURS);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Error::invalid(format!("query: hours must be between 1 and {HOURS_MAX}, got {hours}")));
    }
    let id = recorded(&api, &app.name, name).await?;
    let since = Timestamp::now() - SignedDuration::from_hours(hours.into());
    let stats = api.store.executions().stats(id, since).await?;
    Ok(Json(StatsObject::new(hours, &stats)).into_response())
}

/// `GET /functions/{name}/executions?limit=&offset=&status=&trigger_type=`
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
    let page = Page { limit, offset: query.offset, status, trigger, ..Page::default() };
    Pages::new(&api, app.name.clone(), id, page).array::<ExecutionObject>().await
}
