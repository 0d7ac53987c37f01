//! How often a caller may ask (FX12).

use std::time::Instant;

use caddis_tests::{Call, Client, Reply, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{keys, options};

async fn limited(rates: &str) -> Server {
    let server = Server::start(options().variable("CADDIS_RATE_LIMITS", rates)).await;
    let code = "export default () => new Response('ok')";
    let body = json!({ "name": "f", "code": code, "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    server
}

fn number(reply: &Reply, name: &str) -> u64 {
    let values = reply.header(name);
    assert_eq!(values.len(), 1, "{name}: {values:?} {}", reply.text());
    values[0].parse().unwrap()
}

#[track_caller]
fn assert_limited(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["error"], "Rate limit exceeded", "{body}");
    assert_eq!(body["code"], "rate_limited", "{body}");
    let wait = body["retry_after"].as_u64().unwrap();
    assert!(wait >= 1, "{body}");
    assert_eq!(reply.header("retry-after"), [wait.to_string()]);
    assert_eq!(number(reply, "x-ratelimit-remaining"), 0);
    let mut keys = keys(&body);
    keys.retain(|key| *key != "function");
    assert_eq!(keys, ["code", "error", "message", "retry_after"]);
}

/// Calls until it is refused, which must be when so many a minute have been, with those that were `before`.
async fn exhaust(server: &Server, limit: u64, before: u64, call: impl Fn() -> Call) {
    let started = Instant::now();
    let mut session = server.admin().session().await;
    let mut answered = before;
    let refused = loop {
        let reply = session.send(call()).await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            break reply;
        }
        answered += 1;
        assert_eq!(number(&reply, "x-ratelimit-limit"), limit, "{}", reply.text());
        assert!(number(&reply, "x-ratelimit-remaining") < limit);
        assert!(answered < 5 * limit, "nobody stops this");
    };
    assert_limited(&refused);
    assert_eq!(number(&refused, "x-ratelimit-limit"), limit);
    // What comes back meanwhile may be used as well.
    let meanwhile = started.elapsed().as_secs_f64() / 60.0 * limit as f64;
    assert!(answered >= limit && answered as f64 <= limit as f64 + meanwhile + 2.0, "{answered} of {limit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fx12_each_kind_of_request_has_the_limit_of_the_reference() {
    let server = limited("default").await;
    let admin = server.admin();
    exhaust(&server, 300, 0, || admin.manage(Method::GET, "/functions")).await;
    exhaust(&server, 300, 0, || admin.manage(Method::GET, "/functions/f/executions")).await;
    exhaust(&server, 60, 1, || admin.manage(Method::PUT, "/secrets").json(&json!({}))).await;
    exhaust(&server, 600, 0, || admin.call(Method::POST, "/api/v1/functions/f/invoke")).await;
    // Another caller has limits of its own.
    server.anonymous().get("f", "").await.expect(StatusCode::OK);
}

async fn invoke(client: &Client) -> Reply {
    client.get("f", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn fx12_limits_are_set_for_an_app_a_function_and_a_token() {
    let server = limited("default").await;
    let admin = server.admin();
    let change_app = async |limits: Value| {
        let call = admin.call(Method::PATCH, "/api/v1/apps/default").json(&json!({ "rate_limits": limits }));
        call.send().await
    };
    change_app(json!({ "invoke": "1/day" })).await.expect(StatusCode::OK);
    let user = |name: &'static str| admin.user_token(json!({ "sub": name }));
    let one = server.anonymous().with_token(&user("one").await);
    invoke(&one).await.expect(StatusCode::OK);
    assert_limited(&invoke(&one).await);
    let two = server.anonymous().with_token(&user("two").await);
    invoke(&two).await.expect(StatusCode::OK);

    let changed = admin.change("f", &json!({ "rate_limit": "3/day" })).await.expect(StatusCode::OK).json();
    assert_eq!(changed["rate_limit"], "3/day");
    let three = server.anonymous().with_token(&user("three").await);
    for _ in 0..3 {
        invoke(&three).await.expect(StatusCode::OK);
    }
    assert_limited(&invoke(&three).await);
    admin.change("f", &json!({ "rate_limit": "off" })).await.expect(StatusCode::OK);
    let free = invoke(&three).await.expect(StatusCode::OK);
    assert!(free.header("x-ratelimit-limit").is_empty());

    let wanted = json!({ "name": "ci", "scope": "deploy", "rate_limit": "2/day" });
    let made = admin.call(Method::POST, "/api/v1/tokens").json(&wanted).send().await.expect(StatusCode::CREATED).json();
    let ci = server.anonymous().with_token(made["token"].as_str().unwrap());
    for _ in 0..2 {
        ci.manage(Method::GET, "/functions").send().await.expect(StatusCode::OK);
        invoke(&ci).await.expect(StatusCode::OK);
    }
    assert_limited(&ci.manage(Method::GET, "/functions").send().await);
    assert_limited(&invoke(&ci).await);
    let bad = change_app(json!({ "invoke": "often" })).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(bad.json()["message"].as_str().unwrap().contains("600/min"), "{}", bad.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn fx12_whoever_says_nothing_of_themselves_is_counted_by_address() {
    let server = limited("invoke=1/day").await;
    let call = |from: &str| server.anonymous().invoke(Method::GET, "f", "").header("x-forwarded-for", from).send();
    call("198.51.100.1").await.expect(StatusCode::OK);
    assert_limited(&call("198.51.100.1").await);
    assert_limited(&call("203.0.113.9, 198.51.100.1").await);
    call("198.51.100.2").await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn fx12_limits_can_be_switched_off_and_a_bad_one_is_named() {
    let server = limited("off").await;
    server.admin().change("f", &json!({ "rate_limit": "1/day" })).await.expect(StatusCode::OK);
    for _ in 0..3 {
        let reply = server.anonymous().get("f", "").await.expect(StatusCode::OK);
        assert!(reply.header("x-ratelimit-limit").is_empty());
    }
    let directory = tempfile::TempDir::new().unwrap();
    let output = options().variable("CADDIS_RATE_LIMITS", "calls=1/min").run_to_end(directory.path()).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("calls=1/min"), "{complaint}");
}
