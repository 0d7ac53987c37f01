//! `Intl.ListFormat`.

use icu::list::ListFormatter;
use icu::list::options::{ListFormatterOptions, ListLength};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use writeable::{Part as Mark, PartsWrite, Writeable};

use super::locale;
use super::service::{Argument, Failure, Formatted, Part, Service, unfit};

/// As the prelude passes them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ListOptions {
    locales: Vec<String>,
    r#type: Type,
    style: Style,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Type {
    #[default]
    Conjunction,
    Disjunction,
    Unit,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Style {
    #[default]
    Long,
    Short,
    Narrow,
}

/// A list formatter.
pub(super) struct List {
    formatter: ListFormatter,
    resolved: Json,
}

impl List {
    /// The formatter of these options.
    pub(super) fn new(options: &ListOptions) -> Result<Self, Failure> {
        let known = locale::choose(&options.locales, &[])?;
        let (length, style) = match options.style {
            Style::Long => (ListLength::Wide, "long"),
            Style::Short => (ListLength::Short, "short"),
            Style::Narrow => (ListLength::Narrow, "narrow"),
        };
        let length = ListFormatterOptions::default().with_length(length);
        let prefs = (&known.locale).into();
        let (formatter, kind) = match options.r#type {
            Type::Conjunction => (ListFormatter::try_new_and(prefs, length), "conjunction"),
            Type::Disjunction => (ListFormatter::try_new_or(prefs, length), "disjunction"),
            Type::Unit => (ListFormatter::try_new_unit(prefs, length), "unit"),
        };
        let resolved = json!({"locale": known.locale.to_string(), "type": kind, "style": style});
        Ok(Self { formatter: formatter.map_err(Failure::data)?, resolved })
    }
}

impl Service for List {
    fn resolved(&self) -> Json {
        self.resolved.clone()
    }

    fn format(&self, arguments: &[Argument]) -> Formatted {
        let text = |argument: &Argument| match argument {
            Argument::Text(text) => Ok(text.clone()),
            Argument::Number(_) => Err(unfit()),
        };
        let texts = arguments.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let mut sink = Sink::default();
        self.formatter.format(texts.iter()).write_to_parts(&mut sink).map_err(Failure::data)?;
        Ok(sink.parts)
    }
}

/// Collects elements and what is between them.
#[derive(Default)]
struct Sink {
    parts: Vec<Part>,
    in_element: bool,
}

impl std::fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let kind = if self.in_element { "element" } else { "literal" };
        match self.parts.last_mut() {
            Some(part) if part.kind == kind => part.text.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::new(kind, text)),
        }
        Ok(())
    }
}

impl PartsWrite for Sink {
    type SubPartsWrite = Self;

    fn with_part(&mut self, mark: Mark, mut write: impl FnMut(&mut Self) -> std::fmt::Result) -> std::fmt::Result {
        let element = mark.value == "element";
        if element {
            self.in_element = true;
            // An empty element is a part, too.
            self.parts.push(Part::new("element", ""));
        }
        let result = write(self);
        self.in_element = false;
        result
    }
}
