//! Every limit of a function, hit on purpose: how the request ends, what the record says, and that nobody else notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use caddis_tests::{Client, Guest, Reply, Server, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::{failed, options, refused, start};

const MIB: u64 = 1024 * 1024;

/// Settings under which a function meets the wall clock and nothing else.
const SHORT_TIME: &str = "timeout_seconds=1&fuel=1000000000000";
/// Settings under which a function meets the end of its fuel and nothing else.
const LITTLE_FUEL: &str = "timeout_seconds=300&fuel=50000000";

async fn serve(guest: Guest, settings: &str) -> Server {
    let server = start().await;
    server.admin().put_component("f", guest, settings).await;
    server
}

/// Insists that this page fails like this, in the response and in the record, and returns the record.
async fn fails(server: &Server, page: &str, status: u16, code: &str) -> Value {
    let reply = server.anonymous().get("f", page).await;
    failed(&reply, status, code, "f");
    let record = server.admin().execution("f", &reply).await;
    let kind = if status == 408 { "timeout" } else { "error" };
    assert_eq!(record["status"], kind, "{page}: {record}");
    assert_eq!(record["status_code"], status, "{page}: {record}");
    assert_eq!(record["error_code"], code, "{page}: {record}");
    assert_eq!(record["error_message"], reply.json()["message"], "{page}: {record}");
    record
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_busy_loop_ends_when_its_fuel_does() {
    let server = serve(guests::LIMITS, LITTLE_FUEL).await;
    let record = fails(&server, "/loop", 408, "cpu_limit").await;
    assert!(record["fuel"].as_u64().unwrap() >= 49_000_000, "{record}");
    assert!(record["error_stack"].as_str().unwrap().contains("spin"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_constructor_that_never_ends_is_stopped() {
    let server = serve(guests::ENDLESS_START, LITTLE_FUEL).await;
    fails(&server, "/", 408, "cpu_limit").await;
    server.admin().put_component("f", guests::ENDLESS_START, SHORT_TIME).await;
    fails(&server, "/", 408, "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_loop_ends_when_its_time_does() {
    let server = serve(guests::LIMITS, SHORT_TIME).await;
    assert_took_a_second(&fails(&server, "/loop", 408, "timeout").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_ends_when_its_time_does() {
    let server = serve(guests::LIMITS, SHORT_TIME).await;
    let record = fails(&server, "/sleep", 408, "timeout").await;
    assert_took_a_second(&record);
    assert!(record["fuel"].as_u64().unwrap() < 10_000_000, "sleeping takes no fuel: {record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_end_ends_when_its_time_does() {
    let server = serve(guests::LIMITS, SHORT_TIME).await;
    assert_took_a_second(&fails(&server, "/hang-query", 408, "timeout").await);
    server.admin().put_component("sql", guests::WSTD_ECHO, "").await;
    let reply = server.anonymous().post("sql", "/db", &json!({ "sql": "SELECT 1" })).await.expect(StatusCode::OK);
    assert_eq!(reply.json()["rows"], json!([[1]]), "the database goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outgoing_request_without_answer_ends_when_its_time_does() {
    let (address, _silent) = silent_server().await;
    let server = Server::start(options().flag("--allow-egress", address)).await;
    server.admin().put_component("f", guests::LIMITS, SHORT_TIME).await;
    assert_took_a_second(&fails(&server, &format!("/hang-fetch?{address}"), 408, "timeout").await);
}

#[track_caller]
fn assert_took_a_second(record: &Value) {
    let milliseconds = record["duration_ms"].as_u64().unwrap();
    assert!((900..5_000).contains(&milliseconds), "{record}");
}

/// A server that takes connections and says nothing, for as long as the returned guard lives.
async fn silent_server() -> (SocketAddr, impl Drop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (address, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_allocates_without_end_meets_its_memory_limit() {
    let server = serve(guests::LIMITS, "memory_limit_mb=80").await;
    let record = fails(&server, "/grow", 500, "memory_limit").await;
    let peak = record["peak_memory_bytes"].as_u64().unwrap();
    assert!((70 * MIB..=80 * MIB).contains(&peak), "{record}");
    assert!(record["error_message"].as_str().unwrap().contains("80"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_copes_with_the_refusal_goes_on() {
    let server = start().await;
    for limit in [64, 100, 128] {
        server.admin().put_component("f", guests::LIMITS, &format!("memory_limit_mb={limit}")).await;
        let reply = server.anonymous().get("f", "/grow-quietly").await.expect(StatusCode::OK);
        let got: u32 = reply.text().parse().unwrap();
        assert!((limit - 3..=limit).contains(&got), "{got} MiB of {limit}");
        assert_eq!(server.admin().execution("f", &reply).await["status"], "success");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_traps() {
    let server = serve(guests::LIMITS, "").await;
    let record = fails(&server, "/recurse", 500, "trap").await;
    assert!(record["error_stack"].as_str().unwrap().contains("dive"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_code() {
    let server = serve(guests::LIMITS, "memory_limit_mb=64").await;
    for (page, code) in [
        ("/panic", "trap"),
        ("/unreachable", "trap"),
        ("/much-random", "trap"),
        ("/many-fields", "trap"),
        ("/many-pollables", "trap"),
        ("/exit", "no_response"),
        ("/no-response", "no_response"),
        ("/error", "function_error"),
    ] {
        fails(&server, page, 500, code).await;
    }
    server.admin().put_component("f", guests::SDK_ECHO, "").await;
    let record = fails(&server, "/failure", 500, "function_error").await;
    assert_eq!(record["error_message"], "a deliberate failure");
    fails(&server, "/bad-status", 500, "invalid_response").await;
    fails(&server, "/bad-field", 500, "invalid_response").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_fields_a_guest_makes_are_bounded() {
    let server = serve(guests::LIMITS, "").await;
    let reply = server.anonymous().get("f", "/big-fields").await;
    match reply.status {
        StatusCode::OK => {
            let kibibytes: u32 = reply.text().parse().unwrap();
            assert!(kibibytes <= 64, "{kibibytes}");
        }
        _ => failed(&reply, 500, "trap", "f"),
    }
}

/// A short body that looks complete would be taken for the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_never_looks_complete() {
    let server = serve(guests::LIMITS, LITTLE_FUEL).await;
    breaks_off(&server, "/trap-mid-stream", "the first half", "trap").await;
    breaks_off(&server, "/loop-mid-stream", "the first half", "cpu_limit").await;
    server.admin().put_component("f", guests::SDK_ECHO, "").await;
    breaks_off(&server, "/broken-stream", "the first half", "function_error").await;
}

/// Breaks off after the head, or before it when the failure was quicker than the network.
async fn breaks_off(server: &Server, page: &str, begin: &str, code: &str) {
    let before = server.admin().executions("f", "").await.len();
    let client = server.anonymous();
    if let Ok(mut reply) = client.session().await.start(client.invoke(Method::GET, "f", page)).await {
        assert_eq!(reply.status, StatusCode::OK);
        match reply.next().await {
            Some(Ok(piece)) => {
                assert_eq!(piece, begin);
                assert!(reply.next().await.is_some_and(|piece| piece.is_err()), "{page}");
            }
            end => assert!(end.is_some(), "{page}"),
        }
    }
    let record = caddis_tests::eventually("the record", async || {
        let records = server.admin().executions("f", "").await;
        (records.len() > before).then(|| records[0].clone())
    })
    .await;
    assert_eq!((&record["error_code"], &record["status_code"]), (&json!(code), &json!(200)), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_shorter_than_promised_never_looks_complete() {
    let server = serve(guests::LIMITS, "").await;
    let reply = server.anonymous().invoke(Method::GET, "f", "/short-body").try_send().await;
    assert!(reply.is_none_or(|reply| !reply.status.is_success()));
    server.anonymous().get("f", "/ok").await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_larger_than_all_memory_limits_streams_through() {
    let server = Server::start(options().flag("--max-response-bytes", 1024 * MIB)).await;
    server.admin().put_component("f", guests::LIMITS, "memory_limit_mb=64&fuel=100000000000").await;
    server.anonymous().get("f", "/big-response?1").await.expect(StatusCode::OK);
    let before = server.resident_bytes();
    let mut reply = server.anonymous().invoke(Method::GET, "f", "/big-response?192").start().await;
    let (mut received, mut peak) = (0, 0);
    while let Some(piece) = reply.next().await {
        let last = received;
        received += piece.unwrap().len() as u64;
        if received / MIB != last / MIB {
            peak = peak.max(server.resident_bytes());
        }
    }
    assert_eq!(received, 192 * MIB);
    assert!(peak < before + 64 * MIB, "{} MiB before, {} MiB at most", before / MIB, peak / MIB);
}

/// Three quarters of the places is what one function can have; those who wait for longer than the host's patience go away.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_too_many_callers_turns_some_away_and_leaves_room_for_others() {
    let server = Server::start(options().flag("--max-executions", 4)).await;
    let admin = server.admin();
    admin.put_component("busy", guests::WSTD_ECHO, "").await;
    admin.put_component("healthy", guests::LIMITS, "").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (call, pieces) = server.anonymous().invoke(Method::POST, "busy", "/stream").pieces();
        let mut reply = call.start().await;
        assert_eq!(reply.next().await.unwrap().unwrap(), "ready\n");
        held.push((reply, pieces));
    }
    let one_too_many = tokio::spawn(server.anonymous().invoke(Method::GET, "busy", "/describe").send());
    server.anonymous().get("healthy", "/ok").await.expect(StatusCode::OK);
    let turned_away = one_too_many.await.unwrap();
    refused(&turned_away, 503, "overloaded", &[]);
    assert_eq!(turned_away.header("retry-after"), ["1"]);

    held.pop();
    server.anonymous().get("busy", "/describe").await.expect(StatusCode::OK);
}

/// Programs have places of their own while they run their top level, and wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn programs_are_deployed_at_once_while_executions_take_all_their_places() {
    let server = Server::start(options().flag("--max-executions", 4)).await;
    let admin = server.admin();
    let mut held = Vec::new();
    for (name, count) in [("busy", 3), ("another", 1)] {
        admin.put_component(name, guests::WSTD_ECHO, "").await;
        for _ in 0..count {
            let (call, pieces) = server.anonymous().invoke(Method::POST, name, "/stream").pieces();
            let mut reply = call.start().await;
            assert_eq!(reply.next().await.unwrap().unwrap(), "ready\n");
            held.push((reply, pieces));
        }
    }
    let mut deployments = JoinSet::new();
    for number in 0..8 {
        let code = "await new Promise((go) => setTimeout(go, 100)); export default () => 1";
        let body = json!({ "name": format!("program-{number}"), "code": code });
        deployments.spawn(admin.manage(Method::POST, "/functions").json(&body).send());
    }
    for reply in deployments.join_all().await {
        reply.expect(StatusCode::CREATED);
    }
}

/// A way to use up a limit, under which others must not suffer.
struct Misuse {
    function: &'static str,
    page: String,
    settings: &'static str,
    status: u16,
    code: &'static str,
}

fn misuses(silent: SocketAddr) -> Vec<Misuse> {
    let misuse = |function, page: &str, settings, status, code| Misuse {
        function,
        page: page.to_owned(),
        settings,
        status,
        code,
    };
    vec![
        misuse("loop-time", "/loop", SHORT_TIME, 408, "timeout"),
        misuse("loop-fuel", "/loop", "fuel=300000000", 408, "cpu_limit"),
        misuse("sleep", "/sleep", SHORT_TIME, 408, "timeout"),
        misuse("query", "/hang-query", SHORT_TIME, 408, "timeout"),
        misuse("fetch", &format!("/hang-fetch?{silent}"), SHORT_TIME, 408, "timeout"),
        misuse("grow", "/grow", "memory_limit_mb=128", 500, "memory_limit"),
        misuse("recurse", "/recurse", "", 500, "trap"),
        misuse("handles", "/many-fields", "", 500, "trap"),
    ]
}

/// Few, so that the memory each place keeps for the next execution is soon all there.
const PLACES: usize = 48;

/// A server with one function for each misuse, and one that behaves.
async fn serve_misuses() -> (Server, Vec<Misuse>, impl Drop) {
    let (silent, guard) = silent_server().await;
    let options = options().alone().flag("--allow-egress", silent).flag("--max-executions", PLACES);
    let server = Server::start(options).await;
    let misuses = misuses(silent);
    for misuse in &misuses {
        server.admin().put_component(misuse.function, guests::LIMITS, misuse.settings).await;
    }
    server.admin().put_component("healthy", guests::LIMITS, "").await;
    (server, misuses, guard)
}

fn twice_the_cores() -> usize {
    2 * std::thread::available_parallelism().unwrap().get()
}

/// How long is measured: thousands of requests, so that the 99th percentile is not a handful of them.
const MEASURED: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 5;

/// What counts as quick on a machine with other work: a 99th percentile there is mostly that work.
const QUICK: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_function_stays_quick_while_others_use_up_every_limit_on_all_cores() {
    stays_quick(QUICK).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for a machine with nothing else to do: cargo test --release -p caddis --test it -- --ignored --nocapture five_times"]
async fn a_healthy_function_stays_within_five_times_its_idle_time_while_others_use_up_every_limit() {
    stays_quick(Duration::ZERO).await;
}

/// Demands a 99th percentile of no more than five times the idle one, or than `enough` if that is more.
async fn stays_quick(enough: Duration) {
    let (server, misuses, _silent) = serve_misuses().await;
    measure(&server.anonymous(), || false).await;
    let mut slow = Vec::new();
    for misuse in &misuses {
        if !stays_quick_beside(&server, misuse, enough).await {
            slow.push(misuse.function);
        }
    }
    assert!(slow.is_empty(), "slow beside {slow:?}; --nocapture shows the figures");
}

/// Measures again what is over the bound: another program's load passes, a host that lets others starve does it each time.
async fn stays_quick_beside(server: &Server, misuse: &Misuse, enough: Duration) -> bool {
    for _ in 0..ATTEMPTS {
        let idle = measure(&server.anonymous(), || false).await;
        let busy = measure_beside(server, misuse).await;
        report(&format!("p99 beside {}: {busy:?}; idle: {idle:?}", misuse.function));
        if busy <= enough.max(5 * idle) {
            return true;
        }
    }
    false
}

#[expect(clippy::print_stdout, reason = "figures to read with --nocapture")]
fn report(line: &str) {
    println!("{line}");
}

/// The 99th percentile of the time a request to the healthy function takes, over a while and as long as `more` says so.
async fn measure(client: &Client, more: impl Fn() -> bool) -> Duration {
    let mut session = client.session().await;
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < MEASURED || more() {
        let start = Instant::now();
        session.send(client.invoke(Method::GET, "healthy", "/ok")).await.expect(StatusCode::OK);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Measures while twice as many clients as there are cores keep up the misuse, until each has seen its end.
async fn measure_beside(server: &Server, misuse: &Misuse) -> Duration {
    let enough = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicUsize::new(0));
    let runtime = runtime_of_misusers();
    let mut misusers = JoinSet::new();
    for _ in 0..twice_the_cores() {
        let (client, enough, rounds) = (server.anonymous(), Arc::clone(&enough), Arc::clone(&rounds));
        let (function, page) = (misuse.function, misuse.page.clone());
        let misuse = async move {
            let mut replies = Vec::new();
            while !enough.load(Ordering::Relaxed) {
                replies.push(client.get(function, &page).await);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            replies
        };
        misusers.spawn_on(misuse, runtime.handle());
    }
    let busy = measure(&server.anonymous(), || rounds.load(Ordering::Relaxed) < twice_the_cores()).await;
    enough.store(true, Ordering::Relaxed);
    for reply in misusers.join_all().await.iter().flatten() {
        failed(reply, misuse.status, misuse.code, misuse.function);
    }
    runtime.shutdown_background();
    busy
}

/// Threads of low priority: the clients that misuse must not slow the one that measures, only the server may.
fn runtime_of_misusers() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(|| {
            rustix::process::nice(10).unwrap();
        })
        .enable_all()
        .build()
        .unwrap()
}

/// How much the process may grow over rounds that all do the same.
const GROWTH: u64 = 32 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn the_host_s_memory_stays_flat_under_every_misuse() {
    let (server, misuses, _silent) = serve_misuses().await;
    for _ in 0..2 {
        run_round(&server, &misuses).await;
    }
    let before = server.resident_bytes();
    for _ in 0..5 {
        run_round(&server, &misuses).await;
    }
    let after = server.resident_bytes();
    report(&format!("{} MiB before, {} MiB after", before / MIB, after / MIB));
    assert!(after < before + GROWTH, "{} MiB before, {} MiB after", before / MIB, after / MIB);
    assert_eq!(server.anonymous().get("healthy", "/ok").await.expect(StatusCode::OK).text(), "ok");
}

/// Every misuse from as many clients as there are cores, all at once.
async fn run_round(server: &Server, misuses: &[Misuse]) {
    let mut calls: JoinSet<(Reply, &'static str)> = JoinSet::new();
    for misuse in misuses {
        for _ in 0..twice_the_cores() / 2 {
            let (client, function, page) = (server.anonymous(), misuse.function, misuse.page.clone());
            calls.spawn(async move { (client.get(function, &page).await, function) });
        }
    }
    for (reply, function) in calls.join_all().await {
        let misuse = misuses.iter().find(|misuse| misuse.function == function).unwrap();
        // With everything at once, what meets its fuel alone may meet its time here.
        let codes = [misuse.code, "timeout"];
        assert!(codes.contains(&reply.json()["code"].as_str().unwrap_or_default()), "{function}: {}", reply.text());
    }
}
