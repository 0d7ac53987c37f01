//! `Intl.RelativeTimeFormat`.

use icu::experimental::provider::Baked;
use icu::experimental::relativetime::provider::{
    DatetimeRelativeDayLongV1, DatetimeRelativeDayNarrowV1, DatetimeRelativeDayShortV1, DatetimeRelativeHourLongV1,
    DatetimeRelativeHourNarrowV1, DatetimeRelativeHourShortV1, DatetimeRelativeMinuteLongV1,
    DatetimeRelativeMinuteNarrowV1, DatetimeRelativeMinuteShortV1, DatetimeRelativeMonthLongV1,
    DatetimeRelativeMonthNarrowV1, DatetimeRelativeMonthShortV1, DatetimeRelativeQuarterLongV1,
    DatetimeRelativeQuarterNarrowV1, DatetimeRelativeQuarterShortV1, DatetimeRelativeSecondLongV1,
    DatetimeRelativeSecondNarrowV1, DatetimeRelativeSecondShortV1, DatetimeRelativeWeekLongV1,
    DatetimeRelativeWeekNarrowV1, DatetimeRelativeWeekShortV1, DatetimeRelativeYearLongV1,
    DatetimeRelativeYearNarrowV1, DatetimeRelativeYearShortV1, RelativeTimePatternData,
};
use icu::locale::Locale;
use icu::locale::preferences::LocalePreferences;
use icu::pattern::PatternItem;
use icu::plurals::{PluralOperands, PluralRules};
use icu_provider::marker::ErasedMarker;
use icu_provider::prelude::*;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::locale::{self, excerpt};
use super::number::NumberFormat;
use super::number::digits;
use super::number::options::NumberOptions;
use super::number::rounding::{Value, round};
use super::service::{Argument, Failure, Formatted, Part, Service, request, unfit};

type Data = DataPayload<ErasedMarker<RelativeTimePatternData<'static>>>;

/// As the prelude passes them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct RelativeOptions {
    locales: Vec<String>,
    numbering_system: Option<String>,
    style: Style,
    numeric: Numeric,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Style {
    #[default]
    Long,
    Short,
    Narrow,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Numeric {
    #[default]
    Always,
    Auto,
}

/// A formatter of times like "3 days ago".
pub(super) struct Relative {
    locale: Locale,
    style: Style,
    numeric: Numeric,
    rules: PluralRules,
    number: NumberFormat,
    resolved: Json,
}

impl Relative {
    /// The formatter of these options.
    pub(super) fn new(options: &RelativeOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &["nu"])?;
        let (known, numbering) = digits::numbering(&known, options.numbering_system.as_deref())?;
        let number = NumberOptions {
            locales: options.locales.clone(),
            numbering_system: options.numbering_system.clone(),
            ..NumberOptions::default()
        };
        let style = match options.style {
            Style::Long => "long",
            Style::Short => "short",
            Style::Narrow => "narrow",
        };
        let numeric = if options.numeric == Numeric::Auto { "auto" } else { "always" };
        Ok(Self {
            style: options.style,
            numeric: options.numeric,
            rules: PluralRules::try_new_cardinal((&known.locale).into()).map_err(Failure::data)?,
            number: NumberFormat::new(&number)?,
            resolved: json!({
                "locale": known.locale.to_string(), "style": style, "numeric": numeric, "numberingSystem": numbering
            }),
            locale: known.locale,
        })
    }

    fn data(&self, unit: &str) -> Result<Data, Failure> {
        macro_rules! styles {
            ($long:ty, $short:ty, $narrow:ty) => {
                match self.style {
                    Style::Long => load::<$long>(&self.locale),
                    Style::Short => load::<$short>(&self.locale),
                    Style::Narrow => load::<$narrow>(&self.locale),
                }
            };
        }
        match unit {
            "second" => {
                styles!(DatetimeRelativeSecondLongV1, DatetimeRelativeSecondShortV1, DatetimeRelativeSecondNarrowV1)
            }
            "minute" => {
                styles!(DatetimeRelativeMinuteLongV1, DatetimeRelativeMinuteShortV1, DatetimeRelativeMinuteNarrowV1)
            }
            "hour" => styles!(DatetimeRelativeHourLongV1, DatetimeRelativeHourShortV1, DatetimeRelativeHourNarrowV1),
            "day" => styles!(DatetimeRelativeDayLongV1, DatetimeRelativeDayShortV1, DatetimeRelativeDayNarrowV1),
            "week" => styles!(DatetimeRelativeWeekLongV1, DatetimeRelativeWeekShortV1, DatetimeRelativeWeekNarrowV1),
            "month" => {
                styles!(DatetimeRelativeMonthLongV1, DatetimeRelativeMonthShortV1, DatetimeRelativeMonthNarrowV1)
            }
            "quarter" => {
                styles!(DatetimeRelativeQuarterLongV1, DatetimeRelativeQuarterShortV1, DatetimeRelativeQuarterNarrowV1)
            }
            "year" => styles!(DatetimeRelativeYearLongV1, DatetimeRelativeYearShortV1, DatetimeRelativeYearNarrowV1),
            _ => Err(Failure::range(format!("Invalid unit argument for format() '{}'", excerpt(unit)))),
        }
    }
}

fn load<M>(locale: &Locale) -> Result<Data, Failure>
where
    M: DataMarker<DataStruct = RelativeTimePatternData<'static>>,
    Baked: DataProvider<M>,
{
    let locale = M::make_locale(LocalePreferences::from(locale));
    let request = request(DataIdentifierBorrowed::for_locale(&locale));
    let response = DataProvider::<M>::load(&Baked, request);
    response.map(|response| response.payload.cast()).map_err(Failure::data)
}

impl Service for Relative {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn format(&self, arguments: &[Argument]) -> Formatted {
        let [Argument::Text(text), Argument::Text(unit)] = arguments else { return Err(unfit()) };
        let data = self.data(unit.strip_suffix('s').unwrap_or(unit))?;
        let Some(Value::Finite(decimal)) = Value::parse(text) else {
            return Err(Failure::range("Invalid time value"));
        };
        let word = text.parse::<i8>().ok().filter(|_| self.numeric == Numeric::Auto);
        if let Some(word) = word.and_then(|number| data.get().get_relative(number)) {
            return Ok(vec![Part::new("literal", word)]);
        }
        let patterns = if text.starts_with('-') { &data.get().past } else { &data.get().future };
        let absolute = text.trim_start_matches('-').to_owned();
        let number = self.number.format(&[Argument::Text(absolute)])?;
        let operands: PluralOperands = (&round(&decimal, self.number.precision()).absolute).into();
        let mut number = Some(number);
        let mut parts = Vec::new();
        for item in patterns.get(operands, &self.rules).iter() {
            match item {
                PatternItem::Placeholder(_) => parts.extend(number.take().into_iter().flatten()),
                PatternItem::Literal(text) => parts.push(Part::new("literal", text)),
            }
        }
        Ok(parts)
    }
}
