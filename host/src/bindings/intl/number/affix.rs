//! What stands around a number: currencies, percent signs, units.

use icu::decimal::input::Decimal;
use icu::experimental::dimension::currency::CurrencyType;
use icu::experimental::dimension::provider::currency::displayname::CurrencyDisplaynameV1;
use icu::experimental::dimension::provider::currency::essentials::CurrencyEssentialsV1;
use icu::experimental::dimension::provider::currency::extended::CurrencyExtendedDataV1;
use icu::experimental::dimension::provider::currency::fractions::CurrencyFractionsV1;
use icu::experimental::dimension::provider::currency::patterns::CurrencyPatternsDataV1;
use icu::experimental::dimension::provider::currency::symbols::{CurrencySymbolWidth, CurrencySymbolsV1};
use icu::experimental::dimension::provider::percent::DecimalPercentV1;
use icu::experimental::provider::Baked;
use icu::locale::Locale;
use icu::locale::preferences::LocalePreferences;
use icu::pattern::{DoublePlaceholderKey, DoublePlaceholderPattern, PatternItem};
use icu::plurals::{PluralCategory, PluralOperands, PluralRules};
use icu_provider::prelude::*;

use super::super::locale::excerpt;
use super::super::patterns::Patterns;
use super::super::service::{Failure, request};
use super::options::{CurrencyDisplay, CurrencySign, Width};

/// A place in a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// Where the number goes.
    Number,
    /// Where the sign goes; a pattern without one has it in front.
    Sign,
    /// A currency, percent sign or unit: its kind and text.
    Affix(&'static str, String),
    /// Any other text.
    Literal(String),
}

/// A pattern with its texts filled in.
pub(super) type Slots = Vec<Slot>;

/// What stands around the numbers of a format.
#[derive(Debug)]
pub(super) enum Affixes {
    /// Nothing.
    None,
    /// The same for all numbers, but for the sign.
    Signed {
        /// For positive numbers.
        positive: Slots,
        /// For those with a sign, if it is not just in front.
        signed: Option<Slots>,
    },
    /// By plural category.
    Counted(Vec<(PluralCategory, Slots)>),
}

impl Affixes {
    /// The pattern of a number.
    pub(super) fn slots(&self, category: PluralCategory, has_sign: bool) -> Slots {
        match self {
            Self::None => vec![Slot::Number],
            Self::Signed { signed: Some(signed), .. } if has_sign => signed.clone(),
            Self::Signed { positive, .. } => positive.clone(),
            Self::Counted(patterns) => {
                let found = |wanted| patterns.iter().find(|(category, _)| *category == wanted);
                let slots = found(category).or_else(|| found(PluralCategory::Other));
                slots.map_or_else(|| vec![Slot::Number], |(_, slots)| slots.clone())
            }
        }
    }
}

fn load<M>(locale: &Locale, attributes: Option<&str>) -> Result<DataPayload<M>, Failure>
where
    M: DataMarker,
    Baked: DataProvider<M>,
{
    let data_locale = M::make_locale(LocalePreferences::from(locale));
    let attributes = DataMarkerAttributes::try_from_str(attributes.unwrap_or_default());
    let attributes = attributes.map_err(|_| Failure::data("a name that data cannot have"))?;
    let id = DataIdentifierBorrowed::for_marker_attributes_and_locale(attributes, &data_locale);
    let response = DataProvider::<M>::load(&Baked, request(id));
    response.map(|response| response.payload).map_err(Failure::data)
}

/// The digits an amount of this currency usually has behind the separator.
pub(super) fn currency_digits(currency: CurrencyType) -> Result<u8, Failure> {
    let response: DataResponse<CurrencyFractionsV1> = Baked.load(DataRequest::default()).map_err(Failure::data)?;
    Ok(response.payload.get().resolve(currency).digits)
}

/// The name of a currency, for `Intl.DisplayNames`.
pub(in super::super) fn currency_name(locale: &Locale, code: &str) -> Option<String> {
    let payload: DataPayload<CurrencyDisplaynameV1> = load(locale, Some(code)).ok()?;
    Some(payload.get().to_string())
}

fn symbol(locale: &Locale, currency: CurrencyType, narrow: bool) -> Option<DataPayload<CurrencySymbolsV1>> {
    let width = if narrow { CurrencySymbolWidth::Narrow } else { CurrencySymbolWidth::Short };
    let mut buffer = Default::default();
    let attributes = CurrencySymbolsV1::make_attributes(currency, width, &mut buffer);
    load(locale, Some(attributes.as_str())).ok()
}

