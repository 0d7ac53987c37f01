//! Where the time of requests goes: the host under load, sampled by perf, and its samples sorted into a few parts.
//!
//! `RUSTFLAGS="-C force-frame-pointers=yes" cargo build --release -p caddis --target-dir target/profile`
//! `cargo run --release -p caddis-bench --bin profile -- --caddis target/profile/release/caddis`

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a command for people, who read why it stops")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use caddis_tests::{Options, Server, guests};
use clap::Parser;
use http::{Method, StatusCode};
use serde_json::json;

/// Show where the time of requests goes
#[derive(Parser)]
struct Arguments {
    /// The binary to measure, built with frame pointers
    #[arg(long)]
    caddis: PathBuf,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Seconds of each profile
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

const WORKLOADS: [(&str, &str); 4] = [
    ("JSON echo, JavaScript", "echo"),
    ("JSON echo, JavaScript, isolation: instance", "kept"),
    ("JSON echo, Rust, lean world", "lean"),
    ("JSON echo, Rust, wasi:http 0.2", "http"),
];

/// The parts, in the order in which a sample is asked whether it belongs to one: by the code that ran, and by those who called it.
const PARTS: [(&str, Place, &[&str]); 9] = [
    ("the record of the execution", Place::Callers, &["store::executions::writer"]),
    (
        "memory, in the kernel",
        Place::Kernel,
        &["madvise", "pagemap", "page_fault", "handle_mm_fault", "mmap", "munmap"],
    ),
    (
        "network, in the kernel",
        Place::Kernel,
        &["tcp_", "sock_", "inet_", "recvfrom", "epoll", "ep_", "net_rx", "skb", "writev"],
    ),
    ("threads, in the kernel", Place::Kernel, &[""]),
    ("the function itself", Place::Compiled, &[""]),
    ("making the instance", Place::Callers, &["Instantiator", "InstancePre", "instantiate_async", "Store<T>::new"]),
    (
        "ending the instance",
        Place::Callers,
        &["StoreInner", "<wasmtime::runtime::store::StoreOpaque as core::ops::drop::Drop>"],
    ),
    ("calls between host and function", Place::Callers, &["wasmtime"]),
    ("the host: routes, limits, who calls", Place::Callers, &["caddis"]),
];

/// HTTP, the runtime, and what cannot be told.
const REST: &str = "HTTP, tasks, allocation";

/// Where a part is recognized.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// In the kernel, by any frame.
    Kernel,
    /// In machine code made from WebAssembly.
    Compiled,
    /// By any frame.
    Callers,
}

fn main() {
    let arguments = Arguments::parse();
    tokio::runtime::Runtime::new().expect("a runtime").block_on(measure(&arguments));
}

async fn measure(arguments: &Arguments) {
    let options = Options::new(&arguments.caddis).variable("CADDIS_LOG", "error");
    let server = Server::start(options).await;
    let admin = server.admin();
    let code = "export default async (request) => Response.json(await request.json())";
    for (name, isolation) in [("echo", "request"), ("kept", "instance")] {
        let access = json!({ "policy": "public" });
        let body = json!({ "name": name, "code": code, "enabled": true, "access": access, "isolation": isolation });
        admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    }
    admin.put_component("lean", guests::BENCH_LEAN, "").await;
    admin.put_component("http", guests::BENCH_HTTP, "").await;
    let samples = tempfile::NamedTempFile::new().expect("a temporary file");
    for (name, function) in WORKLOADS {
        println!("{name}, {} connections", arguments.connections);
        record(&server, function, arguments, samples.path());
        for (part, share) in shares(samples.path()) {
            println!("  {part:<36} {share:>5.1} %");
        }
    }
}

/// Samples the server while it is called.
fn record(server: &Server, function: &str, arguments: &Arguments, samples: &Path) {
    let script = tempfile::Builder::new().suffix(".lua").tempfile().expect("a temporary file");
    let body =
        r#"{"hello":"world","numbers":[1,2,3],"nested":{"yes":true,"text":"some forty bytes of it, or a few more"}}"#;
    let text =
        format!("wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['content-type'] = 'application/json'\n");
    std::fs::write(script.path(), text).expect("the script can be written");
    let mut load = Command::new("wrk")
        .args(["--threads", "2", "--connections", &arguments.connections.to_string()])
        .args(["--duration", &format!("{}s", arguments.seconds + 2), "--script"])
        .arg(script.path())
        .arg(format!("http://{}/functions/v1/{function}", server.address()))
        .stdout(Stdio::null())
        .spawn()
        .expect("wrk, the load generator, is installed");
    let recorded = Command::new("perf")
        .args(["record", "--freq", "999", "--call-graph", "fp", "--pid", &server.pid().to_string(), "--output"])
        .arg(samples)
        .args(["--", "sleep", &arguments.seconds.to_string()])
        .output()
        .expect("perf is installed");
    assert!(recorded.status.success(), "perf: {}", String::from_utf8_lossy(&recorded.stderr));
    load.wait().expect("wrk ends");
}

/// The parts with their shares of the time, the largest first.
fn shares(samples: &Path) -> Vec<(&'static str, f64)> {
    let script = Command::new("perf").args(["script", "--fields", "ip,sym,dso", "--input"]).arg(samples).output();
    let script = script.expect("perf is installed").stdout;
    let script = String::from_utf8_lossy(&script);
    let mut counts: HashMap<&'static str, f64> = HashMap::new();
    for stack in script.split("\n\n").filter(|stack| !stack.trim().is_empty()) {
        *counts.entry(part_of(stack)).or_default() += 1.0;
    }
    let all: f64 = counts.values().sum();
    let mut shares: Vec<(&str, f64)> = counts.into_iter().map(|(part, count)| (part, count / all * 100.0)).collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    shares
}

/// The part a stack belongs to; its first line is the code that ran.
fn part_of(stack: &str) -> &'static str {
    let ran = stack.trim_start_matches('\n').lines().next().unwrap_or_default();
    let found = PARTS.iter().find(|(_, place, names)| {
        let there = match place {
            Place::Kernel => ran.contains("[kernel"),
            Place::Compiled => ran.contains("[unknown]"),
            Place::Callers => true,
        };
        there && names.iter().any(|name| stack.contains(name))
    });
    found.map_or(REST, |(part, ..)| part)
}
