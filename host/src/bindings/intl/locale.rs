//! Locale identifiers: which are valid, which this host has data for, and what their `-u-` extension asks.

use std::sync::LazyLock;

use icu::locale::extensions::unicode::{Key, Value};
use icu::locale::{LanguageIdentifier, Locale, LocaleCanonicalizer, LocaleExpander};

use super::patterns;
use super::service::Failure;
use crate::tunables::{INTL_LOCALE_BYTES, INTL_LOCALES};

/// The locale of a function that names none, or none that is known.
pub(super) const DEFAULT: &str = "en-US";

static CANONICALIZER: LazyLock<LocaleCanonicalizer> = LazyLock::new(LocaleCanonicalizer::new_extended);
static EXPANDER: LazyLock<LocaleExpander> = LazyLock::new(LocaleExpander::new_extended);

/// A locale this host has data for.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// As `resolvedOptions` names it, with the extension keys that were wanted.
    pub locale: Locale,
    /// The name of its section in the patterns.
    pub section: String,
}

impl Known {
    /// The language subtag.
    pub(super) fn language(&self) -> &str {
        self.locale.id.language.as_str()
    }

    /// The value of a key of the `-u-` extension.
    pub(super) fn keyword(&self, key: &str) -> Option<String> {
        keyword(&self.locale, key)
    }

    /// Sets a key of the extension, for ICU4X.
    pub(super) fn with_keyword(&self, key: &str, value: &str) -> Locale {
        let mut locale = self.locale.clone();
        if let (Ok(key), Ok(value)) = (Key::try_from_str(key), Value::try_from_str(value)) {
            locale.extensions.unicode.keywords.set(key, value);
        }
        locale
    }

    /// Without a key of the extension.
    pub(super) fn without_keyword(&self, key: &str) -> Self {
        let mut known = self.clone();
        if let Ok(key) = Key::try_from_str(key) {
            known.locale.extensions.unicode.keywords.remove(key);
        }
        known
    }
}

/// The canonical form of a tag (ECMA-402, CanonicalizeUnicodeLocaleId).
pub(super) fn canonical(tag: &str) -> Result<Locale, Failure> {
    let invalid = || Failure::range(format!("Incorrect locale information provided: {}", excerpt(tag)));
    if tag.len() > INTL_LOCALE_BYTES {
        return Err(invalid());
    }
    let mut locale = Locale::try_from_str(tag).map_err(|_| invalid())?;
    if tag.contains('_') || locale.id.language.is_unknown() && !tag.to_ascii_lowercase().starts_with("und") {
        return Err(invalid());
    }
    CANONICALIZER.canonicalize(&mut locale);
    Ok(locale)
}

/// What an error repeats of a guest's text.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Canonical forms of a list, without duplicates.
pub(super) fn canonical_list(tags: &[String]) -> Result<Vec<Locale>, Failure> {
    if tags.len() > INTL_LOCALES {
        return Err(Failure::range(format!("more than {INTL_LOCALES} locales")));
    }
    let mut locales = Vec::new();
    for tag in tags {
        let locale = canonical(tag)?;
        if !locales.contains(&locale) {
            locales.push(locale);
        }
    }
    Ok(locales)
}

/// The first of the requested locales there is data for, or the default, with those keys of the extension a service knows.
pub(super) fn choose(tags: &[String], keys: &[&str]) -> Result<Known, Failure> {
    for locale in canonical_list(tags)? {
        if let Some((id, section)) = supported(&locale.id) {
            let mut known = Known { locale: Locale::from(id), section };
            for key in keys {
                if let Some(value) = keyword(&locale, key) {
                    known.locale = known.with_keyword(key, &value);
                }
            }
            return Ok(known);
        }
    }
    let locale = Locale::try_from_str(DEFAULT).map_err(Failure::data)?;
    Ok(Known { locale, section: "en".to_owned() })
}

/// The longest prefix of an identifier there is data for, and the section with that data.
pub(super) fn supported(id: &LanguageIdentifier) -> Option<(LanguageIdentifier, String)> {
    let mut candidate = LanguageIdentifier { variants: icu::locale::subtags::Variants::new(), ..id.clone() };
    loop {
        if let Some(section) = section(&candidate) {
            return Some((candidate, section));
        }
        if candidate.region.take().is_none() && candidate.script.take().is_none() {
            return None;
        }
    }
}

fn section(id: &LanguageIdentifier) -> Option<String> {
    if id.language.is_unknown() {
        return None;
    }
    let name = id.to_string();
    if patterns::has(&name) {
        return Some(name);
    }
    // `de-DE` is what `de` stands for, and `zh-TW` what `zh-Hant` does.
    let mut maximal = id.clone();
    EXPANDER.maximize(&mut maximal);
    let region = maximal.region.take()?;
    let found = [maximal.clone(), LanguageIdentifier { script: None, ..maximal }].into_iter().find(|shorter| {
        let mut likely = shorter.clone();
        EXPANDER.maximize(&mut likely);
        likely.region == Some(region) && patterns::has(&shorter.to_string()) && likely.script == maximal_script(id)
    });
    found.map(|found| found.to_string())
}

fn maximal_script(id: &LanguageIdentifier) -> Option<icu::locale::subtags::Script> {
    let mut maximal = id.clone();
    EXPANDER.maximize(&mut maximal);
    maximal.script
}

fn keyword(locale: &Locale, key: &str) -> Option<String> {
    let key = Key::try_from_str(key).ok()?;
    locale.extensions.unicode.keywords.get(&key).map(ToString::to_string)
}
