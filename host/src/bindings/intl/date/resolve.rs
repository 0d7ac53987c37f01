//! What `Intl.DateTimeFormat.prototype.resolvedOptions` returns.

use serde_json::{Map, Value as Json, json};

use super::super::locale::Known;
use super::super::skeleton::{Field, Item, Kind};
use super::options::{Cycle, DateOptions};
use super::{fields, name_of};

/// The options in the order of ECMA-402.
pub(super) fn options(known: &Known, numbering: &str, zone: &str, options: &DateOptions, items: &[Item]) -> Json {
    let mut resolved = Map::new();
    resolved.insert("locale".into(), json!(known.locale.to_string()));
    resolved.insert("calendar".into(), json!("gregory"));
    resolved.insert("numberingSystem".into(), json!(numbering));
    resolved.insert("timeZone".into(), json!(zone));
    if let Some(cycle) = fields(items).find_map(|field| Cycle::of(field.letter)) {
        resolved.insert("hourCycle".into(), json!(cycle.name()));
        resolved.insert("hour12".into(), json!(matches!(cycle, Cycle::H11 | Cycle::H12)));
    }
    if options.date_style.is_none() && options.time_style.is_none() {
        for field in fields(items) {
            if let Some((name, value)) = described(field) {
                resolved.insert(name.into(), value);
            }
        }
    }
    for (name, style) in [("dateStyle", options.date_style), ("timeStyle", options.time_style)] {
        if let Some(style) = style {
            resolved.insert(name.into(), json!(style.name()));
        }
    }
    Json::Object(resolved)
}

fn described(field: Field) -> Option<(&'static str, Json)> {
    let kind = field.kind().filter(|kind| *kind != Kind::DayPeriod)?;
    if kind == Kind::Fraction {
        return Some(("fractionalSecondDigits", json!(field.width)));
    }
    let text = match (field.letter, field.width) {
        ('O', 4) => "longOffset",
        ('O', _) => "shortOffset",
        ('v', 4) => "longGeneric",
        ('v', _) => "shortGeneric",
        ('z', 4) => "long",
        ('z', _) => "short",
        ('G' | 'E' | 'c', width) => text(width),
        (_, 1) => "numeric",
        (_, 2) => "2-digit",
        (_, width) => text(width),
    };
    Some((name_of(kind), json!(text)))
}

fn text(width: usize) -> &'static str {
    match width {
        4 => "long",
        5 => "narrow",
        _ => "short",
    }
}
