//! Migrations, statements, dumps and imports through the management API and `caddis db`.

use std::path::Path;
use std::process::Output;

use caddis_tests::{Server, within_patience};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{refused, start};

const FILES: [(&str, &str); 2] = [
    (
        "0001_notes.sql",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT);\nINSERT INTO notes (owner) VALUES ('ann'), ('bob');\n",
    ),
    (
        "0002_policies.sql",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY;\nCREATE POLICY own ON notes USING (owner = auth.uid());\n",
    ),
];

/// `caddis db` in a directory with the migrations.
async fn db(server: &Server, directory: &Path, app: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caddis"));
    command
        .current_dir(directory)
        .args(["db", "--url", &format!("http://{}", server.address()), "--app", app])
        .args(arguments)
        .env("CADDIS_ADMIN_TOKEN", server.admin_token())
        .kill_on_drop(true);
    within_patience("the command to end", command.output()).await.unwrap()
}

#[track_caller]
fn printed(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_migrates_asks_dumps_and_imports() {
    let server = start().await;
    server.admin().create_app("copy").await;
    let root = tempfile::tempdir().unwrap();
    let migrations = root.path().join("migrations");
    std::fs::create_dir(&migrations).unwrap();
    for (name, sql) in FILES {
        std::fs::write(migrations.join(name), sql).unwrap();
    }
    let run = async |app: &str, arguments: &[&str]| db(&server, root.path(), app, arguments).await;
    assert_eq!(
        printed(run("default", &["status"]).await),
        "not run yet  0001_notes.sql\nnot run yet  0002_policies.sql\n"
    );
    assert_eq!(
        printed(run("default", &["migrate", "--dry-run"]).await),
        "would run 0001_notes.sql\nwould run 0002_policies.sql\n"
    );
    assert_eq!(printed(run("default", &["migrate"]).await), "ran 0001_notes.sql\nran 0002_policies.sql\n");
    assert_eq!(printed(run("default", &["migrate"]).await), "nothing to run\n");
    assert!(printed(run("default", &["status"]).await).lines().all(|line| line.starts_with("20")));

    std::fs::write(migrations.join("0003_more.sql"), "CREATE TABLE more (a);\n\nINSERT INTO nowhere VALUES (1);")
        .unwrap();
    let failed = run("default", &["migrate"]).await;
    let told = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success());
    assert!(told.contains("0003_more.sql:3:1: no such table: nowhere"), "{told}");
    assert!(told.ends_with("INSERT INTO nowhere VALUES (1)\n"), "{told}");

    assert_eq!(printed(run("default", &["shell", "SELECT id, owner FROM notes"]).await), "id\towner\n1\tann\n2\tbob\n");
    assert_eq!(
        printed(run("default", &["shell", "UPDATE notes SET owner = NULL WHERE id = 2"]).await),
        "1 rows changed\n"
    );
    printed(run("default", &["dump", "dump.sql"]).await);
    printed(run("copy", &["import", "dump.sql"]).await);
    assert_eq!(printed(run("copy", &["dump"]).await), std::fs::read_to_string(root.path().join("dump.sql")).unwrap());
    std::fs::remove_file(migrations.join("0003_more.sql")).unwrap();
    assert_eq!(printed(run("copy", &["migrate"]).await), "nothing to run\n");
    let again = run("copy", &["import", "dump.sql"]).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("already exists"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_has_the_same() {
    let server = start().await;
    let admin = server.admin();
    let post = async |path: &str, body: Value| admin.manage(Method::POST, path).json(&body).send().await;
    let files: Vec<_> = FILES.iter().map(|(name, sql)| json!({ "name": name, "sql": sql })).collect();
    let applied = post("/db/migrations", json!({ "migrations": files })).await.expect(StatusCode::OK).json();
    assert_eq!(applied["applied"][1]["version"], 2);
    let list = admin.manage(Method::GET, "/db/migrations").send().await.expect(StatusCode::OK).json();
    assert_eq!(list, applied["applied"]);
    let mut changed = files.clone();
    changed[0]["sql"] = json!("SELECT 1");
    let reply = post("/db/migrations", json!({ "migrations": changed })).await;
    refused(&reply, 400, "invalid_sql", &["0001_notes.sql is not what was run"]);
    let reply =
        post("/db/migrations", json!({ "migrations": [{ "name": "3.sql", "sql": "SELECT 1;\n SELEKT" }] })).await;
    let detail = &reply.json()["details"][0];
    assert_eq!((&detail["line"], &detail["column"], &detail["frame"]), (&json!(2), &json!(2), &json!("SELEKT")));

    let query = async |body: Value| post("/db/query", body).await;
    let all = query(json!({ "sql": "SELECT count(*) FROM notes" })).await.expect(StatusCode::OK).json();
    assert_eq!(all, json!({ "columns": ["count(*)"], "rows": [[2]], "rows_affected": 0, "last_insert_id": 0 }));
    let ann = json!({ "sql": "SELECT owner FROM notes", "role": "authenticated", "user": "ann" });
    assert_eq!(query(ann).await.json()["rows"], json!([["ann"]]));
    assert_eq!(query(json!({ "sql": "SELECT owner FROM notes", "role": "anon" })).await.json()["rows"], json!([]));
    let values =
        json!({ "sql": "SELECT :i, :b, :n", "parameters": { "i": i64::MAX, "b": { "base64": "AP8=" }, "n": null } });
    assert_eq!(query(values).await.json()["rows"], json!([[i64::MAX, { "base64": "AP8=" }, null]]));
    for sql in ["DELETE FROM notes", "DROP TABLE notes", "INSERT INTO notes DEFAULT VALUES RETURNING 1"] {
        refused(&query(json!({ "sql": sql, "read_only": true })).await, 400, "invalid_sql", &["read-only"]);
    }
    let read = json!({ "sql": "SELECT count(*) FROM notes WHERE owner = ?", "parameters": ["ann"], "read_only": true });
    assert_eq!(query(read).await.expect(StatusCode::OK).json()["rows"], json!([[1]]));
    refused(&query(json!({ "sql": "SELEKT" })).await, 400, "invalid_sql", &["SELEKT"]);
    refused(&query(json!({ "sql": "SELECT 1", "role": "root" })).await, 400, "invalid_request", &["role"]);
    refused(&query(json!({ "sql": "SELECT ?", "parameters": [[1]] })).await, 400, "invalid_request", &["parameters"]);

    let dump = admin.manage(Method::GET, "/db/dump").send().await.expect(StatusCode::OK);
    assert_eq!(dump.header("content-type"), ["application/sql"]);
    let copy = admin.create_app("copy").await;
    let import = |text: String| copy.manage(Method::POST, "/db/import").body(text).send();
    import(dump.text()).await.expect(StatusCode::NO_CONTENT);
    let reply = copy.manage(Method::GET, "/db/dump").send().await;
    assert_eq!(reply.text(), dump.text());
    assert_eq!(import("SELECT 1;\nSELECT nothing".to_owned()).await.json()["details"][0]["line"], 2);
    refused(&server.anonymous().manage(Method::GET, "/db/dump").send().await, 401, "unauthorized", &[]);
}
