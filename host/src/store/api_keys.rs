//! API keys of apps, and the admin token of the host. Only hashes are here: nothing in the file lets anybody in.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::columns::Micros;
use super::{Reader, StoreError, Writer};
use crate::auth::KeyHash;
use crate::ids::{ApiKeyId, AppName};

/// The SHA-256 of a token or key.
pub type TokenHash = [u8; 32];

const ADMIN_TOKEN_HASH: &str = "admin_token_hash";

const INSERT: &str = "INSERT INTO api_keys (id, app, name, hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const LIST: &str = "SELECT id, app, name, created_at FROM api_keys WHERE app = ?1 ORDER BY created_at, id";
const HASHES: &str = "SELECT id, hash FROM api_keys WHERE app = ?1";
const FIND: &str = "SELECT id, app, name, created_at FROM api_keys WHERE hash = ?1";
const DELETE: &str = "DELETE FROM api_keys WHERE app = ?1 AND id = ?2";

/// A key, without what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Identifies it.
    pub id: ApiKeyId,
    /// The only app it opens.
    pub app: AppName,
    /// What its maker called it; several keys may have the same name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Makes a key of an app.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app.
pub fn create(tx: &Writer<'_>, app: &AppName, name: &str, hash: &TokenHash) -> Result<ApiKey, StoreError> {
    let created_at = Micros::now();
    let key = ApiKey { id: ApiKeyId::generate(), app: app.clone(), name: name.to_owned(), created_at: created_at.0 };
    tx.connection.execute(INSERT, (key.id, &key.app, &key.name, hash, created_at))?;
    Ok(key)
}

/// The keys of an app, oldest first.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn list(tx: &Reader<'_>, app: &AppName) -> Result<Vec<ApiKey>, StoreError> {
    let mut statement = tx.connection.prepare_cached(LIST)?;
    let keys = statement.query_map([app], api_key)?.collect::<rusqlite::Result<_>>()?;
    Ok(keys)
}

/// The key with this hash, of whatever app.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn find(tx: &Reader<'_>, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
    Ok(tx.connection.prepare_cached(FIND)?.query_row([hash], api_key).optional()?)
}

/// The hashes of an app's keys, with whose they are: what the request path compares with.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn hashes<C: FromIterator<(KeyHash, ApiKeyId)>>(tx: &Reader<'_>, app: &AppName) -> Result<C, StoreError> {
    let mut statement = tx.connection.prepare_cached(HASHES)?;
    let pair = |row: &Row<'_>| Ok((KeyHash(row.get("hash")?), row.get("id")?));
    let hashes = statement.query_map([app], pair)?.collect::<rusqlite::Result<_>>()?;
    Ok(hashes)
}

/// Removes a key of an app.
///
/// # Errors
/// [`StoreError::NotFound`] when the app has no such key.
pub fn delete(tx: &Writer<'_>, app: &AppName, id: ApiKeyId) -> Result<(), StoreError> {
    match tx.connection.execute(DELETE, (app, id))? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

/// The hash of the admin token, once there is one.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn admin_token_hash(tx: &Reader<'_>) -> Result<Option<TokenHash>, StoreError> {
    Ok(tx.host_value(ADMIN_TOKEN_HASH)?)
}

/// Sets or replaces the hash of the admin token.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn set_admin_token_hash(tx: &Writer<'_>, hash: &TokenHash) -> Result<(), StoreError> {
    Ok(tx.set_host_value(ADMIN_TOKEN_HASH, hash)?)
}

fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get("id")?,
        app: row.get("app")?,
        name: row.get("name")?,
        created_at: row.get::<_, Micros>("created_at")?.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{app_name, open_with_app};

    #[tokio::test]
    async fn a_key_is_found_by_its_hash_until_it_is_deleted() {
        let (_directory, store, app) = open_with_app().await;
        let key = {
            let app = app.clone();
            store.write(move |tx| create(tx, &app, "ci", &[1; 32])).await.unwrap()
        };
        let id = key.id;
        assert_eq!(store.read(|tx| find(tx, &[1; 32])).await.unwrap(), Some(key.clone()));
        assert_eq!(store.read(|tx| find(tx, &[2; 32])).await.unwrap(), None);
        assert_eq!(store.read(|tx| list(tx, &AppName::default_app())).await.unwrap(), [key]);
        assert_eq!(store.read(|tx| list(tx, &app_name("other"))).await.unwrap(), []);
        let other = store.write(move |tx| delete(tx, &app_name("other"), id)).await.unwrap_err();
        assert!(matches!(other, StoreError::NotFound), "another app cannot delete it");
        store.write(move |tx| delete(tx, &app, id)).await.unwrap();
        assert_eq!(store.read(|tx| find(tx, &[1; 32])).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_key_needs_an_app() {
        let (_directory, store, _) = open_with_app().await;
        let error = store.write(|tx| create(tx, &app_name("none"), "ci", &[1; 32])).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound), "{error}");
    }

    #[tokio::test]
    async fn the_admin_token_hash_is_kept_and_replaced() {
        let (_directory, store, _) = open_with_app().await;
        assert_eq!(store.read(admin_token_hash).await.unwrap(), None);
        for hash in [[1; 32], [2; 32]] {
            store.write(move |tx| set_admin_token_hash(tx, &hash)).await.unwrap();
            assert_eq!(store.read(admin_token_hash).await.unwrap(), Some(hash));
        }
    }
}
