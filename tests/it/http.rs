//! HTTP through a function, the same for every world; and HTTP that never gets to one.

use std::time::Duration;

use bytes::Bytes;
use caddis_tests::raw::RawConnection;
use caddis_tests::{Guest, Server, eventually, guests, within_patience};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::{options, refused, start};

/// The tests that hold for a guest in whatever world.
macro_rules! every_world_answers_http {
    ($($world:ident: $guest:expr,)*) => {$(
        pub(crate) mod $world {
            every_world_answers_http!(@tests $guest;
                a_get_arrives_as_it_was_sent,
                every_method_arrives,
                a_mebibyte_comes_back_unchanged,
                the_first_byte_arrives_before_the_last_is_written,
                a_path_the_function_does_not_know_is_its_own_404,
                header_fields_keep_their_duplicates_and_order,
                the_host_s_interfaces_are_at_hand,
            );
        }
    )*};
    (@tests $guest:expr; $($test:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        pub(crate) async fn $test() {
            super::$test($guest).await;
        }
    )*};
}

every_world_answers_http! {
    sdk_echo: caddis_tests::guests::SDK_ECHO,
    wasip3_echo: caddis_tests::guests::WASIP3_ECHO,
    wstd_echo: caddis_tests::guests::WSTD_ECHO,
}

async fn serve(guest: Guest) -> Server {
    let server = start().await;
    server.admin().put_component("echo", guest, "").await;
    server
}

async fn a_get_arrives_as_it_was_sent(guest: Guest) {
    let server = serve(guest).await;
    let client = server.anonymous();

    let reply = client.get("echo", "/describe/a%20b/%C3%BC?x=1&y=%26&x=2").await.expect(StatusCode::OK);
    let seen = reply.json();
    assert_eq!(seen["method"], "GET");
    assert_eq!(seen["path_with_query"], "/describe/a%20b/%C3%BC?x=1&y=%26&x=2");
    assert_eq!(seen["body_bytes"], 0);
    reply.execution_id();

    let at_the_other_prefix = client.call(Method::GET, "/v1/default/fn/echo/describe?z").send().await;
    assert_eq!(at_the_other_prefix.json()["path_with_query"], "/describe?z");
}

async fn every_method_arrives(guest: Guest) {
    let server = serve(guest).await;
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let reply = server.anonymous().invoke(method.clone(), "echo", "/describe").send().await.expect(StatusCode::OK);
        assert_eq!(reply.json()["method"], method.as_str());
    }
    let head = server.anonymous().invoke(Method::HEAD, "echo", "/describe").send().await.expect(StatusCode::OK);
    assert_eq!(head.header("x-reply"), ["one", "two", "three"]);
    assert!(head.body.is_empty());
}

async fn a_mebibyte_comes_back_unchanged(guest: Guest) {
    let server = serve(guest).await;
    let sent: Bytes = (0..1024 * 1024_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();

    let reply = server.anonymous().invoke(Method::POST, "echo", "/echo").body(sent.clone()).send().await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.body == sent, "{} bytes came back", reply.body.len());

    let (call, mut pieces) = server.anonymous().invoke(Method::POST, "echo", "/echo").pieces();
    let sending = async {
        for piece in sent.chunks(10_007) {
            pieces.send(piece.to_vec()).await;
        }
        drop(pieces);
    };
    let (reply, ()) = tokio::join!(call.send(), sending);
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.body == sent, "{} bytes came back", reply.body.len());
}

/// Each piece is sent only after the one before it came back: nothing on the way may wait for more.
async fn the_first_byte_arrives_before_the_last_is_written(guest: Guest) {
    let server = serve(guest).await;
    let (call, mut pieces) = server.anonymous().invoke(Method::POST, "echo", "/stream").pieces();
    let mut reply = within_patience("the head of a response whose request goes on", call.start()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.next().await.unwrap().unwrap(), "ready\n");
    for piece in ["one", "two", "three"] {
        pieces.send(piece).await;
        assert_eq!(reply.next().await.unwrap().unwrap(), piece);
    }
    drop(pieces);
    assert!(reply.next().await.is_none());
}

