//! Transactions, and all the ways they end.

use super::*;

async fn begin(database: &Database, mode: TransactionMode) -> Transaction {
    database.begin(mode, soon()).await.unwrap()
}

async fn with_table(limits: Limits) -> (Host, Database) {
    let host = Host::with(limits);
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a UNIQUE)").await.unwrap();
    (host, database)
}

async fn insert(transaction: &Transaction, number: i64) -> Result<Changes, Error> {
    transaction.execute("INSERT INTO t VALUES(?)".to_owned(), vec![Value::Integer(number)], soon()).await
}

async fn count(database: &Database) -> Value {
    value(database, "SELECT count(*) FROM t").await
}

#[tokio::test]
async fn all_or_nothing() {
    let (_host, database) = with_table(Limits::default()).await;
    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    insert(&transaction, 1).await.unwrap();
    insert(&transaction, 2).await.unwrap();
    let inside = transaction.query("SELECT count(*) FROM t".to_owned(), vec![], soon()).await.unwrap();
    assert_eq!(single(inside), Value::Integer(2));
    assert_eq!(count(&database).await, Value::Integer(0), "not visible outside");
    transaction.commit().await.unwrap();
    assert_eq!(count(&database).await, Value::Integer(2));

    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    insert(&transaction, 3).await.unwrap();
    transaction.rollback().await.unwrap();
    drop({
        let transaction = begin(&database, TransactionMode::ReadWrite).await;
        insert(&transaction, 4).await.unwrap();
        transaction
    });
    begin(&database, TransactionMode::ReadWrite).await.commit().await.unwrap();
    assert_eq!(count(&database).await, Value::Integer(2));
}

#[tokio::test]
async fn a_failed_statement_leaves_the_transaction_open() {
    let (_host, database) = with_table(Limits::default()).await;
    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    insert(&transaction, 1).await.unwrap();
    assert!(matches!(insert(&transaction, 1).await, Err(Error::Constraint { .. })));
    assert!(matches!(transaction.query("nonsense".to_owned(), vec![], soon()).await, Err(Error::Syntax(_))));
    insert(&transaction, 2).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(count(&database).await, Value::Integer(2));
}

#[tokio::test]
async fn a_read_only_transaction_is_a_snapshot_and_cannot_write() {
    let (_host, database) = with_table(Limits::default()).await;
    let snapshot = begin(&database, TransactionMode::ReadOnly).await;
    execute(&database, "INSERT INTO t VALUES(1)").await.unwrap();
    let seen = snapshot.query("SELECT count(*) FROM t".to_owned(), vec![], soon()).await.unwrap();
    assert_eq!(single(seen), Value::Integer(0), "taken at the start, not at the first read");
    for sql in ["INSERT INTO t VALUES(2)", "INSERT INTO t VALUES(2) RETURNING a", "CREATE TABLE u(a)", "DELETE FROM t"]
    {
        assert!(matches!(snapshot.query(sql.to_owned(), vec![], soon()).await, Err(Error::Denied(_))), "{sql}");
        assert!(matches!(snapshot.execute(sql.to_owned(), vec![], soon()).await, Err(Error::Denied(_))), "{sql}");
    }
    snapshot.commit().await.unwrap();
    assert_eq!(count(&database).await, Value::Integer(1));
}

#[tokio::test]
async fn requests_with_snapshots_can_read_beside_them() {
    let (_host, database) = with_table(Limits::default()).await;
    let snapshots =
        futures::future::join_all((0..READERS_PER_APP).map(|_| begin(&database, TransactionMode::ReadOnly))).await;
    let reads = snapshots.iter().map(|_| count(&database));
    assert!(futures::future::join_all(reads).await.iter().all(|read| *read == Value::Integer(0)));
}

#[tokio::test]
async fn the_writer_lane_is_held_and_its_queue_has_an_end() {
    let (_host, database) = with_table(Limits { lock_wait: Duration::from_millis(100), ..Limits::default() }).await;
    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    assert!(
        matches!(execute(&database, "INSERT INTO t VALUES(1)").await, Err(Error::Busy(text)) if text.contains("100 ms"))
    );
    assert!(matches!(database.begin(TransactionMode::ReadWrite, soon()).await, Err(Error::Busy(_))));
    let deadline = Instant::now() + Duration::from_millis(5);
    assert!(matches!(database.begin(TransactionMode::ReadWrite, deadline).await, Err(Error::Timeout)));
    insert(&transaction, 1).await.unwrap();
    let waiting = execute(&database, "INSERT INTO t VALUES(2)");
    let (waited, committed) = tokio::join!(waiting, transaction.commit());
    committed.unwrap();
    waited.unwrap();
}

