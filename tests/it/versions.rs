//! Versions: kept, looked at, gone back to, and given a share of the requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use caddis_tests::{Client, Server, eventually, guests, within_patience};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{options, refused, start};

fn code(answer: &str) -> String {
    format!("export default () => new Response({answer:?})")
}

async fn serve() -> Server {
    let server = start().await;
    let body = json!({ "name": "f", "code": code("1"), "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    server
}

async fn deploy(admin: &Client, version: u32, extra: Value) -> Value {
    let mut body = json!({ "code": code(&version.to_string()) });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let deployed = admin.change("f", &body).await.expect(StatusCode::OK).json();
    assert_eq!(deployed["version"], version, "{deployed}");
    deployed
}

async fn post(admin: &Client, path: &str, body: Value) -> caddis_tests::Reply {
    admin.manage(Method::POST, path).json(&body).send().await
}

/// Version to active and traffic, newest first.
async fn versions(admin: &Client) -> Vec<(u64, bool, u64)> {
    let list = admin.manage(Method::GET, "/functions/f/versions").send().await.expect(StatusCode::OK).json();
    let each = |object: &Value| {
        let number = |field: &str| object[field].as_u64().unwrap();
        (number("version"), object["active"].as_bool().unwrap(), number("traffic"))
    };
    list.as_array().unwrap().iter().map(each).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_makes_an_earlier_version_serve_and_the_next_deployment_goes_on() {
    let server = serve().await;
    let (admin, client) = (server.admin(), server.anonymous());
    deploy(&admin, 2, json!({ "timeout_seconds": 7 })).await;
    let back = post(&admin, "/functions/f/rollback", json!({ "version": 1 })).await.expect(StatusCode::OK).json();
    assert_eq!((&back["version"], &back["timeout_seconds"]), (&json!(1), &json!(30)));
    assert_eq!(client.get("f", "/").await.text(), "1");
    assert_eq!(versions(&admin).await, [(2, false, 0), (1, true, 100)]);
    deploy(&admin, 3, json!({})).await;
    assert_eq!(client.get("f", "/").await.text(), "3");
    for (body, status, code, part) in [
        (json!({ "version": 9 }), 404, "not_found", "version 9"),
        (json!({ "version": "1" }), 400, "invalid_request", "version"),
        (json!({}), 400, "invalid_request", "version"),
        (json!({ "version": -1 }), 400, "invalid_request", "version"),
    ] {
        refused(&post(&admin, "/functions/f/rollback", body).await, status, code, &[part]);
    }
    let missing = post(&admin, "/functions/g/rollback", json!({ "version": 1 })).await;
    refused(&missing, 404, "not_found", &["function"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_takes_long_keeps_no_other_app_waiting() {
    let server = start().await;
    let admin = server.admin();
    let slow = "const end = Date.now() + 2000; while (Date.now() < end); ".to_owned();
    let body = json!({ "name": "f", "code": slow + &code("1"), "enabled": true, "fuel": 1_000_000_000_000_u64 });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    deploy(&admin, 2, json!({})).await;
    let shop = admin.create_app("shop").await;
    let body = json!({ "name": "g", "code": code("1") });
    shop.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let begun = Instant::now();
    let rollback = tokio::spawn({
        let admin = admin.clone();
        async move { post(&admin, "/functions/f/rollback", json!({ "version": 1 })).await.status.as_u16() }
    });
    let mut longest = Duration::ZERO;
    while !rollback.is_finished() {
        let asked = Instant::now();
        shop.change("g", &json!({ "description": "again" })).await.expect(StatusCode::OK);
        longest = longest.max(asked.elapsed());
    }
    assert_eq!(rollback.await.unwrap(), 200);
    assert!(longest < begun.elapsed() / 2, "{longest:?} of {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_outlives_a_restart() {
    let mut server = serve().await;
    deploy(&server.admin(), 2, json!({})).await;
    post(&server.admin(), "/functions/f/rollback", json!({ "version": 1 })).await.expect(StatusCode::OK);
    deploy(&server.admin(), 3, json!({ "activate": false })).await;
    post(&server.admin(), "/functions/f/traffic", json!({ "3": 100 })).await.expect(StatusCode::OK);
    server.restart().await;
    assert_eq!(server.anonymous().get("f", "/").await.text(), "3");
    assert_eq!(versions(&server.admin()).await, [(3, false, 100), (2, false, 0), (1, true, 0)]);
    post(&server.admin(), "/functions/f/traffic", json!({})).await.expect(StatusCode::OK);
    assert_eq!(server.anonymous().get("f", "/").await.text(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_its_share_and_the_next_deployment_ends_it() {
    let server = serve().await;
    let (admin, client) = (server.admin(), server.anonymous());
    deploy(&admin, 2, json!({ "activate": false })).await;
    assert_eq!(client.get("f", "/").await.text(), "1");
    let set = post(&admin, "/functions/f/traffic", json!({ "2": 30 })).await.expect(StatusCode::OK);
    assert_eq!(set.json(), json!({ "2": 30 }));
    assert_eq!(versions(&admin).await, [(2, false, 30), (1, true, 70)]);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut session = client.session().await;
    for _ in 0..600 {
        let reply = session.send(client.invoke(Method::GET, "f", "/")).await.expect(StatusCode::OK);
        *counts.entry(reply.text()).or_default() += 1;
    }
    // Six standard deviations.
    assert!((113..=247).contains(&counts["2"]), "{counts:?}");
    deploy(&admin, 3, json!({})).await;
    assert_eq!(versions(&admin).await[0], (3, true, 100));
    for (traffic, part) in [
        (json!({ "3": 10 }), "active"),
        (json!({ "1": 60, "2": 41 }), "100"),
        (json!({ "1": 0 }), "1 to 100"),
        (json!({ "x": 1 }), "x"),
    ] {
        refused(&post(&admin, "/functions/f/traffic", traffic).await, 400, "invalid_request", &[part]);
    }
    refused(&post(&admin, "/functions/f/traffic", json!({ "8": 1 })).await, 404, "not_found", &["version 8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_checks_and_keeps_nothing() {
    let server = serve().await;
    let admin = server.admin();
    let checked = admin.change("f", &json!({ "code": code("2"), "dry_run": true })).await.expect(StatusCode::OK).json();
    assert_eq!((&checked["dry_run"], &checked["name"], &checked["version"]), (&json!(true), &json!("f"), &Value::Null));
    let broken = json!({ "code": "export default () => {", "dry_run": true });
    assert_eq!(admin.change("f", &broken).await.status, StatusCode::BAD_REQUEST);
    let new = json!({ "name": "g", "code": code("1"), "dry_run": true });
    post(&admin, "/functions", new).await.expect(StatusCode::OK);
    let bytes = guests::WSTD_ECHO.bytes();
    admin.upload("h", bytes, "dry_run=true").await.expect(StatusCode::OK);
    let list = admin.manage(Method::GET, "/functions").send().await.json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["version"]), (1, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_versions_go_but_not_the_active_one() {
    let server = serve().await;
    let admin = server.admin();
    post(&admin, "/functions/f/rollback", json!({ "version": 1 })).await.expect(StatusCode::OK);
    for _ in 0..60 {
        admin.change("f", &json!({ "activate": false, "description": "again" })).await.expect(StatusCode::OK);
    }
    let kept = versions(&admin).await;
    assert_eq!((kept.len(), kept[0], kept[50]), (51, (61, false, 0), (1, true, 100)));
}

/// Requests that are served while versions change under them, and what changes them.
const REQUESTS: usize = 20_000;
const DEPLOYMENTS: u32 = 25;
const CLIENTS: usize = 8;

/// A change, and the versions that serve after it. Deployments and rollbacks alternate, and after each rollback the version that was
/// left gets half of the requests.
fn changes() -> Vec<(&'static str, Value, Vec<u32>)> {
    let round = |newest: u32| {
        let before = newest - 1;
        [
            ("", json!({ "code": stamped(newest) }), vec![newest]),
            ("/rollback", json!({ "version": before }), vec![before]),
            ("/traffic", json!({ newest.to_string(): 50 }), vec![before, newest]),
        ]
    };
    (2..2 + DEPLOYMENTS).flat_map(round).collect()
}

/// The version is in the module, in the header and in the body: a mixture would show.
fn stamped(version: u32) -> String {
    format!(
        "const version = '{version}'; export default () => new Response(version, {{ headers: {{ version: '{version}' }} }})"
    )
}

/// How far the changes are: how many were sent, and how many of them acknowledged.
#[derive(Default)]
struct Progress {
    sent: AtomicUsize,
    acknowledged: AtomicUsize,
    done: AtomicBool,
}

/// Calls until the changes are done. A response is of a version that served at some time between its request and itself. Returns how
/// often each version answered after each change.
async fn call_on(client: Client, progress: Arc<Progress>, served: Arc<watch::Sender<usize>>) -> BTreeSet<(usize, u32)> {
    let serving: Vec<Vec<u32>> =
        [vec![1]].into_iter().chain(changes().into_iter().map(|(.., serving)| serving)).collect();
    let mut seen = BTreeSet::new();
    let mut session = client.session().await;
    while !progress.done.load(Ordering::SeqCst) {
        let earliest = progress.acknowledged.load(Ordering::SeqCst);
        let reply = session.send(client.invoke(Method::GET, "f", "/")).await.expect(StatusCode::OK);
        let latest = progress.sent.load(Ordering::SeqCst);
        assert_eq!(reply.header("version"), [reply.text()]);
        let version: u32 = reply.text().parse().unwrap();
        let may_serve = &serving[earliest..=latest];
        assert!(may_serve.iter().flatten().any(|serves| *serves == version), "{version}, not {may_serve:?}");
        if earliest == latest {
            seen.insert((earliest, version));
        }
        served.send_modify(|served| *served += 1);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_or_mixes_versions_while_they_are_deployed_rolled_back_and_given_shares() {
    let server = Server::start(options().alone()).await;
    let admin = server.admin();
    let body = json!({ "name": "f", "code": stamped(1), "enabled": true, "access": { "policy": "public" } });
    post(&admin, "/functions", body).await.expect(StatusCode::CREATED);
    let progress = Arc::<Progress>::default();
    let (served, mut counted) = watch::channel(0);
    let served = Arc::new(served);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(call_on(server.anonymous(), progress.clone(), served.clone()));
    }
    let changes = changes();
    let share = REQUESTS / changes.len();
    let mut during = 0;
    for (number, (path, body, _)) in changes.iter().enumerate() {
        // The requests are spread over the changes: each comes in the middle of them.
        let before = *served.borrow() + share;
        let before = *within_patience("requests", counted.wait_for(|served| *served >= before)).await.unwrap();
        progress.sent.store(number + 1, Ordering::SeqCst);
        let method = if path.is_empty() { Method::PUT } else { Method::POST };
        let call = admin.manage(method, &format!("/functions/f{path}")).json(body);
        call.send().await.expect(StatusCode::OK);
        progress.acknowledged.store(number + 1, Ordering::SeqCst);
        during += *served.borrow() - before;
    }
    let enough = (*served.borrow() + share).max(REQUESTS);
    within_patience("requests", counted.wait_for(|served| *served >= enough)).await.unwrap();
    progress.done.store(true, Ordering::SeqCst);
    let seen: BTreeSet<_> = clients.join_all().await.into_iter().flatten().collect();
    let expected: BTreeSet<_> = changes
        .iter()
        .enumerate()
        .flat_map(|(number, (.., serving))| serving.iter().map(move |version| (number + 1, *version)))
        .chain([(0, 1)])
        .collect();
    assert_eq!(seen, expected, "after each change, its versions serve and no other");
    assert!(during > changes.len(), "{during} requests were served while a change was made");
    let served = *served.borrow();
    let stats = eventually("all records", async || {
        let stats = admin.manage(Method::GET, "/functions/f/stats").send().await.expect(StatusCode::OK).json();
        Some(stats).filter(|stats| stats["count"] == served)
    });
    assert_eq!(stats.await["errors"], 0);
}
