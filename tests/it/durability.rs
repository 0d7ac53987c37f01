//! What is acknowledged stays, whatever happens to the process.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caddis_tests::{Client, Server, guests};
use http::StatusCode;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{options, start};

const KILLS: usize = 100;
const WRITERS: usize = 8;
/// What a start may take after a kill. A test alone on the machine, so that the time is the host's own.
const START_TIME: Duration = Duration::from_secs(2);

async fn run(client: &Client, sql: &str) -> Value {
    client.post("sql", "/db", &json!({ "sql": sql, "parameters": [] })).await.expect(StatusCode::OK).json()
}

/// Writes until the server is gone, and notes each number that was acknowledged.
async fn write(client: Client, numbers: Arc<AtomicI64>, acknowledged: Arc<Mutex<BTreeSet<i64>>>) {
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let insert =
            |half| json!({ "sql": "INSERT INTO t VALUES (?, ?)", "parameters": [number, half], "execute": true });
        let (path, body) = if number % 2 == 0 {
            ("/transaction", json!({ "statements": [insert("left"), insert("right")], "end": "commit" }))
        } else {
            let both = "INSERT INTO t VALUES (?1, 'left'), (?1, 'right')";
            ("/db", json!({ "sql": both, "parameters": [number], "execute": true }))
        };
        let call = client.invoke(http::Method::POST, "sql", path).json(&body);
        let Some(reply) = call.try_send().await else { return };
        let answer = reply.json();
        if answer["end"] == "done" || answer["rows_affected"] == 2 {
            acknowledged.lock().unwrap().insert(number);
        }
    }
}

/// The numbers in the table, of which each must be there with both halves.
fn numbers_in(data: &std::path::Path) -> BTreeSet<i64> {
    let file = data.join("apps/default/data.sqlite");
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let mut statement = database.prepare("SELECT n, count(*) FROM t GROUP BY n").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(i64, i64)> = rows.map(Result::unwrap).collect();
    assert!(rows.iter().all(|(_, halves)| *halves == 2), "half a transaction: {rows:?}");
    rows.into_iter().map(|(number, _)| number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_in_the_middle_of_writes_lose_nothing() {
    let mut server = Server::start(options().alone()).await;
    server.admin().put_component("sql", guests::WSTD_ECHO, "").await;
    run(&server.anonymous(), "CREATE TABLE t (n INTEGER, half TEXT)").await;
    let (numbers, acknowledged) = (Arc::default(), Arc::<Mutex<BTreeSet<i64>>>::default());
    let mut starts = Vec::new();
    for round in 0..KILLS {
        let before = acknowledged.lock().unwrap().len();
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            writers.spawn(write(server.anonymous(), Arc::clone(&numbers), Arc::clone(&acknowledged)));
        }
        caddis_tests::eventually("a write", async || (acknowledged.lock().unwrap().len() > before).then_some(())).await;
        // The moment is the point: anywhere in what eight writers do.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..30_000))).await;
        server.kill().await;
        writers.join_all().await;
        let started = Instant::now();
        server.start_again().await;
        starts.push(started.elapsed());
        let found = numbers_in(server.data());
        let lost: Vec<_> = acknowledged.lock().unwrap().difference(&found).copied().collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
    }
    starts.sort_unstable();
    assert!(starts.last().is_some_and(|slowest| *slowest < START_TIME), "{starts:?}");
}

/// Accounts, and a ledger of what each transfer saw and did.
const BANK: &str = "
    export default async (request, { db }) => {
        const { from, to, amount } = await request.json();
        return Response.json(await db.transaction(async (tx) => {
            const balance = async (id) => (await tx.query('SELECT balance FROM accounts WHERE id = ?', [id])).rows[0].balance;
            const [source, target] = [await balance(from), await balance(to)];
            if (source < amount) return { moved: 0 };
            await tx.query('UPDATE accounts SET balance = ? WHERE id = ?', [source - amount, from]);
            await tx.query('UPDATE accounts SET balance = ? WHERE id = ?', [target + amount, to]);
            await tx.query('INSERT INTO ledger (source, target, amount, source_had, target_had) VALUES (?, ?, ?, ?, ?)',
                [from, to, amount, source, target]);
            if (amount === 13) throw new Error('rolled back');
            return { moved: amount };
        }));
    };";

const ACCOUNTS: usize = 10;
const OPENING: i64 = 100;
const CLIENTS: usize = 64;
const TRANSFERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn transfers_of_64_clients_keep_the_sum_and_have_an_order() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("sql", guests::WSTD_ECHO, "").await;
    let bank = json!({ "name": "bank", "code": BANK, "enabled": true, "access": { "policy": "public" } });
    admin.manage(http::Method::POST, "/functions").json(&bank).send().await.expect(StatusCode::CREATED);
    let client = server.anonymous();
    run(&client, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER CHECK (balance >= 0))").await;
    run(
        &client,
        "CREATE TABLE ledger (n INTEGER PRIMARY KEY AUTOINCREMENT, source, target, amount, source_had, target_had)",
    )
    .await;
    run(&client, &format!("INSERT INTO accounts WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {ACCOUNTS}) SELECT i, {OPENING} FROM n")).await;

    let moved = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, moved) = (server.anonymous(), Arc::clone(&moved));
        clients.spawn(async move {
            for _ in 0..TRANSFERS {
                let (from, step) = (fastrand::usize(0..ACCOUNTS), fastrand::usize(1..ACCOUNTS));
                let transfer = json!({ "from": from, "to": (from + step) % ACCOUNTS, "amount": fastrand::u8(1..40) });
                let mut reply = client.post("bank", "/", &transfer).await;
                // Nothing was done: the queue for the lock was longer than the host waits.
                while reply.text().contains("try again") {
                    reply = client.post("bank", "/", &transfer).await;
                }
                if reply.status == StatusCode::OK {
                    moved.fetch_add(usize::from(reply.json()["moved"] != 0), Ordering::Relaxed);
                } else {
                    assert!(reply.text().contains("rolled back"), "{}", reply.text());
                }
                let seen = run(&client, "SELECT sum(balance) FROM accounts").await;
                assert_eq!(seen["rows"], json!([[OPENING * ACCOUNTS as i64]]), "in the middle of it");
            }
        });
    }
    clients.join_all().await;

    let ledger = run(&client, "SELECT source, target, amount, source_had, target_had FROM ledger ORDER BY n").await;
    let ledger: Vec<[i64; 5]> = serde_json::from_value(ledger["rows"].clone()).unwrap();
    assert_eq!(ledger.len(), moved.load(Ordering::Relaxed), "what was acknowledged is what was done");
    // One after the other in the order of the ledger, each transfer sees what it did see.
    let mut balances = [OPENING; ACCOUNTS];
    for [source, target, amount, source_had, target_had] in ledger {
        let (source, target) = (usize::try_from(source).unwrap(), usize::try_from(target).unwrap());
        assert_eq!((balances[source], balances[target]), (source_had, target_had));
        balances[source] -= amount;
        balances[target] += amount;
    }
    let now = run(&client, "SELECT balance FROM accounts ORDER BY id").await;
    let now: Vec<[i64; 1]> = serde_json::from_value(now["rows"].clone()).unwrap();
    assert_eq!(now.concat(), balances);
}
