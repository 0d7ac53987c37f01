//! Compact notation: `1.2K`, `3 millions`.

use fixed_decimal::Decimal;
use icu::decimal::provider::{Baked, CompactPatterns, DecimalCompactLongV1, DecimalCompactShortV1};
use icu::locale::Locale;
use icu::locale::preferences::LocalePreferences;
use icu::pattern::{PatternItem, SinglePlaceholder};
use icu::plurals::{PluralOperands, PluralRules};
use icu_provider::prelude::*;

use super::super::service::{Failure, Part, request};
use super::options::Length;

/// The patterns of a locale.
pub(super) enum Compact {
    Short(DataPayload<DecimalCompactShortV1>),
    Long(DataPayload<DecimalCompactLongV1>),
}

impl Compact {
    pub(super) fn new(locale: &Locale, length: Length) -> Result<Self, Failure> {
        let preferences = LocalePreferences::from(locale);
        Ok(match length {
            Length::Short => Self::Short(load(&DecimalCompactShortV1::make_locale(preferences))?),
            Length::Long => Self::Long(load(&DecimalCompactLongV1::make_locale(preferences))?),
        })
    }

    fn patterns(&self) -> &CompactPatterns<'_, SinglePlaceholder> {
        match self {
            Self::Short(payload) => payload.get(),
            Self::Long(payload) => payload.get(),
        }
    }

    /// The power of ten a number of this magnitude is divided by.
    pub(super) fn exponent(&self, magnitude: i16) -> i16 {
        let entries = self.patterns().0.iter().filter(|entry| magnitude >= i16::from(entry.sized));
        entries.last().map_or(0, |entry| i16::from(entry.sized) - i16::from(entry.variable.get_default().0.get()))
    }

    /// A number that was divided by that power, with the word for the power.
    pub(super) fn around(
        &self,
        number: Vec<Part>,
        exponent: i16,
        significand: &Decimal,
        rules: &PluralRules,
    ) -> Vec<Part> {
        let magnitude = significand.absolute.nonzero_magnitude_start() + exponent;
        let entries = self.patterns().0.iter().filter(|entry| magnitude >= i16::from(entry.sized));
        let Some(entry) = entries.last().filter(|_| exponent > 0) else { return number };
        // The word goes with the number in front of it: 1 Million, 1,5 Millionen.
        let (_, pattern) = entry.variable.get(PluralOperands::from(significand), rules);
        let mut number = Some(number);
        let mut parts = Vec::new();
        for item in pattern.iter() {
            match item {
                PatternItem::Placeholder(_) => parts.extend(number.take().into_iter().flatten()),
                PatternItem::Literal(text) => literal(&mut parts, text),
            }
        }
        parts
    }
}

/// Space around the word is a literal, the word is `compact`.
fn literal(parts: &mut Vec<Part>, text: &str) {
    let is_space = |letter: char| letter.is_whitespace() || letter == '\u{a0}' || letter == '\u{202f}';
    let word = text.trim_matches(is_space);
    let (before, after) = text.split_once(word).unwrap_or((text, ""));
    let pieces = [("literal", before), ("compact", word), ("literal", after)];
    parts.extend(pieces.into_iter().filter(|(_, text)| !text.is_empty()).map(|(kind, text)| Part::new(kind, text)));
}

fn load<M>(locale: &DataLocale) -> Result<DataPayload<M>, Failure>
where
    M: DataMarker,
    Baked: DataProvider<M>,
{
    let request = request(DataIdentifierBorrowed::for_locale(locale));
    DataProvider::<M>::load(&Baked, request).map(|response| response.payload).map_err(Failure::data)
}
