//! From the fields a program asks for to a pattern: the matching of UTS 35 ("Matching Skeletons", "Missing Skeleton Fields"), with the
//! distances that ICU and so every ECMA-402 engine use.

use super::patterns::Patterns;

/// A letter of a pattern and how often it stands: `MMMM` is `('M', 4)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// The letter.
    pub letter: char,
    /// How often it stands.
    pub width: usize,
}

/// A pattern, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Text that stands as it is.
    Literal(String),
    /// A field.
    Field(Field),
}

/// The fields a pattern may have; the order is that of ICU, in which missing ones are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Era,
    Year,
    Month,
    Weekday,
    Day,
    DayPeriod,
    Hour,
    Minute,
    Second,
    Fraction,
    Zone,
}

const KINDS: usize = 11;
const NUMERIC: i32 = 0x100;
const NARROW: i32 = -0x101;
const SHORTER: i32 = -0x102;
const SHORT: i32 = -0x103;
const LONG: i32 = -0x104;
const DELTA: i32 = 0x10;
const EXTRA_FIELD: i32 = 0x10000;
const MISSING_FIELD: i32 = 0x1000;

impl Field {
    pub(super) fn new(letter: char, width: usize) -> Self {
        Self { letter, width }
    }

    /// What the field stands for; none for letters that no option of ECMA-402 asks for.
    pub(super) fn kind(self) -> Option<Kind> {
        Some(match self.letter {
            'G' => Kind::Era,
            'y' | 'Y' | 'u' | 'r' => Kind::Year,
            'M' | 'L' => Kind::Month,
            'E' | 'c' | 'e' => Kind::Weekday,
            'd' => Kind::Day,
            'a' | 'b' | 'B' => Kind::DayPeriod,
            'h' | 'H' | 'K' | 'k' => Kind::Hour,
            'm' => Kind::Minute,
            's' => Kind::Second,
            'S' => Kind::Fraction,
            'z' | 'O' | 'v' | 'V' | 'Z' | 'X' | 'x' => Kind::Zone,
            _ => return None,
        })
    }

    fn text(self, offset: i32) -> i32 {
        let base = match self.width {
            0..=3 => SHORT,
            4 => LONG,
            5 => NARROW,
            _ => SHORTER,
        };
        base - offset
    }

    /// How near two fields of one kind are is the difference of these. Positive for numbers.
    fn closeness(self) -> i32 {
        let number = |offset: i32| NUMERIC + offset + i32::try_from(self.width).unwrap_or(i32::MAX >> 1);
        match self.letter {
            'M' if self.width <= 2 => number(0),
            'L' if self.width <= 2 => number(DELTA),
            'c' | 'e' if self.width <= 2 => number(2 * DELTA),
            'L' => self.text(DELTA),
            'c' => self.text(2 * DELTA),
            'e' => self.text(DELTA),
            'G' | 'M' | 'E' | 'a' | 'z' => self.text(0),
            'v' => self.text(2 * DELTA),
            'O' => self.text(DELTA),
            'K' => number(DELTA),
            'H' => number(10 * DELTA),
            'k' => number(11 * DELTA),
            _ => number(0),
        }
    }

    fn is_numeric(self) -> bool {
        self.closeness() > 0
    }
}

/// At most one field of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Skeleton([Option<Field>; KINDS]);

impl Skeleton {
    /// Of a skeleton or pattern text.
    pub(super) fn of(text: &str) -> Self {
        let mut skeleton = Self::default();
        for item in items(text) {
            if let Item::Field(field) = item {
                skeleton.add(field);
            }
        }
        skeleton
    }

    /// Adds a field, unless there is one of its kind. Day periods go without saying: the hour has them.
    pub(super) fn add(&mut self, field: Field) {
        if let Some(slot) = field.kind().filter(|kind| *kind != Kind::DayPeriod).and_then(|kind| self.slot(kind)) {
            slot.get_or_insert(field);
        }
    }

    /// The field of a kind.
    pub(super) fn get(&self, kind: Kind) -> Option<Field> {
        self.0.get(kind as usize).copied().flatten()
    }

    /// Only the fields whose kind passes.
    pub(super) fn only(&self, passes: impl Fn(Kind) -> bool) -> Self {
        let keep = |field: &Option<Field>| field.filter(|field| field.kind().is_some_and(&passes));
        let mut kept = Self::default();
        kept.0.iter_mut().zip(&self.0).for_each(|(slot, field)| *slot = keep(field));
        kept
    }

