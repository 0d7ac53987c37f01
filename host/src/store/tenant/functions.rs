//! Replacements for SQL functions of SQLite whose time is the product of the lengths of their arguments. On two values of
//! megabytes they would run for many minutes inside one instruction, where no deadline reaches them; these are linear.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};

use crate::tunables::VALUE_BYTES;

use super::guard::Watch;
use super::rls::{Caller, VIOLATION};

pub(super) const FLAGS: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_INNOCUOUS);

/// Registers the replacements.
pub(super) fn install(sqlite: &Connection) -> Result<()> {
    let numbers = Numbers::default();
    sqlite.create_scalar_function("instr", 2, FLAGS, move |context| instr(context, &numbers))?;
    let numbers = Numbers::default();
    sqlite.create_scalar_function("replace", 3, FLAGS, move |context| replace(context, &numbers))?;
    for (name, left, right) in [("trim", true, true), ("ltrim", true, false), ("rtrim", false, true)] {
        let numbers = Numbers::default();
        sqlite.create_scalar_function(name, 2, FLAGS, move |context| trim(context, &numbers, left, right))?;
    }
    sqlite.create_scalar_function("unhex", 2, FLAGS, |_| -> Result<i64> {
        Err(Error::UserFunctionError("unhex takes one argument here".into()))
    })
}

/// Answers about the caller of a statement do not change while it runs, but from one to the next.
const CALLER_FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_INNOCUOUS);

/// Registers `auth_uid()` and its siblings, which stand for `auth.uid()`, and what the triggers of policies ask.
pub(super) fn install_callers(sqlite: &Connection, watch: &Arc<Watch>) -> Result<()> {
    let answer = |name: &str, answer: fn(&Caller) -> Option<String>| {
        let watch = Arc::clone(watch);
        let of_caller = move |_: &Context<'_>| Ok(watch.caller().and_then(|caller| answer(&caller)));
        sqlite.create_scalar_function(name, 0, CALLER_FLAGS, of_caller)
    };
    answer("auth_uid", |caller| caller.uid.clone())?;
    answer("auth_role", |caller| Some(caller.role.name().to_owned()))?;
    answer("auth_email", |caller| caller.email.clone())?;
    answer("auth_jwt", |caller| caller.claims.clone())?;
    let observer = Arc::clone(watch);
    // A row that a trigger inserts into another table is not what the statement shows.
    sqlite.create_scalar_function("caddis_reads_back", 1, CALLER_FLAGS, move |context| {
        let table = context.get_raw(0).as_str()?;
        Ok(observer.statement(|statement| statement.reads_back && statement.writes_to(table)).unwrap_or(true))
    })?;
    sqlite.create_scalar_function("caddis_refuse", 1, CALLER_FLAGS, |context| -> Result<i64> {
        let table = context.get_raw(0).as_str()?;
        Err(Error::UserFunctionError(format!("{VIOLATION}\"{table}\"").into()))
    })?;
    let observer = Arc::clone(watch);
    sqlite.create_scalar_function("caddis_writes", 1, CALLER_FLAGS, move |context| {
        let table = context.get_raw(0).as_str()?;
        Ok(observer.statement(|statement| statement.writes_to(table)).unwrap_or(true))
    })
}

/// Turns numbers into text exactly as SQLite does, by asking it: a connection must not be used from its own functions, so
/// this has one of its own, opened when the first REAL comes along.
#[derive(Default)]
struct Numbers(Mutex<Option<Connection>>);

impl Numbers {
    fn real(&self, value: f64) -> Result<String> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sqlite = match slot.take() {
            Some(sqlite) => sqlite,
            None => Connection::open_in_memory()?,
        };
        let text = sqlite.prepare_cached("SELECT CAST(?1 AS TEXT)")?.query_row([value], |row| row.get(0));
        *slot = Some(sqlite);
        text
    }

    /// The argument as text; none when it is NULL.
    fn text<'a>(&self, context: &'a Context<'_>, index: usize) -> Result<Option<Cow<'a, [u8]>>> {
        Ok(match context.get_raw(index) {
            ValueRef::Null => None,
            ValueRef::Integer(integer) => Some(Cow::Owned(integer.to_string().into_bytes())),
            ValueRef::Real(real) => Some(Cow::Owned(self.real(real)?.into_bytes())),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
        })
    }
}

