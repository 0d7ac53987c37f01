//! Flushes of the log, and who waits for them.

use std::sync::atomic::Ordering;

use super::*;

async fn table(host: &Host) -> Database {
    let database = host.app("a").await;
    execute(&database, "CREATE TABLE t(a)").await.unwrap();
    database
}

fn flushes(database: &Database) -> u64 {
    database.app.journal.flushes.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_come_together_share_a_flush() {
    let host = Host::new();
    let database = table(&host).await;
    let before = flushes(&database);
    execute(&database, "INSERT INTO t VALUES(0)").await.unwrap();
    assert_eq!(flushes(&database), before + 1, "one alone waits for nobody");
    // A flush that takes long: whatever is committed meanwhile waits for the next.
    let slow = Arc::clone(&database.app.journal).hold().await;
    let writes: Vec<_> = (0..40)
        .map(|number| {
            let database = database.clone();
            tokio::spawn(async move {
                if number % 2 == 0 {
                    execute(&database, "INSERT INTO t VALUES(1)").await.map(drop)
                } else {
                    let transaction = database.begin(TransactionMode::ReadWrite, soon()).await?;
                    transaction.execute("INSERT INTO t VALUES(1)".to_owned(), vec![], soon()).await?;
                    transaction.commit().await
                }
            })
        })
        .collect();
    // The writer lane is free while the flush runs, so all of them get through it.
    while value(&database, "SELECT count(*) FROM t").await != Value::Integer(41) {
        tokio::task::yield_now().await;
    }
    assert!(writes.iter().all(|write| !write.is_finished()), "none is acknowledged before it is on the disk");
    let before = flushes(&database);
    drop(slow);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert!(flushes(&database) - before <= 2, "{} flushes for 40 commits", flushes(&database) - before);
}

#[tokio::test]
async fn the_lesser_setting_flushes_nothing() {
    let host = Host::with(Limits { durability: Durability::Normal, ..Limits::default() });
    let database = table(&host).await;
    execute(&database, "INSERT INTO t VALUES(1)").await.unwrap();
    assert_eq!(flushes(&database), 0);
    assert_eq!(value(&database, "SELECT a FROM t").await, Value::Integer(1));
}

#[tokio::test]
async fn reading_flushes_nothing() {
    let host = Host::new();
    let database = table(&host).await;
    let before = flushes(&database);
    query(&database, "SELECT * FROM t").await.unwrap();
    database.begin(TransactionMode::ReadOnly, soon()).await.unwrap().commit().await.unwrap();
    assert_eq!(flushes(&database), before);
}

#[tokio::test]
async fn a_disk_that_failed_acknowledges_nothing_more() {
    let host = Host::new();
    let database = table(&host).await;
    let log = host.file("a").with_extension("sqlite-wal");
    let kept = log.with_extension("kept");
    std::fs::rename(&log, &kept).unwrap();
    // A device that refuses to flush.
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    assert!(matches!(execute(&database, "INSERT INTO t VALUES(1)").await, Err(Error::Internal(_))));
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&kept, &log).unwrap();
    assert!(matches!(execute(&database, "INSERT INTO t VALUES(2)").await, Err(Error::Internal(_))));
    query(&database, "SELECT * FROM t").await.expect("what is there can be read");
}
