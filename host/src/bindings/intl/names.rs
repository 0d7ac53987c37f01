//! `Intl.DisplayNames`.

use icu::experimental::displaynames::multi::{LocaleDisplayNamesFormatter, RegionDisplayNames, ScriptDisplayNames};
use icu::experimental::displaynames::{DisplayNamesOptions, LanguageDisplay as Dialects, Style as Width};
use icu::locale::Locale;
use icu::locale::subtags::{Region, Script};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::locale::{self, canonical, excerpt};
use super::number::affix::currency_name;
use super::service::{Argument, Failure, Formatted, Part, Service, unfit};

/// As the prelude passes them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NamesOptions {
    #[serde(default)]
    locales: Vec<String>,
    r#type: Type,
    #[serde(default)]
    style: Style,
    #[serde(default)]
    fallback: Fallback,
    #[serde(default)]
    language_display: LanguageDisplay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Type {
    Language,
    Region,
    Script,
    Currency,
    Calendar,
    DateTimeField,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Style {
    #[default]
    Long,
    Short,
    Narrow,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Fallback {
    #[default]
    Code,
    None,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum LanguageDisplay {
    #[default]
    Dialect,
    Standard,
}

/// Names of languages, regions, scripts and currencies.
pub(super) struct Names {
    locale: Locale,
    source: Source,
    fallback: Fallback,
    resolved: Json,
}

enum Source {
    Language(Box<LocaleDisplayNamesFormatter>),
    Region(RegionDisplayNames),
    Script(ScriptDisplayNames),
    Currency,
}

impl Names {
    /// The names of these options.
    pub(super) fn new(options: &NamesOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &[])?;
        let mut how = DisplayNamesOptions::default();
        how.style = (options.style == Style::Short).then_some(Width::Short);
        if options.language_display == LanguageDisplay::Standard {
            how.language_display = Dialects::Standard;
        }
        let prefs = (&known.locale).into();
        let (source, kind) = match options.r#type {
            Type::Language => {
                let names = LocaleDisplayNamesFormatter::try_new(prefs, how).map_err(Failure::data)?;
                (Source::Language(Box::new(names)), "language")
            }
            Type::Region => (Source::Region(RegionDisplayNames::try_new(prefs, how).map_err(Failure::data)?), "region"),
            Type::Script => (Source::Script(ScriptDisplayNames::try_new(prefs, how).map_err(Failure::data)?), "script"),
            Type::Currency => (Source::Currency, "currency"),
            Type::Calendar | Type::DateTimeField => {
                return Err(Failure::range("Names of calendars and date fields are not supported"));
            }
        };
        let style = match options.style {
            Style::Long => "long",
            Style::Short => "short",
            Style::Narrow => "narrow",
        };
        let fallback = if options.fallback == Fallback::Code { "code" } else { "none" };
        let dialect = match (options.r#type, options.language_display) {
            (Type::Language, LanguageDisplay::Dialect) => Some("dialect"),
            (Type::Language, LanguageDisplay::Standard) => Some("standard"),
            _ => None,
        };
        let mut resolved = Map::new();
        let locale = known.locale.to_string();
        let pairs = [("locale", locale.as_str()), ("style", style), ("type", kind), ("fallback", fallback)];
        for (name, value) in pairs.into_iter().chain(dialect.map(|value| ("languageDisplay", value))) {
            resolved.insert(name.to_owned(), json!(value));
        }
        let resolved = Json::Object(resolved);
        Ok(Self { locale: known.locale, source, fallback: options.fallback, resolved })
    }

    /// The code in its canonical form, and its name.
    fn name(&self, code: &str) -> Result<(String, Option<String>), Failure> {
        let invalid =
            || Failure::range(format!("Invalid argument to Intl.DisplayNames.prototype.of: {}", excerpt(code)));
        Ok(match &self.source {
            Source::Language(names) => {
                let locale = canonical(code).map_err(|_| invalid())?;
                let text = locale.to_string();
                // What has no name comes back as its code.
                let name = Some(names.of(&locale).into_owned()).filter(|name| *name != text);
                (text, name)
            }
            Source::Region(names) => {
                let region = Region::try_from_str(code).map_err(|_| invalid())?;
                (region.to_string(), names.of(region).map(str::to_owned))
            }
            Source::Script(names) => {
                let script = Script::try_from_str(code).map_err(|_| invalid())?;
                (script.to_string(), names.of(script).map(str::to_owned))
            }
            Source::Currency => {
                if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                    return Err(invalid());
                }
                let upper = code.to_ascii_uppercase();
                let name = currency_name(&self.locale, &upper);
                (upper, name)
            }
        })
    }
}

impl Service for Names {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn format(&self, arguments: &[Argument]) -> Formatted {
        let [Argument::Text(code)] = arguments else { return Err(unfit()) };
        let (code, name) = self.name(code)?;
        let name = name.or(Some(code).filter(|_| self.fallback == Fallback::Code));
        Ok(name.into_iter().map(|name| Part::new("name", name)).collect())
    }
}
