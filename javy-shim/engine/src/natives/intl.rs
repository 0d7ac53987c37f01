//! What depends on a locale: the host knows it. A failure is returned, not thrown: `{ code, message }`, of which the prelude makes the
//! error.

use rquickjs::{Array, Ctx, IntoJs, Object, Result, Value};

use super::define;
use crate::bindings::caddis::engine::intl::{self, Argument, Error, Part};

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "intlResolve" => resolve,
        "intlFormat" => format,
        "intlCompare" => compare,
        "intlSegment" => segment,
        "intlCanonical" => canonical,
        "intlSupported" => supported,
        "intlCase" => convert_case,
        "intlValues" => values,
    );
    Ok(())
}

fn resolve(ctx: Ctx<'_>, description: String) -> Result<Value<'_>> {
    answer(&ctx, intl::resolve(&description), |ctx, text| text.into_js(ctx))
}

/// Numbers are moments; numbers to format come as text.
fn format<'js>(ctx: Ctx<'js>, description: String, values: Vec<Value<'js>>) -> Result<Value<'js>> {
    let argument = |value: Value<'js>| match value.as_number() {
        Some(number) => Ok(Argument::Number(number)),
        None => value.get::<String>().map(Argument::Text),
    };
    let values = values.into_iter().map(argument).collect::<Result<Vec<_>>>()?;
    answer(&ctx, intl::format(&description, &values), parts_to_js)
}

/// Kind, text and source of each part, one after the other.
fn parts_to_js<'js>(ctx: &Ctx<'js>, parts: Vec<Part>) -> Result<Value<'js>> {
    let list = Array::new(ctx.clone())?;
    let texts = parts.into_iter().flat_map(|part| [part.kind, part.text, part.source]);
    for (index, text) in texts.enumerate() {
        list.set(index, text)?;
    }
    Ok(list.into_value())
}

fn compare(ctx: Ctx<'_>, description: String, one: String, other: String) -> Result<Value<'_>> {
    answer(&ctx, intl::compare(&description, &one, &other), |ctx, order| i32::from(order).into_js(ctx))
}

/// The length of each segment, negative for those like words.
fn segment(ctx: Ctx<'_>, description: String, text: String) -> Result<Value<'_>> {
    answer(&ctx, intl::segment(&description, &text), |ctx, segments| {
        let list = Array::new(ctx.clone())?;
        for (index, (length, word)) in segments.into_iter().enumerate() {
            let length = f64::from(length);
            list.set(index, if word { -length } else { length })?;
        }
        Ok(list.into_value())
    })
}

fn canonical(ctx: Ctx<'_>, tags: Vec<String>) -> Result<Value<'_>> {
    answer(&ctx, intl::canonical_locales(&tags), |ctx, tags| tags.into_js(ctx))
}

fn supported(ctx: Ctx<'_>, tags: Vec<String>) -> Result<Value<'_>> {
    answer(&ctx, intl::supported_locales(&tags), |ctx, tags| tags.into_js(ctx))
}

fn convert_case(ctx: Ctx<'_>, tags: Vec<String>, upper: bool, text: String) -> Result<Value<'_>> {
    answer(&ctx, intl::convert_case(&tags, upper, &text), |ctx, text| text.into_js(ctx))
}

fn values(ctx: Ctx<'_>, key: String) -> Result<Value<'_>> {
    answer(&ctx, intl::values(&key), |ctx, values| values.into_js(ctx))
}

fn answer<'js, T>(
    ctx: &Ctx<'js>,
    result: std::result::Result<T, Error>,
    to_js: impl FnOnce(&Ctx<'js>, T) -> Result<Value<'js>>,
) -> Result<Value<'js>> {
    let (code, message) = match result {
        Ok(value) => return to_js(ctx, value),
        Err(Error::RangeError(message)) => ("RangeError", message),
        Err(Error::TypeError(message)) => ("TypeError", message),
    };
    let failure = Object::new(ctx.clone())?;
    failure.set("code", code)?;
    failure.set("message", message)?;
    Ok(failure.into_value())
}
