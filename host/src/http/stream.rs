//! Functions called by WebSocket (FX13): `{"function": …, "payload": …}` in, `{"function": …, "status": …, "result": …}` out.

use serde::{Deserialize, Serialize};

use super::socket::{self, Ask, Id, Outcome, Payload, Refusal};
use crate::error::Code;
use crate::ids::FunctionName;

/// What a client sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    function: FunctionName,
    payload: Option<Payload>,
    id: Option<Id>,
}

/// What it gets back.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<FunctionName>,
    status: u16,
    result: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
}

/// The one call a message asks for.
pub(super) fn read(text: &str) -> Result<Vec<Ask>, Box<Refusal>> {
    match serde_json::from_str(text) {
        Ok(Wish { function, payload, id }) => {
            Ok(vec![Ask { function, payload: payload.map(socket::text), id, event: None }])
        }
        Err(error) => {
            let message = format!("message: {error}; it must be like {{\"function\": \"name\", \"payload\": {{}}}}");
            Err(Box::new(Refusal::new(Code::InvalidRequest, message)))
        }
    }
}

/// What came of it.
pub(super) fn tell(ask: Ask, outcome: Outcome) -> String {
    words(Some(ask.function), ask.id, outcome)
}

/// What is wrong with a message.
pub(super) fn refuse(outcome: Outcome) -> String {
    words(None, None, outcome)
}

fn words(function: Option<FunctionName>, id: Option<Id>, outcome: Outcome) -> String {
    let Outcome { status, result, execution_id } = outcome;
    serde_json::to_string(&Answer { id, function, status, result, execution_id }).unwrap_or_default()
}
