//! `Intl.DateTimeFormat`, in the Gregorian calendar.

use icu::calendar::{Date, Gregorian};
use icu::datetime::fieldsets::enums::CompositeFieldSet;
use icu::datetime::pattern::{DateTimePattern, FixedCalendarDateTimeNames};
use icu::locale::Locale;
use icu::time::zone::{IanaParser, UtcOffset, ZoneNameTimestamp, models};
use icu::time::{Time, TimeZoneInfo, ZonedDateTime};
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use writeable::TryWriteable as _;

use super::locale;
use super::number::digits;
use super::patterns::Patterns;
use super::service::{Argument, Failure, Formatted, Part, Service, unfit};
use super::skeleton::{Field, Item, Kind, Skeleton};

mod options;
mod range;
mod resolve;
mod zone;

use options::Cycle;
pub(super) use options::DateOptions;
pub(super) use zone::names as zone_names;

type Names = FixedCalendarDateTimeNames<Gregorian, CompositeFieldSet>;
type Moment = ZonedDateTime<Gregorian, TimeZoneInfo<models::AtTime>>;

/// A date formatter.
pub(super) struct DateFormat {
    locale: Locale,
    names: Names,
    pieces: Vec<Piece>,
    items: Vec<Item>,
    wanted: Skeleton,
    patterns: Patterns,
    zone: TimeZone,
    digits: digits::Digits,
    resolved: Json,
}

enum Piece {
    Literal(String),
    /// A field, formatted by ICU4X as a pattern of its own.
    Field(&'static str, DateTimePattern),
    /// Before or after noon. ICU4X has a word for noon, too, where some locales have it.
    HalfDay,
    /// The hour, counted so, in that many digits at least. ICU4X does not know all cycles.
    Hour(Cycle, usize),
    /// That many digits of the second's fraction.
    Fraction(usize),
}

impl DateFormat {
    /// The formatter of these options.
    pub(super) fn new(options: &DateOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &["nu", "ca", "hc"])?;
        options.require_gregorian(&known)?;
        let (known, numbering) = digits::numbering(&known, options.numbering_system.as_deref())?;
        let patterns = Patterns::dates(&known.section);
        let cycle = options.hour_cycle(&known, &patterns);
        let prefs = known.with_keyword("nu", &numbering);
        let digits = digits::Digits::new(&prefs)?;
        let (items, wanted) = options.pattern(&patterns, cycle, digits.decimal())?;
        let (zone, zone_name) = zone::find(options.time_zone.as_deref())?;
        let mut names = Names::try_new((&prefs).into()).map_err(Failure::data)?;
        let pieces = pieces(&mut names, &items)?;
        let resolved = resolve::options(&known, &numbering, &zone_name, options, &items);
        Ok(Self { locale: prefs, names, pieces, items, wanted, patterns, zone, digits, resolved })
    }

