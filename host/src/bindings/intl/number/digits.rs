//! Digits, separators and signs of a locale's numbering system.

use icu::decimal::provider::{Baked, DecimalDigitsV1, DecimalSymbolsV1};
use icu::experimental::dimension::currency::CurrencyType;
use icu::experimental::dimension::provider::currency::symbols::CurrencyDecimalSymbolsV1;
use icu::locale::Locale;
use icu::locale::preferences::LocalePreferences;
use icu::locale::subtags::Subtag;
use icu_provider::prelude::*;

use super::super::locale::{Known, excerpt};
use super::super::service::{Failure, request};

/// What numbers of one locale are written with.
#[derive(Debug, Clone)]
pub(in super::super) struct Digits {
    digits: [char; 10],
    decimal: String,
    pub(super) group: String,
    pub(super) minus: [String; 2],
    pub(super) plus: [String; 2],
    pub(super) sizes: Sizes,
}

/// How many digits form a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub first: usize,
    pub further: usize,
    pub minimum: usize,
}

impl Digits {
    /// Those of a locale, with its `-u-nu-` if it has data for that.
    pub(in super::super) fn new(locale: &Locale) -> Result<Self, Failure> {
        Self::of(locale, &symbols(locale)?)
    }

    /// Those for amounts of a currency: some locales write them with other separators.
    pub(super) fn for_currency(locale: &Locale, currency: CurrencyType) -> Result<Self, Failure> {
        let data_locale = DecimalSymbolsV1::make_locale(LocalePreferences::from(locale));
        let mut buffer = Default::default();
        let attributes = CurrencyDecimalSymbolsV1::make_attributes(None, currency, &mut buffer);
        let id = DataIdentifierBorrowed::for_marker_attributes_and_locale(attributes, &data_locale);
        let own: Result<DataResponse<CurrencyDecimalSymbolsV1>, _> =
            icu::experimental::provider::Baked.load(request(id));
        own.map_or_else(|_| Self::new(locale), |response| Self::of(locale, &response.payload.cast()))
    }

    fn of(locale: &Locale, symbols: &DataPayload<DecimalSymbolsV1>) -> Result<Self, Failure> {
        let symbols = symbols.get();
        // Digits that were asked for go with the locale's own symbols where it has none for them.
        let asked = asked(locale).filter(|name| has_digits(name));
        let attributes = DataMarkerAttributes::try_from_str(asked.as_deref().unwrap_or(symbols.numsys()));
        let attributes = attributes.map_err(|_| Failure::data("a name that data cannot have"))?;
        let request = request(DataIdentifierBorrowed::for_marker_attributes(attributes));
        let digits: DataResponse<DecimalDigitsV1> = Baked.load(request).map_err(Failure::data)?;
        let sizes = symbols.grouping_sizes;
        Ok(Self {
            digits: *digits.payload.get(),
            decimal: symbols.decimal_separator().to_owned(),
            group: symbols.grouping_separator().to_owned(),
            minus: [symbols.minus_sign_prefix().to_owned(), symbols.minus_sign_suffix().to_owned()],
            plus: [symbols.plus_sign_prefix().to_owned(), symbols.plus_sign_suffix().to_owned()],
            sizes: Sizes {
                first: sizes.primary.into(),
                further: sizes.secondary.into(),
                minimum: sizes.min_grouping.into(),
            },
        })
    }

    /// With another separator of groups.
    pub(super) fn with_group(self, group: &str) -> Self {
        Self { group: group.to_owned(), ..self }
    }

    /// The decimal separator.
    pub(in super::super) fn decimal(&self) -> &str {
        &self.decimal
    }

    /// ASCII digits in this numbering system.
    pub(in super::super) fn localized(&self, text: &str) -> String {
        let digit = |letter: char| letter.to_digit(10).and_then(|digit| self.digits.get(digit as usize)).copied();
        text.chars().map(|letter| digit(letter).unwrap_or(letter)).collect()
    }
}

/// The numbering system of an option, the locale's extension, or the locale, and the locale without an extension that is not used.
pub(in super::super) fn numbering(known: &Known, option: Option<&str>) -> Result<(Known, String), Failure> {
    if let Some(name) = option {
        let valid = name
            .split('-')
            .all(|part| (3..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if !valid {
            return Err(Failure::range(format!("Invalid numberingSystem : {}", excerpt(name))));
        }
    }
    let option = option.map(str::to_ascii_lowercase).filter(|name| has_digits(name));
    let asked = known.keyword("nu");
    let extension = asked.clone().filter(|name| has_digits(name));
    let mut known = known.clone();
    if asked.is_some()
        && (extension.is_none() || option.as_ref().is_some_and(|option| Some(option) != extension.as_ref()))
    {
        known = known.without_keyword("nu");
    }
    let chosen = match option.or(extension) {
        Some(chosen) => chosen,
        None => symbols(&known.locale)?.get().numsys().to_owned(),
    };
    Ok((known, chosen))
}

/// Whether digits of that numbering system are known.
pub(in super::super) fn has_digits(name: &str) -> bool {
    let Ok(attributes) = DataMarkerAttributes::try_from_str(name) else { return false };
    let request = request(DataIdentifierBorrowed::for_marker_attributes(attributes));
    DataProvider::<DecimalDigitsV1>::load(&Baked, request).is_ok()
}

/// The numbering system in the extension of a locale.
fn asked(locale: &Locale) -> Option<String> {
    let key = icu::locale::extensions::unicode::key!("nu");
    locale.extensions.unicode.keywords.get(&key).map(ToString::to_string)
}

fn symbols(locale: &Locale) -> Result<DataPayload<DecimalSymbolsV1>, Failure> {
    let data_locale = DecimalSymbolsV1::make_locale(LocalePreferences::from(locale));
    if let Some(subtag) = asked(locale).and_then(|name| Subtag::try_from_str(&name).ok()) {
        let attributes = DecimalSymbolsV1::make_attributes(&subtag);
        let id = DataIdentifierBorrowed::for_marker_attributes_and_locale(attributes, &data_locale);
        if let Ok(response) = Baked.load(request(id)) {
            return Ok(response.payload);
        }
    }
    let id = DataIdentifierBorrowed::for_locale(&data_locale);
    let response: DataResponse<DecimalSymbolsV1> = Baked.load(request(id)).map_err(Failure::data)?;
    Ok(response.payload)
}