/// Text that need not be UTF-8, as SQLite allows.
struct Text(Vec<u8>);

impl ToSql for Text {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

fn instr(context: &Context<'_>, numbers: &Numbers) -> Result<Option<i64>> {
    let (Some(haystack), Some(needle)) = (numbers.text(context, 0)?, numbers.text(context, 1)?) else {
        return Ok(None);
    };
    let counts_bytes = [0, 1].iter().all(|index| context.get_raw(*index).data_type() == Type::Blob);
    let Some(position) = memmem::find(&haystack, &needle) else {
        return Ok(Some(0));
    };
    let before = haystack.iter().take(position);
    let steps = if counts_bytes { before.count() } else { before.filter(|byte| !is_continuation(**byte)).count() };
    Ok(Some(i64::try_from(steps).unwrap_or(i64::MAX - 1) + 1))
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn replace(context: &Context<'_>, numbers: &Numbers) -> Result<Option<Text>> {
    let (Some(text), Some(pattern)) = (numbers.text(context, 0)?, numbers.text(context, 1)?) else {
        return Ok(None);
    };
    if pattern.is_empty() {
        return Ok(Some(Text(text.into_owned())));
    }
    let Some(replacement) = numbers.text(context, 2)? else {
        return Ok(None);
    };
    let finder = memmem::Finder::new(&*pattern);
    let found = finder.find_iter(&text).count();
    let size = text.len() - found * pattern.len() + found * replacement.len();
    if size > VALUE_BYTES {
        return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None));
    }
    let mut result = Vec::with_capacity(size);
    let mut rest = &*text;
    while let Some((before, behind)) = finder.find(rest).and_then(|position| rest.split_at_checked(position)) {
        result.extend_from_slice(before);
        result.extend_from_slice(&replacement);
        rest = behind.get(pattern.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    Ok(Some(Text(result)))
}

fn trim(context: &Context<'_>, numbers: &Numbers, left: bool, right: bool) -> Result<Option<Text>> {
    let (Some(text), Some(unwanted)) = (numbers.text(context, 0)?, numbers.text(context, 1)?) else {
        return Ok(None);
    };
    let unwanted: HashSet<&[u8]> = characters(&unwanted).collect();
    let mut rest = &*text;
    while left && let Some(shorter) = without_first(rest, &unwanted) {
        rest = shorter;
    }
    while right && let Some(shorter) = without_last(rest, &unwanted) {
        rest = shorter;
    }
    Ok(Some(Text(rest.to_owned())))
}

/// Most bytes of one character.
const CHARACTER_BYTES: usize = 4;

/// The text as characters; bytes that are no UTF-8 stand for themselves.
fn characters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let continued =
            rest.iter().skip(1).take(CHARACTER_BYTES - 1).take_while(|byte| is_continuation(**byte)).count();
        let has_lead = rest.first().is_some_and(|byte| *byte >= 0b1100_0000);
        let (character, behind) = rest.split_at_checked(if has_lead { 1 + continued } else { 1 })?;
        rest = behind;
        Some(character)
    })
}

fn without_first<'a>(text: &'a [u8], unwanted: &HashSet<&[u8]>) -> Option<&'a [u8]> {
    (1..=CHARACTER_BYTES)
        .filter_map(|length| text.split_at_checked(length))
        .find_map(|(start, rest)| unwanted.contains(start).then_some(rest))
}

fn without_last<'a>(text: &'a [u8], unwanted: &HashSet<&[u8]>) -> Option<&'a [u8]> {
    (1..=CHARACTER_BYTES)
        .filter_map(|length| text.split_at_checked(text.len().checked_sub(length)?))
        .find_map(|(rest, end)| unwanted.contains(end).then_some(rest))
}
