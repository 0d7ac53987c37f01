//! Streams of compressed data, which the host packs and unpacks. A failure is returned, not thrown: its message.

use rquickjs::class::{JsClass, Readable, Trace, Tracer};
use rquickjs::function::Constructor;
use rquickjs::{Array, Class, Ctx, IntoJs, JsLifetime, Object, Result, TypedArray, Value};

use super::{bytes, define, require_request, type_error};
use crate::bindings::caddis::engine::compression::{self, Direction, Error, Format, Progress};

/// A codec the host holds. It goes when JavaScript forgets the object.
struct Codec(compression::Codec);

impl<'js> Trace<'js> for Codec {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

// SAFETY: it holds no JavaScript value.
unsafe impl JsLifetime<'_> for Codec {
    type Changed<'to> = Codec;
}

impl<'js> JsClass<'js> for Codec {
    const NAME: &'static str = "Codec";
    type Mutable = Readable;

    fn prototype(_: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        Ok(None)
    }

    fn constructor(_: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native, "openCodec" => open, "convert" => convert);
    Ok(())
}

/// `effort` is 0 to 9 to compress, and undefined to decompress.
fn open<'js>(ctx: Ctx<'js>, format: String, effort: Option<u8>) -> Result<Value<'js>> {
    require_request(&ctx, "Compression")?;
    let format = match format.as_str() {
        "gzip" => Format::Gzip,
        "deflate" => Format::Deflate,
        "deflate-raw" => Format::DeflateRaw,
        _ => return Err(type_error(&ctx, "unknown format")),
    };
    match compression::Codec::open(format, effort.map_or(Direction::Decompress, Direction::Compress)) {
        Ok(codec) => Ok(Class::instance(ctx, Codec(codec))?.into_value()),
        Err(error) => message(&ctx, error),
    }
}

/// `[output, whether there is more, how much of the input was left over at the end]`; the last is undefined before the end.
fn convert<'js>(ctx: Ctx<'js>, codec: Class<'js, Codec>, input: TypedArray<'js, u8>, last: bool) -> Result<Value<'js>> {
    let (output, progress) = match codec.borrow().0.convert(&bytes(&input), last) {
        Ok(converted) => converted,
        Err(error) => return message(&ctx, error),
    };
    let result = Array::new(ctx.clone())?;
    result.set(0, TypedArray::<u8>::new(ctx, output)?)?;
    result.set(1, matches!(progress, Progress::HasOutput))?;
    if let Progress::Ended(unused) = progress {
        result.set(2, unused)?;
    }
    Ok(result.into_value())
}

fn message<'js>(ctx: &Ctx<'js>, error: Error) -> Result<Value<'js>> {
    let (Error::InvalidData(message) | Error::Limit(message)) = error;
    message.into_js(ctx)
}
