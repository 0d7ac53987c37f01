//! Functions started by what clients say on a WebSocket (BB3): `{"type": "event", "event": …, "payload": …}` in, and for each function
//! with that event `{"type": "event_response", "event": …, "data": …}` out.

use axum::extract::Query;
use http::Uri;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::socket::{self, Ask, Id, Outcome, Payload, Refusal};
use crate::auth::Identity;
use crate::error::Code;
use crate::ids::FunctionName;
use crate::router::table::App;

/// The type of messages that start functions.
const EVENT: &str = "event";

/// What a client sends.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: Option<String>,
    event: Option<String>,
    #[serde(alias = "data")]
    payload: Option<Payload>,
    id: Option<Id>,
}

/// What it gets back, once for each function.
#[derive(Serialize)]
struct EventResponse {
    #[serde(rename = "type")]
    kind: &'static str,
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    function: FunctionName,
    status: u16,
    data: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
}

/// What it gets when nothing was started.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    code: &'static str,
    message: &'a str,
}

/// The token in the query of a URL, where browsers cannot put it anywhere else.
pub(super) fn token(uri: &Uri) -> Option<String> {
    #[derive(Deserialize)]
    struct InUrl {
        token: Option<String>,
    }
    let Query(InUrl { token }) = Query::try_from_uri(uri).ok()?;
    token.filter(|token| !token.is_empty())
}

/// The first word of the host.
pub(super) fn hello(app: &App, identity: &Identity) -> String {
    let role = match identity {
        Identity::User(user) => user.role.as_str(),
        other if other.is_the_app() => "service_role",
        _ => "anon",
    };
    json!({ "type": "connected", "app_id": app.name, "role": role, "timestamp": Timestamp::now() }).to_string()
}

/// The calls of an event: one of each function that has it.
pub(super) fn read(app: &App, text: &str) -> Result<Vec<Ask>, Box<Refusal>> {
    let invalid = |message| Refusal::new(Code::InvalidRequest, format!("message: {message}; {FORM}"));
    let Said { kind, event, payload, id } =
        serde_json::from_str(text).map_err(|error| Box::new(invalid(error.to_string())))?;
    if let Some(kind) = kind.filter(|kind| kind != EVENT) {
        let message = format!("there is nothing of type {:?} here", excerpt(&kind));
        return Err(Box::new(Refusal { id, ..invalid(message) }));
    }
    let Some(event) = event else { return Err(Box::new(Refusal { id, ..invalid("event is missing".to_owned()) })) };
    let functions = app.listening(&event);
    if functions.is_empty() {
        let event = excerpt(&event);
        let message = format!("no function of the app has a websocket trigger with the event {event:?}");
        return Err(Box::new(Refusal { id, event: Some(event), ..Refusal::new(Code::NotFound, message) }));
    }
    let payload = payload.map(socket::text);
    let ask = |function| Ask { function, payload: payload.clone(), id: id.clone(), event: Some(event.clone()) };
    Ok(functions.into_iter().map(ask).collect())
}

/// What a message is like.
const FORM: &str = r#"it must be like {"type": "event", "event": "name", "payload": {}}"#;

/// As much of what a client said as it gets back in an error.
fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What came of one of them.
pub(super) fn tell(ask: Ask, outcome: Outcome) -> String {
    let Ask { function, id, event, .. } = ask;
    let Outcome { status, result, execution_id } = outcome;
    let response = EventResponse { kind: "event_response", event, id, function, status, data: result, execution_id };
    serde_json::to_string(&response).unwrap_or_default()
}

/// Why a message started nothing.
pub(super) fn refuse(refusal: Refusal) -> String {
    let Refusal { error, id, event } = refusal;
    let problem = Problem { kind: "error", event, id, code: error.code.as_str(), message: &error.message };
    serde_json::to_string(&problem).unwrap_or_default()
}
