//! How many instructions of the host a request takes, counted by valgrind's callgrind: the same number on a busy machine as on a quiet one,
//! so that a change can be judged by it. `.ci/run` fails when one grows by more than a twentieth.
//!
//! Run with `cargo build -p caddis && cargo run -p caddis-bench --bin instructions`; `--write` keeps the counts. They are of the build that tests
//! run, not of a release, and of a processor as valgrind shows it: one without AVX2 gives others.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a command for people, who read why it stops")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use caddis_tests::{Call, Client, Options, Server, guests};
use clap::Parser;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// What was counted when somebody last kept it.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

/// Growth that is a regression, in percent.
const TOLERATED: f64 = 5.0;

/// Requests before counting begins: the first ones read variables, open databases, fill pools.
const WARM_UP: usize = 20;

/// Requests that are counted together, and how often: what the host does aside comes on top, so the least is right.
const COUNTED: usize = 40;
const REPETITIONS: usize = 3;

/// How long the engine of JavaScript functions may take to be compiled under callgrind.
const COMPILE_TIME: Duration = Duration::from_secs(900);

/// What is asked. The first has hardly more than an instance to be made.
const WORKLOADS: [(&str, Method, &str); 4] = [
    ("a component that answers 404", Method::GET, "/functions/v1/component/nothing"),
    ("a constant, JavaScript", Method::GET, "/functions/v1/constant"),
    ("JSON echo, JavaScript", Method::POST, "/functions/v1/echo"),
    ("point read, JavaScript", Method::GET, "/functions/v1/read"),
];

const BODY: &str =
    r#"{"hello":"world","numbers":[1,2,3],"nested":{"yes":true,"text":"some forty bytes of it, or a few more"}}"#;

