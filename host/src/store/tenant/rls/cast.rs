//! PostgreSQL's `expression::type` as SQLite writes it.

use crate::store::tenant::Error;
use crate::store::tenant::rls::token::{Token, TokenKind, tokens};

/// What stands before and behind the expression.
type Around = (&'static str, &'static str);

const TEXT: Around = ("CAST(", " AS TEXT)");
const INTEGER: Around = ("CAST(", " AS INTEGER)");
const REAL: Around = ("CAST(", " AS REAL)");
const NUMERIC: Around = ("CAST(", " AS NUMERIC)");
const BLOB: Around = ("CAST(", " AS BLOB)");
const DATE: Around = ("date(", ")");
const BOOLEAN: Around = (
    "(CASE lower(CAST(",
    " AS TEXT)) WHEN 'true' THEN 1 WHEN 't' THEN 1 WHEN 'yes' THEN 1 WHEN 'y' THEN 1 WHEN 'on' THEN 1 WHEN '1' THEN 1 \
      WHEN 'false' THEN 0 WHEN 'f' THEN 0 WHEN 'no' THEN 0 WHEN 'n' THEN 0 WHEN 'off' THEN 0 WHEN '0' THEN 0 END)",
);

/// The types there are, by PostgreSQL's names. Times are text, as SQLite's functions write them.
const TYPES: [(&str, Around); 32] = [
    ("text", TEXT),
    ("varchar", TEXT),
    ("character", TEXT),
    ("char", TEXT),
    ("bpchar", TEXT),
    ("name", TEXT),
    ("citext", TEXT),
    ("uuid", TEXT),
    ("json", TEXT),
    ("jsonb", TEXT),
    ("time", TEXT),
    ("timestamp", TEXT),
    ("timestamptz", TEXT),
    ("interval", TEXT),
    ("inet", TEXT),
    ("date", DATE),
    ("boolean", BOOLEAN),
    ("bool", BOOLEAN),
    ("integer", INTEGER),
    ("int", INTEGER),
    ("int2", INTEGER),
    ("int4", INTEGER),
    ("int8", INTEGER),
    ("smallint", INTEGER),
    ("bigint", INTEGER),
    ("real", REAL),
    ("float", REAL),
    ("float4", REAL),
    ("float8", REAL),
    ("double", REAL),
    ("numeric", NUMERIC),
    ("decimal", NUMERIC),
];

/// Words that a bracket may follow and that are no functions.
const NO_FUNCTIONS: [&str; 21] = [
    "AND", "OR", "NOT", "IN", "IS", "LIKE", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "SELECT", "WHERE", "FROM", "ON",
    "USING", "CHECK", "BY", "HAVING", "VALUES", "AS",
];

/// Casts of one statement. Each one looks for the beginning of its operand.
const MOST_CASTS: usize = 500;

/// Replaces each cast.
pub(in crate::store::tenant) fn with_casts(all: Vec<Token>) -> Result<Vec<Token>, Error> {
    match all.iter().filter(|token| is_cast(token)).count() {
        0 => return Ok(all),
        casts if casts > MOST_CASTS => {
            return Err(Error::Limit(format!("a statement has at most {MOST_CASTS} casts (::), this one has {casts}")));
        }
        _ => {}
    }
    let mut done: Vec<Token> = Vec::with_capacity(all.len());
    let mut rest = all.into_iter().peekable();
    while let Some(token) = rest.next() {
        if !is_cast(&token) {
            done.push(token);
            continue;
        }
        let (before, behind) = type_named(&mut rest)?;
        let start = operand(&done).ok_or_else(|| Error::Syntax("there is nothing to cast before ::".to_owned()))?;
        let mut opening = tokens(before)?;
        if let (Some(first), Some(operand)) = (opening.first_mut(), done.get_mut(start)) {
            first.spaced = std::mem::take(&mut operand.spaced);
        }
        done.splice(start..start, opening);
        done.extend(tokens(behind)?);
    }
    Ok(done)
}

fn is_cast(token: &Token) -> bool {
    token.kind == TokenKind::Other && token.text == "::"
}

