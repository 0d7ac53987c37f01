//! Header fields between bytes and JavaScript strings: one byte is one character (the Fetch standard's isomorphic decoding).

use rquickjs::{Array, Ctx, Result};

/// A flat list of names and values.
pub(crate) fn to_js<'js>(ctx: &Ctx<'js>, fields: Vec<(String, Vec<u8>)>) -> Result<Array<'js>> {
    let flat = Array::new(ctx.clone())?;
    for (index, (name, value)) in fields.into_iter().enumerate() {
        flat.set(index * 2, name)?;
        flat.set(index * 2 + 1, decode(value))?;
    }
    Ok(flat)
}

/// The reverse of `to_js`. The prelude has checked that no character is over U+00FF; what is would become `?`.
pub(crate) fn from_js(flat: Vec<String>) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::with_capacity(flat.len() / 2);
    let mut texts = flat.into_iter();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        fields.push((name, encode(value)));
    }
    fields
}

fn decode(value: Vec<u8>) -> String {
    if value.is_ascii() {
        return String::from_utf8(value).unwrap_or_default();
    }
    value.into_iter().map(char::from).collect()
}

fn encode(value: String) -> Vec<u8> {
    if value.is_ascii() {
        return value.into_bytes();
    }
    value.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}
