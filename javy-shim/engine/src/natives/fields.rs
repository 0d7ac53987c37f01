//! Lists of header fields (Fetch standard, section 2.2.2). They stay on this side: a request makes JavaScript strings only of the fields
//! a program asks for.
//!
//! Names are in lower case. Values are bytes, and one byte is one character (the standard's isomorphic decoding).

use rquickjs::class::{JsClass, Trace, Tracer, Writable};
use rquickjs::function::Constructor;
use rquickjs::{Array, Class, Ctx, FromJs, JsLifetime, Object, Result, String as JsString, Value};

use super::{define, type_error};

/// Header fields, in the order they came.
pub(crate) struct Fields(Vec<Field>);

type Field = (String, Vec<u8>);

impl<'js> Trace<'js> for Fields {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

// SAFETY: it holds no JavaScript value.
unsafe impl JsLifetime<'_> for Fields {
    type Changed<'to> = Fields;
}

impl<'js> JsClass<'js> for Fields {
    const NAME: &'static str = "Fields";
    type Mutable = Writable;

    fn prototype(_: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        Ok(None)
    }

    fn constructor(_: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "newFields" => |ctx| to_js(&ctx, Vec::new()),
        "copyFields" => |ctx, fields: Class<'_, Fields>| to_js(&ctx, fields.borrow().0.clone()),
        "appendField" => append,
        "defaultField" => append_default,
        "setField" => set,
        "deleteField" => delete,
        "getField" => get,
        "hasField" => has,
        "cookies" => cookies,
        "sortedFields" => sorted,
    );
    Ok(())
}

/// The list as a value that the functions above take.
pub(crate) fn to_js<'js>(ctx: &Ctx<'js>, fields: Vec<Field>) -> Result<Class<'js, Fields>> {
    Class::instance(ctx.clone(), Fields(fields))
}

/// Takes the fields out, to send them.
pub(crate) fn take(fields: &Class<'_, Fields>) -> Vec<Field> {
    std::mem::take(&mut fields.borrow_mut().0)
}

/// The fields as they are.
pub(crate) fn copy(fields: &Class<'_, Fields>) -> Vec<Field> {
    fields.borrow().0.clone()
}

fn append<'js>(ctx: Ctx<'js>, fields: Class<'js, Fields>, name: Name, value: JsString<'js>) -> Result<()> {
    let value = value_of(&ctx, &name, &value)?;
    fields.borrow_mut().0.push((name.0, value));
    Ok(())
}

/// Adds a field if there is none of this name; whether it did.
fn append_default<'js>(ctx: Ctx<'js>, fields: Class<'js, Fields>, name: Name, value: JsString<'js>) -> Result<bool> {
    let is_there = fields.borrow().0.iter().any(|(key, _)| *key == name.0);
    if !is_there {
        append(ctx, fields, name, value)?;
    }
    Ok(!is_there)
}

fn set<'js>(ctx: Ctx<'js>, fields: Class<'js, Fields>, name: Name, value: JsString<'js>) -> Result<()> {
    let value = value_of(&ctx, &name, &value)?;
    let list = &mut fields.borrow_mut().0;
    let Some(first) = list.iter().position(|(key, _)| *key == name.0) else {
        list.push((name.0, value));
        return Ok(());
    };
    let mut index = 0;
    list.retain_mut(|(key, current)| {
        let keep = index <= first || *key != name.0;
        if index == first {
            current.clone_from(&value);
        }
        index += 1;
        keep
    });
    Ok(())
}

fn delete(fields: Class<'_, Fields>, name: Name) {
    fields.borrow_mut().0.retain(|(key, _)| *key != name.0);
}

/// All values of the name, joined; null when there is none.
fn get<'js>(ctx: Ctx<'js>, fields: Class<'js, Fields>, name: Name) -> Result<Value<'js>> {
    let fields = fields.borrow();
    let mut values = fields.0.iter().filter(|(key, _)| *key == name.0).map(|(_, value)| value.as_slice());
    let Some(first) = values.next() else {
        return Ok(Value::new_null(ctx));
    };
    match values.next() {
        None => decode(&ctx, first),
        Some(second) => {
            let joined = values.fold([first, second].join(&b", "[..]), |joined, next| [&joined, next].join(&b", "[..]));
            decode(&ctx, &joined)
        }
    }
}

fn has(fields: Class<'_, Fields>, name: Name) -> bool {
    fields.borrow().0.iter().any(|(key, _)| *key == name.0)
}

/// The values of `set-cookie`, one by one.
fn cookies<'js>(ctx: Ctx<'js>, fields: Class<'js, Fields>) -> Result<Array<'js>> {
    let list = Array::new(ctx.clone())?;
    let fields = fields.borrow();
    for (index, (_, value)) in fields.0.iter().filter(|(key, _)| is_cookie(key)).enumerate() {
        list.set(index, decode(&ctx, value)?)?;
    }
    Ok(list)
}

fn is_cookie(name: &str) -> bool {
    name == "set-cookie"
}

/// Names and values in turn, by name: values of one name are joined, but for cookies.
fn sorted<'js>(ctx: Ctx<'js>, fields: Class<'js, Fields>) -> Result<Array<'js>> {
    let fields = fields.borrow();
    let mut order: Vec<&Field> = fields.0.iter().collect();
    // The sort is stable: fields of one name keep their order.
    order.sort_by(|(one, _), (other, _)| one.cmp(other));
    let list = Array::new(ctx.clone())?;
    let mut next = 0;
    for group in order.chunk_by(|(one, _), (other, _)| one == other && !is_cookie(one)) {
        let Some((name, first)) = group.first() else { continue };
        let value = match group {
            [_] => decode(&ctx, first)?,
            _ => decode(&ctx, &group.iter().map(|(_, value)| value.as_slice()).collect::<Vec<_>>().join(&b", "[..]))?,
        };
        list.set(next, JsString::from_str(ctx.clone(), name)?)?;
        list.set(next + 1, value)?;
        next += 2;
    }
    Ok(list)
}

/// A field name that was checked, in lower case.
struct Name(String);

impl<'js> FromJs<'js> for Name {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Name> {
        // The prelude passes strings; one with a lone surrogate has no UTF-8 form, and is no name either.
        let mut name: String = value.get().unwrap_or_default();
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(type_error(ctx, &format!("Headers: \"{name}\" is not a header name")));
        }
        name.make_ascii_lowercase();
        Ok(Name(name))
    }
}

/// The characters of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The bytes of a value, without white space around it.
fn value_of<'js>(ctx: &Ctx<'js>, name: &Name, value: &JsString<'js>) -> Result<Vec<u8>> {
    let refused =
        |reason: &str| type_error(ctx, &format!("Headers: the value of \"{}\" has a character {reason}", name.0));
    let over = || refused("over U+00FF");
    let text = value.to_string().map_err(|_| over())?;
    let text = text.trim_matches(['\t', '\n', '\r', ' ']);
    if text.contains(['\0', '\r', '\n']) {
        return Err(refused("that no header value can have"));
    }
    if text.is_ascii() {
        return Ok(text.as_bytes().to_vec());
    }
    text.chars().map(|character| u8::try_from(u32::from(character)).map_err(|_| over())).collect()
}

fn decode<'js>(ctx: &Ctx<'js>, value: &[u8]) -> Result<Value<'js>> {
    let string = match std::str::from_utf8(value) {
        Ok(text) if value.is_ascii() => JsString::from_str(ctx.clone(), text)?,
        _ => JsString::from_str(ctx.clone(), &value.iter().copied().map(char::from).collect::<String>())?,
    };
    Ok(string.into_value())
}
