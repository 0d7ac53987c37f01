//! Outgoing HTTP.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::function::Function;
use rquickjs::{Array, Class, Ctx, IntoJs, Object, Result, Value};

use super::fields::Fields;
use super::{define, fields, require_request, save, streams, type_error};
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields as HttpFields, FutureIncomingResponse, IncomingResponse, Method, OutgoingRequest, Scheme,
};
use crate::event_loop::{self, Owner};

thread_local! {
    static REQUESTS: RefCell<(u32, BTreeMap<u32, FutureIncomingResponse>)> = const { RefCell::new((0, BTreeMap::new())) };
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "sendRequest" => send_request,
        "waitForResponse" => wait_for_response,
        "takeResponse" => take_response,
        "dropRequest" => drop_request,
    );
    Ok(())
}

/// Gives up all requests.
pub(super) fn rest() {
    REQUESTS.with_borrow_mut(|(_, requests)| requests.clear());
}

/// Sends a request and returns `[number of the request, number of the stream for its body or 0]`. `target` is scheme, authority, and path with query.
fn send_request<'js>(
    ctx: Ctx<'js>,
    method: String,
    target: Vec<String>,
    headers: Class<'js, Fields>,
    has_body: bool,
) -> Result<Vec<u32>> {
    require_request(&ctx, "fetch")?;
    let failed = |message: &str| type_error(&ctx, message);
    let fields =
        HttpFields::from_list(&fields::copy(&headers)).map_err(|_| failed("The host refused a request header"))?;
    let request = OutgoingRequest::new(fields);
    let [scheme, authority, path] = <[String; 3]>::try_from(target).map_err(|_| failed("The URL is not valid"))?;
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request
        .set_method(&method_named(method))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(&authority)))
        .and_then(|()| request.set_path_with_query(Some(&path)))
        .map_err(|()| failed("The host refused the method or the URL"))?;
    let body = request.body().map_err(|()| failed("The request has no body"))?;
    let stream = if has_body { Some(body.write().map_err(|()| failed("The request has no body"))?) } else { None };
    let future = outgoing_handler::handle(request, None).map_err(|error| failed(&describe(&error)))?;
    let stream = match stream {
        Some(stream) => streams::add_outgoing_body(stream, body),
        None => {
            crate::bindings::wasi::http::types::OutgoingBody::finish(body, None)
                .map_err(|error| failed(&describe(&error)))?;
            0
        }
    };
    let id = REQUESTS.with_borrow_mut(|(last, requests)| {
        *last = last.wrapping_add(1);
        requests.insert(*last, future);
        *last
    });
    Ok(vec![id, stream])
}

fn method_named(name: String) -> Method {
    match name.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        _ => Method::Other(name),
    }
}

fn wait_for_response<'js>(ctx: Ctx<'js>, id: u32, callback: Function<'js>) -> Result<()> {
    let pollable = REQUESTS.with_borrow(|(_, requests)| requests.get(&id).map(FutureIncomingResponse::subscribe));
    match pollable {
        Some(pollable) => {
            event_loop::wait(Owner::Request(id), pollable, save(&ctx, callback));
            Ok(())
        }
        None => callback.call(()),
    }
}

/// `[status, headers, number of the stream of the body]`, or undefined when the response has not arrived.
fn take_response<'js>(ctx: Ctx<'js>, id: u32) -> Result<Value<'js>> {
    let arrived = REQUESTS.with_borrow(|(_, requests)| requests.get(&id).and_then(FutureIncomingResponse::get));
    let Some(arrived) = arrived else {
        return Ok(Value::new_undefined(ctx));
    };
    drop_request(id);
    let response = match arrived {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(type_error(&ctx, &describe(&error))),
        Err(()) => return Err(type_error(&ctx, "The response was taken already")),
    };
    response_parts(&ctx, &response)?.into_js(&ctx)
}

fn response_parts<'js>(ctx: &Ctx<'js>, response: &IncomingResponse) -> Result<Array<'js>> {
    let body = response.consume().map_err(|()| type_error(ctx, "The response has no body"))?;
    let stream = body.stream().map_err(|()| type_error(ctx, "The response has no body"))?;
    let parts = Array::new(ctx.clone())?;
    parts.set(0, response.status())?;
    parts.set(1, fields::to_js(ctx, response.headers().entries())?)?;
    parts.set(2, streams::add_incoming_body(stream, body))?;
    Ok(parts)
}

/// Gives up on a request.
fn drop_request(id: u32) {
    event_loop::forget(Owner::Request(id));
    drop(REQUESTS.with_borrow_mut(|(_, requests)| requests.remove(&id)));
}

/// Why a message failed, for the `cause` of a TypeError.
pub(super) fn describe(error: &ErrorCode) -> String {
    let text = match error {
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            "the host name could not be resolved"
        }
        ErrorCode::DestinationIpProhibited | ErrorCode::HttpRequestDenied => {
            "the function may not connect to this address"
        }
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => "the address cannot be reached",
        ErrorCode::ConnectionRefused => "the connection was refused",
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => "the connection broke off",
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionWriteTimeout => {
            "the connection timed out"
        }
        ErrorCode::HttpResponseTimeout => "the response did not arrive in time",
        ErrorCode::ConnectionLimitReached => "the function has too many open connections",
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => "TLS failed",
        ErrorCode::InternalError(Some(message)) => message,
        other => return format!("{other:?}"),
    };
    text.to_owned()
}
