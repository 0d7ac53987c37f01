//! When a function runs by itself: a cron expression in a time zone.

use std::sync::LazyLock;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::error::Error;

/// Longest expression, in bytes.
const EXPRESSION_BYTES: usize = 256;

/// Longest name of a time zone, in bytes.
const ZONE_BYTES: usize = 64;

/// The fields of an expression.
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

/// A year from which every day of the calendar comes once more before the years end that are searched (in 5000).
const LAST_CYCLE: i16 = 4960;

/// The zones that are built in: what is due does not depend on the machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The times at which a function runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// The times of an expression (five fields, or `@daily` and the like) in a time zone, UTC unless one is given. There may be none: see
    /// [`Schedule::check`].
    ///
    /// # Errors
    /// `InvalidRequest` that names the setting, what is wrong with it, and one that would do.
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Self, Error> {
        let zone = match zone {
            Some(name) => find_zone(name)?,
            None => TimeZone::UTC,
        };
        if expression.len() > EXPRESSION_BYTES {
            return Err(Error::invalid(format!("cron_schedule must have at most {EXPRESSION_BYTES} bytes")));
        }
        let cron = parse(expression).map_err(|what| refused(expression, &what))?;
        Ok(Self { cron, zone })
    }

    /// Refuses what [`Schedule::parse`] does, and an expression that no time is ever due by.
    ///
    /// # Errors
    /// As there.
    pub fn check(expression: &str, zone: Option<&str>) -> Result<(), Error> {
        match Self::parse(expression, zone)?.is_ever_due() {
            true => Ok(()),
            false => Err(refused(expression, "no month has such a day")),
        }
    }

    /// The first time after this one.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false);
        next.ok().map(|next| next.timestamp())
    }

    fn is_ever_due(&self) -> bool {
        let late = date(LAST_CYCLE, 1, 1).to_zoned(TimeZone::UTC);
        late.is_ok_and(|late| self.cron.find_next_occurrence(&late, true).is_ok())
    }
}

fn find_zone(name: &str) -> Result<TimeZone, Error> {
    let found = if name.len() > ZONE_BYTES { None } else { ZONES.get(name).ok() };
    found.ok_or_else(|| {
        let name: String = name.chars().take(ZONE_BYTES).collect();
        Error::invalid(format!(
            "cron_timezone must be the name of an IANA time zone, like \"Europe/Paris\" or \"UTC\", got {name:?}"
        ))
    })
}

fn parse(expression: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let words: Vec<&str> = expression.split_whitespace().collect();
    if words.is_empty() {
        return Err("it is empty; null removes a schedule".to_owned());
    }
    if words.len() != FIELDS.len() && !expression.trim_start().starts_with('@') {
        return Err(format!("it has {} fields, not {}", words.len(), FIELDS.len()));
    }
    parser.parse(expression).map_err(|error| {
        // The parser does not say which field it means: each is tried alone.
        let is_bad = |at: usize, word: &str| {
            let alone: Vec<&str> = (0..FIELDS.len()).map(|field| if field == at { word } else { "*" }).collect();
            parser.parse(&alone.join(" ")).is_err()
        };
        let bad = words.iter().zip(FIELDS).enumerate().find(|(at, (word, _))| is_bad(*at, word));
        match bad {
            Some((_, (word, field))) if words.len() == FIELDS.len() => format!("the {field} {word:?} is not valid"),
            _ => error.to_string(),
        }
    })
}

