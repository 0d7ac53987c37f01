//! Migrations, dumps and imports.

use super::*;

fn migration(name: &str, sql: &str) -> Migration {
    Migration { name: name.to_owned(), sql: sql.to_owned() }
}

async fn migrate(database: &Database, files: &[(&str, &str)]) -> Result<Vec<String>, MigrationError> {
    let files = files.iter().map(|(name, sql)| migration(name, sql)).collect();
    Ok(database.migrate(files, false, soon()).await?.into_iter().map(|applied| applied.name).collect())
}

const FIRST: (&str, &str) = (
    "0001_notes.sql",
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT, body TEXT);
     CREATE TRIGGER t AFTER INSERT ON notes BEGIN UPDATE notes SET body = coalesce(body, 'none') WHERE id = NEW.id; END;
     INSERT INTO notes (owner) VALUES ('ann');",
);
const SECOND: (&str, &str) = (
    "0002_policies.sql",
    "-- who sees what
     ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
     CREATE POLICY own ON notes TO authenticated USING (owner = auth.uid()::text);",
);

#[tokio::test]
async fn migrations_run_once_and_in_order() {
    let host = Host::new();
    let database = host.app("a").await;
    assert_eq!(migrate(&database, &[SECOND, FIRST]).await.unwrap(), [FIRST.0, SECOND.0]);
    assert_eq!(migrate(&database, &[FIRST, SECOND]).await.unwrap(), Vec::<String>::new());
    let anon = database.clone().acting_for(Arc::new(Caller::anon()));
    assert_eq!(value(&anon, "SELECT count(*) FROM notes").await, Value::Integer(0), "the policies hold at once");
    assert_eq!(value(&database, "SELECT body FROM notes").await, Value::Text("none".to_owned()));
    let done = database.migrations(soon()).await.unwrap();
    assert_eq!((done[0].version, done[1].version, done[0].checksum.len()), (1, 2, 64));
    assert!(matches!(execute(&database, "DELETE FROM caddis_migrations").await, Err(Error::Denied(_))));
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing_and_says_where() {
    let host = Host::new();
    let database = host.app("a").await;
    let broken = "CREATE TABLE more (a UNIQUE);\nINSERT INTO more VALUES (1);\n\n  INSERT INTO more\n  SELEKT 1;";
    let error = migrate(&database, &[FIRST, ("2.sql", broken), ("3.sql", "CREATE TABLE late (a)")]).await.unwrap_err();
    let MigrationError::Failed { name, script } = error else { panic!("{error:?}") };
    assert_eq!((name.as_str(), script.line, script.column), ("2.sql", 5, 3));
    assert_eq!(script.statement, "INSERT INTO more\n  SELEKT 1");
    let tables = "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'caddis%'";
    assert_eq!(
        value(&database, tables).await,
        Value::Text("notes".to_owned()),
        "of those before it all, of it nothing"
    );

    for (sql, part) in [
        ("CREATE TABLE x (a); COMMIT; DROP TABLE notes", "BEGIN, COMMIT"),
        ("CREATE TABLE x (a UNIQUE); INSERT INTO x VALUES (1), (1)", "UNIQUE"),
        ("CREATE TABLE x (a); INSERT OR ROLLBACK INTO notes (id) VALUES (1)", "UNIQUE"),
        ("PRAGMA user_version = 7", "PRAGMA"),
        ("ATTACH 'x' AS y", "ATTACH"),
        ("INSERT INTO caddis_policies VALUES (1)", "caddis_policies"),
    ] {
        let error = migrate(&database, &[("0002_bad.sql", sql)]).await.unwrap_err().to_string();
        assert!(error.starts_with("0002_bad.sql:1:") && error.contains(part), "{sql}: {error}");
        assert!(query(&database, "SELECT * FROM x").await.is_err(), "{sql}");
    }
    assert_eq!(value(&database, "SELECT count(*) FROM notes").await, Value::Integer(1));
}

#[tokio::test]
async fn what_was_run_stays_as_it_was() {
    let host = Host::new();
    let database = host.app("a").await;
    migrate(&database, &[FIRST, SECOND]).await.unwrap();
    let refused = [
        ("0001_notes.sql", "CREATE TABLE other (a)", "is not what was run"),
        ("0000_zero.sql", "SELECT 1", "a number from 1"),
        ("notes.sql", "SELECT 1", "a number from 1"),
        ("3_more.txt", "SELECT 1", "a number from 1"),
        ("3_../x.sql", "SELECT 1", "a number from 1"),
    ];
    for (name, sql, part) in refused {
        let error = migrate(&database, &[(name, sql)]).await.unwrap_err();
        assert!(matches!(&error, MigrationError::Refused(text) if text.contains(part)), "{error:?}");
    }
    migrate(&database, &[("7.sql", "SELECT 1")]).await.unwrap();
    let late = migrate(&database, &[("5_late.sql", "SELECT 1")]).await.unwrap_err();
    assert!(matches!(&late, MigrationError::Refused(text) if text.contains("too late")), "{late:?}");
    let twice = migrate(&database, &[("8_a.sql", "SELECT 1"), ("008_b.sql", "SELECT 2")]).await.unwrap_err();
    assert!(matches!(&twice, MigrationError::Refused(text) if text.contains("same number")), "{twice:?}");
    assert_eq!(database.migrations(soon()).await.unwrap().len(), 3);
}

async fn dumped(database: &Database) -> String {
    let mut pieces = database.dump(soon()).await.unwrap();
    let mut text = String::new();
    while let Some(piece) = pieces.recv().await {
        text += &piece.unwrap();
    }
    text
}

#[tokio::test]
async fn a_dump_makes_the_same_database_elsewhere() {
    let host = Host::new();
    let database = host.app("a").await;
    migrate(&database, &[FIRST, SECOND]).await.unwrap();
    for sql in [
        "CREATE TABLE \"odd \"\"name\" (a INTEGER PRIMARY KEY AUTOINCREMENT, v ANY, twice TEXT AS (v || v), note INTEGER REFERENCES late(id)) STRICT",
        "CREATE TABLE late (id INTEGER PRIMARY KEY) ",
        "INSERT INTO late VALUES (5)",
        "INSERT INTO \"odd \"\"name\" (v, note) VALUES (-9223372036854775808, 5), (0.1, 5), (9e999, NULL), ('it''s \n; x', NULL), (x'00ff', NULL), (NULL, NULL)",
        "INSERT INTO \"odd \"\"name\" (v) VALUES ('nul' || char(0) || 'end'), (CAST(x'ff' AS TEXT)), (1e300), (printf('%.*c', 2000000, 'x'))",
        "CREATE INDEX i ON notes(owner)",
        "CREATE VIEW v AS SELECT owner FROM notes",
        "CREATE VIRTUAL TABLE f USING fts5(title, content)",
        "INSERT INTO f(rowid, title, content) VALUES (9, 'one', 'quick fox')",
        "CREATE VIRTUAL TABLE g USING fts5(body, content='notes', content_rowid='id')",
        "INSERT INTO g(g) VALUES('rebuild')",
        "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)",
        "INSERT INTO r VALUES (1, 0, 5)",
    ] {
        execute(&database, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let text = dumped(&database).await;
    let copy = host.app("b").await;
    copy.import(text.clone(), soon()).await.unwrap().unwrap();
    assert_eq!(dumped(&copy).await, text);
    assert_eq!(value(&copy, "SELECT rowid FROM f WHERE f MATCH 'fox'").await, Value::Integer(9));
    assert_eq!(value(&copy, "SELECT count(*) FROM g WHERE g MATCH 'none'").await, Value::Integer(1));
    assert_eq!(value(&copy, "SELECT count(*) FROM r WHERE x1 > 4").await, Value::Integer(1));
    let sum = "SELECT group_concat(quote(v) || typeof(v) || length(v)) FROM \"odd \"\"name\"";
    assert_eq!(value(&copy, sum).await, value(&database, sum).await);
    let anon = copy.clone().acting_for(Arc::new(Caller::anon()));
    assert_eq!(value(&anon, "SELECT count(*) FROM notes").await, Value::Integer(0), "policies come along");
    assert_eq!(migrate(&copy, &[FIRST, SECOND]).await.unwrap(), Vec::<String>::new(), "and what was run");
}

#[tokio::test]
async fn an_import_is_all_or_nothing() {
    let host = Host::new();
    let database = host.app("a").await;
    let of_the_shell = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE c (p REFERENCES p(id));\nINSERT INTO c VALUES(1);\n\
                        CREATE TABLE p (id INTEGER PRIMARY KEY);\nINSERT INTO p VALUES(1);\nCOMMIT;\n";
    database.import(of_the_shell.to_owned(), soon()).await.unwrap().unwrap();
    let error =
        database.import("INSERT INTO p VALUES (2);\nINSERT INTO p VALUES (1)".to_owned(), soon()).await.unwrap();
    assert_eq!(error.unwrap_err().line, 2);
    let dangling = database.import("INSERT INTO c VALUES (7);".to_owned(), soon()).await.unwrap();
    assert!(matches!(dangling.unwrap_err().error, Error::Constraint { kind: ConstraintKind::ForeignKey, .. }));
    assert_eq!(value(&database, "SELECT count(*) FROM p").await, Value::Integer(1));
    let long = format!("SELECT '{}'", "x".repeat(crate::tunables::STATEMENT_BYTES));
    assert!(matches!(query(&database, &long).await, Err(Error::Limit(_))), "the length of a guest's is as it was");
}
