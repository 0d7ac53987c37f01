//! What is not a steady load: first requests, many functions, memory.

use std::path::Path;
use std::time::Instant;

use caddis_tests::{Options, Server};
use http::StatusCode;
use serde::Serialize;

use crate::Failure;
use crate::servers::deploy;

const FUNCTIONS: usize = 2_000;
const FIRST_REQUESTS: usize = 100;

/// Functions that are all there and wait.
pub(crate) struct Cold {
    pub(crate) server: Server,
    pub(crate) paths: Vec<String>,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct FirstRequests {
    /// The first request after a deployment.
    pub(crate) first_p50_ms: f64,
    pub(crate) first_p99_ms: f64,
    /// From the source to its first response.
    pub(crate) deploy_p50_ms: f64,
}

/// Resident memory.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) host_mib: u64,
    pub(crate) imaged_function_kib: u64,
    pub(crate) idle_function_kib: u64,
}

fn source(number: usize) -> String {
    format!("const number = {number};\nexport default (request) => Response.json({{ number, url: request.url }});")
}

async fn start(binary: &Path) -> Server {
    Server::start_beside(Options::new(binary).variable("CADDIS_RATE_LIMITS", "off").variable("CADDIS_LOG", "warn"))
        .await
}

/// How soon a new function answers.
pub(crate) async fn first_requests(binary: &Path) -> Result<FirstRequests, Failure> {
    let server = start(binary).await;
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    for number in 0..FIRST_REQUESTS {
        let begun = Instant::now();
        deploy(&server.admin(), &format!("f{number}"), &source(number)).await;
        let deployed = Instant::now();
        server.anonymous().get(&format!("f{number}"), "/").await.expect(StatusCode::OK);
        first.push(deployed.elapsed().as_secs_f64() * 1e3);
        whole.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    first.sort_unstable_by(f64::total_cmp);
    whole.sort_unstable_by(f64::total_cmp);
    let at = |times: &[f64], percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    Ok(FirstRequests { first_p50_ms: at(&first, 50), first_p99_ms: at(&first, 99), deploy_p50_ms: at(&whole, 50) })
}

/// A host with many functions.
pub(crate) async fn many_functions(binary: &Path) -> Result<Cold, Failure> {
    let server = start(binary).await;
    for number in 0..FUNCTIONS {
        deploy(&server.admin(), &format!("f{number}"), &source(number)).await;
    }
    Ok(Cold { server, paths: (0..FUNCTIONS).map(|number| format!("/functions/v1/f{number}")).collect() })
}

/// What the host takes of memory, with and without functions.
pub(crate) async fn memory(binary: &Path) -> Result<Memory, Failure> {
    let mut server = start(binary).await;
    deploy(&server.admin(), "first", &source(0)).await;
    server.anonymous().get("first", "/").await.expect(StatusCode::OK);
    let host = server.resident_bytes();
    for number in 0..500 {
        deploy(&server.admin(), &format!("f{number}"), &source(number)).await;
        server.anonymous().get(&format!("f{number}"), "/").await.expect(StatusCode::OK);
    }
    let imaged = server.resident_bytes();
    server.restart().await;
    server.anonymous().get("first", "/").await.expect(StatusCode::OK);
    let idle = server.resident_bytes();
    let each = |bytes: u64| bytes.saturating_sub(host) / 500 / 1024;
    Ok(Memory { host_mib: host >> 20, imaged_function_kib: each(imaged), idle_function_kib: each(idle) })
}
