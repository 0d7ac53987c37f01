//! What the services of `Intl` have in common.

use icu_provider::prelude::*;
use serde_json::Value as Json;

/// Why a call failed; the prelude throws the error of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// A `RangeError`.
    Range(String),
    /// A `TypeError`.
    Type(String),
}

impl Failure {
    /// A `RangeError` of this text.
    pub(super) fn range(message: impl Into<String>) -> Self {
        Self::Range(message.into())
    }

    /// The data of a locale is not there. It is built in, so this is a gap in it; what ICU4X says of it helps nobody but us.
    pub(super) fn data(error: impl std::fmt::Display) -> Self {
        tracing::debug!(%error, "locale data is missing");
        Self::range("this host has no data for that in this locale: use another locale, or other options")
    }
}

/// A request for data that may not be there: ICU4X does not report that it is not.
pub(super) fn request(id: DataIdentifierBorrowed<'_>) -> DataRequest<'_> {
    let mut request = DataRequest { id, ..DataRequest::default() };
    request.metadata.silent = true;
    request
}

/// A piece of what was formatted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its `type` in `formatToParts`.
    pub kind: &'static str,
    /// The text.
    pub text: String,
    /// Which end of a range it belongs to; empty outside ranges.
    pub source: &'static str,
}

impl Part {
    /// A piece that belongs to no range.
    pub(super) fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), source: "" }
    }
}

/// An argument of `format`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    /// A time in milliseconds since 1970, or a count.
    Number(f64),
    /// A decimal number as text, or text.
    Text(String),
}

/// The pieces of something formatted, or why there are none.
pub(super) type Formatted = Result<Vec<Part>, Failure>;

/// A segment of a text: its length in UTF-16 code units, and whether it is like a word.
pub(super) type Segment = (u32, bool);

/// A formatter, collator or other service with its options.
pub(super) trait Service: Send {
    /// What `resolvedOptions()` returns.
    fn resolved(&self) -> Json;

    /// Formats.
    fn format(&self, _arguments: &[Argument]) -> Formatted {
        Err(unfit())
    }

    /// Orders two texts.
    fn compare(&self, _one: &str, _other: &str) -> Result<i8, Failure> {
        Err(unfit())
    }

    /// Divides a text.
    fn segments(&self, _text: &str) -> Result<Vec<Segment>, Failure> {
        Err(unfit())
    }
}

/// The prelude never asks a service for what it does not do.
pub(super) fn unfit() -> Failure {
    Failure::Type("this service of Intl does not do that".to_owned())
}
