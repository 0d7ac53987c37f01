//! Statements and flushes that are run without a thread for them: which, and what becomes of those that turn out to be slow.

use std::sync::atomic::Ordering;

use super::*;
use crate::store::tenant::connection::quick::RUN_AT_ONCE;
use crate::store::tenant::journal::FLUSHED_AT_ONCE;
use crate::store::tenant::log::LOG_PAGES;

const COUNT: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT sum(1) FROM n";

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
    for sql in [
        "CREATE VIRTUAL TABLE found USING fts5(body)",
        "CREATE TABLE indexed (body)",
        "CREATE TRIGGER i AFTER INSERT ON indexed BEGIN INSERT INTO found VALUES (new.body); END",
    ] {
        execute(&database, sql).await.unwrap();
    }
    let many = "SELECT id, body FROM t WHERE id > ?";
    until_at_once(&database, many, 1_990).await;
    let (at_once, outcome) = run(&database, many, 0).await;
    assert_eq!((at_once, outcome.rows.rows.len()), (false, 2_000));
    for sql in [
        "SELECT body LIKE 'a%' FROM t WHERE id = ?",
        "SELECT printf('%d', id) FROM t WHERE id = ?",
        "SELECT json_extract('{}', '$.a') FROM t WHERE id = ?",
        "SELECT max(value) FROM json_each('[1]') WHERE value = ?",
        "SELECT max(rowid) FROM found WHERE rowid = ?",
        "UPDATE t SET body = lower(body) WHERE id = ?",
        "INSERT INTO found VALUES (?)",
        "INSERT INTO indexed VALUES (?)",
        "DELETE FROM found WHERE rowid = ?",
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

const FILL: &str =
    "INSERT INTO t (body) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT 'filled' FROM n";

async fn filled(database: &Database) -> Value {
    value(database, "SELECT count(*) FROM t WHERE body = 'filled'").await
}

#[tokio::test]
async fn a_write_that_was_quick_is_done_at_once_and_exactly_once_when_it_is_slow() {
    let host = Host::new();
    let database = database(&host).await;
    let insert = "INSERT INTO t (body) VALUES (?)";
    assert!(!run(&database, insert, 1).await.0, "the first time nothing is known of it");
    let outcome = until_at_once(&database, insert, 2).await;
    assert_eq!(outcome.changes.rows_affected, 1);
    let returning = "INSERT INTO t (body) VALUES (?) RETURNING id";
    let outcome = until_at_once(&database, returning, 3).await;
    assert_eq!(outcome.rows.rows, [[Value::Integer(outcome.changes.last_insert_id)]]);
    until_at_once(&database, "UPDATE t SET body = 'x' WHERE id = ?", 7).await;
    assert_eq!(value(&database, "SELECT body FROM t WHERE id = 7").await, Value::Text("x".to_owned()));

    execute(&database, "DELETE FROM t WHERE body = 'filled'").await.unwrap();
    until_at_once(&database, FILL, 1).await;
    execute(&database, "DELETE FROM t WHERE body = 'filled'").await.unwrap();
    until_at_once(&database, FILL, 1).await;
    execute(&database, "DELETE FROM t WHERE body = 'filled'").await.unwrap();
    let (at_once, outcome) = run(&database, FILL, 100_000).await;
    assert_eq!((at_once, outcome.changes.rows_affected), (false, 100_000));
    assert_eq!(filled(&database).await, Value::Integer(100_000));
    assert!(!run(&database, FILL, 1).await.0, "that it was slow is not forgotten");
}

#[tokio::test]
async fn what_a_write_left_behind_when_it_failed_at_once_is_not_left_twice() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t (v INTEGER CHECK (v < 10))").await.unwrap();
    let insert = "INSERT OR FAIL INTO t VALUES (1), (2), (?)";
    until_at_once(&database, insert, 3).await;
    execute(&database, "DELETE FROM t").await.unwrap();
    let before = RUN_AT_ONCE.get();
    let failed = database.run(insert.to_owned(), vec![Value::Integer(10)], soon()).await;
    assert!(matches!(failed, Err(Error::Constraint { kind: ConstraintKind::Check, .. })), "{failed:?}");
    assert_eq!(RUN_AT_ONCE.get(), before + 1);
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(2));
}

#[tokio::test]
async fn a_value_too_large_for_the_memory_of_a_quick_statement_is_written_on_a_thread() {
    let host = Host::new();
    let database = database(&host).await;
    let double = "UPDATE t SET body = body || body WHERE id = ?";
    until_at_once(&database, double, 1).await;
    execute(&database, "UPDATE t SET body = printf('%.*c', 2000000, 'a') WHERE id = 2").await.unwrap();
    assert!(!run(&database, double, 2).await.0);
    assert_eq!(value(&database, "SELECT length(body) FROM t WHERE id = 2").await, Value::Integer(4_000_000));
    let insert = "INSERT INTO t (body) VALUES (?)";
    until_at_once(&database, insert, 1).await;
    let large = vec![Value::Blob(vec![1; 65 * 1024])];
    let (at_once, _) = observed(database.run(insert.to_owned(), large, soon())).await;
    assert!(!at_once);
}

