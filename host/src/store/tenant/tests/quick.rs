//! Statements that are run without a thread for them: which, and what becomes of those that turn out to be slow.

use super::*;
use crate::store::tenant::connection::quick::RUN_AT_ONCE;

const COUNT: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n";

/// What comes out, and whether that was done without a thread for it.
async fn observed<T>(running: impl Future<Output = Result<T, Error>>) -> (bool, T) {
    let before = RUN_AT_ONCE.get();
    let result = running.await.unwrap();
    (RUN_AT_ONCE.get() > before, result)
}

async fn run(database: &Database, sql: &str, parameter: i64) -> (bool, Outcome) {
    observed(database.run(sql.to_owned(), vec![Value::Integer(parameter)], soon())).await
}

/// Runs it until it is done at once.
async fn until_at_once(database: &Database, sql: &str, parameter: i64) -> Outcome {
    loop {
        if let (true, outcome) = run(database, sql, parameter).await {
            return outcome;
        }
    }
}

async fn database(host: &Host) -> Database {
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)").await.unwrap();
    let fill = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) INSERT INTO t SELECT i, printf('%0100d', i) FROM n";
    execute(&database, fill).await.unwrap();
    database
}

#[tokio::test]
async fn a_text_that_was_quick_is_run_at_once_and_on_a_thread_when_it_is_slow() {
    let host = Host::new();
    let database = database(&host).await;
    let read = "SELECT body FROM t WHERE id = ?";
    assert!(!run(&database, read, 7).await.0, "the first time nothing is known of it");
    assert_eq!(until_at_once(&database, read, 8).await.rows.rows, [[Value::Text(format!("{:0100}", 8))]]);

    assert_eq!(until_at_once(&database, COUNT, 3).await.rows.rows, [[Value::Integer(3)]]);
    let (at_once, outcome) = run(&database, COUNT, 2_000_000).await;
    assert_eq!((at_once, outcome.rows.rows), (false, vec![vec![Value::Integer(2_000_000)]]));
    assert!(!run(&database, COUNT, 3).await.0, "that it was slow is not forgotten");
    until_at_once(&database, COUNT, 3).await;
}

#[tokio::test]
async fn what_cannot_be_stopped_or_is_large_is_never_run_at_once() {
    let host = Host::new();
    let database = database(&host).await;
    let many = "SELECT id, body FROM t WHERE id > ?";
    until_at_once(&database, many, 1_990).await;
    let (at_once, outcome) = run(&database, many, 0).await;
    assert_eq!((at_once, outcome.rows.rows.len()), (false, 2_000));
    for sql in [
        "SELECT body LIKE 'a%' FROM t WHERE id = ?",
        "SELECT printf('%d', id) FROM t WHERE id = ?",
        "SELECT json_extract('{}', '$.a') FROM t WHERE id = ?",
        "UPDATE t SET body = 'x' WHERE id = ?",
        "INSERT INTO t (body) VALUES (?) RETURNING id",
    ] {
        for _ in 0..20 {
            assert!(!run(&database, sql, 7).await.0, "{sql}");
        }
    }
}

#[tokio::test]
async fn what_fails_at_once_fails_with_the_same_error() {
    let host = Host::new();
    let database = database(&host).await;
    let sum = "SELECT sum(id + ?) FROM t WHERE id < 5";
    until_at_once(&database, sum, 1).await;
    let overflow = database.run(sum.to_owned(), vec![Value::Integer(i64::MAX - 4)], soon()).await;
    assert!(matches!(&overflow, Err(Error::Syntax(text)) if text.contains("integer overflow")), "{overflow:?}");
    until_at_once(&database, sum, 1).await;
    let missing = database.run(sum.to_owned(), vec![], soon()).await;
    assert!(matches!(missing, Err(Error::Parameter(_))), "{missing:?}");
    until_at_once(&database, sum, 1).await;
    let late = database.run(sum.to_owned(), vec![Value::Integer(1)], Instant::now()).await;
    assert!(matches!(late, Err(Error::Timeout)), "{late:?}");
    execute(&database, "DROP TABLE t").await.unwrap();
    let gone = database.run(sum.to_owned(), vec![Value::Integer(1)], soon()).await;
    assert!(matches!(gone, Err(Error::Syntax(_))), "{gone:?}");
}

#[tokio::test]
async fn a_transaction_reads_its_own_writes_at_once() {
    let host = Host::new();
    let database = database(&host).await;
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    let read = "SELECT body FROM t WHERE id = 2001";
    let mut at_once = 0;
    for round in 0..10 {
        let write = "INSERT INTO t VALUES (2001, ?) ON CONFLICT DO UPDATE SET body = excluded.body";
        transaction.execute(write.to_owned(), vec![Value::Integer(round)], soon()).await.unwrap();
        let (quick, outcome) = observed(transaction.run(read.to_owned(), vec![], soon())).await;
        at_once += usize::from(quick);
        assert_eq!(outcome.rows.rows, [[Value::Text(round.to_string())]]);
        assert_eq!(outcome.changes, Changes { rows_affected: 0, last_insert_id: 2001 });
    }
    assert!(at_once > 0);
    transaction.rollback().await.unwrap();
    assert!(query(&database, read).await.unwrap().rows.is_empty());
}
