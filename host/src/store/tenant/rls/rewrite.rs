//! What becomes of a statement of a limited role before SQLite sees it.

use crate::store::tenant::Error;
use crate::store::tenant::rls::shadow::Shadows;
use crate::store::tenant::rls::token::{Token, from_postgres, inserted, text_of, tokens};

/// A statement that can run on a connection with shadows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::tenant) struct Rewritten {
    /// The text for SQLite.
    pub(in crate::store::tenant) sql: String,
    /// The table it writes to, in lower case.
    pub(in crate::store::tenant) target: Option<String>,
    /// Whether it shows what it inserts, so that the policies for reading hold as well.
    pub(in crate::store::tenant) reads_back: bool,
}

impl Rewritten {
    /// Whether this is the table it writes to.
    pub(in crate::store::tenant) fn writes_to(&self, table: &str) -> bool {
        self.target.as_ref().is_some_and(|target| target.eq_ignore_ascii_case(table))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Insert,
    Update,
    Delete,
}

/// Puts `auth.…()` and casts into SQLite's words. Any role.
pub(in crate::store::tenant) fn for_owner(sql: &str) -> Option<String> {
    let mentions = sql.contains("::") || sql.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"auth"));
    let before = if mentions { tokens(sql).ok()? } else { return None };
    // What is wrong with it, SQLite says.
    let after = from_postgres(before.clone()).ok()?;
    (before != after).then(|| text_of(&after))
}

/// Rewrites a statement of a limited role.
pub(in crate::store::tenant) fn for_limited(sql: &str, shadows: &Shadows) -> Result<Rewritten, Error> {
    let mut tokens = from_postgres(tokens(sql)?)?;
    while tokens.last().is_some_and(|token| token.is_symbol(';')) {
        tokens.pop();
    }
    let semicolons = tokens.iter().take_while(|token| token.is_symbol(';')).count();
    tokens.drain(..semicolons);
    // It would show the hidden names, and is no action the authorizer hears of.
    if tokens.first().is_some_and(|token| token.is("EXPLAIN")) {
        return Err(Error::Denied("EXPLAIN is not allowed to this role (42501)".to_owned()));
    }
    refuse_lent_names(&tokens, shadows)?;
    let depths = depths(&tokens)?;
    let Some((position, verb)) = verb(&tokens, &depths) else {
        refuse_schemas(&tokens)?;
        return Ok(Rewritten { sql: text_of(&tokens), target: None, reads_back: false });
    };
    let at = target(&tokens, position, verb);
    let target = at.and_then(|at| tokens.get(at)).and_then(Token::name);
    let (Some(at), Some(name)) = (at, target) else {
        return Err(Error::Syntax("the table of this statement cannot be made out".to_owned()));
    };
    if tokens.get(at + 1).is_some_and(|next| next.is_symbol('.')) {
        return Err(qualified());
    }
    refuse_schemas(&tokens)?;
    let target = Some(name.to_ascii_lowercase());
    let Some(table) = shadows.table(&name) else {
        return Ok(Rewritten { sql: text_of(&tokens), target, reads_back: false });
    };
    if position_of(&tokens, &depths, position, "REPLACE").is_some_and(|found| found <= at) || table.replaces {
        return Err(Error::Denied(format!(
            "REPLACE could remove rows that the row-level security of {name} hides: use INSERT … ON CONFLICT DO UPDATE"
        )));
    }
    let conflict = position_of(&tokens, &depths, at, "CONFLICT");
    let reads_back = position_of(&tokens, &depths, at, "RETURNING").is_some()
        || conflict.is_some_and(|found| {
            tokens.get(found + 1).is_some_and(|next| next.is_symbol('('))
                || tokens.get(found..).unwrap_or_default().iter().any(|token| token.is("UPDATE"))
        });
    let is_named = verb != Verb::Insert || tokens.get(at + 1).is_some_and(|next| next.is("AS"));
    let row = if is_named { alias(&tokens, at) } else { None };
    if let Some(alias) = &row {
        refuse_second(&tokens, &depths, at, alias)?;
    }
    let row = row.map(|alias| super::quoted(&alias));
    let row = row.unwrap_or_else(|| format!("main.{}", super::quoted(&name)));
    let condition = if verb == Verb::Delete { &table.deletable } else { &table.updatable };
    let visible = format!("EXISTS (SELECT 1 FROM temp.{condition} WHERE {condition}.rid = {row}.{})", table.rowid);
    if verb == Verb::Insert {
        let refuse = format!("caddis_refuse({})", super::text(&name));
        add_to_upserts(&mut tokens, &depths, at, &visible, &refuse)?;
    } else {
        add_condition(&mut tokens, &depths, at, &visible);
    }
    tokens.insert(at, inserted("main."));
    Ok(Rewritten { sql: text_of(&tokens), target, reads_back })
}

