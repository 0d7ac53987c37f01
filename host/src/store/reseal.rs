//! Everything that is sealed in the system database, opened with one key and sealed with another.

use rusqlite::types::FromSql;
use rusqlite::{Connection, ToSql};

use super::secrets::Scope;
use super::{KEY_CHECK, KEY_CHECK_CONTEXT, KEY_CHECK_TEXT, StoreError, Writer, apps};
use crate::ids::{AppName, FunctionId, VariableName};
use crate::secrets::seal::Sealer;

/// Seals all values anew, in the transaction of the writer: after it, only `new` opens them. Says how many there were.
///
/// # Errors
/// [`StoreError::Internal`] when a value does not open with the key of the store; then nothing is changed.
pub fn reseal(tx: &Writer<'_>, new: &Sealer) -> Result<usize, StoreError> {
    // What is overwritten goes from the file: whoever has the old key must not find it there.
    tx.connection.pragma_update(None, "secure_delete", true)?;
    let resealed = token_secrets(tx, new)? + variables(tx, new)?;
    tx.set_host_value(KEY_CHECK, &new.seal(KEY_CHECK_CONTEXT, KEY_CHECK_TEXT))?;
    Ok(resealed)
}

fn token_secrets(tx: &Writer<'_>, new: &Sealer) -> Result<usize, StoreError> {
    let rows: Vec<(AppName, Vec<u8>)> = rows(tx.connection, "SELECT name, jwt_secret FROM apps")?;
    for (app, sealed) in &rows {
        let secret = tx.unseal(&apps::jwt_context(app), sealed)?;
        let sealed = new.seal(&apps::jwt_context(app), secret.expose().as_bytes());
        tx.connection.execute("UPDATE apps SET jwt_secret = ?2 WHERE name = ?1", (app, sealed))?;
    }
    Ok(rows.len())
}

fn variables(tx: &Writer<'_>, new: &Sealer) -> Result<usize, StoreError> {
    let apps = of_owners::<AppName>(
        tx,
        new,
        "SELECT app, name, value FROM app_secrets",
        "UPDATE app_secrets SET value = ?3 WHERE app = ?1 AND name = ?2",
        Scope::App,
    )?;
    let functions = of_owners::<FunctionId>(
        tx,
        new,
        "SELECT function_id, name, value FROM function_variables",
        "UPDATE function_variables SET value = ?3 WHERE function_id = ?1 AND name = ?2",
        Scope::Function,
    )?;
    Ok(apps + functions)
}

fn of_owners<O: FromSql + ToSql + Clone>(
    tx: &Writer<'_>,
    new: &Sealer,
    select: &str,
    update: &str,
    scope: fn(O) -> Scope,
) -> Result<usize, StoreError> {
    let mut statement = tx.connection.prepare(select)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows = statement.query_map((), row)?.collect::<rusqlite::Result<Vec<(O, VariableName, Vec<u8>)>>>()?;
    for (owner, name, sealed) in &rows {
        let context = scope(owner.clone()).context(name);
        let value = tx.unseal(&context, sealed)?;
        tx.connection.execute(update, (owner, name, new.seal(&context, value.expose().as_bytes())))?;
    }
    Ok(rows.len())
}

fn rows<A: FromSql, B: FromSql>(connection: &Connection, select: &str) -> Result<Vec<(A, B)>, StoreError> {
    let mut statement = connection.prepare(select)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::secrets::Secret;
    use crate::secrets::seal::MasterKey;
    use crate::store::secrets as variables;
    use crate::store::tests::{app_name, open_again, secret};
    use crate::store::{OpenError, Store};

    fn sealer(digit: char) -> Arc<Sealer> {
        let key = Secret::from(digit.to_string().repeat(64));
        Arc::new(Sealer::new(&MasterKey::load(Some(&key), std::path::Path::new("/nowhere")).unwrap()))
    }

    #[tokio::test]
    async fn afterwards_only_the_new_key_opens_anything() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), sealer('a')).unwrap();
        let shop = app_name("shop");
        let (app, sealed_before) = (shop.clone(), shop.clone());
        store
            .write(move |tx| {
                apps::create(tx, &app, &secret("token secret"))?;
                let values = [("ONE".parse().unwrap(), secret("1")), ("TWO".parse().unwrap(), secret("2"))].into();
                variables::put(tx, &Scope::App(app), &values)
            })
            .await
            .unwrap();
        let before: Vec<u8> = store
            .read(move |tx| {
                let query = "SELECT value FROM app_secrets WHERE app = ?1 AND name = 'ONE'";
                Ok(tx.connection.query_row(query, [&sealed_before], |row| row.get(0))?)
            })
            .await
            .unwrap();
        let new = sealer('b');
        assert_eq!(store.write(move |tx| reseal(tx, &new)).await.unwrap(), 3);
        drop(store);

        assert!(matches!(open_again(directory.path(), &sealer('a')), Err(OpenError::WrongMasterKey(_))));
        let store = open_again(directory.path(), &sealer('b')).unwrap();
        let app = shop.clone();
        let (token, environment) = store
            .read(move |tx| {
                let environment = variables::environment(tx, &app, None, &variables::Changes::new())?;
                Ok((apps::jwt_secret(tx, &app)?, environment))
            })
            .await
            .unwrap();
        assert_eq!(token.expose(), "token secret");
        assert_eq!(environment["ONE"].expose(), "1");
        assert_eq!(environment["TWO"].expose(), "2");
        drop(store);
        let file = std::fs::read(directory.path().join("caddis.sqlite")).unwrap();
        assert!(!file.windows(before.len()).any(|bytes| bytes == before), "the old value is gone from the file");
    }

    #[tokio::test]
    async fn a_value_that_does_not_open_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), sealer('a')).unwrap();
        let shop = app_name("shop");
        let app = shop.clone();
        let damage = move |tx: &Writer<'_>| {
            apps::create(tx, &app, &secret("token secret"))?;
            variables::put(tx, &Scope::App(app), &[("ONE".parse().unwrap(), secret("1"))].into())?;
            Ok(tx.connection.execute("UPDATE app_secrets SET value = x'00'", ())?)
        };
        store.write(damage).await.unwrap();
        let new = sealer('b');
        store.write(move |tx| reseal(tx, &new)).await.unwrap_err();
        assert_eq!(store.read(move |tx| apps::jwt_secret(tx, &shop)).await.unwrap().expose(), "token secret");
        drop(store);
        open_again(directory.path(), &sealer('a')).unwrap();
    }
}
