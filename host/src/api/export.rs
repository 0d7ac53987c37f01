//! Executions as they come and as a file: `…/executions/stream` (server-sent events) and `…/executions/export` (CSV, JSON lines).

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::Api;
use super::executions::{ExecutionObject, StatusName, TriggerName, recorded};
use super::extract::{InApp, InPath, InQuery};
use super::functions::FunctionPath;
use super::pages::Pages;
use super::reception::Reception;
use crate::error::{Code, Error};
use crate::ids::{ExecutionId, FunctionId};
use crate::store::StoreError;
use crate::store::executions::tail::{Tail, Tailed};
use crate::store::executions::{ExecutionRow, Page, Status};
use crate::tunables::LOG_TAIL_HEARTBEAT;

/// The columns of the file, in order: the fields of an execution.
const COLUMNS: [&str; 21] = [
    "id",
    "function_id",
    "function_version",
    "trigger_type",
    "user_id",
    "method",
    "path",
    "status",
    "status_code",
    "duration_ms",
    "fuel",
    "peak_memory_bytes",
    "response_bytes",
    "result",
    "logs",
    "logs_dropped",
    "error_code",
    "error_message",
    "error_stack",
    "executed_at",
    "completed_at",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ExportQuery {
    #[serde(default)]
    format: Format,
    status: Option<StatusName>,
    trigger_type: Option<TriggerName>,
    since: Option<Timestamp>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ExportFormat")]
enum Format {
    #[default]
    Jsonl,
    Csv,
}

impl Format {
    fn head(self) -> String {
        match self {
            Self::Jsonl => String::new(),
            Self::Csv => format!("{}\r\n", COLUMNS.join(",")),
        }
    }

    fn line(self, row: ExecutionRow) -> String {
        let object = serde_json::to_value(ExecutionObject::from(row)).unwrap_or_default();
        match self {
            Self::Jsonl => format!("{object}\n"),
            Self::Csv => {
                let cells = COLUMNS.iter().map(|column| cell(object.get(column).unwrap_or(&Value::Null)));
                format!("{}\r\n", cells.collect::<Vec<_>>().join(","))
            }
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// A value as CSV has it (RFC 4180). Text that a spreadsheet would take for a formula gets an apostrophe: callers write it.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => return other.to_string(),
    };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Where an export is.
struct Cursor {
    pages: Pages,
    format: Format,
    started: bool,
}

impl Cursor {
    /// The next piece of the file, newest executions first.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let rows = self.pages.next().await?;
        if rows.is_empty() && self.started {
            return Ok(None);
        }
        let mut text = if self.started { String::new() } else { self.format.head() };
        self.started = true;
        rows.into_iter().for_each(|row| text.push_str(&self.format.line(row)));
        Ok(Some((text.into(), self)))
    }
}

/// `GET /functions/{name}/executions/export?format=csv|jsonl&status=&trigger_type=&since=`
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(path): InPath<FunctionPath>,
    InQuery(query): InQuery<ExportQuery>,
) -> Result<Response, Error> {
    let ExportQuery { format, status, trigger_type, since } = query;
    let name = path.name.clone();
    let function = recorded(&api, &app.name, path.name).await?;
    let (status, trigger) = (status.map(Status::from), trigger_type.map(|TriggerName(trigger)| trigger));
    let page = Page { limit: u32::MAX, status, trigger, since, ..Page::default() };
    let pages = Pages::new(&api, app.name.clone(), function, page);
    let cursor = Cursor { pages, format, started: false };
    let extension = if format == Format::Csv { "csv" } else { "jsonl" };
    let disposition = format!("attachment; filename=\"{name}-executions.{extension}\"");
    let headers = [(CONTENT_TYPE, format.media_type().to_owned()), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::from_stream(stream::try_unfold(cursor, Cursor::next))).into_response())
}

/// `GET /functions/{name}/executions/stream`: each execution as it ends, as a server-sent event.
pub(super) async fn tail(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(path): InPath<FunctionPath>,
    Extension(reception): Extension<Reception>,
) -> Result<Response, Error> {
    let function = recorded(&api, &app.name, path.name).await?;
    let tail = api.store.executions().tail();
    let tail =
        tail.ok_or_else(|| Error::new(Code::Overloaded, "too many logs are followed already; try again later"))?;
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(events(tail, function, reception))).into_response())
}

fn events(
    tail: Tail,
    function: FunctionId,
    reception: Reception,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    // The comment at the start tells the client that it is listened to.
    stream::unfold((tail, reception, true), move |(mut tail, reception, starting)| async move {
        if starting {
            return Some((Ok(Bytes::from_static(b": following\n\n")), (tail, reception, false)));
        }
        let event = loop {
            match timeout(LOG_TAIL_HEARTBEAT, tail.next()).await {
                Err(_elapsed) => break Bytes::from_static(b": alive\n\n"),
                Ok(None) => return None,
                Ok(Some(Tailed::Missed(count))) => {
                    break format!("event: missed\ndata: {{\"count\":{count}}}\n\n").into();
                }
                Ok(Some(Tailed::Row(row))) if row.function_id == function => break execution_event(&row),
                Ok(Some(Tailed::Row(_))) => {}
            }
        };
        // Whoever lost the token sees nothing of what comes after.
        reception.is_open().then(|| (Ok(event), (tail, reception, false)))
    })
}

fn execution_event(row: &ExecutionRow) -> Bytes {
    let id: ExecutionId = row.id;
    // JSON has no line breaks, which would end the event.
    let data = serde_json::to_string(&ExecutionObject::from(row.clone())).unwrap_or_default();
    format!("event: execution\nid: {id}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (value, expected) in [
            (Value::from("plain"), "plain"),
            (Value::from("a,\"b\"\n"), "\"a,\"\"b\"\"\n\""),
            (Value::from("=1+1"), "'=1+1"),
            (Value::from("@x,y"), "\"'@x,y\""),
            (Value::from(-1), "-1"),
            (Value::Null, ""),
        ] {
            assert_eq!(cell(&value), expected);
        }
    }
}
