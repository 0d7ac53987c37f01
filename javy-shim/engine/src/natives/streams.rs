//! Byte streams of the host, by number.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::function::Function;
use rquickjs::{Ctx, IntoJs, Object, Result, TypedArray, Value};

use super::{bytes, define, save, type_error};
use crate::bindings::wasi::http::types::{self as http, IncomingBody, OutgoingBody};
use crate::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::event_loop::{self, Owner};

/// A stream, and the resource it is part of; that one must be dropped after it.
enum Stream {
    Input(InputStream, #[expect(dead_code, reason = "held, to be dropped after the stream")] Option<IncomingBody>),
    Output(OutputStream, Option<OutgoingBody>),
}

thread_local! {
    static STREAMS: RefCell<(u32, BTreeMap<u32, Stream>)> = const { RefCell::new((0, BTreeMap::new())) };
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "read" => read,
        "write" => write,
        "waitForStream" => wait_for_stream,
        "closeStream" => close_stream,
    );
    Ok(())
}

/// Closes all streams.
pub(super) fn rest() {
    STREAMS.with_borrow_mut(|(_, streams)| streams.clear());
}

fn add(stream: Stream) -> u32 {
    STREAMS.with_borrow_mut(|(last, streams)| {
        *last = last.wrapping_add(1);
        streams.insert(*last, stream);
        *last
    })
}

/// Keeps the body of the request and returns its number.
pub(crate) fn add_input(stream: InputStream) -> u32 {
    add(Stream::Input(stream, None))
}

pub(super) fn add_incoming_body(stream: InputStream, body: IncomingBody) -> u32 {
    add(Stream::Input(stream, Some(body)))
}

pub(super) fn add_output(stream: OutputStream) -> u32 {
    add(Stream::Output(stream, None))
}

pub(super) fn add_outgoing_body(stream: OutputStream, body: OutgoingBody) -> u32 {
    add(Stream::Output(stream, Some(body)))
}

/// Up to `length` bytes; null at the end of the stream; undefined when none are there yet.
fn read<'js>(ctx: Ctx<'js>, id: u32, length: u32) -> Result<Value<'js>> {
    let result = STREAMS.with_borrow(|(_, streams)| match streams.get(&id) {
        Some(Stream::Input(stream, _)) => stream.read(u64::from(length)),
        _ => Err(StreamError::Closed),
    });
    match result {
        Ok(chunk) if chunk.is_empty() => Ok(Value::new_undefined(ctx)),
        Ok(chunk) => TypedArray::<u8>::new(ctx.clone(), chunk)?.into_js(&ctx),
        Err(StreamError::Closed) => Ok(Value::new_null(ctx)),
        Err(StreamError::LastOperationFailed(error)) => Err(type_error(&ctx, &describe(&error))),
    }
}

/// Writes as many bytes as the host takes now, and returns how many.
fn write<'js>(ctx: Ctx<'js>, id: u32, chunk: TypedArray<'js, u8>, offset: u32) -> Result<u32> {
    let chunk = bytes(&chunk);
    let rest = chunk.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
    let result = STREAMS.with_borrow(|(_, streams)| match streams.get(&id) {
        Some(Stream::Output(stream, _)) => write_some(stream, rest),
        _ => Err(StreamError::Closed),
    });
    result.map_err(|error| match error {
        StreamError::Closed => type_error(&ctx, "The other side closed the connection"),
        StreamError::LastOperationFailed(error) => type_error(&ctx, &describe(&error)),
    })
}

fn write_some(stream: &OutputStream, bytes: &[u8]) -> std::result::Result<u32, StreamError> {
    let allowed = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX).min(bytes.len());
    let part = bytes.get(..allowed).unwrap_or_default();
    if !part.is_empty() {
        stream.write(part)?;
        stream.flush()?;
    }
    Ok(u32::try_from(part.len()).unwrap_or(u32::MAX))
}

/// Calls back when the stream can be read or written again.
fn wait_for_stream<'js>(ctx: Ctx<'js>, id: u32, callback: Function<'js>) -> Result<()> {
    let pollable = STREAMS.with_borrow(|(_, streams)| {
        streams.get(&id).map(|stream| match stream {
            Stream::Input(stream, _) => stream.subscribe(),
            Stream::Output(stream, _) => stream.subscribe(),
        })
    });
    match pollable {
        Some(pollable) => {
            event_loop::wait(Owner::Stream(id), pollable, save(&ctx, callback));
            Ok(())
        }
        None => callback.call(()),
    }
}

/// Closes a stream. A body that was written is complete thereby, unless `abandon` is set.
fn close_stream(ctx: Ctx<'_>, id: u32, abandon: bool) -> Result<()> {
    event_loop::forget(Owner::Stream(id));
    match STREAMS.with_borrow_mut(|(_, streams)| streams.remove(&id)) {
        Some(Stream::Output(stream, Some(body))) => {
            drop(stream);
            if !abandon {
                OutgoingBody::finish(body, None).map_err(|error| type_error(&ctx, &super::fetch::describe(&error)))?;
            }
            Ok(())
        }
        // Dropping the stream would say that the response is complete.
        Some(Stream::Output(stream, None)) if abandon => {
            std::mem::forget(stream);
            Ok(())
        }
        Some(Stream::Output(..) | Stream::Input(..)) | None => Ok(()),
    }
}

fn describe(error: &crate::bindings::wasi::io::error::Error) -> String {
    http::http_error_code(error).map_or_else(|| error.to_debug_string(), |code| super::fetch::describe(&code))
}
