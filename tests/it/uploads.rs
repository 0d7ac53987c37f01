//! What is refused by the management API, and how it says so. The process lives on.

use caddis_tests::raw::RawConnection;
use caddis_tests::{Client, Server, files_below, guests};
use http::{Method, StatusCode};
use serde_json::json;

use crate::{options, refused, start};

/// The preamble of a core module, and so the smallest one.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// The preamble of a component, and so the smallest one.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

async fn put(admin: &Client, bytes: &[u8]) -> caddis_tests::Reply {
    admin.upload("bad", bytes.to_vec(), "").await
}

async fn assert_alive(server: &Server) {
    refused(&server.admin().manage(Method::GET, "/functions/bad").send().await, 404, "not_found", &[]);
    server.admin().put_component("good", guests::LIMITS, "").await;
    server.anonymous().get("good", "/ok").await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_component_is_refused() {
    let server = start().await;
    let admin = server.admin();
    refused(&put(&admin, b"").await, 400, "invalid_component", &["empty"]);
    refused(&put(&admin, b"#!/bin/sh\necho hello\n").await, 400, "invalid_component", &["WebAssembly"]);
    refused(&put(&admin, b"\0asm").await, 400, "invalid_component", &[]);
    refused(
        &put(&admin, CORE_MODULE).await,
        400,
        "invalid_component",
        &["not a component", "wasm32-wasip2", "wasm-tools component new"],
    );
    let parts = ["wasi:http/incoming-handler", "wasi:http/handler", "caddis:function/handler"];
    refused(&put(&admin, EMPTY_COMPONENT).await, 400, "invalid_component", &parts);
    assert_alive(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_or_damaged_component_is_refused() {
    let server = start().await;
    let admin = server.admin();
    let whole = guests::LIMITS.bytes();
    for length in [8, 9, 100, whole.len() / 2, whole.len() - 1] {
        refused(&put(&admin, &whole[..length]).await, 400, "invalid_component", &[]);
    }
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 32].fill(0xff);
    refused(&put(&admin, &damaged).await, 400, "invalid_component", &[]);
    assert_alive(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn all_unknown_imports_are_named() {
    let server = start().await;
    let reply = put(&server.admin(), &guests::UNKNOWN_IMPORTS.bytes()).await;
    let parts = ["example:postal/letters@1.2.3", "example:postal/parcels@1.2.3"];
    refused(&reply, 400, "invalid_component", &parts);
    assert_alive(&server).await;
}

/// A component around this core module.
fn component_of(module: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "wasi:http/types@0.2.0" (instance $types
                (export "incoming-request" (type (sub resource)))
                (export "response-outparam" (type (sub resource)))))
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $response))
            (core module $module {module} (func (export "handle") (param i32 i32)))
            (core instance $instance (instantiate $module))
            (func $handle (param "request" (own $request)) (param "response-out" (own $response))
                (canon lift (core func $instance "handle")))
            (instance $handler (export "handle" (func $handle)))
            (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_wants_more_than_any_place_has_is_refused() {
    let server = start().await;
    let admin = server.admin();
    put(&admin, &component_of("(memory 1)")).await.expect(StatusCode::CREATED);
    for module in ["(memory 65536)", &"(memory 1)".repeat(9), "(table 4000000000 funcref)"] {
        refused(&put(&admin, &component_of(module)).await, 400, "invalid_component", &["more than this host"]);
    }
    for module in ["(memory i64 1)", "(memory 1 2 shared)", "(type (struct (field i32)))"] {
        refused(&put(&admin, &component_of(module)).await, 400, "invalid_component", &["not valid"]);
    }
    server.anonymous().call(Method::GET, "/healthz").send().await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_component_is_refused() {
    let limit = 300_000;
    let server = Server::start(options().flag("--max-component-bytes", limit)).await;
    let admin = server.admin();
    refused(&put(&admin, &vec![0; limit + 1]).await, 413, "too_large", &["300000"]);
    let (call, mut pieces) = admin.manage(Method::PUT, "/functions/bad").pieces();
    let sending = tokio::spawn(async move {
        for _ in 0..limit / 10_000 + 1 {
            pieces.send(vec![0; 10_000]).await;
        }
    });
    let reply = call.header("content-type", "application/wasm").send().await;
    sending.abort();
    refused(&reply, 413, "too_large", &["300000"]);
    assert_alive(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_out_of_range_or_unknown_are_refused_by_name() {
    let server = start().await;
    let admin = server.admin();
    let component = guests::LIMITS.bytes();
    let cases: [(&str, &[&str]); 14] = [
        ("timeout_seconds=0", &["timeout_seconds", "300"]),
        ("timeout_seconds=301", &["timeout_seconds", "300"]),
        ("timeout_seconds=ten", &["timeout_seconds"]),
        ("timeout_seconds=-1", &["timeout_seconds"]),
        ("memory_limit_mb=63", &["memory_limit_mb", "64", "1024"]),
        ("memory_limit_mb=1025", &["memory_limit_mb", "1024"]),
        ("fuel=0", &["fuel"]),
        ("fuel=99999999999999999999", &["fuel"]),
        ("enabled=maybe", &["enabled"]),
        ("allow_net=2", &["allow_net"]),
        ("access=everybody", &["access"]),
        ("access=", &["access"]),
        ("colour=red", &["colour"]),
        ("timeout_seconds=1&timeout_seconds=2", &["timeout_seconds"]),
    ];
    for (settings, parts) in cases {
        let reply = admin.upload("bad", component.clone(), settings).await;
        refused(&reply, 400, "invalid_request", parts);
    }
    assert_alive(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_is_refused_and_says_where() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("f", guests::LIMITS, "").await;
    let cases: [(&str, &[&str]); 13] = [
        ("", &[]),
        ("{", &["line 1"]),
        ("[]", &[]),
        ("null", &[]),
        ("{\"enabled\": true} trailing", &["line 1"]),
        ("{\"enabled\": \"yes\"}", &["enabled"]),
        ("{\"timeout_seconds\": 0}", &["timeout_seconds", "300"]),
        ("{\"timeout_seconds\": 1.5}", &["timeout_seconds"]),
        ("{\"memory_limit_mb\": 4294967296}", &["memory_limit_mb"]),
        ("{\"colour\": \"red\"}", &["colour"]),
        ("{\"access\": {\"policy\": \"everybody\"}}", &["policy"]),
        ("{\"access\": {\"policy\": \"public\", \"extra\": 1}}", &["extra"]),
        ("{\"enabled\": true, \"enabled\": false}", &["enabled"]),
    ];
    for (body, parts) in cases {
        let call = admin.manage(Method::PUT, "/functions/f").header("content-type", "application/json");
        refused(&call.body(body).send().await, 400, "invalid_request", parts);
    }
    let secret = admin.manage(Method::PUT, "/secrets").body("\"a bare secret\"").send().await;
    refused(&secret, 400, "invalid_request", &["object"]);
    assert!(!secret.text().contains("bare"), "{}", secret.text());
    let deep = "[".repeat(100_000);
    let call = admin.manage(Method::PUT, "/functions/f").header("content-type", "application/json");
    refused(&call.body(deep).send().await, 400, "invalid_request", &[]);
    // Only announced: a client that sends it all the same may notice the closed connection before the answer.
    let mut connection = RawConnection::open(server.address()).await;
    let head = format!(
        "PUT /api/v1/functions/f HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100000000\r\n\r\n",
        server.admin_token()
    );
    connection.send(&head).await;
    let answer = connection.read_until("\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(admin.manage(Method::GET, "/functions/f").send().await.json()["version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_out_of_range_are_refused() {
    let server = start().await;
    let admin = server.admin();
    let long = "x".repeat(101);
    for name in ["a.b", "a%20b", "a%2Fb", "..", "%2e%2e", "a%00b", "%C3%BC", &long] {
        let reply = admin.upload(name, guests::ENDLESS_START.bytes(), "").await;
        refused(&reply, 400, "invalid_request", &["function name"]);
    }
    let longest = "x".repeat(100);
    admin.put_component(&longest, guests::LIMITS, "").await;
    server.anonymous().get(&longest, "/ok").await.expect(StatusCode::OK);

    for name in ["", "a b", "Upper", "a/b", &"x".repeat(64)] {
        let reply = admin.call(Method::POST, "/api/v1/apps").json(&json!({ "name": name })).send().await;
        refused(&reply, 400, "invalid_request", &["app name"]);
    }
    for name in ["", "1X", "A-B", "A B", "A=B", &"X".repeat(257)] {
        let reply = admin.manage(Method::PUT, "/secrets").json(&json!({ name: "v" })).send().await;
        refused(&reply, 400, "invalid_request", &["variable name"]);
    }
    let too_long = "x".repeat(48 * 1024 + 1);
    let reply = admin.manage(Method::PUT, "/secrets").json(&json!({ "LONG": too_long })).send().await;
    refused(&reply, 400, "invalid_request", &["LONG"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_s_token_manages() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("f", guests::LIMITS, "").await;
    let user = admin.user_token(json!({ "sub": "u1" })).await;
    let wrong = ["", "cad_wrong", &user, &format!("{}x", server.admin_token()), &server.admin_token()[..10]];
    let targets = [
        (Method::GET, "/api/v1/functions"),
        (Method::GET, "/api/v1/functions/f"),
        (Method::PUT, "/api/v1/functions/f"),
        (Method::DELETE, "/api/v1/functions/f"),
        (Method::GET, "/api/v1/functions/f/executions"),
        (Method::GET, "/api/v1/secrets"),
        (Method::PUT, "/api/v1/secrets"),
        (Method::POST, "/api/v1/apps"),
        (Method::GET, "/api/v1/apps"),
        (Method::POST, "/api/v1/api-keys"),
        (Method::POST, "/api/v1/user-tokens"),
        (Method::GET, "/v1/default/functions"),
    ];
    for (method, target) in targets {
        for token in wrong {
            let reply = server.anonymous().with_token(token).call(method.clone(), target).send().await;
            refused(&reply, 401, "unauthorized", &[]);
        }
        refused(&server.anonymous().call(method, target).send().await, 401, "unauthorized", &[]);
    }
    admin.manage(Method::GET, "/functions/f").send().await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_routes_methods_and_types_are_told_apart() {
    let server = start().await;
    let admin = server.admin();
    let component = guests::LIMITS.bytes();
    refused(&admin.call(Method::GET, "/api/v1/nothing").send().await, 404, "not_found", &[]);
    refused(&admin.call(Method::GET, "/nothing").send().await, 404, "not_found", &[]);
    refused(&admin.manage(Method::PATCH, "/functions").send().await, 405, "method_not_allowed", &[]);
    let call = admin.manage(Method::PUT, "/functions/bad").header("content-type", "text/plain").body(component.clone());
    refused(&call.send().await, 415, "unsupported_media_type", &["application/wasm"]);
    let call = admin.manage(Method::PUT, "/functions/bad").body(component);
    refused(&call.send().await, 415, "unsupported_media_type", &["application/wasm"]);
    refused(&admin.change("bad", &json!({ "enabled": true })).await, 404, "not_found", &["function"]);
    assert_alive(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_has_limits_of_time_and_memory() {
    for (flag, limit) in [("--compile-seconds", "0 s"), ("--compile-memory-mb", "8 MiB")] {
        let server = Server::start(options().flag(flag, limit.split_once(' ').unwrap().0)).await;
        let reply = server.admin().upload("f", guests::LIMITS.bytes(), "").await;
        refused(&reply, 400, "invalid_component", &[limit]);
        server.anonymous().call(Method::GET, "/healthz").send().await.expect(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_code_that_the_host_did_not_make_is_never_loaded() {
    let mut server = start().await;
    server.admin().put_component("f", guests::LIMITS, "").await;
    server.stop_gracefully().await;
    let cached = files_below(&server.data().join("cache"));
    assert!(!cached.is_empty());
    for path in cached {
        let mut code = std::fs::read(&path).unwrap();
        let middle = code.len() / 2;
        code[middle] ^= 1;
        std::fs::write(&path, code).unwrap();
    }
    server.start_again().await;
    assert_eq!(server.anonymous().get("f", "/ok").await.expect(StatusCode::OK).text(), "ok");
    assert!(server.log().contains("was not made by this host"), "{}", server.log());
}
