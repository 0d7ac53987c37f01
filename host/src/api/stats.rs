//! `/functions/{name}/stats` and `/stats`: how many executions, how they ended, how long they took (BB10).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::executions::recorded;
use super::extract::{InApp, InPath, InQuery};
use super::functions::FunctionPath;
use crate::error::Error;
use crate::ids::FunctionName;
use crate::store::executions::stats::Stats;
use crate::store::functions;

/// Hours the statistics are about: by default, and at most, which is how long they are kept.
const HOURS: u32 = 24;
const HOURS_MAX: u32 = 720;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StatsQuery {
    hours: Option<u32>,
    /// Whether each hour is wanted by itself, too.
    #[serde(default)]
    hourly: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AppStatsQuery {
    hours: Option<u32>,
}

/// Counts, and times in milliseconds.
#[derive(Serialize, JsonSchema)]
struct Counts {
    count: u64,
    errors: u64,
    timeouts: u64,
    error_rate: f64,
    average_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// What BB10 asks for, and percentiles.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Statistics")]
pub(in crate::api) struct StatsObject {
    hours: u32,
    #[serde(flatten)]
    counts: Counts,
    last_invocation: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hourly: Option<Vec<HourObject>>,
}

/// An hour in which there were executions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatisticsOfAnHour")]
struct HourObject {
    /// When it began.
    hour: Timestamp,
    #[serde(flatten)]
    counts: Counts,
}

impl From<&Stats> for Counts {
    fn from(stats: &Stats) -> Self {
        let Stats { success, error, timeout, .. } = *stats;
        let failed = error + timeout;
        let count = success + failed;
        let milliseconds = |microseconds: f64| (microseconds / 10.0).round() / 100.0;
        let [p50_ms, p95_ms, p99_ms] = match stats.percentiles_us {
            Some(percentiles) => percentiles.map(milliseconds).map(Some),
            None => [None; 3],
        };
        Self {
            count,
            errors: failed,
            timeouts: timeout,
            error_rate: if count == 0 { 0.0 } else { failed as f64 / count as f64 },
            average_ms: stats.average_us.map(milliseconds),
            p50_ms,
            p95_ms,
            p99_ms,
        }
    }
}

impl StatsObject {
    fn new(hours: u32, stats: &Stats) -> Self {
        Self { hours, counts: stats.into(), last_invocation: stats.last, hourly: None }
    }
}

/// The hours somebody asks for, and when the first of them began.
fn window(hours: Option<u32>) -> Result<(u32, Timestamp), Error> {
    let hours = hours.unwrap_or(HOURS);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Error::invalid(format!("query: hours must be between 1 and {HOURS_MAX}, got {hours}")));
    }
    Ok((hours, Timestamp::now() - SignedDuration::from_hours(hours.into())))
}

/// `GET /functions/{name}/stats?hours=&hourly=`
pub(super) async fn of_function(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    InQuery(query): InQuery<StatsQuery>,
) -> Result<Response, Error> {
    let (hours, since) = window(query.hours)?;
    let id = recorded(&api, &app.name, name).await?;
    let executions = api.store.executions();
    let mut object = StatsObject::new(hours, &executions.stats(id, since).await?);
    if query.hourly {
        let found = executions.hourly_stats(id, since).await?;
        object.hourly =
            Some(found.iter().map(|(hour, stats)| HourObject { hour: *hour, counts: stats.into() }).collect());
    }
    Ok(Json(object).into_response())
}

/// `GET /stats?hours=`: of all functions of the app, by their names.
pub(super) async fn of_app(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InQuery(query): InQuery<AppStatsQuery>,
) -> Result<Response, Error> {
    let (hours, since) = window(query.hours)?;
    let found = api.store.read(move |tx| functions::list(tx, &app.name)).await?;
    let executions = api.store.executions();
    executions.flush().await?;
    let stats = executions.stats_of_all(found.iter().map(|function| function.id).collect(), since).await?;
    let objects = stats.iter().map(|stats| StatsObject::new(hours, stats));
    let by_name: BTreeMap<FunctionName, _> = found.into_iter().map(|function| function.name).zip(objects).collect();
    Ok(Json(by_name).into_response())
}
