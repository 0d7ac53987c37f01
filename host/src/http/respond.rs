//! The only place where an error becomes a response. Internal causes are logged here and never sent.

use std::error::Error as _;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::body::{AnyBody, full};
use crate::error::{Code, Error};
use crate::ids::{ExecutionId, FunctionName};

/// Names the execution that made a response.
pub const EXECUTION_ID: HeaderName = HeaderName::from_static("caddis-execution-id");

/// Seconds after which a client that was turned away may try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// What the host itself could not do, whatever the function: what Supabase's clients call an error of the relay.
const RELAY_ERRORS: [Code; 4] = [Code::Overloaded, Code::ShuttingDown, Code::RegistryUnavailable, Code::Internal];

/// How those clients are told.
const RELAY_ERROR: HeaderName = HeaderName::from_static("x-relay-error");

struct ErrorBody<'a> {
    code: Code,
    message: &'a str,
    function: Option<&'a str>,
    execution_id: Option<ExecutionId>,
    details: Option<&'a serde_json::Value>,
    retry_after: Option<Duration>,
}

impl<'a> ErrorBody<'a> {
    fn of(error: &'a Error) -> Self {
        let details = error.details.as_ref();
        let retry_after = error.retry_after;
        Self { code: error.code, message: &error.message, function: None, execution_id: None, details, retry_after }
    }
}

/// An error as JSON has it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorObject<'a> {
    error: &'a str,
    message: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<ExecutionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a serde_json::Value>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// A failure of the host or of a request to it.
pub fn error(error: &Error) -> Response<AnyBody> {
    log(error);
    respond(ErrorBody::of(error))
}

/// A request to a function that did not come to an execution.
pub fn refused(error: &Error, function: &FunctionName) -> Response<AnyBody> {
    log(error);
    respond(ErrorBody { function: Some(function.as_str()), ..ErrorBody::of(error) })
}

/// An execution that failed before it had answered.
pub fn failed(code: Code, message: &str, function: &FunctionName, execution: ExecutionId) -> Response<AnyBody> {
    let function = Some(function.as_str());
    respond(ErrorBody { code, message, function, execution_id: Some(execution), details: None, retry_after: None })
}

fn log(error: &Error) {
    if let Some(cause) = error.source() {
        tracing::error!(code = error.code.as_str(), %cause, "request failed");
    }
}

fn respond(body: ErrorBody<'_>) -> Response<AnyBody> {
    let ErrorBody { code, message, function, execution_id, details, retry_after } = body;
    let status = code.status();
    let error = match execution_id {
        // The wording of FX8.
        Some(_) if status == StatusCode::REQUEST_TIMEOUT || status.is_server_error() => "Function execution failed",
        // That of FX12.
        _ if code == Code::RateLimited => "Rate limit exceeded",
        _ => status.canonical_reason().unwrap_or("Error"),
    };
    let retry_after = retry_after.map(|wait| wait.as_secs_f64().ceil().max(1.0) as u64);
    let object = ErrorObject { error, message, code: code.as_str(), function, execution_id, details, retry_after };
    let mut response = json(status, &object);
    response.extensions_mut().insert(code);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge(code));
    }
    if let Some(id) = execution_id {
        identify(&mut response, id);
    }
    response
}

/// Tells a client of Supabase that a response comes from a host in trouble, if it does.
pub fn mark_relay_error<B>(response: &mut Response<B>) {
    if response.extensions().get::<Code>().is_some_and(|code| RELAY_ERRORS.contains(code)) {
        response.headers_mut().insert(RELAY_ERROR, HeaderValue::from_static("true"));
    }
}

/// What to authenticate with, and whether what was presented was a token at all (RFC 6750, section 3).
fn challenge(code: Code) -> HeaderValue {
    HeaderValue::from_static(match code {
        Code::Unauthorized => "Bearer",
        _ => "Bearer error=\"invalid_token\"",
    })
}

/// Says which execution made a response.
pub fn identify<B>(response: &mut Response<B>, id: ExecutionId) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(EXECUTION_ID, value);
    }
}

/// A JSON response.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<AnyBody> {
    // Serializing our own types to memory cannot fail; an empty object would still be valid JSON.
    let bytes = serde_json::to_vec(body).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
