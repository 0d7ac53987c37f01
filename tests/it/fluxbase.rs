//! The native API is that of the Fluxbase reference: each line of it by its id.

use caddis_tests::{Client, Reply, Server, eventually};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{failed, keys, options, refused, start};

const ECHO: &str = "async function handler(req) {
    const data = JSON.parse(req.body);
    console.log('got', data.email);
    return { status: 200, body: JSON.stringify({ sent: data.email }) };
}";

async fn create(admin: &Client, body: Value) -> Reply {
    admin.manage(Method::POST, "/functions").json(&body).send().await
}

async fn serve(code: &str) -> Server {
    let server = start().await;
    create(&server.admin(), json!({ "name": "f", "code": code, "enabled": true })).await.expect(StatusCode::CREATED);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn fx1_management_needs_a_token_and_invocation_may_not() {
    let server = serve(ECHO).await;
    for (method, path) in [
        (Method::GET, "/functions"),
        (Method::POST, "/functions"),
        (Method::GET, "/functions/f"),
        (Method::PUT, "/functions/f"),
        (Method::DELETE, "/functions/f"),
        (Method::GET, "/functions/f/executions"),
    ] {
        refused(&server.anonymous().manage(method, path).send().await, 401, "unauthorized", &["admin token"]);
    }
    let document = server.anonymous().call(Method::GET, "/openapi.json").send().await.expect(StatusCode::OK).json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("security").is_none() {
                let (method, named) = (method.to_uppercase().parse().unwrap(), path.replace("{name}", "f"));
                let named = named.replace("{slug}", "f").replace("{app}", "default").replace("{id}", "x");
                let reply = server.anonymous().call(method, &named).send().await;
                refused(&reply, 401, "unauthorized", &["admin token"]);
            }
        }
    }
    server.admin().change("f", &json!({ "access": { "policy": "public" } })).await.expect(StatusCode::OK);
    let invoked = server.anonymous().call(Method::POST, "/api/v1/functions/f/invoke").body(r#"{"email":"a@b"}"#);
    assert_eq!(invoked.send().await.expect(StatusCode::OK).json(), json!({ "sent": "a@b" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn fx2_fx3_create_has_the_defaults_of_the_reference() {
    let server = start().await;
    let admin = server.admin();
    let created = create(&admin, json!({ "name": "send-welcome_email2", "code": ECHO })).await;
    let function = created.expect(StatusCode::CREATED).json();
    for (field, value) in [
        ("name", json!("send-welcome_email2")),
        ("description", Value::Null),
        ("code", json!(ECHO)),
        ("version", json!(1)),
        ("enabled", json!(false)),
        ("timeout_seconds", json!(30)),
        ("memory_limit_mb", json!(128)),
        ("allow_net", json!(true)),
        ("allow_env", json!(true)),
        ("allow_read", json!(false)),
        ("allow_write", json!(false)),
        ("cron_schedule", Value::Null),
    ] {
        assert_eq!(function[field], value, "{field} in {function}");
    }
    assert_eq!(function["id"].as_str().unwrap().len(), 36, "{function}");
    for time in ["created_at", "updated_at"] {
        assert!(function[time].as_str().unwrap().ends_with('Z'), "{function}");
    }
    assert!(function["created_by"].is_string(), "{function}");

    refused(
        &create(&admin, json!({ "name": "send-welcome_email2", "code": ECHO })).await,
        409,
        "conflict",
        &["exists"],
    );
    for (body, part) in [
        (json!({ "code": ECHO }), "name"),
        (json!({ "name": "x" }), "code"),
        (json!({ "name": "a b", "code": ECHO }), "name"),
        (json!({ "name": "x", "code": ECHO, "timeout_seconds": 301 }), "timeout_seconds"),
        (json!({ "name": "x", "code": ECHO, "timeout_seconds": 0 }), "timeout_seconds"),
        (json!({ "name": "x", "code": ECHO, "memory_limit_mb": 63 }), "memory_limit_mb"),
        (json!({ "name": "x", "code": ECHO, "memory_limit_mb": 1025 }), "memory_limit_mb"),
        (json!({ "name": "x", "code": ECHO, "enabled": "yes" }), "enabled"),
    ] {
        refused(&create(&admin, body).await, 400, "invalid_request", &[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fx2_fx3_create_keeps_what_is_given_up_to_the_ends_of_each_range() {
    let server = start().await;
    let admin = server.admin();
    for (name, timeout, memory) in [("least", 1, 64), ("most", 300, 1024)] {
        let given = json!({
            "name": name, "description": "Sends welcome email to new users", "code": ECHO, "enabled": true,
            "timeout_seconds": timeout, "memory_limit_mb": memory, "allow_net": false, "allow_env": false,
            "allow_read": false, "allow_write": false, "cron_schedule": null,
        });
        let created = create(&admin, given.clone()).await.expect(StatusCode::CREATED).json();
        for (field, value) in given.as_object().unwrap() {
            assert_eq!(&created[field], value, "{field} in {created}");
        }
        assert_eq!(created["created_at"], created["updated_at"]);
        let read = admin.manage(Method::GET, &format!("/functions/{name}")).send().await.expect(StatusCode::OK);
        assert_eq!(read.json(), created);
    }
    let not_json = admin.manage(Method::POST, "/functions").header("content-type", "application/json").body("{");
    refused(&not_json.send().await, 400, "invalid_request", &["body"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fx4_fx5_the_list_has_no_code_and_one_function_has() {
    let server = serve(ECHO).await;
    let admin = server.admin();
    let list = admin.manage(Method::GET, "/functions").send().await.expect(StatusCode::OK).json();
    let [function] = list.as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!((function["name"].as_str(), function.get("code")), (Some("f"), None));
    let of_the_reference = [
        "id",
        "name",
        "description",
        "version",
        "enabled",
        "timeout_seconds",
        "memory_limit_mb",
        "created_at",
        "updated_at",
    ];
    assert!(of_the_reference.iter().all(|field| keys(function).contains(field)), "{function}");
    let function = admin.manage(Method::GET, "/functions/f").send().await.expect(StatusCode::OK).json();
    assert_eq!(function["code"], ECHO);
    refused(&admin.manage(Method::GET, "/functions/other").send().await, 404, "not_found", &["function"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fx6_an_update_is_the_next_version_and_keeps_what_it_does_not_name() {
    let server = serve(ECHO).await;
    let admin = server.admin();
    let change =
        json!({ "code": "async function handler() { return { status: 200, body: 'new' } }", "timeout_seconds": 60 });
    let updated = admin.change("f", &change).await.expect(StatusCode::OK).json();
    assert_eq!(
        (&updated["version"], &updated["timeout_seconds"], &updated["enabled"]),
        (&json!(2), &json!(60), &json!(true))
    );
    assert_eq!(admin.call(Method::POST, "/api/v1/functions/f/invoke").send().await.text(), "new");
    let mut version = 2;
    let mut last = updated;
    for change in [
        json!({ "description": "x" }),
        json!({ "enabled": false }),
        json!({ "timeout_seconds": 7 }),
        json!({ "memory_limit_mb": 64 }),
        json!({ "allow_net": false }),
        json!({ "allow_env": false }),
        json!({ "description": null, "enabled": true }),
    ] {
        let changed = admin.change("f", &change).await.expect(StatusCode::OK).json();
        version += 1;
        for (field, value) in last.as_object().unwrap() {
            let expected = match field.as_str() {
                "version" => &json!(version),
                "updated_at" => continue,
                field => change.get(field).unwrap_or(value),
            };
            assert_eq!(&changed[field], expected, "{field} after {change}");
        }
        assert!(changed["updated_at"].as_str() > last["updated_at"].as_str(), "{changed}");
        last = changed;
    }
    refused(&admin.change("other", &json!({ "enabled": true })).await, 404, "not_found", &["function"]);
    refused(&admin.change("f", &json!({ "timeout_seconds": 301 })).await, 400, "invalid_request", &["timeout_seconds"]);
    refused(&admin.change("f", &json!({ "colour": "red" })).await, 400, "invalid_request", &["colour"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fx7_a_deleted_function_is_gone_with_its_history() {
    let server = serve(ECHO).await;
    let admin = server.admin();
    let reply = admin.post("f", "/", &json!({ "email": "a" })).await.expect(StatusCode::OK);
    admin.execution("f", &reply).await;
    let deleted = admin.manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(deleted.text(), "");
    for path in ["/functions/f", "/functions/f/executions"] {
        refused(&admin.manage(Method::GET, path).send().await, 404, "not_found", &["function"]);
    }
    refused(&admin.manage(Method::DELETE, "/functions/f").send().await, 404, "not_found", &["function"]);
    create(&admin, json!({ "name": "f", "code": ECHO })).await.expect(StatusCode::CREATED);
    assert_eq!(admin.executions("f", "").await, Vec::<Value>::new());
    let stats = admin.manage(Method::GET, "/functions/f/stats").send().await.expect(StatusCode::OK).json();
    assert_eq!(stats["count"], 0, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fx8_invocation_has_the_status_codes_of_the_reference() {
    let server = start().await;
    let admin = server.admin();
    let invoke = |name: &str| admin.call(Method::POST, &format!("/api/v1/functions/{name}/invoke")).body("{}");
    refused(&invoke("missing").send().await, 404, "not_found", &["missing"]);
    create(&admin, json!({ "name": "off", "code": ECHO })).await.expect(StatusCode::CREATED);
    refused(&invoke("off").send().await, 404, "not_found", &["off"]);

    let throws = json!({ "name": "throws", "enabled": true, "code": "function handler() { return someVariable }" });
    create(&admin, throws).await.expect(StatusCode::CREATED);
    let reply = invoke("throws").send().await;
    failed(&reply, 500, "function_error", "throws");
    assert_eq!(reply.json()["error"], "Function execution failed");
    assert_eq!(reply.json()["message"], "ReferenceError: someVariable is not defined");

    let hangs = json!({ "name": "hangs", "enabled": true, "timeout_seconds": 1,
        "code": "function handler() { return new Promise(resolve => setTimeout(resolve, 60000)) }" });
    create(&admin, hangs).await.expect(StatusCode::CREATED);
    failed(&invoke("hangs").send().await, 408, "timeout", "hangs");

    let teapot = json!({ "name": "teapot", "enabled": true,
        "code": "function handler() { return { status: 418, headers: { 'x-a': 'b' }, body: 'short and stout' } }" });
    create(&admin, teapot).await.expect(StatusCode::CREATED);
    let reply = invoke("teapot").send().await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str(), reply.header("x-a")),
        (418, "short and stout", vec!["b"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fx8_without_room_for_it_the_status_is_503() {
    // One function may not have the memory of all together.
    let server = Server::start(options().flag("--guest-memory-mb", 64)).await;
    let large = json!({ "name": "large", "enabled": true, "memory_limit_mb": 256,
        "code": "function handler() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)) }" });
    create(&server.admin(), large).await.expect(StatusCode::CREATED);
    let reply = server.admin().call(Method::POST, "/api/v1/functions/large/invoke").body("{}").send().await;
    failed(&reply, 503, "overloaded", "large");
    assert_eq!(reply.header("retry-after").len(), 1, "{:?}", reply.headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn fx9_history_is_paged_and_filtered() {
    let server = serve(
        "function handler(req) { if (req.body === 'fail') throw new Error('no'); return { status: 200, body: 'ok' } }",
    )
    .await;
    let admin = server.admin();
    let mut ids = Vec::new();
    for body in ["1", "fail", "2", "fail", "3"] {
        let reply = admin.invoke(Method::POST, "f", "/").body(body).send().await;
        admin.execution("f", &reply).await;
        ids.insert(0, reply.execution_id());
    }
    let found = async |query: &str| -> Vec<String> {
        let rows = admin.executions("f", query).await;
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found("").await, ids);
    assert_eq!(found("limit=2&offset=1").await, ids[1..3]);
    assert_eq!(found("status=error").await, [ids[1].as_str(), ids[3].as_str()]);
    assert_eq!(found("status=success&limit=1").await, [ids[0].as_str()]);
    assert_eq!(found("status=timeout").await, Vec::<String>::new());
    assert_eq!(found("trigger_type=http").await, ids);
    assert_eq!(found("trigger_type=cron").await, Vec::<String>::new());
    assert_eq!(found("trigger_type=trigger").await, Vec::<String>::new());
    assert_eq!(found("trigger_type=http&status=error").await, [ids[1].as_str(), ids[3].as_str()]);
    for (query, part) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        ("status=good", "status"),
        ("trigger_type=magic", "trigger_type"),
        ("page=2", "page"),
    ] {
        let reply = admin.manage(Method::GET, &format!("/functions/f/executions?{query}")).send().await;
        refused(&reply, 400, "invalid_request", &[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fx9_a_page_has_50_rows_unless_asked_for_up_to_1000() {
    let server = serve("function handler() { return { status: 200, body: '' } }").await;
    let admin = server.admin();
    let mut session = admin.session().await;
    for _ in 0..1_001 {
        session.send(admin.invoke(Method::POST, "f", "/")).await.expect(StatusCode::OK);
    }
    let rows = eventually("all rows", async || {
        let oldest = admin.executions("f", "offset=1000").await;
        (!oldest.is_empty()).then_some(oldest)
    });
    assert_eq!(rows.await.len(), 1);
    assert_eq!(admin.executions("f", "").await.len(), 50);
    assert_eq!(admin.executions("f", "limit=1").await.len(), 1);
    assert_eq!(admin.executions("f", "limit=1000").await.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn fx10_lines_are_one_below_the_other_and_the_duration_is_that_of_the_run() {
    let server = serve(
        "async function handler(req) {
            console.log('Sending email to user@example.com');
            await new Promise((resolve) => setTimeout(resolve, 120));
            console.error('Failed to connect to email service');
            if (req.body) throw new Error('ECONNREFUSED');
            return { status: 202, body: 'sent' };
        }",
    )
    .await;
    let admin = server.admin();
    let logs = "console.log: Sending email to user@example.com\nconsole.error: Failed to connect to email service";
    for (body, status, code, result, error) in [
        ("", "success", 202, json!("sent"), Value::Null),
        ("x", "error", 500, Value::Null, json!("Error: ECONNREFUSED")),
    ] {
        let reply = admin.call(Method::POST, "/api/v1/functions/f/invoke").body(body).send().await;
        let record = admin.execution("f", &reply).await;
        let seen =
            [&record["status"], &record["status_code"], &record["result"], &record["error_message"], &record["logs"]];
        assert_eq!(seen, [&json!(status), &json!(code), &result, &error, &json!(logs)], "{record}");
        let duration = record["duration_ms"].as_i64().unwrap();
        assert!((120..30_000).contains(&duration), "{record}");
        let time = |field: &str| record[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let between = time("completed_at").duration_since(time("executed_at")).as_millis();
        assert!((between - i128::from(duration)).abs() <= 50, "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fx10_a_record_has_the_response_and_the_console() {
    let server = serve(ECHO).await;
    let admin = server.admin();
    let reply = admin.post("f", "/", &json!({ "email": "user@example.com" })).await.expect(StatusCode::OK);
    let record = admin.execution("f", &reply).await;
    for (field, value) in [
        ("trigger_type", json!("http")),
        ("status", json!("success")),
        ("status_code", json!(200)),
        ("result", json!(r#"{"sent":"user@example.com"}"#)),
        ("response_bytes", json!(27)),
        ("logs", json!("console.log: got user@example.com")),
        ("error_message", Value::Null),
    ] {
        assert_eq!(record[field], value, "{field} in {record}");
    }
    for field in ["id", "function_id", "duration_ms", "executed_at", "completed_at"] {
        assert!(keys(&record).contains(&field), "{field} in {record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_of_a_response_is_capped_and_can_be_switched_off() {
    let server = serve(
        "function handler(req) {
            const part = 'x'.repeat(1500);
            const body = new ReadableStream({ start(c) { for (let i = 0; i < 3; i++) c.enqueue(new TextEncoder().encode(part)); c.close() } });
            return req.method === 'PUT' ? new Response(body) : { status: 200, body: part.repeat(3) };
        }",
    )
    .await;
    let admin = server.admin();
    for method in [Method::POST, Method::PUT] {
        let reply = admin.invoke(method, "f", "/").send().await.expect(StatusCode::OK);
        let record = admin.execution("f", &reply).await;
        assert_eq!(record["response_bytes"], 4500, "{record}");
        assert_eq!(record["result"], "x".repeat(2048));
    }
    admin.change("f", &json!({ "log_response": false })).await.expect(StatusCode::OK);
    let reply = admin.invoke(Method::POST, "f", "/").send().await.expect(StatusCode::OK);
    let record = admin.execution("f", &reply).await;
    assert_eq!((&record["result"], &record["response_bytes"]), (&Value::Null, &json!(4500)));
}

#[tokio::test(flavor = "multi_thread")]
async fn fx11_the_request_is_the_object_of_the_reference() {
    let code = "async function handler(req) {
        const { method, url, headers, body, user_id } = req;
        return { status: 201, headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ method, path: new URL(url).pathname, type: headers['content-type'], body, user_id }) };
    }";
    let server = serve(code).await;
    let user = server.anonymous().with_token(&server.admin().user_token(json!({ "sub": "u7" })).await);
    let call = user.call(Method::POST, "/api/v1/functions/f/invoke").header("content-type", "text/plain").body("raw");
    let expected = json!({ "method": "POST", "path": "/api/v1/functions/f/invoke", "type": "text/plain", "body": "raw", "user_id": "u7" });
    assert_eq!(call.send().await.expect(StatusCode::CREATED).json(), expected);
    server.admin().change("f", &json!({ "access": { "policy": "public" } })).await.expect(StatusCode::OK);
    let call = server.anonymous().call(Method::PATCH, "/api/v1/functions/f/invoke").body("{}");
    let expected = json!({ "method": "PATCH", "path": "/api/v1/functions/f/invoke", "body": "{}" });
    assert_eq!(call.send().await.expect(StatusCode::CREATED).json(), expected, "and no user_id without a token");
}

/// A form with a description and files.
fn form(metadata: &Value, files: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut form =
        format!("--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{metadata}\r\n").into_bytes();
    for (name, file, content) in files {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\r\n");
        form.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    form.extend(b"--b--\r\n");
    form
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_and_components_are_deployed_as_forms_too() {
    let server = start().await;
    let admin = server.admin();
    let send = |method: Method, path: &str, body: Vec<u8>| {
        admin.manage(method, path).header("content-type", "multipart/form-data; boundary=b").body(body).send()
    };
    let index: (_, _, &[u8]) =
        ("file", "index.ts", b"import { a } from './lib/a.ts'; export default () => new Response(a)");
    let lib: (_, _, &[u8]) = ("file", "lib/a.ts", b"export const a = 'of a file'");
    let metadata = json!({ "name": "f", "enabled": true, "timeout_seconds": 7, "access": { "policy": "public" } });
    let made =
        send(Method::POST, "/functions", form(&metadata, &[index, lib])).await.expect(StatusCode::CREATED).json();
    assert_eq!(
        (&made["timeout_seconds"], &made["files"]["lib/a.ts"]),
        (&json!(7), &json!("export const a = 'of a file'"))
    );
    assert_eq!(admin.get("f", "/").await.text(), "of a file");
    let lib: (_, _, &[u8]) = ("file", "lib/a.ts", b"export const a = 'newer'");
    send(Method::PUT, "/functions/f", form(&json!({}), &[index, lib])).await.expect(StatusCode::OK);
    assert_eq!(admin.get("f", "/").await.text(), "newer");

    let bytes = caddis_tests::guests::WSTD_ECHO.bytes();
    let component: (_, _, &[u8]) = ("component", "echo.wasm", &bytes);
    let metadata = json!({ "access": { "policy": "public" } });
    let made = send(Method::PUT, "/functions/echo", form(&metadata, &[component])).await.expect(StatusCode::CREATED);
    assert_eq!(made.json()["kind"], "component");
    admin.get("echo", "/describe").await.expect(StatusCode::OK);

    for (metadata, files, part) in [
        (json!({ "name": "g" }), vec![component, index], "either"),
        (json!({ "name": "g", "code": "1" }), vec![component], "either"),
        (json!({ "name": "g" }), vec![], "code"),
        (json!({}), vec![index], "name"),
        (json!([]), vec![index], "metadata"),
        (json!({ "name": "g" }), vec![("file", "a.png", &[0xff_u8, 0xd8][..])], "UTF-8"),
    ] {
        let reply = send(Method::POST, "/functions", form(&metadata, &files)).await;
        refused(&reply, 400, "invalid_request", &[part]);
    }
}
