//! What Butterbase's reference asks of the host, by its ids.

use caddis_tests::{Client, Reply, Server, eventually};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{node, refused, start};

#[tokio::test(flavor = "multi_thread")]
async fn bb10_statistics_count_what_ran() {
    let server = start().await;
    let admin = server.admin();
    let code = "export default (req) => { if (req.method === 'PUT') throw new Error('no'); return 'ok' }";
    let body = json!({ "name": "f", "code": code, "enabled": true });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let stats = async |query: &str| admin.manage(Method::GET, &format!("/functions/f/stats{query}")).send().await;
    let none = stats("").await.expect(StatusCode::OK).json();
    let expected = json!({ "hours": 24, "count": 0, "errors": 0, "timeouts": 0, "error_rate": 0.0, "average_ms": null,
        "p50_ms": null, "p95_ms": null, "p99_ms": null, "last_invocation": null });
    assert_eq!(none, expected);

    for method in [Method::GET, Method::GET, Method::PUT, Method::GET] {
        let reply = admin.invoke(method, "f", "/").send().await;
        admin.execution("f", &reply).await;
    }
    let some: Value = stats("?hours=1").await.expect(StatusCode::OK).json();
    assert_eq!((&some["count"], &some["errors"], &some["timeouts"]), (&json!(4), &json!(1), &json!(0)), "{some}");
    assert_eq!(some["error_rate"], 0.25);
    let time = |name: &str| some[name].as_f64().unwrap();
    assert!(time("average_ms") > 0.0, "{some}");
    assert!(0.0 < time("p50_ms") && time("p50_ms") <= time("p95_ms") && time("p95_ms") <= time("p99_ms"), "{some}");
    assert!(some["last_invocation"].is_string(), "{some}");
    let by_hour = stats("?hours=1&hourly=true").await.expect(StatusCode::OK).json();
    let hours = by_hour["hourly"].as_array().unwrap();
    // The hour may have turned meanwhile.
    let sum = |field: &str| hours.iter().map(|hour| hour[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("count"), sum("errors"), sum("timeouts")), (4, 1, 0), "{by_hour}");
    assert!(hours.iter().all(|hour| hour["hour"].as_str().unwrap().ends_with(":00:00Z")), "{by_hour}");
    assert!(hours.iter().all(|hour| hour["p99_ms"].as_f64().unwrap() > 0.0), "{by_hour}");
    for query in ["?hours=0", "?hours=721", "?days=1", "?hourly=perhaps"] {
        refused(&stats(query).await, 400, "invalid_request", &["query"]);
    }
    deploy(&admin, json!({ "name": "idle", "code": code })).await.expect(StatusCode::CREATED);
    let all = admin.manage(Method::GET, "/stats?hours=1").send().await.expect(StatusCode::OK).json();
    assert_eq!((&all["f"], &all["idle"]["count"], all.as_object().unwrap().len()), (&some, &json!(0), 2), "{all}");
    assert_eq!(
        shop(&server).await.manage(Method::GET, "/stats").send().await.json(),
        json!({}),
        "of its own functions"
    );
    refused(&admin.manage(Method::GET, "/stats?hours=0").send().await, 400, "invalid_request", &["hours"]);
    refused(&admin.manage(Method::GET, "/functions/g/stats").send().await, 404, "not_found", &["function"]);
}

async fn shop(server: &Server) -> Client {
    server.admin().create_app("shop").await
}

async fn deploy(app: &Client, body: Value) -> Reply {
    app.manage(Method::POST, "/functions").json(&body).send().await
}

const WHO: &str = "export default async function handler(req, ctx) {
    return new Response(JSON.stringify({ method: req.method, user: ctx.user ? ctx.user.id : null, key: ctx.env.API_KEY ?? null }));
}";