#[tokio::test]
async fn a_statement_that_has_to_be_prepared_anew_is_looked_at_again() {
    let host = Host::new();
    let database = database(&host).await;
    execute(&database, "CREATE VIEW v AS SELECT id FROM t").await.unwrap();
    let read = "SELECT id FROM v WHERE id = ?";
    until_at_once(&database, read, 1).await;
    execute(&database, "DROP VIEW v").await.unwrap();
    execute(&database, "CREATE VIEW v AS SELECT id FROM t WHERE body LIKE '0%'").await.unwrap();
    for _ in 0..20 {
        assert!(!run(&database, read, 1).await.0);
    }
}

#[tokio::test]
async fn a_log_that_is_long_is_shortened_on_threads_only() {
    let host = Host::new();
    let database = database(&host).await;
    let insert = "INSERT INTO t (body) VALUES (?)";
    let mut at_once = 0;
    let pages = LOG_PAGES * 3;
    for _ in 0..pages {
        let page = vec![Value::Blob(vec![1; 4_000])];
        at_once += u32::from(observed(database.run(insert.to_owned(), page, soon())).await.0);
    }
    assert!(at_once > pages / 2 && at_once < pages * 9 / 10, "{at_once} of {pages}");
    let log = std::fs::metadata(host.file("a").with_extension("sqlite-wal")).unwrap().len();
    assert!(log < u64::from(LOG_PAGES) * 4_120 * 5 / 4, "the log has {log} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushes_that_are_likely_to_be_quick_are_done_at_once_and_slow_ones_never() {
    let host = Host::new();
    let database = database(&host).await;
    let insert = "INSERT INTO t (body) VALUES (?)";
    until_at_once(&database, insert, 1).await;
    let flushed_here = async |pace: Duration| {
        database.app.journal.pace.store(crate::threads::nanoseconds(pace), Ordering::Relaxed);
        let (before, flushes) = (FLUSHED_AT_ONCE.get(), database.app.journal.flushes.load(Ordering::Relaxed));
        until_at_once(&database, insert, 2).await;
        assert!(database.app.journal.flushes.load(Ordering::Relaxed) > flushes, "it is on the disk");
        FLUSHED_AT_ONCE.get() > before
    };
    assert!(flushed_here(Duration::ZERO).await);
    assert!(!flushed_here(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_large_value_that_is_read_in_a_transaction_leaves_it_open() {
    let host = Host::new();
    let database = database(&host).await;
    execute(&database, "UPDATE t SET body = printf('%.*c', 2000000, 'a') WHERE id = 2").await.unwrap();
    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    transaction.execute("UPDATE t SET body = 'new' WHERE id = 1".to_owned(), vec![], soon()).await.unwrap();
    let read =
        |id| transaction.run("SELECT max(body) FROM t WHERE id = ?".to_owned(), vec![Value::Integer(id)], soon());
    while !observed(read(1)).await.0 {}
    assert_eq!(read(2).await.unwrap().rows.rows, [[Value::Text("a".repeat(2_000_000))]]);
    transaction.commit().await.unwrap();
    assert_eq!(value(&database, "SELECT body FROM t WHERE id = 1").await, Value::Text("new".to_owned()));
}

#[tokio::test]
async fn policies_hold_for_what_is_written_at_once() {
    let host = Host::new();
    let database = database(&host).await;
    for sql in [
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT, at INTEGER)",
        "CREATE POLICY own ON notes USING (owner = auth.uid())",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    ] {
        execute(&database, sql).await.unwrap();
    }
    let ann = database.clone().acting_for(Arc::new(Caller::user("ann".to_owned())));
    let bob = database.clone().acting_for(Arc::new(Caller::user("bob".to_owned())));
    until_at_once(&ann, "INSERT INTO notes (owner, at) VALUES ('ann', ?)", 1).await;
    until_at_once(&ann, "UPDATE notes SET at = ?", 2).await;
    until_at_once(&bob, "UPDATE notes SET at = ?", 3).await;
    assert_eq!(value(&database, "SELECT count(*) FROM notes WHERE at = 3").await, Value::Integer(0));
    let refused =
        bob.run("INSERT INTO notes (owner, at) VALUES ('ann', ?)".to_owned(), vec![Value::Integer(4)], soon());
    assert!(matches!(refused.await, Err(Error::Denied(_))));
    assert_eq!(value(&database, "SELECT count(*) FROM notes WHERE at = 4").await, Value::Integer(0));
    execute(&database, "DROP POLICY own ON notes").await.unwrap();
    let (at_once, outcome) = run(&ann, "UPDATE notes SET at = ?", 5).await;
    assert_eq!((at_once, outcome.changes.rows_affected), (false, 0), "it is another statement now");
}