    /// Whether no field is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Whether the kinds of fields are the same.
    pub(super) fn same_kinds(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one.is_some() == other.is_some())
    }

    fn slot(&mut self, kind: Kind) -> Option<&mut Option<Field>> {
        self.0.get_mut(kind as usize)
    }

    /// How far the other is from what is asked for here.
    pub(super) fn distance(&self, other: &Self) -> i32 {
        let pairs = self.0.iter().zip(&other.0);
        pairs
            .map(|pair| match pair {
                (Some(wanted), Some(found)) => (wanted.closeness() - found.closeness()).abs(),
                (Some(_), None) => MISSING_FIELD,
                (None, Some(_)) => EXTRA_FIELD,
                (None, None) => 0,
            })
            .sum()
    }
}

/// Whether a kind belongs to the date.
pub(super) fn is_date(kind: Kind) -> bool {
    kind <= Kind::Day
}

/// Takes a pattern apart.
pub(super) fn items(pattern: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut quoted = false;
    let mut rest = pattern.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter == '\'' {
            if rest.next_if_eq(&'\'').is_some() {
                push_literal(&mut items, '\'');
            } else {
                quoted = !quoted;
            }
        } else if quoted || !letter.is_ascii_alphabetic() {
            push_literal(&mut items, letter);
        } else {
            match items.last_mut() {
                Some(Item::Field(field)) if field.letter == letter => field.width += 1,
                _ => items.push(Item::Field(Field::new(letter, 1))),
            }
        }
    }
    items
}

fn push_literal(items: &mut Vec<Item>, letter: char) {
    match items.last_mut() {
        Some(Item::Literal(text)) => text.push(letter),
        _ => items.push(Item::Literal(letter.to_string())),
    }
}

/// Puts items into the places `{0}`, `{1}` of a pattern of patterns.
pub(super) fn fill(glue: &str, arguments: &[&[Item]]) -> Vec<Item> {
    let mut filled = Vec::new();
    let mut rest = glue;
    while let Some((before, after)) = rest.split_once('{') {
        filled.extend(items(before));
        let (number, after) = after.split_once('}').unwrap_or((after, ""));
        let argument = number.parse::<usize>().ok().and_then(|number| arguments.get(number));
        filled.extend(argument.into_iter().flat_map(|items| items.iter().cloned()));
        rest = after;
    }
    filled.extend(items(rest));
    filled
}

/// The best pattern of a locale for the fields of `wanted`.
pub(super) fn best(patterns: &Patterns, wanted: &Skeleton) -> Vec<Item> {
    let pool = pool(patterns, wanted);
    let (items, missing) = nearest(&pool, wanted);
    if missing.is_empty() {
        return items;
    }
    let date = appended(patterns, &pool, wanted.only(is_date));
    let time = appended(patterns, &pool, wanted.only(|kind| !is_date(kind)));
    match (date, time) {
        (Some(date), Some(time)) => {
            let style = match (wanted.get(Kind::Month).map(|month| month.width), wanted.get(Kind::Weekday)) {
                (Some(4), Some(_)) => "join/full",
                (Some(4), None) => "join/long",
                (Some(3), _) => "join/medium",
                _ => "join/short",
            };
            fill(patterns.get(style).unwrap_or("{1} {0}"), &[&time, &date])
        }
        (date, time) => date.or(time).unwrap_or_default(),
    }
}

/// Every pattern of the locale that counts hours as wanted, with its skeleton. Of two that are as near, the first is taken: hence the order.
fn pool(patterns: &Patterns, wanted: &Skeleton) -> Vec<(Skeleton, Vec<Item>)> {
    let listed = patterns.below("skeleton/").map(|(skeleton, pattern)| (Skeleton::of(skeleton), items(pattern)));
    let listed: Vec<_> = listed.collect();
    let single = ["G", "y", "M", "E", "d", "H", "m", "s", "S", "v"];
    let styles = patterns.below("date/").chain(patterns.below("time/")).map(|(_, pattern)| pattern);
    let derived = single.into_iter().chain(styles).map(|pattern| (Skeleton::of(pattern), items(pattern)));
    let is_listed = |skeleton: &Skeleton| listed.iter().any(|(other, _)| other == skeleton);
    let mut pool: Vec<_> = derived.filter(|(skeleton, _)| !is_listed(skeleton)).collect();
    pool.extend(listed);
    let halves = |skeleton: &Skeleton| skeleton.get(Kind::Hour).map(|hour| matches!(hour.letter, 'h' | 'K'));
    if let Some(wanted) = halves(wanted) {
        pool.retain(|(skeleton, _)| halves(skeleton).is_none_or(|found| found == wanted));
    }
    pool
}

