//! Statements, values and files.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn a_new_database_is_private_and_empty() {
    let host = Host::new();
    let database = host.app("a").await;
    assert_eq!(value(&database, "SELECT count(*) FROM sqlite_schema").await, Value::Integer(0));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let file = host.file("a");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(file.parent().unwrap().parent().unwrap()), 0o700);
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    assert_eq!(mode(&file.with_extension("sqlite-wal")), 0o600);
}

#[tokio::test]
async fn apps_do_not_share_tables() {
    let host = Host::new();
    execute(&host.app("a").await, "CREATE TABLE t(a)").await.unwrap();
    assert!(
        matches!(query(&host.app("b").await, "SELECT * FROM t").await, Err(Error::Syntax(text)) if text.contains("no such table: t"))
    );
    assert!(query(&host.app("a").await, "SELECT * FROM t").await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").await.unwrap();
    let values = vec![
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Real(f64::MAX),
        Value::Real(5e-324),
        Value::Real(f64::NEG_INFINITY),
        Value::Text(String::new()),
        Value::Text("a\0b 🦟".to_owned()),
        Value::Blob(vec![]),
        Value::Blob(vec![0, 255, 0]),
    ];
    for value in &values {
        let insert = "INSERT INTO t(v) VALUES(?)".to_owned();
        database.execute(insert, vec![value.clone()], soon()).await.unwrap();
    }
    let stored = query(&database, "SELECT v FROM t ORDER BY id").await.unwrap();
    assert_eq!(stored.rows.into_iter().flatten().collect::<Vec<_>>(), values);

    let echo = |value| database.query("SELECT ?".to_owned(), vec![value], soon());
    let Value::Real(zero) = single(echo(Value::Real(-0.0)).await.unwrap()) else { panic!("not a real") };
    assert!(zero == 0.0 && zero.is_sign_negative());
    assert_eq!(single(echo(Value::Real(f64::NAN)).await.unwrap()), Value::Null);
}

#[tokio::test]
async fn text_that_is_not_utf8_comes_back_as_a_blob() {
    let host = Host::new();
    let database = host.app("a").await;
    assert_eq!(value(&database, "SELECT CAST(x'61ff' AS TEXT)").await, Value::Blob(vec![0x61, 0xff]));
    let typed = query(&database, "SELECT 1 WHERE CAST(x'ff' AS TEXT) = CAST(x'ff' AS TEXT)").await.unwrap();
    assert_eq!(typed.rows.len(), 1);
}

#[tokio::test]
async fn changes_are_those_of_the_statement() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)").await.unwrap();
    execute(&database, "CREATE TABLE audit(a)").await.unwrap();
    execute(
        &database,
        "CREATE TRIGGER tr AFTER UPDATE ON t BEGIN INSERT INTO audit VALUES(1); INSERT INTO audit VALUES(2); END",
    )
    .await
    .unwrap();
    let inserted = execute(&database, "INSERT INTO t(a) VALUES(1),(2),(3)").await.unwrap();
    assert_eq!(inserted, Changes { rows_affected: 3, last_insert_id: 3 });
    for (sql, rows) in [
        ("UPDATE t SET a = 9 WHERE id < 3", 2),
        ("SELECT * FROM t", 0),
        ("DELETE FROM t WHERE id = 77", 0),
        ("CREATE TABLE other(a)", 0),
        ("INSERT INTO t(a) VALUES(4) RETURNING a", 1),
    ] {
        assert_eq!(execute(&database, sql).await.unwrap().rows_affected, rows, "{sql}");
    }
}

#[tokio::test]
async fn a_query_may_write() {
    let host = Host::new();
    let database = host.app("a").await;
    query(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)").await.unwrap();
    let rows = query(&database, "INSERT INTO t(a) VALUES('x'),('y') RETURNING id, a").await.unwrap();
    assert_eq!(rows.columns, ["id", "a"]);
    assert_eq!(rows.rows[1], [Value::Integer(2), Value::Text("y".to_owned())]);
    let rows =
        query(&database, "WITH n(a) AS (VALUES('z')) INSERT INTO t(a) SELECT a FROM n RETURNING id").await.unwrap();
    assert_eq!(single(rows), Value::Integer(3));
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(3));
}

#[tokio::test]
async fn column_names_follow_the_schema() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    execute(&database, "INSERT INTO t VALUES(1)").await.unwrap();
    assert_eq!(query(&database, "SELECT *, 2 AS a FROM t").await.unwrap().columns, ["a", "a"]);
    assert_eq!(query(&database, "SELECT * FROM t").await.unwrap().columns, ["a"]);
    execute(&database, "ALTER TABLE t ADD COLUMN b DEFAULT 5").await.unwrap();
    let rows = query(&database, "SELECT * FROM t").await.unwrap();
    assert_eq!((rows.columns.as_slice(), rows.rows[0].len()), (["a".to_owned(), "b".to_owned()].as_slice(), 2));
    assert_eq!(query(&database, "SELECT * FROM t WHERE a = 0").await.unwrap().columns, ["a", "b"]);
}

