//! The functions the prelude is built on: one object, which the prelude takes off the global object before any program runs.
//!
//! They trust their arguments: the prelude converts and checks what a program passes. Bytes go in and out as `Uint8Array`.

pub(crate) mod clock;
mod compression;
mod crypto;
mod db;
mod digest;
mod encodings;
mod fetch;
pub(crate) mod fields;
mod files;
mod host;
mod intl;
pub(crate) mod random;
pub(crate) mod respond;
pub(crate) mod streams;
mod text;
mod url;

use std::cell::Cell;

use rquickjs::function::{Func, Function};
use rquickjs::{Ctx, Exception, Object, Persistent, Result, TypedArray};

/// Puts the functions on the global object, as `__native`.
pub(crate) fn install(ctx: &Ctx<'_>) -> Result<()> {
    let native = Object::new(ctx.clone())?;
    clock::install(&native)?;
    compression::install(&native)?;
    crypto::install(&native)?;
    db::install(&native)?;
    digest::install(&native)?;
    encodings::install(&native)?;
    fetch::install(&native)?;
    fields::install(&native)?;
    files::install(&native)?;
    host::install(&native)?;
    intl::install(&native)?;
    random::install(ctx, &native)?;
    respond::install(&native)?;
    streams::install(&native)?;
    text::install(&native)?;
    url::install(&native)?;
    ctx.globals().set("__native", native)
}

/// The bytes of a view. They are copied: a script could change the view while they are in use.
fn bytes(view: &TypedArray<'_, u8>) -> Vec<u8> {
    // SAFETY: no script runs before the copy is made.
    unsafe { view.as_bytes() }.map(<[u8]>::to_vec).unwrap_or_default()
}

fn save<'js>(ctx: &Ctx<'js>, function: Function<'js>) -> Persistent<Function<'static>> {
    Persistent::save(ctx, function)
}

thread_local! {
    static IN_REQUEST: Cell<bool> = const { Cell::new(false) };
}

/// Says that a request has begun: what belongs to one may be used from now on.
pub(crate) fn begin_request() {
    IN_REQUEST.set(true);
}

/// Gives up what the program has of a request that has ended.
pub(crate) fn rest() {
    db::rest();
    fetch::rest();
    streams::rest();
}

/// Fails while a program is evaluated: an image can hold no connection, transaction or caller.
fn require_request(ctx: &Ctx<'_>, what: &str) -> Result<()> {
    if IN_REQUEST.get() {
        return Ok(());
    }
    Err(type_error(ctx, &format!("{what} is not available while the module is evaluated: use it in the handler")))
}

fn type_error(ctx: &Ctx<'_>, message: &str) -> rquickjs::Error {
    Exception::throw_type(ctx, message)
}

/// Adds a function under a name.
macro_rules! define {
    ($object:expr, $($name:literal => $function:expr),+ $(,)?) => {
        $($object.set($name, $crate::natives::Func::from($function))?;)+
    };
}
use define;
