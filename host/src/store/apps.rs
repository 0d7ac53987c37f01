//! Apps and the secrets that sign their users' tokens.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::columns::Micros;
use super::{Reader, StoreError, Writer, functions};
use crate::error::{Code, Error};
use crate::ids::{AppName, FunctionId};
use crate::secrets::Secret;
use crate::settings::app::AppSettings;

const INSERT: &str =
    "INSERT INTO apps (name, jwt_secret, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING";
const SET_JWT_SECRET: &str = "UPDATE apps SET jwt_secret = ?2 WHERE name = ?1";
const SET_SETTINGS: &str = "UPDATE apps SET settings = ?2 WHERE name = ?1";
const GET: &str = "SELECT name, created_at, settings FROM apps WHERE name = ?1";
const LIST: &str = "SELECT name, created_at, settings FROM apps ORDER BY name";
const IS_DELETED: &str = "SELECT 1 FROM deleted_apps WHERE name = ?1";
const DELETE_ROWS: [&str; 5] = [
    "INSERT INTO deleted_functions (id, app) SELECT id, app FROM functions WHERE app = ?1",
    "DELETE FROM functions WHERE app = ?1",
    "DELETE FROM app_secrets WHERE app = ?1",
    "DELETE FROM api_keys WHERE app = ?1",
    "DELETE FROM management_tokens WHERE app = ?1",
];
const JWT_SECRET: &str = "SELECT jwt_secret FROM apps WHERE name = ?1";

/// An app, without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// Its name, for good.
    pub name: AppName,
    /// When it was made.
    pub created_at: Timestamp,
    /// What its owner chose.
    pub settings: AppSettings,
}

/// Makes an app.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one of this name.
pub fn create(tx: &Writer<'_>, name: &AppName, jwt_secret: &Secret) -> Result<App, StoreError> {
    if tx.connection.prepare_cached(IS_DELETED)?.exists([name])? {
        let message = format!("the app {name} that was there before is still being deleted; try again");
        return Err(Error::new(Code::Conflict, message).into());
    }
    let created_at = Micros::now();
    let sealed = tx.seal(&jwt_context(name), jwt_secret);
    match tx.connection.execute(INSERT, (name, sealed, created_at))? {
        0 => Err(StoreError::Conflict("an app of this name")),
        _ => Ok(App { name: name.clone(), created_at: created_at.0, settings: AppSettings::default() }),
    }
}

/// An app.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none of this name.
pub fn get(tx: &Reader<'_>, name: &AppName) -> Result<App, StoreError> {
    Ok(tx.connection.prepare_cached(GET)?.query_row([name], app)?)
}

