//! Places in a text, and the lines around them with a caret.

use serde::Serialize;

/// The lines shown before the one with the caret; after it, one.
const LINES_BEFORE: usize = 2;

/// The most characters of a line that are shown: a minified file has lines of megabytes.
const MAX_WIDTH: usize = 120;

/// What a tab is shown as.
const TAB: &str = "    ";

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// From 1. A line ends as ECMAScript says: LF, CR, CRLF, U+2028 or U+2029.
    pub line: u32,
    /// From 1, in UTF-16 code units, as editors and other engines count.
    pub column: u32,
}

impl Position {
    /// The place of a byte offset; the nearest character boundary before it, or the end of the text.
    pub(crate) fn of_offset(text: &str, offset: usize) -> Self {
        let before = text.get(..floor_boundary(text, offset)).unwrap_or(text);
        // The CR of a CRLF ends no line of its own, even when the text is cut between the two.
        let line_breaks = lines(before).count() - 1;
        let start = lines(before).last().map_or("", |line| line);
        Self { line: saturate(line_breaks + 1), column: saturate(start.encode_utf16().count() + 1) }
    }
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The lines of a text without their ends; at least one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = current.find(['\n', '\r', '\u{2028}', '\u{2029}']);
        let (line, after) = end.map_or((current, None), |end| {
            let (line, after) = current.split_at(end);
            let first = after.chars().next().map_or(0, char::len_utf8);
            let length = if after.starts_with("\r\n") { 2 } else { first };
            (line, after.get(length..))
        });
        rest = after;
        Some(line)
    })
}

/// The line of a place, and where in it the place is, in bytes.
pub(crate) fn line_from(text: &str, at: Position) -> Option<(&str, usize)> {
    let line = lines(text).nth((at.line as usize).saturating_sub(1))?;
    Some((line, byte_of_utf16(line, (at.column as usize).saturating_sub(1))))
}

/// The lines around a place, numbered, with a caret below it. `width` is how many UTF-16 code units to underline, at least 1.
pub(crate) fn code_frame(text: &str, at: Position, width: usize) -> String {
    let line_index = (at.line as usize).saturating_sub(1);
    let first = line_index.saturating_sub(LINES_BEFORE);
    let shown: Vec<&str> = lines(text).skip(first).take(line_index - first + 2).collect();
    let target = shown.get(line_index - first).copied().unwrap_or_default();
    let column = (at.column as usize).saturating_sub(1);
    let (before, marked) = split_utf16(target, column, width.max(1));
    // All lines are cut at the same place, so that they stay aligned.
    let caret = expanded(before).chars().count();
    let cut = if caret + 1 > MAX_WIDTH { caret - MAX_WIDTH / 2 } else { 0 };
    let digits = (first + shown.len()).to_string().len();
    let mut frame = String::new();
    for (index, line) in shown.iter().enumerate() {
        let mark = if first + index == line_index { '>' } else { ' ' };
        let number = first + index + 1;
        let visible: String = expanded_until(line, cut + MAX_WIDTH).chars().skip(cut).take(MAX_WIDTH).collect();
        frame.push_str(format!("{mark} {number:>digits$} | {visible}").trim_end());
        frame.push('\n');
        if mark == '>' {
            let room = MAX_WIDTH.saturating_sub(caret - cut).max(1);
            let carets = "^".repeat(expanded(marked).chars().count().clamp(1, room));
            frame.push_str(&format!("  {:>digits$} | {}{carets}\n", "", " ".repeat(caret - cut)));
        }
    }
    frame.truncate(frame.trim_end().len());
    frame
}

/// What is before the column, and `width` code units from there.
fn split_utf16(line: &str, column: usize, width: usize) -> (&str, &str) {
    let start = byte_of_utf16(line, column);
    let (before, after) = line.split_at_checked(start).unwrap_or((line, ""));
    (before, after.get(..byte_of_utf16(after, width)).unwrap_or(after))
}

fn byte_of_utf16(text: &str, units: usize) -> usize {
    let mut counted = 0;
    let found = text.char_indices().find(|(_, c)| {
        let reached = counted >= units;
        counted += c.len_utf16();
        reached
    });
    found.map_or(text.len(), |(index, _)| index)
}

fn expanded(line: &str) -> String {
    expanded_until(line, usize::MAX)
}

/// A line as a terminal shows it: tabs as spaces, other control characters as one replacement.
fn expanded_until(line: &str, characters: usize) -> String {
    let mut shown = String::new();
    for c in line.chars().take(characters) {
        match c {
            '\t' => shown.push_str(TAB),
            c if c.is_control() => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32) -> Position {
        Position { line, column }
    }

    #[test]
    fn offsets_become_lines_and_columns() {
        let text = "ab\r\ncd\ne\rf\u{2028}g";
        let place = |needle: &str| Position::of_offset(text, text.find(needle).unwrap());
        assert_eq!(place("a"), at(1, 1));
        assert_eq!(place("d"), at(2, 2));
        assert_eq!(place("e"), at(3, 1));
        assert_eq!(place("f"), at(4, 1));
        assert_eq!(place("g"), at(5, 1));
        assert_eq!(Position::of_offset(text, 1_000), at(5, 2));
        assert_eq!(Position::of_offset("", 0), at(1, 1));
    }

    #[test]
    fn columns_count_utf16() {
        let text = "\"😀é\" x";
        assert_eq!(Position::of_offset(text, text.find('x').unwrap()), at(1, 7));
        // Inside a character: its beginning.
        assert_eq!(Position::of_offset(text, 2), at(1, 2));
    }

    #[test]
    fn a_frame_has_a_caret_below_the_place() {
        let frame = code_frame("one\ntwo\nthree\nfour\nfive\n", at(3, 2), 3);
        assert_eq!(frame, "  1 | one\n  2 | two\n> 3 | three\n    |  ^^^\n  4 | four");
    }

    #[test]
    fn tabs_and_wide_code_units_keep_the_caret_in_place() {
        assert_eq!(code_frame("\tx = 😀 + y", at(1, 11), 1), "> 1 |     x = 😀 + y\n    |             ^");
        assert_eq!(code_frame("a\r\n\tb\r\nc", at(2, 2), 1), "  1 | a\n> 2 |     b\n    |     ^\n  3 | c");
    }

    #[test]
    fn line_numbers_are_aligned() {
        let text = "x\n".repeat(12);
        assert_eq!(code_frame(&text, at(10, 1), 1), "   8 | x\n   9 | x\n> 10 | x\n     | ^\n  11 | x");
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(500_000), "b".repeat(500_000));
        let frame = code_frame(&text, at(1, 500_001), 1_000_000);
        assert!(frame.len() < 400, "{}", frame.len());
        let lines: Vec<&str> = frame.lines().collect();
        assert_eq!(lines[0].find("HERE"), lines[1].find('^'));
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        code_frame("", at(1, 1), 1);
        code_frame("a", at(7, 9), 1);
        code_frame("a", at(0, 0), 0);
        code_frame("a\u{1b}[31mb", at(1, 2), 1).chars().for_each(|c| assert_ne!(c, '\u{1b}'));
    }
}
