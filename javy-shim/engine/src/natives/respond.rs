//! The answer to the request.

use rquickjs::{Class, Ctx, Object, Result, TypedArray, Value};

use super::fields::Fields;
use super::{bytes, define, fields, streams, type_error};
use crate::bindings::caddis::function::http::{Error, ResponseHead, WholeResponse};
use crate::bindings::caddis::function::outgoing::{self, StartError};
use crate::event_loop;
use crate::failure::plain;
use crate::outcome::{self, Outcome};

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "respond" => respond,
        "startResponse" => start_response,
        "fail" => fail,
        "failBody" => fail_body,
        "finish" => outcome::finish,
        "reachMark" => event_loop::reach_mark,
    );
    Ok(())
}

/// What `handle` returns when a streamed body can never end.
pub(crate) fn unfinished() -> Error {
    plain("The response stream can never end: nothing is pending that could enqueue to it or close it")
}

/// `body` is bytes or a well-formed string, `content_type` the only field of a response without `headers`, if it has any.
fn respond<'js>(
    status: u16,
    headers: Option<Class<'js, Fields>>,
    body: Value<'js>,
    content_type: Option<String>,
) -> Result<()> {
    let only = || content_type.map(|value| ("content-type".to_owned(), value.into_bytes())).into_iter().collect();
    let head = ResponseHead { status, headers: headers.as_ref().map_or_else(only, fields::take) };
    let body = match body.as_string() {
        Some(text) => text.to_string()?.into_bytes(),
        None => bytes(&TypedArray::from_value(body)?),
    };
    outcome::set(Outcome::Whole(WholeResponse { head, body }));
    Ok(())
}

/// Sends the head and returns the number of the stream for the body.
fn start_response<'js>(ctx: Ctx<'js>, status: u16, headers: Class<'js, Fields>) -> Result<u32> {
    let head = ResponseHead { status, headers: fields::copy(&headers) };
    let stream = outgoing::start(&head).map_err(|error| {
        let message = match error {
            StartError::AlreadyStarted => "A response was already started for this request".to_owned(),
            StartError::InvalidStatus(status) => format!("The response status {status} is outside 200 to 599"),
            StartError::InvalidField(name) => format!("The response header {name} is not valid"),
            StartError::Closed => "The client went away".to_owned(),
        };
        type_error(&ctx, &message)
    })?;
    outcome::set(Outcome::Streamed);
    Ok(streams::add_output(stream))
}

fn fail(message: String, stack: Option<String>) {
    outcome::set(Outcome::Failed(Error { message, stack }));
}

/// The body broke off. Its stream stays open, so the host does not take it for complete.
fn fail_body(message: String, stack: Option<String>) {
    outcome::fail(Error { message, stack });
}
