//! JavaScript exceptions as the `error` of the lean world.

use std::cell::RefCell;

use rquickjs::function::Function;
use rquickjs::{Ctx, Object, Persistent, Value};

use crate::bindings::caddis::function::http::Error;

thread_local! {
    static DESCRIBE: RefCell<Option<Persistent<Function<'static>>>> = const { RefCell::new(None) };
}

/// Sets the function of the prelude that turns a thrown value into `[message, stack]`.
pub(crate) fn set_describer(function: Persistent<Function<'static>>) {
    DESCRIBE.set(Some(function));
}

/// An error with this message and no stack.
pub(crate) fn plain(message: impl Into<String>) -> Error {
    Error { message: message.into(), stack: None }
}

/// What was thrown, in words. Falls back to less when describing it throws again.
pub(crate) fn describe<'js>(ctx: &Ctx<'js>, thrown: Value<'js>) -> Error {
    let describer = DESCRIBE.with_borrow(|function| function.clone()).and_then(|function| function.restore(ctx).ok());
    let described = describer.and_then(|function| function.call::<_, Vec<Option<String>>>((thrown.clone(),)).ok());
    match described.map(Vec::into_iter).and_then(|mut texts| Some((texts.next()??, texts.next().flatten()))) {
        Some((message, stack)) => Error { message, stack },
        None => {
            ctx.catch();
            basic(thrown)
        }
    }
}

/// The pending exception of `ctx`, or the error of the binding itself.
pub(crate) fn caught(ctx: &Ctx<'_>, error: rquickjs::Error) -> Error {
    if error.is_exception() { describe(ctx, ctx.catch()) } else { plain(error.to_string()) }
}

fn basic(thrown: Value<'_>) -> Error {
    let text = |object: &Object<'_>, key: &str| object.get::<_, String>(key).ok();
    match thrown.as_object() {
        Some(object) => Error {
            message: text(object, "message").unwrap_or_else(|| "An object was thrown".to_owned()),
            stack: text(object, "stack"),
        },
        None => plain(thrown.get::<String>().unwrap_or_else(|_| "A value was thrown".to_owned())),
    }
}
