//! Ranges of dates: `Jan 10 – 20, 2026`.

use super::super::service::{Failure, Formatted, Part};
use super::super::skeleton::{Field, Item, Kind, Skeleton, best, fill, fit, is_date, items};
use super::options::{Cycle, with_cycle};
use super::{DateFormat, Names, fields, pieces};

/// From the largest unit to the smallest, with the letters CLDR names them by in intervals.
const UNITS: [(Kind, &str); 6] = [
    (Kind::Year, "y"),
    (Kind::Month, "M"),
    (Kind::Day, "d"),
    (Kind::DayPeriod, "a"),
    (Kind::Hour, "h"),
    (Kind::Minute, "m"),
];

impl DateFormat {
    /// The range between two moments. One of them alone when no field that is shown differs.
    pub(super) fn range(&self, start: f64, end: f64) -> Formatted {
        let (one, other) = (self.render(&self.pieces, start)?, self.render(&self.pieces, end)?);
        let difference = self.difference(start, end)?;
        let days_differ = matches!(difference, Some("y" | "M" | "d"));
        let wanted = difference.filter(|_| days_differ).map_or(self.wanted, |difference| self.widened(difference));
        let time = |kind: Kind| !is_date(kind);
        let (date_wanted, time_wanted) = (wanted.only(is_date), wanted.only(time));
        let (one, other) = if wanted == self.wanted {
            (one, other)
        } else {
            let items = self.best(&wanted);
            (self.render_items(&items, start)?, self.render_items(&items, end)?)
        };
        let difference = match difference {
            Some(difference) if texts(&one) != texts(&other) => difference,
            None if texts(&one) != texts(&other) => "s",
            _ => return Ok(marked(one, "shared")),
        };
        if date_wanted.is_empty() || time_wanted.is_empty() {
            return match self.interval(&wanted, difference) {
                Some(items) => self.halves(&items, start, end),
                None => Ok(self.whole(one, other)),
            };
        }
        if days_differ {
            return Ok(self.whole(one, other));
        }
        // On one day: the date once, and a range of times.
        let times = match self.interval(&time_wanted, difference) {
            Some(interval) => self.halves(&interval, start, end)?,
            None => {
                let time = self.best(&time_wanted);
                self.whole(self.render_items(&time, start)?, self.render_items(&time, end)?)
            }
        };
        let day = marked(self.render_items(&self.best(&date_wanted), start)?, "shared");
        let glue = self.patterns.get("list/medium").unwrap_or("{1}, {0}");
        Ok(join(glue, times, day))
    }

    /// What has to be shown of days that differ in this unit: without it, the range would tell nothing.
    fn widened(&self, difference: &str) -> Skeleton {
        let mut wanted = self.wanted;
        let time_only = wanted.only(is_date).is_empty();
        let below = |kind: Kind| !self.wanted.only(|other| other > kind).is_empty();
        let units = [('y', Kind::Year, "y"), ('M', Kind::Month, "yM"), ('d', Kind::Weekday, "yMd")];
        for (letter, kind, differences) in units {
            if below(kind) && (time_only || differences.contains(difference)) {
                wanted.add(Field::new(letter, 1));
            }
        }
        wanted
    }

    /// The best pattern of these fields, with the hours of this format.
    fn best(&self, wanted: &Skeleton) -> Vec<Item> {
        let cycle = self.wanted.get(Kind::Hour).and_then(|hour| Cycle::of(hour.letter));
        let items = best(&self.patterns, wanted);
        match cycle {
            Some(cycle) => with_cycle(items, cycle, self.digits.decimal()),
            None => items,
        }
    }

    fn render_items(&self, items: &[Item], moment: f64) -> Formatted {
        // Names in a format and alone exclude each other in one set, so this is another set.
        let mut names = Names::try_new((&self.locale).into()).map_err(Failure::data)?;
        let pieces = pieces(&mut names, items)?;
        self.render_with(&names, &pieces, moment)
    }

