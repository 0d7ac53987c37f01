//! What recording executions costs the requests: two hosts that differ in nothing else, called in turn, and the ratio of each pair.
//! Run with `cargo build --release -p caddis && cargo run --release -p caddis-bench --bin records`.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a command for people, who read why it stops")]

use std::path::{Path, PathBuf};
use std::process::Command;

use caddis_tests::{Options, Server, eventually};
use clap::Parser;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// Measure requests with records and without, in turn
#[derive(Parser)]
struct Arguments {
    /// The binary to measure [default: the one beside this]
    #[arg(long)]
    caddis: Option<PathBuf>,
    /// Records that are there before it begins
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Pairs of runs
    #[arg(long, default_value_t = 20)]
    pairs: usize,
    /// Seconds of one run
    #[arg(long, default_value_t = 2)]
    seconds: u32,
}

/// The less it does, the more its record weighs.
const FUNCTION: &str = "export default () => Response.json({ hello: 'world', numbers: [1, 2, 3] });";

fn main() {
    let arguments = Arguments::parse();
    let beside = std::env::current_exe().expect("this has a path").with_file_name("caddis");
    let binary = arguments.caddis.as_deref().unwrap_or(&beside);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(measure(&arguments, binary));
}

async fn measure(arguments: &Arguments, binary: &Path) {
    let with = start(binary, 10_000_000).await;
    let without = start(binary, 0).await;
    while records(&with).await < arguments.rows {
        rate(&with, 64, 10);
    }
    println!(
        "{} records to begin with; with and without records in turn, {} pairs",
        records(&with).await,
        arguments.pairs
    );
    for connections in [1, 64] {
        let pairs: Vec<[f64; 2]> =
            (0..arguments.pairs).map(|pair| rates(&with, &without, connections, arguments.seconds, pair)).collect();
        let ratio = quartiles(pairs.iter().map(|[with, without]| with / without * 100.0));
        let without = quartiles(pairs.iter().map(|[_, without]| *without));
        println!(
            "{connections} connections: {:.1} % of the {:.0} requests a second without records (half of the pairs {:.1} to {:.1} %)",
            ratio[1], without[1], ratio[0], ratio[2]
        );
    }
    let dropped = with.admin().call(Method::GET, "/metrics").send().await.expect(StatusCode::OK).text();
    let dropped = dropped
        .lines()
        .find(|line| line.starts_with("caddis_execution_records_dropped_total"))
        .unwrap_or_default()
        .to_owned();
    println!("{} records at the end; {dropped}", records(&with).await);
}

async fn start(binary: &Path, kept: u32) -> Server {
    let options = Options::new(binary).flag("--keep-executions", kept).variable("CADDIS_LOG", "warn");
    let server = Server::start_beside(options).await;
    let body = json!({ "name": "f", "code": FUNCTION, "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    server.anonymous().get("f", "/").await.expect(StatusCode::OK);
    server
}

/// What is in the log. The statistics count it without reading it.
async fn records(server: &Server) -> u64 {
    eventually("statistics", async || {
        let reply = server.admin().manage(Method::GET, "/functions/f/stats").send().await;
        reply.expect(StatusCode::OK).json().get("count").and_then(Value::as_u64)
    })
    .await
}

/// The quarter, the middle and the three quarters of some numbers.
fn quartiles(numbers: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted.get((sorted.len() - 1) * quarter / 4).copied().unwrap_or(f64::NAN))
}

/// One pair, with records and without, whose halves change places.
fn rates(with: &Server, without: &Server, connections: u32, seconds: u32, pair: usize) -> [f64; 2] {
    if pair.is_multiple_of(2) {
        let with = rate(with, connections, seconds);
        [with, rate(without, connections, seconds)]
    } else {
        let without = rate(without, connections, seconds);
        [rate(with, connections, seconds), without]
    }
}

/// Requests a second, as wrk counts them.
fn rate(server: &Server, connections: u32, seconds: u32) -> f64 {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string(), "--duration", &format!("{seconds}s")])
        .arg(format!("http://{}/functions/v1/f", server.address()))
        .output()
        .expect("wrk, the load generator, is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.expect("wrk reports the rate")
}
