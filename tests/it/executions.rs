//! The record every execution leaves.

use caddis_tests::{Server, eventually, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{keys, options, refused, start};

async fn serve() -> Server {
    let server = start().await;
    server.admin().put_component("echo", guests::WSTD_ECHO, "").await;
    server.admin().put_component("limits", guests::LIMITS, "fuel=100000000").await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_who_called_what_and_what_came_of_it() {
    let server = serve().await;
    let admin = server.admin();
    let function = admin.manage(Method::GET, "/functions/echo").send().await.json();
    let user = admin.with_token(&admin.user_token(json!({ "sub": "u1" })).await);
    let reply = user.invoke(Method::POST, "echo", "/missing?x=1").body("x").send().await;
    let record = admin.execution("echo", &reply).await;
    assert_eq!(
        keys(&record),
        [
            "completed_at",
            "duration_ms",
            "error_code",
            "error_message",
            "error_stack",
            "executed_at",
            "fuel",
            "function_id",
            "function_version",
            "id",
            "logs",
            "logs_dropped",
            "method",
            "path",
            "peak_memory_bytes",
            "response_bytes",
            "result",
            "status",
            "status_code",
            "trigger_type",
            "user_id",
        ]
    );
    let expected = json!({
        "id": reply.execution_id(), "function_id": function["id"], "function_version": 1, "trigger_type": "http",
        "user_id": "u1", "method": "POST", "status": "success", "status_code": 404, "logs": "", "logs_dropped": 0,
        "error_code": null, "error_message": null, "error_stack": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&record[name], value, "{name} in {record}");
    }
    assert!(record["path"].as_str().unwrap().starts_with("/missing"), "{record}");
    assert!(record["fuel"].as_u64().unwrap() > 1_000, "{record}");
    assert!(record["peak_memory_bytes"].as_u64().unwrap() >= 1024 * 1024, "{record}");
    assert!(record["executed_at"].as_str().unwrap() <= record["completed_at"].as_str().unwrap(), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_every_level_and_both_outputs_are_kept_in_order() {
    let server = serve().await;
    let reply = server.anonymous().invoke(Method::POST, "echo", "/log").body("hello").send().await;
    let record = server.admin().execution("echo", &reply).await;
    let lines: Vec<_> = record["logs"].as_str().unwrap().lines().collect();
    assert_eq!(
        lines,
        [
            "trace: hello",
            "debug: hello",
            "info: hello",
            "warn: hello",
            "error: hello",
            "info: hello on standard output",
            "error: hello on standard error",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_is_cut_and_counted() {
    let server = serve().await;
    let reply = server.anonymous().get("limits", "/flood-log").await.expect(StatusCode::OK);
    let record = server.admin().execution("limits", &reply).await;
    let logs = record["logs"].as_str().unwrap();
    assert!(logs.starts_with("info: line 0\ninfo: line 1\n"), "{}", &logs[..100]);
    assert!(logs.lines().count() <= 1_000 && logs.len() < 300 * 1024, "{} lines", logs.lines().count());
    assert!(record["logs_dropped"].as_u64().unwrap() >= 4_000, "{}", record["logs_dropped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_leaves_a_backtrace_with_the_names_of_functions() {
    let server = serve().await;
    let reply = server.anonymous().get("limits", "/unreachable").await;
    let record = server.admin().execution("limits", &reply).await;
    assert_eq!((&record["status"], &record["error_code"]), (&json!("error"), &json!("trap")), "{record}");
    let stack = record["error_stack"].as_str().unwrap();
    assert!(stack.contains("limits::cpu::fall_into_the_unreachable"), "{stack}");

    let reply = server.anonymous().get("limits", "/panic").await;
    let record = server.admin().execution("limits", &reply).await;
    assert!(record["logs"].as_str().unwrap().contains("a deliberate panic"), "{record}");
    assert!(!reply.text().contains("a deliberate panic"), "the client does not see it: {}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_listed_newest_first_by_page_and_by_status() {
    let server = serve().await;
    let admin = server.admin();
    let mut expected = Vec::new();
    for path in ["/ok", "/unreachable", "/loop", "/ok", "/ok"] {
        expected.insert(0, server.anonymous().get("limits", path).await.execution_id());
    }
    let all = eventually("all records", async || {
        Some(admin.executions("limits", "").await).filter(|records| records.len() == expected.len())
    })
    .await;
    assert_eq!(ids(&all), expected);
    assert_eq!(ids(&admin.executions("limits", "limit=2&offset=1").await), expected[1..3]);
    assert_eq!(ids(&admin.executions("limits", "offset=5").await), [""; 0]);
    assert_eq!(ids(&admin.executions("limits", "status=success").await), [&*expected[0], &expected[1], &expected[4]]);
    assert_eq!(ids(&admin.executions("limits", "status=error").await), [&*expected[3]]);
    assert_eq!(ids(&admin.executions("limits", "status=timeout").await), [&*expected[2]]);

    let since = all[1]["executed_at"].as_str().unwrap();
    let later = admin.executions("limits", &format!("since={since}")).await;
    let later = ids(&later);
    assert!(later.len() >= 2 && later.len() < 5 && later == expected[..later.len()], "since {since}: {later:?}");
    assert_eq!(ids(&admin.executions("limits", "since=2100-01-01T00:00:00Z").await), [""; 0]);

    for (query, part) in [
        ("since=yesterday", "since"),
        ("limit=0", "limit"),
        ("limit=1001", "1000"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("status=fine", "status"),
        ("colour=red", "colour"),
    ] {
        let reply = admin.manage(Method::GET, &format!("/functions/limits/executions?{query}")).send().await;
        refused(&reply, 400, "invalid_request", &[part]);
    }
    refused(&admin.manage(Method::GET, "/functions/none/executions").send().await, 404, "not_found", &["function"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_large_records_is_complete_and_takes_little_memory() {
    let server = start().await;
    let admin = server.admin();
    let code =
        "export default () => { for (let line = 0; line < 20; line++) console.log('x'.repeat(9000)); return 'ok' }";
    let body = json!({ "name": "f", "code": code, "enabled": true, "access": { "policy": "public" } });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let mut expected = Vec::new();
    for _ in 0..120 {
        expected.insert(0, server.anonymous().get("f", "/").await.expect(StatusCode::OK).execution_id());
    }
    let all = eventually("all records", async || {
        Some(admin.executions("f", "limit=1000").await).filter(|records| records.len() == expected.len())
    });
    assert_eq!(ids(&all.await), expected);
    assert_eq!(ids(&admin.executions("f", "limit=60&offset=30").await), expected[30..90]);
    let before = server.resident_bytes();
    // Their readers take nothing of them yet.
    let mut lists = Vec::new();
    for _ in 0..16 {
        lists.push(admin.manage(Method::GET, "/functions/f/executions?limit=1000").start().await);
    }
    let grown = server.resident_bytes().saturating_sub(before);
    // Each has some 22 MB.
    assert!(grown < 16 * 10_000_000, "{grown} bytes");
    drop(lists);
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_still_there_after_a_restart() {
    let mut server = serve().await;
    let reply = server.anonymous().get("limits", "/ok").await.expect(StatusCode::OK);
    server.restart().await;
    assert_eq!(ids(&server.admin().executions("limits", "").await), [reply.execution_id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_says_how_many_records_are_kept() {
    let mut server = Server::start(options().variable("CADDIS_KEEP_EXECUTIONS", 50)).await;
    let admin = server.admin();
    admin.put_component("limits", guests::LIMITS, "").await;
    let mut session = admin.session().await;
    let mut newest = Vec::new();
    for _ in 0..300 {
        let reply = session.send(admin.invoke(Method::GET, "limits", "/ok")).await.expect(StatusCode::OK);
        newest.insert(0, reply.execution_id());
    }
    // What is over the number goes with the next hundred.
    eventually("the oldest to go", async || (admin.executions("limits", "limit=1000").await.len() < 200).then_some(()))
        .await;
    let stats = admin.manage(Method::GET, "/functions/limits/stats").send().await.expect(StatusCode::OK).json();
    assert_eq!(stats["count"], 300, "statistics count what is gone");
    server.restart().await;
    let kept = eventually("a round of retention", async || {
        Some(server.admin().executions("limits", "limit=1000").await).filter(|kept| kept.len() == 50)
    });
    assert_eq!(ids(&kept.await), newest[..50]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_keeps_no_records_writes_none_and_shows_them_all_the_same() {
    let server = Server::start(options().flag("--keep-executions", 0)).await;
    let admin = server.admin();
    admin.put_component("limits", guests::LIMITS, "").await;
    let mut stream = admin.manage(Method::GET, "/functions/limits/executions/stream").start().await;
    stream.next().await.unwrap().unwrap();
    let reply = server.anonymous().get("limits", "/ok").await.expect(StatusCode::OK);
    let event = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(event.contains(&reply.execution_id()), "{event}");
    assert_eq!(admin.executions("limits", "").await, [Value::Null; 0]);
    let stats = admin.manage(Method::GET, "/functions/limits/stats").send().await.expect(StatusCode::OK).json();
    assert_eq!(stats["count"], 0);
}
