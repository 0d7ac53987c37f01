//! The record of one execution: opened when it starts, closed when it ends, written when its response is on its way as well.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::Request;
use jiff::Timestamp;
use wasmtime_wasi_http::WasiBody;

use crate::auth::Identity;
use crate::error::Code;
use crate::ids::{ExecutionId, FunctionName};
use crate::observe::capture::LogCapture;
use crate::observe::metrics::FunctionMetrics;
use crate::observe::otlp::Exporter;
use crate::observe::response::SentResponse;
use crate::observe::trace::TraceContext;
use crate::router::table::Function;
use crate::runtime::execution::Finished;
use crate::runtime::outcome::Failure;
use crate::store::executions::{ExecutionLog, ExecutionRow, Status, Trigger};

/// The way of a response to the client, as the record has it: it is written when the execution has ended and this is dropped.
#[derive(Default)]
pub struct Delivery {
    sent: SentResponse,
    _record: Option<Arc<Mutex<Record>>>,
}

impl Delivery {
    /// The way of the response of this record.
    pub(super) fn new(sent: SentResponse, record: Arc<Mutex<Record>>) -> Self {
        Self { sent, _record: Some(record) }
    }

    /// A part of the body leaves.
    pub fn saw(&self, part: &[u8]) {
        self.sent.saw(part);
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// The row of one execution. Dropping it writes it; one that was not closed by then was cancelled.
pub(super) struct Record {
    executions: ExecutionLog,
    metrics: Arc<FunctionMetrics>,
    row: Option<ExecutionRow>,
    closed: bool,
    started: Instant,
    log: LogCapture,
    sent: SentResponse,
    export: Option<(Arc<Exporter>, FunctionName, TraceContext)>,
}

impl Record {
    /// A record of an execution that starts now.
    pub(super) fn open(
        executions: &ExecutionLog,
        id: ExecutionId,
        function: &Function,
        (trigger_type, identity): (Trigger, &Identity),
        request: &Request<WasiBody>,
        log: LogCapture,
        sent: SentResponse,
    ) -> Arc<Mutex<Self>> {
        let row = ExecutionRow {
            id,
            app: function.version.app.clone(),
            function_id: function.version.id,
            function_version: function.version.version,
            trigger_type,
            user_id: identity.label(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            status: Status::Error,
            status_code: None,
            response_bytes: 0,
            result: None,
            duration_ms: 0,
            fuel: 0,
            peak_memory_bytes: 0,
            logs: String::new(),
            logs_dropped: 0,
            error_code: None,
            error_message: None,
            error_stack: None,
            executed_at: Timestamp::now(),
            completed_at: Timestamp::now(),
        };
        let executions = executions.clone();
        let metrics = function.metrics.clone();
        let record = Self {
            executions,
            metrics,
            row: Some(row),
            closed: false,
            started: Instant::now(),
            log,
            sent,
            export: None,
        };
        Arc::new(Mutex::new(record))
    }

    /// The execution is a span of this trace.
    pub(super) fn export(&mut self, exporter: Arc<Exporter>, function: FunctionName, trace: TraceContext) {
        self.export = Some((exporter, function, trace));
    }

    /// The execution has ended.
    pub(super) fn close(&mut self, finished: Finished) {
        let Finished { result, fuel, peak_memory } = finished;
        let Some(row) = &mut self.row else { return };
        self.closed = true;
        let log = self.log.take();
        let failed_with = result.as_ref().err().map(|failure| failure.code);
        row.status = match failed_with {
            None => Status::Success,
            Some(Code::Timeout | Code::CpuLimit) => Status::Timeout,
            Some(_) => Status::Error,
        };
        let answered_with =
            failed_with.filter(|code| *code != Code::ClientDisconnected).map(|code| code.status().as_u16());
        row.status_code = self.sent.status().or(answered_with);
        row.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        row.fuel = fuel;
        row.peak_memory_bytes = peak_memory as u64;
        row.logs = log.text;
        row.logs_dropped = log.dropped;
        row.completed_at = Timestamp::now();
        if let Err(failure) = result {
            row.error_code = Some(failure.code);
            row.error_message = Some(failure.message);
            row.error_stack = failure.stack;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.closed {
            let failure = Failure::new(Code::ClientDisconnected, "the client went away");
            self.close(Finished { result: Err(failure), fuel: 0, peak_memory: 0 });
        }
        let Some(mut row) = self.row.take() else { return };
        row.response_bytes = self.sent.bytes();
        row.result = self.sent.take_text();
        self.metrics.observe(&row);
        if let Some((exporter, function, trace)) = &self.export {
            exporter.export(function, &row, trace);
        }
        self.executions.record(row);
    }
}
