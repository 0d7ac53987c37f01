//! Text coding: UTF-8, UTF-16 and windows-1252, which is what the Encoding standard means by latin1.

use std::borrow::Cow;

use rquickjs::{Ctx, Exception, Object, Result, String as JsString, TypedArray, Value};

use super::{bytes, define, type_error};

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "encodeUtf8" => encode_utf8,
        "decodeText" => decode_text,
        "decodeUtf8" => decode_utf8,
        "parseJson" => parse_json,
    );
    Ok(())
}

/// `text` is well-formed: the prelude saw to that.
fn encode_utf8(ctx: Ctx<'_>, text: String) -> Result<TypedArray<'_, u8>> {
    TypedArray::new(ctx, text.into_bytes())
}

/// UTF-8 without its byte order mark; what is not valid becomes U+FFFD.
fn decode_utf8<'js>(ctx: Ctx<'js>, view: TypedArray<'js, u8>) -> Result<JsString<'js>> {
    let bytes = bytes(&view);
    JsString::from_str(ctx, &text_of(&bytes))
}

/// The value that `JSON.parse` gives for the text of the bytes.
fn parse_json<'js>(ctx: Ctx<'js>, view: TypedArray<'js, u8>) -> Result<Value<'js>> {
    let bytes = bytes(&view);
    let text = text_of(&bytes);
    if text.contains('\0') {
        return Err(Exception::throw_syntax(&ctx, "The body is not JSON: it has a NUL character"));
    }
    ctx.json_parse(text.as_bytes())
}

fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// Decodes a whole number of characters; the prelude keeps incomplete ones back when it streams, and takes care of the byte order mark.
fn decode_text<'js>(ctx: Ctx<'js>, encoding: String, view: TypedArray<'js, u8>, fatal: bool) -> Result<String> {
    let bytes = bytes(&view);
    let decoded = match encoding.as_str() {
        "utf-16le" => utf16(&bytes, u16::from_le_bytes),
        "utf-16be" => utf16(&bytes, u16::from_be_bytes),
        "windows-1252" => (bytes.into_iter().map(windows_1252).collect(), true),
        _ => match String::from_utf8(bytes) {
            Ok(text) => (text, true),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), false),
        },
    };
    match decoded {
        (_, false) if fatal => Err(type_error(&ctx, &format!("The encoded data is not valid {encoding}"))),
        (text, _) => Ok(text),
    }
}

/// The text, and whether it was valid.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (String, bool) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut valid = rest.is_empty();
    let mut text: String = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|unit| {
            unit.unwrap_or_else(|_| {
                valid = false;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    (text, valid)
}

/// Bytes 0x80 to 0x9F (<https://encoding.spec.whatwg.org/index-windows-1252.txt>); the others stand for themselves.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn windows_1252(byte: u8) -> char {
    let index = usize::from(byte).wrapping_sub(0x80);
    WINDOWS_1252.get(index).copied().unwrap_or(char::from(byte))
}
