//! Functions that events of a WebSocket start, as Butterbase has it (BB3).

use caddis_tests::{Client, Server, eventually};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stream::{ask, hear, open, say};
use crate::{refused, start};

const CHAT: &str = "export default async (req, ctx) => {
    const payload = await req.json();
    if (payload?.wait) await new Promise((settle) => setTimeout(settle, payload.wait));
    if (payload?.fail) throw new Error('as asked');
    return Response.json({ echo: payload, user: ctx.user?.id ?? null, trigger: req.headers.get('caddis-trigger'),
        method: req.method, path: new URL(req.url).pathname });
}";

async fn deploy(app: &Client, name: &str, event: &str, settings: Value) {
    let trigger = json!({ "type": "websocket", "config": { "event": event } });
    let mut body = json!({ "name": name, "code": CHAT, "trigger": trigger });
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    app.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

async fn shop(server: &Server) -> Client {
    server.admin().create_app("shop").await
}

const PATH: &str = "/v1/shop/realtime";

fn chat(payload: Value) -> Value {
    json!({ "type": "event", "event": "chat_message", "payload": payload })
}

#[tokio::test(flavor = "multi_thread")]
async fn bb3_an_event_starts_the_functions_that_wait_for_it() {
    let server = start().await;
    let app = shop(&server).await;
    deploy(&app, "handle-chat", "chat_message", json!({})).await;
    let shown = app.manage(Method::GET, "/functions/handle-chat").send().await.json();
    let trigger = json!({ "type": "websocket", "config": { "event": "chat_message" } });
    assert_eq!(shown["triggers"], json!([trigger]), "{shown}");
    let token = app.user_token(json!({ "sub": "u1" })).await;
    let mut socket = open(&server, &format!("{PATH}?token={token}"), &[]).await.unwrap();
    let hello = hear(&mut socket).await;
    let said = |name: &str| hello[name].clone();
    assert_eq!(
        (said("type"), said("app_id"), said("role")),
        (json!("connected"), json!("shop"), json!("authenticated"))
    );

    let reply = ask(&mut socket, chat(json!({ "text": "hello" }))).await;
    assert_eq!((&reply["type"], &reply["event"]), (&json!("event_response"), &json!("chat_message")), "{reply}");
    let data = json!({ "echo": { "text": "hello" }, "user": "u1", "trigger": "websocket", "method": "POST",
        "path": "/v1/shop/fn/handle-chat" });
    assert_eq!((&reply["data"], &reply["status"], &reply["function"]), (&data, &json!(200), &json!("handle-chat")));
    let id = reply["execution_id"].as_str().unwrap().to_owned();
    let recorded = eventually("the record", async || {
        app.executions("handle-chat", "trigger_type=trigger").await.into_iter().next()
    });
    let record = recorded.await;
    assert_eq!((&record["id"], &record["user_id"]), (&json!(id), &json!("u1")), "{record}");

    deploy(&app, "archive", "chat_message", json!({})).await;
    deploy(&app, "other", "another", json!({})).await;
    let message = json!({ "event": "chat_message", "data": 1, "id": "m1" });
    let mut replies = [ask(&mut socket, message).await, hear(&mut socket).await];
    replies.sort_by_key(|reply| reply["function"].as_str().unwrap().to_owned());
    assert_eq!(replies.each_ref().map(|reply| &reply["function"]), [&json!("archive"), &json!("handle-chat")]);
    assert!(replies.iter().all(|reply| reply["id"] == "m1" && reply["data"]["echo"] == 1), "{replies:?}");

    app.change("archive", &json!({ "enabled": false })).await.expect(StatusCode::OK);
    let failed = ask(&mut socket, chat(json!({ "fail": true }))).await;
    assert_eq!((&failed["status"], &failed["data"]["message"]), (&json!(500), &json!("Error: as asked")), "{failed}");
    assert_eq!(ask(&mut socket, chat(json!(null))).await["data"]["echo"], Value::Null, "one function is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn bb3_what_starts_nothing_says_why() {
    let server = start().await;
    let app = shop(&server).await;
    deploy(&app, "f", "chat_message", json!({})).await;
    let mut socket = open(&server, PATH, &[]).await.unwrap();
    assert_eq!(hear(&mut socket).await["role"], "anon");
    for (message, code, part) in [
        (json!({ "type": "subscribe", "table": "notes" }), "invalid_request", "subscribe"),
        (json!({ "type": "event" }), "invalid_request", "event is missing"),
        (json!({ "event": 1 }), "invalid_request", "\"event\": \"name\""),
        (json!([]), "invalid_request", "\"event\": \"name\""),
        (json!({ "event": "chat_message", "id": "x".repeat(1_100) }), "invalid_request", "1024 bytes"),
        (json!({ "event": "nobody" }), "not_found", "nobody"),
    ] {
        let reply = ask(&mut socket, message.clone()).await;
        assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!(code)), "{message}: {reply}");
        assert!(reply["message"].as_str().unwrap().contains(part), "{message}: {reply}");
    }
    let named = ask(&mut socket, json!({ "event": "nobody", "id": 3 })).await;
    assert_eq!((&named["event"], &named["id"]), (&json!("nobody"), &json!(3)));
    let refusal = ask(&mut socket, chat(json!({}))).await;
    assert_eq!((&refusal["status"], &refusal["data"]["code"]), (&json!(401), &json!("unauthorized")), "{refusal}");
    assert_eq!(open(&server, &format!("{PATH}?token=nonsense"), &[]).await.err(), Some(401));
    assert_eq!(open(&server, "/v1/none/realtime", &[]).await.err(), Some(404));
    let plain = app.manage(Method::GET, "/realtime").send().await;
    refused(&plain, 404, "not_found", &["route"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_for_whom_the_function_s_policy_lets_in() {
    let server = start().await;
    let app = shop(&server).await;
    deploy(&app, "admins", "e", json!({ "access": { "policy": "group", "groups": ["admin"] } })).await;
    deploy(&app, "all", "e", json!({ "access": { "policy": "public" } })).await;
    for (claims, admins, all) in
        [(json!({ "sub": "u1" }), 403, 200), (json!({ "sub": "u2", "groups": ["admin"] }), 200, 200)]
    {
        let token = app.user_token(claims.clone()).await;
        let mut socket = open(&server, PATH, &[("authorization", &format!("Bearer {token}"))]).await.unwrap();
        hear(&mut socket).await;
        let mut replies = [ask(&mut socket, json!({ "event": "e" })).await, hear(&mut socket).await];
        replies.sort_by_key(|reply| reply["function"].as_str().unwrap().to_owned());
        assert_eq!(replies.map(|reply| reply["status"].clone()), [json!(admins), json!(all)], "{claims}");
        // By HTTP nobody may, as no trigger says so.
        let user = server.anonymous().in_app("shop").with_token(&token);
        refused(&user.get("all", "/").await, 404, "not_found", &["http"]);
    }
    let mut service =
        open(&server, PATH, &[("authorization", &format!("Bearer {}", server.admin_token()))]).await.unwrap();
    assert_eq!(hear(&mut service).await["role"], "service_role");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_run_beside_each_other_but_not_without_bound() {
    let server = start().await;
    let app = shop(&server).await;
    for number in 0..8 {
        deploy(&app, &format!("f{number}"), "e", json!({ "access": { "policy": "public" } })).await;
    }
    let ninth = json!({ "name": "f8", "code": CHAT, "trigger": { "type": "websocket", "config": { "event": "e" } } });
    let reply = app.manage(Method::POST, "/functions").json(&ninth).send().await;
    refused(&reply, 400, "invalid_request", &["websocket_event", "8 functions"]);
    let mut socket = open(&server, PATH, &[]).await.unwrap();
    hear(&mut socket).await;
    say(&mut socket, &json!({ "event": "e", "payload": { "wait": 60_000 }, "id": "slow" })).await;
    say(&mut socket, &json!({ "event": "e", "id": "quick" })).await;
    for _ in 0..8 {
        let reply = hear(&mut socket).await;
        assert_eq!(reply["id"], "quick", "{reply}");
        assert_eq!((&reply["status"], &reply["data"]["code"]), (&json!(503), &json!("overloaded")), "{reply}");
    }
}
