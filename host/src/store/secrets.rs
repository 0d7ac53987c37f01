//! Variables of functions and secrets of apps: sealed values under names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Row, ToSql};

use super::columns::Micros;
use super::{Reader, StoreError, Writer};
use crate::error::Error;
use crate::ids::{AppName, FunctionId, VariableName};
use crate::secrets::Secret;
use crate::tunables::VARIABLES;

/// The same five statements for a table and the column that says whose its rows are.
struct Statements {
    put: &'static str,
    delete: &'static str,
    list: &'static str,
    count: &'static str,
    values: &'static str,
}

macro_rules! statements {
    ($table:literal, $owner:literal) => {
        Statements {
            put: concat!(
                "INSERT INTO ",
                $table,
                " (",
                $owner,
                ", name, value, updated_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (",
                $owner,
                ", name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
            ),
            delete: concat!("DELETE FROM ", $table, " WHERE ", $owner, " = ?1 AND name = ?2"),
            list: concat!("SELECT name, updated_at FROM ", $table, " WHERE ", $owner, " = ?1 ORDER BY name"),
            count: concat!("SELECT count(*) FROM ", $table, " WHERE ", $owner, " = ?1"),
            values: concat!("SELECT name, value FROM ", $table, " WHERE ", $owner, " = ?1"),
        }
    };
}

const APP_SECRETS: Statements = statements!("app_secrets", "app");
const FUNCTION_VARIABLES: Statements = statements!("function_variables", "function_id");

/// Whose variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The secrets of an app, which all its functions see.
    App(AppName),
    /// The variables of one function, which hide the app's secrets of the same name.
    Function(FunctionId),
}

impl Scope {
    fn statements(&self) -> &'static Statements {
        match self {
            Self::App(_) => &APP_SECRETS,
            Self::Function(_) => &FUNCTION_VARIABLES,
        }
    }

    fn owner(&self) -> &dyn ToSql {
        match self {
            Self::App(app) => app,
            Self::Function(function) => function,
        }
    }

    pub(super) fn context(&self, name: &VariableName) -> String {
        match self {
            Self::App(app) => format!("app/{app}/secret/{name}"),
            Self::Function(function) => format!("function/{function}/variable/{name}"),
        }
    }
}

/// A variable, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: VariableName,
    /// When its value was last set.
    pub updated_at: Timestamp,
}

/// Sets these variables; others of the scope stay as they are. The limits on number and size are the caller's: see
/// [`count`], in the same transaction.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app or function.
pub fn put(tx: &Writer<'_>, scope: &Scope, values: &BTreeMap<VariableName, Secret>) -> Result<(), StoreError> {
    let now = Micros::now();
    let mut statement = tx.connection.prepare_cached(scope.statements().put)?;
    for (name, value) in values {
        statement.execute((scope.owner(), name, tx.seal(&scope.context(name), value), now))?;
    }
    Ok(())
}

/// Values to set, and names to remove.
pub type Changes = BTreeMap<VariableName, Option<Secret>>;

/// Sets and removes.
///
/// # Errors
/// [`StoreError::Refused`] when the scope would have more than [`VARIABLES`], and as [`put`].
pub fn apply(tx: &Writer<'_>, scope: &Scope, changes: Changes) -> Result<(), StoreError> {
    let mut values = BTreeMap::new();
    for (name, value) in changes {
        match value {
            Some(value) => {
                values.insert(name, value);
            }
            None => {
                delete(tx, scope, &name)?;
            }
        }
    }
    put(tx, scope, &values)?;
    if !values.is_empty() && count(tx, scope)? > VARIABLES {
        return Err(Error::invalid(format!("there can be at most {VARIABLES} variables here")).into());
    }
    Ok(())
}

/// Removes a variable, and says whether it was there.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn delete(tx: &Writer<'_>, scope: &Scope, name: &VariableName) -> Result<bool, StoreError> {
    let mut statement = tx.connection.prepare_cached(scope.statements().delete)?;
    Ok(statement.execute((scope.owner(), name))? > 0)
}

/// The names of a scope, sorted.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn list(tx: &Reader<'_>, scope: &Scope) -> Result<Vec<Variable>, StoreError> {
    let mut statement = tx.connection.prepare_cached(scope.statements().list)?;
    let variables = statement.query_map([scope.owner()], variable)?.collect::<rusqlite::Result<_>>()?;
    Ok(variables)
}

/// How many variables a scope has. After [`put`] in the same transaction it counts the new ones too, so that a caller
/// can refuse, which rolls them back.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn count(tx: &Reader<'_>, scope: &Scope) -> Result<usize, StoreError> {
    let mut statement = tx.connection.prepare_cached(scope.statements().count)?;
    let count: i64 = statement.query_row([scope.owner()], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// What a function finds in its environment: the secrets of its app, and over them its own variables, with these changes. A function
/// that does not exist yet has none of its own.
///
/// # Errors
/// [`StoreError::Internal`] when a value was sealed with another key or for another place.
pub fn environment(
    tx: &Reader<'_>,
    app: &AppName,
    function: Option<FunctionId>,
    changes: &Changes,
) -> Result<BTreeMap<String, Secret>, StoreError> {
    let mut environment = values(tx, &Scope::App(app.clone()))?;
    let mut own = match function {
        Some(function) => values(tx, &Scope::Function(function))?,
        None => BTreeMap::new(),
    };
    for (name, value) in changes {
        match value {
            Some(value) => drop(own.insert(name.as_str().to_owned(), value.clone())),
            None => drop(own.remove(name.as_str())),
        }
    }
    environment.append(&mut own);
    Ok(environment)
}

/// All variables of a scope, with their values.
///
/// # Errors
/// As [`environment`].
pub fn values(tx: &Reader<'_>, scope: &Scope) -> Result<BTreeMap<String, Secret>, StoreError> {
    let mut values = BTreeMap::new();
    let mut statement = tx.connection.prepare_cached(scope.statements().values)?;
    let mut rows = statement.query([scope.owner()])?;
    while let Some(row) = rows.next()? {
        let name: VariableName = row.get("name")?;
        let value = tx.unseal(&scope.context(&name), row.get_ref("value")?.as_blob().map_err(damaged)?)?;
        values.insert(name.into(), value);
    }
    Ok(values)
}

fn damaged(error: rusqlite::types::FromSqlError) -> StoreError {
    StoreError::Internal(error.into())
}

fn variable(row: &Row<'_>) -> rusqlite::Result<Variable> {
    Ok(Variable { name: row.get("name")?, updated_at: row.get::<_, Micros>("updated_at")?.0 })
}

#[cfg(test)]
mod tests;
