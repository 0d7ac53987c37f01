//! Functions tried out by `POST …/test`: all of what they answer, as data.

use caddis_tests::{Client, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{refused, start};

const ECHO: &str = "export default async (req: Request, ctx) => {
  const url = new URL(req.url);
  if (url.searchParams.has('large')) return new Response('x'.repeat(Number(url.searchParams.get('large'))));
  if (url.searchParams.has('bytes')) return new Response(new Uint8Array([255, 0]));
  if (url.searchParams.has('redirect')) return Response.redirect('https://example.com/', 302);
  const headers = Object.fromEntries(req.headers);
  const { rows: [{ role }] } = await ctx.db.query('SELECT auth.role() AS role');
  return Response.json({ method: req.method, url: req.url, path: url.pathname + url.search, headers, body: await req.text(), user: ctx.user?.id ?? null, role }, { status: 201, headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2']] });
};";

async fn serve(access: &Value) -> Server {
    let server = start().await;
    let body = json!({ "name": "echo", "code": ECHO, "enabled": true, "access": access });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    server
}

async fn attempt(client: &Client, call: Value) -> Value {
    client.manage(Method::POST, "/functions/echo/test").json(&call).send().await.expect(StatusCode::OK).json()
}

fn body_of(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kl8_a_test_call_shows_all_of_what_a_function_answers() {
    let server = serve(&json!({ "policy": "authenticated" })).await;
    let admin = server.admin();
    let call = json!({ "method": "PUT", "path": "/notes/7?full=1", "headers": { "X-Trace": "t", "Cookie": "c=1", "Content-Length": "99" }, "body": "{\"a\": \"ü\"}" });
    let answer = attempt(&admin, call).await;
    assert_eq!(
        (&answer["status"], &answer["complete"], &answer["body_base64"]),
        (&json!(201), &json!(true), &Value::Null)
    );
    let headers: Vec<_> = answer["headers"].as_array().unwrap().iter().filter(|pair| pair[0] == "set-cookie").collect();
    assert_eq!(headers, [&json!(["set-cookie", "a=1"]), &json!(["set-cookie", "b=2"])]);
    let seen = body_of(&answer);
    let url = format!("http://{}/functions/v1/echo/notes/7?full=1", server.address());
    assert_eq!((&seen["method"], &seen["url"], &seen["body"]), (&json!("PUT"), &json!(url), &json!("{\"a\": \"ü\"}")));
    assert_eq!(
        (&seen["headers"]["x-trace"], &seen["headers"]["cookie"], &seen["headers"]["content-length"]),
        (&json!("t"), &json!("c=1"), &json!("11"))
    );
    assert_eq!((&seen["role"], &seen["user"]), (&json!("service_role"), &Value::Null), "it is called for the app");

    let id = answer["execution_id"].as_str().unwrap();
    let record = admin
        .manage(Method::GET, &format!("/functions/echo/executions/{id}"))
        .send()
        .await
        .expect(StatusCode::OK)
        .json();
    assert_eq!((&record["id"], &record["user_id"], &record["path"]), (&json!(id), &json!("admin"), &json!("/notes/7")));
    let other =
        admin.manage(Method::GET, "/functions/echo/executions/00000000-0000-7000-8000-000000000000").send().await;
    refused(&other, 404, "not_found", &["may still run"]);

    assert_eq!(attempt(&admin, json!({ "path": "/?redirect=1" })).await["status"], 302, "nobody follows it");
    let bytes = attempt(&admin, json!({ "path": "/?bytes=1" })).await;
    assert_eq!((&bytes["body"], &bytes["body_base64"]), (&Value::Null, &json!("/wA=")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_call_is_made_for_whom_it_says() {
    let server = serve(&json!({ "policy": "authenticated" })).await;
    let admin = server.admin();
    let nobody = attempt(&admin, json!({ "caller": "headers" })).await;
    assert_eq!((&nobody["status"], &nobody["execution_id"]), (&json!(401), &Value::Null));
    let user = admin.user_token(json!({ "sub": "u1" })).await;
    let seen =
        attempt(&admin, json!({ "caller": "headers", "headers": { "authorization": format!("Bearer {user}") } })).await;
    let seen = body_of(&seen);
    assert_eq!((&seen["user"], &seen["role"]), (&json!("u1"), &json!("authenticated")));
    assert_eq!(seen["headers"]["authorization"], format!("Bearer {user}"));
    // A credential of the host never gets to a function, whatever it is called for.
    for caller in ["token", "headers"] {
        let key = server.admin_token();
        let seen = attempt(
            &admin,
            json!({ "caller": caller, "headers": { "apikey": key, "Authorization": format!("Bearer {key}") } }),
        )
        .await;
        assert!(!seen.to_string().contains(key), "{seen}");
    }
    let read = json!({ "name": "r", "scope": "read" });
    let read = admin.manage(Method::POST, "/tokens").json(&read).send().await.json();
    let reader = admin.with_token(read["token"].as_str().unwrap());
    refused(
        &reader.manage(Method::POST, "/functions/echo/test").json(&json!({})).send().await,
        403,
        "forbidden",
        &["deploy"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_call_is_bounded_and_refuses_what_is_no_request() {
    let server = serve(&json!({ "policy": "public" })).await;
    let admin = server.admin();
    let whole = attempt(&admin, json!({ "path": "/?large=1048576" })).await;
    assert_eq!((whole["body"].as_str().unwrap().len(), &whole["complete"]), (1_048_576, &json!(true)));
    let cut = attempt(&admin, json!({ "path": "/?large=1048577" })).await;
    assert_eq!((cut["body"].as_str().unwrap().len(), &cut["complete"]), (1_048_576, &json!(false)));
    for (call, part) in [
        (json!({ "method": "CONNECT" }), "method"),
        (json!({ "method": "A B" }), "method"),
        (json!({ "path": "notes" }), "path"),
        (json!({ "path": "/a b" }), "path"),
        (json!({ "headers": { "a b": "c" } }), "headers"),
        (json!({ "headers": { "a": "b\r\nc: d" } }), "headers"),
        (json!({ "caller": "me" }), "caller"),
        (json!({ "url": "http://example.com" }), "url"),
    ] {
        let reply = admin.manage(Method::POST, "/functions/echo/test").json(&call).send().await;
        refused(&reply, 400, "invalid_request", &[part]);
    }
    let missing = admin.manage(Method::POST, "/functions/none/test").json(&json!({})).send().await;
    refused(&missing, 404, "not_found", &["no such function"]);
}
