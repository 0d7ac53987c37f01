//! `Intl.NumberFormat`.

use fixed_decimal::Sign;
use icu::decimal::input::Decimal;
use icu::experimental::dimension::currency::CurrencyType;
use icu::plurals::{PluralOperands, PluralRules};
use serde_json::{Map, Value as Json, json};

use super::locale::{self, Known, excerpt};
use super::patterns::Patterns;
use super::service::{Argument, Failure, Formatted, Part, Service, unfit};
use crate::tunables::INTL_NUMBER_BYTES;

pub(super) mod affix;
mod compact;
pub(super) mod digits;
pub(super) mod options;
pub(super) mod rounding;

use affix::{Affixes, Slot};
use compact::Compact;
use digits::Digits;
use options::{Grouping, Notation, NumberOptions, Precision, SignDisplay, Style, Width};
use rounding::Value;

/// A number formatter.
pub(super) struct NumberFormat {
    options: NumberOptions,
    grouping: Grouping,
    precision: Precision,
    digits: Digits,
    rules: PluralRules,
    affixes: Affixes,
    compact: Option<Compact>,
    symbols: Patterns,
    resolved: Json,
}

/// A number, rounded and scaled: what is shown of it.
struct Shown {
    significand: Decimal,
    exponent: i16,
}

