//! Butterbase's words for settings, and its routes beyond the native ones: `POST /functions` that deploys or updates, `PATCH …/settings`,
//! `GET …/logs` (BB1, BB2, BB11, BB12).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::executions::{limit, recorded};
use super::extract::{By, InApp, InPath, InQuery, Object, json, value_of};
use super::functions::{Draft, FunctionObject, FunctionPath, SOURCE_BODY_BYTES, answer_as, no_function, read};
use super::pages::Pages;
use super::secrets::check;
use super::{Api, triggers};
use crate::deploy::Expect;
use crate::error::Error;
use crate::ids::ExecutionId;
use crate::settings::Settings;
use crate::store::executions::stats::Stats;
use crate::store::executions::{ExecutionRow, Page};
use crate::store::functions;
use crate::store::secrets::Changes;
use crate::tunables::{MANAGEMENT_BODY_BYTES, TIMEOUT_SECONDS};

/// Milliseconds of a second.
const MILLISECONDS: u32 = 1_000;

/// Hours that the metrics of a function are about: as long as statistics are kept.
const METRICS_HOURS: i64 = 720;

/// What Butterbase calls otherwise, taken out of a body and put into native words. The variables come back.
pub(super) fn translate(body: &mut Map<String, Value>) -> Result<Changes, Error> {
    rename(body, "memoryLimitMb", "memory_limit_mb", Ok)?;
    rename(body, "timeoutMs", "timeout_seconds", seconds)?;
    triggers::translate(body)?;
    let Some(variables) = body.remove("envVars") else { return Ok(Changes::new()) };
    let variables: Changes = value_of("envVars: ", variables)?;
    check(&variables)?;
    Ok(variables)
}

fn rename(
    body: &mut Map<String, Value>,
    theirs: &str,
    ours: &str,
    convert: impl FnOnce(Value) -> Result<Value, Error>,
) -> Result<(), Error> {
    let Some(value) = body.remove(theirs) else { return Ok(()) };
    if body.contains_key(ours) {
        return Err(Error::invalid(format!("body: {theirs} and {ours} are the same; give one")));
    }
    body.insert(ours.to_owned(), convert(value)?);
    Ok(())
}

/// Whole seconds, as the host counts them: never less than what was asked for.
fn seconds(milliseconds: Value) -> Result<Value, Error> {
    let most = TIMEOUT_SECONDS.max * MILLISECONDS;
    let given = milliseconds.as_u64().and_then(|given| u32::try_from(given).ok());
    match given.filter(|given| (1..=most).contains(given)) {
        Some(given) => Ok(given.div_ceil(MILLISECONDS).into()),
        None => Err(Error::invalid(format!("body: timeoutMs must be between 1 and {most}, got {milliseconds}"))),
    }
}

/// What a function object has more below `/v1/{app}`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ButterbaseSettings")]
pub(super) struct SettingsObject {
    timeout_ms: u32,
    memory_limit_mb: u32,
    triggers: Vec<Value>,
}

impl From<&Settings> for SettingsObject {
    fn from(settings: &Settings) -> Self {
        Self {
            timeout_ms: settings.timeout_seconds * MILLISECONDS,
            memory_limit_mb: settings.memory_limit_mb,
            triggers: triggers::shown(settings),
        }
    }
}

/// What BB10 counts, in Butterbase's words, over the last thirty days.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ButterbaseMetrics")]
pub(super) struct MetricsObject {
    total_invocations: u64,
    error_count: u64,
    error_rate: f64,
    avg_duration_ms: Option<f64>,
    last_invocation: Option<Timestamp>,
}

impl From<Stats> for MetricsObject {
    fn from(stats: Stats) -> Self {
        let error_count = stats.error + stats.timeout;
        let total_invocations = stats.success + error_count;
        Self {
            total_invocations,
            error_count,
            error_rate: if total_invocations == 0 { 0.0 } else { error_count as f64 / total_invocations as f64 },
            avg_duration_ms: stats.average_us.map(|average| average / 1_000.0),
            last_invocation: stats.last,
        }
    }
}

/// A function in Butterbase's words, beside the native ones.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ButterbaseFunction")]
pub(in crate::api) struct ButterbaseObject {
    #[serde(flatten)]
    function: FunctionObject,
    #[serde(flatten)]
    settings: SettingsObject,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    metrics: Option<MetricsObject>,
}