/// How many brackets are open at each token. One that closes what was not opened could end a bracket of the rewriting.
fn depths(tokens: &[Token]) -> Result<Vec<usize>, Error> {
    let mut depth = 0_usize;
    let mut depths = Vec::with_capacity(tokens.len());
    for token in tokens {
        if token.is_symbol(';') {
            return Err(Error::Syntax("one statement at a time: there is text behind it".to_owned()));
        }
        if token.is_symbol(')') {
            depth = depth.checked_sub(1).ok_or_else(|| Error::Syntax("a ) closes nothing".to_owned()))?;
        }
        depths.push(depth);
        depth += usize::from(token.is_symbol('('));
    }
    if depth > 0 {
        return Err(Error::Syntax("a ( is never closed".to_owned()));
    }
    Ok(depths)
}

/// The word that makes it a statement that writes: the first, or the first behind a WITH clause, outside of brackets.
fn verb(tokens: &[Token], depths: &[usize]) -> Option<(usize, Verb)> {
    let of = |token: &Token| {
        [("INSERT", Verb::Insert), ("REPLACE", Verb::Insert), ("UPDATE", Verb::Update), ("DELETE", Verb::Delete)]
            .into_iter()
            .find_map(|(word, verb)| token.is(word).then_some(verb))
    };
    let first = tokens.first()?;
    if !first.is("WITH") {
        return of(first).map(|verb| (0, verb));
    }
    // The statement of a WITH clause stands behind the bracket of its last table.
    tokens.iter().zip(depths).enumerate().skip(1).find_map(|(position, (token, depth))| {
        let behind_bracket = position.checked_sub(1).and_then(|before| tokens.get(before))?.is_symbol(')');
        (*depth == 0 && behind_bracket).then(|| of(token).map(|verb| (position, verb))).flatten()
    })
}

/// Where the table's name stands.
fn target(tokens: &[Token], verb_at: usize, verb: Verb) -> Option<usize> {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let mut at = verb_at + 1;
    if is(at, "OR") {
        at += 2;
    }
    match verb {
        Verb::Insert => is(at, "INTO").then_some(at + 1),
        Verb::Delete => is(at, "FROM").then_some(at + 1),
        Verb::Update => Some(at),
    }
}

/// The name a row of the target goes by, when it is not the table's.
fn alias(tokens: &[Token], target: usize) -> Option<String> {
    const NO_ALIAS: [&str; 5] = ["SET", "WHERE", "RETURNING", "INDEXED", "NOT"];
    let next = tokens.get(target + 1)?;
    let token = if next.is("AS") { tokens.get(target + 2)? } else { next };
    let is_name = !NO_ALIAS.iter().any(|word| token.is(word));
    token.name().filter(|_| is_name)
}

fn position_of(tokens: &[Token], depths: &[usize], from: usize, word: &str) -> Option<usize> {
    let mut all = tokens.iter().zip(depths).enumerate().skip(from);
    all.find(|(_, (token, depth))| **depth == 0 && token.is(word)).map(|(position, _)| position)
}

/// Evaluates the statement's own condition only for rows that pass this one.
fn add_condition(tokens: &mut Vec<Token>, depths: &[usize], target: usize, visible: &str) {
    let end = position_of(tokens, depths, target, "RETURNING").unwrap_or(tokens.len());
    match position_of(tokens, depths, target, "WHERE").filter(|start| *start < end) {
        None => tokens.insert(end, inserted(format!("WHERE {visible}"))),
        Some(start) => {
            tokens.insert(end, inserted(") END"));
            tokens.insert(start + 1, inserted(format!("CASE WHEN {visible} THEN (")));
        }
    }
}

