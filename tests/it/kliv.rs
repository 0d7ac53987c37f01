//! Kliv's address of a function and its four policies, by their ids.

use caddis_tests::{Server, Stub, stub};
use http::{Method, StatusCode};
use serde_json::json;

use crate::{options, start};

#[tokio::test(flavor = "multi_thread")]
async fn kl9_functions_have_kliv_s_address() {
    let server = start().await;
    let code = "export default (req) => ({ method: req.method, query: new URL(req.url).search, cookie: req.headers.get('cookie') })";
    let body = json!({ "name": "f", "code": code, "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let call = server.anonymous().call(Method::GET, "/v2/function/f?a=1").header("cookie", "s=1");
    let expected = json!({ "method": "GET", "query": "?a=1", "cookie": "s=1" });
    assert_eq!(call.send().await.expect(StatusCode::OK).json(), expected);
    let code = "export default async (req) => req.method === 'POST'
        ? new Response((await req.json()).name, { headers: { 'content-type': 'text/plain' } })
        : Response.json({ message: 'gone' }, { status: 410 })";
    let body = json!({ "name": "g", "code": code, "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let posted = server.anonymous().call(Method::POST, "/v2/function/g").json(&json!({ "name": "Ada" })).send().await;
    assert_eq!((posted.status, posted.text()), (StatusCode::OK, "Ada".to_owned()));
    let refused = server.anonymous().call(Method::DELETE, "/v2/function/g").send().await;
    assert_eq!((refused.status, refused.json()), (StatusCode::GONE, json!({ "message": "gone" })));
    let missing = server.anonymous().call(Method::POST, "/v2/function/missing").send().await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.json()["error"].is_string() && missing.json()["message"].is_string(), "{}", missing.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn kl2_each_policy_lets_in_whom_it_names() {
    let server = start().await;
    let admin = server.admin();
    let policies = [
        ("public", json!({ "policy": "public" })),
        ("authenticated", json!({ "policy": "authenticated" })),
        ("admins", json!({ "policy": "group", "groups": ["admin"] })),
        ("engineers", json!({ "policy": "metadata", "metadata": { "department": "engineering" } })),
    ];
    for (name, access) in &policies {
        let body = json!({ "name": name, "code": "export default () => 'in'", "enabled": true, "access": access });
        admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    }
    let anybody = server.anonymous();
    let user = anybody.with_token(&admin.user_token(json!({ "sub": "u" })).await);
    let chief = anybody.with_token(&admin.user_token(json!({ "sub": "c", "groups": ["admin"] })).await);
    let engineer = anybody.with_token(&admin.user_token(json!({ "sub": "e", "department": "engineering" })).await);
    for (client, expected) in [
        (&anybody, [200, 401, 401, 401]),
        (&user, [200, 200, 403, 403]),
        (&chief, [200, 200, 200, 403]),
        (&engineer, [200, 200, 403, 200]),
    ] {
        for ((name, _), status) in policies.iter().zip(expected) {
            assert_eq!(client.get(name, "/").await.status.as_u16(), status, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kl6_the_log_says_who_when_and_what_came_back() {
    let server = start().await;
    let admin = server.admin();
    let body = json!({ "name": "f", "code": "export default () => { console.warn('careful'); return { total: 3 } }", "enabled": true });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let user = server.anonymous().with_token(&admin.user_token(json!({ "sub": "u" })).await);
    let reply = user.get("f", "/report").await.expect(StatusCode::OK);
    let record = admin.execution("f", &reply).await;
    assert_eq!(record["user_id"], "u");
    assert_eq!(record["result"], r#"{"total":3}"#);
    assert_eq!(record["logs"], "console.warn: careful");
    assert_eq!(
        (&record["method"], &record["path"], &record["status"]),
        (&json!("GET"), &json!("/report"), &json!("success"))
    );
    assert!(record["executed_at"].as_str().unwrap() <= record["completed_at"].as_str().unwrap(), "{record}");
    assert!(record["duration_ms"].is_u64() && record["error_message"].is_null(), "{record}");

    let code = "export default async () => {
        console.debug('begins');
        await new Promise((resolve) => setTimeout(resolve, 60));
        throw new RangeError('out of stock');
    }";
    admin.change("f", &json!({ "code": code })).await.expect(StatusCode::OK);
    let reply = user.get("f", "/order").await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    let record = admin.execution("f", &reply).await;
    assert_eq!(
        (&record["status"], &record["error_message"], &record["logs"], &record["user_id"]),
        (&json!("error"), &json!("RangeError: out of stock"), &json!("console.debug: begins"), &json!("u"))
    );
    assert!(record["error_stack"].as_str().unwrap().contains("index.ts:4"), "{record}");
    assert!((60..30_000).contains(&record["duration_ms"].as_u64().unwrap()), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kl4_a_function_calls_out_with_a_secret_that_nobody_else_sees() {
    let service = Stub::start(|request| {
        let authorized = request.headers().get("authorization").is_some_and(|value| value == "Bearer sk-planted-key");
        stub::answer(if authorized { 200 } else { 401 }, "application/json", r#"{"text":"generated"}"#)
    })
    .await;
    let server = Server::start(options().flag("--allow-egress", service.address())).await;
    let admin = server.admin();
    admin.set_secrets(json!({ "AI_KEY": "sk-planted-key" })).await;
    let code = format!(
        "export default async (req, ctx) => {{
            const headers = {{ authorization: `Bearer ${{ctx.env.AI_KEY}}` }};
            const reply = await fetch('{}/generate', {{ method: 'POST', headers }});
            console.log('asked with', ctx.env.AI_KEY.length, 'characters');
            return new Response(await reply.text(), {{ status: reply.status }});
        }}",
        service.url()
    );
    let body = json!({ "name": "f", "code": code, "enabled": true, "access": { "policy": "public" } });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let reply = server.anonymous().get("f", "/").await.expect(StatusCode::OK);
    assert_eq!(reply.json(), json!({ "text": "generated" }));
    let record = admin.execution("f", &reply).await.to_string();
    let mut seen = vec![record, server.log()];
    for path in [
        "/functions",
        "/functions/f",
        "/secrets",
        "/functions/f/env",
        "/functions/f/logs",
        "/functions/f/executions/export",
    ] {
        seen.push(admin.manage(Method::GET, path).send().await.expect(StatusCode::OK).text());
    }
    assert!(seen.iter().all(|text| !text.contains("sk-planted-key")), "{seen:?}");
}