async fn a_path_the_function_does_not_know_is_its_own_404(guest: Guest) {
    let server = serve(guest).await;
    let reply = server.anonymous().get("echo", "/missing").await.expect(StatusCode::NOT_FOUND);
    assert_eq!(reply.text(), "no such page\n");
    reply.execution_id();
}

async fn header_fields_keep_their_duplicates_and_order(guest: Guest) {
    let server = serve(guest).await;
    let reply = server
        .anonymous()
        .invoke(Method::GET, "echo", "/describe")
        .header("x-b", "1")
        .header("x-a", "first")
        .header("x-b", "2")
        .header("x-b", "1")
        .header("x-bytes", b"\xe9\xff")
        .header("x-empty", "")
        .header("accept", "text/html")
        .send()
        .await
        .expect(StatusCode::OK);

    let seen = reply.json();
    assert_eq!(values(&seen, "x-b"), ["1", "2", "1"]);
    assert_eq!(values(&seen, "x-a"), ["first"]);
    assert_eq!(values(&seen, "x-bytes"), [r"\xe9\xff"]);
    assert_eq!(values(&seen, "x-empty"), [""]);
    assert_eq!(values(&seen, "accept"), ["text/html"]);
    assert_eq!(reply.header("x-reply"), ["one", "two", "three"]);
    assert_eq!(reply.header("content-type"), ["application/json"]);
}

fn values<'a>(description: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = description["headers"].as_array().expect("an array");
    headers.iter().filter(|field| field[0] == name).map(|field| field[1].as_str().expect("text")).collect()
}

