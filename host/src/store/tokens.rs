//! Tokens that may manage. Only hashes are here: nothing in the file lets anybody in.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Row;

use super::api_keys::TokenHash;
use super::columns::Micros;
use super::{Reader, StoreError, Writer};
use crate::auth::KeyHash;
use crate::auth::management::{Principal, Scope};
use crate::ids::{AppName, TokenId};
use crate::settings::rate::RateLimit;

const INSERT: &str = "INSERT INTO management_tokens (id, name, scope, app, rate_limit, hash, created_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const LIST: &str = "SELECT * FROM management_tokens WHERE ?1 IS NULL OR app = ?1 ORDER BY created_at, id";
const COUNT: &str = "SELECT count(*) FROM management_tokens";
const DELETE: &str = "DELETE FROM management_tokens WHERE id = ?1 AND (?2 IS NULL OR app = ?2)";

/// A token, without what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementToken {
    /// Identifies it.
    pub id: TokenId,
    /// What its maker called it; several tokens may have the same name.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
    /// The only app it is good for, if it is bound to one.
    pub app: Option<AppName>,
    /// The rate of its requests, if it has one of its own.
    pub rate_limit: Option<RateLimit>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl ManagementToken {
    /// Who presents it.
    pub fn principal(&self) -> Principal {
        Principal { token: Some(self.id), scope: self.scope, app: self.app.clone(), rate_limit: self.rate_limit }
    }
}

/// A token to make.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of ManagementToken")]
pub struct NewToken {
    pub name: String,
    pub scope: Scope,
    pub app: Option<AppName>,
    pub rate_limit: Option<RateLimit>,
}

/// Makes a token.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app.
pub fn create(tx: &Writer<'_>, new: NewToken, hash: &TokenHash) -> Result<ManagementToken, StoreError> {
    let NewToken { name, scope, app, rate_limit } = new;
    let created_at = Micros::now();
    let token = ManagementToken { id: TokenId::generate(), name, scope, app, rate_limit, created_at: created_at.0 };
    let row = (token.id, &token.name, token.scope, &token.app, token.rate_limit, hash, created_at);
    tx.connection.execute(INSERT, row)?;
    Ok(token)
}

/// The tokens, oldest first: all, or those that are bound to an app.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn list(tx: &Reader<'_>, app: Option<&AppName>) -> Result<Vec<ManagementToken>, StoreError> {
    let mut statement = tx.connection.prepare_cached(LIST)?;
    let tokens = statement.query_map([app], token)?.collect::<rusqlite::Result<_>>()?;
    Ok(tokens)
}

/// How many there are.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn count(tx: &Reader<'_>) -> Result<usize, StoreError> {
    let count: i64 = tx.connection.query_row(COUNT, (), |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// All tokens by their hashes; for start-up.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn principals(tx: &Reader<'_>) -> Result<HashMap<KeyHash, Arc<Principal>>, StoreError> {
    let mut statement = tx.connection.prepare_cached(LIST)?;
    let pair = |row: &Row<'_>| Ok((KeyHash(row.get("hash")?), Arc::new(token(row)?.principal())));
    let principals = statement.query_map([None::<AppName>], pair)?.collect::<rusqlite::Result<_>>()?;
    Ok(principals)
}

/// Removes a token: any, or one that is bound to this app.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such token.
pub fn delete(tx: &Writer<'_>, id: TokenId, app: Option<&AppName>) -> Result<(), StoreError> {
    match tx.connection.execute(DELETE, (id, app))? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

fn token(row: &Row<'_>) -> rusqlite::Result<ManagementToken> {
    Ok(ManagementToken {
        id: row.get("id")?,
        name: row.get("name")?,
        scope: row.get("scope")?,
        app: row.get("app")?,
        rate_limit: row.get("rate_limit")?,
        created_at: row.get::<_, Micros>("created_at")?.0,
    })
}
