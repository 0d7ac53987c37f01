//! Who may manage what: tokens with a scope, bound to an app or not; and apps, until they are deleted.

use caddis_tests::raw::RawConnection;
use caddis_tests::{Client, Reply, Server, files_below, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{refused, start};

async fn make(maker: &Client, wanted: &Value) -> Reply {
    maker.call(Method::POST, "/api/v1/tokens").json(wanted).send().await
}

/// A client with a new token.
async fn with_token(server: &Server, scope: &str, app: Option<&str>) -> Client {
    let made = make(&server.admin(), &json!({ "name": scope, "scope": scope, "app": app })).await;
    let token = made.expect(StatusCode::CREATED).json()["token"].as_str().unwrap().to_owned();
    server.anonymous().with_token(&token)
}

async fn deploy(client: &Client, name: &str) -> Reply {
    let body = json!({ "name": name, "code": "export default (req) => req.headers", "enabled": true });
    client.manage(Method::POST, "/functions").json(&body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_can_be_asked_what_it_is_good_for() {
    let server = start().await;
    server.admin().create_app("shop").await;
    let ask =
        async |client: &Client| client.call(Method::GET, "/api/v1/token").send().await.expect(StatusCode::OK).json();
    let url = format!("http://{}", server.address());
    let host_version = env!("CARGO_PKG_VERSION");
    let mine = json!({ "id": null, "scope": "admin", "app": null, "rate_limit": null, "url": url, "host_version": host_version });
    assert_eq!(ask(&server.admin()).await, mine);
    let made = make(&server.admin(), &json!({ "name": "r", "scope": "read", "app": "shop", "rate_limit": "5/min" }))
        .await
        .json();
    let bound = server.anonymous().with_token(made["token"].as_str().unwrap());
    let theirs = json!({ "id": made["id"], "scope": "read", "app": "shop", "rate_limit": "5/min", "url": url, "host_version": host_version });
    assert_eq!(ask(&bound).await, theirs);
    refused(&server.anonymous().call(Method::GET, "/api/v1/token").send().await, 401, "unauthorized", &["token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_its_scope_says_and_nothing_else() {
    let server = start().await;
    deploy(&server.admin(), "f").await.expect(StatusCode::CREATED);
    let read = with_token(&server, "read", None).await;
    let deployer = with_token(&server, "deploy", None).await;
    let admin = with_token(&server, "admin", None).await;
    let key = json!({ "name": "k" });
    // What each call answers to the three of them.
    for (method, path, body, statuses) in [
        (Method::GET, "/functions", None, [200, 200, 200]),
        (Method::GET, "/functions/f/executions", None, [200, 200, 200]),
        (Method::GET, "/secrets", None, [200, 200, 200]),
        (Method::PUT, "/secrets", Some(json!({ "A": "1" })), [403, 200, 200]),
        (Method::PUT, "/functions/f", Some(json!({ "timeout_seconds": 5 })), [403, 200, 200]),
        (Method::PATCH, "/functions/f/env", Some(json!({ "B": "1" })), [403, 200, 200]),
        (Method::POST, "/api-keys", Some(key.clone()), [403, 403, 201]),
        (Method::POST, "/user-tokens", Some(json!({ "sub": "u" })), [403, 403, 201]),
        (Method::GET, "/tokens", None, [403, 403, 200]),
        (Method::GET, "/apps", None, [200, 200, 200]),
        (Method::PATCH, "/apps/default", Some(json!({})), [403, 403, 200]),
        (Method::DELETE, "/apps/default", None, [403, 403, 409]),
    ] {
        for (client, status) in [&read, &deployer, &admin].into_iter().zip(statuses) {
            let call = client.manage(method.clone(), path);
            let call = if let Some(body) = &body { call.json(body) } else { call };
            let reply = call.send().await;
            assert_eq!(reply.status.as_u16(), status, "{method} {path}: {}", reply.text());
            if status == 403 {
                let needed = if statuses[1] == 403 { "scope admin" } else { "scope deploy" };
                refused(&reply, 403, "forbidden", &[needed]);
            }
        }
    }
    let function = server.admin().manage(Method::GET, "/functions/f").send().await.json();
    assert!(function["created_by"].as_str().unwrap().starts_with("token:"), "{function}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_good_until_it_is_deleted() {
    let mut server = start().await;
    let made = make(&server.admin(), &json!({ "name": "ci", "scope": "deploy" })).await.expect(StatusCode::CREATED);
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("cmt_"), "{token}");
    let list = server.admin().call(Method::GET, "/api/v1/tokens").send().await.expect(StatusCode::OK);
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("token");
    assert_eq!(list.json(), json!([expected]));
    for file in files_below(server.data()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()), "{}", file.display());
    }

    let client = server.anonymous().with_token(token);
    deploy(&client, "f").await.expect(StatusCode::CREATED);
    server.restart().await;
    let client = server.anonymous().with_token(token);
    client.manage(Method::GET, "/functions").send().await.expect(StatusCode::OK);
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    server.admin().call(Method::DELETE, &path).send().await.expect(StatusCode::NO_CONTENT);
    refused(&client.manage(Method::GET, "/functions").send().await, 401, "unauthorized", &["admin token"]);
    refused(&server.admin().call(Method::DELETE, &path).send().await, 404, "not_found", &["token"]);

    for (wanted, part) in [
        (json!({ "name": "x", "scope": "root" }), "scope"),
        (json!({ "name": "", "scope": "read" }), "name"),
        (json!({ "name": "x", "scope": "read", "app": "nowhere" }), "nowhere"),
        (json!({ "name": "x", "scope": "read", "rate_limit": "often" }), "rate"),
        (json!({ "scope": "read" }), "name"),
    ] {
        refused(&make(&server.admin(), &wanted).await, 400, "invalid_request", &[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_deleted_opens_nothing_for_a_body_that_is_under_way() {
    let server = start().await;
    let admin = server.admin();
    let made = make(&admin, &json!({ "name": "old", "scope": "admin" })).await.expect(StatusCode::CREATED).json();
    let body = json!({ "name": "new", "scope": "admin" }).to_string();
    let mut connection = RawConnection::open(server.address()).await;
    let (token, length) = (made["token"].as_str().unwrap(), body.len());
    connection
        .send(format!(
            "POST /api/v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    // The token was good, and somebody waits for the body.
    connection.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    let old = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    admin.call(Method::DELETE, &old).send().await.expect(StatusCode::NO_CONTENT);
    connection.send(body).await;
    let answer = connection.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(admin.call(Method::GET, "/api/v1/tokens").send().await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_meant_for_a_deleted_app_is_not_for_the_next_one_of_its_name() {
    let server = start().await;
    let admin = server.admin();
    for (path, body) in [
        ("functions", json!({ "name": "f", "code": "export default () => new Response()" })),
        ("api-keys", json!({ "name": "k" })),
        ("db/import", json!("CREATE TABLE t (a)")),
    ] {
        admin.create_app("shop").await;
        let body = body.as_str().map_or(body.to_string(), str::to_owned);
        let (token, length) = (server.admin_token(), body.len());
        let mut connection = RawConnection::open(server.address()).await;
        connection
            .send(format!(
                "POST /v1/shop/{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
                 Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
        connection.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
        admin.call(Method::DELETE, "/api/v1/apps/shop").send().await.expect(StatusCode::NO_CONTENT);
        admin.create_app("shop").await;
        connection.send(body).await;
        let answer = connection.rest().await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        admin.call(Method::DELETE, "/api/v1/apps/shop").send().await.expect(StatusCode::NO_CONTENT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_secrets_are_not_for_who_only_reads() {
    let server = start().await;
    server.admin().set_secrets(json!({ "PIN": "1234" })).await;
    let path = "/v1/projects/default/secrets";
    let refusal = with_token(&server, "read", None).await.call(Method::GET, path).send().await;
    refused(&refusal, 403, "forbidden", &["scope deploy"]);
    with_token(&server, "deploy", None).await.call(Method::GET, path).send().await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_bound_to_an_app_sees_only_it() {
    let server = start().await;
    let red = server.admin().create_app("red").await;
    server.admin().create_app("blue").await;
    deploy(&red, "f").await.expect(StatusCode::CREATED);
    let admin = with_token(&server, "admin", Some("red")).await;
    admin.in_app("red").manage(Method::GET, "/functions/f").send().await.expect(StatusCode::OK);
    for other in [admin.in_app("blue"), admin.in_app("no-such-app"), admin.clone()] {
        let reply = other.manage(Method::GET, "/functions").send().await;
        refused(&reply, 403, "forbidden", &["bound to the app red"]);
    }
    let apps = admin.call(Method::GET, "/api/v1/apps").send().await.expect(StatusCode::OK).json();
    assert_eq!(apps.as_array().unwrap().len(), 1, "{apps}");
    admin.call(Method::GET, "/api/v1/apps/red").send().await.expect(StatusCode::OK);
    for (method, path, body) in [
        (Method::GET, "/api/v1/apps/blue", None),
        (Method::DELETE, "/api/v1/apps/blue", None),
        (Method::PATCH, "/api/v1/apps/default", Some(json!({}))),
        (Method::POST, "/api/v1/apps", Some(json!({ "name": "green" }))),
        (Method::POST, "/api/v1/tokens", Some(json!({ "name": "x", "scope": "read" }))),
        (Method::POST, "/api/v1/tokens", Some(json!({ "name": "x", "scope": "read", "app": "blue" }))),
    ] {
        let call = admin.call(method.clone(), path);
        let reply = if let Some(body) = &body { call.json(body) } else { call }.send().await;
        refused(&reply, 403, "forbidden", &["bound to the app red"]);
    }

    // Its holder may pass on what it is good for, and sees only such tokens.
    let others = make(&server.admin(), &json!({ "name": "other", "scope": "read" })).await.json();
    let made = make(&admin, &json!({ "name": "mine", "scope": "read", "app": "red" })).await;
    made.expect(StatusCode::CREATED);
    let list = admin.call(Method::GET, "/api/v1/tokens").send().await.expect(StatusCode::OK).json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["admin", "mine"]);
    let path = format!("/api/v1/tokens/{}", others["id"].as_str().unwrap());
    refused(&admin.call(Method::DELETE, &path).send().await, 404, "not_found", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_calls_functions_for_the_app_and_is_not_shown_to_them() {
    let server = start().await;
    let red = server.admin().create_app("red").await;
    for client in [&server.admin(), &red] {
        deploy(client, "f").await.expect(StatusCode::CREATED);
    }
    let deployer = with_token(&server, "deploy", Some("red")).await;
    let reply = deployer.in_app("red").get("f", "/").await.expect(StatusCode::OK);
    assert!(!reply.text().contains("cmt_"), "{}", reply.text());
    let record = red.execution("f", &reply).await;
    assert!(record["user_id"].as_str().unwrap().starts_with("token:"), "{record}");
    refused(&deployer.get("f", "/").await, 403, "forbidden", &["bound to the app red"]);
    let read = with_token(&server, "read", None).await;
    refused(&read.get("f", "/").await, 403, "forbidden", &["scope deploy"]);
}

async fn sql(app: &Client, sql: &str) -> Value {
    app.post("echo", "/db", &json!({ "sql": sql })).await.expect(StatusCode::OK).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_app_leaves_nothing_for_the_next_one_of_its_name() {
    let mut server = start().await;
    let red = server.admin().create_app("red").await;
    red.put_component("echo", guests::WSTD_ECHO, "").await;
    sql(&red, "CREATE TABLE facts (fact TEXT)").await;
    red.set_secrets(json!({ "COLOUR": "red" })).await;
    let function = red.manage(Method::GET, "/functions/echo").send().await.json();
    let reply = red.get("echo", "/describe").await.expect(StatusCode::OK);
    red.execution("echo", &reply).await;
    let bound = with_token(&server, "deploy", Some("red")).await.in_app("red");
    let key = red.manage(Method::POST, "/api-keys").json(&json!({ "name": "k" })).send().await.json();
    let with_key = server.anonymous().in_app("red").with_token(key["key"].as_str().unwrap());

    // One request runs while the app goes, and ends as if nothing had happened.
    let (call, mut pieces) = server.anonymous().in_app("red").invoke(Method::POST, "echo", "/stream").pieces();
    let mut running = call.start().await;
    assert_eq!(running.next().await.unwrap().unwrap(), "ready\n");
    server.admin().call(Method::DELETE, "/api/v1/apps/red").send().await.expect(StatusCode::NO_CONTENT);
    pieces.send("last words").await;
    assert_eq!(running.next().await.unwrap().unwrap(), "last words");
    drop(pieces);
    assert!(running.next().await.is_none(), "the response is complete");

    refused(&server.admin().in_app("red").manage(Method::GET, "/functions").send().await, 404, "not_found", &["red"]);
    with_key.get("echo", "/describe").await.expect(StatusCode::NOT_FOUND);
    refused(&bound.manage(Method::GET, "/functions").send().await, 401, "unauthorized", &[]);
    refused(&server.admin().call(Method::DELETE, "/api/v1/apps/red").send().await, 404, "not_found", &["red"]);
    assert!(!server.data().join("apps/red").exists());

    let red = server.admin().create_app("red").await;
    assert_eq!(red.manage(Method::GET, "/functions").send().await.json(), json!([]));
    assert_eq!(red.manage(Method::GET, "/secrets").send().await.json(), json!([]));
    red.put_component("echo", guests::WSTD_ECHO, "").await;
    assert_eq!(sql(&red, "SELECT count(*) FROM sqlite_schema").await["rows"], json!([[0]]));
    red.change("echo", &json!({ "access": { "policy": "authenticated" } })).await.expect(StatusCode::OK);
    with_key.get("echo", "/user").await.expect(StatusCode::UNAUTHORIZED);

    server.stop_gracefully().await;
    let executions = rusqlite::Connection::open(server.data().join("executions.sqlite")).unwrap();
    let id = uuid::Uuid::parse_str(function["id"].as_str().unwrap()).unwrap();
    let query = "SELECT count(*) FROM executions WHERE function_id = ?1";
    let rows: i64 = executions.query_row(query, [id.as_bytes().as_slice()], |row| row.get(0)).unwrap();
    assert!(rows <= 1, "only the request that outlived the app may be there: {rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_cut_off_is_finished_at_the_next_start() {
    let mut server = start().await;
    let red = server.admin().create_app("red").await;
    red.put_component("echo", guests::WSTD_ECHO, "").await;
    sql(&red, "CREATE TABLE facts (fact TEXT)").await;
    server.stop_gracefully().await;
    // What a crash leaves between the rows of the app and its files.
    let system = rusqlite::Connection::open(server.data().join("caddis.sqlite")).unwrap();
    system
        .execute_batch(
            "PRAGMA foreign_keys = ON; BEGIN; INSERT INTO deleted_apps VALUES ('red'); \
         INSERT INTO deleted_functions SELECT id, app FROM functions WHERE app = 'red'; \
         DELETE FROM functions WHERE app = 'red'; DELETE FROM apps WHERE name = 'red'; COMMIT",
        )
        .unwrap();
    drop(system);
    assert!(server.data().join("apps/red/data.sqlite").exists());
    server.start_again().await;
    assert!(!server.data().join("apps/red").exists());
    server.admin().create_app("red").await;
}