/// Count the instructions that requests take
#[derive(Parser)]
struct Arguments {
    /// The binary to measure [default: the one beside this]
    #[arg(long)]
    caddis: Option<PathBuf>,
    /// Keep the counts as those to compare with
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let counts = tokio::runtime::Runtime::new().expect("a runtime").block_on(measure(&arguments));
    let kept = std::fs::read_to_string(KEPT).unwrap_or_else(|_| "{}".to_owned());
    let kept: BTreeMap<String, u64> = serde_json::from_str(&kept).expect("instructions.json has names and numbers");
    let grown = report(&counts, &kept);
    if arguments.write {
        let counts: BTreeMap<&str, u64> = counts.into_iter().collect();
        let text = serde_json::to_string_pretty(&counts).expect("names and numbers") + "\n";
        std::fs::write(KEPT, text).expect("instructions.json can be written");
        return ExitCode::SUCCESS;
    }
    if grown {
        println!(
            "a request takes over {TOLERATED} % more instructions than were kept; if that is meant, keep these with --write"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints a table; true when a count has grown too much, or has none to be compared with.
fn report(counts: &[(&'static str, u64)], kept: &BTreeMap<String, u64>) -> bool {
    let mut table = format!("{:<32} {:>12} {:>12} {:>8}\n", "instructions per request", "now", "kept", "change");
    let mut grown = false;
    for (name, count) in counts {
        let before = kept.get(*name).copied();
        #[expect(clippy::cast_precision_loss, reason = "a percentage of millions")]
        let change = before.map(|before| (*count as f64 / before as f64 - 1.0) * 100.0);
        grown |= change.is_none_or(|change| change > TOLERATED);
        let before = before.map_or("none".to_owned(), |before| before.to_string());
        let change = change.map_or(String::new(), |change| format!("{change:+.1} %"));
        let _ = writeln!(table, "{name:<32} {count:>12} {before:>12} {change:>8}");
    }
    print!("{table}");
    grown
}

async fn measure(arguments: &Arguments) -> Vec<(&'static str, u64)> {
    let beside = std::env::current_exe().expect("this has a path").with_file_name("caddis");
    let caddis = arguments.caddis.as_deref().unwrap_or(&beside);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let profiles = directory.path().join("callgrind.out");
    // As few executions as possible: valgrind has 128 GiB of addresses, and each takes some.
    let options = Options::new(under_callgrind(caddis, directory.path(), &profiles)).flag("--max-executions", 2);
    let server = Server::start_beside(options.variable("CADDIS_LOG", "error")).await;
    let admin = server.admin();
    engine_compiled(server.data()).await;
    admin.put_component("component", guests::BENCH_LEAN, "").await;
    for (name, code) in [
        ("constant", "export default () => new Response('x')"),
        ("echo", "export default async (request) => Response.json(await request.json())"),
        (
            "read",
            "export default async (_, { db }) => (await db.query('SELECT id, body FROM t WHERE id = ?', [47])).rows[0]",
        ),
    ] {
        let body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": "public" } });
        admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    }
    let rows = "CREATE TABLE t AS WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT i AS id, 'some text' AS body FROM n";
    for sql in [rows, "CREATE UNIQUE INDEX t_id ON t (id)"] {
        admin.manage(Method::POST, "/db/query").json(&json!({ "sql": sql })).send().await.expect(StatusCode::OK);
    }
    let callgrind = Callgrind { pid: server.pid(), profiles };
    let mut counts = Vec::new();
    for (name, method, path) in WORKLOADS {
        counts.push((name, count(&server.anonymous(), &callgrind, &method, path).await));
    }
    counts
}

/// A program that runs the server under callgrind, which counts nothing until it is told to.
fn under_callgrind(caddis: &Path, directory: &Path, profiles: &Path) -> PathBuf {
    let wrapper = directory.join("caddis");
    // The children too: what they compile must be for the processor that valgrind makes of this one.
    let script = format!(
        "#!/bin/sh\nexec valgrind -q --tool=callgrind --trace-children=yes --instr-atstart=no --callgrind-out-file='{}.%p' '{}' \"$@\"\n",
        profiles.display(),
        caddis.display(),
    );
    std::fs::write(&wrapper, script).expect("a script can be written");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    wrapper
}

/// Waits until the cache has the engine: that takes a minute, where clients have less patience.
async fn engine_compiled(data: &Path) {
    let begun = Instant::now();
    while finished(&data.join("cache")) == 0 {
        assert!(
            begun.elapsed() < COMPILE_TIME,
            "the engine of JavaScript functions was not compiled in {COMPILE_TIME:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How many pieces of machine code are there.
fn finished(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .map(|path| {
            if path.is_dir() {
                finished(&path)
            } else {
                usize::from(path.extension().is_some_and(|end| end == "cwasm"))
            }
        })
        .sum()
}

/// The instructions of one request.
async fn count(client: &Client, callgrind: &Callgrind, method: &Method, path: &str) -> u64 {
    let mut session = client.session().await;
    let call = || -> Call {
        let call = client.call(method.clone(), path);
        if *method == Method::POST { call.json(&serde_json::from_str::<Value>(BODY).expect("JSON")) } else { call }
    };
    for _ in 0..WARM_UP {
        session.send(call()).await;
    }
    let mut least = u64::MAX;
    for _ in 0..REPETITIONS {
        callgrind.control(&["-z"]);
        callgrind.control(&["-i", "on"]);
        for _ in 0..COUNTED {
            session.send(call()).await;
        }
        callgrind.control(&["-i", "off"]);
        least = least.min(callgrind.total());
    }
    least / COUNTED as u64
}

/// A process that callgrind runs.
struct Callgrind {
    pid: u32,
    profiles: PathBuf,
}

impl Callgrind {
    fn control(&self, command: &[&str]) {
        let done = Command::new("callgrind_control").args(command).arg(self.pid.to_string()).output();
        let done = done.expect("valgrind is installed");
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "callgrind_control {command:?}: {error}");
    }

    /// What was counted since the last time.
    fn total(&self) -> u64 {
        self.control(&["-d"]);
        let directory = self.profiles.parent().expect("it is in a directory");
        let name = format!("{}.{}.", self.profiles.file_name().unwrap_or_default().display(), self.pid);
        let mut total = 0;
        for entry in std::fs::read_dir(directory).expect("the directory is there").filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with(&name) {
                let profile = std::fs::read_to_string(entry.path()).expect("a profile is text");
                let line =
                    profile.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a profile has totals");
                total += line.trim().parse::<u64>().expect("a number");
                std::fs::remove_file(entry.path()).expect("a profile can be removed");
            }
        }
        assert!(total > 0, "callgrind has counted nothing");
        total
    }
}
