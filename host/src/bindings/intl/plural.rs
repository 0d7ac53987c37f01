//! `Intl.PluralRules`.

use icu::plurals::{PluralCategory, PluralOperands, PluralRuleType, PluralRules, PluralRulesOptions};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::locale;
use super::number::affix::category_name;
use super::number::digits_resolved;
use super::number::options::{DigitOptions, Precision};
use super::number::rounding::{Value, round};
use super::service::{Argument, Failure, Formatted, Part, Service, unfit};

/// As the prelude passes them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PluralOptions {
    locales: Vec<String>,
    r#type: Type,
    #[serde(flatten)]
    digits: DigitOptions,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Type {
    #[default]
    Cardinal,
    Ordinal,
}

/// The plural rules of a locale.
pub(super) struct Plural {
    rules: PluralRules,
    precision: Precision,
    resolved: Json,
}

impl Plural {
    /// The rules of these options.
    pub(super) fn new(options: &PluralOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &[])?;
        let (kind, name) = match options.r#type {
            Type::Cardinal => (PluralRuleType::Cardinal, "cardinal"),
            Type::Ordinal => (PluralRuleType::Ordinal, "ordinal"),
        };
        let rules = PluralRulesOptions::default().with_type(kind);
        let rules = PluralRules::try_new((&known.locale).into(), rules).map_err(Failure::data)?;
        let precision = options.digits.precision((0, 3), false)?;
        let mut resolved = Map::new();
        resolved.insert("locale".into(), json!(known.locale.to_string()));
        resolved.insert("type".into(), json!(name));
        digits_resolved(&precision, &mut |name, value| resolved.insert(name.to_owned(), value));
        // In the order of CLDR, as engines list them.
        let order = [
            PluralCategory::Few,
            PluralCategory::Many,
            PluralCategory::One,
            PluralCategory::Two,
            PluralCategory::Zero,
            PluralCategory::Other,
        ];
        let has = |category: &PluralCategory| rules.categories().any(|other| other == *category);
        let categories: Vec<_> = order.into_iter().filter(has).map(category_name).collect();
        resolved.insert("pluralCategories".into(), json!(categories));
        resolved.insert("roundingIncrement".into(), json!(precision.increment));
        resolved.insert("roundingMode".into(), json!(precision.mode.name()));
        resolved.insert("roundingPriority".into(), json!(precision.priority.name()));
        resolved.insert("trailingZeroDisplay".into(), json!(precision.zeros.name()));
        Ok(Self { rules, precision, resolved: Json::Object(resolved) })
    }
}

impl Service for Plural {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn format(&self, arguments: &[Argument]) -> Formatted {
        let [Argument::Text(text)] = arguments else { return Err(unfit()) };
        let category = match Value::parse(text) {
            Some(Value::Finite(decimal)) => {
                let operands: PluralOperands = (&round(&decimal, &self.precision)).into();
                self.rules.category_for(operands)
            }
            _ => PluralCategory::Other,
        };
        Ok(vec![Part::new("category", category_name(category))])
    }
}
