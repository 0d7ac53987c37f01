//! Functions called by WebSocket, with a client of the tokio family (FX13).

use caddis_tests::{Client, Server, eventually, within_patience};
use futures::{SinkExt, StreamExt};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::start;

const ECHO: &str = "async function handler(req) {
    const payload = JSON.parse(req.body);
    if (payload?.wait) await new Promise((resolve) => setTimeout(resolve, payload.wait));
    if (payload?.fail) throw new Error('as asked');
    const body = payload?.large ? 'x'.repeat(payload.large) : JSON.stringify({ payload, user: req.user_id ?? null });
    return { status: 201, headers: { 'content-type': payload?.large ? 'text/plain' : 'application/json' }, body };
}";

async fn serve(policy: &str) -> Server {
    let server = start().await;
    deploy(&server.admin(), policy).await;
    server
}

async fn deploy(app: &Client, policy: &str) {
    let body = json!({ "name": "f", "code": ECHO, "enabled": true, "access": { "policy": policy } });
    app.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

pub(crate) type Socket = WebSocketStream<TcpStream>;

pub(crate) async fn open(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("ws://{}{path}", server.address()).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(server.address()).await.unwrap();
    match within_patience("the handshake", client_async(request, stream)).await {
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        other => Ok(other.expect("a socket or a refusal").0),
    }
}

pub(crate) async fn say(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

pub(crate) async fn hear(socket: &mut Socket) -> Value {
    let message = within_patience("a message", socket.next()).await.expect("the socket is open").unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

pub(crate) async fn ask(socket: &mut Socket, message: Value) -> Value {
    say(socket, &message).await;
    hear(socket).await
}

const PATH: &str = "/api/v1/functions/stream";

#[tokio::test(flavor = "multi_thread")]
async fn fx13_a_message_is_a_call_and_its_result_comes_back() {
    let server = serve("authenticated").await;
    let token = server.admin().user_token(json!({ "sub": "u1" })).await;
    let mut socket = open(&server, PATH, &[("authorization", &format!("Bearer {token}"))]).await.unwrap();
    let reply = ask(&mut socket, json!({ "function": "f", "payload": { "key": "value" } })).await;
    assert_eq!((&reply["function"], &reply["status"]), (&json!("f"), &json!(201)), "{reply}");
    assert_eq!(reply["result"], json!({ "payload": { "key": "value" }, "user": "u1" }));
    let id = reply["execution_id"].as_str().unwrap().to_owned();
    let records = eventually("the record", async || {
        Some(server.admin().executions("f", "").await).filter(|records| !records.is_empty())
    });
    assert_eq!(records.await[0]["id"], id.as_str());

    let failed = ask(&mut socket, json!({ "function": "f", "payload": { "fail": true }, "id": 7 })).await;
    assert_eq!(
        (&failed["id"], &failed["status"], &failed["result"]["message"]),
        (&json!(7), &json!(500), &json!("Error: as asked"))
    );
    let missing = ask(&mut socket, json!({ "function": "g" })).await;
    assert_eq!((&missing["status"], &missing["result"]["code"]), (&json!(404), &json!("not_found")));
    for message in [
        json!({ "payload": 1 }),
        json!({ "function": "a b" }),
        json!([]),
        json!({ "function": "f", "colour": 1 }),
        json!({ "function": "f", "id": "x".repeat(1_100) }),
    ] {
        let refused = ask(&mut socket, message.clone()).await;
        assert_eq!(
            (&refused["status"], &refused["result"]["code"]),
            (&json!(400), &json!("invalid_request")),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_its_caller_s_and_of_one_app() {
    let server = serve("authenticated").await;
    let shop = server.admin().create_app("shop").await;
    deploy(&shop, "public").await;
    let call = json!({ "function": "f", "payload": null });
    let mut anonymous = open(&server, PATH, &[]).await.unwrap();
    assert_eq!(ask(&mut anonymous, call.clone()).await["status"], 401);
    let mut anonymous = open(&server, "/v1/shop/functions/stream", &[]).await.unwrap();
    assert_eq!(ask(&mut anonymous, call.clone()).await["status"], 201);
    assert_eq!(open(&server, "/v1/none/functions/stream", &[]).await.err(), Some(404));
    assert_eq!(open(&server, PATH, &[("authorization", "Bearer nonsense")]).await.err(), Some(401));

    let token = server.admin().user_token(json!({ "sub": "u2" })).await;
    let protocols = format!("caddis, bearer.{token}");
    let mut browser = open(&server, PATH, &[("sec-websocket-protocol", &protocols)]).await.unwrap();
    assert_eq!(ask(&mut browser, call).await["result"]["user"], "u2");
    let plain = server.admin().call(Method::GET, PATH).send().await;
    assert_eq!(plain.status, StatusCode::NOT_FOUND, "without an upgrade it is the function of that name");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_run_beside_each_other_but_not_without_bound() {
    let server = serve("public").await;
    let mut socket = open(&server, PATH, &[]).await.unwrap();
    let slow = |id: u32| json!({ "function": "f", "payload": { "wait": 60_000 }, "id": id });
    for id in 0..8 {
        say(&mut socket, &slow(id)).await;
    }
    let quick = json!({ "function": "f", "payload": {}, "id": "quick" });
    let refused = ask(&mut socket, quick.clone()).await;
    assert_eq!((&refused["id"], &refused["status"]), (&json!("quick"), &json!(503)), "{refused}");
    assert!(refused["result"]["message"].as_str().unwrap().starts_with("8 calls"), "{refused}");
    let in_use = async |number: u32| {
        let line = format!("caddis_sandboxes_in_use {number}");
        let metrics = server.admin().call(Method::GET, "/metrics").send().await.text();
        metrics.lines().any(|other| other == line).then_some(())
    };
    eventually("eight calls that run", async || in_use(8).await).await;
    drop(socket);
    // Whoever leaves cancels what runs.
    eventually("no call that runs", async || in_use(0).await).await;
    let records = server.admin().executions("f", "").await;
    assert!(records.iter().all(|record| record["error_code"] == "client_disconnected"), "{records:?}");

    let mut socket = open(&server, PATH, &[]).await.unwrap();
    say(&mut socket, &json!({ "function": "f", "payload": { "wait": 500 }, "id": "slow" })).await;
    assert_eq!(ask(&mut socket, quick).await["id"], "quick", "a quick call overtakes a slow one");
    assert_eq!(hear(&mut socket).await["id"], "slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_good_for_no_longer_than_its_key() {
    let server = serve("authenticated").await;
    let admin = server.admin();
    let made = admin.manage(Method::POST, "/api-keys").json(&json!({ "name": "k" })).send().await.json();
    let mut socket = open(&server, PATH, &[("apikey", made["key"].as_str().unwrap())]).await.unwrap();
    let call = json!({ "function": "f", "payload": {} });
    assert_eq!(ask(&mut socket, call.clone()).await["status"], 201);
    let key = format!("/api-keys/{}", made["id"].as_str().unwrap());
    admin.manage(Method::DELETE, &key).send().await.expect(StatusCode::NO_CONTENT);
    let refused = ask(&mut socket, call).await;
    assert_eq!((&refused["status"], &refused["result"]["code"]), (&json!(401), &json!("unauthorized")));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_take_no_more_memory_than_they_have_bytes() {
    let server = start().await;
    let code = "export default async () => { await new Promise((done) => setTimeout(done, 60_000)); return '' }";
    let body = json!({ "name": "f", "code": code, "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let mut socket = open(&server, PATH, &[]).await.unwrap();
    let before = server.resident_bytes();
    let message = json!({ "function": "f", "payload": vec![0; 500_000] });
    for _ in 0..8 {
        say(&mut socket, &message).await;
    }
    // By then the host has read them.
    assert_eq!(ask(&mut socket, json!({ "function": "f", "id": [1, null] })).await["id"], json!([1, null]));
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 80_000_000, "{grown} bytes: as values they would be 128 MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_results_have_a_size() {
    let server = serve("public").await;
    let mut socket = open(&server, PATH, &[]).await.unwrap();
    let large = ask(&mut socket, json!({ "function": "f", "payload": { "large": 1_000_000 } })).await;
    assert_eq!(large["result"].as_str().unwrap().len(), 1_000_000);
    let too_large = ask(&mut socket, json!({ "function": "f", "payload": { "large": 1_100_000 } })).await;
    assert_eq!((&too_large["status"], &too_large["result"]["code"]), (&json!(500), &json!("invalid_response")));
    let message = json!({ "function": "f", "payload": "x".repeat(1_100_000) });
    // The server may be gone before all of it is written.
    let _ = socket.send(Message::text(message.to_string())).await;
    let end = within_patience("the end", socket.next()).await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
}
