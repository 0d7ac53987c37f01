//! Every cap, met.

use super::*;

fn is_limit<T: std::fmt::Debug>(result: Result<T, Error>, what: &str) {
    assert!(matches!(&result, Err(Error::Limit(_))), "{}: {result:?}", what.chars().take(80).collect::<String>());
}

#[tokio::test]
async fn results_have_a_size() {
    let host = Host::new();
    let database = host.app("a").await;
    let numbers =
        |count: usize| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) ");
    let rows = query(&database, &format!("{} SELECT i FROM n", numbers(RESULT_ROWS))).await.unwrap();
    assert_eq!(rows.rows.len(), RESULT_ROWS);
    is_limit(query(&database, &format!("{} SELECT i FROM n", numbers(RESULT_ROWS + 1))).await, "rows");
    is_limit(query(&database, &format!("{} SELECT zeroblob(1000000) FROM n", numbers(9))).await, "bytes");
    let nulls = vec!["NULL"; 200].join(",");
    is_limit(query(&database, &format!("{} SELECT {nulls} FROM n", numbers(RESULT_ROWS))).await, "bytes of nothing");
}

#[tokio::test]
async fn a_write_whose_result_is_too_large_is_undone() {
    let host = Host::with(Limits { result_rows: 5, ..Limits::default() });
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    let insert = "INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5,6]') RETURNING a";
    is_limit(query(&database, insert).await, insert);
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(0));
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    transaction.execute("INSERT INTO t VALUES(7)".to_owned(), vec![], soon()).await.unwrap();
    is_limit(transaction.query(insert.to_owned(), vec![], soon()).await, insert);
    transaction.commit().await.unwrap();
    assert_eq!(value(&database, "SELECT sum(a) FROM t").await, Value::Integer(7));
    // The statement works when its result fits.
    assert_eq!(query(&database, &insert.replace(",6]", "]")).await.unwrap().rows.len(), 5);
}

#[tokio::test]
async fn sqlite_s_own_limits_are_named() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    let repeat = |part: &str, separator: &str, count: usize| vec![part; count].join(separator);
    for sql in [
        format!("SELECT {}", repeat("1", "+", 600)),
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT {}", repeat("1", ",", 501)),
        repeat("SELECT 1", " UNION ALL ", 501),
        format!("SELECT max({})", repeat("1", ",", 101)),
        "SELECT ?40000".to_owned(),
        format!("SELECT 'a' LIKE '{}'", "%a".repeat(600)),
        format!("SELECT 1 FROM {}", repeat("t", ",", 65)),
        "SELECT randomblob(1000000000)".to_owned(),
        "SELECT zeroblob(1000000000)".to_owned(),
        "SELECT printf('%.*c', 1000000000, 'x')".to_owned(),
        "SELECT printf('%1000000000d', 1)".to_owned(),
        "SELECT hex(zeroblob(8000000))".to_owned(),
        "SELECT replace(zeroblob(1000), x'00', printf('%.*c', 10000, 'x'))".to_owned(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT group_concat(printf('%.*c', 1000, 'x')) FROM n".to_owned(),
        "WITH RECURSIVE n(i) AS (SELECT 'x' UNION ALL SELECT i || i FROM n) SELECT length(i) FROM n".to_owned(),
        format!("SELECT '{}'", "x".repeat(STATEMENT)),
    ] {
        is_limit(query(&database, &sql).await, &sql);
    }
    let large = vec![Value::Blob(vec![0; crate::tunables::VALUE_BYTES + 1])];
    is_limit(database.execute("INSERT INTO t VALUES(?)".to_owned(), large, soon()).await, "parameter");
    let largest = vec![Value::Blob(vec![7; crate::tunables::VALUE_BYTES - 100])];
    database.execute("INSERT INTO t VALUES(?)".to_owned(), largest, soon()).await.unwrap();
    assert_eq!(value(&database, "SELECT length(a) FROM t").await, Value::Integer(8_388_508));
}

const STATEMENT: usize = crate::tunables::STATEMENT_BYTES;

#[tokio::test]
async fn triggers_do_not_recurse_without_end() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    for index in 0..60 {
        execute(&database, &format!("CREATE TABLE t{index}(a)")).await.unwrap();
        let source = if index == 0 { "t".to_owned() } else { format!("t{}", index - 1) };
        let trigger =
            format!("CREATE TRIGGER g{index} AFTER INSERT ON {source} BEGIN INSERT INTO t{index} VALUES(1); END");
        execute(&database, &trigger).await.unwrap();
    }
    is_limit(execute(&database, "INSERT INTO t VALUES(1)").await, "triggers");
}