/// The patterns for amounts of a currency.
pub(super) fn currency(
    locale: &Locale,
    currency: CurrencyType,
    display: CurrencyDisplay,
    sign: CurrencySign,
    table: &Patterns,
) -> Result<Affixes, Failure> {
    let code = currency.iso_code().to_string();
    if display == CurrencyDisplay::Name {
        return currency_names(locale, &code);
    }
    let symbol = match display {
        CurrencyDisplay::Code => None,
        CurrencyDisplay::Symbol if table.get("symbol/codes").is_some_and(|codes| codes.contains(&code)) => None,
        _ => symbol(locale, currency, display == CurrencyDisplay::NarrowSymbol),
    };
    let (text, starts, ends) = match &symbol {
        Some(symbol) => (symbol.get().as_str(), symbol.get().starts_with_letter(), symbol.get().ends_with_letter()),
        None => (code.as_str(), true, true),
    };
    let essentials: DataPayload<CurrencyEssentialsV1> = load(locale, None)?;
    let essentials = essentials.get();
    let (positive, negative) = match sign {
        CurrencySign::Standard => (essentials.get_positive(starts, ends), essentials.get_negative(starts, ends)),
        CurrencySign::Accounting => {
            (essentials.get_positive_accounting(starts, ends), essentials.get_negative_accounting(starts, ends))
        }
    };
    let affix = Slot::Affix("currency", text.to_owned());
    let slots = |pattern: &DoublePlaceholderPattern| double(pattern, &affix);
    Ok(Affixes::Signed { positive: slots(positive), signed: negative.map(slots) })
}

fn currency_names(locale: &Locale, code: &str) -> Result<Affixes, Failure> {
    let patterns: DataPayload<CurrencyPatternsDataV1> = load(locale, None)?;
    let names: Option<DataPayload<CurrencyExtendedDataV1>> = load(locale, Some(code)).ok();
    let rules = PluralRules::try_new_cardinal(locale.into()).map_err(Failure::data)?;
    let counted = PluralCategory::all().map(|category| {
        // The elements are asked for by an example of the category, because they are packed.
        let pattern = example(&rules, category).map(|operands| patterns.get().get(operands, &rules));
        let pattern = pattern.unwrap_or_else(|| patterns.get().elements.get_default().1);
        let name = names.as_ref().map_or_else(
            || code.to_owned(),
            |names| match example(&rules, category) {
                Some(operands) => names.get().get(operands, &rules).to_owned(),
                None => names.get().elements.get_default().1.to_owned(),
            },
        );
        (category, double(pattern, &Slot::Affix("currency", name)))
    });
    Ok(Affixes::Counted(counted.collect()))
}

/// Numbers of a category, where the language has it.
fn example(rules: &PluralRules, category: PluralCategory) -> Option<PluralOperands> {
    let integers = [0_u32, 1, 2, 3, 5, 6, 11, 20, 100, 1_000_000].map(PluralOperands::from);
    let fractions = ["0.0", "0.1", "1.5", "2.5"].into_iter().filter_map(|text| Decimal::try_from_str(text).ok());
    let fractions = fractions.map(|decimal| PluralOperands::from(&decimal));
    integers.into_iter().chain(fractions).find(|operands| rules.category_for(*operands) == category)
}

fn double(pattern: &DoublePlaceholderPattern, affix: &Slot) -> Slots {
    let mut slots = Vec::new();
    for item in pattern.iter() {
        match item {
            PatternItem::Placeholder(DoublePlaceholderKey::Place0) => slots.push(Slot::Number),
            PatternItem::Placeholder(DoublePlaceholderKey::Place1) => slots.push(affix.clone()),
            PatternItem::Literal(text) => literal(&mut slots, text),
        }
    }
    slots
}

/// Signs in a literal are places for signs.
fn literal(slots: &mut Slots, text: &str) {
    for piece in text.split_inclusive(['-', '−']) {
        let rest = piece.trim_end_matches(['-', '−']);
        if !rest.is_empty() {
            slots.push(Slot::Literal(rest.to_owned()));
        }
        if rest.len() < piece.len() {
            slots.push(Slot::Sign);
        }
    }
}

