//! Versions, their components, and what deletion leaves.

use super::*;
use crate::store::secrets::{self, Scope};
use crate::store::tests::{app_name, function_name, open_with_app, publish, secret, system};

#[tokio::test]
async fn publishing_makes_immutable_versions_and_moves_the_active_one() {
    let (_directory, store, app) = open_with_app().await;
    let first = store.write(|tx| publish(tx, "hello", b"one")).await.unwrap();
    assert_eq!((first.version, first.size_bytes, first.component), (1, 3, ContentHash::of(b"one")));
    assert_eq!((first.app.clone(), first.name.as_str(), first.created_by.as_str()), (app.clone(), "hello", "admin"));
    assert_eq!(first.created_at, first.updated_at);

    let second = store.write(|tx| publish(tx, "hello", b"second")).await.unwrap();
    assert_eq!((second.version, second.id, second.created_at), (2, first.id, first.created_at));
    assert!(second.updated_at > first.updated_at);

    let settings = Settings { fuel: u64::from(u32::MAX), description: Some("é".to_owned()), ..Settings::default() };
    let third = {
        let (app, settings) = (app.clone(), settings.clone());
        let publish = move |tx: &Writer<'_>| {
            publish_settings(tx, &app, &function_name("hello"), &settings, Activation::Now, "ci")
        };
        store.write(publish).await.unwrap()
    };
    assert_eq!((third.version, third.component, &third.settings), (3, second.component, &settings));
    assert_eq!((third.created_by.as_str(), third.world.as_str()), ("ci", "caddis:function"));
    assert_eq!(store.read(move |tx| get(tx, &app, &function_name("hello"))).await.unwrap(), third);

    let versions = "SELECT count(*) FROM function_versions WHERE component IN (?1, ?2)";
    let count: i64 = system(&store)
        .read(move |connection| {
            Ok(connection.query_row(versions, (first.component, second.component), |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(count, 3, "earlier versions stay");
}

#[tokio::test]
async fn publishing_says_whether_the_function_is_new() {
    let (_directory, store, app) = open_with_app().await;
    let publish = move |tx: &Writer<'_>| {
        let component = Component { hash: ContentHash::of(b"x"), bytes: b"x", world: "w" };
        publish_component(tx, &app, &function_name("f"), &Settings::default(), component, Activation::Now, "admin")
            .map(|(_, how)| how)
    };
    assert_eq!(store.write(publish.clone()).await.unwrap(), Published::Created);
    assert_eq!(store.write(publish).await.unwrap(), Published::Updated);
}

#[tokio::test]
async fn lists_are_sorted_and_keep_apps_apart() {
    let (_directory, store, app) = open_with_app().await;
    let in_other_app = |tx: &Writer<'_>| {
        let component = Component { hash: ContentHash::of(b"x"), bytes: b"x", world: "w" };
        let other = app_name("other");
        crate::store::apps::create(tx, &other, &secret("s"))?;
        publish_component(tx, &other, &function_name("a"), &Settings::default(), component, Activation::Now, "admin")
    };
    store.write(in_other_app).await.unwrap();
    for name in ["b", "a"] {
        store.write(move |tx| publish(tx, name, b"x")).await.unwrap();
    }
    let names = |functions: Vec<FunctionVersion>| -> Vec<String> {
        functions.into_iter().map(|function| format!("{}/{}", function.app, function.name)).collect()
    };
    assert_eq!(names(store.read(move |tx| list(tx, &app)).await.unwrap()), ["default/a", "default/b"]);
    assert_eq!(names(store.read(list_all).await.unwrap()), ["default/a", "default/b", "other/a"]);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_directory, store, app) = open_with_app().await;
    let name = function_name("none");
    let outcome = store.read(move |tx| get(tx, &app, &name)).await;
    assert!(matches!(outcome, Err(StoreError::NotFound)));
    let outcome = store.read(|tx| component_bytes(tx, ContentHash::of(b"none"))).await;
    assert!(matches!(outcome, Err(StoreError::NotFound)));
    let outcome = store.write(|tx| delete(tx, &AppName::default_app(), &function_name("none"))).await;
    assert!(matches!(outcome, Err(StoreError::NotFound)));
    let settings = |tx: &Writer<'_>| {
        publish_settings(
            tx,
            &AppName::default_app(),
            &function_name("none"),
            &Settings::default(),
            Activation::Now,
            "admin",
        )
    };
    assert!(matches!(store.write(settings).await, Err(StoreError::NotFound)));
    let unknown_app = |tx: &Writer<'_>| {
        let component = Component { hash: ContentHash::of(b"x"), bytes: b"x", world: "w" };
        publish_component(
            tx,
            &app_name("none"),
            &function_name("f"),
            &Settings::default(),
            component,
            Activation::Now,
            "admin",
        )
    };
    assert!(matches!(store.write(unknown_app).await, Err(StoreError::NotFound)));
    let outcome = store.read(|tx| component_bytes(tx, ContentHash::of(b"x"))).await;
    assert!(matches!(outcome, Err(StoreError::NotFound)), "the component went with the refused function");
}

#[tokio::test]
async fn deleting_removes_versions_variables_and_unused_components() {
    let (_directory, store, app) = open_with_app().await;
    let id = store
        .write(|tx| {
            publish(tx, "gone", b"own")?;
            publish(tx, "gone", b"shared")?;
            publish(tx, "stays", b"shared")?;
            let id = get(tx, &AppName::default_app(), &function_name("gone"))?.id;
            secrets::put(tx, &Scope::Function(id), &[("A".parse().unwrap(), secret("1"))].into())?;
            Ok(id)
        })
        .await
        .unwrap();
    let deleted = store.write(move |tx| delete(tx, &app, &function_name("gone"))).await.unwrap();
    assert_eq!(deleted, id);
    store
        .read(move |tx| {
            assert!(matches!(component_bytes(tx, ContentHash::of(b"own")), Err(StoreError::NotFound)));
            assert_eq!(component_bytes(tx, ContentHash::of(b"shared"))?, b"shared");
            assert_eq!(secrets::count(tx, &Scope::Function(id))?, 0);
            assert_eq!(list_all(tx)?.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
    let again = store.write(|tx| publish(tx, "gone", b"own")).await.unwrap();
    assert_eq!(again.version, 1);
    assert_ne!(again.id, id, "a function that comes back is another function");
}