#[tokio::test]
async fn its_time_ends_even_when_nobody_calls() {
    let limits = Limits { transaction_time: Duration::from_millis(100), ..Limits::default() };
    let (_host, database) = with_table(limits).await;
    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    insert(&transaction, 1).await.unwrap();
    let started = Instant::now();
    execute(&database, "INSERT INTO t VALUES(2)").await.expect("the lock is released");
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(value(&database, "SELECT a FROM t").await, Value::Integer(2), "rolled back");
    assert!(matches!(insert(&transaction, 3).await, Err(Error::Timeout | Error::Closed)));
    assert!(matches!(transaction.commit().await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_statement_that_runs_out_of_time_ends_the_transaction() {
    let limits = Limits { transaction_time: Duration::from_millis(200), ..Limits::default() };
    let (_host, database) = with_table(limits).await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let deadlines = [soon(), Instant::now() + Duration::from_millis(20)];
    for (deadline, sql) in deadlines.into_iter().zip([endless.to_owned(), format!("INSERT INTO t {endless}")]) {
        let transaction = begin(&database, TransactionMode::ReadWrite).await;
        insert(&transaction, 1).await.unwrap();
        assert!(matches!(transaction.query(sql, vec![], deadline).await, Err(Error::Timeout)));
        assert!(matches!(insert(&transaction, 2).await, Err(Error::Closed)));
        execute(&database, "DELETE FROM t").await.unwrap();
        assert!(matches!(transaction.rollback().await, Err(Error::Closed)));
    }
    assert_eq!(count(&database).await, Value::Integer(0));
}

#[tokio::test]
async fn dropping_a_running_statement_and_its_transaction_frees_the_lane() {
    let (_host, database) = with_table(Limits::default()).await;
    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    insert(&transaction, 1).await.unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n".to_owned();
    let running = transaction.query(endless, vec![], soon());
    assert!(tokio::time::timeout(Duration::from_millis(20), running).await.is_err());
    drop(transaction);
    execute(&database, "INSERT INTO t VALUES(2)").await.unwrap();
    assert_eq!(value(&database, "SELECT a FROM t").await, Value::Integer(2));
}

#[tokio::test]
async fn what_sqlite_rolls_back_is_closed() {
    let (_host, database) = with_table(Limits::default()).await;
    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    insert(&transaction, 1).await.unwrap();
    let result = transaction.execute("INSERT OR ROLLBACK INTO t VALUES(1)".to_owned(), vec![], soon()).await;
    assert!(matches!(result, Err(Error::Constraint { kind: ConstraintKind::Unique, .. })));
    assert!(matches!(insert(&transaction, 2).await, Err(Error::Closed)));
    execute(&database, "INSERT INTO t VALUES(3)").await.expect("the lane is free");
    assert!(matches!(transaction.commit().await, Err(Error::Closed)));
    assert_eq!(count(&database).await, Value::Integer(1));
}

#[tokio::test]
async fn a_commit_that_breaks_a_deferred_rule_rolls_back() {
    let (_host, database) = with_table(Limits::default()).await;
    execute(&database, "CREATE TABLE p(id INTEGER PRIMARY KEY)").await.unwrap();
    execute(&database, "CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)").await.unwrap();
    let transaction = begin(&database, TransactionMode::ReadWrite).await;
    transaction.execute("INSERT INTO c VALUES(1)".to_owned(), vec![], soon()).await.unwrap();
    assert!(matches!(transaction.commit().await, Err(Error::Constraint { kind: ConstraintKind::ForeignKey, .. })));
    for sql in ["INSERT INTO c VALUES(1)", "INSERT INTO c VALUES(1) RETURNING p"] {
        assert!(
            matches!(query(&database, sql).await, Err(Error::Constraint { kind: ConstraintKind::ForeignKey, .. })),
            "{sql}"
        );
    }
    execute(&database, "INSERT INTO t VALUES(1)").await.unwrap();
    assert_eq!(value(&database, "SELECT count(*) FROM c").await, Value::Integer(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_all_count() {
    let (_host, database) = with_table(Limits::default()).await;
    execute(&database, "INSERT INTO t VALUES(0)").await.unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                let transaction = begin(&database, TransactionMode::ReadWrite).await;
                let read = transaction.query("SELECT a FROM t".to_owned(), vec![], soon()).await.unwrap();
                let Value::Integer(number) = single(read) else { panic!("not a number") };
                let next = vec![Value::Integer(number + 1)];
                transaction.execute("UPDATE t SET a = ?".to_owned(), next, soon()).await.unwrap();
                transaction.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&database, "SELECT a FROM t").await, Value::Integer(40));
}

#[test]
fn a_transaction_may_outlive_its_runtime() {
    let host = Host::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let transaction = runtime.block_on(async {
        let database = host.app("a").await;
        execute(&database, "CREATE TABLE t(a)").await.unwrap();
        let transaction = begin(&database, TransactionMode::ReadWrite).await;
        insert(&transaction, 1).await.unwrap();
        transaction
    });
    drop(runtime);
    drop(transaction);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let database = host.app("a").await;
        execute(&database, "INSERT INTO t VALUES(2)").await.unwrap();
        assert_eq!(count(&database).await, Value::Integer(1));
    });
}
