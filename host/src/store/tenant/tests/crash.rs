//! A host that is killed, and one whose disk is full: this test binary runs itself as that host.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

const DIRECTORY: &str = "CADDIS_TEST_TENANT_DIRECTORY";

/// The other process. Does nothing when it is not started by the tests below.
#[tokio::test]
async fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let databases = Databases::new(directory.into(), Durability::Full);
    let database = databases.open(&"a".parse().unwrap()).await.unwrap();
    execute(&database, "CREATE TABLE IF NOT EXISTS t(a, b)").await.unwrap();
    for number in 0_i64.. {
        let row = vec![Value::Integer(number), Value::Blob(vec![7; 1_000])];
        let insert = "INSERT INTO t VALUES(?, ?)".to_owned();
        let result = if number % 2 == 0 {
            database.execute(insert, row, soon()).await.map(drop)
        } else {
            let transaction = database.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
            match transaction.execute(insert, row, soon()).await {
                Ok(_) => transaction.commit().await,
                Err(error) => Err(error),
            }
        };
        let mut output = std::io::stdout().lock();
        match result {
            Ok(()) => writeln!(output, "\ndone {number}").unwrap(),
            Err(error) => {
                writeln!(output, "\nfailed {error:?}").unwrap();
                break;
            }
        }
    }
    let count = value(&database, "SELECT count(*) FROM t").await;
    writeln!(std::io::stdout(), "\nstill {count:?}").unwrap();
}

fn start(directory: &Path, mut command: Command) -> std::process::Child {
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store::tenant::tests::crash::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let host = Host::new();
    for _ in 0..3 {
        let mut command = Command::new("/usr/bin/env");
        command.arg("--");
        let mut child = start(&host.directory.path().join("data"), command);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut acknowledged = None;
        for number in lines.filter_map(|line| line.strip_prefix("done ").map(|number| number.parse::<i64>().unwrap())) {
            if number == 25 {
                child.kill().unwrap();
            }
            acknowledged = Some(number);
        }
        child.wait().unwrap();
        let database = host.app("a").await;
        let last = acknowledged.unwrap();
        assert!(last >= 25);
        let kept = format!("SELECT count(DISTINCT a) FROM t WHERE a <= {last}");
        assert_eq!(value(&database, &kept).await, Value::Integer(last + 1));
        execute(&database, "DELETE FROM t").await.unwrap();
    }
}

#[tokio::test]
async fn a_disk_without_room_is_an_error_and_nothing_else() {
    let host = Host::new();
    // The limit on the size of a file stands in for a full disk: writes fail in the same place.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\""]);
    let child = start(&host.directory.path().join("data"), command);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let done = text.lines().filter(|line| line.starts_with("done ")).count();
    assert!(text.contains("failed Internal") || text.contains("failed Limit"), "{text}");
    assert!(text.contains(&format!("still Integer({done})")), "{text}");
}
