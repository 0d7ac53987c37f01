//! The four ways a program can offer its handler.

use crate::host::{Call, Source, host};

#[tokio::test]
async fn a_default_function_gets_a_request_and_a_context() {
    let function = host()
        .deploy_source(
            "export default async function handler(req, ctx) {
               const input = await req.json();
               return Response.json({ input, method: req.method, path: new URL(req.url).pathname, env: ctx.env.GREETING, user: ctx.user?.id ?? null });
             }",
        )
        .await;
    let outcome = function.call(Call { path: "/a/b?q=1", user: true, ..Call::post(r#"{"x":[1,2]}"#) }).await;
    assert_eq!(
        outcome.text(),
        r#"{"input":{"x":[1,2]},"method":"POST","path":"/functions/v1/f/a/b","env":"hello","user":"u1"}"#
    );
    assert_eq!(outcome.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_plain_value_becomes_json() {
    let function = host().deploy_source("export default () => ({ status: 404, list: [1, 'two', null] })").await;
    let outcome = function.get().await;
    assert_eq!(outcome.text(), r#"{"status":404,"list":[1,"two",null]}"#);
    assert_eq!(outcome.status(), 200);
}

#[tokio::test]
async fn deno_serve_takes_its_handler_in_every_form() {
    let calls = [
        "Deno.serve(handler)",
        "Deno.serve({ port: 1 }, handler)",
        "Deno.serve({ handler, onListen() {} })",
        "if (import.meta.main) Deno.serve(handler)",
        "serve(handler); await Promise.resolve()",
    ];
    for call in calls {
        let code = format!(
            "import {{ serve }} from 'https://deno.land/std@0.168.0/http/server.ts';
             const handler = async (req) => new Response(Deno.env.get('GREETING') + ' ' + req.method, {{ status: 201 }});
             {call};"
        );
        let imports: &[(&str, &str)] = &[("https://deno.land/std@0.168.0/http/server.ts", "caddis:std-http")];
        let function = host().deploy(&[("index.ts", &code, imports)]).await.expect(call);
        let outcome = function.get().await;
        assert_eq!((outcome.status(), outcome.text()), (201, "hello GET".to_owned()), "{call}");
    }
}

#[tokio::test]
async fn what_a_handler_returns_may_be_any_promise() {
    let results = [
        "Promise.resolve(7)",
        "new Promise((resolve) => setTimeout(resolve, 1, 7))",
        "({ then(resolve) { resolve(7) } })",
        // Begins when somebody asks for it.
        "new (class Lazy extends Promise { then(...reactions) { return Promise.resolve(7).then(...reactions) } })(() => {})",
        "new (class Plain extends Promise {})((resolve) => resolve(7))",
        "(globalThis.Promise = class {}, (async () => 7)())",
        "Promise.resolve(Promise.resolve(7))",
    ];
    for result in results {
        let function = host().deploy_source(&format!("export default () => {result}")).await;
        assert_eq!(function.get().await.text(), "7", "{result}");
    }
}

#[tokio::test]
async fn jobs_from_before_the_answer_run_before_it_and_a_chain_without_end_does_not_keep_it() {
    let code = "export default (_, ctx) => {
        Promise.resolve().then(() => ctx.waitUntil(new Promise((r) => setTimeout(r, 1)).then(() => console.log('seen'))));
        return Promise.resolve('ok');
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!((outcome.text(), outcome.state.log), ("\"ok\"".to_owned(), vec!["info: seen".to_owned()]));

    let code = "export default (_, ctx) => {
        for (let i = 0; i < 300; i += 1) queueMicrotask(() => { if (i === 299) ctx.waitUntil(Promise.resolve().then(() => console.log('last'))) });
        return Promise.resolve('ok');
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!((outcome.text(), outcome.state.log), ("\"ok\"".to_owned(), vec!["info: last".to_owned()]));

    let code = "export default async () => { (async () => { for (;;) await null; })(); return 'ok' }";
    assert_eq!(host().deploy_source(code).await.get().await.text(), "\"ok\"");
}

#[tokio::test]
async fn a_fetch_method_gets_request_env_and_context() {
    let function = host()
        .deploy_source(
            "export default { name: 'w', async fetch(request, env, ctx) {
               ctx.waitUntil(Promise.resolve().then(() => console.log('later')));
               return new Response(`${this.name} ${env.GREETING} ${process.env.GREETING}`);
             } }",
        )
        .await;
    let outcome = function.get().await;
    assert_eq!(outcome.text(), "w hello hello");
    assert_eq!(outcome.state.log, ["info: later"]);
}

#[tokio::test]
async fn a_function_named_handler_gets_a_plain_request_that_is_also_a_request() {
    let code = "async function handler(req) {
        const same = JSON.stringify(JSON.parse(req.body)) === JSON.stringify(await req.json());
        const sum = { same, user: req.user_id, id: req.headers['x-id'], got: req.headers.get('X-Id'), q: req.params.q, method: req.method };
        return { status: 202, headers: { 'X-Out': '1' }, body: JSON.stringify(sum) };
      }";
    for code in [code.to_owned(), format!("export {code}"), format!("{code}; globalThis.handler = handler; // last")] {
        let function = host().deploy_source(&code).await;
        for streamed in [false, true] {
            let call =
                Call { path: "/?q=7", user: true, streamed, headers: vec![("x-id", "42")], ..Call::post(r#"{"a":1}"#) };
            let outcome = function.call(call).await;
            assert_eq!(outcome.text(), r#"{"same":true,"user":"u1","id":"42","got":"42","q":"7","method":"POST"}"#);
            assert_eq!((outcome.status(), outcome.header("x-out")), (202, Some("1")));
        }
    }
}

#[tokio::test]
async fn modules_import_each_other_by_the_names_the_host_resolved() {
    let modules: [Source<'_>; 2] = [
        (
            "functions/a/index.ts",
            "import { cors } from '../_shared/cors.ts';
             export default async () => ({ cors, meta: import.meta.url, lazy: (await import('../_shared/cors.ts')).main });",
            &[("../_shared/cors.ts", "functions/_shared/cors.ts")],
        ),
        ("functions/_shared/cors.ts", "export const cors = 'yes'; export const main = import.meta.main;", &[]),
    ];
    let function = host().deploy(&modules).await.expect("deploys");
    assert_eq!(function.get().await.text(), r#"{"cors":"yes","meta":"file:///functions/a/index.ts","lazy":false}"#);
}

#[tokio::test]
async fn a_module_without_a_handler_and_a_missing_import_are_refused() {
    let (message, _) = host().deploy(&[("main.js", "export const x = 1", &[])]).await.err().expect("refused");
    assert!(message.contains("The module has no handler"), "{message}");
    let (message, _) =
        host().deploy(&[("main.js", "import 'lodash'; export default () => 1", &[])]).await.err().expect("refused");
    assert_eq!(message, "ReferenceError: Cannot find module 'lodash', imported by 'main.js'");
}
