//! `/functions/{name}/test`: a call of a function, described and answered in JSON. For people and programs that want to see all of what a
//! function answers; nothing of it takes effect on whoever asks: no cookie, no redirect, no document.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Full};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime_wasi_http::WasiBody;

use super::Api;
use super::extract::{By, InApp, InPath, json};
use super::functions::{FunctionPath, no_function};
use crate::auth::Identity;
use crate::auth::management::Principal;
use crate::error::{Code, Error};
use crate::http::credential::{authenticate, is_host_credential, presented};
use crate::http::headers::end_to_end;
use crate::http::respond::EXECUTION_ID;
use crate::ids::FunctionName;
use crate::invoke::{Call, Origin};
use crate::observe::trace::TraceContext;
use crate::router::table::App;
use crate::runtime::signals::Arrival;
use crate::tunables::{MANAGEMENT_BODY_BYTES, TEST_RESPONSE_BYTES};

/// The request to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct TestCall {
    /// `GET` unless given.
    method: Option<String>,
    /// What follows the function's name in the URL, with the query: `/notes?limit=1`.
    #[serde(default)]
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    /// Whom the function is called for.
    #[serde(default)]
    caller: TestCaller,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TestCaller {
    /// Whoever makes this request: for the app, with its rights in the database.
    #[default]
    Token,
    /// Whoever the headers of the call say, as from outside; without a token or a key among them, nobody in particular.
    Headers,
}

/// What came back.
#[derive(Serialize, JsonSchema)]
pub(in crate::api) struct TestAnswer {
    status: u16,
    headers: Vec<[String; 2]>,
    /// The body, if it is text.
    body: Option<String>,
    /// The body, if it is not.
    body_base64: Option<String>,
    /// Whether that is all of it. Longer ones are cut off, and the function with them.
    complete: bool,
    duration_ms: f64,
    /// None if it did not come to an execution.
    execution_id: Option<String>,
}

/// `POST /functions/{name}/test`
pub(super) async fn call(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let wanted: TestCall = json(request, MANAGEMENT_BODY_BYTES).await?;
    // The body took its time.
    api.deployer.check_served(&app)?;
    if app.function(&name).is_none() {
        return Err(no_function(Error::new(Code::NotFound, "")));
    }
    let call = call_of(&api, &app, name, &principal, wanted).await?;
    let switchboard = api.invoker.switchboard();
    let switchboard = switchboard.ok_or_else(|| Error::new(Code::ShuttingDown, "the host is shutting down"))?;
    let started = Instant::now();
    let (head, body) = switchboard.connect(call).await.into_parts();
    let (bytes, complete) = beginning(body).await;
    let duration_ms = (started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let (body, body_base64) = match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(STANDARD.encode(error.into_bytes()))),
    };
    let answer = TestAnswer {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(|(name, value)| [name.to_string(), text(value)]).collect(),
        body,
        body_base64,
        complete,
        duration_ms,
        execution_id: head.headers.get(EXECUTION_ID).map(text),
    };
    Ok(Json(answer).into_response())
}

async fn call_of(
    api: &Api,
    app: &Arc<App>,
    function: FunctionName,
    principal: &Principal,
    wanted: TestCall,
) -> Result<Call, Error> {
    let TestCall { method, path, headers, body, caller } = wanted;
    let method = match method.as_deref().map(str::parse) {
        None => Method::GET,
        Some(Ok(method)) if method != Method::CONNECT => method,
        Some(_) => return Err(Error::invalid("method: must be a method of HTTP such as POST, and not CONNECT")),
    };
    let path = if path.is_empty() { "/" } else { &path };
    let below = PathAndQuery::try_from(path).ok().filter(|_| path.starts_with('/'));
    let below = below.ok_or_else(|| Error::invalid("path: must be like /notes?limit=1, percent-encoded"))?;
    let url: Uri = format!("{}/functions/v1/{function}{below}", api.origin.project_url(&app.name))
        .parse()
        .map_err(|_| Error::invalid("path: is too long"))?;
    let given = fields(headers)?;
    let identity = match caller {
        TestCaller::Token => Ok(principal.token.map_or(Identity::Admin, Identity::Token)),
        TestCaller::Headers => authenticate(presented(&given).as_deref(), app, &api.tokens).await,
    };
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(below);
    let body = Bytes::from(body.unwrap_or_default());
    let mut headers = end_to_end(&given, |name, value| is_host_credential(name, value, app, &api.tokens));
    let host = url.authority().map_or("", |authority| authority.as_str());
    headers.insert(HOST, HeaderValue::try_from(host).map_err(Error::internal)?);
    headers.remove(CONTENT_LENGTH);
    if !body.is_empty() {
        headers.insert(CONTENT_LENGTH, body.len().into());
    }
    let mut request = http::Request::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(parts).map_err(Error::internal)?;
    *request.headers_mut() = headers;
    let trace = TraceContext::continued(request.headers());
    let (arrival, origin, url) = (Arrival::default(), Origin::Client, url.to_string());
    Ok(Call { app: app.clone(), function, identity, url, request, arrival, origin, trace })
}

fn fields(headers: BTreeMap<String, String>) -> Result<HeaderMap, Error> {
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        let field = HeaderName::try_from(&name).ok().zip(HeaderValue::try_from(value).ok());
        let (field, value) = field.ok_or_else(|| Error::invalid(format!("headers: {name:?} is no header field")))?;
        fields.append(field, value);
    }
    Ok(fields)
}

/// The beginning of a body, and whether that is all of it.
async fn beginning(mut body: WasiBody) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (bytes, false) };
        let Ok(data) = frame.into_data() else { continue };
        let room = TEST_RESPONSE_BYTES - bytes.len();
        bytes.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return (bytes, false);
        }
    }
    (bytes, true)
}
