//! Batches, named parameters, and results read piece by piece.

use super::*;
use crate::tunables::CURSOR_ROWS;

fn statement(sql: &str, values: Vec<Value>) -> Statement {
    Statement { sql: sql.to_owned(), parameters: values.into() }
}

async fn with_table() -> (Host, Database) {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)").await.unwrap();
    (host, database)
}

#[tokio::test]
async fn a_batch_is_done_as_a_whole() {
    let (_host, database) = with_table().await;
    let insert = |value| statement("INSERT INTO t(v) VALUES(?) RETURNING id", vec![Value::Integer(value)]);
    let count = || statement("SELECT count(*) FROM t", vec![]);
    let outcomes = database.batch(vec![insert(7), count(), insert(8)], soon()).await.unwrap();
    let rows: Vec<_> = outcomes.iter().map(|outcome| outcome.rows.rows[0][0].clone()).collect();
    assert_eq!(rows, [Value::Integer(1), Value::Integer(1), Value::Integer(2)]);
    assert_eq!(outcomes[2].changes, Changes { rows_affected: 1, last_insert_id: 2 });

    let result = database.batch(vec![insert(9), insert(7), insert(10)], soon()).await;
    let Err(Error::Constraint { kind: ConstraintKind::Unique, message }) = result else { panic!("{result:?}") };
    assert!(message.starts_with("statement 2: "), "{message}");
    let result = database.batch(vec![insert(9), statement("INSERT OR ROLLBACK INTO t(v) VALUES(7)", vec![])], soon());
    assert!(matches!(result.await, Err(Error::Constraint { .. })));
    assert!(matches!(
        database.batch(vec![insert(9), statement("COMMIT", vec![])], soon()).await,
        Err(Error::Denied(_))
    ));
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(2));
    assert_eq!(database.batch(vec![], soon()).await.unwrap(), []);
}

#[tokio::test]
async fn the_results_of_a_batch_share_a_limit() {
    let host = Host::with(Limits { result_bytes: 10_000, ..Limits::default() });
    let database = host.app("a").await;
    let large = || statement("SELECT zeroblob(4000)", vec![]);
    database.batch(vec![large(), large()], soon()).await.unwrap();
    let result = database.batch(vec![large(), large(), large()], soon()).await;
    assert!(matches!(&result, Err(Error::Limit(text)) if text.starts_with("statement 3: ")), "{result:?}");
    let many = vec![statement("SELECT 1", vec![]); crate::tunables::BATCH_STATEMENTS + 1];
    assert!(matches!(database.batch(many, soon()).await, Err(Error::Limit(text)) if text.contains("10000")));
}

#[tokio::test]
async fn parameters_may_have_names() {
    let (_host, database) = with_table().await;
    let named = |pairs: &[(&str, i64)]| {
        Parameters::Named(pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::Integer(*value))).collect())
    };
    let sql = "SELECT :a + @b * $c + :a";
    let run = |sql: &str, parameters| database.query(sql.to_owned(), parameters, soon());
    for pairs in [[("a", 1), ("b", 2), ("c", 3)], [(":a", 1), ("$b", 2), ("@c", 3)]] {
        assert_eq!(single(run(sql, named(&pairs)).await.unwrap()), Value::Integer(8));
    }
    for (sql, pairs, part) in [
        (sql, vec![("a", 1), ("b", 2)], "$c"),
        ("SELECT :a", vec![("a", 1), ("b", 2)], "no parameter b"),
        ("SELECT :a", vec![("a", 1), (":a", 2)], "twice"),
        ("SELECT ?, :a", vec![("a", 1)], "no name"),
        ("SELECT ?1", vec![("1", 1)], "no name"),
    ] {
        let result = run(sql, named(&pairs)).await;
        assert!(matches!(&result, Err(Error::Parameter(text)) if text.contains(part)), "{sql}: {result:?}");
    }
}

#[tokio::test]
async fn a_cursor_reads_one_snapshot_to_its_end() {
    let (_host, database) = with_table().await;
    let rows = 10 * CURSOR_ROWS + 1;
    let fill =
        format!("INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows}) SELECT i, i FROM n");
    execute(&database, &fill).await.unwrap();
    let mut cursor = database.cursor("SELECT id FROM t ORDER BY id".to_owned(), Vec::new(), soon()).await.unwrap();
    assert_eq!(cursor.columns(), ["id"]);
    execute(&database, "DELETE FROM t").await.unwrap();
    let mut next = 1;
    loop {
        let piece = cursor.next().await.unwrap();
        if piece.is_empty() {
            break;
        }
        assert!(piece.len() <= CURSOR_ROWS);
        for row in piece {
            assert_eq!(row, [Value::Integer(next)]);
            next += 1;
        }
    }
    assert_eq!(usize::try_from(next).unwrap(), rows + 1);
    assert_eq!(cursor.next().await.unwrap(), Vec::<Vec<Value>>::new(), "the end stays");
}