/// The pattern for percentages; the sign is a part of that kind.
pub(super) fn percent(locale: &Locale, kind: &'static str) -> Result<Affixes, Failure> {
    let data: DataPayload<DecimalPercentV1> = load(locale, None)?;
    let data = data.get();
    let positive = data.unsigned_pattern.iter().flat_map(|item| match item {
        PatternItem::Placeholder(_) => vec![Slot::Number],
        PatternItem::Literal(text) => percent_literal(kind, text),
    });
    let signed = data.signed_pattern.iter().flat_map(|item| match item {
        PatternItem::Placeholder(DoublePlaceholderKey::Place0) => vec![Slot::Number],
        PatternItem::Placeholder(DoublePlaceholderKey::Place1) => vec![Slot::Sign],
        PatternItem::Literal(text) => percent_literal(kind, text),
    });
    Ok(Affixes::Signed { positive: positive.collect(), signed: Some(signed.collect()) })
}

fn percent_literal(kind: &'static str, text: &str) -> Slots {
    let is_space = |letter: char| letter.is_whitespace() || letter == '\u{a0}' || letter == '\u{202f}';
    let sign = text.trim_matches(is_space);
    let (before, after) = text.split_once(sign).unwrap_or((text, ""));
    let slots = [Slot::Literal(before.to_owned()), Slot::Affix(kind, sign.to_owned()), Slot::Literal(after.to_owned())];
    slots
        .into_iter()
        .filter(|slot| !matches!(slot, Slot::Literal(text) | Slot::Affix(_, text) if text.is_empty()))
        .collect()
}

/// The patterns for amounts of a unit.
pub(super) fn unit(section: &str, unit: &str, width: Width) -> Result<Affixes, Failure> {
    let unknown = || Failure::range(format!("Invalid unit argument for Intl.NumberFormat() '{}'", excerpt(unit)));
    let table = Patterns::units(section);
    let width = width.name();
    let counted = |unit: &str| -> Vec<(PluralCategory, &'static str)> {
        let categories = PluralCategory::all();
        let pattern = |category| table.get(&format!("{width}/{unit}/{}", category_name(category)));
        categories.filter_map(|category| Some((category, pattern(category)?))).collect()
    };
    if !unit.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
        return Err(unknown());
    }
    let own = counted(unit);
    if !own.is_empty() {
        return Ok(Affixes::Counted(
            own.into_iter().map(|(category, pattern)| (category, unit_slots(pattern))).collect(),
        ));
    }
    let (over, under) = unit.split_once("-per-").ok_or_else(unknown)?;
    let (over, below) = (counted(over), counted(under));
    let Some((_, below)) = below.iter().find(|(category, _)| *category == PluralCategory::One).or(below.last()) else {
        return Err(unknown());
    };
    if over.is_empty() {
        return Err(unknown());
    }
    let joined = |pattern: &str| match table.get(&format!("{width}/{under}/per")) {
        Some(per) => per.replace("{0}", pattern),
        None => {
            let name = below.replace("{0}", "");
            let glue = table.get(&format!("{width}/per")).unwrap_or("{0}/{1}");
            glue.replace("{1}", name.trim()).replace("{0}", pattern)
        }
    };
    Ok(Affixes::Counted(over.into_iter().map(|(category, pattern)| (category, unit_slots(&joined(pattern)))).collect()))
}

fn unit_slots(pattern: &str) -> Slots {
    let is_space = |letter: char| letter.is_whitespace() || letter == '\u{a0}' || letter == '\u{202f}';
    let mut slots = Vec::new();
    let (before, after) = pattern.split_once("{0}").unwrap_or((pattern, ""));
    let affix = |text: &str| Slot::Affix("unit", text.to_owned());
    let name = before.trim_end_matches(is_space);
    if !name.is_empty() {
        slots.push(affix(name));
    }
    if name.len() < before.len() {
        slots.push(Slot::Literal(before.strip_prefix(name).unwrap_or_default().to_owned()));
    }
    slots.push(Slot::Number);
    let name = after.trim_start_matches(is_space);
    if name.len() < after.len() {
        slots.push(Slot::Literal(after.strip_suffix(name).unwrap_or_default().to_owned()));
    }
    if !name.is_empty() {
        slots.push(affix(name));
    }
    slots
}

/// As CLDR and JavaScript name it.
pub(in super::super) fn category_name(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}
