//! What depends on a locale, for the `Intl` of JavaScript. The data is that of CLDR, from ICU4X and the tables in `intl/`; time zones are
//! jiff's. Nothing here reads the machine's locale or time zone.
//!
//! ```text
//! engine ── a service by its description ──┬── date    skeleton, patterns
//!                                          ├── number  affix, digits, rounding, compact
//!                                          └── plural, list, relative, names, collate, segment
//! ```
//!
//! What is asked for and not there is refused by name, because a wrong text is worse than an error.

use std::collections::HashMap;

use super::generated_intl::caddis::engine::intl as wit;
use crate::tunables::{INTL_ARGUMENTS, INTL_DESCRIPTION_BYTES, INTL_LOCALE_BYTES, INTL_SERVICES, INTL_TEXT_BYTES};

mod collate;
mod date;
mod engine;
mod list;
mod locale;
mod names;
mod number;
mod patterns;
mod plural;
mod relative;
mod segment;
mod service;
mod skeleton;
#[cfg(test)]
mod tests;

use service::{Argument, Failure, Service};

/// The services one execution uses, by their descriptions.
#[derive(Default)]
pub struct IntlState(HashMap<String, Box<dyn Service>>);

impl IntlState {
    fn service(&mut self, description: String) -> Result<&dyn Service, Failure> {
        if description.len() > INTL_DESCRIPTION_BYTES {
            return Err(Failure::range(format!("the options are longer than {INTL_DESCRIPTION_BYTES} bytes")));
        }
        if !self.0.contains_key(&description) {
            let made = engine::service(&description)?;
            if self.0.len() >= INTL_SERVICES {
                self.0.clear();
            }
            self.0.insert(description.clone(), made);
        }
        let found = self.0.get(&description);
        found.map(Box::as_ref).ok_or_else(|| Failure::Type("this service of Intl is not there".to_owned()))
    }
}

/// The interface, as a store lends it.
pub struct IntlView<'a>(pub &'a mut IntlState);

/// The outer result is for traps, of which there are none.
type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    Ok(result.map_err(|failure| match failure {
        Failure::Range(message) => wit::Error::RangeError(message),
        Failure::Type(message) => wit::Error::TypeError(message),
    }))
}

fn check_text(text: &str) -> Result<(), Failure> {
    check_length(text, INTL_TEXT_BYTES)
}

fn check_length(text: &str, most: usize) -> Result<(), Failure> {
    if text.len() <= most {
        return Ok(());
    }
    Err(Failure::range(format!("Intl takes texts of {most} bytes at most, this one has {}", text.len())))
}

fn arguments(arguments: Vec<wit::Argument>) -> Result<Vec<Argument>, Failure> {
    if arguments.len() > INTL_ARGUMENTS {
        return Err(Failure::range(format!("Intl takes lists of {INTL_ARGUMENTS} elements at most")));
    }
    let argument = |argument| match argument {
        wit::Argument::Number(number) => Ok(Argument::Number(number)),
        wit::Argument::Text(text) => check_text(&text).map(|()| Argument::Text(text)),
    };
    arguments.into_iter().map(argument).collect()
}

/// A list is checked for its number where it is read.
fn check_tags(tags: &[String]) -> Result<(), Failure> {
    tags.iter().try_for_each(|tag| check_length(tag, INTL_LOCALE_BYTES))
}

impl wit::Host for IntlView<'_> {
    fn resolve(&mut self, description: String) -> Answer<String> {
        answer(self.0.service(description).map(|service| service.resolved().to_string()))
    }

    fn format(&mut self, description: String, values: Vec<wit::Argument>) -> Answer<Vec<wit::Part>> {
        let values = arguments(values);
        let parts = values.and_then(|values| self.0.service(description)?.format(&values));
        answer(parts.map(|parts| {
            let part = |part: service::Part| wit::Part {
                kind: part.kind.to_owned(),
                text: part.text,
                source: part.source.to_owned(),
            };
            parts.into_iter().map(part).collect()
        }))
    }

    fn compare(&mut self, description: String, one: String, other: String) -> Answer<i8> {
        let checked = check_text(&one).and_then(|()| check_text(&other));
        answer(checked.and_then(|()| self.0.service(description)?.compare(&one, &other)))
    }

    fn segment(&mut self, description: String, text: String) -> Answer<Vec<(u32, bool)>> {
        answer(check_text(&text).and_then(|()| self.0.service(description)?.segments(&text)))
    }

    fn canonical_locales(&mut self, tags: Vec<String>) -> Answer<Vec<String>> {
        answer(check_tags(&tags).and_then(|()| engine::canonical(&tags)))
    }

    fn supported_locales(&mut self, tags: Vec<String>) -> Answer<Vec<String>> {
        answer(check_tags(&tags).and_then(|()| engine::supported(&tags)))
    }

    fn convert_case(&mut self, tags: Vec<String>, upper: bool, text: String) -> Answer<String> {
        let checked = check_tags(&tags).and_then(|()| check_text(&text));
        answer(checked.and_then(|()| engine::convert_case(&tags, upper, &text)))
    }

    fn values(&mut self, key: String) -> Answer<Vec<String>> {
        answer(engine::values(&key))
    }
}
