//! Stacks of the engine in the lines of the author.

use std::sync::OnceLock;

use oxc_sourcemap::{SourceMap, Token};
use serde::Serialize;

use super::bundle::{Author, Bundle, Module};
use super::frame::{Position, code_frame};
use crate::observe::capture::Places;

/// The most lines of a stack that are mapped; the rest is dropped.
const MAX_STACK_LINES: usize = 100;

/// The most characters of a line that are counted: a program may log any number of places in a line of megabytes.
const MAX_COUNTED_COLUMN: u32 = 10_000;

/// What a frame of a stack begins with.
const FRAME: &str = "    at ";

/// A place in a module as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The file, or the module of a package.
    pub file: String,
    /// Line and column.
    #[serde(flatten)]
    pub position: Position,
}

/// A stack as the author should see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappedStack {
    /// The stack, with places in the author's files.
    pub text: String,
    /// The topmost place in a file of the function.
    pub top: Option<Location>,
    /// The lines around it, with a caret.
    pub frame: Option<String>,
}

impl Bundle {
    /// Maps a stack as QuickJS writes it, lines of `at name (module:line:column)` or `at module:line:column`, after any message.
    /// Lines of another form, and places outside the bundle, stay as they are.
    pub fn map_stack(&self, stack: &str) -> MappedStack {
        let mut text = Vec::new();
        let mut top = None;
        for line in stack.lines().take(MAX_STACK_LINES) {
            let Some((place, module, position)) = self.mapped_place(line) else {
                text.push(line.to_owned());
                continue;
            };
            text.push(replaced(line, place, module, position));
            if module.author == Author::Function && top.is_none() {
                top = Some((module, position));
            }
        }
        MappedStack {
            text: text.join("\n"),
            frame: top.map(|(module, position)| code_frame(&module.text, position, 1)),
            top: top.map(|(module, position)| Location { file: module.name.clone(), position }),
        }
    }

    /// What is needed to map stacks once the engine has the modules: the author's own code, and the names of packages' modules.
    pub fn for_stacks(mut self) -> Self {
        for module in self.modules.iter_mut().filter(|module| module.author != Author::Function) {
            module.code = String::new();
            module.text = String::new();
            module.imports.clear();
            module.line_starts = OnceLock::new();
        }
        self
    }

    fn mapped_place<'l>(&self, line: &'l str) -> Option<(&'l str, &Module, Position)> {
        let frame = line.split_once(FRAME).map(|(_, frame)| frame).or_else(|| line.strip_prefix("at "))?;
        // What an inspected object goes on with.
        let frame = frame.trim_end_matches([',', ']', '}', ' ']);
        let place = match frame.strip_suffix(')') {
            Some(frame) => frame.rsplit_once('(').map(|(_, place)| place)?,
            None => frame,
        };
        let (rest, column) = place.rsplit_once(':')?;
        let (name, row) = rest.rsplit_once(':')?;
        let position = self.original(name, row.parse().ok()?, column.parse().ok()?)?;
        Some((place, self.module(name)?, position))
    }

    /// The module of a name.
    pub fn module(&self, name: &str) -> Option<&Module> {
        let index = self.modules.binary_search_by(|module| module.name.as_str().cmp(name)).ok()?;
        self.modules.get(index)
    }

    /// Where the author wrote what the engine has at a line and column, both from 1, columns in code points. `None` outside of
    /// what an author wrote.
    pub fn original(&self, name: &str, line: u32, column: u32) -> Option<Position> {
        let module = self.module(name).filter(|module| module.author != Author::Toolchain)?;
        let row = line.checked_sub(1)?;
        let column = module.utf16_column(row, column.checked_sub(1)?);
        let Some(map) = &module.map else {
            return Some(Position {
                line: line.checked_sub(module.header_lines).filter(|line| *line > 0)?,
                column: column + 1,
            });
        };
        let token = token_at(map, row, column)?;
        token.get_source_id()?;
        Some(Position { line: token.get_src_line() + 1, column: token.get_src_col() + 1 })
    }
}

impl Places for Bundle {
    fn in_lines_of_author(&self, line: &str) -> Option<String> {
        let (place, module, position) = self.mapped_place(line)?;
        Some(replaced(line, place, module, position))
    }
}

fn replaced(line: &str, place: &str, module: &Module, position: Position) -> String {
    line.replacen(place, &format!("{}:{}:{}", module.name, position.line, position.column), 1)
}

/// The last token of a line at or before a column, or the first one of the line.
fn token_at(map: &SourceMap<'_>, row: u32, column: u32) -> Option<Token> {
    let count = u32::try_from(map.get_tokens().len()).ok()?;
    let place = |index| map.get_token(index).map(|token| (token.get_dst_line(), token.get_dst_col()));
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if place(middle)? <= (row, column) { low = middle + 1 } else { high = middle }
    }
    let on_row = |index: u32| map.get_token(index).filter(|token| token.get_dst_line() == row);
    low.checked_sub(1).and_then(on_row).or_else(|| on_row(low))
}

impl Module {
    /// A column of code points, from 0, in UTF-16 code units. Where the code is gone, and far to the right, they are taken for the same.
    fn utf16_column(&self, row: u32, column: u32) -> u32 {
        if self.code.is_empty() || column > MAX_COUNTED_COLUMN {
            return column;
        }
        let starts = self.line_starts.get_or_init(|| line_starts(&self.code));
        let line = starts.get(row as usize).and_then(|start| self.code.get(*start..)).unwrap_or_default();
        let units: usize = line.chars().take_while(|c| *c != '\n').take(column as usize).map(char::len_utf16).sum();
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

/// Where lines begin, in bytes; a line ends where the engine says so, at a line feed.
fn line_starts(code: &str) -> Vec<usize> {
    std::iter::once(0).chain(code.match_indices('\n').map(|(index, _)| index + 1)).collect()
}
