//! Functions that call other functions of their app: `ctx.invoke`, and `http://functions.caddis.internal/` from any language.

use caddis_tests::{Server, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{options, start};

async fn deploy(server: &Server, app: Option<&str>, name: &str, settings: Value, code: &str) {
    let mut body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": "public" } });
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let admin = app.map_or_else(|| server.admin(), |app| server.admin().in_app(app));
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

const ECHO: &str = "export default async (req, ctx) => Response.json({
    method: req.method, url: req.url, type: req.headers.get('content-type'), body: await req.text(), user: ctx.user?.id ?? null
}, { status: 201, headers: { 'x-from': 'echo' } })";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_calls_another_for_the_same_user() {
    let server = start().await;
    // The policy is for clients: a function of the app may call what only others may not.
    let internal = json!({ "access": { "policy": "group", "groups": ["nobody"] } });
    deploy(&server, None, "echo", internal, ECHO).await;
    let code = "export default async (req, ctx) => {
        const answers = [await ctx.invoke('echo', { a: 1 }), await ctx.invoke('echo', 'text', { path: '/x?y=1', method: 'PUT' }), await fetch('http://functions.caddis.internal/echo/z')];
        return Response.json(await Promise.all(answers.map(async (answer) => [answer.status, answer.headers.get('x-from'), await answer.json()])));
    }";
    deploy(&server, None, "first", json!({ "allow_net": false }), code).await;
    let user = server.anonymous().with_token(&server.admin().user_token(json!({ "sub": "u1" })).await);
    let host = "http://functions.caddis.internal";
    let answer = |body: Value| json!([201, "echo", body]);
    let expected = json!([
        answer(
            json!({ "method": "POST", "url": format!("{host}/echo/"), "type": "application/json", "body": "{\"a\":1}", "user": "u1" })
        ),
        answer(
            json!({ "method": "PUT", "url": format!("{host}/echo/x?y=1"), "type": "text/plain;charset=UTF-8", "body": "text", "user": "u1" })
        ),
        answer(json!({ "method": "GET", "url": format!("{host}/echo/z"), "type": null, "body": "", "user": "u1" })),
    ]);
    assert_eq!(user.get("first", "/").await.expect(StatusCode::OK).json(), expected);
    assert_eq!(server.anonymous().get("first", "/").await.json()[0][2]["user"], Value::Null);
    assert_eq!(server.anonymous().get("echo", "/").await.status, StatusCode::UNAUTHORIZED);
    let records = caddis_tests::eventually("all records", async || {
        let records = server.admin().executions("echo", "").await;
        (records.len() == 6).then_some(records)
    })
    .await;
    assert!(records.iter().all(|record| record["status"] == "success"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_an_answer_like_a_client_s() {
    let server = start().await;
    server.admin().create_app("other").await;
    deploy(&server, Some("other"), "theirs", json!({}), ECHO).await;
    deploy(&server, None, "throws", json!({}), "export default () => { throw new Error('no') }").await;
    deploy(&server, None, "off", json!({ "enabled": false }), ECHO).await;
    let code = "export default async (req, ctx) => Response.json(await Promise.all(['throws', 'off', 'theirs', 'a b'].map(
        (name) => ctx.invoke(name).then(async (answer) => [answer.status, (await answer.json()).code], (error) => error.name))))";
    deploy(&server, None, "first", json!({}), code).await;
    let expected = json!([[500, "function_error"], [404, "not_found"], [404, "not_found"], "TypeError"]);
    assert_eq!(server.anonymous().get("first", "/").await.expect(StatusCode::OK).json(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_functions_ends() {
    let server = Server::start(options().flag("--max-executions", 6)).await;
    let code = "export default async (req, ctx) => {
        const depth = Number(new URL(req.url).searchParams.get('depth') ?? 0);
        try { return await ctx.invoke('again', null, { path: `/?depth=${depth + 1}` }) } catch (error) { return new Response(String(depth)) }
    }";
    deploy(&server, None, "again", json!({}), code).await;
    assert_eq!(server.anonymous().get("again", "/").await.expect(StatusCode::OK).text(), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_with_the_function_that_made_it() {
    let server = start().await;
    let endless = "export default () => new Response(new ReadableStream({ start(c) { setInterval(() => c.enqueue(new Uint8Array(1)), 1) } }))";
    deploy(&server, None, "endless", json!({ "timeout_seconds": 60 }), endless).await;
    let code = "export default async (req, ctx) => { const { body } = await ctx.invoke('endless'); await body.getReader().read(); return new Response('enough') }";
    deploy(&server, None, "first", json!({}), code).await;
    assert_eq!(server.anonymous().get("first", "/").await.expect(StatusCode::OK).text(), "enough");
    let records = caddis_tests::eventually("the record of the call", async || {
        let records = server.admin().executions("endless", "").await;
        (!records.is_empty()).then_some(records)
    });
    assert_eq!(records.await[0]["error_code"], "client_disconnected");
}

#[tokio::test(flavor = "multi_thread")]
async fn components_are_called_too() {
    let server = start().await;
    server.admin().put_component("wstd", guests::WSTD_ECHO, "").await;
    let code = "export default (req, ctx) => ctx.invoke('wstd', null, { method: 'GET', path: '/describe?a=b' })";
    deploy(&server, None, "first", json!({}), code).await;
    let described = server.anonymous().get("first", "/").await.expect(StatusCode::OK).text();
    assert!(described.contains("/describe?a=b"), "{described}");
}
