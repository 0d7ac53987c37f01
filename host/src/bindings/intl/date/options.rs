//! The options of a date formatter, and the pattern they ask for.

use serde::Deserialize;

use super::super::locale::{Known, excerpt};
use super::super::patterns::Patterns;
use super::super::service::Failure;
use super::super::skeleton::{Field, Item, Kind, Skeleton, best, fill, items};
use super::fields;

/// As the prelude passes them: checked for their kind, with defaults for the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in super::super) struct DateOptions {
    pub(super) locales: Vec<String>,
    pub(super) calendar: Option<String>,
    pub(super) numbering_system: Option<String>,
    pub(super) hour12: Option<bool>,
    pub(super) hour_cycle: Option<Cycle>,
    pub(super) time_zone: Option<String>,
    pub(super) weekday: Option<Text>,
    pub(super) era: Option<Text>,
    pub(super) year: Option<Number>,
    pub(super) month: Option<Month>,
    pub(super) day: Option<Number>,
    pub(super) day_period: Option<Text>,
    pub(super) hour: Option<Number>,
    pub(super) minute: Option<Number>,
    pub(super) second: Option<Number>,
    pub(super) fractional_second_digits: Option<u8>,
    pub(super) time_zone_name: Option<ZoneName>,
    pub(super) date_style: Option<Style>,
    pub(super) time_style: Option<Style>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Text {
    Narrow,
    Short,
    Long,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum Number {
    #[serde(rename = "numeric")]
    Numeric,
    #[serde(rename = "2-digit")]
    TwoDigit,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Month {
    Number(Number),
    Text(Text),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ZoneName {
    Short,
    Long,
    ShortOffset,
    LongOffset,
    ShortGeneric,
    LongGeneric,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Style {
    Full,
    Long,
    Medium,
    Short,
}

/// How hours are counted, and the letter of it in patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Cycle {
    H11,
    H12,
    H23,
    H24,
}

impl Style {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Long => "long",
            Self::Medium => "medium",
            Self::Short => "short",
        }
    }
}

impl Cycle {
    fn letter(self) -> char {
        match self {
            Self::H11 => 'K',
            Self::H12 => 'h',
            Self::H23 => 'H',
            Self::H24 => 'k',
        }
    }

    /// An hour of the day as it is shown.
    pub(super) fn hour(self, hour: u8) -> u8 {
        match (self, hour) {
            (Self::H11, hour) => hour % 12,
            (Self::H12, 0 | 12) => 12,
            (Self::H12, hour) => hour % 12,
            (Self::H23, hour) => hour,
            (Self::H24, 0) => 24,
            (Self::H24, hour) => hour,
        }
    }

    /// Of a letter in a pattern.
    pub(super) fn of(letter: char) -> Option<Self> {
        [Self::H11, Self::H12, Self::H23, Self::H24].into_iter().find(|cycle| cycle.letter() == letter)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::H11 => "h11",
            Self::H12 => "h12",
            Self::H23 => "h23",
            Self::H24 => "h24",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::H11, Self::H12, Self::H23, Self::H24].into_iter().find(|cycle| cycle.name() == name)
    }
}

fn width(text: Text) -> usize {
    match text {
        Text::Short => 3,
        Text::Long => 4,
        Text::Narrow => 5,
    }
}

fn digits(number: Number) -> usize {
    match number {
        Number::Numeric => 1,
        Number::TwoDigit => 2,
    }
}

impl DateOptions {
    /// Other calendars are not there, and must not be passed over.
    pub(super) fn require_gregorian(&self, known: &Known) -> Result<(), Failure> {
        let calendar = self.calendar.clone().or_else(|| known.keyword("ca")).unwrap_or_else(|| "gregory".to_owned());
        if calendar.eq_ignore_ascii_case("gregory") {
            return Ok(());
        }
        Err(Failure::range(format!("The calendar {} is not supported: use gregory", excerpt(&calendar))))
    }

    /// How hours are counted: by the options, the locale's extension, or the locale.
    pub(super) fn hour_cycle(&self, known: &Known, patterns: &Patterns) -> Cycle {
        let time = patterns.get("time/short").unwrap_or("HH:mm");
        let usual = fields(&items(time)).find_map(|field| Cycle::of(field.letter)).unwrap_or(Cycle::H23);
        match self.hour12 {
            // As ECMA-402 has it since 2023, so that midnight is 00:00 without, and noon 12:00 with am and pm, in every locale.
            Some(true) if known.language() == "ja" => Cycle::H11,
            Some(true) => Cycle::H12,
            Some(false) => Cycle::H23,
            None => self.hour_cycle.or_else(|| Cycle::named(&known.keyword("hc")?)).unwrap_or(usual),
        }
    }