fn refused(expression: &str, what: &str) -> Error {
    let form = "minute, hour, day of month, month and day of week, like \"*/5 * * * *\" or \"0 9 * * MON-FRI\", or @hourly, \
        @daily, @weekly, @monthly, @yearly";
    Error::invalid(format!("cron_schedule {expression:?}: {what}; it must be {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(expression, Some(zone)).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        let mut next = || {
            at = schedule.next_after(at).unwrap();
            at.to_string()
        };
        (0..count).map(|_| next()).collect()
    }

    fn next(expression: &str) -> String {
        times(expression, "UTC", "2026-11-21T12:34:56Z", 1).remove(0)
    }

    #[test]
    fn bb9_the_expressions_of_the_reference() {
        for (expression, expected) in [
            ("* * * * *", "2026-11-21T12:35:00Z"),
            ("*/5 * * * *", "2026-11-21T12:35:00Z"),
            ("0 * * * *", "2026-11-21T13:00:00Z"),
            ("0 9 * * *", "2026-11-22T09:00:00Z"),
            ("0 0 * * 1", "2026-11-23T00:00:00Z"),
        ] {
            assert_eq!(next(expression), expected, "{expression}");
        }
    }

    #[test]
    fn lists_ranges_steps_names_and_nicknames() {
        for (expression, expected) in [
            ("10,40 8-12 * * *", "2026-11-21T12:40:00Z"),
            ("1-59/20 * * * *", "2026-11-21T12:41:00Z"),
            ("0 9 * jan Mon-FRI", "2027-01-01T09:00:00Z"),
            ("0 0 * * 7", "2026-11-22T00:00:00Z"),
            ("@hourly", "2026-11-21T13:00:00Z"),
            ("@daily", "2026-11-22T00:00:00Z"),
            ("@weekly", "2026-11-22T00:00:00Z"),
            ("@monthly", "2026-12-01T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"),
            ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            // Either of two restricted days will do, as POSIX has it.
            ("0 0 25 * MON", "2026-11-23T00:00:00Z"),
        ] {
            assert_eq!(next(expression), expected, "{expression}");
        }
    }

    #[test]
    fn a_zone_moves_with_its_clocks() {
        let new_york = |expression, from, count| times(expression, "America/New_York", from, count);
        assert_eq!(new_york("0 9 * * *", "2026-11-21T12:00:00Z", 1), ["2026-11-21T14:00:00Z"]);
        // 02:30 is not there on that day: the run comes with the first minute behind the gap, and the next day as ever.
        let spring = new_york("30 2 * * *", "2026-03-08T05:00:00Z", 2);
        assert_eq!(spring, ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]);
        // 01:30 is there twice: the run comes once.
        let autumn = new_york("30 1 * * *", "2026-11-01T04:00:00Z", 2);
        assert_eq!(autumn, ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]);
        // What runs every so many minutes goes on doing so.
        let steps = new_york("*/30 * * * *", "2026-11-01T05:15:00Z", 3);
        assert_eq!(steps, ["2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z"]);
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_would_do() {
        let long = format!("{} * * * *", "1,".repeat(200));
        for (expression, parts) in [
            ("", ["null removes", "*/5 * * * *"]),
            ("* * * *", ["4 fields", "day of week"]),
            ("0 * * * * *", ["6 fields", "@daily"]),
            ("61 * * * *", ["minute \"61\"", "*/5"]),
            ("0 24 * * *", ["hour \"24\"", "*/5"]),
            ("0 0 0 * *", ["day of month \"0\"", "*/5"]),
            ("0 0 * 13 *", ["month \"13\"", "*/5"]),
            ("0 0 * * MOON", ["day of week \"MOON\"", "*/5"]),
            ("*/0 * * * *", ["minute \"*/0\"", "*/5"]),
            ("5-1 * * * *", ["minute \"5-1\"", "*/5"]),
            ("@reboot", ["@reboot", "@daily"]),
            ("@every 5m", ["@every", "@daily"]),
            ("0 0 30 2 *", ["no month has such a day", "*/5"]),
            (&long, ["cron_schedule", "256"]),
        ] {
            let error = Schedule::check(expression, None).unwrap_err().message;
            assert!(error.starts_with("cron_schedule"), "{error}");
            assert!(parts.iter().all(|part| error.contains(part)), "{expression}: {error}");
        }
        for zone in ["Mars/Olympus", "", "../../etc/passwd", &"A".repeat(10_000)] {
            let error = Schedule::check("* * * * *", Some(zone)).unwrap_err().message;
            assert!(error.contains("cron_timezone") && error.contains("Europe/Paris") && error.len() < 300, "{error}");
        }
    }
}