/// `ON CONFLICT` clauses of one statement.
const MOST_CONFLICTS: usize = 32;

/// Refuses a conflict with a row that may not be updated before any expression of the statement has seen it.
fn add_to_upserts(
    tokens: &mut Vec<Token>,
    depths: &[usize],
    target: usize,
    visible: &str,
    refuse: &str,
) -> Result<(), Error> {
    let outside: Vec<usize> = (target..tokens.len()).filter(|at| depths.get(*at) == Some(&0)).collect();
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let mut updates = Vec::new();
    let (mut end, mut condition) = (tokens.len(), None);
    for at in outside.into_iter().rev() {
        if is(at, "DO") && is(at + 1, "UPDATE") {
            updates.push((condition.take(), end));
        } else if is(at, "WHERE") {
            condition = Some(at);
        } else if is(at, "ON") || is(at, "RETURNING") {
            (end, condition) = (at, None);
        }
    }
    if updates.len() > MOST_CONFLICTS {
        return Err(Error::Limit(format!("a statement has at most {MOST_CONFLICTS} ON CONFLICT clauses")));
    }
    // The last ones first, so that the others are where they were found.
    for (condition, end) in updates {
        tokens.insert(end, inserted(format!(") ELSE {refuse} END")));
        let before = format!("CASE WHEN {visible} THEN (");
        match condition {
            Some(start) => tokens.insert(start + 1, inserted(before)),
            None => tokens.insert(end, inserted(format!("WHERE {before} true"))),
        }
    }
    Ok(())
}

/// SQLite tells the authorizer the name of a common table expression as it tells that of a trigger, and triggers have the rights
/// of the app: no such expression may be called as one is.
fn refuse_lent_names(tokens: &[Token], shadows: &Shadows) -> Result<(), Error> {
    let defines = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let behind = tokens.get(at + 1);
        before.is_some_and(|token| token.is("WITH") || token.is("RECURSIVE") || token.is_symbol(','))
            && behind.is_some_and(|token| token.is("AS") || token.is_symbol('('))
    };
    let is_lent = |(at, token): (usize, &Token)| token.name().filter(|name| shadows.is_trigger(name) && defines(at));
    match tokens.iter().enumerate().find_map(is_lent) {
        None => Ok(()),
        Some(name) => Err(Error::Denied(format!("{name} is a trigger: nothing else may be called so here (42501)"))),
    }
}

/// What the condition on a row calls by the alias of the target must be the target: nothing in a FROM clause may have the same name.
fn refuse_second(tokens: &[Token], depths: &[usize], target: usize, alias: &str) -> Result<(), Error> {
    let from = position_of(tokens, depths, target, "FROM").unwrap_or(tokens.len());
    let ends = [position_of(tokens, depths, from, "WHERE"), position_of(tokens, depths, from, "RETURNING")];
    let end = ends.into_iter().flatten().min().unwrap_or(tokens.len());
    let is_qualifier = |at: usize| tokens.get(at + 1).is_some_and(|next| next.is_symbol('.'));
    let is_name = |at: usize| tokens.get(at).is_some_and(|token| token.names(alias)) && !is_qualifier(at);
    if alias.eq_ignore_ascii_case("excluded") || (from..end).any(is_name) {
        return Err(Error::Denied(format!(
            "{alias} is the alias of the table that is written to: nothing else may be called so here (42501)"
        )));
    }
    Ok(())
}

/// Only the shadows may be read, and they have no schema in front.
fn refuse_schemas(tokens: &[Token]) -> Result<(), Error> {
    let names_schema = |pair: &[Token]| matches!(pair, [schema, dot] if dot.is_symbol('.') && (schema.names("main") || schema.names("temp")));
    if tokens.windows(2).any(names_schema) { Err(qualified()) } else { Ok(()) }
}

fn qualified() -> Error {
    Error::Denied("tables are named without a schema here, and nothing may be called main or temp (42501)".to_owned())
}
