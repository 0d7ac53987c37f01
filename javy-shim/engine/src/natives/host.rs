//! What the host knows about the function and its caller, and its log.

use rquickjs::{Array, Ctx, Object, Result, Value};

use super::{define, require_request};
use crate::bindings::caddis::function::log::{self, Level};
use crate::bindings::caddis::function::{env, user};

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native, "log" => write_log, "env" => all_env, "user" => current_user);
    Ok(())
}

/// `level` counts from 0, trace, to 4, error.
fn write_log(level: u8, message: String) {
    let level = match level {
        0 => Level::Trace,
        1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        _ => Level::Error,
    };
    log::write(level, &message);
}

/// Names and values in turn.
fn all_env(ctx: Ctx<'_>) -> Result<Array<'_>> {
    let flat = Array::new(ctx)?;
    for (index, text) in env::all().into_iter().flat_map(|(name, value)| [name, value]).enumerate() {
        flat.set(index, text)?;
    }
    Ok(flat)
}

/// The caller, with its claims as JSON text, or null.
fn current_user(ctx: Ctx<'_>) -> Result<Value<'_>> {
    require_request(&ctx, "The caller")?;
    let Some(identity) = user::current() else {
        return Ok(Value::new_null(ctx));
    };
    let object = Object::new(ctx)?;
    object.set("id", identity.id)?;
    object.set("email", identity.email)?;
    object.set("role", identity.role)?;
    object.set("groups", identity.groups)?;
    object.set("claims", identity.claims)?;
    Ok(object.into_value())
}
