//! JavaScript and TypeScript functions: deployed as source, called over HTTP.

use std::collections::BTreeSet;

use caddis_tests::{Client, Reply, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{failed, refused, start};

async fn create(admin: &Client, body: Value) -> Reply {
    admin.manage(Method::POST, "/functions").json(&body).send().await
}

/// Deploys one text as a public function.
async fn deploy(server: &Server, name: &str, code: &str) -> Value {
    let body = json!({"name": name, "code": code, "enabled": true, "access": {"policy": "public"}});
    create(&server.admin(), body).await.expect(StatusCode::CREATED).json()
}

/// What a function of this text answers to `GET /`.
async fn answer(code: &str) -> Reply {
    let server = start().await;
    deploy(&server, "f", code).await;
    server.anonymous().get("f", "/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_export_gets_a_request_and_a_context() {
    let server = start().await;
    let code = r#"
        interface Note { title: string }
        export default async function handler(req: Request, ctx): Promise<Response> {
            await ctx.db.query("CREATE TABLE IF NOT EXISTS notes (title TEXT)");
            if (req.method === "POST") {
                const note: Note = await req.json();
                await ctx.db.query("INSERT INTO notes VALUES (?)", [note.title]);
            }
            const { rows } = await ctx.db.query("SELECT title FROM notes ORDER BY rowid");
            console.log("notes:", rows.length);
            return Response.json({ rows, user: ctx.user?.id ?? null }, { status: req.method === "POST" ? 201 : 200 });
        }"#;
    deploy(&server, "notes", code).await;
    let user = server.anonymous().with_token(&server.admin().user_token(json!({ "sub": "u1" })).await);
    let created = user.post("notes", "/", &json!({ "title": "milk" })).await.expect(StatusCode::CREATED);
    assert_eq!(created.json(), json!({ "rows": [{ "title": "milk" }], "user": "u1" }));
    assert_eq!(server.anonymous().get("notes", "/").await.json()["rows"], json!([{ "title": "milk" }]));
    assert_eq!(server.admin().execution("notes", &created).await["logs"], "console.log: notes: 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn deno_serve_and_the_serve_of_its_standard_library_work() {
    let server = start().await;
    deploy(&server, "deno", "Deno.serve(async (req) => new Response(req.method + ' ' + new URL(req.url).pathname))")
        .await;
    let code = "import { serve } from 'https://deno.land/std@0.168.0/http/server.ts';
                serve((req: Request) => new Response('std'))";
    deploy(&server, "std", code).await;
    assert_eq!(server.anonymous().get("deno", "/a").await.text(), "GET /functions/v1/deno/a");
    assert_eq!(server.anonymous().get("std", "/").await.text(), "std");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_global_handler_gets_the_plain_request_of_fluxbase() {
    let server = start().await;
    let code = "async function handler(req) {
        const data = JSON.parse(req.body);
        return { status: 202, headers: { 'x-sent': data.email }, body: JSON.stringify({ sent: (await req.json()).email }) };
    }";
    deploy(&server, "mail", code).await;
    let reply = server.anonymous().post("mail", "/", &json!({ "email": "a@example.com" })).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    assert_eq!(reply.header("x-sent"), ["a@example.com"]);
    assert_eq!(reply.json(), json!({ "sent": "a@example.com" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_fetch_works_as_on_workers() {
    let server = start().await;
    server.admin().set_secrets(json!({ "GREETING": "hello" })).await;
    let code = "export default { async fetch(request, env, ctx) {
        ctx.waitUntil(Promise.resolve().then(() => console.log('later')));
        return new Response(env.GREETING);
    } }";
    deploy(&server, "worker", code).await;
    let reply = server.anonymous().get("worker", "/").await;
    assert_eq!(reply.text(), "hello");
    assert_eq!(server.admin().execution("worker", &reply).await["logs"], "console.log: later");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_import_each_other() {
    let server = start().await;
    let files = json!({
        "hello/index.ts": "import { greet } from '../_shared/greet.ts'; import data from './data.json';
                           export default () => new Response(greet(data.name))",
        "hello/data.json": r#"{"name": "world"}"#,
        "_shared/greet.ts": "export const greet = (name: string): string => `hello ${name}`;",
    });
    let body = json!({"name": "hello", "files": files, "entry": "hello/index.ts", "enabled": true, "access": {"policy": "public"}});
    let object = create(&server.admin(), body).await.expect(StatusCode::CREATED).json();
    assert_eq!((&object["files"], &object["entry"]), (&files, &json!("hello/index.ts")));
    assert_eq!(server.anonymous().get("hello", "/").await.text(), "hello world");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_the_one_of_the_fluxbase_reference() {
    let server = start().await;
    let admin = server.admin();
    let code = "export default () => new Response('one')";
    let created = create(&admin, json!({"name": "f", "code": code})).await.expect(StatusCode::CREATED).json();
    assert_eq!((&created["version"], &created["enabled"], &created["code"]), (&json!(1), &json!(false), &json!(code)));
    assert_eq!((&created["kind"], &created["timeout_seconds"]), (&json!("javascript"), &json!(30)));
    refused(&admin.get("f", "/").await, 404, "not_found", &["f"]);
    refused(&create(&admin, json!({"name": "f", "code": code})).await, 409, "conflict", &["f"]);

    let change = json!({"enabled": true, "code": "export default () => new Response('two')"});
    let changed = admin.change("f", &change).await.expect(StatusCode::OK).json();
    assert_eq!((&changed["version"], &changed["code"]), (&json!(2), &change["code"]));
    assert_eq!(admin.get("f", "/").await.text(), "two");

    let read = admin.manage(Method::GET, "/functions/f").send().await.json();
    assert_eq!(read["code"], change["code"]);
    let list = admin.manage(Method::GET, "/functions").send().await.json();
    assert!(list[0].get("code").is_none(), "{list}");
    refused(&admin.change("nobody", &change).await, 404, "not_found", &["function"]);
    refused(&create(&admin, json!({"name": "g"})).await, 400, "invalid_request", &["code"]);
    refused(&create(&admin, json!({"code": code})).await, 400, "invalid_request", &["name"]);
    refused(&create(&admin, json!({"name": "g", "code": 7})).await, 400, "invalid_request", &["string"]);
    refused(
        &create(&admin, json!({"name": "g", "code": code, "colour": 1})).await,
        400,
        "invalid_request",
        &["colour"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_wrong_is_refused_with_file_line_and_frame_and_the_old_version_serves_on() {
    let server = start().await;
    let admin = server.admin();
    deploy(&server, "f", "export default () => new Response('still here')").await;
    for (code, line, column, word) in [
        ("export default () => {\n  const x = ;\n}", 2, 13, "Unexpected token"),
        ("import x from './nope.ts';\nexport default () => x", 1, 15, "./nope.ts"),
        ("const y: string = 'a';\nthrow new TypeError('boom ' + y);\nexport default 1", 2, 31, "TypeError: boom a"),
        ("export default () =>\n  new WebAssembly.Module()", 2, 7, "WebAssembly"),
        ("await fetch('http://example.com');\nexport default 1", 1, 0, "fetch"),
    ] {
        let reply = admin.change("f", &json!({ "code": code })).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        let body = reply.json();
        assert_eq!(body["code"], "invalid_source", "{body}");
        let detail = &body["details"][0];
        assert!(detail["message"].as_str().unwrap().contains(word), "{body}");
        if column > 0 {
            assert_eq!(
                (&detail["file"], &detail["line"], &detail["column"]),
                (&json!("index.ts"), &json!(line), &json!(column)),
                "{body}"
            );
            assert!(detail["frame"].as_str().unwrap().contains(&format!("> {line} |")), "{body}");
        }
    }
    let settings = json!({"code": "while (true) {}\nexport default 1", "fuel": 300_000_000});
    let reply = admin.change("f", &settings).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (400, &json!("invalid_source")), "{}", reply.text());
    assert!(reply.text().contains("fuel of 300000000"), "{}", reply.text());
    assert_eq!(server.anonymous().get("f", "/").await.text(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uncaught_error_is_recorded_in_the_lines_of_the_author() {
    let server = start().await;
    let code = "type X = { a: number };\n\nfunction inner(x: X) {\n  return (x as any).b.c;\n}\nexport default () => inner({ a: 1 });";
    deploy(&server, "f", code).await;
    let reply = server.anonymous().get("f", "/").await;
    failed(&reply, 500, "function_error", "f");
    assert!(reply.json()["message"].as_str().unwrap().starts_with("TypeError"), "{}", reply.text());
    let record = server.admin().execution("f", &reply).await;
    let stack = record["error_stack"].as_str().unwrap();
    assert!(stack.contains("at inner (index.ts:4:"), "{stack}");
    assert!(stack.contains("> 4 |   return (x as any).b.c;"), "{stack}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_in_logs_are_in_the_lines_of_the_author_too() {
    let server = start().await;
    let files = json!({
        "index.ts": "import { load } from './lib/load.ts';\n\nexport default (req: Request, ctx) => {\n\
            ctx.waitUntil((async () => { await 0; load(0); })());\n  try { load(1); } catch (error) { console.error(error); console.log('at', error.stack); }\n  return null;\n}",
        "lib/load.ts": "interface Options { id: number }\n\nexport class Missing extends Error {}\n\n\
            export function load(id: number): void {\n  const options: Options = { id };\n  throw new Missing(`no ${options.id}`);\n}",
    });
    let body =
        json!({"name": "f", "files": files, "entry": "index.ts", "enabled": true, "access": {"policy": "public"}});
    create(&server.admin(), body).await.expect(StatusCode::CREATED);
    let reply = server.anonymous().get("f", "/").await.expect(StatusCode::OK);
    let logs = server.admin().execution("f", &reply).await["logs"].as_str().unwrap().to_owned();
    let stack = |method: &str, title: &str| {
        format!("{method}: {title}\n{method}:     at load (lib/load.ts:7:27)\n{method}:     at default (index.ts:5:9)")
    };
    for part in [
        stack("console.error", "Error: no 1"),
        stack("console.log", "at Error: no 1"),
        "console.error: A waitUntil promise was rejected: Error: no 0\nconsole.error:     at load (lib/load.ts:7:27)\n"
            .to_owned(),
    ] {
        assert!(logs.contains(&part), "{part}\nis not in\n{logs}");
    }
    assert!(!logs.contains("caddis:"), "frames of the engine: {logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_stops_a_script_with_its_code() {
    let server = start().await;
    let bodies = [
        ("loop", "while (true);", 408, "cpu_limit"),
        ("promises", "const f = () => Promise.resolve().then(f); return f();", 408, "cpu_limit"),
        ("regex", "return String(/^(a+)+$/.test('a'.repeat(40) + 'b'))", 408, "cpu_limit"),
        ("array", "const a = []; for (;;) a.push(new Array(1000).fill(1));", 500, "memory_limit"),
        ("string", "let s = 'x'.repeat(1000); for (;;) s = (s + s).repeat(2);", 500, "memory_limit"),
        ("sleep", "return new Promise((done) => setTimeout(done, 60_000))", 408, "timeout"),
        ("never", "return new Promise(() => {})", 500, "function_error"),
    ];
    for (name, body, status, code) in bodies {
        let source = format!("export default async () => {{ {body} }}");
        let settings = json!({"name": name, "code": source, "enabled": true, "access": {"policy": "public"},
                              "fuel": if code == "cpu_limit" { 1_000_000_000u64 } else { 20_000_000_000 }, "timeout_seconds": if code == "timeout" { 2 } else { 60 }, "memory_limit_mb": 64});
        create(&server.admin(), settings).await.expect(StatusCode::CREATED);
        let reply = server.anonymous().get(name, "/").await;
        failed(&reply, status, code, name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_is_an_error_a_script_can_catch() {
    let code = "const f = (n) => f(n + 1) + 1;
                export default () => { try { f(0) } catch (error) { return new Response(error.name) } }";
    assert_eq!(answer(code).await.text(), "RangeError");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_are_fresh_each() {
    let server = start().await;
    let code = "let counter = 0;
                export default () => Response.json([++counter, crypto.randomUUID(), Math.random(), Date.now()])";
    deploy(&server, "f", code).await;
    let client = server.anonymous();
    let mut session = client.session().await;
    let (mut ids, mut numbers, mut last) = (BTreeSet::new(), BTreeSet::new(), 0);
    for _ in 0..1_000 {
        let values = session.send(client.invoke(Method::GET, "f", "/")).await.json();
        let [counter, id, number, now] = &values.as_array().unwrap()[..] else { panic!("four values: {values}") };
        assert_eq!(counter, 1);
        assert!(ids.insert(id.to_string()) && numbers.insert(number.to_string()));
        assert!(now.as_u64().unwrap() >= last);
        last = now.as_u64().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_live_although_a_program_reads_them_at_top_level() {
    let server = start().await;
    server.admin().set_secrets(json!({ "KEY": "first" })).await;
    deploy(&server, "f", "const key = Deno.env.get('KEY'); export default () => new Response(key)").await;
    assert_eq!(server.anonymous().get("f", "/").await.text(), "first");
    server.admin().set_secrets(json!({ "KEY": "second" })).await;
    assert_eq!(server.anonymous().get("f", "/").await.text(), "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_sent_as_it_is_made() {
    let server = start().await;
    let code = "export default (req) => {
        const reader = req.body.getReader();
        return new Response(new ReadableStream({ async pull(controller) {
            const { done, value } = await reader.read();
            if (done) controller.close(); else controller.enqueue(value);
        } }), { headers: { 'content-type': 'text/event-stream' } });
    }";
    deploy(&server, "f", code).await;
    let (call, mut pieces) = server.anonymous().invoke(Method::POST, "f", "/").pieces();
    let (mut streaming, ()) = tokio::join!(call.start(), pieces.send("first"));
    // Each piece arrives before the next one is sent: nothing waits for the end.
    assert_eq!(streaming.next().await.unwrap().unwrap(), "first");
    pieces.send("second").await;
    assert_eq!(streaming.next().await.unwrap().unwrap(), "second");
    drop(pieces);
    assert!(streaming.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_follows_the_egress_rule() {
    let code = "export default async () => { try { await fetch('http://127.0.0.1:1/') } catch (error) { return new Response(error.name) } }";
    assert_eq!(answer(code).await.text(), "TypeError");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_still_there_after_a_restart() {
    let mut server = start().await;
    deploy(&server, "f", "export default () => new Response('back')").await;
    server.restart().await;
    assert_eq!(server.anonymous().get("f", "/").await.text(), "back");
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_found_in_all_their_forms() {
    let server = start().await;
    server.admin().set_secrets(json!({ "KEY": "k" })).await;
    let plain = "return { status: 200, body: secrets.getRequired('KEY') + (req.params.a ?? '') }";
    let forms = [
        ("named", "export async function handler(req: Request, ctx) { return new Response(ctx.env.KEY) }".to_owned()),
        ("default-handler", format!("function default_handler(req) {{ {plain} }}")),
        ("main", format!("async function main(req) {{ {plain} }}")),
        (
            "commonjs",
            "module.exports = async function (request) { return new Response(Deno.env.get('KEY')) }".to_owned(),
        ),
        ("value", "export default (req, ctx) => ctx.env.KEY".to_owned()),
        (
            "serve-options",
            "Deno.serve({ port: 8000, onListen() {} }, () => new Response(Deno.env.toObject().KEY))".to_owned(),
        ),
        ("serve-object", "Deno.serve({ handler: () => new Response(Deno.env.has('KEY') ? 'k' : '') })".to_owned()),
        ("serve-in-main", "if (import.meta.main) Deno.serve(() => new Response(process.env.KEY))".to_owned()),
        (
            "top-level-await",
            "const key = await Promise.resolve('k'); export default () => new Response(key)".to_owned(),
        ),
    ];
    for (name, code) in &forms {
        deploy(&server, name, code).await;
        let reply = server.anonymous().get(name, "/").await;
        let expected = if *name == "value" { "\"k\"" } else { "k" };
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, expected), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_the_function() {
    let server = start().await;
    let code = "export default () => new Response(new ReadableStream({ start(controller) {
        setInterval(() => controller.enqueue(new TextEncoder().encode('data: tick\\n\\n')), 1);
    } }), { headers: { 'content-type': 'text/event-stream' } })";
    deploy(&server, "ticks", code).await;
    let mut streaming = server.anonymous().invoke(Method::GET, "ticks", "/").start().await;
    assert_eq!(streaming.next().await.unwrap().unwrap(), "data: tick\n\n");
    drop(streaming);
    let records = caddis_tests::eventually("the record", async || {
        let records = server.admin().executions("ticks", "").await;
        (!records.is_empty()).then_some(records)
    });
    assert_eq!(records.await[0]["error_code"], "client_disconnected");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_are_easy_to_miss_are_named() {
    let server = start().await;
    let cases = [
        ("nothing", "export default () => {}", "returned nothing"),
        ("never", "export default () => new Promise(() => {})", "never settle"),
        (
            "unhandled",
            "export default async () => { Promise.reject(new Error('lost')); await 0; return new Promise(() => {}) }",
            "never settle, after an error that was not handled: Error: lost",
        ),
        (
            "timer",
            "export default () => { setTimeout(() => { throw new RangeError('late') }, 1); return new Promise(() => {}) }",
            "never settle, after an error that was not handled: RangeError: late",
        ),
        (
            "member",
            "export default () => {\n  const store: any = { notes: {} };\n  return store.notes.list();\n}",
            "store.notes.list is not a function",
        ),
        ("circle", "export default () => { const a: any = {}; a.a = a; return a }", "no JSON form: circular reference"),
        ("exit", "export default () => Deno.exit(1)", "a function ends by returning a response"),
    ];
    for (name, code, told) in cases {
        deploy(&server, name, code).await;
        let reply = server.anonymous().get(name, "/").await;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{name}");
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(told), "{name}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_text_of_any_length_is_decoded_by_any_number_of_decoders() {
    // Before the handler: what is read then is in the image. The long text has a character across each border of a piece.
    let code = "const early = new TextDecoder('windows-1251');
        const title = early.decode(new Uint8Array([0xcf, 0xf0, 0xe8]));
        export default () => {
            const long = new Uint8Array(400_001).fill(0x82);
            long[0] = 0x61;
            for (let at = 2; at < long.length; at += 2) long[at] = 0xa0;
            const text = new TextDecoder('sjis', { fatal: true }).decode(long);
            const letters = [text.length, text[0], text.slice(1) === 'あ'.repeat(200_000)];
            for (let count = 0; count < 5_000; count += 1) new TextDecoder('big5').decode(long.subarray(0, 3), { stream: true });
            const kept = [];
            let error;
            try {
                while (kept.length < 5_000) {
                    const decoder = new TextDecoder('euc-kr');
                    decoder.decode(new Uint8Array(1), { stream: true });
                    kept.push(decoder);
                }
            } catch (caught) { error = String(caught); }
            kept.length = 0;
            return Response.json([title, early.decode(new Uint8Array([0xe2, 0xe5, 0xf2])), letters, error]);
        }";
    let reply = answer(code).await.expect(StatusCode::OK).json();
    assert_eq!(
        reply,
        json!(["При", "вет", [200_001, "a", true], "TypeError: More than 100 texts are being decoded at once"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_lacks_is_refused_by_name() {
    let server = start().await;
    for name in ["WebAssembly", "Temporal", "Worker", "SharedArrayBuffer", "Atomics", "XMLHttpRequest", "localStorage"]
    {
        let code = format!("export default () => new Response(String({name}))");
        let reply = create(&server.admin(), json!({ "name": "f", "code": code })).await;
        refused_source(&reply, name);
    }
    let reply = create(&server.admin(), json!({ "name": "f", "code": "throw new TypeError('at the top');" })).await;
    let detail = refused_source(&reply, "at the top");
    assert!(detail["stack"].as_str().unwrap().contains("index.ts:1"), "{detail}");
}

/// Insists on a refused source whose message has this part, and returns the first detail.
#[track_caller]
fn refused_source(reply: &Reply, part: &str) -> Value {
    let body = reply.json();
    assert_eq!((reply.status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_source")), "{body}");
    assert!(body["message"].as_str().unwrap().contains(part), "{body}");
    body["details"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_logs_and_knows_where_it_runs() {
    let server = start().await;
    let code = "export default (req, ctx) => { ctx.log('one', 1); ctx.log.warn('two'); return new Response(navigator.userAgent) }";
    deploy(&server, "f", code).await;
    let reply = server.anonymous().get("f", "/").await.expect(StatusCode::OK);
    assert!(reply.text().starts_with("Caddis/"), "{}", reply.text());
    let logs = server.admin().execution("f", &reply).await["logs"].as_str().unwrap().to_owned();
    assert!(logs.contains("one 1") && logs.contains("two"), "{logs}");
}
