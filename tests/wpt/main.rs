//! The parts of web-platform-tests that apply to a function, run in functions of the real binary.
//!
//! `cargo test -p caddis --test wpt` compares with `expectations.txt` and the table in `README.md`; with `-- --bless` it
//! writes both. `-- url/` runs only the files whose path contains that, and says what their failing subtests say.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says where; what it finds is for people to read"
)]

mod outcome;
mod source;
mod suite;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use caddis_tests::{Options, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use outcome::{Outcome, Outcomes};
use suite::{Run, Suite};

/// The lines of the README between which the table is.
const TABLE: [&str; 2] = ["<!-- table -->\n", "<!-- end of table -->\n"];

#[tokio::main]
async fn main() -> ExitCode {
    let (flags, filters): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    if flags.iter().any(|flag| flag == "--ignored" || flag == "--list") {
        // What `cargo test` passes to all tests of a package. There are none of the first kind, and no names to list.
        return ExitCode::SUCCESS;
    }
    let folder = match source::folder() {
        Ok(folder) => folder,
        Err(reason) => {
            caddis_tests::not_tested(&format!("web-platform-tests: they cannot be fetched: {reason}"));
            return ExitCode::SUCCESS;
        }
    };
    let suite = Suite::new(folder);
    let mut runs = suite.runs();
    runs.retain(|run| filters.is_empty() || filters.iter().any(|filter| run.name.contains(filter)));
    let begin = Instant::now();
    let runs = Arc::new(runs);
    let outcomes = run_all(Arc::new(suite), Arc::clone(&runs)).await;
    let table = outcome::table(&runs, &outcomes);
    println!("{table}{} runs in {} s", runs.len(), begin.elapsed().as_secs());
    let bless = flags.iter().any(|flag| flag == "--bless");
    let problems = if filters.is_empty() { check(&runs, &outcomes, &table, bless) } else { failing(&outcomes) };
    println!("{} passed, {} failed", runs.len() - problems.len().min(runs.len()), problems.len());
    if problems.is_empty() || !filters.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run_all(suite: Arc<Suite>, runs: Arc<Vec<Run>>) -> Outcomes {
    let server = Server::start(Options::new(env!("CARGO_BIN_EXE_caddis"))).await;
    deploy(&server, &suite.text("resources/testharness.js").expect("the harness")).await;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    // Some runs only wait.
    let slots = Arc::new(Semaphore::new(2 * cores));
    let mut tasks = JoinSet::new();
    for index in 0..runs.len() {
        let (suite, runs, slots, client) =
            (Arc::clone(&suite), Arc::clone(&runs), Arc::clone(&slots), server.anonymous());
        tasks.spawn(async move {
            let _slot = slots.acquire().await;
            let run = &runs[index];
            let call = client.invoke(Method::POST, "wpt", "/").json(&suite.request(run));
            let reply = call.start().await.whole().await.expect("the response is complete");
            (run.name.clone(), Outcome::new(&reply.json()))
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Deploys what runs the tests, under the widest limits there are.
async fn deploy(server: &Server, harness: &str) {
    let code = format!("const HARNESS = {};\n{}", Value::from(harness), include_str!("harness.js"));
    let body = json!({
        "name": "wpt", "code": code, "enabled": true, "access": { "policy": "public" },
        "timeout_seconds": 300, "fuel": 1_000_000_000_000_u64, "memory_limit_mb": 1024,
    });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// Compares with what is committed, or writes that. Returns what is not as it should be, after printing it.
fn check(runs: &[Run], outcomes: &Outcomes, table: &str, bless: bool) -> Vec<String> {
    let (expectations, readme) = (committed("expectations.txt"), committed("README.md"));
    let text = read(&readme);
    let (before, rest) = text.split_once(TABLE[0]).expect("the README has a table");
    let (written, after) = rest.split_once(TABLE[1]).expect("the table ends");
    let below = outcome::below_aims(runs, outcomes);
    for area in &below {
        println!("{area}");
    }
    if bless {
        write(&expectations, &outcome::expectations(outcomes));
        write(&readme, &format!("{before}{}{table}{}{after}", TABLE[0], TABLE[1]));
        return below;
    }
    let mut problems = outcome::differences(outcomes, &outcome::parse(&read(&expectations)), true);
    if written != table {
        problems.push("the table in tests/wpt/README.md is another one".to_owned());
    }
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        println!("When this is what should be: cargo test -p caddis --test wpt -- --bless");
    }
    problems.extend(below);
    problems
}

/// The runs that have something to tell, printed.
fn failing(outcomes: &Outcomes) -> Vec<String> {
    let nothing = outcomes.iter().map(|(name, outcome)| (name.clone(), outcome.expecting_all_to_pass())).collect();
    let lines = outcome::differences(outcomes, &nothing, false);
    for line in &lines {
        println!("{line}");
    }
    lines
}

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/wpt").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