/// Replaces the settings of an app.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app.
pub fn set_settings(tx: &Writer<'_>, name: &AppName, settings: &AppSettings) -> Result<(), StoreError> {
    match tx.connection.execute(SET_SETTINGS, (name, settings))? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

/// Replaces the secret that signs the tokens of an app's users.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app.
pub fn set_jwt_secret(tx: &Writer<'_>, name: &AppName, secret: &Secret) -> Result<(), StoreError> {
    match tx.connection.execute(SET_JWT_SECRET, (name, tx.seal(&jwt_context(name), secret)))? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

/// Removes an app with all its rows, and notes that its files and executions are still to go.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app.
pub fn delete(tx: &Writer<'_>, name: &AppName) -> Result<(), StoreError> {
    tx.connection.execute("INSERT INTO deleted_apps (name) VALUES (?1)", [name])?;
    for statement in DELETE_ROWS {
        tx.connection.execute(statement, [name])?;
    }
    functions::delete_unused_components(tx)?;
    match tx.connection.execute("DELETE FROM apps WHERE name = ?1", [name])? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

/// Apps that were deleted, with the functions they had, whose files and executions may still be there.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn deleted(tx: &Reader<'_>) -> Result<Vec<(AppName, Vec<FunctionId>)>, StoreError> {
    let names = tx
        .connection
        .prepare("SELECT name FROM deleted_apps")?
        .query_map((), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<AppName>>>()?;
    let functions = |name: AppName| {
        let mut statement = tx.connection.prepare("SELECT id FROM deleted_functions WHERE app = ?1")?;
        let functions = statement.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok((name, functions))
    };
    names.into_iter().map(functions).collect()
}

/// Forgets a deleted app, of which nothing is left.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn forget_deleted(tx: &Writer<'_>, name: &AppName) -> Result<(), StoreError> {
    tx.connection.execute("DELETE FROM deleted_apps WHERE name = ?1", [name])?;
    Ok(())
}

/// All apps, by name.
///
/// # Errors
/// [`StoreError::Internal`] when the database fails.
pub fn list(tx: &Reader<'_>) -> Result<Vec<App>, StoreError> {
    let mut statement = tx.connection.prepare_cached(LIST)?;
    let apps = statement.query_map((), app)?.collect::<rusqlite::Result<_>>()?;
    Ok(apps)
}

/// The secret that signs the tokens of an app's users.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such app.
pub fn jwt_secret(tx: &Reader<'_>, name: &AppName) -> Result<Secret, StoreError> {
    let mut statement = tx.connection.prepare_cached(JWT_SECRET)?;
    let sealed: Option<Vec<u8>> = statement.query_row([name], |row| row.get(0)).optional()?;
    tx.unseal(&jwt_context(name), &sealed.ok_or(StoreError::NotFound)?)
}

/// See [`super::Store::ensure_default_app`].
pub(super) fn ensure_default(tx: &Writer<'_>, given: Option<&Secret>) -> Result<(), StoreError> {
    let name = AppName::default_app();
    let exists = list(tx)?.iter().any(|app| app.name == name);
    match given {
        None if exists => {}
        Some(secret) if exists => set_jwt_secret(tx, &name, secret)?,
        Some(secret) => drop(create(tx, &name, secret)?),
        None => drop(create(tx, &name, &Secret::generate(""))?),
    }
    Ok(())
}

pub(super) fn jwt_context(name: &AppName) -> String {
    format!("app/{name}/jwt_secret")
}

fn app(row: &Row<'_>) -> rusqlite::Result<App> {
    let created_at = row.get::<_, Micros>("created_at")?.0;
    Ok(App { name: row.get("name")?, created_at, settings: row.get("settings")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{app_name, open, secret};

    #[tokio::test]
    async fn an_app_keeps_its_secret_and_its_name() {
        let (_directory, store) = open();
        let made = store.write(|tx| create(tx, &app_name("shop"), &secret("s1"))).await.unwrap();
        assert_eq!(store.read(list).await.unwrap(), [made]);
        let found = store.read(|tx| jwt_secret(tx, &app_name("shop"))).await.unwrap();
        assert_eq!(found.expose(), "s1");
        let again = store.write(|tx| create(tx, &app_name("shop"), &secret("s2"))).await.unwrap_err();
        assert!(matches!(again, StoreError::Conflict(_)));
        let found = store.read(|tx| jwt_secret(tx, &app_name("shop"))).await.unwrap();
        assert_eq!(found.expose(), "s1", "the first one stays");
        let missing = store.read(|tx| jwt_secret(tx, &app_name("none"))).await.unwrap_err();
        assert!(matches!(missing, StoreError::NotFound));
    }

    #[tokio::test]
    async fn the_default_app_gets_a_secret_once_or_the_one_given() {
        let (_directory, store) = open();
        let default_secret = || store.read(|tx| jwt_secret(tx, &AppName::default_app()));
        store.ensure_default_app(None).await.unwrap();
        let generated = default_secret().await.unwrap();
        assert!(generated.expose().len() >= 43);
        store.ensure_default_app(None).await.unwrap();
        assert_eq!(default_secret().await.unwrap().expose(), generated.expose());
        store.ensure_default_app(Some(secret("given"))).await.unwrap();
        assert_eq!(default_secret().await.unwrap().expose(), "given");
        store.ensure_default_app(None).await.unwrap();
        assert_eq!(default_secret().await.unwrap().expose(), "given");
    }

    #[tokio::test]
    async fn the_default_app_can_start_with_the_given_secret() {
        let (_directory, store) = open();
        store.ensure_default_app(Some(secret("given"))).await.unwrap();
        let found = store.read(|tx| jwt_secret(tx, &AppName::default_app())).await.unwrap();
        assert_eq!(found.expose(), "given");
    }
}