#[tokio::test]
async fn a_cursor_that_is_dropped_frees_its_place() {
    let (_host, database) = with_table().await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    for _ in 0..3 * crate::tunables::READERS_PER_APP {
        let mut cursor = database.cursor(endless.to_owned(), Vec::new(), soon()).await.unwrap();
        assert_eq!(cursor.next().await.unwrap().len(), CURSOR_ROWS);
    }
    database.app.cursors.all_back().await;
}

#[tokio::test]
async fn a_cursor_ends_with_an_error_where_its_statement_does() {
    let (_host, database) = with_table().await;
    let open = |sql: &str, deadline| database.cursor(sql.to_owned(), Vec::new(), deadline);
    for (sql, part) in
        [("INSERT INTO t(v) VALUES(1) RETURNING id", "reads"), ("PRAGMA wal_checkpoint", "wal_checkpoint")]
    {
        assert!(matches!(open(sql, soon()).await, Err(Error::Denied(text)) if text.contains(part)), "{sql}");
    }
    assert!(matches!(open("SELEKT", soon()).await, Err(Error::Syntax(_))));
    let late = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) SELECT abs(iif(i < 4000, i, -9223372036854775808)) FROM n";
    let mut cursor = open(late, soon()).await.unwrap();
    let failure = loop {
        match cursor.next().await {
            Ok(piece) => assert!(!piece.is_empty(), "it ended well"),
            Err(error) => break error,
        }
    };
    assert!(matches!(failure, Error::Syntax(text) if text.contains("overflow")));
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let deadline = Instant::now() + Duration::from_millis(50);
    assert!(matches!(open(slow, deadline).await, Err(Error::Timeout)));
    assert!(matches!(open("SELECT zeroblob(5000000), zeroblob(5000000)", soon()).await, Err(Error::Limit(_))));
}

#[tokio::test]
async fn a_batch_in_a_transaction_is_all_or_nothing_and_the_rest_of_it_stays() {
    let (_host, database) = with_table().await;
    let insert = |value| statement("INSERT INTO t(v) VALUES(?) RETURNING id", vec![Value::Integer(value)]);
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    transaction.run("INSERT INTO t(v) VALUES(1)".to_owned(), vec![], soon()).await.unwrap();
    let outcomes = transaction.batch(vec![insert(2), insert(3)], soon()).await.unwrap();
    assert_eq!(outcomes[1].rows.rows, [[Value::Integer(3)]]);
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(0), "nothing is committed yet");

    for bad in [insert(1), statement("COMMIT", vec![]), statement("DROP POLICY p ON t", vec![]), statement("", vec![])]
    {
        let result = transaction.batch(vec![insert(4), bad], soon()).await.unwrap_err().to_string();
        assert!(result.starts_with("statement 2: "), "{result}");
    }
    assert_eq!(transaction.batch(vec![], soon()).await.unwrap(), []);
    let inside = transaction.query("SELECT v FROM t".to_owned(), vec![], soon()).await.unwrap();
    assert_eq!(inside.rows, [1, 2, 3].map(|v| vec![Value::Integer(v)]));
    let many = vec![statement("SELECT 1", vec![]); crate::tunables::BATCH_STATEMENTS + 1];
    assert!(matches!(transaction.batch(many, soon()).await, Err(Error::Limit(_))));
    transaction.commit().await.unwrap();
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(3));

    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    let undone = vec![insert(4), statement("INSERT OR ROLLBACK INTO t(v) VALUES(1)", vec![])];
    assert!(matches!(transaction.batch(undone, soon()).await, Err(Error::Constraint { .. })));
    assert!(matches!(transaction.batch(vec![insert(4)], soon()).await, Err(Error::Closed)));
    let transaction = database.begin(TransactionMode::ReadOnly, soon()).await.unwrap();
    let count = || statement("SELECT count(*) FROM t", vec![]);
    let denied = transaction.batch(vec![count(), insert(4)], soon()).await;
    assert!(matches!(&denied, Err(Error::Denied(text)) if text.contains("statement 2: ")), "{denied:?}");
    let [first, second] = &transaction.batch(vec![count(), count()], soon()).await.unwrap()[..] else { panic!() };
    assert_eq!((&first.rows.rows, first), (&vec![vec![Value::Integer(3)]], second));
}

#[tokio::test]
async fn a_batch_in_a_transaction_that_takes_too_long_ends_it() {
    let (_host, database) = with_table().await;
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    let endless = "INSERT INTO t(v) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let deadline = Instant::now() + Duration::from_millis(20);
    let result = transaction.batch(vec![statement(endless, vec![])], deadline).await;
    assert!(matches!(result, Err(Error::Timeout)), "{result:?}");
    assert!(matches!(transaction.batch(vec![], soon()).await, Err(Error::Closed)));
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_goes_on_as_soon_as_a_cursor_was_refused() {
    let (_host, database) = with_table().await;
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    for _ in 0..200 {
        let refused = transaction.cursor("DELETE FROM t".to_owned(), vec![], soon()).await;
        assert!(matches!(refused, Err(Error::Denied(_))));
        transaction.query("SELECT 1".to_owned(), vec![], soon()).await.unwrap();
    }
}
