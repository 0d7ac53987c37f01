//! Time zones by name or offset. The data is the one built in, so that an answer does not depend on the machine.

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use std::sync::LazyLock;

use super::super::locale::excerpt;
use super::super::service::Failure;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The zone of a name or an offset like `+05:30`, UTC for none, and its canonical name.
pub(super) fn find(name: Option<&str>) -> Result<(TimeZone, String), Failure> {
    let Some(name) = name else { return Ok((TimeZone::UTC, "UTC".to_owned())) };
    let invalid = || Failure::range(format!("Invalid time zone specified: {}", excerpt(name)));
    if let Some(minutes) = offset_minutes(name) {
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        let offset = Offset::from_seconds(minutes * 60).map_err(|_| invalid())?;
        return Ok((TimeZone::fixed(offset), format!("{}{hours:02}:{rest:02}", if minutes < 0 { '-' } else { '+' })));
    }
    if !name.is_ascii() || name.len() > 64 {
        return Err(invalid());
    }
    if [
        "utc",
        "gmt",
        "etc/utc",
        "etc/gmt",
        "etc/uct",
        "etc/zulu",
        "zulu",
        "uct",
        "universal",
        "etc/universal",
        "etc/gmt0",
        "gmt0",
        "etc/greenwich",
        "greenwich",
    ]
    .contains(&name.to_ascii_lowercase().as_str())
    {
        return Ok((TimeZone::UTC, "UTC".to_owned()));
    }
    let zone = DATABASE.get(name).map_err(|_| invalid())?;
    let canonical = zone.iana_name().ok_or_else(invalid)?.to_owned();
    Ok((zone, canonical))
}

/// All names, for `supportedValuesOf`.
pub(in super::super) fn names() -> Vec<String> {
    let names = DATABASE.available().map(|name| name.to_string());
    let mut names: Vec<String> = names.filter(|name| name.contains('/') && !name.starts_with("Etc/")).collect();
    names.push("UTC".to_owned());
    names.sort();
    names
}

/// `±HH`, `±HHMM` or `±HH:MM`.
fn offset_minutes(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':').filter(|(hours, _)| hours.len() == 2)?,
        _ => return None,
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i32>().ok())?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}