async fn the_host_s_interfaces_are_at_hand(guest: Guest) {
    let server = serve(guest).await;
    let admin = server.admin();
    admin.set_secrets(json!({ "GREETING": "hello" })).await;
    let user = admin.with_token(&admin.user_token(json!({ "sub": "u1", "email": "u1@example.com" })).await);

    let reply = user.get("echo", "/env?GREETING").await.expect(StatusCode::OK);
    assert_eq!(reply.json()["get"], "hello");

    let reply = user.get("echo", "/user").await.expect(StatusCode::OK);
    assert_eq!(reply.json()["id"], "u1");
    assert_eq!(reply.json()["email"], "u1@example.com");

    let reply = user.post("echo", "/db", &json!({ "sql": "SELECT ?1 + 1 AS n", "parameters": [41] })).await;
    assert_eq!(reply.expect(StatusCode::OK).json(), json!({ "columns": ["n"], "rows": [[42]] }));

    let reply = user.invoke(Method::POST, "echo", "/log").body("a line").send().await.expect(StatusCode::OK);
    let record = admin.execution("echo", &reply).await;
    assert!(record["logs"].as_str().unwrap().contains("info: a line"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_below_the_function_is_never_empty() {
    let server = serve(guests::WSTD_ECHO).await;
    // The guest knows neither `/` nor an empty path: what counts is that it was asked.
    for path in ["", "/", "?x=1"] {
        server.anonymous().get("echo", path).await.expect(StatusCode::NOT_FOUND).execution_id();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_reach_the_function() {
    let server = serve(guests::WSTD_ECHO).await;
    let (call, mut pieces) = server.anonymous().invoke(Method::POST, "echo", "/trailers").pieces();
    let call = call.header("trailer", "x-sum");
    let sending = async {
        pieces.send("body").await;
        pieces.trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))])).await;
    };
    let (reply, ()) = tokio::join!(call.send(), sending);
    assert_eq!(reply.expect(StatusCode::OK).json(), json!([["x-sum", "7"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_to_be_asked_for_the_body_is_asked() {
    let server = serve(guests::WSTD_ECHO).await;
    let mut connection = RawConnection::open(server.address()).await;
    let head = "POST /functions/v1/echo/echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\
                connection: close\r\n\r\n";
    connection.send(head).await;
    assert!(connection.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    connection.send("body").await;
    let reply = connection.rest().await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.contains("body"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_end_at_the_host() {
    let server = serve(guests::WSTD_ECHO).await;
    let reply = server
        .anonymous()
        .invoke(Method::GET, "echo", "/describe")
        .header("connection", "x-private")
        .header("x-private", "for the next hop only")
        .header("keep-alive", "timeout=5")
        .header("te", "trailers")
        .header("upgrade", "h2c")
        .header("proxy-authorization", "Basic eDp5")
        .send()
        .await
        .expect(StatusCode::OK);
    let seen = reply.json();
    for name in ["connection", "x-private", "keep-alive", "te", "upgrade", "proxy-authorization"] {
        assert!(values(&seen, name).is_empty(), "{name} in {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_two_meanings_are_refused() {
    let server = serve(guests::WSTD_ECHO).await;
    let long_name = format!("x-{}: 1\r\n", "a".repeat(200_000));
    let many_fields = "x-a: 1\r\n".repeat(5_000);
    let cases = [
        ("two lengths", "POST", "content-length: 4\r\ncontent-length: 5\r\n", "body"),
        ("two lengths in one field", "POST", "content-length: 4, 5\r\n", "body"),
        ("a length that is no number", "POST", "content-length: 4x\r\n", "body"),
        ("a length with a sign", "POST", "content-length: +4\r\n", "body"),
        ("a length beyond all bounds", "POST", "content-length: 99999999999999999999999\r\n", "body"),
        ("an unknown coding", "POST", "transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("a coding twice", "POST", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
        ("a space before the colon", "POST", "content-length : 4\r\n", "body"),
        ("a folded line", "GET", "x-a: 1\r\n 2\r\n", ""),
        ("a bare carriage return", "GET", "x-a: 1\r2\r\n", ""),
        ("a zero byte", "GET", "x-a: 1\0\r\n", ""),
        ("two hosts", "GET", "host: y\r\n", ""),
        ("a field of 200 kB", "GET", &long_name, ""),
        ("5,000 fields", "GET", &many_fields, ""),
    ];
    for (case, method, fields, body) in cases {
        let request = format!(
            "{method} /functions/v1/echo/describe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n{body}"
        );
        assert_refused(&server, case, &request).await;
    }
    let whole_requests = [
        ("no request at all", "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n"),
        ("a bad method", "GE\x01T /functions/v1/echo HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("a bad version", "GET /functions/v1/echo HTTP/7.3\r\nhost: x\r\n\r\n"),
        ("no host", "GET /functions/v1/echo/describe HTTP/1.1\r\nconnection: close\r\n\r\n"),
        ("a space in the target", "GET /functions/v1/echo/a b HTTP/1.1\r\nhost: x\r\n\r\n"),
    ];
    for (case, request) in whole_requests {
        assert_refused(&server, case, request).await;
    }
    server.anonymous().get("echo", "/describe").await.expect(StatusCode::OK);
    assert!(server.admin().executions("echo", "").await.len() <= 1, "no refused request ran the function");
}

async fn assert_refused(server: &Server, case: &str, request: &str) {
    let mut connection = RawConnection::open(server.address()).await;
    connection.send(request).await;
    let reply = connection.rest().await;
    let status = reply.split(' ').nth(1).unwrap_or_default();
    assert!(["400", "414", "431", "505"].contains(&status), "{case}: {reply:?}");
    assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{case}: one answer, then the end: {reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_s_authority_counts_and_not_the_host_field() {
    let server = serve(guests::SDK_ECHO).await;
    let get = async |target: &str| {
        let mut raw = RawConnection::open(server.address()).await;
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n")).await;
        raw.rest().await
    };
    let answer = get("http://example.com/functions/v1/echo/describe").await;
    assert!(answer.contains("\"http://example.com/functions/v1/echo/describe\""), "{answer}");
    assert!(answer.contains("[\"host\",\"example.com\"]") && !answer.contains("elsewhere"), "{answer}");
    let answer = get("http://user:password@example.com/functions/v1/echo/describe").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("password"), "{answer}");
}

/// RFC 9112, section 6.3: the length may be ignored, but then nothing behind the body may be taken for a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_beside_chunks_smuggles_nothing() {
    let server = serve(guests::WSTD_ECHO).await;
    let smuggled = "GET /functions/v1/echo/describe/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for fields in
        ["content-length: 5\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"]
    {
        let mut connection = RawConnection::open(server.address()).await;
        let head = format!("POST /functions/v1/echo/describe HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
        connection.send(format!("{head}0\r\n\r\n{smuggled}")).await;
        let reply = connection.rest().await;
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{reply}");
        assert!(!reply.contains("smuggled"), "{reply}");
        if !reply.starts_with("HTTP/1.1 400 ") {
            assert!(reply.contains("connection: close") && reply.contains("\"body_bytes\":0"), "{reply}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chunk_ends_the_request_and_the_connection() {
    let server = serve(guests::WSTD_ECHO).await;
    let mut connection = RawConnection::open(server.address()).await;
    let head = "POST /functions/v1/echo/describe HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.send(format!("{head}zz\r\nbody\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    let reply = connection.rest().await;
    assert!(!reply.starts_with("HTTP/1.1 2"), "{reply}");
    assert!(reply.matches("HTTP/1.1 ").count() <= 1, "what follows is not read as a request: {reply}");
    server.anonymous().get("echo", "/describe").await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_cut_off() {
    let server = start().await;
    let mut connection = RawConnection::open(server.address()).await;
    connection.send("GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    let reply = connection.rest().await;
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 408 "), "{reply}");
    server.anonymous().call(Method::GET, "/healthz").send().await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_holds_nothing_but_its_own_request() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("echo", guests::WSTD_ECHO, "timeout_seconds=1").await;
    let (call, pieces) = server.anonymous().invoke(Method::POST, "echo", "/describe").pieces();
    let reply = call.send().await;
    crate::failed(&reply, 408, "timeout", "echo");
    drop(pieces);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_ends_when_its_client_goes_away() {
    let server = serve(guests::LIMITS).await;
    let mut connection = RawConnection::open(server.address()).await;
    connection.send("GET /functions/v1/echo/sleep-mid-stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
    connection.read_until("the first half\r\n").await;
    drop(connection);

    let record = eventually("the record of the abandoned request", async || {
        server.admin().executions("echo", "").await.into_iter().next()
    })
    .await;
    assert_eq!(record["status"], "error", "{record}");
    assert_eq!(record["error_code"], "client_disconnected", "{record}");
    assert!(record["duration_ms"].as_f64().unwrap() < Duration::from_secs(20).as_millis() as f64, "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_breaks_off_is_not_held_against_the_function() {
    let server = serve(guests::WSTD_ECHO).await;
    let mut connection = RawConnection::open(server.address()).await;
    let head = "POST /functions/v1/echo/describe HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nhalf";
    connection.send(head).await;
    drop(connection);

    let record = eventually("the record of the broken request", async || {
        server.admin().executions("echo", "").await.into_iter().next()
    })
    .await;
    assert_eq!(record["error_code"], "client_disconnected", "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_host_s_limit_is_refused() {
    let limit = 100_000;
    let server = Server::start(options().flag("--max-request-bytes", limit)).await;
    server.admin().put_component("echo", guests::WSTD_ECHO, "").await;
    let echo = |length| server.anonymous().invoke(Method::POST, "echo", "/describe").body(vec![b'x'; length]).send();
    assert_eq!(echo(limit).await.expect(StatusCode::OK).json()["body_bytes"], limit);
    refused(&echo(limit + 1).await, 413, "too_large", &["100000"]);

    let (call, mut pieces) = server.anonymous().invoke(Method::POST, "echo", "/describe").pieces();
    let sending = tokio::spawn(async move {
        for _ in 0..limit / 10_000 + 1 {
            pieces.send(vec![b'x'; 10_000]).await;
        }
    });
    let reply = call.send().await;
    sending.abort();
    assert_eq!((reply.status.as_u16(), reply.json()["code"].as_str()), (413, Some("too_large")), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_over_the_host_s_limit_breaks_off() {
    let server = Server::start(options().flag("--max-response-bytes", 3_000_000)).await;
    server.admin().put_component("limits", guests::LIMITS, "").await;
    let megabytes =
        |count| server.anonymous().invoke(Method::GET, "limits", &format!("/big-response?{count}")).try_send();
    assert_eq!(megabytes(2).await.map(|reply| reply.body.len()), Some(2 * 1024 * 1024));
    assert!(megabytes(3).await.is_none());
}