/// Reads a type with what belongs to it: `double precision`, `varchar(20)`, `timestamp with time zone`.
fn type_named(rest: &mut std::iter::Peekable<std::vec::IntoIter<Token>>) -> Result<Around, Error> {
    let name = rest.next().and_then(|token| token.name()).unwrap_or_default();
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)).map(|(_, around)| *around);
    let around = match known {
        Some(around) => around,
        None if name.eq_ignore_ascii_case("bytea") => BLOB,
        None => return Err(Error::Syntax(format!("type \"{name}\" does not exist: there are no such casts here"))),
    };
    for word in ["precision", "varying"] {
        rest.next_if(|token| token.is(word));
    }
    if rest.next_if(|token| token.is_symbol('(')).is_some() {
        let is_length = |token: &Token| token.is_symbol(',') || token.text.bytes().all(|byte| byte.is_ascii_digit());
        while rest.next_if(is_length).is_some() {}
        if rest.next_if(|token| token.is_symbol(')')).is_none() {
            return Err(Error::Syntax(format!("type {name}: only numbers stand in the brackets behind it")));
        }
    }
    if rest.next_if(|token| token.is("with") || token.is("without")).is_some() {
        rest.next_if(|token| token.is("time"));
        rest.next_if(|token| token.is("zone"));
    }
    if rest.peek().is_some_and(|token| token.is_symbol('[')) || rest.peek().is_some_and(|token| token.text == "[]") {
        return Err(Error::Syntax(format!("there are no arrays: {name}[]")));
    }
    Ok(around)
}

/// Where the expression begins that ends here: a value, a name with what qualifies it, brackets, or a call.
fn operand(done: &[Token]) -> Option<usize> {
    let last = done.len().checked_sub(1)?;
    let mut start = last;
    if done.get(last)?.is_symbol(')') {
        start = opening(done)?;
        let function = start.checked_sub(1).filter(|before| {
            let token = done.get(*before);
            token.is_some_and(|token| token.name().is_some() && !NO_FUNCTIONS.iter().any(|word| token.is(word)))
        });
        let Some(function) = function else { return Some(start) };
        start = function;
    } else if done.get(last)?.kind == TokenKind::Other
        && !done.get(last)?.text.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    while start >= 2 && done.get(start - 1).is_some_and(|token| token.is_symbol('.')) {
        start -= 2;
    }
    Some(start)
}

/// The bracket that the last token closes.
fn opening(done: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    done.iter().enumerate().rev().find_map(|(position, token)| {
        depth += usize::from(token.is_symbol(')'));
        if token.is_symbol('(') {
            depth -= 1;
        }
        (depth == 0).then_some(position)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tenant::rls::token::{from_postgres, text_of};

    fn translated(sql: &str) -> Result<String, Error> {
        from_postgres(tokens(sql)?).map(|tokens| text_of(&tokens))
    }

    #[test]
    fn the_operand_is_what_binds_closest() {
        for (written, expected) in [
            ("a = b::text", "a = CAST(b AS TEXT)"),
            ("auth.uid()::uuid = owner", "CAST(auth_uid() AS TEXT) = owner"),
            ("(auth.jwt() ->> 'n')::int + 1", "CAST((auth_jwt() ->> 'n') AS INTEGER) + 1"),
            ("t.a::text||main.t.\"b\"::varchar(20)", "CAST(t.a AS TEXT)||CAST(main.t.\"b\" AS TEXT)"),
            ("lower(f(x))::text", "CAST(lower(f(x)) AS TEXT)"),
            ("a IN (1, 2)::text", "a IN CAST((1, 2) AS TEXT)"),
            ("1.5::double precision", "CAST(1.5 AS REAL)"),
            ("'x'::character varying::text", "CAST(CAST('x' AS TEXT) AS TEXT)"),
            ("now()::timestamp with time zone < x", "CAST(now() AS TEXT) < x"),
            ("at::date", "date(at)"),
            (":p::int8", "CAST(:p AS INTEGER)"),
            ("'a::b' = c", "'a::b' = c"),
        ] {
            assert_eq!(translated(written).unwrap(), expected, "{written}");
        }
    }

    #[test]
    fn what_cannot_be_cast_is_said() {
        for (written, part) in [
            ("::text", "nothing"),
            ("a + ::text", "nothing"),
            ("a::point", "point"),
            ("a::", "type"),
            ("a::int[]", "arrays"),
        ] {
            assert!(matches!(translated(written), Err(Error::Syntax(text)) if text.contains(part)), "{written}");
        }
    }
}
