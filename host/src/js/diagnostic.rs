//! What is wrong with a function's source, for a person: where, and the lines around it.

use std::fmt;

use serde::Serialize;

use super::frame::{Position, code_frame};

/// The most diagnostics of one bundle: the rest is rarely more than an echo.
const MAX_DIAGNOSTICS: usize = 20;

/// One error in a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The file, as its author named it, or the module of a package.
    pub file: String,
    /// Line and column.
    #[serde(flatten)]
    pub position: Position,
    /// The lines around, with a caret below the place.
    pub frame: String,
}

/// Why there is no bundle: at least one diagnostic, in the order of finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(super) fn single(file: &str, text: &str, finding: Finding) -> Self {
        Self(vec![finding.locate(file, text)])
    }

    /// All of them, at most 20.
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, hint, file, position, frame } = self;
        write!(f, "{file}:{}:{}: {message}", position.line, position.column)?;
        if let Some(hint) = hint {
            write!(f, " ({hint})")?;
        }
        if frame.is_empty() { Ok(()) } else { write!(f, "\n{frame}") }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// An error in a text, before it has a file and a frame.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Bytes of the text.
    pub(super) offset: usize,
    /// Bytes to underline.
    pub(super) length: usize,
}

impl Finding {
    pub(super) fn new(message: impl Into<String>, offset: usize, length: usize) -> Self {
        Self { message: message.into(), hint: None, offset, length }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn locate(self, file: &str, text: &str) -> Diagnostic {
        let position = Position::of_offset(text, self.offset);
        let underlined = text.get(self.offset..self.offset.saturating_add(self.length)).unwrap_or_default();
        let width = underlined.lines().next().map_or(1, |line| line.encode_utf16().count());
        let frame = if text.is_empty() { String::new() } else { code_frame(text, position, width) };
        Diagnostic { message: self.message, hint: self.hint, file: file.to_owned(), position, frame }
    }
}

/// Collects what is found in the modules of a bundle.
#[derive(Debug, Default)]
pub(super) struct Collector(Vec<Diagnostic>);

impl Collector {
    pub(super) fn add(&mut self, file: &str, text: &str, findings: impl IntoIterator<Item = Finding>) {
        let room = MAX_DIAGNOSTICS - self.0.len();
        self.0.extend(findings.into_iter().take(room).map(|finding| finding.locate(file, text)));
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_DIAGNOSTICS
    }

    pub(super) fn finish(self) -> Result<(), Diagnostics> {
        if self.0.is_empty() { Ok(()) } else { Err(Diagnostics(self.0)) }
    }
}
