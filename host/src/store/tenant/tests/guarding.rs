//! SQL that is none of a guest's business.

use super::*;

async fn with_table() -> (Host, Database) {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a)").await.unwrap();
    execute(&database, "INSERT INTO t(a) VALUES(1)").await.unwrap();
    execute(&database, "ANALYZE").await.unwrap();
    (host, database)
}

#[tokio::test]
async fn what_reaches_beyond_the_tables_is_denied() {
    let (host, database) = with_table().await;
    let outside = host.directory.path().join("outside.sqlite");
    for sql in [
        &format!("ATTACH '{}' AS x", outside.display()) as &str,
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "VACUUM",
        &format!("VACUUM INTO '{}'", outside.display()),
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1",
        "PRAGMA max_page_count = 99999999",
        "PRAGMA query_only = 0",
        "PRAGMA page_size = 512",
        "PRAGMA user_version",
        "PRAGMA wal_checkpoint",
        "PRAGMA temp_store_directory = '/'",
        "SELECT * FROM pragma_compile_options",
        "SELECT * FROM pragma_database_list",
        "BEGIN",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT s",
        "RELEASE result",
        "ROLLBACK TO result",
        "INSERT INTO sqlite_schema(type) VALUES('table')",
        "UPDATE sqlite_master SET sql = ''",
        "DELETE FROM sqlite_sequence",
        "UPDATE SQLITE_SEQUENCE SET seq = 5",
        "WITH x AS (SELECT 1) DELETE FROM sqlite_stat1",
        "DROP TABLE sqlite_sequence",
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('simple')",
        "CREATE VIRTUAL TABLE f USING fts3(a)",
        "CREATE VIRTUAL TABLE f USING fts4(a)",
        "CREATE VIRTUAL TABLE f USING dbstat",
        "CREATE TEMP TABLE x(a)",
        "CREATE TEMPORARY VIEW x AS SELECT 1",
        "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TABLE temp.x(a)",
        "CREATE TABLE temp.x AS SELECT 1",
        "CREATE VIEW temp.x AS SELECT 1",
        "CREATE TRIGGER temp.x AFTER INSERT ON main.t BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE temp.x USING fts5(a)",
    ] {
        let result = query(&database, sql).await;
        assert!(matches!(&result, Err(Error::Denied(text)) if !text.is_empty()), "{sql}: {result:?}");
        let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
        let result = transaction.execute(sql.to_owned(), vec![], soon()).await;
        let is_vacuum = sql.starts_with("VACUUM") && matches!(result, Err(Error::Syntax(_)));
        assert!(is_vacuum || matches!(result, Err(Error::Denied(_))), "{sql}: {result:?}");
        transaction.commit().await.expect("still open");
        assert!(!outside.exists());
    }
}

#[tokio::test]
async fn a_trigger_or_a_view_is_no_way_around() {
    let (_host, database) = with_table().await;
    execute(&database, "CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM sqlite_sequence; END").await.unwrap();
    assert!(
        matches!(execute(&database, "INSERT INTO t(a) VALUES(2)").await, Err(Error::Denied(text)) if text.contains("sqlite_sequence"))
    );
    execute(&database, "DROP TRIGGER tr").await.unwrap();
    execute(&database, "CREATE VIEW v AS SELECT load_extension('x')").await.unwrap();
    assert!(matches!(query(&database, "SELECT * FROM v").await, Err(Error::Denied(_))));
}

#[tokio::test]
async fn a_cached_statement_of_the_host_is_no_way_around() {
    let (_host, database) = with_table().await;
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    transaction.commit().await.unwrap();
    for sql in ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT result"] {
        assert!(
            matches!(execute(&database, sql).await, Err(Error::Denied(text)) if text.contains("transaction")),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn ordinary_schemas_are_allowed() {
    let (_host, database) = with_table().await;
    for sql in [
        "CREATE TABLE IF NOT EXISTS n(id INTEGER PRIMARY KEY, body TEXT, data TEXT, big AS (length(body)) STORED)",
        "CREATE UNIQUE INDEX i ON n(json_extract(data, '$.k')) WHERE data IS NOT NULL",
        "CREATE VIEW v AS SELECT * FROM n",
        "CREATE TRIGGER tr AFTER INSERT ON n BEGIN UPDATE t SET a = a + 1; END",
        "INSERT INTO n(body, data) VALUES('hello world', '{\"k\": 1}')",
        "INSERT INTO n(id, body) VALUES(1, 'x') ON CONFLICT(id) DO UPDATE SET body = excluded.body",
        "ALTER TABLE n RENAME COLUMN body TO content",
        "ALTER TABLE n ADD COLUMN extra DEFAULT 1",
        "ALTER TABLE t RENAME TO t2",
        "ALTER TABLE t2 RENAME TO t",
        "REINDEX",
        "ANALYZE",
        "ANALYZE n",
        "CREATE TABLE copy AS SELECT * FROM n",
        "DROP TABLE copy",
        "CREATE VIRTUAL TABLE f USING fts5(body)",
        "INSERT INTO f VALUES('the quick brown fox')",
        "INSERT INTO f(f) VALUES('optimize')",
        "INSERT INTO f(f) VALUES('integrity-check')",
        "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)",
        "INSERT INTO r VALUES(1, 0, 5)",
        "DROP INDEX i",
        "DROP VIEW v",
        "DROP TRIGGER tr",
        "DELETE FROM n",
        "DROP TABLE n",
        "DROP TABLE t",
    ] {
        execute(&database, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    assert_eq!(value(&database, "SELECT count(*) FROM f WHERE f MATCH 'fox'").await, Value::Integer(1));
    assert_eq!(value(&database, "SELECT id FROM r WHERE x0 < 1 AND x1 > 4").await, Value::Integer(1));
    assert_eq!(
        value(&database, "SELECT group_concat(value) FROM json_each('[1,2]')").await,
        Value::Text("1,2".to_owned())
    );
    execute(&database, "DROP TABLE f").await.unwrap();
    execute(&database, "DROP TABLE r").await.unwrap();
}

#[tokio::test]
async fn the_schema_can_be_read() {
    let (_host, database) = with_table().await;
    assert_eq!(query(&database, "PRAGMA table_info(t)").await.unwrap().rows.len(), 2);
    assert_eq!(query(&database, "SELECT name FROM pragma_table_info('t')").await.unwrap().rows.len(), 2);
    for sql in ["PRAGMA table_xinfo('t')", "PRAGMA index_list(t)", "PRAGMA index_info(i)", "PRAGMA foreign_key_list(t)"]
    {
        query(&database, sql).await.unwrap();
    }
    query(&database, "EXPLAIN QUERY PLAN SELECT * FROM t").await.unwrap();
    query(&database, "EXPLAIN INSERT INTO t(a) VALUES(1)").await.unwrap();
    query(&database, "SELECT sql FROM sqlite_schema").await.unwrap();
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(1));
}

#[tokio::test]
async fn shadow_tables_of_full_text_search_are_read_only() {
    let (_host, database) = with_table().await;
    execute(&database, "CREATE VIRTUAL TABLE f USING fts5(body)").await.unwrap();
    let result = execute(&database, "UPDATE f_data SET block = x'00'").await;
    assert!(matches!(&result, Err(Error::Denied(text)) if text.contains("f_data")), "{result:?}");
}
