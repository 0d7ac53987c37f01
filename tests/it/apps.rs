//! Two apps on one host know nothing of each other.

use caddis_tests::{Client, Server, files_below, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{refused, set_by_somebody, start};

/// The same function in two apps.
async fn two_apps() -> (Server, Client, Client) {
    let server = start().await;
    let [red, blue] = [server.admin().create_app("red").await, server.admin().create_app("blue").await];
    for app in [&red, &blue] {
        app.put_component("echo", guests::WSTD_ECHO, "").await;
    }
    (server, red, blue)
}

async fn sql(app: &Client, sql: &str) -> Value {
    app.post("echo", "/db", &json!({ "sql": sql })).await.expect(StatusCode::OK).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_never_sees_the_rows_of_another() {
    let (server, red, blue) = two_apps().await;
    sql(&red, "CREATE TABLE facts (fact TEXT)").await;
    sql(&red, "INSERT INTO facts VALUES ('only red knows')").await;
    assert_eq!(sql(&red, "SELECT fact FROM facts").await["rows"], json!([["only red knows"]]));
    assert_eq!(sql(&blue, "SELECT fact FROM facts").await["error"], "syntax");
    assert_eq!(sql(&blue, "SELECT count(*) FROM sqlite_schema").await["rows"], json!([[0]]));

    server.admin().put_component("echo", guests::WSTD_ECHO, "").await;
    assert_eq!(sql(&server.admin(), "SELECT fact FROM facts").await["error"], "syntax");

    let files = files_below(server.data()).into_iter().map(|path| path.display().to_string());
    let files: Vec<_> = files.filter(|path| path.contains("red")).collect();
    assert!(!files.is_empty(), "the app's database is a file with its name");
    for path in files {
        for statement in [format!("ATTACH '{path}' AS red"), format!("ATTACH 'file:{path}?mode=ro' AS red")] {
            assert_eq!(sql(&blue, &statement).await["error"], "denied", "{statement}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_never_sees_the_secrets_or_variables_of_another() {
    let (server, red, blue) = two_apps().await;
    red.set_secrets(json!({ "COLOUR": "red", "ONLY_RED": "1" })).await;
    blue.set_secrets(json!({ "COLOUR": "blue" })).await;
    server.admin().set_secrets(json!({ "ONLY_DEFAULT": "1" })).await;
    red.manage(Method::PATCH, "/functions/echo/env")
        .json(&json!({ "OWN": "of red's function" }))
        .send()
        .await
        .expect(StatusCode::OK);

    let seen = red.get("echo", "/env?COLOUR").await.json();
    assert_eq!((&seen["get"], &seen["wasi"]), (&json!("red"), &json!("red")));
    assert_eq!(set_by_somebody(&seen), [["COLOUR", "red"], ["ONLY_RED", "1"], ["OWN", "of red's function"]]);
    let seen = blue.get("echo", "/env?COLOUR").await.json();
    assert_eq!(set_by_somebody(&seen), [["COLOUR", "blue"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_never_sees_the_executions_or_functions_of_another() {
    let (server, red, blue) = two_apps().await;
    let reply = red.get("echo", "/describe").await.expect(StatusCode::OK);
    red.execution("echo", &reply).await;
    assert!(blue.executions("echo", "").await.is_empty());

    red.put_component("only-red", guests::LIMITS, "").await;
    refused(&blue.manage(Method::GET, "/functions/only-red").send().await, 404, "not_found", &[]);
    blue.get("only-red", "/ok").await.expect(StatusCode::NOT_FOUND);
    server.anonymous().get("only-red", "/ok").await.expect(StatusCode::NOT_FOUND);
    assert_eq!(blue.manage(Method::GET, "/functions").send().await.json().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_of_one_app_are_nothing_in_another() {
    let (server, red, blue) = two_apps().await;
    for app in [&red, &blue] {
        app.change("echo", &json!({ "access": { "policy": "authenticated" } })).await.expect(StatusCode::OK);
    }
    let call = red.manage(Method::POST, "/api-keys").json(&json!({ "name": "ci" }));
    let key = call.send().await.expect(StatusCode::CREATED).json()["key"].as_str().unwrap().to_owned();
    for credential in [red.user_token(json!({ "sub": "u1" })).await, key] {
        let caller = server.anonymous().with_token(&credential);
        caller.in_app("red").get("echo", "/describe").await.expect(StatusCode::OK);
        caller.in_app("blue").get("echo", "/describe").await.expect(StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_made_once_and_survives_a_restart() {
    let (mut server, red, _) = two_apps().await;
    let create = |name: &str| server.admin().call(Method::POST, "/api/v1/apps").json(&json!({ "name": name })).send();
    refused(&create("red").await, 409, "conflict", &["exists"]);
    refused(&create("default").await, 409, "conflict", &["exists"]);
    let list = server.admin().call(Method::GET, "/api/v1/apps").send().await.expect(StatusCode::OK);
    let names: Vec<_> = list.json().as_array().unwrap().iter().map(|app| app["name"].clone()).collect();
    assert_eq!(names, ["blue", "default", "red"]);
    assert!(!list.text().contains("jwt_secret"), "{}", list.text());

    refused(
        &server.admin().in_app("green").manage(Method::GET, "/functions").send().await,
        404,
        "not_found",
        &["green"],
    );
    server.anonymous().in_app("green").get("echo", "/describe").await.expect(StatusCode::NOT_FOUND);

    sql(&red, "CREATE TABLE facts (fact TEXT)").await;
    let token = red.user_token(json!({ "sub": "u1" })).await;
    server.restart().await;
    let red = server.anonymous().in_app("red").with_token(&token);
    assert_eq!(sql(&red, "SELECT count(*) FROM facts").await["rows"], json!([[0]]));
    assert_eq!(red.get("echo", "/user").await.json()["id"], "u1");
}