    /// Where the language has the name, `GMT` is a name and not an offset of nothing.
    fn zone_name<'a>(&self, kind: &str, text: &'a str) -> &'a str {
        let is_name = kind == "timeZoneName"
            && text == "GMT+0"
            && self.wanted.get(Kind::Zone).is_some_and(|zone| zone.letter == 'z');
        if is_name && ["en", "es", "hr", "hu", "nb", "nl", "no", "ro", "sv"].contains(&self.locale.id.language.as_str())
        {
            "GMT"
        } else {
            text
        }
    }

    fn moment(&self, milliseconds: f64) -> Result<(Moment, u16), Failure> {
        let outside = || Failure::range("the date is outside the years -9999 to 9999, which this host formats");
        #[expect(clippy::cast_possible_truncation, reason = "a float is cut to the range of the integer")]
        let timestamp = jiff::Timestamp::from_millisecond(milliseconds as i64).map_err(|_| outside())?;
        if !milliseconds.is_finite() {
            return Err(Failure::range("Invalid time value"));
        }
        let zoned = timestamp.to_zoned(self.zone.clone());
        let (date, time) = (zoned.date(), zoned.time());
        let number = |part: i8| u8::try_from(part).unwrap_or_default();
        let date = Date::try_new_gregorian(date.year().into(), number(date.month()), number(date.day()))
            .map_err(|_| outside())?;
        let fraction = u16::try_from(time.millisecond()).unwrap_or_default();
        let time = Time::try_new(number(time.hour()), number(time.minute()), number(time.second()), 0)
            .map_err(|_| outside())?;
        let id = self.zone.iana_name().map_or(icu::time::TimeZone::UNKNOWN, |name| IanaParser::new().parse(name));
        let offset = UtcOffset::try_from_seconds(zoned.offset().seconds()).ok();
        let zone = id.with_offset(offset);
        let zone = zone.with_zone_name_timestamp(ZoneNameTimestamp::from_epoch_seconds(timestamp.as_second()));
        Ok((ZonedDateTime { date, time, zone }, fraction))
    }

    fn render(&self, pieces: &[Piece], milliseconds: f64) -> Formatted {
        self.render_with(&self.names, pieces, milliseconds)
    }

    fn render_with(&self, names: &Names, pieces: &[Piece], milliseconds: f64) -> Formatted {
        let (moment, fraction) = self.moment(milliseconds)?;
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            parts.push(match piece {
                Piece::Literal(text) => Part::new("literal", text.as_str()),
                Piece::HalfDay => {
                    let (key, usual) =
                        if moment.time.hour.number() < 12 { ("name/am", "AM") } else { ("name/pm", "PM") };
                    Part::new("dayPeriod", plain_spaces(self.patterns.get(key).unwrap_or(usual)))
                }
                Piece::Hour(cycle, width) => {
                    let hour = cycle.hour(moment.time.hour.number());
                    Part::new("hour", self.digits.localized(&format!("{hour:0width$}")))
                }
                Piece::Fraction(digits) => {
                    let text: String = format!("{fraction:03}").chars().take(*digits).collect();
                    Part::new("fractionalSecond", self.digits.localized(&text))
                }
                Piece::Field(kind, pattern) => {
                    let formatted = names.with_pattern_unchecked(pattern).format(&moment);
                    let text = formatted.try_write_to_string().map_err(|(error, _)| Failure::data(error))?;
                    Part::new(kind, self.digits.localized(&plain_spaces(self.zone_name(kind, &text))))
                }
            });
        }
        Ok(parts)
    }
}

impl Service for DateFormat {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn format(&self, arguments: &[Argument]) -> Formatted {
        match arguments {
            [Argument::Number(moment)] => self.render(&self.pieces, *moment),
            [Argument::Number(start), Argument::Number(end)] => self.range(*start, *end),
            _ => Err(unfit()),
        }
    }
}

/// JavaScript engines print a plain space where CLDR has had a narrow no-break space since version 42.
fn plain_spaces(text: &str) -> String {
    text.replace('\u{202f}', " ")
}

fn pieces(names: &mut Names, items: &[Item]) -> Result<Vec<Piece>, Failure> {
    items.iter().map(|item| piece(names, item)).collect()
}

fn piece(names: &mut Names, item: &Item) -> Result<Piece, Failure> {
    let field = match item {
        Item::Literal(text) => return Ok(Piece::Literal(plain_spaces(text))),
        Item::Field(field) => field,
    };
    let kind = field.kind().ok_or_else(|| Failure::data(format!("the pattern letter {}", field.letter)))?;
    if let Some(cycle) = Cycle::of(field.letter) {
        return Ok(Piece::Hour(cycle, field.width));
    }
    if kind == Kind::DayPeriod {
        return Ok(Piece::HalfDay);
    }
    if kind == Kind::Fraction {
        return Ok(Piece::Fraction(field.width));
    }
    let text: String = std::iter::repeat_n(field.letter, field.width).collect();
    let pattern = DateTimePattern::try_from_pattern_str(&text).map_err(Failure::data)?;
    names.include_for_pattern(&pattern).map_err(Failure::data)?;
    Ok(Piece::Field(name_of(kind), pattern))
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Era => "era",
        Kind::Year => "year",
        Kind::Month => "month",
        Kind::Weekday => "weekday",
        Kind::Day => "day",
        Kind::DayPeriod => "dayPeriod",
        Kind::Hour => "hour",
        Kind::Minute => "minute",
        Kind::Second => "second",
        Kind::Fraction => "fractionalSecond",
        Kind::Zone => "timeZoneName",
    }
}

/// The fields among items.
fn fields(items: &[Item]) -> impl Iterator<Item = Field> {
    items.iter().filter_map(|item| match item {
        Item::Field(field) => Some(*field),
        Item::Literal(_) => None,
    })
}