    /// The largest unit in which two moments differ. None when they differ in smaller ones than intervals know.
    fn difference(&self, start: f64, end: f64) -> Result<Option<&'static str>, Failure> {
        let (one, other) = (self.moment(start)?.0, self.moment(end)?.0);
        let [a, b] = [&one, &other].map(|moment| {
            let hour = moment.time.hour.number();
            let date = (moment.date.year().extended_year(), moment.date.month().number(), moment.date.day_of_month().0);
            (date, hour, moment.time.minute.number())
        });
        let differs = |kind: Kind| match kind {
            Kind::Year => a.0.0 != b.0.0,
            Kind::Month => a.0.1 != b.0.1,
            Kind::Day => a.0.2 != b.0.2,
            Kind::DayPeriod => (a.1 < 12) != (b.1 < 12),
            Kind::Hour => a.1 != b.1,
            _ => a.2 != b.2,
        };
        Ok(UNITS.iter().find(|(kind, _)| differs(*kind)).map(|(_, letter)| *letter))
    }

    /// The locale's pattern for a range of these fields that differs in this unit.
    fn interval(&self, wanted: &Skeleton, difference: &str) -> Option<Vec<Item>> {
        let hours = fields(&self.items).find(|field| field.kind() == Some(Kind::Hour)).map(|field| field.letter);
        let capital = matches!(hours, Some('H' | 'k'));
        let letter = match difference {
            "a" | "h" if capital => "H",
            other => other,
        };
        let candidates = self.patterns.below("interval/").filter_map(|(key, pattern)| {
            let (skeleton, unit) = key.split_once('/')?;
            (unit == letter && skeleton.contains('H') == capital).then(|| (Skeleton::of(skeleton), pattern))
        });
        let same = candidates.filter(|(skeleton, _)| skeleton.same_kinds(wanted));
        let (skeleton, pattern) = same.min_by_key(|(skeleton, _)| wanted.distance(skeleton))?;
        let items = fit(&items(pattern), wanted, &skeleton);
        Some(match hours.and_then(Cycle::of) {
            Some(cycle) => with_cycle(items, cycle, self.digits.decimal()),
            None => items,
        })
    }

    /// Formats a pattern whose second half begins where a field comes again.
    fn halves(&self, items: &[Item], start: f64, end: f64) -> Formatted {
        let mut seen: Vec<Option<Kind>> = Vec::new();
        let again = items.iter().position(|item| {
            let Item::Field(field) = item else { return false };
            let again = seen.contains(&field.kind());
            seen.push(field.kind());
            again
        });
        let (first, second) = items.split_at(again.unwrap_or(items.len()));
        let mut parts = marked_fields(self.render_items(first, start)?, "startRange");
        parts.extend(marked_fields(self.render_items(second, end)?, "endRange"));
        Ok(parts)
    }

    /// Both ends in full.
    fn whole(&self, one: Vec<Part>, other: Vec<Part>) -> Vec<Part> {
        let glue = self.patterns.get("interval/fallback").unwrap_or("{0} – {1}");
        join(glue, marked(one, "startRange"), marked(other, "endRange"))
    }
}

fn texts(parts: &[Part]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect()
}

fn marked(parts: Vec<Part>, source: &'static str) -> Vec<Part> {
    parts.into_iter().map(|part| Part { source, ..part }).collect()
}

fn marked_fields(parts: Vec<Part>, source: &'static str) -> Vec<Part> {
    let mark = |part: Part| Part { source: if part.kind == "literal" { "shared" } else { source }, ..part };
    parts.into_iter().map(mark).collect()
}

fn join(glue: &str, zero: Vec<Part>, one: Vec<Part>) -> Vec<Part> {
    let mut arguments = [Some(zero), Some(one)];
    let mut parts = Vec::new();
    // The places are marked by letters no glue has, and the rest is literal.
    let places = [Item::Literal("\u{1}".into())];
    let other = [Item::Literal("\u{2}".into())];
    let text: String = fill(glue, &[&places, &other])
        .into_iter()
        .map(|item| match item {
            Item::Literal(text) => text,
            Item::Field(field) => field.letter.to_string().repeat(field.width),
        })
        .collect();
    for piece in text.split_inclusive(['\u{1}', '\u{2}']) {
        let (literal, place) = match piece.strip_suffix('\u{1}') {
            Some(literal) => (literal, Some(0)),
            None => piece.strip_suffix('\u{2}').map_or((piece, None), |literal| (literal, Some(1))),
        };
        if !literal.is_empty() {
            parts.push(Part { source: "shared", ..Part::new("literal", super::plain_spaces(literal)) });
        }
        parts.extend(place.and_then(|place: usize| arguments.get_mut(place)?.take()).unwrap_or_default());
    }
    parts
}
