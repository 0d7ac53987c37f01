//! Caddis and its peers, as processes on loopback.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use caddis_tests::{Client, Options, Server, guests};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::workloads::{ECHO, EVENTS, FIB, FILL, PAGE, READ};

/// The versions that are compared with.
const WASMTIME_CLI: &str = "48.0.8";

/// Something that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) base: String,
    _process: Process,
}

enum Process {
    Child(#[expect(dead_code, reason = "held for as long as it runs")] Child),
    Task(JoinHandle<()>),
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

/// Caddis with all that the workloads call.
pub(crate) async fn caddis(binary: &Path) -> Result<Server, Failure> {
    let options = Options::new(binary).variable("CADDIS_RATE_LIMITS", "off").variable("CADDIS_LOG", "warn");
    let server = Server::start(options).await;
    let admin = server.admin();
    let scripts = [
        ("echo", format!("export default {ECHO}")),
        ("read", READ.to_owned()),
        ("fill", FILL.to_owned()),
        ("page", format!("{PAGE}\nexport default answer;")),
        ("fib", format!("{FIB}\nexport default answer;")),
        ("events", format!("{EVENTS}\nexport default answer;")),
    ];
    for (name, code) in scripts {
        deploy(&admin, name, &code).await;
    }
    deploy(&admin, "kept", &format!("export default {ECHO}")).await;
    admin.change("kept", &json!({ "isolation": "instance" })).await;
    admin.put_component("lean", guests::BENCH_LEAN, "").await;
    admin.put_component("http", guests::BENCH_HTTP, "").await;
    server.anonymous().get("fill", "/").await.expect(StatusCode::OK);
    Ok(server)
}

/// Deploys a public function.
pub(crate) async fn deploy(admin: &Client, name: &str, code: &str) {
    let body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": "public" } });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// The floor: hyper, parsing and printing the same JSON, and nothing else.
pub(crate) async fn hyper_alone() -> Result<Running, Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)));
        }
    });
    Ok(Running { base, _process: Process::Task(task) })
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut response = Response::new(Full::new(value.to_string().into()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// `deno serve` of a program that has `answer`, or of the echo.
pub(crate) async fn deno(peers: &Path, answer: &str, parallel: bool) -> Result<Running, Failure> {
    let program = peers.join(if parallel { "parallel.ts" } else { "single.ts" });
    let program_text = match answer.contains("const answer") {
        true => format!("{answer}\nexport default {{ fetch: answer }};"),
        false => format!("export default {{ fetch: {answer} }};"),
    };
    std::fs::write(&program, program_text)?;
    let port = free_port()?;
    let mut command = Command::new(peers.join("node_modules/deno/deno"));
    command.args(["serve", "--quiet", "--host", "127.0.0.1", "--port", &port.to_string()]);
    if parallel {
        command.arg("--parallel");
    }
    started(command.arg(program), port).await
}

/// `workerd serve` of the echo.
pub(crate) async fn workerd(peers: &Path) -> Result<Running, Failure> {
    let port = free_port()?;
    std::fs::write(peers.join("worker.js"), format!("export default {{ fetch: {ECHO} }};"))?;
    let configuration = format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker.js", esModule = embed "worker.js")], compatibilityDate = "2026-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "main")]
);"#
    );
    let file = peers.join("config.capnp");
    std::fs::write(&file, configuration)?;
    started(Command::new(peers.join("node_modules/.bin/workerd")).arg("serve").arg(file), port).await
}

/// `wasmtime serve` of the component that Caddis serves as well: as it comes, or with a pool of instances.
pub(crate) async fn wasmtime(peers: &Path, tuned: bool) -> Result<Running, Failure> {
    let component = peers.join("bench-http.wasm");
    std::fs::write(&component, guests::BENCH_HTTP.bytes())?;
    let port = free_port()?;
    let mut command = Command::new(peers.join("bin/wasmtime"));
    command.args(["serve", "-Scli", "--addr", &format!("127.0.0.1:{port}")]);
    if tuned {
        command.args([
            "-O",
            "pooling-allocator=y",
            "-O",
            "pooling-memory-keep-resident=1048576",
            "-O",
            "pooling-table-keep-resident=65536",
            "-O",
            "pooling-async-stack-keep-resident=65536",
            "-O",
            "pooling-pagemap-scan=y",
        ]);
    }
    started(command.arg(component), port).await
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn started(command: &mut Command, port: u16) -> Result<Running, Failure> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for _ in 0..1_000 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(Running { base: format!("http://{address}"), _process: Process::Child(child) });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("{command:?} does not listen").into())
}

/// Where the peers are, fetched and built when they are not there yet. What cannot be had is left out, and said.
pub(crate) async fn fetch_peers(package: &Path, target: &Path) -> Result<PathBuf, Failure> {
    let peers = target.join("bench-peers");
    std::fs::create_dir_all(&peers)?;
    std::fs::copy(package.join("peers/package.json"), peers.join("package.json"))?;
    if !peers.join("node_modules/.bin/workerd").exists() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&peers);
        must("npm install", npm).await;
    }
    if !peers.join("bin/wasmtime").exists() {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "wasmtime-cli", "--locked", "--version", WASMTIME_CLI, "--root"]).arg(&peers);
        must("cargo install wasmtime-cli", cargo).await;
    }
    Ok(peers)
}

async fn must(what: &str, mut command: Command) {
    if !command.status().await.is_ok_and(|status| status.success()) {
        crate::say(&format!("{what} failed: this peer is left out"));
    }
}
