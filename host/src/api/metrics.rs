//! `GET /metrics`, for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::Api;
use crate::observe::exposition::{self, FunctionSeries, HostVitals};
use crate::observe::metrics::{CodeCounts, FunctionCounts};
use crate::observe::otlp::Exporter;
use crate::runtime::admission::Admission;
use crate::runtime::instances::IdlePlaces;
use crate::runtime::limits::MemoryBudget;
use crate::tunables::METRICS_FUNCTIONS;

/// How the functions are called that have no series of their own. No app or function can have this name.
const OTHERS: &str = "~others";

/// What the host is measured by.
pub struct Gauges {
    /// Executions that run.
    pub admission: Arc<Admission>,
    /// Instances that wait.
    pub idle: IdlePlaces,
    /// Memory of those.
    pub memory: Arc<MemoryBudget>,
    /// Requests that were refused.
    pub refused: Arc<CodeCounts>,
    /// Where traces go.
    pub traces: Option<Arc<Exporter>>,
}

/// `GET /metrics`
pub(super) async fn get(State(api): State<Arc<Api>>) -> Response {
    // Reads /proc, which takes some microseconds.
    let text = tokio::task::spawn_blocking(move || exposition::render(&vitals(&api), &series(&api))).await;
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], text.unwrap_or_default()).into_response()
}

fn vitals(api: &Api) -> HostVitals {
    let Gauges { admission, idle, memory, refused, traces } = &api.gauges;
    let apps = api.table.apps();
    HostVitals {
        executions: admission.running(),
        places: admission.places(),
        waiting: admission.waiting(),
        idle: idle.taken(),
        memory: memory.used(),
        memory_limit: memory.size(),
        log_dropped: api.store.executions().dropped(),
        spans_dropped: traces.as_ref().map(|traces| traces.dropped()),
        refused: refused.counted().collect(),
        functions: apps.iter().map(|app| app.all().len()).sum(),
        apps: apps.len(),
        resident: resident_bytes(),
        cpu_seconds: cpu_seconds(),
        open_files: std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
    }
}

/// The functions that ran since the start, in the order of their names; those beyond the limit together.
fn series(api: &Api) -> Vec<FunctionSeries> {
    let mut series = Vec::new();
    for app in api.table.apps() {
        for function in app.all() {
            let counts = function.metrics.counts();
            if counts.executions() > 0 || counts.skipped > 0 {
                let (app, function) = (app.name.to_string(), function.version.name.to_string());
                series.push(FunctionSeries { app, function, counts });
            }
        }
    }
    series.sort_by(|one, other| (&one.app, &one.function).cmp(&(&other.app, &other.function)));
    if series.len() > METRICS_FUNCTIONS {
        let mut counts = FunctionCounts::default();
        series.drain(METRICS_FUNCTIONS..).for_each(|more| counts.add(&more.counts));
        series.push(FunctionSeries { app: OTHERS.to_owned(), function: OTHERS.to_owned(), counts });
    }
    series
}

fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
