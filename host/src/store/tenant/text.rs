//! What the host reads out of the text of a statement before SQLite does. Only a hint of where to run it: the authorizer
//! and SQLite itself decide what a statement may do.

use crate::tunables::STATEMENT_BYTES;

use super::Error;

/// What a statement starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// May turn out to only read: worth a try on a connection that cannot write.
    Reading,
    /// Changes the schema, for which SQLite itself writes to its own tables.
    Schema,
    /// Writes, or is nothing SQLite knows.
    Writing,
}

/// Looks at the first word. Refuses what is empty, too long, or would be cut short by SQLite.
pub(super) fn inspect(sql: &str) -> Result<Kind, Error> {
    if sql.len() > STATEMENT_BYTES {
        return Err(Error::Limit(format!(
            "a statement has at most {STATEMENT_BYTES} bytes, this one has {}",
            sql.len()
        )));
    }
    kind(sql)
}

/// [`inspect`] for a text of any length.
pub(super) fn kind(sql: &str) -> Result<Kind, Error> {
    if sql.contains('\0') {
        return Err(Error::Syntax("the statement contains a NUL character".to_owned()));
    }
    let word = first_word(sql).ok_or_else(|| Error::Syntax("the statement is empty".to_owned()))?;
    let is_one_of = |words: &[&str]| words.iter().any(|candidate| candidate.eq_ignore_ascii_case(word));
    Ok(if is_one_of(&["SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA"]) {
        Kind::Reading
    } else if is_one_of(&["CREATE", "DROP", "ALTER", "ANALYZE", "REINDEX"]) {
        Kind::Schema
    } else {
        Kind::Writing
    })
}

/// The statement without the semicolons and white space behind it.
pub(super) fn without_terminator(sql: &str) -> &str {
    sql.trim_matches(|character: char| character == ';' || character.is_ascii_whitespace())
}

/// The text from the first character that is not white space, a comment or a semicolon, up to the end of its word.
fn first_word(sql: &str) -> Option<&str> {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|character: char| {
            character == ';' || character == '\u{feff}' || character.is_ascii_whitespace()
        });
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n')?.1;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/")?.1;
        } else {
            break;
        }
    }
    let word = rest.split(|character: char| !character.is_ascii_alphabetic()).next()?;
    (!rest.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides_behind_comments_and_semicolons() {
        for (sql, kind) in [
            ("select 1", Kind::Reading),
            (" ;\n-- note; drop\n/* a ; b */ WITH x AS (VALUES(1)) SELECT * FROM x", Kind::Reading),
            ("\u{feff}VALUES(1)", Kind::Reading),
            ("Create TABLE t(a)", Kind::Schema),
            ("/**/REINDEX", Kind::Schema),
            ("INSERT INTO t VALUES(1)", Kind::Writing),
            ("(SELECT 1)", Kind::Writing),
            ("é", Kind::Writing),
        ] {
            assert_eq!(inspect(sql).unwrap(), kind, "{sql:?}");
        }
    }

    #[test]
    fn what_holds_no_statement_is_empty() {
        for sql in ["", " \t\r\n", ";;", "-- only a note", "/* never closed", "/* closed */ ; -- and a note\n"] {
            assert!(matches!(inspect(sql), Err(Error::Syntax(text)) if text.contains("empty")), "{sql:?}");
        }
    }

    #[test]
    fn what_sqlite_would_cut_short_is_refused() {
        assert!(matches!(inspect("SELECT 1\0; DROP TABLE t"), Err(Error::Syntax(_))));
        let long = format!("SELECT 1{}", " ".repeat(STATEMENT_BYTES));
        assert!(matches!(inspect(&long), Err(Error::Limit(text)) if text.contains("1048576")));
    }
}
