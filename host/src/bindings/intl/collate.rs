//! `Intl.Collator`.

use icu::collator::Collator;
use icu::collator::options::{AlternateHandling, CaseLevel, CollatorOptions, Strength};
use icu::collator::{CollatorBorrowed, CollatorPreferences};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::locale;
use super::service::{Failure, Service};

/// The collations that can be asked for by name.
pub(super) const COLLATIONS: &[&str] =
    &["compat", "emoji", "eor", "phonebk", "pinyin", "searchjl", "stroke", "trad", "zhuyin"];

/// As the prelude passes them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct CollateOptions {
    locales: Vec<String>,
    usage: Usage,
    sensitivity: Sensitivity,
    ignore_punctuation: bool,
    numeric: Option<bool>,
    case_first: Option<CaseFirst>,
    collation: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Usage {
    #[default]
    Sort,
    Search,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Sensitivity {
    Base,
    Accent,
    Case,
    #[default]
    Variant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum CaseFirst {
    #[serde(rename = "upper")]
    Upper,
    #[serde(rename = "lower")]
    Lower,
    #[serde(rename = "false")]
    Neither,
}

/// An order of texts.
pub(super) struct Collate {
    collator: CollatorBorrowed<'static>,
    resolved: Json,
}

impl Collate {
    /// The order of these options.
    pub(super) fn new(options: &CollateOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &["co", "kn", "kf"])?;
        let mut locale = known.clone();
        let numeric = options.numeric.or_else(|| known.keyword("kn").map(|value| value != "false")).unwrap_or(false);
        locale.locale = locale.with_keyword("kn", if numeric { "true" } else { "false" });
        let case_first = match options.case_first {
            Some(CaseFirst::Upper) => "upper".to_owned(),
            Some(CaseFirst::Lower) => "lower".to_owned(),
            Some(CaseFirst::Neither) => "false".to_owned(),
            None => known.keyword("kf").unwrap_or_else(|| "false".to_owned()),
        };
        if case_first != "false" || options.case_first.is_some() {
            locale.locale = locale.with_keyword("kf", &case_first);
        }
        let collation = options.collation.clone().or_else(|| known.keyword("co"));
        let collation = collation.filter(|name| COLLATIONS.contains(&name.as_str()));
        match (options.usage, &collation) {
            (Usage::Search, _) => locale.locale = locale.with_keyword("co", "search"),
            (Usage::Sort, Some(name)) => locale.locale = locale.with_keyword("co", name),
            (Usage::Sort, None) => {}
        }
        let mut how = CollatorOptions::default();
        let (strength, case_level, sensitivity) = match options.sensitivity {
            Sensitivity::Base => (Strength::Primary, None, "base"),
            Sensitivity::Accent => (Strength::Secondary, None, "accent"),
            Sensitivity::Case => (Strength::Primary, Some(CaseLevel::On), "case"),
            Sensitivity::Variant => (Strength::Tertiary, None, "variant"),
        };
        how.strength = Some(strength);
        how.case_level = case_level;
        how.alternate_handling = options.ignore_punctuation.then_some(AlternateHandling::Shifted);
        let prefs = CollatorPreferences::from(&locale.locale);
        let collator = Collator::try_new(prefs, how).map_err(Failure::data)?;
        let resolved = json!({
            "locale": known.locale.to_string(),
            "usage": if options.usage == Usage::Search { "search" } else { "sort" },
            "sensitivity": sensitivity,
            "ignorePunctuation": options.ignore_punctuation,
            "collation": collation.unwrap_or_else(|| "default".to_owned()),
            "numeric": numeric,
            "caseFirst": case_first,
        });
        Ok(Self { collator, resolved })
    }
}

impl Service for Collate {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn compare(&self, one: &str, other: &str) -> Result<i8, Failure> {
        Ok(self.collator.compare(one, other) as i8)
    }
}
