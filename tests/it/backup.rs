//! A backup made while the host is written to, and a host elsewhere that goes on from it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use caddis_tests::{Client, guests, within_patience};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::start;

async fn caddis(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caddis"));
    command.args(arguments).env_remove("CADDIS_DATA").kill_on_drop(true);
    within_patience("the command to end", command.output()).await.unwrap()
}

async fn run(client: &Client, sql: &str) -> Value {
    client.post("sql", "/db", &json!({ "sql": sql, "parameters": [] })).await.expect(StatusCode::OK).json()
}

/// Writes pairs until told to stop; counts those that are acknowledged.
async fn write(client: Client, acknowledged: Arc<AtomicI64>, stop: Arc<AtomicBool>) {
    let insert = |side| json!({ "sql": "INSERT INTO pairs (side) VALUES (?)", "parameters": [side], "execute": true });
    let script = json!({ "statements": [insert("left"), insert("right")], "end": "commit" });
    while !stop.load(Ordering::Relaxed) {
        let answer = client.post("sql", "/transaction", &script).await.json();
        acknowledged.fetch_add(i64::from(answer["end"] == "done"), Ordering::SeqCst);
    }
}

/// The modes of all files in a directory, until the only one there is a whole backup.
async fn modes_seen(directory: PathBuf) -> BTreeSet<u32> {
    let mut modes = BTreeSet::new();
    loop {
        let entries: Vec<_> = std::fs::read_dir(&directory).unwrap().map(Result::unwrap).collect();
        // Some are gone by now.
        modes.extend(entries.iter().filter_map(|entry| Some(entry.metadata().ok()?.permissions().mode() & 0o777)));
        if entries.len() == 1 && entries.iter().any(|entry| entry.file_name() == "all.caddis") {
            return modes;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_backed_up_under_load_serves_elsewhere() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("sql", guests::WSTD_ECHO, "").await;
    admin.set_secrets(json!({ "WORD": "sealed" })).await;
    let shop = admin.create_app("shop").await;
    let code = "export default async (_, { db, env }) => ({ word: env.WORD, n: (await db.query('SELECT count(*) AS n FROM t')).rows[0].n })";
    let function = json!({ "name": "f", "code": code, "enabled": true, "access": { "policy": "public" } });
    shop.manage(Method::POST, "/functions").json(&function).send().await.expect(StatusCode::CREATED);
    shop.set_secrets(json!({ "WORD": "of the shop" })).await;
    let create =
        json!({ "migrations": [{ "name": "1.sql", "sql": "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)" }] });
    shop.manage(Method::POST, "/db/migrations").json(&create).send().await.expect(StatusCode::OK);
    run(
        &server.anonymous(),
        "CREATE TABLE pairs (id INTEGER PRIMARY KEY, side TEXT, filler BLOB DEFAULT (randomblob(2000)))",
    )
    .await;

    let (acknowledged, stop) = (Arc::<AtomicI64>::default(), Arc::<AtomicBool>::default());
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        writers.spawn(write(server.anonymous(), Arc::clone(&acknowledged), Arc::clone(&stop)));
    }
    caddis_tests::eventually("writes", async || (acknowledged.load(Ordering::SeqCst) > 20).then_some(())).await;
    let before = acknowledged.load(Ordering::SeqCst);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("all.caddis");
    let copies = tokio::spawn(modes_seen(elsewhere.path().to_owned()));
    let backup = caddis(&["backup".as_ref(), file.as_ref(), "--data".as_ref(), server.data()]).await;
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    assert_eq!(copies.await.unwrap(), BTreeSet::from([0o600]), "nobody else reads a copy while it is made");
    assert!(acknowledged.load(Ordering::SeqCst) >= before, "the host goes on");
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let after = acknowledged.load(Ordering::SeqCst);
    let told = String::from_utf8(backup.stdout).unwrap();
    assert!(told.contains("2 databases of apps") && told.contains("master.key"), "{told}");
    let bytes = std::fs::read(&file).unwrap();
    let key = std::fs::read(server.data().join("master.key")).unwrap();
    assert!(!bytes.windows(key.len()).any(|window| window == key), "the key is no part of it");

    // Another host, whose own data gives way.
    let mut other = start().await;
    other.kill().await;
    let data = other.data().to_owned();
    let restore = ["restore".as_ref(), file.as_ref(), "--data".as_ref(), data.as_ref()];
    let refused = caddis(&restore).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("new or empty directory"), "{refused:?}");
    std::fs::remove_dir_all(&data).unwrap();
    let key = server.data().join("master.key");
    let restored = caddis(&[&restore[..], &["--master-key".as_ref(), key.as_ref()]].concat()).await;
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    other.start_again().await;
    let admin = Client::new(other.address()).with_token(server.admin_token());
    let counts = run(&other.anonymous(), "SELECT count(*), sum(side = 'left') * 2, max(id) FROM pairs").await;
    let [rows, twice_left, last]: [i64; 3] = serde_json::from_value(counts["rows"][0].clone()).unwrap();
    assert!(rows == twice_left && rows == last, "whole transactions, and none missing in between: {counts}");
    assert!((before..=after).contains(&(rows / 2)), "{before} <= {rows}/2 <= {after}");
    assert_eq!(other.anonymous().get("sql", "/env?WORD").await.json()["get"], "sealed");
    let shop = other.anonymous().in_app("shop");
    assert_eq!(shop.get("f", "/").await.expect(StatusCode::OK).json(), json!({ "word": "of the shop", "n": 2 }));
    assert_eq!(admin.executions("sql", "limit=1").await.len(), 1, "and what was recorded");
    run(&other.anonymous(), "INSERT INTO pairs (side) VALUES ('on it goes')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_whole_backup_restores_nothing() {
    let server = start().await;
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("all.caddis");
    let backup = caddis(&["backup".as_ref(), file.as_ref(), "--data".as_ref(), server.data()]).await;
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[20_000] ^= 1;
    let cases: [(&str, &[u8], &str); 4] = [
        ("cut", &whole[..whole.len() / 2], "not a complete backup"),
        ("damaged", &damaged, "is damaged"),
        ("other", b"something else", "backup"),
        ("empty", b"", "not a complete backup"),
    ];
    for (name, bytes, part) in cases {
        let (file, data) = (root.path().join(name), root.path().join("data"));
        std::fs::write(&file, bytes).unwrap();
        let output = caddis(&["restore".as_ref(), file.as_ref(), "--data".as_ref(), data.as_ref()]).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(part) && told.lines().count() == 1, "{name}: {told}");
        assert!(!data.exists(), "{name}");
    }
    let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "nothing half done is left: {left:?}");
    let nothing = caddis(&["backup".as_ref(), file.as_ref(), "--data".as_ref(), root.path()]).await;
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no data directory"), "{nothing:?}");
}
