//! Copies of the data, made again and again while the host serves and dies, and hosts that go on from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use caddis_tests::{Client, Server, eventually, guests, within_patience};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::options;

const KILLS: usize = 8;

async fn caddis(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caddis"));
    command.args(arguments).env_remove("CADDIS_DATA").kill_on_drop(true);
    within_patience("the command to end", command.output()).await.unwrap()
}

/// The times of the copies there are, in order.
fn points(copies: &Path) -> Vec<SystemTime> {
    let Ok(entries) = std::fs::read_dir(copies.join("points")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut times: Vec<SystemTime> = names
        .filter_map(|name| Some(SystemTime::from(name.strip_suffix(".json")?.parse::<jiff::Timestamp>().unwrap())))
        .collect();
    times.sort();
    times
}

/// Inserts numbers one after the other until the server is gone, and notes when each was acknowledged.
async fn write(client: Client, acknowledged: Arc<Mutex<BTreeMap<i64, SystemTime>>>, first: i64) -> i64 {
    for number in first.. {
        let body = json!({ "sql": "INSERT INTO t VALUES (?)", "parameters": [number], "execute": true });
        let Some(reply) = client.invoke(Method::POST, "sql", "/db").json(&body).try_send().await else { return number };
        if reply.status == StatusCode::OK {
            acknowledged.lock().unwrap().insert(number, SystemTime::now());
        }
    }
    unreachable!("it ends with the server")
}

/// The numbers in the database of a data directory.
fn numbers(data: &Path) -> Vec<i64> {
    let database = rusqlite::Connection::open(data.join("apps/default/data.sqlite")).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let mut statement = database.prepare("SELECT n FROM t ORDER BY n").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

async fn restored(copies: &Path, data: &Path, more: &[&str]) -> Output {
    let more: Vec<&Path> = more.iter().map(Path::new).collect();
    caddis(&[&["restore".as_ref(), copies, "--data".as_ref(), data], more.as_slice()].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_copy_is_in_it_wherever_the_host_was_killed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let copies = elsewhere.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    let mut server = Server::start(options().flag("--copies", copies.display()).flag("--copy-seconds", 1)).await;
    server.admin().put_component("sql", guests::WSTD_ECHO, "").await;
    let create = json!({ "sql": "CREATE TABLE t (n INTEGER)", "execute": true });
    server.anonymous().post("sql", "/db", &create).await.expect(StatusCode::OK);
    let acknowledged = Arc::<Mutex<BTreeMap<i64, SystemTime>>>::default();
    let mut next = 0;
    for round in 0..KILLS {
        let mut writers = JoinSet::new();
        writers.spawn(write(server.anonymous(), Arc::clone(&acknowledged), next));
        let before = points(&copies).len();
        eventually("a copy", async || (points(&copies).len() > before).then_some(())).await;
        // The moment is the point: also in the middle of the next copy.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1_100))).await;
        server.kill().await;
        next = writers.join_next().await.unwrap().unwrap() + 1;
        let newest = *points(&copies).last().unwrap();
        let data = elsewhere.path().join(format!("restored {round}"));
        let told = restored(&copies, &data, &[]).await;
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let found = numbers(&data);
        let acknowledged = acknowledged.lock().unwrap().clone();
        let lost: Vec<_> = acknowledged.iter().filter(|(n, at)| **at < newest && !found.contains(n)).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?} were acknowledged before {newest:?}");
        server.start_again().await;
    }
    server.stop_gracefully().await;

    // The last copy is made at the end: a host elsewhere has it all.
    let mut other = Server::start(options()).await;
    other.kill().await;
    let data = other.data().to_owned();
    std::fs::remove_dir_all(&data).unwrap();
    let key = server.data().join("master.key");
    let told = restored(&copies, &data, &["--master-key", key.to_str().unwrap()]).await;
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    other.start_again().await;
    let count = json!({ "sql": "SELECT count(DISTINCT n) FROM t", "parameters": [] });
    let found = other.anonymous().post("sql", "/db", &count).await.expect(StatusCode::OK).json();
    assert!(found["rows"][0][0].as_u64().unwrap() >= acknowledged.lock().unwrap().len() as u64, "{found}");
}

fn pieces(copies: &Path) -> Vec<PathBuf> {
    caddis_tests::files_below(&copies.join("chunks"))
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_take_what_has_changed_and_are_checked_when_they_are_read() {
    let server = Server::start(options()).await;
    let admin = server.admin();
    let sql = async |sql: &str| {
        admin.manage(Method::POST, "/db/query").json(&json!({ "sql": sql })).send().await.expect(StatusCode::OK);
    };
    sql("CREATE TABLE t (n INTEGER, filler BLOB)").await;
    sql("INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 800) SELECT i, randomblob(10000) FROM n").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let copies = elsewhere.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    let copy = async || {
        let output = caddis(&["backup".as_ref(), &copies, "--data".as_ref(), server.data()]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(copy().await.contains(": a copy, 8"), "some 8 MB");
    let first = pieces(&copies).len();
    assert!(copy().await.contains("nothing has changed since the last copy, 0 new bytes"));
    sql("UPDATE t SET n = -1 WHERE n = 800").await;
    let between = points(&copies)[0] + Duration::from_millis(1);
    assert!(copy().await.contains(": a copy, "));
    assert!(pieces(&copies).len() <= first + 3, "{first} pieces, then {}", pieces(&copies).len());

    let (now, then) = (elsewhere.path().join("now"), elsewhere.path().join("then"));
    assert!(restored(&copies, &now, &[]).await.status.success());
    let at = jiff::Timestamp::try_from(between).unwrap().to_string();
    let told = restored(&copies, &then, &["--at", &at]).await;
    assert!(String::from_utf8_lossy(&told.stdout).contains("as it was at"), "{told:?}");
    assert_eq!((numbers(&now)[0], numbers(&then)[0]), (-1, 1));

    let refused = async |from: &Path, more: &[&str], part: &str| {
        let data = elsewhere.path().join("refused");
        let output = restored(from, &data, more).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(part) && told.lines().count() == 1, "{part}: {told}");
        assert!(!data.exists());
    };
    refused(&copies, &["--at", "2020-01-01T00:00:00Z"], "there is no copy of that time: the oldest is").await;
    refused(&copies, &["--at", "yesterday"], "--at").await;
    let point = std::fs::read_dir(copies.join("points")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let text = std::fs::read_to_string(&point).unwrap();
    std::fs::write(&point, text.replace("apps/default/data.sqlite", "apps/../../escaped")).unwrap();
    refused(&copies, &[], "does not belong into a backup").await;
    std::fs::write(&point, "{").unwrap();
    refused(&copies, &[], "is damaged").await;
    std::fs::write(&point, text).unwrap();
    for piece in pieces(&copies) {
        let mut bytes = std::fs::read(&piece).unwrap();
        bytes[500] ^= 1;
        std::fs::write(&piece, bytes).unwrap();
    }
    refused(&copies, &[], "is damaged").await;
    pieces(&copies).iter().for_each(|piece| std::fs::remove_file(piece).unwrap());
    refused(&copies, &[], "No such file").await;
    let occupied = caddis(&["backup".as_ref(), elsewhere.path(), "--data".as_ref(), server.data()]).await;
    assert!(String::from_utf8_lossy(&occupied.stderr).contains("new or empty directory"), "{occupied:?}");
}
