//! The options of a number formatter, and the digits they ask for (ECMA-402, SetNumberFormatDigitOptions).

use serde::Deserialize;

use super::super::service::Failure;

/// As the prelude passes them: checked for their kind, without defaults.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in super::super) struct NumberOptions {
    pub(in super::super) locales: Vec<String>,
    pub(in super::super) numbering_system: Option<String>,
    pub(in super::super) style: Style,
    pub(in super::super) currency: Option<String>,
    pub(in super::super) currency_display: CurrencyDisplay,
    pub(in super::super) currency_sign: CurrencySign,
    pub(in super::super) unit: Option<String>,
    pub(in super::super) unit_display: Width,
    pub(in super::super) notation: Notation,
    pub(in super::super) compact_display: Length,
    pub(in super::super) use_grouping: Option<Grouping>,
    pub(in super::super) sign_display: SignDisplay,
    #[serde(flatten)]
    pub(in super::super) digits: DigitOptions,
}

/// The options about digits, which plural rules have too.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct DigitOptions {
    pub(super) minimum_integer_digits: Option<u8>,
    pub(super) minimum_fraction_digits: Option<u8>,
    pub(super) maximum_fraction_digits: Option<u8>,
    pub(super) minimum_significant_digits: Option<u8>,
    pub(super) maximum_significant_digits: Option<u8>,
    pub(super) rounding_priority: Priority,
    pub(super) rounding_increment: Option<u16>,
    pub(super) rounding_mode: RoundingMode,
    pub(super) trailing_zero_display: TrailingZeros,
}

macro_rules! choice {
    ($name:ident { $first:ident = $first_text:literal $(, $variant:ident = $text:literal)* $(,)? }) => {
        /// Named as in ECMA-402.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub(in super::super) enum $name {
            #[default]
            #[serde(rename = $first_text)]
            $first,
            $(#[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// As JavaScript names it.
            pub(in super::super) fn name(self) -> &'static str {
                match self {
                    Self::$first => $first_text,
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

choice!(Style { Decimal = "decimal", Percent = "percent", Currency = "currency", Unit = "unit" });
choice!(CurrencyDisplay { Symbol = "symbol", NarrowSymbol = "narrowSymbol", Code = "code", Name = "name" });
choice!(CurrencySign { Standard = "standard", Accounting = "accounting" });
choice!(Width { Short = "short", Narrow = "narrow", Long = "long" });
choice!(Notation { Standard = "standard", Scientific = "scientific", Engineering = "engineering", Compact = "compact" });
choice!(Length { Short = "short", Long = "long" });
choice!(Grouping { Auto = "auto", Always = "always", Min2 = "min2", Never = "false" });
choice!(SignDisplay { Auto = "auto", Never = "never", Always = "always", ExceptZero = "exceptZero", Negative = "negative" });
choice!(Priority { Auto = "auto", MorePrecision = "morePrecision", LessPrecision = "lessPrecision" });
choice!(TrailingZeros { Auto = "auto", StripIfInteger = "stripIfInteger" });
choice!(RoundingMode {
    HalfExpand = "halfExpand", Ceil = "ceil", Floor = "floor", Expand = "expand", Trunc = "trunc",
    HalfCeil = "halfCeil", HalfFloor = "halfFloor", HalfTrunc = "halfTrunc", HalfEven = "halfEven",
});

/// How a number is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Precision {
    pub minimum_integer: u8,
    /// Minimum and maximum of digits behind the separator.
    pub fraction: Option<(u8, u8)>,
    /// Minimum and maximum of digits that count.
    pub significant: Option<(u8, u8)>,
    pub priority: Priority,
    pub increment: u16,
    pub mode: RoundingMode,
    pub zeros: TrailingZeros,
}

impl DigitOptions {
    /// With the defaults of a style: minimum and maximum of fraction digits.
    pub(in super::super) fn precision(&self, usual: (u8, u8), compact: bool) -> Result<Precision, Failure> {
        let named = |name: &str| Failure::range(format!("{name} value is out of range."));
        let within = |value: Option<u8>, low: u8, high: u8, name: &str| match value {
            Some(value) if !(low..=high).contains(&value) => Err(named(name)),
            value => Ok(value),
        };
        let minimum_integer = within(self.minimum_integer_digits, 1, 21, "minimumIntegerDigits")?.unwrap_or(1);
        let low = within(self.minimum_fraction_digits, 0, 100, "minimumFractionDigits")?;
        let high = within(self.maximum_fraction_digits, 0, 100, "maximumFractionDigits")?;
        let least = within(self.minimum_significant_digits, 1, 21, "minimumSignificantDigits")?;
        let most = within(self.maximum_significant_digits, 1, 21, "maximumSignificantDigits")?;
        let increment = self.rounding_increment.unwrap_or(1);
        if ![1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000].contains(&increment) {
            return Err(named("roundingIncrement"));
        }
        let usual = if increment > 1 { (usual.0, usual.0) } else { usual };
        let fraction = match (low, high) {
            (None, None) => usual,
            (Some(low), None) => (low, usual.1.max(low)),
            (None, Some(high)) => (usual.0.min(high), high),
            (Some(low), Some(high)) if low > high => return Err(named("maximumFractionDigits")),
            (Some(low), Some(high)) => (low, high),
        };
        let (has_significant, has_fraction) = (least.is_some() || most.is_some(), low.is_some() || high.is_some());
        let significant = (least.unwrap_or(1), most.unwrap_or(21));
        if significant.0 > significant.1 {
            return Err(named("maximumSignificantDigits"));
        }
        let base = Precision {
            minimum_integer,
            fraction: Some(fraction),
            significant: None,
            priority: self.rounding_priority,
            increment,
            mode: self.rounding_mode,
            zeros: self.trailing_zero_display,
        };
        let result = match self.rounding_priority {
            Priority::Auto if has_significant => Precision { fraction: None, significant: Some(significant), ..base },
            Priority::Auto if has_fraction || !compact => base,
            Priority::Auto => Precision {
                fraction: Some((0, 0)),
                significant: Some((1, 2)),
                priority: Priority::MorePrecision,
                ..base
            },
            _ => Precision { significant: Some(significant), ..base },
        };
        if increment > 1 && (result.significant.is_some() || fraction.0 != fraction.1) {
            return Err(named("roundingIncrement"));
        }
        Ok(result)
    }
}
