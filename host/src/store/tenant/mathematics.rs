//! The mathematical functions of SQLite, which the library is built without: its names, and its way with NULL and with what is no
//! number.

use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use super::functions::FLAGS;

/// Registers the functions.
pub(super) fn install(sqlite: &Connection) -> Result<()> {
    let one = |name: &str, function: Unary| {
        let call = move |context: &Context<'_>| Ok(number(context, 0).map(function).filter(|value| !value.is_nan()));
        sqlite.create_scalar_function(name, 1, FLAGS, call)
    };
    let two = |name: &str, function: Binary| {
        let call = move |context: &Context<'_>| {
            let both = number(context, 0).zip(number(context, 1));
            Ok(both.map(|(first, second)| function(first, second)).filter(|value| !value.is_nan()))
        };
        sqlite.create_scalar_function(name, 2, FLAGS, call)
    };
    let whole = |name: &str, function: Unary| {
        let call = move |context: &Context<'_>| {
            Ok(match context.get_raw(0) {
                ValueRef::Integer(integer) => Value::Integer(integer),
                _ => number(context, 0).map_or(Value::Null, |value| Value::Real(function(value))),
            })
        };
        sqlite.create_scalar_function(name, 1, FLAGS, call)
    };
    for (name, function) in ONE_NUMBER {
        one(name, function)?;
    }
    for (name, function) in TWO_NUMBERS {
        two(name, function)?;
    }
    for (name, function) in WHOLE_NUMBERS {
        whole(name, function)?;
    }
    sqlite.create_scalar_function("pi", 0, FLAGS, |_| Ok(std::f64::consts::PI))
}

/// Of one number.
type Unary = fn(f64) -> f64;

/// Of two numbers.
type Binary = fn(f64, f64) -> f64;

const ONE_NUMBER: [(&str, Unary); 20] = [
    ("acos", f64::acos),
    ("acosh", f64::acosh),
    ("asin", f64::asin),
    ("asinh", f64::asinh),
    ("atan", f64::atan),
    ("atanh", f64::atanh),
    ("cos", f64::cos),
    ("cosh", f64::cosh),
    ("degrees", f64::to_degrees),
    ("exp", f64::exp),
    ("ln", logarithm),
    ("log", |value| logarithm(value) / std::f64::consts::LN_10),
    ("log10", |value| if value > 0.0 { value.log10() } else { f64::NAN }),
    ("log2", |value| if value > 0.0 { value.log2() } else { f64::NAN }),
    ("radians", f64::to_radians),
    ("sin", f64::sin),
    ("sinh", f64::sinh),
    ("sqrt", f64::sqrt),
    ("tan", f64::tan),
    ("tanh", f64::tanh),
];

const TWO_NUMBERS: [(&str, Binary); 5] = [
    ("atan2", f64::atan2),
    ("log", |base, value| logarithm(value) / logarithm(base)),
    ("mod", |value, divisor| value % divisor),
    ("pow", f64::powf),
    ("power", f64::powf),
];

const WHOLE_NUMBERS: [(&str, Unary); 4] =
    [("ceil", f64::ceil), ("ceiling", f64::ceil), ("floor", f64::floor), ("trunc", f64::trunc)];

/// The logarithm of what has one.
fn logarithm(value: f64) -> f64 {
    if value > 0.0 { value.ln() } else { f64::NAN }
}

/// An argument as a number, if it is one or a text that is one.
fn number(context: &Context<'_>, index: usize) -> Option<f64> {
    match context.get_raw(index) {
        #[expect(clippy::cast_precision_loss, reason = "as SQLite does")]
        ValueRef::Integer(integer) => Some(integer as f64),
        ValueRef::Real(real) => Some(real),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}
