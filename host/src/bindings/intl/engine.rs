//! The services by name, and what is asked without one.

use icu::casemap::CaseMapper;
use icu::locale::LanguageIdentifier;
use serde::Deserialize;

use super::collate::{COLLATIONS, Collate, CollateOptions};
use super::date::{self, DateFormat, DateOptions};
use super::list::{List, ListOptions};
use super::locale;
use super::names::{Names, NamesOptions};
use super::number::options::NumberOptions;
use super::number::{NumberFormat, digits};
use super::patterns::Patterns;
use super::plural::{Plural, PluralOptions};
use super::relative::{Relative, RelativeOptions};
use super::segment::{SegmentOptions, Segments};
use super::service::{Failure, Service};

/// A service and its options, as the prelude writes them.
#[derive(Deserialize)]
enum Request {
    DateTimeFormat(Box<DateOptions>),
    NumberFormat(Box<NumberOptions>),
    PluralRules(PluralOptions),
    ListFormat(ListOptions),
    RelativeTimeFormat(RelativeOptions),
    DisplayNames(NamesOptions),
    Collator(CollateOptions),
    Segmenter(SegmentOptions),
}

/// Makes the service of a description.
pub(super) fn service(description: &str) -> Result<Box<dyn Service>, Failure> {
    let request: Request = serde_json::from_str(description)
        .map_err(|error| Failure::range(format!("an option has a value that is not allowed: {error}")))?;
    Ok(match request {
        Request::DateTimeFormat(options) => Box::new(DateFormat::new(&options)?),
        Request::NumberFormat(options) => Box::new(NumberFormat::new(&options)?),
        Request::PluralRules(options) => Box::new(Plural::new(&options)?),
        Request::ListFormat(options) => Box::new(List::new(&options)?),
        Request::RelativeTimeFormat(options) => Box::new(Relative::new(&options)?),
        Request::DisplayNames(options) => Box::new(Names::new(&options)?),
        Request::Collator(options) => Box::new(Collate::new(&options)?),
        Request::Segmenter(options) => Box::new(Segments::new(&options)?),
    })
}

/// The canonical forms of locale tags.
pub(super) fn canonical(tags: &[String]) -> Result<Vec<String>, Failure> {
    Ok(locale::canonical_list(tags)?.iter().map(ToString::to_string).collect())
}

/// Those of the locale tags there is data for, in canonical form.
pub(super) fn supported(tags: &[String]) -> Result<Vec<String>, Failure> {
    let locales = locale::canonical_list(tags)?;
    Ok(locales.iter().filter(|locale| locale::supported(&locale.id).is_some()).map(ToString::to_string).collect())
}

/// A text in upper or lower case, by the rules of the first locale.
pub(super) fn convert_case(tags: &[String], upper: bool, text: &str) -> Result<String, Failure> {
    let locales = locale::canonical_list(tags)?;
    let language = locales.first().map_or(LanguageIdentifier::UNKNOWN, |locale| locale.id.clone());
    let mapper = CaseMapper::new();
    let converted =
        if upper { mapper.uppercase_to_string(text, &language) } else { mapper.lowercase_to_string(text, &language) };
    Ok(converted.into_owned())
}

/// What `Intl.supportedValuesOf` lists.
pub(super) fn values(key: &str) -> Result<Vec<String>, Failure> {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Ok(match key {
        "calendar" => list(&["gregory"]),
        "collation" => list(COLLATIONS),
        "currency" => list(CURRENCIES),
        "numberingSystem" => {
            NUMBERINGS.iter().filter(|name| digits::has_digits(name)).map(|name| (*name).to_owned()).collect()
        }
        "timeZone" => date::zone_names(),
        "unit" => {
            let mut units: Vec<String> = Patterns::units("und")
                .below("long/")
                .filter_map(|(key, _)| key.strip_suffix("/other"))
                .filter(|unit| !unit.contains("-per-"))
                .map(str::to_owned)
                .collect();
            units.sort();
            units
        }
        _ => return Err(Failure::range(format!("Invalid key : {}", locale::excerpt(key)))),
    })
}

/// The currencies of ISO 4217 that are in use.
const CURRENCIES: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF",
    "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC",
    "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS",
    "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD",
    "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL",
    "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD",
    "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD",
    "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP",
    "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VED",
    "VES", "VND", "VUV", "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG",
];

/// Numbering systems with ten digits.
const NUMBERINGS: &[&str] = &[
    "adlm", "ahom", "arab", "arabext", "bali", "beng", "bhks", "brah", "cakm", "cham", "deva", "diak", "fullwide",
    "gong", "gonm", "gujr", "guru", "hanidec", "hmng", "hmnp", "java", "kali", "kawi", "khmr", "knda", "lana",
    "lanatham", "laoo", "latn", "lepc", "limb", "mathbold", "mathdbl", "mathmono", "mathsanb", "mathsans", "mlym",
    "modi", "mong", "mroo", "mtei", "mymr", "mymrshan", "mymrtlng", "nagm", "newa", "nkoo", "olck", "orya", "osma",
    "rohg", "saur", "segment", "shrd", "sind", "sinh", "sora", "sund", "takr", "talu", "tamldec", "telu", "thai",
    "tibt", "tirh", "tnsa", "vaii", "wara", "wcho",
];