#[tokio::test(flavor = "multi_thread")]
async fn bb1_a_function_is_deployed_and_serves_at_once() {
    let server = start().await;
    let app = shop(&server).await;
    let code = "export default async function handler(req) {
        return new Response(JSON.stringify({ message: 'Hello!' }), { headers: { 'Content-Type': 'application/json' } });
    }";
    let body = json!({ "name": "hello-world", "code": code, "description": "A simple greeting function",
        "trigger": { "type": "http", "config": {} } });
    let made = deploy(&app, body.clone()).await.expect(StatusCode::CREATED).json();
    assert_eq!(
        (&made["enabled"], &made["version"], &made["description"]),
        (&json!(true), &json!(1), &body["description"])
    );
    let user = server.anonymous().with_token(&app.user_token(json!({ "sub": "u1" })).await);
    let reply = user.call(Method::POST, "/v1/shop/fn/hello-world").json(&json!({ "input": "data" })).send().await;
    assert_eq!(reply.expect(StatusCode::OK).json(), json!({ "message": "Hello!" }));

    let again = deploy(&app, body).await.expect(StatusCode::OK).json();
    assert_eq!((&again["version"], &again["id"]), (&json!(2), &made["id"]), "a second deployment is an update");
    for (body, part) in [
        (json!({ "code": "1" }), "name"),
        (json!({ "name": "x" }), "code"),
        (json!({ "name": "x".repeat(101), "code": "1" }), "name"),
    ] {
        refused(&deploy(&app, body).await, 400, "invalid_request", &[part]);
    }
    let anonymous = server.anonymous().in_app("shop");
    refused(&deploy(&anonymous, json!({ "name": "x", "code": "1" })).await, 401, "unauthorized", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bb2_limits_and_variables_have_butterbase_s_names_and_ranges() {
    let server = start().await;
    let app = shop(&server).await;
    let code = "const top = globalThis.Deno ? Deno.env.get('API_KEY') : null; export default (req, ctx) => [top, ctx.env.API_KEY]";
    let body = json!({ "name": "f", "code": code, "envVars": { "API_KEY": "secret123" }, "timeoutMs": 1500, "memoryLimitMb": 256 });
    let made = deploy(&app, body).await.expect(StatusCode::CREATED);
    assert!(!made.text().contains("secret123"), "{}", made.text());
    let made = made.json();
    assert_eq!(
        (&made["timeoutMs"], &made["timeout_seconds"], &made["memoryLimitMb"]),
        (&json!(2000), &json!(2), &json!(256))
    );
    assert_eq!(app.get("f", "/").await.json(), json!(["secret123", "secret123"]), "at top level too");

    let plain = deploy(&app, json!({ "name": "g", "code": WHO })).await.expect(StatusCode::CREATED).json();
    assert_eq!((&plain["timeoutMs"], &plain["memoryLimitMb"]), (&json!(30_000), &json!(128)));
    for (change, part) in [
        (json!({ "timeoutMs": 300_001 }), "timeoutMs"),
        (json!({ "timeoutMs": 0 }), "timeoutMs"),
        (json!({ "timeoutMs": "1" }), "timeoutMs"),
        (json!({ "timeoutMs": 1000, "timeout_seconds": 1 }), "timeout_seconds"),
        (json!({ "memoryLimitMb": 63 }), "memory_limit_mb"),
        (json!({ "memoryLimitMb": 1025 }), "memory_limit_mb"),
        (json!({ "envVars": { "A B": "x" } }), "envVars"),
        (json!({ "envVars": { "CADDIS_X": "x" } }), "reserved"),
        (json!({ "envVars": { "A": 1 } }), "envVars"),
    ] {
        let mut body = json!({ "name": "h", "code": WHO });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        refused(&deploy(&app, body).await, 400, "invalid_request", &[part]);
    }
    let dry = json!({ "name": "f", "code": WHO, "envVars": { "API_KEY": "other" }, "dry_run": true });
    deploy(&app, dry).await.expect(StatusCode::OK);
    assert_eq!(app.get("f", "/").await.json()[1], "secret123", "a dry run changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn bb3_triggers_say_who_may_call_and_what_cannot_be() {
    let server = start().await;
    let app = shop(&server).await;
    let anonymous = server.anonymous().in_app("shop");
    for (trigger, status) in [
        (json!({ "trigger": { "type": "http", "config": {} } }), 401),
        (json!({ "triggers": [{ "type": "http", "config": { "auth": "none" } }] }), 200),
        (json!({ "triggers": [{ "type": "http", "config": { "auth": "required" } }] }), 401),
        (json!({ "trigger": { "type": "http", "config": { "auth": "optional" } } }), 200),
    ] {
        let mut body = json!({ "name": "f", "code": WHO });
        body.as_object_mut().unwrap().extend(trigger.as_object().unwrap().clone());
        deploy(&app, body).await;
        assert_eq!(anonymous.get("f", "/").await.status.as_u16(), status, "{trigger}");
    }
    let user = anonymous.with_token(&app.user_token(json!({ "sub": "u1" })).await);
    assert_eq!(user.get("f", "/").await.json()["user"], "u1", "optional still says who calls");
    let shown = app.manage(Method::GET, "/functions/f").send().await.json();
    assert_eq!(shown["triggers"], json!([{ "type": "http", "config": { "auth": "none" } }]));
    for (trigger, part) in [
        (json!({ "trigger": { "type": "websocket", "config": {} } }), "event"),
        (json!({ "trigger": { "type": "s3_upload", "config": { "bucket": "b" } } }), "s3_upload"),
        (json!({ "trigger": { "type": "webhook" } }), "webhook"),
        (json!({ "trigger": { "type": "moon" } }), "moon"),
        (json!({ "trigger": { "type": "http", "config": { "auth": "maybe" } } }), "auth"),
        (json!({ "trigger": { "type": "http", "config": { "path": "/x" } } }), "path"),
        (json!({ "triggers": [{ "type": "http" }, { "type": "http" }] }), "one of each"),
        (json!({ "trigger": { "type": "http" }, "triggers": [] }), "either"),
    ] {
        let mut body = json!({ "name": "f", "code": WHO });
        body.as_object_mut().unwrap().extend(trigger.as_object().unwrap().clone());
        refused(&deploy(&app, body).await, 400, "invalid_request", &[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bb8_a_page_calls_a_function_by_any_method() {
    let server = start().await;
    let app = shop(&server).await;
    deploy(&app, json!({ "name": "hello-world", "code": WHO })).await.expect(StatusCode::CREATED);
    let token = app.user_token(json!({ "sub": "u1" })).await;
    let script = "const { API_BASE, appId, userAccessToken } = process.env;
        const seen = [];
        for (const method of ['POST', 'GET', 'PUT', 'PATCH', 'DELETE']) {
            const response = await fetch(`${API_BASE}/v1/${appId}/fn/hello-world`, {
                method,
                headers: { 'Content-Type': 'application/json', 'Authorization': `Bearer ${userAccessToken}` },
                body: method === 'GET' ? undefined : JSON.stringify({ input: 'data' }),
            });
            seen.push(await response.json());
        }
        console.log(JSON.stringify(seen))";
    let base = format!("http://{}", server.address());
    let variables = [("API_BASE", base.as_str()), ("appId", "shop"), ("userAccessToken", &token)];
    let seen = node::run(&std::env::temp_dir(), script, &variables).await;
    let expected =
        ["POST", "GET", "PUT", "PATCH", "DELETE"].map(|method| json!({ "method": method, "user": "u1", "key": null }));
    assert_eq!(seen, json!(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn bb8_the_path_the_token_and_every_other_method_reach_the_function() {
    let server = start().await;
    let app = shop(&server).await;
    let code = "export default (req, ctx) => new Response(req.method === 'HEAD' ? null : JSON.stringify({
        method: req.method, at: req.url.split('/fn/')[1], token: req.headers.get('authorization'), user: ctx.user?.id ?? null,
    }), { headers: { 'x-method': req.method } })";
    deploy(&app, json!({ "name": "f", "code": code, "trigger": { "type": "http", "config": { "auth": "optional" } } }))
        .await
        .expect(StatusCode::CREATED);
    let token = app.user_token(json!({ "sub": "u1" })).await;
    for method in ["OPTIONS", "HEAD", "PROPFIND", "QUERY", "M-SEARCH"] {
        let call = server.anonymous().call(method.parse().unwrap(), "/v1/shop/fn/f/a/b?c=d").bearer(&token);
        let reply = call.send().await.expect(StatusCode::OK);
        assert_eq!(reply.header("x-method"), [method]);
        if method != "HEAD" {
            let expected =
                json!({ "method": method, "at": "f/a/b?c=d", "token": format!("Bearer {token}"), "user": "u1" });
            assert_eq!(reply.json(), expected);
        }
    }
    let nobody = server.anonymous().call(Method::GET, "/v1/shop/fn/f").send().await.expect(StatusCode::OK).json();
    assert_eq!((&nobody["token"], &nobody["user"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn bb10_a_function_shows_its_metrics() {
    let server = start().await;
    let app = shop(&server).await;
    let code = "export default (req) => { if (req.method === 'PUT') throw new Error('no'); return new Response('ok') }";
    deploy(&app, json!({ "name": "f", "code": code })).await.expect(StatusCode::CREATED);
    for method in [Method::GET, Method::PUT, Method::GET, Method::GET] {
        let reply = app.invoke(method, "f", "/").send().await;
        app.execution("f", &reply).await;
    }
    let shown = app.manage(Method::GET, "/functions/f").send().await.expect(StatusCode::OK).json();
    assert_eq!(
        (&shown["total_invocations"], &shown["error_count"], &shown["error_rate"]),
        (&json!(4), &json!(1), &json!(0.25))
    );
    assert!(shown["avg_duration_ms"].as_f64().unwrap() > 0.0 && shown["last_invocation"].is_string(), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bb11_logs_have_what_the_reference_lists() {
    let server = start().await;
    let app = shop(&server).await;
    let code = "export default (req) => {
        console.log('in', req.method); console.error('careful');
        if (req.method === 'PUT') throw new TypeError('no');
        return new Response('ok', { status: 201 });
    }";
    deploy(&app, json!({ "name": "f", "code": code })).await.expect(StatusCode::CREATED);
    let logs = async |query: &str| app.manage(Method::GET, &format!("/functions/f/logs{query}")).send().await;
    for (method, path) in [(Method::POST, "/orders"), (Method::PUT, "/fails")] {
        app.invoke(method, "f", path).send().await;
    }
    // A response may be there a moment before the record of its execution is.
    let all = eventually("both entries", async || Some(logs("").await.json()).filter(|all| all[1].is_object())).await;
    let (failed, fine) = (&all[0], &all[1]);
    assert_eq!(
        (&fine["method"], &fine["path"], &fine["status_code"]),
        (&json!("POST"), &json!("/orders"), &json!(201))
    );
    assert_eq!(fine["consoleLogs"][0]["level"], "log", "{fine}");
    assert_eq!(
        (&fine["consoleLogs"][0]["message"], &fine["consoleLogs"][1]["level"]),
        (&json!("in POST"), &json!("error"))
    );
    assert!(fine["memory_mb"].as_f64().unwrap() > 0.1 && fine["duration_ms"].is_u64(), "{fine}");
    assert_eq!((&fine["error"], &failed["error"]), (&Value::Null, &json!("TypeError: no")));
    assert!(failed["error_stack"].as_str().unwrap().contains("index.ts:3"), "{failed}");

    let errors = logs("?level=error").await.json();
    assert_eq!(errors.as_array().unwrap().len(), 1, "{errors}");
    assert_eq!(errors[0]["id"], failed["id"]);
    assert_eq!(logs("?limit=1").await.json().as_array().unwrap().len(), 1);
    assert_eq!(logs("?since=2099-01-01T00:00:00Z").await.json(), json!([]));
    assert_eq!(logs("?since=2020-01-01T00:00:00Z").await.json().as_array().unwrap().len(), 2);
    for (query, part) in [
        ("?limit=0", "limit"),
        ("?since=yesterday", "since"),
        ("?level=loud", "level"),
        ("?include_deleted=true", "deleted"),
        ("?page=1", "page"),
    ] {
        refused(&logs(query).await, 400, "invalid_request", &[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bb12_the_management_routes_are_butterbase_s() {
    let server = start().await;
    let app = shop(&server).await;
    deploy(&app, json!({ "name": "f", "code": WHO, "envVars": { "API_KEY": "1", "OLD": "2" } }))
        .await
        .expect(StatusCode::CREATED);
    let list = app.manage(Method::GET, "/functions").send().await.expect(StatusCode::OK).json();
    assert_eq!((&list[0]["name"], &list[0]["timeoutMs"], list[0].get("code")), (&json!("f"), &json!(30_000), None));

    let env = |body: Value| app.manage(Method::PATCH, "/functions/f/env").json(&body).send();
    let names =
        env(json!({ "envVars": { "API_KEY": "new", "ADDED": "3", "OLD": null } })).await.expect(StatusCode::OK).json();
    let names: Vec<_> = names.as_array().unwrap().iter().map(|variable| variable["name"].clone()).collect();
    assert_eq!(names, ["ADDED", "API_KEY"], "merged, and null removes");
    assert_eq!(app.get("f", "/").await.json()["key"], "new");
    refused(&env(json!({ "envVars": { "A": 1 } })).await, 400, "invalid_request", &["A"]);

    let settings = |body: Value| app.manage(Method::PATCH, "/functions/f/settings").json(&body).send();
    let changed = settings(json!({ "timeoutMs": 5000, "description": "x" })).await.expect(StatusCode::OK).json();
    assert_eq!(
        (&changed["timeoutMs"], &changed["description"], &changed["version"]),
        (&json!(5000), &json!("x"), &json!(2))
    );
    refused(&settings(json!({ "code": "1" })).await, 400, "invalid_request", &["code"]);
    refused(&settings(json!({ "colour": "red" })).await, 400, "invalid_request", &["colour"]);

    let invoked = app.manage(Method::POST, "/functions/f/invoke").json(&json!({})).send().await;
    assert_eq!(invoked.expect(StatusCode::OK).json()["method"], "POST");
    app.manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);
    for (method, path) in [(Method::GET, ""), (Method::GET, "/logs"), (Method::POST, "/invoke"), (Method::DELETE, "")] {
        let reply = app.manage(method, &format!("/functions/f{path}")).send().await;
        refused(&reply, 404, "not_found", &["function"]);
    }
    refused(&settings(json!({ "timeoutMs": 5000 })).await, 404, "not_found", &["function"]);
}
