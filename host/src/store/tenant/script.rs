//! Several statements in one text: where each begins and ends, and where in the text one of them failed.

use super::Error;

/// One statement of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// From its first word to its last.
    pub(super) sql: &'a str,
    /// Where it begins, in bytes.
    pub(super) start: usize,
}

/// Why a text was not run to its end. Nothing of it is done.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ScriptError {
    /// What is wrong with the statement.
    pub error: Error,
    /// The statement, as far as it is not too long to be shown.
    pub statement: String,
    /// The line it begins in, or the one SQLite points at, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

/// Characters of a statement that are shown.
const SHOWN: usize = 500;

impl ScriptError {
    /// An error that is of no one piece.
    pub(super) fn of_whole(text: &str, error: Error) -> Self {
        Self::at(text, &Piece { sql: "", start: 0 }, error)
    }

    /// The error of a piece of this text.
    pub(super) fn at(text: &str, piece: &Piece<'_>, error: Error) -> Self {
        let position = piece.start + offset(&error).filter(|offset| *offset <= piece.sql.len()).unwrap_or(0);
        let before = text.get(..position).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            statement: piece.sql.chars().take(SHOWN).collect(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            error,
        }
    }
}

/// Where in the statement SQLite saw it, which is part of its message.
fn offset(error: &Error) -> Option<usize> {
    let (Error::Syntax(message) | Error::Denied(message) | Error::Limit(message)) = error else { return None };
    message.strip_suffix(')')?.rsplit_once("(at byte ")?.1.parse().ok()
}

/// The statements of a text. A trigger ends behind its END.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut piece = Open::default();
    for mark in (Scanner { text, at: 0 }) {
        match mark {
            Mark::Semicolon(position) => {
                if !piece.is_trigger() || piece.last_words == [Word::Semicolon, Word::End] {
                    found.extend(piece.close(text, position));
                    piece = Open::default();
                } else {
                    piece.remember(Word::Semicolon);
                }
            }
            Mark::Word(start, word) => {
                piece.start.get_or_insert(start);
                piece.first_words.extend((piece.first_words.len() < 3).then(|| word.to_ascii_uppercase()));
                piece.remember(if word.eq_ignore_ascii_case("END") { Word::End } else { Word::Other });
            }
            Mark::Other(start) => {
                piece.start.get_or_insert(start);
                piece.remember(Word::Other);
            }
        }
    }
    found.extend(piece.close(text, text.len()));
    found
}

/// A piece whose end is not seen yet.
#[derive(Default)]
struct Open {
    start: Option<usize>,
    first_words: Vec<String>,
    last_words: [Word; 2],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Word {
    Semicolon,
    End,
    #[default]
    Other,
}

impl Open {
    fn remember(&mut self, word: Word) {
        let [_, last] = self.last_words;
        self.last_words = [last, word];
    }

    fn is_trigger(&self) -> bool {
        let words: Vec<_> = self.first_words.iter().map(String::as_str).collect();
        matches!(words.as_slice(), ["CREATE", "TRIGGER", ..] | ["CREATE", "TEMP" | "TEMPORARY", "TRIGGER"])
    }

    fn close<'a>(&self, text: &'a str, end: usize) -> Option<Piece<'a>> {
        let start = self.start?;
        Some(Piece { sql: text.get(start..end)?.trim_end(), start })
    }
}

/// What matters for where a statement ends.
enum Mark<'a> {
    Semicolon(usize),
    Word(usize, &'a str),
    /// Anything else but white space and comments.
    Other(usize),
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Mark<'a>;

    fn next(&mut self) -> Option<Mark<'a>> {
        loop {
            let start = self.at;
            let rest = self.text.get(start..)?;
            let first = rest.chars().next()?;
            let (length, mark) = match first {
                '\'' | '"' | '`' => (until(rest, 1, first), Some(Mark::Other(start))),
                '[' => (until(rest, 1, ']'), Some(Mark::Other(start))),
                ';' => (1, Some(Mark::Semicolon(start))),
                '-' if rest.starts_with("--") => (until(rest, 2, '\n'), None),
                '/' if rest.starts_with("/*") => (rest.get(2..)?.find("*/").map_or(rest.len(), |end| end + 4), None),
                _ if first.is_whitespace() || first == '\u{feff}' => (first.len_utf8(), None),
                _ if is_of_word(first) => {
                    let length = rest.find(|character| !is_of_word(character)).unwrap_or(rest.len());
                    (length, Some(Mark::Word(start, rest.get(..length)?)))
                }
                _ => (first.len_utf8(), Some(Mark::Other(start))),
            };
            self.at += length;
            if mark.is_some() {
                return mark;
            }
        }
    }
}

fn is_of_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// The length up to and with the next such character. A doubled quote begins the next quoted part at once.
fn until(rest: &str, from: usize, end: char) -> usize {
    let behind = rest.get(from..).unwrap_or_default();
    behind.find(end).map_or(rest.len(), |position| from + position + end.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        pieces(sql).into_iter().map(|piece| piece.sql).collect()
    }

    #[test]
    fn statements_end_where_sqlite_ends_them() {
        assert_eq!(texts("SELECT 1; -- one; two\n ;; SELECT ';' /* ; */ ;"), ["SELECT 1", "SELECT ';' /* ; */"]);
        assert_eq!(texts("SELECT 'it''s;', \";\", `;`, [;]"), ["SELECT 'it''s;', \";\", `;`, [;]"]);
        let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM b; END";
        assert_eq!(texts(&format!("{trigger}; SELECT 1")), [trigger, "SELECT 1"]);
        assert_eq!(texts("CREATE TABLE trigger_log (a); SELECT 1"), ["CREATE TABLE trigger_log (a)", "SELECT 1"]);
        assert_eq!(texts(" -- nothing\n/* at all"), Vec::<&str>::new());
        assert_eq!(texts("SELECT 'never closed; SELECT 2"), ["SELECT 'never closed; SELECT 2"]);
    }

    #[test]
    fn an_error_has_a_place() {
        let text = "SELECT 1;\n\n  INSERT\n  INTO é é x;";
        let pieces = pieces(text);
        let [_, piece] = pieces.as_slice() else { panic!("{pieces:?}") };
        let place = |message: &str| {
            let error = ScriptError::at(text, piece, Error::Syntax(message.to_owned()));
            (error.line, error.column)
        };
        assert_eq!(place("no such table"), (3, 3));
        assert_eq!(place("near \"x\": syntax error (at byte 20)"), (4, 12));
    }
}
