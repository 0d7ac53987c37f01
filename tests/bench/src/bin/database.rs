//! What the database costs from a function in JavaScript, as ratios to the same statements through plain rusqlite in this process.
//! Run with `cargo build --release -p caddis && cargo run --release -p caddis-bench --bin database`.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a command for people, who read why it stops")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use caddis_tests::{Client, Options, Server, Session};
use clap::Parser;
use http::{Method, StatusCode};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

/// Rows of the table.
const ROWS: i64 = 10_000;

/// Measure the database of a function against plain rusqlite
#[derive(Parser)]
struct Arguments {
    /// The binary to measure [default: the one beside this]
    #[arg(long)]
    caddis: Option<PathBuf>,
    /// Rounds; a figure is the median of theirs
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Requests of each kind in a round
    #[arg(long, default_value_t = 200)]
    requests: usize,
}

const READ: &str = "SELECT id, body FROM t WHERE id = ?1";
const INSERT: &str = "INSERT INTO t (body) VALUES (?1)";
const ALL: &str = "SELECT id, body FROM t WHERE id <= 10000";

/// The functions, by their names.
const FUNCTIONS: [(&str, &str); 6] = [
    ("nothing", "export default () => ({ id: 1 })"),
    ("read", "export default async (_, { db }) => (await db.query('SELECT id, body FROM t WHERE id = ?', [4711])).rows[0]"),
    ("insert", "export default async (_, { db }) => (await db.query('INSERT INTO t (body) VALUES (?)', ['a new body'])).changes"),
    (
        "loop",
        "export default async (_, { db }) => {
           const started = performance.now();
           for (let id = 1; id <= 2000; id += 1) await db.query('SELECT id, body FROM t WHERE id = ?', [id]);
           return (performance.now() - started) * 1000 / 2000;
         }",
    ),
    (
        "stream",
        "export default async (request, { db }) => {
           const most = Number(new URL(request.url).searchParams.get('most'));
           const started = performance.now();
           let rows = 0;
           for await (const row of db.stream('SELECT id, body FROM t WHERE id <= ?', [most])) rows += row.body.length > 0;
           return { rows, us: (performance.now() - started) * 1000 };
         }",
    ),
    (
        "array",
        "export default async (request, { db }) => {
           const most = Number(new URL(request.url).searchParams.get('most'));
           const started = performance.now();
           const { rows } = await db.query('SELECT id, body FROM t WHERE id <= ?', [most]);
           return { rows: rows.length, us: (performance.now() - started) * 1000 };
         }",
    ),
];

fn main() {
    let arguments = Arguments::parse();
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        for durability in ["full", "normal"] {
            measure(&arguments, durability).await;
        }
    });
}

async fn measure(arguments: &Arguments, durability: &str) {
    let beside = std::env::current_exe().expect("this has a path").with_file_name("caddis");
    let options = Options::new(arguments.caddis.as_ref().unwrap_or(&beside)).flag("--durability", durability);
    let server = Server::start(options.variable("CADDIS_RATE_LIMITS", "off").variable("CADDIS_LOG", "warn")).await;
    let admin = server.admin();
    for (name, code) in FUNCTIONS {
        let body = json!({
            "name": name, "code": code, "enabled": true, "access": { "policy": "public" }, "log_response": false,
            "fuel": 100_000_000_000_u64,
        });
        admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    }
    for sql in schema() {
        admin.manage(Method::POST, "/db/query").json(&json!({ "sql": sql })).send().await.expect(StatusCode::OK);
    }
    let directory = tempfile::tempdir_in(server.data()).expect("a directory on the same disk");
    let plain = Plain::open(&directory.path().join("plain.sqlite"), durability);

    let client = server.anonymous();
    let mut session = client.session().await;
    println!(
        "durability {durability}: medians in µs, of {} rounds of {} requests",
        arguments.rounds, arguments.requests
    );
    for (blocks, how) in [(1, "one kind of request after the other"), (arguments.requests, "all kinds in turn")] {
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            rounds.push(Round::run(arguments.requests, blocks, &client, &mut session, &plain).await);
        }
        println!("  {how}:");
        compare(&rounds);
    }

    let plain_read = median(arguments.requests, || plain.read());
    let repeated = smallest(&client, &mut session, "loop", |answer| answer.as_f64()).await;
    report("a read in a loop in a function", repeated, plain_read, "a plain read");
    let plain_all = median(20, || plain.all());
    for name in ["stream", "array"] {
        let target = format!("{name}/?most={ROWS}");
        let time = smallest(&client, &mut session, &target, |answer| answer["us"].as_f64()).await;
        report(&format!("{ROWS} rows of 100 bytes, {name}"), time, plain_all, "plain rows as Rust values");
        let [few, many] = [peak(&admin, name, 10).await, peak(&admin, name, ROWS).await];
        println!("    memory of the function: {} KiB for 10 rows, {} KiB for {ROWS}", few >> 10, many >> 10);
    }
}

