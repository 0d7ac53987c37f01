//! Deadlines and callers that go away.

use super::*;

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

fn in_ms(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

/// Waits until every connection is back in its lane.
async fn settle(database: &Database) {
    for lane in [&database.app.readers, &database.app.writer, &database.app.snapshots] {
        lane.all_back().await;
    }
}

#[tokio::test]
async fn bombs_end_at_the_deadline() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    execute(&database, "INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9,10]')").await.unwrap();
    let product = format!("SELECT count(*) FROM {}", ["t"; 12].join(","));
    let doubling =
        (1..40).map(|index| format!(",c{index} AS (SELECT * FROM c{0}, c{0} AS x)", index - 1)).collect::<String>();
    let doubling = format!("WITH c0(a) AS (SELECT 1){doubling} SELECT count(*) FROM c39");
    for sql in
        [ENDLESS, &product, &format!("INSERT INTO t {ENDLESS}"), &format!("CREATE TABLE u AS {ENDLESS}"), &doubling]
    {
        let started = Instant::now();
        let result = database.query(sql.to_owned(), vec![], in_ms(50)).await;
        assert!(matches!(result, Err(Error::Timeout | Error::Syntax(_) | Error::Limit(_))), "{result:?}");
        settle(&database).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{sql}");
    }
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(10));
}

#[tokio::test]
async fn functions_on_large_values_are_linear() {
    let host = Host::new();
    let database = host.app("a").await;
    let large = "printf('%.*c', 8000000, 'a')";
    let half = "(printf('%.*c', 4000000, 'a') || 'b')";
    for sql in [
        format!("SELECT instr({large}, {half})"),
        format!("SELECT length(replace({large}, {half}, 'x'))"),
        format!("SELECT length(trim({large}, {half}))"),
    ] {
        // Otherwise it would take days.
        let started = Instant::now();
        value(&database, &sql).await;
        assert!(started.elapsed() < Duration::from_secs(60), "{sql}");
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_runs_nothing() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    let result = database.execute("INSERT INTO t VALUES(1)".to_owned(), vec![], Instant::now()).await;
    assert!(matches!(result, Err(Error::Timeout)));
    settle(&database).await;
    assert_eq!(value(&database, "SELECT count(*) FROM t").await, Value::Integer(0));
}

#[tokio::test]
async fn a_caller_that_goes_away_stops_its_statement() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    for sql in [ENDLESS, &format!("INSERT INTO t {ENDLESS}")] {
        let abandoned = database.query(sql.to_owned(), vec![], soon());
        assert!(tokio::time::timeout(Duration::from_millis(20), abandoned).await.is_err());
        tokio::time::timeout(Duration::from_secs(5), settle(&database)).await.expect("it stops");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_cancellation_never_hits_the_next_statement() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    execute(&database, "INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9,10]')").await.unwrap();
    let cancelled = (0..300_u64).map(|index| {
        let database = database.clone();
        tokio::spawn(async move {
            let sql = if index % 3 == 0 { format!("INSERT INTO t {ENDLESS}") } else { ENDLESS.to_owned() };
            let running = database.query(sql, vec![], soon());
            assert!(tokio::time::timeout(Duration::from_micros(200 * (index % 10)), running).await.is_err());
        })
    });
    let good = (0..600).map(|index| {
        let database = database.clone();
        tokio::spawn(async move {
            if index % 3 == 0 {
                execute(&database, "UPDATE t SET a = a + 1").await.unwrap();
            } else {
                let joined = value(&database, "SELECT count(*) FROM t, t AS u, t AS v, t AS w").await;
                assert_eq!(joined, Value::Integer(10_000));
            }
        })
    });
    let mut tasks: Vec<_> = Vec::new();
    let mut good = good.fuse();
    for bad in cancelled {
        tasks.push(bad);
        tasks.extend(good.by_ref().take(2));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn slow_queries_leave_other_apps_alone() {
    let host = Host::new();
    let (noisy, quiet) = (host.app("noisy").await, host.app("quiet").await);
    let stop = in_ms(700);
    let slow = futures::future::join_all((0..20).map(|_| noisy.query(ENDLESS.to_owned(), vec![], stop)));
    let quick = async {
        let mut slowest = Duration::ZERO;
        while Instant::now() < stop {
            let started = Instant::now();
            value(&quiet, "SELECT 1").await;
            slowest = slowest.max(started.elapsed());
        }
        slowest
    };
    let (slow, slowest) = tokio::join!(slow, quick);
    assert!(slow.iter().all(|result| matches!(result, Err(Error::Timeout))));
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}
