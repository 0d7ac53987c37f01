//! Row-level security, seen from the callers of one public function.

use caddis_tests::{Client, guests};
use http::StatusCode;
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