impl ButterbaseObject {
    fn new(function: FunctionObject) -> Self {
        let settings = SettingsObject::from(function.settings());
        Self { function, settings, metrics: None }
    }
}

/// `GET /functions`
pub(super) async fn list(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let name = app.name.clone();
    let object = |version| ButterbaseObject::new(FunctionObject::from(version));
    let objects = move |versions: Vec<_>| versions.into_iter().map(object).collect::<Vec<_>>();
    let functions = api.store.read(move |tx| functions::list(tx, &name).map(objects)).await?;
    Ok(Json(functions).into_response())
}

/// `GET /functions/{name}`: with its metrics.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
) -> Result<Response, Error> {
    let function = read(&api, &app, name).await?;
    api.store.executions().flush().await?;
    let since = Timestamp::now() - SignedDuration::from_hours(METRICS_HOURS);
    let stats = api.store.executions().stats(function.id(), since).await?;
    let object = ButterbaseObject { metrics: Some(stats.into()), ..ButterbaseObject::new(function) };
    Ok(Json(object).into_response())
}

/// `POST /functions`: the first or the next version of a function, which serves at once.
pub(super) async fn deploy(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let Object(body) = json(request, SOURCE_BODY_BYTES).await?;
    let (name, draft) = Draft::named(body)?;
    draft.must_have_content()?;
    let (deployed, recipe) = draft.deploy(&api, &app, name, Expect::Any, &principal).await?;
    Ok(answer_as(ButterbaseObject::new, deployed, recipe))
}

/// `PATCH /functions/{name}/settings`
pub(super) async fn settings(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let Object(body) = json(request, MANAGEMENT_BODY_BYTES).await?;
    let draft = Draft::new(body)?;
    if draft.content.is_some() {
        return Err(Error::invalid("body: code and files are no settings; POST or PUT the function to change them"));
    }
    let (deployed, recipe) = draft.deploy(&api, &app, name, Expect::Existing, &principal).await.map_err(no_function)?;
    Ok(answer_as(ButterbaseObject::new, deployed, recipe))
}

/// Which log entries.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct LogsQuery {
    limit: Option<u32>,
    since: Option<Timestamp>,
    #[serde(default)]
    level: LogsLevel,
    #[serde(default)]
    include_deleted: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LogsLevel {
    #[default]
    All,
    Error,
}

/// An execution as Butterbase has it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ButterbaseLog")]
pub(in crate::api) struct LogObject {
    id: ExecutionId,
    timestamp: Timestamp,
    method: String,
    path: String,
    #[serde(rename = "status_code")]
    status_code: Option<u16>,
    #[serde(rename = "duration_ms")]
    duration_ms: u64,
    #[serde(rename = "memory_mb")]
    memory_mb: f64,
    error: Option<String>,
    #[serde(rename = "error_stack")]
    error_stack: Option<String>,
    console_logs: Vec<ConsoleLine>,
}

#[derive(Serialize, JsonSchema)]
struct ConsoleLine {
    level: String,
    message: String,
    /// When the execution began: lines have no times of their own.
    timestamp: Timestamp,
}

impl From<ExecutionRow> for LogObject {
    fn from(row: ExecutionRow) -> Self {
        let timestamp = row.executed_at;
        let line = |line: &str| {
            let (level, message) = line.split_once(": ").unwrap_or(("log", line));
            let level = level.strip_prefix("console.").unwrap_or(level).to_owned();
            ConsoleLine { level, message: message.to_owned(), timestamp }
        };
        Self {
            id: row.id,
            timestamp,
            method: row.method,
            path: row.path,
            status_code: row.status_code,
            duration_ms: row.duration_ms,
            memory_mb: (row.peak_memory_bytes as f64 / f64::from(1 << 20) * 100.0).round() / 100.0,
            error: row.error_message,
            error_stack: row.error_stack,
            console_logs: row.logs.lines().map(line).collect(),
        }
    }
}

/// `GET /functions/{name}/logs?limit=&since=&level=`
pub(super) async fn logs(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    InQuery(query): InQuery<LogsQuery>,
) -> Result<Response, Error> {
    let limit = limit(query.limit)?;
    if query.include_deleted {
        return Err(Error::invalid("query: include_deleted: the history of a function is deleted with it"));
    }
    let id = recorded(&api, &app.name, name).await?;
    let failed = query.level == LogsLevel::Error;
    let page = Page { limit, since: query.since, failed, ..Page::default() };
    Pages::new(&api, app.name.clone(), id, page).array::<LogObject>().await
}