/// The nearest pattern, fitted, and the fields it lacks.
fn nearest(pool: &[(Skeleton, Vec<Item>)], wanted: &Skeleton) -> (Vec<Item>, Skeleton) {
    let Some((skeleton, items)) = pool.iter().min_by_key(|(skeleton, _)| wanted.distance(skeleton)) else {
        return (Vec::new(), *wanted);
    };
    let missing = wanted.only(|kind| skeleton.get(kind).is_none());
    (fit(items, wanted, skeleton), missing)
}

/// The nearest pattern with what it lacks appended. None when nothing is wanted.
fn appended(patterns: &Patterns, pool: &[(Skeleton, Vec<Item>)], wanted: Skeleton) -> Option<Vec<Item>> {
    if wanted.is_empty() {
        return None;
    }
    // Seconds with a fraction are the pattern of seconds with the fraction behind them.
    let fraction = wanted.get(Kind::Second).and(wanted.get(Kind::Fraction));
    let wanted = wanted.only(|kind| fraction.is_none() || kind != Kind::Fraction);
    let (mut items, mut missing) = nearest(pool, &wanted);
    while !missing.is_empty() {
        let (more, left) = nearest(pool, &missing);
        let found = missing.only(|kind| left.get(kind).is_none());
        if found.is_empty() {
            break;
        }
        items = append(patterns, &items, &more, &found);
        missing = left;
    }
    if let Some(fraction) = fraction {
        let second = |item: &Item| matches!(item, Item::Field(field) if field.letter == 's');
        if let Some(position) = items.iter().position(second) {
            // The renderer puts the decimal separator of the locale here.
            items.insert(position + 1, Item::Field(fraction));
        }
    }
    Some(items)
}

fn append(patterns: &Patterns, items: &[Item], more: &[Item], found: &Skeleton) -> Vec<Item> {
    let last = found.0.iter().flatten().filter_map(|field| field.kind()).max();
    let name = match last {
        Some(Kind::Era) => "Era",
        Some(Kind::Year) => "Year",
        Some(Kind::Month) => "Month",
        Some(Kind::Weekday) => "Day-Of-Week",
        Some(Kind::Day) => "Day",
        Some(Kind::Hour) => "Hour",
        Some(Kind::Minute) => "Minute",
        Some(Kind::Second) => "Second",
        _ => "Timezone",
    };
    let glue = patterns.get(&format!("append/{name}")).unwrap_or("{0} {1}");
    let display = patterns.get(&format!("name/{name}")).unwrap_or_default();
    fill(glue, &[items, more, &[Item::Literal(display.to_owned())]])
}

/// Gives the fields of a pattern the widths that were asked for (ICU's `adjustFieldTypes`).
pub(super) fn fit(items: &[Item], wanted: &Skeleton, skeleton: &Skeleton) -> Vec<Item> {
    let fit = |item: &Item| match item {
        Item::Field(field) => Item::Field(fit_field(*field, wanted, skeleton)),
        literal @ Item::Literal(_) => literal.clone(),
    };
    items.iter().map(fit).collect()
}

fn fit_field(field: Field, wanted: &Skeleton, skeleton: &Skeleton) -> Field {
    let Some((kind, wanted)) = field.kind().and_then(|kind| Some((kind, wanted.get(kind)?))) else { return field };
    if matches!(kind, Kind::Minute | Kind::Second) {
        return field;
    }
    let wanted_width = if wanted.letter == 'E' { wanted.width.max(3) } else { wanted.width };
    let found = skeleton.get(kind);
    let keeps = found.is_some_and(|found| {
        kind != Kind::Hour && (found.width == wanted_width || field.is_numeric() != found.is_numeric())
    });
    let hour_keeps = kind == Kind::Hour && found.is_some_and(|found| found.width == wanted_width);
    let width = if keeps || hour_keeps { field.width } else { wanted_width };
    let letter = match kind {
        Kind::Hour | Kind::Month | Kind::Weekday | Kind::Year => field.letter,
        _ => wanted.letter,
    };
    Field::new(letter, width)
}
