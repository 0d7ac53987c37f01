//! The interface `db`, seen from a guest.

use caddis_tests::{Server, guests};
use http::StatusCode;
use serde_json::{Value, json};

use crate::start;

async fn serve() -> Server {
    let server = start().await;
    server.admin().put_component("sql", guests::WSTD_ECHO, "").await;
    server
}

async fn query(server: &Server, sql: &str, parameters: Value) -> Value {
    let body = json!({ "sql": sql, "parameters": parameters });
    server.anonymous().post("sql", "/db", &body).await.expect(StatusCode::OK).json()
}

async fn execute(server: &Server, sql: &str) -> Value {
    let body = json!({ "sql": sql, "execute": true });
    server.anonymous().post("sql", "/db", &body).await.expect(StatusCode::OK).json()
}

async fn transaction(server: &Server, script: Value) -> Value {
    server.anonymous().post("sql", "/transaction", &script).await.expect(StatusCode::OK).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_with_their_types() {
    let server = serve().await;
    let values = json!([null, i64::MIN, i64::MAX, 0.5, -1e300, "", "naïve \u{1f980}\0 end", [], [0, 255, 128]]);
    let sql = "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?";
    assert_eq!(query(&server, sql, values.clone()).await["rows"], json!([values]));
    let named = query(&server, "SELECT :b AS one, @a AS two, ?1 AS three", json!(["x", "y"])).await;
    assert_eq!(named, json!({ "columns": ["one", "two", "three"], "rows": [["x", "y", "x"]] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_counted() {
    let server = serve().await;
    execute(&server, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    let inserted = execute(&server, "INSERT INTO t (v) VALUES ('a'), ('b')").await;
    assert_eq!(inserted, json!({ "rows_affected": 2, "last_insert_id": 2 }));
    let returned = query(&server, "INSERT INTO t (v) VALUES (?) RETURNING id, v", json!(["c"])).await;
    assert_eq!(returned, json!({ "columns": ["id", "v"], "rows": [[3, "c"]] }));
    assert_eq!(execute(&server, "DELETE FROM t WHERE id > 1").await["rows_affected"], 2);
    assert_eq!(query(&server, "SELECT * FROM t", json!([])).await["rows"], json!([[1, "a"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_own_case() {
    let server = serve().await;
    execute(&server, "CREATE TABLE parent (id INTEGER PRIMARY KEY)").await;
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n TEXT NOT NULL DEFAULT '', \
                 c INTEGER CHECK (c > 0), p INTEGER REFERENCES parent(id))";
    execute(&server, table).await;
    execute(&server, "INSERT INTO t (id, u) VALUES (1, 'x')").await;
    let cases = [
        ("SELEKT 1", json!([]), "syntax", "SELEKT"),
        ("SELECT * FROM missing", json!([]), "syntax", "missing"),
        ("SELECT ?", json!([]), "parameter", ""),
        ("SELECT ?", json!([1, 2]), "parameter", ""),
        ("INSERT INTO t (u) VALUES ('x')", json!([]), "constraint", "Unique: UNIQUE constraint failed: t.u"),
        ("INSERT INTO t (id) VALUES (1)", json!([]), "constraint", "PrimaryKey"),
        ("INSERT INTO t (n) VALUES (NULL)", json!([]), "constraint", "NotNull"),
        ("INSERT INTO t (c) VALUES (0)", json!([]), "constraint", "Check"),
        ("INSERT INTO t (p) VALUES (7)", json!([]), "constraint", "ForeignKey"),
        ("ATTACH ':memory:' AS other", json!([]), "denied", ""),
        ("PRAGMA journal_mode = DELETE", json!([]), "denied", ""),
        ("BEGIN", json!([]), "denied", ""),
        ("COMMIT", json!([]), "denied", ""),
        ("SAVEPOINT s", json!([]), "denied", ""),
        ("VACUUM INTO '/tmp/stolen'", json!([]), "denied", ""),
        ("SELECT load_extension('x')", json!([]), "", "load_extension"),
        ("UPDATE sqlite_schema SET sql = ''", json!([]), "", "sqlite_"),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001) SELECT i FROM n",
            json!([]),
            "limit",
            "10",
        ),
        ("SELECT zeroblob(9 * 1024 * 1024)", json!([]), "limit", ""),
        ("SELECT randomblob(1000000000)", json!([]), "limit", ""),
        ("SELECT 1; SELECT 2", json!([]), "syntax", ""),
        ("", json!([]), "syntax", ""),
    ];
    for (sql, parameters, kind, part) in cases {
        let result = query(&server, sql, parameters).await;
        let found = result["error"].as_str().unwrap_or_else(|| panic!("{sql} worked: {result}"));
        assert!(kind.is_empty() || found == kind, "{sql}: {result}");
        assert!(result["message"].as_str().unwrap().contains(part), "{sql}: {result}");
    }
    let long = format!("SELECT '{}'", "x".repeat(1024 * 1024));
    assert_eq!(query(&server, &long, json!([])).await["error"], "limit");
    assert_eq!(query(&server, "SELECT count(*) FROM t", json!([])).await["rows"], json!([[1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_committed_transaction_leaves_anything() {
    let server = serve().await;
    execute(&server, "CREATE TABLE t (v TEXT)").await;
    for end in ["commit", "rollback", "drop", "leak", "trap"] {
        let insert = json!({ "sql": "INSERT INTO t VALUES (?)", "parameters": [end], "execute": true });
        let read = json!({ "sql": "SELECT count(*) FROM t WHERE v = ?", "parameters": [end] });
        let script = json!({
            "statements": [insert, read],
            "beside": { "sql": "SELECT count(*) FROM t" },
            "end": end,
        });
        let reply = server.anonymous().post("sql", "/transaction", &script).await;
        if end == "trap" {
            crate::failed(&reply, 500, "trap", "sql");
        } else {
            let result = reply.expect(StatusCode::OK).json();
            assert_eq!(result["results"][1]["rows"], json!([[1]]), "{end}: inside, the row is there: {result}");
            let before = if end == "commit" { 0 } else { 1 };
            assert_eq!(result["beside"]["rows"], json!([[before]]), "{end}: outside, it is not: {result}");
        }
    }
    assert_eq!(query(&server, "SELECT v FROM t", json!([])).await["rows"], json!([["commit"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_statement_leaves_its_transaction_open() {
    let server = serve().await;
    execute(&server, "CREATE TABLE t (v TEXT UNIQUE)").await;
    let insert = |value: &str| json!({ "sql": "INSERT INTO t VALUES (?)", "parameters": [value], "execute": true });
    let script = json!({ "statements": [insert("a"), insert("a"), insert("b")], "end": "commit" });
    let result = transaction(&server, script).await;
    assert_eq!(result["results"][1]["error"], "constraint", "{result}");
    assert_eq!(result["end"], "done", "{result}");
    assert_eq!(query(&server, "SELECT v FROM t ORDER BY v", json!([])).await["rows"], json!([["a"], ["b"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_transaction_denies_writes() {
    let server = serve().await;
    execute(&server, "CREATE TABLE t (v TEXT)").await;
    let statements =
        json!([{ "sql": "INSERT INTO t VALUES ('x')", "execute": true }, { "sql": "SELECT count(*) FROM t" }]);
    let result = transaction(&server, json!({ "read_only": true, "statements": statements, "end": "commit" })).await;
    assert_eq!(result["results"][0]["error"], "denied", "{result}");
    assert_eq!(result["results"][1]["rows"], json!([[0]]), "{result}");
}

/// Each of the requests reads and writes in one transaction: a lost update would show in the sum.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_transactions_lose_no_update() {
    let server = serve().await;
    execute(&server, "CREATE TABLE counter (n INTEGER)").await;
    execute(&server, "INSERT INTO counter VALUES (0)").await;
    let script = json!({
        "statements": [
            { "sql": "SELECT n FROM counter" },
            { "sql": "UPDATE counter SET n = n + 1", "execute": true },
        ],
        "end": "commit",
    });
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, script) = (server.anonymous(), script.clone());
        calls.spawn(async move { client.post("sql", "/transaction", &script).await.expect(StatusCode::OK).json() });
    }
    while let Some(result) = calls.join_next().await {
        let result = result.unwrap();
        assert_eq!(result["end"], "done", "{result}");
    }
    assert_eq!(query(&server, "SELECT n FROM counter", json!([])).await["rows"], json!([[50]]));
}
