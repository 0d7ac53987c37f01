//! Functions that give the host much to do or to keep in ways that take no fuel and no memory of their own.

use std::time::{Duration, Instant};

use caddis_tests::raw::RawConnection;
use caddis_tests::{Server, guests};
use http::{Method, StatusCode};
use serde_json::json;

use crate::{failed, options, refused, start};

async fn serve() -> Server {
    let server = start().await;
    server.admin().put_component("floods", guests::FLOODS, "timeout_seconds=1").await;
    server
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_loop_of_host_calls_ends_when_its_time_does() {
    let server = Server::start(options().alone()).await;
    server.admin().put_component("floods", guests::FLOODS, "timeout_seconds=1").await;
    for page in ["/log", "/print"] {
        let begin = Instant::now();
        let reply = server.anonymous().get("floods", page).await;
        let took = begin.elapsed();
        failed(&reply, 408, "timeout", "floods");
        assert!(took < Duration::from_secs(3), "{page}: {took:?}");
        let record = server.admin().execution("floods", &reply).await;
        assert!(record["logs_dropped"].as_u64().unwrap() > 1_000, "{page}");
        assert!(record["logs"].as_str().unwrap().len() <= 256 * 1024, "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_says_of_its_failure_is_cut() {
    let server = serve().await;
    let reply = server.anonymous().get("floods", "/large-error?1000000").await;
    failed(&reply, 500, "function_error", "floods");
    let record = server.admin().execution("floods", &reply).await;
    assert_eq!(record["error_message"].as_str().unwrap().len(), 10_000);
    assert_eq!(record["error_stack"].as_str().unwrap().len(), 64 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_header_fields_than_the_limit_are_no_response() {
    let server = serve().await;
    server.admin().change("floods", &json!({ "timeout_seconds": 30 })).await.expect(StatusCode::OK);
    for page in ["/large-field?70000", "/many-fields?100000"] {
        failed(&server.anonymous().get("floods", page).await, 500, "invalid_response", "floods");
    }
    assert_eq!(server.anonymous().get("floods", "/large-field?30000").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_response_has_the_length_it_has() {
    let server = serve().await;
    let reply = server.anonymous().get("floods", "/wrong-length").await;
    assert_eq!((reply.header("content-length"), reply.text()), (vec!["5"], "short".to_owned()));
    assert_eq!(server.anonymous().get("floods", "/large-body?12").await.body.len(), 12 * 1024 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_the_host_is_withheld_from_functions_however_it_is_sent() {
    let server = start().await;
    server.admin().put_component("echo", guests::WSTD_ECHO, "").await;
    let created = server.admin().manage(Method::POST, "/api-keys").json(&json!({ "name": "k" })).send().await;
    let key = created.json()["key"].as_str().unwrap().to_owned();
    let user = server.admin().user_token(json!({ "sub": "u1" })).await;
    let token = server.admin_token();
    for (authorization, apikey) in [
        (format!("Bearer {token}"), None),
        (format!("bearer  {token}"), None),
        (format!("Basic {token}"), None),
        (token.to_owned(), None),
        (format!("Bearer {key}"), None),
        (format!("Bearer {user}"), Some(key.as_str())),
        (format!("Bearer {user}"), Some(token)),
    ] {
        let mut call =
            server.anonymous().invoke(Method::GET, "echo", "/describe").header("authorization", &authorization);
        if let Some(apikey) = apikey {
            call = call.header("apikey", apikey);
        }
        let reply = call.send().await.expect(StatusCode::OK);
        assert!(!reply.text().contains(token) && !reply.text().contains(&key), "{authorization}: {}", reply.text());
        assert_eq!(reply.text().contains(&user), authorization.contains(&user), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_does_not_become_a_tunnel() {
    let server = serve().await;
    let mut connection = RawConnection::open(server.address()).await;
    connection.send("CONNECT /functions/v1/floods HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let head = connection.read_until("\r\n").await;
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_functions_keep_between_requests_counts_as_memory_of_functions() {
    let server = Server::start(options().flag("--guest-memory-mb", 300)).await;
    let admin = server.admin();
    let deploy = async |name: &str, megabytes: u32| {
        let code = format!("globalThis.kept = new Uint8Array({megabytes} << 20).fill(1); export default () => 'ok'");
        let settings = json!({ "name": name, "code": code, "memory_limit_mb": 256 });
        admin.manage(Method::POST, "/functions").json(&settings).send().await
    };
    deploy("a", 100).await.expect(StatusCode::CREATED);
    refused(&deploy("b", 130).await, 400, "invalid_source", &["134217728"]);
    deploy("b", 100).await.expect(StatusCode::CREATED);
    refused(&deploy("c", 100).await, 503, "overloaded", &["memory"]);
    admin.manage(Method::DELETE, "/functions/a").send().await.expect(StatusCode::NO_CONTENT);
    deploy("c", 100).await.expect(StatusCode::CREATED);
}

/// The execution is over long before a client that reads slowly has its response.
#[tokio::test(flavor = "multi_thread")]
async fn responses_that_nobody_takes_count_as_memory_of_functions() {
    let server = Server::start(options().flag("--guest-memory-mb", 128)).await;
    server.admin().put_component("floods", guests::FLOODS, "").await;
    let page = || server.anonymous().invoke(Method::GET, "floods", "/large-body?15");
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(page().start().await);
    }
    let turned_away = held.iter().filter(|reply| reply.status == StatusCode::SERVICE_UNAVAILABLE).count();
    assert!((3..9).contains(&turned_away), "{turned_away} of 10 were refused");
    drop(held);
    caddis_tests::eventually("room for another response", async || {
        (page().send().await.status == StatusCode::OK).then_some(())
    })
    .await;
}
