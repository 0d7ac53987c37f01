//! `isolation: "instance"`: one instance for several requests, one after the other.

use caddis_tests::{Client, Server, eventually, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{options, start};

/// Instances of one function that may wait.
const IDLE_PER_FUNCTION: u64 = 16;

/// Deploys one text as a public function whose instances wait, with these further settings.
async fn deploy(server: &Server, code: &str, settings: Value) {
    let mut body = json!({
        "name": "f", "code": code, "enabled": true, "access": { "policy": "public" }, "isolation": "instance",
    });
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// What the function answers, once the execution has ended: only then is its instance there for the next request.
async fn ask(server: &Server, client: &Client, path: &str) -> Value {
    let reply = client.get("f", path).await.expect(StatusCode::OK);
    server.admin().execution("f", &reply).await;
    reply.json()
}

/// How many instances wait, of all functions.
async fn waiting(server: &Server) -> u64 {
    let metrics = server.admin().call(Method::GET, "/metrics").send().await.expect(StatusCode::OK).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("caddis_sandboxes_idle "));
    line.expect("the metric").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_answers_as_many_requests_in_turn_as_it_may() {
    let server = start().await;
    let code = "let count = 0; export default () => Response.json(++count);";
    deploy(&server, code, json!({ "instance_requests": 3 })).await;
    let mut counts = Vec::new();
    for _ in 0..7 {
        counts.push(ask(&server, &server.anonymous(), "/").await);
    }
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1]);

    server.admin().change("f", &json!({ "isolation": "request" })).await;
    for _ in 0..3 {
        assert_eq!(ask(&server, &server.anonymous(), "/").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn components_of_every_world_can_be_kept() {
    let server = start().await;
    let (admin, client) = (server.admin(), server.anonymous());
    for guest in [guests::SDK_ECHO, guests::WSTD_ECHO, guests::WASIP3_ECHO] {
        admin.put_component("f", guest, "isolation=instance").await;
        for count in 1..=3 {
            assert_eq!(ask(&server, &client, "/count").await, count, "{}", guest.name);
        }
        // What it prints is in the record of the request for which it does.
        for text in ["one", "two"] {
            let reply = client.invoke(Method::POST, "f", "/log").body(text).send().await.expect(StatusCode::OK);
            let logs = admin.execution("f", &reply).await["logs"].to_string();
            assert!(logs.contains(&format!("info: {text} on standard output")), "{}: {logs}", guest.name);
        }
        assert_eq!(ask(&server, &client, "/count").await, 4, "{}", guest.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_request_failed_is_not_called_again() {
    let code = r#"
        let count = 0;
        export default async (request) => {
            count += 1;
            const path = new URL(request.url).pathname;
            if (path.endsWith("/throw")) throw new Error("on purpose");
            if (path.endsWith("/loop")) for (;;);
            if (path.endsWith("/break")) return new Response(new ReadableStream({ pull() { throw new Error("on purpose"); } }));
            return Response.json(count);
        };"#;
    let server = start().await;
    deploy(&server, code, json!({ "fuel": 100_000_000 })).await;
    let client = server.anonymous();
    for failing in ["/throw", "/loop", "/break"] {
        assert_eq!(ask(&server, &client, "/").await, 1, "before {failing}");
        assert_eq!(ask(&server, &client, "/").await, 2);
        let reply = client.invoke(Method::GET, "f", failing).try_send().await;
        assert!(reply.is_none_or(|reply| reply.status != StatusCode::OK), "{failing}");
    }
    assert_eq!(ask(&server, &client, "/").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_request_ends_with_it() {
    let code = r#"
        let late = [], user = null;
        export default async (request, ctx) => {
            switch (new URL(request.url).pathname.split("/").pop()) {
                case "setup":
                    await ctx.db.query("CREATE TABLE notes (title TEXT)");
                    break;
                case "leave":
                    setTimeout(() => late.push("timer"), 0);
                    setInterval(() => late.push("interval"), 1);
                    Promise.resolve().then(() => ctx.db.query("INSERT INTO notes VALUES (?)", [ctx.user.id])).then(() => late.push("query"));
                    ctx.db.transaction(async (tx) => {
                        await tx.query("INSERT INTO notes VALUES ('open')");
                        await new Promise(() => {});
                    }).catch(() => late.push("transaction"));
                    ctx.invoke("f", null, { path: "/never" }).then(() => late.push("fetch"), () => late.push("fetch"));
                    Promise.reject(new Error("left behind"));
                    user = ctx.user.id;
                    return new Response("left");
                case "never":
                    return new Promise((resolve) => setTimeout(resolve, 60_000));
                case "write":
                    await ctx.db.query("INSERT INTO notes VALUES ('written')");
                    await new Promise((resolve) => setTimeout(resolve, 20));
            }
            const { rows } = await ctx.db.query("SELECT title FROM notes ORDER BY rowid");
            return Response.json({ late, user, caller: ctx.user?.id ?? null, notes: rows.map((row) => row.title) });
        };"#;
    let server = start().await;
    deploy(&server, code, json!({})).await;
    let admin = server.admin();
    let one = server.anonymous().with_token(&admin.user_token(json!({ "sub": "one" })).await);
    let two = server.anonymous().with_token(&admin.user_token(json!({ "sub": "two" })).await);
    let setup = server.anonymous().with_token(&admin.user_token(json!({ "sub": "s", "role": "service_role" })).await);
    ask(&server, &setup, "/setup").await;
    let left = one.get("f", "/leave").await.expect(StatusCode::OK);
    admin.execution("f", &left).await;
    // It neither waits for the transaction that was left open nor sees it.
    let after = ask(&server, &two, "/write").await;
    assert_eq!((&after["user"], &after["caller"]), (&json!("one"), &json!("two")), "the same instance: {after}");
    let notes = after["notes"].as_array().unwrap();
    assert!(notes.contains(&json!("written")) && !notes.contains(&json!("open")), "{after}");
    // What ran, ran for the caller it belonged to, and nothing of it runs now.
    assert!(!notes.contains(&json!("two")), "{after}");
    let late = after["late"].as_array().unwrap();
    assert!(!["timer", "interval", "fetch"].iter().any(|left| late.contains(&json!(left))), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fuel_is_for_each_request_and_memory_for_all() {
    let code = r#"
        const kept = [];
        export default async (request) => {
            const path = new URL(request.url).pathname;
            if (path.endsWith("/keep")) kept.push(new Uint8Array(8 << 20).fill(1));
            if (path.endsWith("/work")) for (let step = 0; step < 40_000; step++);
            return Response.json(kept.length);
        };"#;
    let server = start().await;
    deploy(&server, code, json!({ "memory_limit_mb": 64, "fuel": 20_000_000 })).await;
    let (admin, client) = (server.admin(), server.anonymous());
    let mut together = 0;
    for _ in 0..8 {
        let reply = client.get("f", "/work").await.expect(StatusCode::OK);
        together += admin.execution("f", &reply).await["fuel"].as_u64().unwrap();
    }
    assert!(together > 20_000_000, "more than one may use: {together}");

    // 8 MiB more in each, until the instance fails or has not even enough to wait for the next request.
    let mut kept = Vec::new();
    for _ in 0..16 {
        let reply = client.get("f", "/keep").await;
        admin.execution("f", &reply).await;
        kept.push(if reply.status == StatusCode::OK { reply.json().as_u64().unwrap() } else { 0 });
    }
    assert_eq!(kept[..4], [1, 2, 3, 4]);
    assert!(kept.iter().all(|count| *count < 8), "the limit is 64 MiB: {kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_work_left_that_does_not_end_is_not_called_again() {
    let code = r#"
        let count = 0;
        export default (request) => {
            if (new URL(request.url).pathname.endsWith("/leave")) (async () => { for (;;) await null; })();
            return Response.json(++count);
        };"#;
    let server = start().await;
    deploy(&server, code, json!({})).await;
    let (admin, client) = (server.admin(), server.anonymous());
    assert_eq!(ask(&server, &client, "/").await, 1);
    let reply = client.get("f", "/leave").await.expect(StatusCode::OK);
    let record = admin.execution("f", &reply).await;
    assert!(record["duration_ms"].as_u64().unwrap() < 1_000, "it had the fuel of a request: {record}");
    assert_eq!(ask(&server, &client, "/").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_do_not_wait_where_memory_is_scarce() {
    let server = Server::start(options().flag("--guest-memory-mb", 128)).await;
    let code = "let count = 0, kept; export default () => { kept ??= new Uint8Array(70 << 20).fill(1); return Response.json(++count); };";
    deploy(&server, code, json!({})).await;
    for _ in 0..3 {
        assert_eq!(ask(&server, &server.anonymous(), "/").await, 1);
    }
    assert_eq!(waiting(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_ends_the_instances_that_saw_the_old_one() {
    let code = "let count = 0; export default (_, ctx) => Response.json([++count, ctx.env.KEY ?? null]);";
    let server = start().await;
    deploy(&server, code, json!({})).await;
    for value in ["first", "second"] {
        server.admin().set_secrets(json!({ "KEY": value })).await;
        assert_eq!(ask(&server, &server.anonymous(), "/").await, json!([1, value]));
        assert_eq!(ask(&server, &server.anonymous(), "/").await, json!([2, value]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn some_instances_wait_and_end_when_nobody_calls() {
    let server = start().await;
    let code = r#"export default async () => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        return Response.json(1);
    };"#;
    deploy(&server, code, json!({})).await;
    let mut calls = JoinSet::new();
    for _ in 0..2 * IDLE_PER_FUNCTION {
        let client = server.anonymous();
        calls.spawn(async move { client.get("f", "/").await.expect(StatusCode::OK).json() });
    }
    assert!(calls.join_all().await.iter().all(|answer: &Value| *answer == 1));
    let count =
        eventually("instances that wait", async || Some(waiting(&server).await).filter(|count| *count > 1)).await;
    assert!(count <= IDLE_PER_FUNCTION, "{count}");
    eventually("the end of the instances", async || (waiting(&server).await == 0).then_some(())).await;
}
