//! Caddis and its peers, in turn, on one machine, under the same load. Prints medians and ratios; `--write` keeps them in the README.

mod cold;
mod load;
mod machine;
mod plot;
mod report;
mod servers;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use caddis_tests::Server;
use clap::Parser;

use crate::cold::Cold;
use crate::load::Measured;
use crate::report::{Results, Sample};
use crate::servers::Running;
use crate::workloads::{Call, ECHO, EVENTS, FIB, JSON, PAGE};

type Failure = Box<dyn std::error::Error>;

/// Compare Caddis with its peers on this machine
#[derive(Parser)]
struct Arguments {
    /// How often everything is measured, in rotation
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Only Caddis and the floor
    #[arg(long)]
    alone: bool,
    /// Keep the figures in this package's README, with a plot
    #[arg(long)]
    write: bool,
}

/// A server under one kind of load.
struct Series {
    workload: &'static str,
    server: &'static str,
    kind: Kind,
    call: Call,
    connections: &'static [u32],
}

/// What to start for a measurement. Caddis runs all the time, and does nothing while it is not called.
#[derive(Clone, Copy)]
enum Kind {
    Caddis,
    Hyper,
    Deno { answer: &'static str, parallel: bool },
    Workerd,
    Wasmtime { tuned: bool },
}

const ALL: &[u32] = &[1, 64, 512];
const MANY: &[u32] = &[64];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Progress, for the person who waits.
#[expect(clippy::print_stderr, reason = "a command for people")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

#[tokio::main]
async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = std::env::current_exe()?.with_file_name("caddis");
    if !binary.exists() {
        return Err("build the host first: cargo build --release -p caddis".into());
    }
    let target = binary.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let peers = match arguments.alone {
        true => None,
        false => Some(servers::fetch_peers(package, &target).await?),
    };
    let caddis = servers::caddis(&binary).await?;
    let mut results = Results::new(machine::describe(), arguments.rounds, arguments.seconds);
    let all = series(peers.as_deref());
    for round in 0..arguments.rounds {
        for series in &all {
            measure_series(series, round, arguments.seconds, &caddis, peers.as_ref(), &mut results).await?;
        }
    }
    results.memory = Some(cold::memory(&binary).await?);
    results.cold = Some(cold::first_requests(&binary).await?);
    let Cold { server, paths, .. } = cold::many_functions(&binary).await?;
    let call = Call { paths, body: None };
    for round in 0..arguments.rounds {
        let measured = load(&format!("http://{}", server.address()), &call, 64, arguments.seconds).await?;
        results.add(Sample {
            workload: "(g) 2,000 functions in turn",
            server: "Caddis",
            connections: 64,
            round,
            measured,
        });
    }
    results.print();
    results.keep(&target.join("bench-results.json"))?;
    if arguments.write {
        results.write_readme(package)?;
    }
    Ok(())
}

async fn measure_series(
    series: &Series,
    round: u32,
    seconds: u32,
    caddis: &Server,
    peers: Option<&PathBuf>,
    results: &mut Results,
) -> Result<(), Failure> {
    let running = match start(series.kind, peers).await {
        Ok(running) => running,
        Err(error) => {
            say(&format!("{} is left out: {error}", series.server));
            return Ok(());
        }
    };
    let base = running.as_ref().map_or_else(|| format!("http://{}", caddis.address()), |running| running.base.clone());
    load(&base, &series.call, 8, 1).await?;
    for &connections in series.connections {
        let measured = load(&base, &series.call, connections, seconds).await?;
        say(&format!(
            "round {round}  {:<28} {:<22} {connections:>4} connections  {:>9.0} requests/s",
            series.workload, series.server, measured.requests_per_second
        ));
        results.add(Sample { workload: series.workload, server: series.server, connections, round, measured });
    }
    Ok(())
}

/// Measures without stopping the servers that run in this process.
async fn load(base: &str, call: &Call, connections: u32, seconds: u32) -> Result<Measured, Failure> {
    let (base, call) = (base.to_owned(), call.clone());
    let measured =
        tokio::task::spawn_blocking(move || load::run(&base, &call, connections, seconds).map_err(|e| e.to_string()));
    Ok(measured.await??)
}

async fn start(kind: Kind, peers: Option<&PathBuf>) -> Result<Option<Running>, Failure> {
    let peers = peers.map(PathBuf::as_path).ok_or("it was not fetched");
    Ok(Some(match kind {
        Kind::Caddis => return Ok(None),
        Kind::Hyper => servers::hyper_alone().await?,
        Kind::Deno { answer, parallel } => servers::deno(peers?, answer, parallel).await?,
        Kind::Workerd => servers::workerd(peers?).await?,
        Kind::Wasmtime { tuned } => servers::wasmtime(peers?, tuned).await?,
    }))
}

fn series(peers: Option<&Path>) -> Vec<Series> {
    let of = |workload, server, kind, call, connections| Series { workload, server, kind, call, connections };
    let post = |path: &str| Call::post(path, JSON);
    let get = |name: &str| Call::get(&format!("/functions/v1/{name}"));
    let (a, b, c) = ("(a) JSON echo, JavaScript", "(b) JSON echo, Rust", "(c) point read, JavaScript");
    let (d, e, f) = ("(d) page of 100 kB", "(e) fib(25)", "(f) 100 events");
    let mut all = vec![
        of(a, "hyper alone", Kind::Hyper, post("/"), ALL),
        of(a, "Caddis", Kind::Caddis, post("/functions/v1/echo"), ALL),
        of(a, "Caddis, isolation: instance", Kind::Caddis, post("/functions/v1/kept"), ALL),
        of(b, "Caddis, lean world", Kind::Caddis, post("/functions/v1/lean"), ALL),
        of(b, "Caddis, wasi:http 0.2", Kind::Caddis, post("/functions/v1/http"), ALL),
        of(c, "Caddis", Kind::Caddis, get("read"), MANY),
        of(d, "Caddis", Kind::Caddis, get("page"), MANY),
        of(e, "Caddis", Kind::Caddis, get("fib"), MANY),
        of(e, "Caddis, Rust", Kind::Caddis, get("lean/fib"), MANY),
        of(f, "Caddis", Kind::Caddis, get("events"), MANY),
    ];
    if peers.is_some() {
        let deno = |parallel| Kind::Deno { answer: ECHO, parallel };
        all.extend([
            of(a, "deno serve", deno(false), post("/"), ALL),
            of(a, "deno serve --parallel", deno(true), post("/"), ALL),
            of(a, "workerd", Kind::Workerd, post("/"), ALL),
            of(b, "wasmtime serve", Kind::Wasmtime { tuned: false }, post("/"), ALL),
            of(b, "wasmtime serve, tuned", Kind::Wasmtime { tuned: true }, post("/"), ALL),
        ]);
        let script = |code| Kind::Deno { answer: code, parallel: true };
        all.extend([
            of(d, "deno serve --parallel", script(PAGE), Call::get("/"), MANY),
            of(e, "deno serve --parallel", script(FIB), Call::get("/"), MANY),
            of(f, "deno serve --parallel", script(EVENTS), Call::get("/"), MANY),
        ]);
    }
    all
}