#[tokio::test]
async fn deep_schemas_and_statements_do_not_reach_the_end_of_the_stack() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE VIEW v0 AS SELECT 1 AS a").await.unwrap();
    let mut deepest = 0;
    for index in 1..1_100 {
        if execute(&database, &format!("CREATE VIEW v{index} AS SELECT a FROM v{}", index - 1)).await.is_err() {
            break;
        }
        deepest = index;
    }
    assert!((900..1_000).contains(&deepest), "{deepest}");
    let _ = query(&database, &format!("SELECT * FROM v{deepest}")).await;
    let common = (1..20_000).map(|index| format!(",c{index} AS (SELECT * FROM c{})", index - 1)).collect::<String>();
    let _ = query(&database, &format!("WITH c0 AS (SELECT 1){common} SELECT * FROM c19999")).await;
    for (open, close) in [
        ("SELECT * FROM (", ")"),
        ("SELECT (", ")"),
        ("SELECT 1 WHERE EXISTS (", ")"),
        ("WITH x AS (", ") SELECT * FROM x"),
    ] {
        for depth in [50, 150, 300, 500, 1_000, 20_000] {
            let _ = query(&database, &format!("{}SELECT 1{}", open.repeat(depth), close.repeat(depth))).await;
        }
    }
    assert_eq!(value(&database, "SELECT a FROM v10").await, Value::Integer(1));
}

#[tokio::test]
async fn a_long_chain_of_triggers_does_not_reach_the_end_of_the_stack() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t0(a)").await.unwrap();
    for index in 1..490 {
        execute(&database, &format!("CREATE TABLE t{index}(a)")).await.unwrap();
        let body = format!("INSERT INTO t{index} SELECT * FROM (SELECT new.a)");
        execute(&database, &format!("CREATE TRIGGER g{index} AFTER INSERT ON t{} BEGIN {body}; END", index - 1))
            .await
            .unwrap();
    }
    is_limit(execute(&database, "INSERT INTO t0 VALUES(1)").await, "triggers");
    execute(&database, "INSERT INTO t480 VALUES(1)").await.unwrap();
}

#[tokio::test]
async fn a_database_has_a_size() {
    let host = Host::with(Limits { database_bytes: 200_000, ..Limits::default() });
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    let insert = || database.execute("INSERT INTO t VALUES(zeroblob(10000))".to_owned(), vec![], soon());
    let mut rows = 0;
    let error = loop {
        match insert().await {
            Ok(_) => rows += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Limit(_)), "{error:?}");
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(rows));
    execute(&database, "DELETE FROM t").await.unwrap();
    insert().await.unwrap();
}

#[tokio::test]
async fn a_statement_has_a_budget_of_memory() {
    let host = Host::new();
    assert!(install_allocator(), "SQLite was used before");
    let database = host.app("a").await;
    let bombs = [
        format!("SELECT {}", vec!["randomblob(8000000)"; 100].join(",")),
        format!("SELECT {}", vec!["zeroblob(8000000) || 'x'"; 100].join(",")),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT count(DISTINCT randomblob(4000000)) FROM n".to_owned(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT length(b) FROM (SELECT randomblob(4000000) AS b FROM n ORDER BY b)".to_owned(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n) SELECT count(*) FROM n".to_owned(),
    ];
    for sql in &bombs {
        is_limit(query(&database, sql).await, sql);
        assert_eq!(value(&database, "SELECT 1").await, Value::Integer(1));
    }
    // Beside a bomb, the others have memory.
    let bomb = query(&database, &bombs[0]);
    let good = query(&database, "SELECT length(randomblob(8000000))");
    let (bomb, good) = tokio::join!(bomb, good);
    is_limit(bomb, &bombs[0]);
    assert_eq!(single(good.unwrap()), Value::Integer(8_000_000));
}

#[tokio::test]
async fn a_transaction_survives_a_statement_without_memory() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    let bomb = format!("SELECT {}", vec!["randomblob(8000000)"; 100].join(","));
    is_limit(transaction.query(bomb, vec![], soon()).await, "bomb");
    transaction.execute("INSERT INTO t VALUES(1)".to_owned(), vec![], soon()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(1));
}
