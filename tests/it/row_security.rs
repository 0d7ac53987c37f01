//! Row-level security, seen from the callers of one public function.

use caddis_tests::{Client, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::start;

async fn run(client: &Client, sql: &str) -> Value {
    let body = json!({ "sql": sql, "parameters": [] });
    client.post("sql", "/db", &body).await.json()
}

async fn count(client: &Client) -> Value {
    run(client, "SELECT count(*), auth.uid(), auth.role() FROM notes").await["rows"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_decides_what_a_function_sees() {
    let mut server = start().await;
    server.admin().put_component("sql", guests::WSTD_ECHO, "").await;
    let anyone = server.anonymous();
    for sql in [
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT, body TEXT)",
        "INSERT INTO notes (owner, body) VALUES ('ann', 'a'), ('bob', 'b'), ('bob', 'c')",
        // Until here everybody is the app itself.
        "CREATE POLICY own ON notes TO authenticated USING (owner = (SELECT auth.uid()))",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    ] {
        anyone.post("sql", "/db", &json!({ "sql": sql, "execute": true })).await.expect(StatusCode::OK);
    }
    let bob = server.admin().user_token(json!({ "sub": "bob" })).await;
    let service = server.admin().user_token(json!({ "sub": "key", "role": "service_role" })).await;
    for _ in 0..2 {
        let anyone = server.anonymous();
        assert_eq!(count(&anyone).await, json!([0, null, "anon"]));
        assert_eq!(count(&anyone.with_token(&bob)).await, json!([2, "bob", "authenticated"]));
        assert_eq!(count(&anyone.with_token(&service)).await, json!([3, "key", "service_role"]));
        assert_eq!(count(&server.admin()).await, json!([3, null, "service_role"]));
        let refused = run(&anyone.with_token(&bob), "INSERT INTO notes (owner) VALUES ('ann') RETURNING id").await;
        assert!(refused.to_string().contains("new row violates row-level security policy"), "{refused}");
        let refused = run(&anyone, "DROP POLICY own ON notes").await;
        assert!(refused.to_string().contains("42501"), "{refused}");
        server.restart().await;
    }
}

/// What the database says of whoever asks, how many rows he sees, and whether he may write one of nobody.
const WHO: &str = r#"
    export default async (_, { db }) => {
      const { rows: [seen] } = await db.query("SELECT auth.role() AS role, auth.uid() AS uid, (SELECT count(*) FROM notes) AS n");
      const wrote = await db.query("INSERT INTO notes (owner) VALUES ('nobody')").then(() => true, ({ code }) => code);
      await db.query("DELETE FROM notes WHERE owner = 'nobody'");
      return [seen.role, seen.uid, seen.n, wrote];
    }"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_credential_has_its_role() {
    let server = start().await;
    let shop = server.admin().create_app("shop").await;
    let sql = async |statement: &str| {
        let body = json!({ "sql": statement });
        shop.manage(Method::POST, "/db/query").json(&body).send().await.expect(StatusCode::OK).json()
    };
    for statement in [
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT)",
        "INSERT INTO notes (owner) VALUES ('ann'), ('bob'), ('everyone')",
        // By the names of another platform, which are the same roles.
        "CREATE POLICY own ON notes TO butterbase_user USING (owner = auth.uid())",
        "CREATE POLICY open ON notes FOR SELECT TO butterbase_anon USING (owner = 'everyone')",
        // Says nothing to those whom policies do not hold for.
        "CREATE POLICY none ON notes AS RESTRICTIVE TO butterbase_service USING (false)",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    ] {
        sql(statement).await;
    }
    let roles = sql("SELECT group_concat(roles, ' ') FROM caddis_policies").await;
    assert_eq!(roles["rows"], json!([["authenticated anon service_role"]]));
    let body = json!({ "name": "who", "code": WHO, "trigger": { "type": "http", "config": { "auth": "none" } } });
    shop.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);

    let token = async |claims: Value| Some(shop.user_token(claims).await);
    let made = async |path: &str, body: Value| {
        let made = server.admin().in_app("shop").manage(Method::POST, path).json(&body).send().await;
        made.expect(StatusCode::CREATED).json()
    };
    let project = shop.manage(Method::GET, "/project").send().await.expect(StatusCode::OK).json();
    let key = |name: &str| project[name].as_str().map(str::to_owned);
    let api_key = made("/api-keys", json!({ "name": "program" })).await["key"].as_str().map(str::to_owned);
    let management = json!({ "name": "ci", "scope": "deploy", "app": "shop" });
    let management = server.admin().manage(Method::POST, "/tokens").json(&management).send().await;
    let management = management.expect(StatusCode::CREATED).json()["token"].as_str().map(str::to_owned);
    let user = json!(["authenticated", "ann", 1, "denied"]);
    let anon = |uid: Value| json!(["anon", uid, 1, "denied"]);
    let service = |uid: Value| json!(["service_role", uid, 3, true]);
    let forged = Some(format!("{}x", api_key.clone().unwrap()));
    let cases = [
        ("nobody", None, anon(Value::Null)),
        ("a user", token(json!({ "sub": "ann" })).await, user.clone()),
        ("a user of a role of the app's own", token(json!({ "sub": "ann", "role": "editor" })).await, user.clone()),
        ("a user, in another word", token(json!({ "sub": "ann", "role": "butterbase_user" })).await, user),
        ("a token for anybody", token(json!({ "sub": "x", "role": "butterbase_anon" })).await, anon(json!("x"))),
        ("a token for the app", token(json!({ "sub": "x", "role": "butterbase_service" })).await, service(json!("x"))),
        ("the anon key", key("anon_key"), anon(Value::Null)),
        ("the service_role key", key("service_role_key"), service(Value::Null)),
        ("an API key", api_key, service(Value::Null)),
        ("a key that is none", forged, anon(Value::Null)),
        ("a management token", management, service(Value::Null)),
        ("the admin token", Some(server.admin_token().to_owned()), service(Value::Null)),
    ];
    for (whose, credential, expected) in cases {
        for header in ["authorization", "apikey"] {
            let call = server.anonymous().call(Method::POST, "/v1/shop/fn/who");
            let call = match (&credential, header) {
                (None, _) => call,
                (Some(token), "authorization") => call.bearer(token),
                (Some(token), header) => call.header(header, token),
            };
            assert_eq!(call.send().await.expect(StatusCode::OK).json(), expected, "{whose} in {header}");
        }
    }
}
