//! Executions as spans, to a collector (OTLP over HTTP with JSON, OpenTelemetry protocol 1.x). Handing over a span never waits: a
//! collector that is slow or away costs spans, which are counted, and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::trace::TraceContext;
use crate::bindings::egress::{AllowRule, EgressPolicy};
use crate::bindings::fetch::Dialer;
use crate::ids::FunctionName;
use crate::store::executions::{ExecutionRow, Status, Trigger};
use crate::tunables::{OTLP_BATCH, OTLP_BATCH_DELAY, OTLP_QUEUE, OTLP_REQUEST_TIME};

/// How the host calls itself, as a client and as a service.
const CLIENT_NAME: HeaderValue = HeaderValue::from_static(concat!("caddis/", env!("CARGO_PKG_VERSION")));

/// `SPAN_KIND_SERVER` and `STATUS_CODE_ERROR` of the protocol.
const SERVER: u8 = 2;
const ERROR: u8 = 2;

/// An address that cannot be a collector's.
#[derive(Debug, thiserror::Error)]
#[error("it must be like http://collector:4318 or https://collector.example.com")]
pub struct InvalidEndpoint;

/// Takes spans.
pub struct Exporter {
    spans: Mutex<Option<Sender<Value>>>,
    dropped: Arc<AtomicU64>,
    sending: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Exporter {
    /// Starts sending to the collector at this address, wherever it is: the operator names it.
    ///
    /// # Errors
    /// [`InvalidEndpoint`].
    pub fn start(endpoint: &str, dialer: Arc<Dialer>) -> Result<Self, InvalidEndpoint> {
        let collector = Collector::new(endpoint, dialer).ok_or(InvalidEndpoint)?;
        let (sender, receiver) = channel(OTLP_QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let sending = tokio::spawn(send_all(collector, receiver, dropped.clone()));
        let sending = tokio::sync::Mutex::new(Some(sending));
        Ok(Self { spans: Mutex::new(Some(sender)), dropped, sending })
    }

    /// Hands over the span of an execution, if its trace is recorded.
    pub fn export(&self, function: &FunctionName, row: &ExecutionRow, trace: &TraceContext) {
        if !trace.is_sampled() {
            return;
        }
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.as_ref().is_some_and(|spans| spans.try_send(span(function, row, trace)).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that no collector got.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends what is left, for as long as one request may take.
    pub async fn finish(&self) {
        drop(self.spans.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(sending) = self.sending.lock().await.take() {
            let _ = timeout(OTLP_REQUEST_TIME, sending).await;
        }
    }
}

/// Where spans go.
struct Collector {
    url: Uri,
    authority: HeaderValue,
    dialer: Arc<Dialer>,
    policy: EgressPolicy,
}

impl Collector {
    fn new(endpoint: &str, dialer: Arc<Dialer>) -> Option<Self> {
        let endpoint: Uri = endpoint.parse().ok()?;
        let authority = endpoint.authority().filter(|authority| !authority.as_str().contains('@'))?.clone();
        let port = endpoint.port_u16().unwrap_or(if endpoint.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 });
        let rule: AllowRule = format!("{}:{port}", endpoint.host()?).parse().ok()?;
        let mut parts = endpoint.into_parts();
        let base =
            parts.path_and_query.take().map_or_else(String::new, |path| path.path().trim_end_matches('/').to_owned());
        parts.path_and_query = Some(PathAndQuery::try_from(format!("{base}/v1/traces")).ok()?);
        let is_known = parts.scheme.as_ref().is_some_and(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        let url = Uri::from_parts(parts).ok().filter(|_| is_known)?;
        let authority = HeaderValue::try_from(authority.as_str()).ok()?;
        Some(Self { url, authority, dialer, policy: EgressPolicy::new(vec![rule]) })
    }

    async fn send(&self, body: Bytes) -> Result<(), String> {
        let stream = self.dialer.open(&self.url, &self.policy).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let path = self.url.path_and_query().map_or("/", PathAndQuery::as_str);
        let request = Request::post(path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, CLIENT_NAME)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        // What a collector has to say beyond its status is not looked at.
        drop(response.into_body().into_data_stream());
        connection.abort();
        if status.is_success() { Ok(()) } else { Err(format!("the collector answered with status {status}")) }
    }
}

/// Sends batches until nobody hands over spans any more.
async fn send_all(collector: Collector, mut spans: Receiver<Value>, dropped: Arc<AtomicU64>) {
    while let Some(first) = spans.recv().await {
        let mut batch = vec![first];
        let due = Instant::now() + OTLP_BATCH_DELAY;
        while batch.len() < OTLP_BATCH
            && let Ok(Some(next)) = timeout_at(due, spans.recv()).await
        {
            batch.push(next);
        }
        let count = batch.len() as u64;
        let sent = timeout(OTLP_REQUEST_TIME, collector.send(request(batch))).await;
        if let Err(error) = sent.unwrap_or_else(|_| Err("the collector did not answer in time".to_owned())) {
            dropped.fetch_add(count, Ordering::Relaxed);
            tracing::warn!(error, spans = count, "traces could not be exported");
        }
    }
}

fn request(spans: Vec<Value>) -> Bytes {
    let scope = json!({ "name": "caddis", "version": env!("CARGO_PKG_VERSION") });
    let resource =
        json!({ "attributes": [text("service.name", "caddis"), text("service.version", env!("CARGO_PKG_VERSION"))] });
    let scoped = json!([{ "scope": scope, "spans": spans }]);
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": scoped }] }).to_string().into()
}

/// An execution in the words of the semantic conventions.
fn span(function: &FunctionName, row: &ExecutionRow, trace: &TraceContext) -> Value {
    let mut attributes = vec![
        text("caddis.app", row.app.as_str()),
        text("faas.name", function.as_str()),
        text("faas.version", &row.function_version.to_string()),
        text("faas.invocation_id", &row.id.to_string()),
        text("faas.trigger", trigger(row.trigger_type)),
        text("http.request.method", &row.method),
        text("url.path", &row.path),
    ];
    attributes.extend(row.status_code.map(|status| number("http.response.status_code", status.into())));
    attributes.extend(row.error_code.map(|code| text("error.type", code.as_str())));
    attributes.push(number("caddis.fuel", row.fuel));
    attributes.push(number("caddis.peak_memory_bytes", row.peak_memory_bytes));
    let mut span = json!({
        "traceId": trace.trace_id(),
        "spanId": trace.span_id(),
        "name": format!("{} {function}", row.method),
        "kind": SERVER,
        "startTimeUnixNano": nanoseconds(row.executed_at),
        "endTimeUnixNano": nanoseconds(row.completed_at),
        "attributes": attributes,
    });
    if let Value::Object(span) = &mut span {
        span.extend(trace.parent_id().map(|parent| ("parentSpanId".to_owned(), parent.into())));
        if row.status != Status::Success {
            span.insert("status".to_owned(), json!({ "code": ERROR }));
        }
    }
    span
}

/// What started an execution, as the conventions call it.
fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Http => "http",
        Trigger::Cron => "timer",
        Trigger::Trigger => "other",
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Numbers of 64 bits are text in this JSON.
fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn nanoseconds(time: Timestamp) -> String {
    time.as_nanosecond().to_string()
}
