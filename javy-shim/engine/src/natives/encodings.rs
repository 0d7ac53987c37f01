//! Text in legacy encodings, which the host decodes.

use std::cell::Cell;

use rquickjs::class::{JsClass, Readable, Trace, Tracer};
use rquickjs::function::Constructor;
use rquickjs::{Class, Ctx, JsLifetime, Object, Result, TypedArray};

use super::{bytes, define, require_request, type_error};
use crate::bindings::caddis::engine::encodings::{self, Decoder};

/// What the host takes in one call, and less.
const CHUNK: usize = 32 << 10;

/// How many decoders there may be at once. The host has a limit for all it lends, and ends the program there.
const DECODERS: usize = 100;

thread_local! {
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// A decoder the host holds. It goes when JavaScript forgets the object.
struct LegacyDecoder(Decoder);

impl Drop for LegacyDecoder {
    fn drop(&mut self) {
        OPEN.set(OPEN.get().saturating_sub(1));
    }
}

impl<'js> Trace<'js> for LegacyDecoder {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

// SAFETY: it holds no JavaScript value.
unsafe impl JsLifetime<'_> for LegacyDecoder {
    type Changed<'to> = LegacyDecoder;
}

impl<'js> JsClass<'js> for LegacyDecoder {
    const NAME: &'static str = "LegacyDecoder";
    type Mutable = Readable;

    fn prototype(_: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        Ok(None)
    }

    fn constructor(_: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "encodingName" => |label: String| encodings::name(&label),
        "openDecoder" => open,
        "decodeLegacy" => decode,
    );
    Ok(())
}

/// A decoder for one text: `in_pieces` when it comes in several calls, which an image cannot hold the middle of.
fn open(ctx: Ctx<'_>, label: String, fatal: bool, in_pieces: bool) -> Result<Class<'_, LegacyDecoder>> {
    if in_pieces {
        require_request(&ctx, "A text in a legacy encoding that comes in pieces")?;
    }
    let decoder = if OPEN.get() < DECODERS { Decoder::open(&label, fatal) } else { None };
    let decoder =
        decoder.ok_or_else(|| type_error(&ctx, &format!("More than {DECODERS} texts are being decoded at once")))?;
    OPEN.set(OPEN.get() + 1);
    Class::instance(ctx, LegacyDecoder(decoder))
}

fn decode<'js>(
    ctx: Ctx<'js>,
    decoder: Class<'js, LegacyDecoder>,
    view: TypedArray<'js, u8>,
    last: bool,
) -> Result<String> {
    let bytes = bytes(&view);
    let decoder = &decoder.borrow().0;
    let mut text = String::new();
    let mut chunks = bytes.chunks(CHUNK).peekable();
    if chunks.peek().is_none() {
        return decode_chunk(&ctx, decoder, &[], last);
    }
    while let Some(chunk) = chunks.next() {
        text.push_str(&decode_chunk(&ctx, decoder, chunk, last && chunks.peek().is_none())?);
    }
    Ok(text)
}

fn decode_chunk(ctx: &Ctx<'_>, decoder: &Decoder, bytes: &[u8], last: bool) -> Result<String> {
    decoder.decode(bytes, last).map_err(|_| type_error(ctx, "The encoded data is not valid"))
}