/// Medians of what was asked in turn, in microseconds. What a machine does at the same time, it does to all of them.
struct Round {
    nothing: f64,
    read: f64,
    insert: f64,
    plain_read: f64,
    plain_insert: f64,
}

impl Round {
    /// Each kind so many times, in `blocks` of one kind.
    async fn run(requests: usize, blocks: usize, client: &Client, session: &mut Session, plain: &Plain) -> Self {
        let mut times: [Vec<Duration>; 5] = Default::default();
        for _ in 0..blocks {
            let [nothing, read, insert, plain_read, plain_insert] = &mut times;
            for (function, times) in [("nothing", nothing), ("read", read), ("insert", insert)] {
                for _ in 0..requests / blocks {
                    let started = Instant::now();
                    session.send(client.invoke(Method::GET, function, "/")).await.expect(StatusCode::OK);
                    times.push(started.elapsed());
                }
            }
            for _ in 0..requests / blocks {
                plain_read.push(timed(|| plain.read()));
            }
            for _ in 0..requests / blocks {
                plain_insert.push(timed(|| plain.insert()));
            }
        }
        let [nothing, read, insert, plain_read, plain_insert] = times.map(median_of);
        Self { nothing, read, insert, plain_read, plain_insert }
    }
}

/// Prints what each kind of statement costs beside the sandbox and the statement alone.
fn compare(rounds: &[Round]) {
    print(rounds, "read", |round| round.read, |round| round.plain_read);
    print(rounds, "insert", |round| round.insert, |round| round.plain_insert);
}

fn print(rounds: &[Round], kind: &str, function: fn(&Round) -> f64, plain: fn(&Round) -> f64) {
    let figures = |of: &dyn Fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
    let [time, nothing, alone] = [function, |round| round.nothing, plain].map(|of| middle(figures(&of)));
    let ratios = figures(&|round| function(round) / (round.nothing + plain(round)));
    let [least, most] = [least(&ratios), most(&ratios)];
    println!(
        "    a function with one {kind}: {time:.1}, {:.2} ({least:.2} to {most:.2}) of one that does nothing ({nothing:.1}) and a plain {kind} ({alone:.1})",
        middle(ratios)
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn least(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}

fn schema() -> [String; 2] {
    [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)".to_owned(),
        format!(
            "INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {ROWS}) SELECT i, printf('%0100d', i) FROM n"
        ),
    ]
}

fn report(what: &str, time: f64, floor: f64, of: &str) {
    println!("  {what}: {time:.1} µs, {:.2} of {of} ({floor:.1} µs)", time / floor);
}

/// The same statements without a host.
struct Plain(Connection);

impl Plain {
    fn open(file: &std::path::Path, durability: &str) -> Self {
        let sqlite = Connection::open(file).expect("a database");
        sqlite.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).expect("a log");
        sqlite.pragma_update(None, "synchronous", durability).expect("a setting");
        sqlite.execute_batch(&schema().join(";")).expect("a table");
        Self(sqlite)
    }

    fn read(&self) {
        let mut statement = self.0.prepare_cached(READ).expect("a statement");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        statement.query_row([4711], row).expect("a row");
    }

    fn insert(&self) {
        self.0.prepare_cached(INSERT).expect("a statement").execute(params!["a new body"]).expect("a row more");
    }

    fn all(&self) {
        let mut statement = self.0.prepare_cached(ALL).expect("a statement");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let rows: Vec<_> = statement.query_map([], row).expect("rows").collect();
        assert_eq!(rows.len(), usize::try_from(ROWS).expect("a small number"));
    }
}

fn median_of(times: Vec<Duration>) -> f64 {
    middle(times.into_iter().map(|time| time.as_secs_f64() * 1e6).collect())
}

fn median(rounds: usize, mut work: impl FnMut()) -> f64 {
    work();
    median_of((0..rounds).map(|_| timed(&mut work)).collect())
}

/// The best of what a function says it took.
async fn smallest(client: &Client, session: &mut Session, target: &str, time: impl Fn(&Value) -> Option<f64>) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let reply = session.send(client.call(Method::GET, &format!("/functions/v1/{target}"))).await;
        best = time(&reply.expect(StatusCode::OK).json()).expect("a time").min(best);
    }
    best
}

/// The most memory of an execution, in bytes.
async fn peak(admin: &Client, function: &str, rows: i64) -> u64 {
    let reply = admin.get(function, &format!("/?most={rows}")).await.expect(StatusCode::OK);
    admin.execution(function, &reply).await.get("peak_memory_bytes").and_then(Value::as_u64).expect("a number of bytes")
}
