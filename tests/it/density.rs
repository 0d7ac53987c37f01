//! What many functions, and many versions of one, take of the host's memory; and how soon a deployment answers.

use std::time::{Duration, Instant};

use caddis_tests::{Client, Server};
use http::{Method, StatusCode};
use serde_json::json;

use crate::options;

const FUNCTIONS: usize = 1_000;
const REDEPLOYMENTS: usize = 1_000;

/// A source of some 5 kB, different for each number.
fn source(number: usize) -> String {
    let rules: String = (0..75)
        .map(|rule| {
            format!("const rule{rule} = (text: string): string => text.padEnd({rule}).trim() + {};\n", rule * number)
        })
        .collect();
    let code = format!("{rules}export default (req: Request): Response => new Response(rule7('{number}'));");
    assert!((4_500..6_500).contains(&code.len()), "{}", code.len());
    code
}

async fn create(admin: &Client, name: &str, code: &str) {
    let body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": "public" } });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

async fn call(server: &Server, name: &str, number: usize) {
    let expected = format!("{number}{}", 7 * number);
    assert_eq!(server.anonymous().get(name, "/").await.expect(StatusCode::OK).text(), expected);
}

#[expect(clippy::print_stdout, reason = "figures to read with --nocapture")]
fn report(line: &str) {
    println!("{line}");
}

/// How often the server's process has had to be given a page of memory.
fn page_faults(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // After the name of the program come the state, six numbers of others, and this (proc_pid_stat(5)).
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}

const HEAVY: &str = "export default () => {
    const rows = Array.from({ length: 2000 }, (_, id) => ({ id, name: `name ${id}`, tags: ['a', `b${id}`] }));
    return rows.map(({ id, name, tags }) => `${id} ${name.replace(/n/g, 'm')} ${tags.join(', ')}`).join(';');
}";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_heavy_function_wrote_to_is_no_work_for_others() {
    const REQUESTS: u64 = 300;
    let server = Server::start(options().alone()).await;
    let admin = server.admin();
    create(&admin, "light", "export default (request: Request) => request.method").await;
    create(&admin, "heavy", HEAVY).await;
    let client = server.anonymous();
    let call = async |name: &str, times: u64| {
        let mut session = client.session().await;
        for _ in 0..times {
            session.send(client.invoke(Method::GET, name, "/")).await.expect(StatusCode::OK);
        }
    };
    call("light", REQUESTS).await;
    tokio::join!(call("heavy", 50), call("heavy", 50), call("heavy", 50), call("heavy", 50));
    call("light", REQUESTS).await;

    let before = page_faults(&server);
    call("light", REQUESTS).await;
    let faults = page_faults(&server) - before;
    report(&format!("{faults} page faults in {REQUESTS} requests"));
    assert!(faults < REQUESTS, "{faults} page faults in {REQUESTS} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_functions_fit_and_a_thousand_redeployments_leave_nothing() {
    let mut server = Server::start(options().alone()).await;
    let admin = server.admin();
    create(&admin, "first", &source(0)).await;
    call(&server, "first", 0).await;
    let empty = server.resident_bytes();

    for number in 1..=FUNCTIONS {
        create(&admin, &format!("f{number}"), &source(number)).await;
        call(&server, &format!("f{number}"), number).await;
    }
    let imaged = server.resident_bytes();

    server.restart().await;
    let admin = server.admin();
    call(&server, "first", 0).await;
    let idle = server.resident_bytes();
    let each = |bytes: u64| bytes.saturating_sub(empty) / FUNCTIONS as u64 / 1024;
    report(&format!(
        "host {} MiB; for each of {FUNCTIONS} functions: imaged {} KiB, idle after a start {} KiB",
        empty >> 20,
        each(imaged),
        each(idle)
    ));
    assert!(each(imaged) <= 256, "{} KiB for an imaged function", each(imaged));
    assert!(each(idle) <= 16, "{} KiB for an idle function", each(idle));

    let redeploy = async |number: usize| {
        let body = json!({ "code": source(number) });
        admin.manage(Method::PUT, "/functions/first").json(&body).send().await.expect(StatusCode::OK);
        call(&server, "first", number).await;
    };
    for number in 1..=REDEPLOYMENTS / 10 {
        redeploy(number).await;
    }
    let before = server.resident_bytes();
    for number in 1..=REDEPLOYMENTS {
        redeploy(number).await;
    }
    let after = server.resident_bytes();
    report(&format!("{} MiB before {REDEPLOYMENTS} redeployments, {} MiB after", before >> 20, after >> 20));
    assert!(after < before + (24 << 20), "{} MiB before, {} MiB after", before >> 20, after >> 20);
}

/// Generous, because machines for tests have other work; the figure is to be read with --nocapture.
const SOON: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_answers_soon() {
    let server = Server::start(options().alone()).await;
    let admin = server.admin();
    create(&admin, "first", &source(0)).await;
    let mut times = Vec::new();
    for number in 1..=50 {
        let code = source(number);
        let begun = Instant::now();
        create(&admin, &format!("f{number}"), &code).await;
        call(&server, &format!("f{number}"), number).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    report(&format!("from the source of 5 kB to its first response: {median:?} (median of {})", times.len()));
    assert!(median <= SOON, "{median:?}");
}