impl NumberFormat {
    /// The formatter of these options.
    pub(super) fn new(options: &NumberOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &["nu"])?;
        let (known, numbering) = digits::numbering(&known, options.numbering_system.as_deref())?;
        let locale = known.with_keyword("nu", &numbering);
        let currency = options.currency_type()?;
        let usual = match (options.style, currency, options.notation) {
            (Style::Currency, Some(currency), Notation::Standard) => {
                let digits = affix::currency_digits(currency)?;
                (digits, digits)
            }
            (Style::Currency | Style::Percent, ..) => (0, 0),
            _ => (0, 3),
        };
        let compact = options.notation == Notation::Compact;
        let precision = options.digits.precision(usual, compact)?;
        let symbols = Patterns::dates(&known.section);
        let affixes = match (options.style, currency) {
            (Style::Decimal, _) => Affixes::None,
            (Style::Percent, _) => affix::percent(&locale, "percentSign")?,
            (Style::Currency, Some(currency)) => {
                affix::currency(&locale, currency, options.currency_display, options.currency_sign, &symbols)?
            }
            (Style::Currency, None) => {
                return Err(Failure::Type("Currency code is required with currency style.".into()));
            }
            (Style::Unit, _) => match &options.unit {
                // Outside long names, percent is written as the style of that name.
                Some(unit) if unit == "percent" && options.unit_display != Width::Long => {
                    affix::percent(&locale, "unit")?
                }
                Some(unit) => affix::unit(&known.section, unit, options.unit_display)?,
                None => return Err(Failure::Type("Required unit is missing.".into())),
            },
        };
        let digits = match currency.filter(|_| options.style == Style::Currency) {
            Some(currency) => {
                let digits = Digits::for_currency(&locale, currency)?;
                match symbols.get("symbol/currencyGroup") {
                    Some(group) => digits.with_group(group),
                    None => digits,
                }
            }
            None => Digits::new(&locale)?,
        };
        let grouping = options.use_grouping.unwrap_or(if compact { Grouping::Min2 } else { Grouping::Auto });
        Ok(Self {
            grouping,
            precision,
            digits,
            rules: PluralRules::try_new_cardinal((&locale).into()).map_err(Failure::data)?,
            affixes,
            compact: if compact { Some(Compact::new(&locale, options.compact_display)?) } else { None },
            symbols,
            resolved: resolved(&known, &numbering, options, grouping, &precision),
            options: options.clone(),
        })
    }

    /// How its numbers are rounded.
    pub(super) fn precision(&self) -> &Precision {
        &self.precision
    }

    fn parts(&self, value: &Value) -> Vec<Part> {
        let (number, negative, zero, operands) = match value {
            Value::NotANumber => {
                (vec![Part::new("nan", self.symbol("nan", "NaN"))], false, true, PluralOperands::from(0_u32))
            }
            Value::Infinite(sign) => {
                let parts = vec![Part::new("infinity", self.symbol("infinity", "∞"))];
                (parts, *sign == Sign::Negative, false, PluralOperands::from(1_000_000_u32))
            }
            Value::Finite(decimal) => {
                let shown = self.shown(decimal);
                let exponent = if self.compact.is_some() { u8::try_from(shown.exponent).unwrap_or(0) } else { 0 };
                let operands = PluralOperands::from_significand_and_exponent(&shown.significand.absolute, exponent);
                (self.number(&shown), value.is_negative(), shown.significand.absolute.is_zero(), operands)
            }
        };
        let sign = self.sign(negative, zero);
        let category = self.rules.category_for(operands);
        self.surround(&self.affixes.slots(category, sign.is_some()), number, sign)
    }

    fn symbol(&self, name: &str, usual: &'static str) -> &'static str {
        self.symbols.get(&format!("symbol/{name}")).unwrap_or(usual)
    }

    /// `Some(true)` for a minus sign, `Some(false)` for a plus sign.
    fn sign(&self, negative: bool, zero: bool) -> Option<bool> {
        match self.options.sign_display {
            SignDisplay::Auto => negative.then_some(true),
            SignDisplay::Always => Some(negative),
            SignDisplay::Never => None,
            SignDisplay::ExceptZero => (!zero).then_some(negative),
            SignDisplay::Negative => (negative && !zero).then_some(true),
        }
    }

    /// Rounds, and scales as the notation wants.
    fn shown(&self, decimal: &Decimal) -> Shown {
        let mut decimal = decimal.clone();
        if self.options.style == Style::Percent {
            decimal.absolute.multiply_pow10(2);
        }
        let exponent_of = |magnitude: i16| match (self.options.notation, &self.compact) {
            (Notation::Scientific, _) => magnitude,
            (Notation::Engineering, _) => magnitude.div_euclid(3) * 3,
            (_, Some(compact)) => compact.exponent(magnitude),
            _ => 0,
        };
        let scaled = |exponent: i16| {
            let mut scaled = decimal.clone();
            scaled.absolute.multiply_pow10(-exponent);
            rounding::round(&scaled, &self.precision)
        };
        if decimal.absolute.is_zero() {
            return Shown { significand: scaled(0), exponent: 0 };
        }
        let exponent = exponent_of(decimal.absolute.nonzero_magnitude_start());
        let significand = scaled(exponent);
        if significand.absolute.is_zero() {
            return Shown { significand, exponent };
        }
        // Rounding may have carried it over: 999,999 is 1M.
        let after = exponent_of(significand.absolute.nonzero_magnitude_start() + exponent);
        if after == exponent {
            Shown { significand, exponent }
        } else {
            Shown { significand: scaled(after), exponent: after }
        }
    }

    fn number(&self, shown: &Shown) -> Vec<Part> {
        let plain = self.plain(&shown.significand);
        match (self.options.notation, &self.compact) {
            (_, Some(compact)) => compact.around(plain, shown.exponent, &shown.significand, &self.rules),
            (Notation::Scientific | Notation::Engineering, _) => {
                let mut parts = plain;
                parts.push(Part::new("exponentSeparator", self.symbol("exponential", "E")));
                if shown.exponent < 0 {
                    let [before, after] = &self.digits.minus;
                    parts.push(Part::new("exponentMinusSign", format!("{before}{after}")));
                }
                parts.push(Part::new("exponentInteger", self.digits.localized(&shown.exponent.abs().to_string())));
                parts
            }
            _ => plain,
        }
    }

    /// Digits in groups.
    fn plain(&self, decimal: &Decimal) -> Vec<Part> {
        let text = decimal.absolute.to_string();
        let (integer, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut parts = Vec::new();
        let minimum = match self.grouping {
            Grouping::Auto => self.digits.sizes.minimum,
            Grouping::Always => 1,
            Grouping::Min2 => self.digits.sizes.minimum.max(2),
            Grouping::Never => usize::MAX,
        };
        let sizes = self.digits.sizes;
        let first = sizes.first;
        if first == 0 || minimum == usize::MAX || integer.len() < first.saturating_add(minimum) {
            parts.push(Part::new("integer", self.digits.localized(integer)));
        } else {
            let (mut rest, last) = integer.split_at(integer.len() - first);
            let mut groups = vec![last];
            let further = sizes.further.max(1);
            while rest.len() > further {
                let (before, group) = rest.split_at(rest.len() - further);
                groups.push(group);
                rest = before;
            }
            groups.push(rest);
            for (index, group) in groups.iter().rev().filter(|group| !group.is_empty()).enumerate() {
                if index > 0 {
                    parts.push(Part::new("group", self.digits.group.as_str()));
                }
                parts.push(Part::new("integer", self.digits.localized(group)));
            }
        }
        if !fraction.is_empty() {
            parts.push(Part::new("decimal", self.digits.decimal()));
            parts.push(Part::new("fraction", self.digits.localized(fraction)));
        }
        parts
    }

    fn surround(&self, slots: &[Slot], number: Vec<Part>, sign: Option<bool>) -> Vec<Part> {
        let (kind, [before, after]) = match sign {
            Some(true) => ("minusSign", &self.digits.minus),
            _ => ("plusSign", &self.digits.plus),
        };
        let placed = slots.contains(&Slot::Sign) || has_brackets(slots) && sign == Some(true);
        let outside = sign.is_some() && !placed;
        let mut parts = Vec::new();
        let mut push = |kind: &'static str, text: &str| {
            if !text.is_empty() {
                parts.push(Part::new(kind, text));
            }
        };
        if outside {
            push(kind, before);
        }
        let mut number = Some(number);
        for slot in slots {
            match slot {
                Slot::Number => number.take().into_iter().flatten().for_each(|part| push(part.kind, &part.text)),
                Slot::Sign if sign.is_some() => {
                    push(kind, before);
                    push(kind, after);
                }
                Slot::Sign => {}
                Slot::Affix(kind, text) => push(kind, text),
                Slot::Literal(text) if sign == Some(false) && has_brackets(slots) => {
                    push("literal", text.trim_matches(['(', ')']))
                }
                Slot::Literal(text) => push("literal", text),
            }
        }
        if outside {
            push(kind, after);
        }
        parts
    }
}