#[tokio::test]
async fn one_statement_at_a_time() {
    let host = Host::new();
    let database = host.app("a").await;
    for sql in ["SELECT 1; SELECT 2", "SELECT 1; nonsense", "SELECT 1;;/**/ SELECT 2;"] {
        assert!(
            matches!(query(&database, sql).await, Err(Error::Syntax(text)) if text.contains("one statement")),
            "{sql}"
        );
    }
    // rusqlite alone finds the end of such a text by recursion.
    let many = "SELECT 1;".repeat(100_000);
    assert!(matches!(query(&database, &many).await, Err(Error::Syntax(_))));
    for sql in
        ["SELECT 1;", ";SELECT 1 ; ", "SELECT 1 -- one", "SELECT 1; -- one\n", "SELECT 1;/* ; */;", "-- x\nSELECT 1"]
    {
        assert_eq!(value(&database, sql).await, Value::Integer(1), "{sql}");
    }
    assert_eq!(value(&database, "SELECT 'a;b'").await, Value::Text("a;b".to_owned()));
    for sql in ["", "  ;", "-- nothing", "\u{feff}"] {
        assert!(matches!(query(&database, sql).await, Err(Error::Syntax(_))), "{sql:?}");
    }
}

#[tokio::test]
async fn parameters_have_to_fit() {
    let host = Host::new();
    let database = host.app("a").await;
    for (sql, given, wanted) in
        [("SELECT ?, ?", 1, 2), ("SELECT 1", 1, 0), ("SELECT :a, @b, $c, :a", 4, 3), ("SELECT ?5", 1, 5)]
    {
        match database.query(sql.to_owned(), vec![Value::Integer(1); given], soon()).await {
            Err(Error::Parameter(text)) => {
                assert!(text.contains(&format!("{wanted} parameters, {given} values")), "{text}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    let named = "SELECT :b || ?1 || @c".to_owned();
    let texts = ["x", "y"].map(|text| Value::Text(text.to_owned())).to_vec();
    assert_eq!(single(database.query(named, texts, soon()).await.unwrap()), Value::Text("xxy".to_owned()));
}

#[tokio::test]
async fn broken_rules_are_named() {
    let host = Host::new();
    let database = host.app("a").await;
    for sql in [
        "CREATE TABLE p(id INTEGER PRIMARY KEY)",
        "CREATE TABLE t(k TEXT PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 1, c CHECK(c < 9), p REFERENCES p(id)) ",
        "CREATE TABLE s(i INTEGER) STRICT",
        "INSERT INTO t(k, u) VALUES('a', 1)",
        "INSERT INTO p VALUES(1)",
        "CREATE TRIGGER tr BEFORE DELETE ON p BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    ] {
        execute(&database, sql).await.unwrap();
    }
    for (sql, expected, part) in [
        ("INSERT INTO t(k) VALUES('a')", ConstraintKind::PrimaryKey, "t.k"),
        ("INSERT INTO p VALUES(1)", ConstraintKind::PrimaryKey, "p.id"),
        ("INSERT INTO t(k, u) VALUES('b', 1)", ConstraintKind::Unique, "UNIQUE constraint failed: t.u"),
        ("INSERT INTO t(k, n) VALUES('b', NULL)", ConstraintKind::NotNull, "t.n"),
        ("INSERT INTO t(k, c) VALUES('b', 10)", ConstraintKind::Check, "c < 9"),
        ("INSERT INTO t(k, p) VALUES('b', 5)", ConstraintKind::ForeignKey, "FOREIGN KEY"),
        ("INSERT INTO s VALUES('x')", ConstraintKind::Other, "s.i"),
        ("INSERT INTO p VALUES('x')", ConstraintKind::Other, "mismatch"),
        ("DELETE FROM p", ConstraintKind::Other, "not this one"),
    ] {
        match execute(&database, sql).await {
            Err(Error::Constraint { kind, message }) => {
                assert_eq!(kind, expected, "{sql}: {message}");
                assert!(message.contains(part), "{message}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn replaced_functions_answer_as_sqlite_does() {
    let host = Host::new();
    let database = host.app("a").await;
    let original = rusqlite::Connection::open_in_memory().unwrap();
    for expression in [
        "instr('häh', 'h')",
        "instr('aäbä', 'b')",
        "instr(x'c3a462', 'b')",
        "instr(x'c3a462', x'62')",
        "instr('a', '')",
        "instr('', 'a')",
        "instr(NULL, 'a')",
        "instr('a', NULL)",
        "instr(1234, 34)",
        "instr(12.5, '.')",
        "instr(1e20, 'e')",
        "replace('aaa', 'aa', 'b')",
        "replace('abcabc', 'b', '')",
        "replace(12.50, '.', ',')",
        "replace('a', '', 'b')",
        "replace('a', 'b', NULL)",
        "replace(NULL, 'b', 'c')",
        "replace(x'6162', 'a', 'x')",
        "replace('abc', 'c', 7)",
        "typeof(replace(5, 1, 2))",
        "replace('ab', 'ab', 'x')",
        "replace(0.1 + 0.2, '.', ',')",
        "replace(1e300 * 10, 'e', 'E')",
        "trim('xxaxx', 'x')",
        "ltrim('xyaxy', 'yx')",
        "rtrim('xyaxy', 'yx')",
        "trim('ääbä', 'ä')",
        "trim('abc', '')",
        "trim('aaa', 'a')",
        "trim(NULL, 'a')",
        "trim('a', NULL)",
        "trim(11.0, '1')",
        "trim('éa', 'è')",
        "trim('  a ')",
        "typeof(trim(5, 1))",
        "hex(trim(x'80618080', x'80'))",
        "unhex('4142')",
    ] {
        let sql = format!("SELECT {expression}");
        let expected = original.query_row(&sql, [], |row| Ok(Value::from_column(row.get_ref(0)?))).unwrap();
        assert_eq!(value(&database, &sql).await, expected, "{expression}");
    }
    // They may be part of a schema, as SQLite's own may.
    execute(&database, "CREATE TABLE t(a CHECK(instr(a, 'x') = 0))").await.unwrap();
    execute(&database, "CREATE INDEX i ON t(replace(a, 'b', 'c'))").await.unwrap();
    execute(&database, "INSERT INTO t VALUES('b')").await.unwrap();
}

#[tokio::test]
async fn unused_apps_are_closed_and_come_back() {
    let host = Host::with(Limits { open_apps: 2, ..Limits::default() });
    let held = host.app("held").await;
    for round in 0..3 {
        for name in ["a", "b", "c"] {
            let database = host.app(name).await;
            execute(&database, "CREATE TABLE IF NOT EXISTS t(a)").await.unwrap();
            execute(&database, "INSERT INTO t VALUES(1)").await.unwrap();
            assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(round + 1));
        }
        let open = host.databases.open.lock().unwrap();
        assert_eq!(open.len(), 2);
        assert!(open.contains_key(&"held".parse::<AppName>().unwrap()));
    }
    execute(&held, "CREATE TABLE t(a)").await.unwrap();
}

#[tokio::test]
async fn what_the_host_cannot_open_is_internal_without_its_paths() {
    let host = Host::new();
    std::fs::write(host.directory.path().join("data"), "not a directory").unwrap();
    let Err(error) = host.databases.open(&"a".parse().unwrap()).await else { panic!("opened") };
    assert!(matches!(error, Error::Internal(_)));
    assert_eq!(error.to_string(), "the database failed");

    let host = Host::new();
    std::fs::create_dir_all(host.file("a").parent().unwrap()).unwrap();
    std::fs::write(host.file("a"), "x".repeat(10_000)).unwrap();
    assert!(matches!(host.databases.open(&"a".parse().unwrap()).await, Err(Error::Internal(_))));
    // Once the file is put right the app works, without a restart.
    std::fs::remove_file(host.file("a")).unwrap();
    host.app("a").await;
}

#[tokio::test]
async fn mathematics_are_as_sqlite_has_them() {
    let host = Host::new();
    let database = host.app("a").await;
    let sql = "SELECT sqrt(2.25), pow(2, 10), ceil(1.2), floor(-1.5), floor(7), trunc('2.9'), ln(1), log(100), log(2, 8), log2(8), \
               mod(7.5, 2), atan2(0, 1), round(sin(pi() / 2), 6), degrees(pi()), exp(0), sqrt(-1), ln(0), sqrt(NULL), sqrt('x'), sign(-3)";
    let real = Value::Real;
    let expected = vec![
        real(1.5),
        real(1024.0),
        real(2.0),
        real(-2.0),
        Value::Integer(7),
        real(2.0),
        real(0.0),
        real(2.0),
        real(3.0),
        real(3.0),
        real(1.5),
        real(0.0),
        real(1.0),
        real(180.0),
        real(1.0),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Integer(-1),
    ];
    assert_eq!(query(&database, sql).await.unwrap().rows, [expected]);
}