    /// The pattern, and the fields it was made for.
    pub(super) fn pattern(
        &self,
        patterns: &Patterns,
        cycle: Cycle,
        decimal: &str,
    ) -> Result<(Vec<Item>, Skeleton), Failure> {
        if self.day_period.is_some() {
            return Err(Failure::range(
                "The option dayPeriod is not supported: leave it out, and the hour has am and pm",
            ));
        }
        if self.date_style.is_none() && self.time_style.is_none() {
            let wanted = self.skeleton(cycle);
            return Ok((with_cycle(best(patterns, &wanted), cycle, decimal), wanted));
        }
        let date = self.date_style.map(|style| items(style_of(patterns, "date", style)));
        let time = self.time_style.map(|style| time_pattern(patterns, style, cycle));
        let joined = match (date, time, self.date_style) {
            (Some(date), Some(time), Some(style)) => fill(style_of(patterns, "join", style), &[&time, &date]),
            (date, time, _) => date.or(time).unwrap_or_default(),
        };
        let mut wanted = Skeleton::default();
        fields(&joined).for_each(|field| wanted.add(field));
        Ok((joined, wanted))
    }

    fn skeleton(&self, cycle: Cycle) -> Skeleton {
        let month = self.month.map(|month| match month {
            Month::Number(number) => digits(number),
            Month::Text(text) => width(text),
        });
        let zone = self.time_zone_name.map(|name| match name {
            ZoneName::Short => Field::new('z', 1),
            ZoneName::Long => Field::new('z', 4),
            ZoneName::ShortOffset => Field::new('O', 1),
            ZoneName::LongOffset => Field::new('O', 4),
            ZoneName::ShortGeneric => Field::new('v', 1),
            ZoneName::LongGeneric => Field::new('v', 4),
        });
        let field = |letter: char, width: Option<usize>| width.map(|width| Field::new(letter, width));
        let all = [
            field('G', self.era.map(width)),
            field('y', self.year.map(digits)),
            field('M', month),
            field('E', self.weekday.map(width)),
            field('d', self.day.map(digits)),
            field(cycle.letter(), self.hour.map(digits)),
            field('m', self.minute.map(digits)),
            field('s', self.second.map(digits)),
            field('S', self.fractional_second_digits.filter(|digits| *digits > 0).map(|digits| digits.min(3).into())),
            zone,
        ];
        let mut skeleton = Skeleton::default();
        all.into_iter().flatten().for_each(|field| skeleton.add(field));
        skeleton
    }
}

fn style_of(patterns: &Patterns, folder: &str, style: Style) -> &'static str {
    patterns.get(&format!("{folder}/{}", style.name())).unwrap_or("{1} {0}")
}

/// The locale's pattern for a style; with other hours than the locale's, the best for the same fields.
fn time_pattern(patterns: &Patterns, style: Style, cycle: Cycle) -> Vec<Item> {
    let own = items(style_of(patterns, "time", style));
    if fields(&own).any(|field| field.letter == cycle.letter()) {
        return own;
    }
    let mut wanted = Skeleton::default();
    for field in fields(&own) {
        wanted.add(if field.kind() == Some(Kind::Hour) { Field::new(cycle.letter(), field.width) } else { field });
    }
    with_cycle(best(patterns, &wanted), cycle, "")
}

/// The hours as wanted, and the fraction of the second behind its separator.
pub(super) fn with_cycle(items: Vec<Item>, cycle: Cycle, decimal: &str) -> Vec<Item> {
    let mut result: Vec<Item> = Vec::with_capacity(items.len() + 1);
    for item in items {
        match item {
            Item::Field(field) if field.kind() == Some(Kind::Hour) => {
                result.push(Item::Field(Field::new(cycle.letter(), field.width)));
            }
            Item::Field(field) if field.letter == 'S' && matches!(result.last(), Some(Item::Field(_))) => {
                result.push(Item::Literal(decimal.to_owned()));
                result.push(Item::Field(field));
            }
            other => result.push(other),
        }
    }
    result
}