/// Accounting patterns put negative amounts in brackets instead of a sign.
fn has_brackets(slots: &[Slot]) -> bool {
    slots.iter().any(|slot| matches!(slot, Slot::Literal(text) if text.contains('(')))
}

impl Service for NumberFormat {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn format(&self, arguments: &[Argument]) -> Formatted {
        let [Argument::Text(text)] = arguments else { return Err(unfit()) };
        if text.len() > INTL_NUMBER_BYTES {
            return Err(Failure::range(format!("the number has more than {INTL_NUMBER_BYTES} characters")));
        }
        Ok(self.parts(&Value::parse(text).unwrap_or(Value::NotANumber)))
    }
}

impl NumberOptions {
    fn currency_type(&self) -> Result<Option<CurrencyType>, Failure> {
        let Some(code) = &self.currency else { return Ok(None) };
        let invalid = || Failure::range(format!("Invalid currency code : {}", excerpt(code)));
        currency_type(code).map(Some).ok_or_else(invalid)
    }
}

/// The currency of a code: three letters.
fn currency_type(code: &str) -> Option<CurrencyType> {
    let valid = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    let code = code.to_ascii_lowercase();
    let value = icu::locale::extensions::unicode::Value::try_from_str(&code).ok().filter(|_| valid)?;
    CurrencyType::try_from(value).ok()
}

fn resolved(
    known: &Known,
    numbering: &str,
    options: &NumberOptions,
    grouping: Grouping,
    precision: &Precision,
) -> Json {
    let mut resolved = Map::new();
    let mut put = |name: &str, value: Json| resolved.insert(name.to_owned(), value);
    put("locale", json!(known.locale.to_string()));
    put("numberingSystem", json!(numbering));
    put("style", json!(options.style.name()));
    if options.style == Style::Currency {
        put("currency", json!(options.currency.as_deref().map(str::to_ascii_uppercase)));
        put("currencyDisplay", json!(options.currency_display.name()));
        put("currencySign", json!(options.currency_sign.name()));
    }
    if options.style == Style::Unit {
        put("unit", json!(options.unit));
        put("unitDisplay", json!(options.unit_display.name()));
    }
    digits_resolved(precision, &mut put);
    put("useGrouping", if grouping == Grouping::Never { json!(false) } else { json!(grouping.name()) });
    put("notation", json!(options.notation.name()));
    if options.notation == Notation::Compact {
        put("compactDisplay", json!(options.compact_display.name()));
    }
    put("signDisplay", json!(options.sign_display.name()));
    put("roundingIncrement", json!(precision.increment));
    put("roundingMode", json!(precision.mode.name()));
    put("roundingPriority", json!(precision.priority.name()));
    put("trailingZeroDisplay", json!(precision.zeros.name()));
    Json::Object(resolved)
}

/// The part of the resolved options about digits.
pub(super) fn digits_resolved(precision: &Precision, put: &mut impl FnMut(&str, Json) -> Option<Json>) {
    put("minimumIntegerDigits", json!(precision.minimum_integer));
    if let Some((least, most)) = precision.fraction {
        put("minimumFractionDigits", json!(least));
        put("maximumFractionDigits", json!(most));
    }
    if let Some((least, most)) = precision.significant {
        put("minimumSignificantDigits", json!(least));
        put("maximumSignificantDigits", json!(most));
    }
}
