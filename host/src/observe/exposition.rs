//! The text format of Prometheus (version 0.0.4): every metric of the host by name, with its type and what it is.

use std::fmt::Write as _;

use super::metrics::{BOUNDS_US, FunctionCounts, STATUSES};
use crate::error::Code;

/// The media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A function's counters, with the labels that name it. Names have no characters that a label would escape.
#[derive(Debug)]
pub struct FunctionSeries {
    /// The app.
    pub app: String,
    /// The function.
    pub function: String,
    /// What was counted.
    pub counts: FunctionCounts,
}

/// The host at one moment.
#[derive(Debug, Default)]
pub struct HostVitals {
    /// Executions that run.
    pub executions: usize,
    /// Executions that can run.
    pub places: usize,
    /// Instances that wait for a request of their function.
    pub idle: usize,
    /// Requests that wait for a place.
    pub waiting: usize,
    /// Memory of all functions together, in bytes.
    pub memory: usize,
    /// How much that can be.
    pub memory_limit: usize,
    /// Rows of the execution log that were lost.
    pub log_dropped: u64,
    /// Spans no collector got, if there is one.
    pub spans_dropped: Option<u64>,
    /// Requests that did not come to an execution.
    pub refused: Vec<(Code, u64)>,
    /// Apps.
    pub apps: usize,
    /// Functions.
    pub functions: usize,
    /// Memory of the process in RAM, in bytes.
    pub resident: Option<u64>,
    /// CPU time of the process, in seconds.
    pub cpu_seconds: f64,
    /// Files and sockets the process has open.
    pub open_files: Option<usize>,
}

/// The metrics as text.
pub fn render(host: &HostVitals, functions: &[FunctionSeries]) -> String {
    let mut text = Text(String::with_capacity(4_096 + functions.len() * 2_048));
    text.host(host);
    text.functions(functions);
    text.0
}

struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.metric(name, kind, help);
        self.sample(name, "", value);
    }

    fn host(&mut self, host: &HostVitals) {
        self.metric("caddis_build_info", "gauge", "The version of the host.");
        self.sample("caddis_build_info", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
        self.single("caddis_apps", "gauge", "Apps.", host.apps);
        self.single("caddis_functions", "gauge", "Functions.", host.functions);
        self.single("caddis_sandboxes_in_use", "gauge", "Executions that run.", host.executions);
        self.single("caddis_sandboxes_limit", "gauge", "Executions that can run at once.", host.places);
        let help = "Instances that wait for the next request of their function.";
        self.single("caddis_sandboxes_idle", "gauge", help, host.idle);
        self.single("caddis_requests_waiting", "gauge", "Requests that wait for a sandbox.", host.waiting);
        self.single(
            "caddis_guest_memory_bytes",
            "gauge",
            "Memory of functions: executions, images, machine code.",
            host.memory,
        );
        self.single("caddis_guest_memory_limit_bytes", "gauge", "How much that can be.", host.memory_limit);
        let help = "Records of executions that were lost.";
        self.single("caddis_execution_records_dropped_total", "counter", help, host.log_dropped);
        if let Some(dropped) = host.spans_dropped {
            self.single("caddis_spans_dropped_total", "counter", "Spans that no collector of traces got.", dropped);
        }
        let name = "caddis_requests_refused_total";
        self.metric(name, "counter", "Requests to functions that did not come to an execution, by code.");
        for (code, count) in &host.refused {
            self.sample(name, &format!("code=\"{}\"", code.as_str()), count);
        }
        self.single("process_cpu_seconds_total", "counter", "CPU time of the process.", host.cpu_seconds);
        if let Some(resident) = host.resident {
            self.single("process_resident_memory_bytes", "gauge", "Memory of the process in RAM.", resident);
        }
        if let Some(open) = host.open_files {
            self.single("process_open_fds", "gauge", "Files and sockets the process has open.", open);
        }
    }

    fn functions(&mut self, functions: &[FunctionSeries]) {
        let name = "caddis_function_executions_total";
        self.metric(name, "counter", "Executions, by how they ended.");
        for series in functions {
            for (status, count) in STATUSES.iter().zip(series.counts.by_status) {
                self.sample(name, &format!("{},status=\"{}\"", series.labels(), status.as_str()), count);
            }
        }
        let name = "caddis_function_errors_total";
        self.metric(name, "counter", "Executions that failed, by code.");
        for series in functions {
            for (code, count) in &series.counts.errors {
                self.sample(name, &format!("{},code=\"{}\"", series.labels(), code.as_str()), count);
            }
        }
        self.durations(functions);
        let help = "Fuel used: about one for each WebAssembly instruction.";
        self.of_each("caddis_function_fuel_total", "counter", help, functions, |counts| counts.fuel);
        let help = "Bytes of response bodies.";
        self.of_each("caddis_function_response_bytes_total", "counter", help, functions, |counts| {
            counts.response_bytes
        });
        let help = "Runs of a schedule that were skipped: the one before still ran, or there was no room in time.";
        self.of_each("caddis_function_schedule_skips_total", "counter", help, functions, |counts| counts.skipped);
        let help = "The most memory one execution had since the start.";
        self.of_each("caddis_function_peak_memory_bytes", "gauge", help, functions, |counts| counts.peak_memory);
    }

    fn of_each(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        functions: &[FunctionSeries],
        value: fn(&FunctionCounts) -> u64,
    ) {
        self.metric(name, kind, help);
        for series in functions {
            self.sample(name, &series.labels(), value(&series.counts));
        }
    }

    fn durations(&mut self, functions: &[FunctionSeries]) {
        let name = "caddis_function_duration_seconds";
        self.metric(name, "histogram", "How long executions took.");
        for series in functions {
            let (labels, counts) = (series.labels(), &series.counts);
            let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound).to_string()).chain(["+Inf".to_owned()]);
            let mut below = 0;
            for (bound, count) in bounds.zip(counts.buckets) {
                below += count;
                self.sample(&format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), below);
            }
            self.sample(&format!("{name}_sum"), &labels, seconds(counts.duration_us));
            self.sample(&format!("{name}_count"), &labels, below);
        }
    }
}

impl FunctionSeries {
    fn labels(&self) -> String {
        format!("app=\"{}\",function=\"{}\"", self.app, self.function)
    }
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}
