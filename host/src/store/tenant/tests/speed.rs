//! What the way through lanes and threads costs. Run with `--release -- --ignored --nocapture speed`.

use std::io::Write;

use super::*;

const ROUNDS: u32 = 20_000;

fn report(what: &str, rounds: u32, started: Instant) {
    let microseconds = started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    writeln!(std::io::stdout(), "{what}: {microseconds:.1} µs").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed() {
    let host = Host::new();
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)").await.unwrap();
    execute(&database, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000) INSERT INTO t SELECT i, 'body ' || i FROM n").await.unwrap();
    let read = "SELECT id, body FROM t WHERE id = ?";
    let insert = "INSERT INTO t(body) VALUES(?)";

    let plain = rusqlite::Connection::open(host.file("a")).unwrap();
    plain.pragma_update(None, "synchronous", "full").unwrap();
    let started = Instant::now();
    for index in 0..ROUNDS {
        let mut statement = plain.prepare_cached(read).unwrap();
        statement.query_row([index % 10_000 + 1], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).unwrap();
    }
    report("plain rusqlite, read", ROUNDS, started);
    let started = Instant::now();
    for _ in 0..500 {
        plain.prepare_cached(insert).unwrap().execute(["a new body"]).unwrap();
    }
    report("plain rusqlite, insert", 500, started);

    let started = Instant::now();
    for _ in 0..ROUNDS {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    report("spawn_blocking of nothing", ROUNDS, started);
    let (jobs, queue) = std::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>();
    std::thread::spawn(move || queue.into_iter().for_each(|job| job.send(()).unwrap()));
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let (done, wait) = tokio::sync::oneshot::channel();
        jobs.send(done).unwrap();
        wait.await.unwrap();
    }
    report("a thread of its own, doing nothing", ROUNDS, started);

    let started = Instant::now();
    for index in 0..ROUNDS {
        let key = vec![Value::Integer(i64::from(index % 10_000 + 1))];
        database.query(read.to_owned(), key, soon()).await.unwrap();
    }
    report("Database::query", ROUNDS, started);

    let started = Instant::now();
    for index in 0..ROUNDS {
        let call = Call::new(
            read.to_owned(),
            vec![Value::Integer(i64::from(index % 10_000 + 1))],
            database.on_behalf(),
            soon(),
        )
        .unwrap();
        let mut lease = database.app.readers.lease(false, soon()).await.unwrap();
        lease.connection().unwrap().query_if_readonly(&call).unwrap();
    }
    report("the same on the caller's thread", ROUNDS, started);

    let started = Instant::now();
    let tasks = (0..16_u32).map(|task| {
        let database = database.clone();
        tokio::spawn(async move {
            for index in 0..ROUNDS / 16 {
                let key = vec![Value::Integer(i64::from((index + task) % 10_000 + 1))];
                database.query(read.to_owned(), key, soon()).await.unwrap();
            }
        })
    });
    futures::future::join_all(tasks).await;
    report("Database::query, 16 at a time (per query)", ROUNDS, started);

    let started = Instant::now();
    for _ in 0..500 {
        let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
        transaction.execute(insert.to_owned(), vec![Value::Text("a new body".to_owned())], soon()).await.unwrap();
        transaction.commit().await.unwrap();
    }
    report("begin, execute, commit", 500, started);

    let started = Instant::now();
    for _ in 0..500 {
        database.execute(insert.to_owned(), vec![Value::Text("a new body".to_owned())], soon()).await.unwrap();
    }
    report("Database::execute", 500, started);

    let started = Instant::now();
    let tasks = (0..16).map(|_| {
        let database = database.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                database.execute(insert.to_owned(), vec![Value::Text("a new body".to_owned())], soon()).await.unwrap();
            }
        })
    });
    futures::future::join_all(tasks).await;
    report("Database::execute, 16 at a time (per insert)", 1_600, started);
}
