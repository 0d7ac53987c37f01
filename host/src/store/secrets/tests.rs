//! Scopes, sealing in place, and limits made by callers.

use super::*;
use crate::error::{Code, Error};
use crate::ids::FunctionId;
use crate::store::Store;
use crate::store::tests::{app_name, open_with_app, publish, secret, system};

fn values(pairs: &[(&str, &str)]) -> BTreeMap<VariableName, Secret> {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), secret(value))).collect()
}

async fn set(store: &Store, scope: &Scope, pairs: &[(&str, &str)]) -> Result<(), StoreError> {
    let (scope, values) = (scope.clone(), values(pairs));
    store.write(move |tx| put(tx, &scope, &values)).await
}

async fn environment_of(store: &Store, function: FunctionId) -> Result<Vec<(String, String)>, StoreError> {
    let environment =
        store.read(move |tx| environment(tx, &AppName::default_app(), Some(function), &Changes::new())).await?;
    Ok(environment.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_function_sees_its_own_variables_over_those_of_its_app() {
    let (_directory, store, app) = open_with_app().await;
    let id = store.write(|tx| publish(tx, "f", b"x")).await.unwrap().id;
    let other = store.write(|tx| publish(tx, "g", b"x")).await.unwrap().id;
    set(&store, &Scope::App(app), &[("SHARED", "app"), ("HIDDEN", "app")]).await.unwrap();
    set(&store, &Scope::Function(id), &[("HIDDEN", "function"), ("OWN", "")]).await.unwrap();
    let expected = pairs(&[("HIDDEN", "function"), ("OWN", ""), ("SHARED", "app")]);
    assert_eq!(environment_of(&store, id).await.unwrap(), expected);
    assert_eq!(environment_of(&store, other).await.unwrap(), pairs(&[("HIDDEN", "app"), ("SHARED", "app")]));
}

#[tokio::test]
async fn setting_replaces_and_deleting_removes_one_name() {
    let (_directory, store, app) = open_with_app().await;
    let scope = Scope::App(app);
    set(&store, &scope, &[("B", "1"), ("A", "1")]).await.unwrap();
    let before = store
        .read({
            let scope = scope.clone();
            move |tx| list(tx, &scope)
        })
        .await
        .unwrap();
    assert_eq!(before.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    set(&store, &scope, &[("B", "2")]).await.unwrap();
    let after = store
        .read({
            let scope = scope.clone();
            move |tx| list(tx, &scope)
        })
        .await
        .unwrap();
    assert_eq!(after[0], before[0]);
    assert!(after[1].updated_at > before[1].updated_at);
    let remove = move |tx: &Writer<'_>| {
        let name = "B".parse().unwrap();
        Ok((delete(tx, &scope, &name)?, delete(tx, &scope, &name)?, count(tx, &scope)?))
    };
    assert_eq!(store.write(remove).await.unwrap(), (true, false, 1));
}

#[tokio::test]
async fn variables_need_an_owner() {
    let (_directory, store, _) = open_with_app().await;
    for scope in [Scope::App(app_name("none")), Scope::Function(FunctionId::generate())] {
        let outcome = set(&store, &scope, &[("A", "1")]).await;
        assert!(matches!(outcome, Err(StoreError::NotFound)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_caller_can_refuse_what_would_be_too_many() {
    let (_directory, store, app) = open_with_app().await;
    let scope = Scope::App(app);
    set(&store, &scope, &[("A", "1"), ("B", "1")]).await.unwrap();
    let put_at_most_three = |values: BTreeMap<VariableName, Secret>| {
        let scope = scope.clone();
        store.write(move |tx| {
            put(tx, &scope, &values)?;
            match count(tx, &scope)? {
                0..=3 => Ok(()),
                _ => Err(Error::new(Code::InvalidRequest, "too many"))?,
            }
        })
    };
    put_at_most_three(values(&[("A", "2"), ("B", "2"), ("C", "2")])).await.unwrap();
    let refused = put_at_most_three(values(&[("A", "3"), ("D", "3")])).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)));
    let id = FunctionId::generate();
    let expected = pairs(&[("A", "2"), ("B", "2"), ("C", "2")]);
    assert_eq!(environment_of(&store, id).await.unwrap(), expected, "nothing of the refused write is there");
}

#[tokio::test]
async fn a_value_moved_to_another_row_does_not_open() {
    let (_directory, store, app) = open_with_app().await;
    let id = store.write(|tx| publish(tx, "f", b"x")).await.unwrap().id;
    let scope = Scope::App(app);
    for tampering in [
        "UPDATE app_secrets SET value = (SELECT value FROM app_secrets WHERE name = 'A') WHERE name = 'B'",
        "UPDATE app_secrets SET value = (SELECT value FROM function_variables) WHERE name = 'A'",
        "UPDATE app_secrets SET value = (SELECT jwt_secret FROM apps) WHERE name = 'A'",
        "UPDATE app_secrets SET value = x'' WHERE name = 'A'",
    ] {
        set(&store, &scope, &[("A", "1"), ("B", "2")]).await.unwrap();
        set(&store, &Scope::Function(id), &[("A", "3")]).await.unwrap();
        environment_of(&store, id).await.unwrap();
        let changed = system(&store).write(move |connection| Ok(connection.execute(tampering, ())?)).await.unwrap();
        assert_eq!(changed, 1);
        let outcome = environment_of(&store, id).await;
        assert!(matches!(outcome, Err(StoreError::Internal(_))), "{tampering}");
    }
}

#[tokio::test]
async fn the_largest_value_fits() {
    let (_directory, store, app) = open_with_app().await;
    let large = "é".repeat(crate::tunables::VARIABLE_BYTES / 2);
    set(&store, &Scope::App(app), &[("LARGE", &large)]).await.unwrap();
    assert_eq!(environment_of(&store, FunctionId::generate()).await.unwrap(), pairs(&[("LARGE", &large)]));
}
