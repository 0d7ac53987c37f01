//! What Supabase's reference, its clients and its command line ask of the host, by its ids. The clients are the real ones, unmodified.

use caddis_tests::{Client, Options, Reply, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::node;
use crate::npm::WITH_REGISTRY;
use crate::{options, refused, start};

async fn deploy(app: &Client, name: &str, code: &str, policy: &str) {
    let body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": policy } });
    app.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

async fn project(app: &Client) -> Value {
    app.manage(Method::GET, "/project").send().await.expect(StatusCode::OK).json()
}

/// A script with a client of the app, which prints what `expression` gives.
async fn with_client(app: &Client, key: &str, expression: &str, more: &[(&str, &str)]) -> Value {
    let project = project(app).await;
    let script = format!(
        "import {{ createClient, FunctionsHttpError, FunctionsRelayError, FunctionsFetchError }} from '@supabase/supabase-js';
         import {{ FunctionsClient }} from '@supabase/functions-js';
         const {{ URL: url, KEY, TOKEN }} = process.env;
         // Node before 22 has no WebSocket of its own, and nothing here uses one.
         const options = {{ auth: {{ persistSession: false }}, realtime: {{ transport: class {{}} }} }};
         const supabase = createClient(url, KEY, options);
         const kind = (e) => [FunctionsHttpError, FunctionsRelayError, FunctionsFetchError].find((k) => e instanceof k)?.name;
         console.log(JSON.stringify(await ({expression})));"
    );
    let text = |name: &str| project[name].as_str().unwrap().to_owned();
    let (url, key) = (text("url"), text(key));
    let mut variables = vec![("URL", url.as_str()), ("KEY", &key)];
    variables.extend_from_slice(more);
    node::run(&node::packages("").await, &script, &variables).await
}

const ECHO: &str = "Deno.serve(async (req) => {
    const type = req.headers.get('content-type') ?? '';
    if (type.startsWith('multipart/form-data')) {
        const form = await req.formData();
        return Response.json({ text: form.get('text'), file: await form.get('file').text(), name: form.get('file').name });
    }
    if (type === 'application/octet-stream') {
        return new Response(new Uint8Array(await req.arrayBuffer()).reverse(), { headers: { 'content-type': type } });
    }
    return Response.json({ method: req.method, type, body: await req.text(), info: req.headers.has('x-client-info') });
});";

#[tokio::test(flavor = "multi_thread")]
async fn sb3_functions_have_supabase_s_address() {
    let server = start().await;
    deploy(&server.admin(), "my-function", ECHO, "public").await;
    let call = server.anonymous().call(Method::POST, "/functions/v1/my-function").body("x");
    assert_eq!(call.send().await.expect(StatusCode::OK).json()["body"], "x");
    let shop = server.admin().create_app("shop").await;
    deploy(&shop, "my-function", "Deno.serve((req) => new Response(new URL(req.url).pathname))", "public").await;
    let call = server.anonymous().call(Method::GET, "/projects/shop/functions/v1/my-function/a/b");
    assert_eq!(call.send().await.text(), "/projects/shop/functions/v1/my-function/a/b");
    let missing = server.anonymous().call(Method::GET, "/projects/none/functions/v1/f").send().await;
    refused(&missing, 404, "not_found", &["none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sb7_the_host_and_its_keys_are_in_the_environment() {
    let server = start().await;
    let shop = server.admin().create_app("shop").await;
    let code = "const at_top = Deno.env.get('SUPABASE_URL');
        const get = (name) => Deno.env.get(`SUPABASE_${name}`) ?? null;
        Deno.serve(() => Response.json([at_top, ...['URL', 'ANON_KEY', 'SERVICE_ROLE_KEY'].map(get),
            ...['PUBLISHABLE_KEYS', 'SECRET_KEYS'].map((name) => JSON.parse(get(name)))]))";
    for app in [&server.admin(), &shop] {
        deploy(app, "f", code, "public").await;
        let keys = project(app).await;
        let seen = app.get("f", "/").await.expect(StatusCode::OK);
        let url = &keys["url"];
        let (anon, service) = (&keys["anon_key"], &keys["service_role_key"]);
        assert_eq!(seen.json(), json!([url, url, anon, service, { "default": anon }, { "default": service }]));
        let record = app.execution("f", &seen).await;
        let result = record["result"].as_str().unwrap();
        assert!(result.contains(url.as_str().unwrap()), "{result}");
        assert!(!result.contains(keys["service_role_key"].as_str().unwrap()), "the key is a secret: {result}");
    }
    assert_eq!(project(&shop).await["url"], format!("http://{}/projects/shop", server.address()));
    assert_ne!(project(&shop).await["anon_key"], project(&server.admin()).await["anon_key"]);

    let admin = server.admin();
    admin.set_secrets(json!({ "SUPABASE_URL": "https://elsewhere.example" })).await;
    assert_eq!(admin.get("f", "/").await.json()[1], "https://elsewhere.example", "what somebody sets counts");
    admin.change("f", &json!({ "allow_env": false })).await.expect(StatusCode::OK);
    assert_eq!(admin.get("f", "/").await.json()[3], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_what_they_stand_for() {
    let server = start().await;
    let admin = server.admin();
    for policy in ["public", "key", "authenticated"] {
        deploy(&admin, policy, "export default (req, ctx) => ({ user: ctx.user ?? null })", policy).await;
    }
    let grouped = json!({ "name": "group", "code": "export default () => 'in'", "enabled": true,
        "access": { "policy": "group", "groups": ["x"] } });
    admin.manage(Method::POST, "/functions").json(&grouped).send().await.expect(StatusCode::CREATED);
    let keys = project(&admin).await;
    let user = admin.user_token(json!({ "sub": "u1" })).await;
    let shop = project(&server.admin().create_app("shop").await).await;
    for (token, expected) in [
        (None, [200, 401, 401, 401]),
        (keys["anon_key"].as_str(), [200, 200, 401, 401]),
        (Some(user.as_str()), [200, 200, 200, 403]),
        (keys["service_role_key"].as_str(), [200, 200, 200, 200]),
        (shop["anon_key"].as_str(), [200, 401, 401, 401]),
        (shop["service_role_key"].as_str(), [200, 401, 401, 401]),
    ] {
        let client = token.map_or_else(|| server.anonymous(), |token| server.anonymous().with_token(token));
        for (function, status) in ["public", "key", "authenticated", "group"].into_iter().zip(expected) {
            assert_eq!(client.get(function, "/").await.status.as_u16(), status, "{function} with {token:?}");
        }
    }
    let anon = server.anonymous().with_token(keys["anon_key"].as_str().unwrap());
    refused(&anon.get("authenticated", "/").await, 401, "unauthorized", &["anon", "key"]);
    let service = server.anonymous().with_token(keys["service_role_key"].as_str().unwrap());
    refused(&service.manage(Method::GET, "/functions").send().await, 401, "unauthorized", &["admin token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sb9_supabase_js_invokes_functions() {
    let server = start().await;
    let admin = server.admin();
    deploy(&admin, "echo", ECHO, "key").await;
    let json_body = "supabase.functions.invoke('echo', { body: { a: 1 } }).then(({ data, error }) => [data, error])";
    let seen = with_client(&admin, "anon_key", json_body, &[]).await;
    let expected = json!({ "method": "POST", "type": "application/json", "body": "{\"a\":1}", "info": true });
    assert_eq!(seen, json!([expected, null]));

    let form = "(async () => {
        const body = new FormData();
        body.append('text', 'héllo');
        body.append('file', new Blob(['of a file'], { type: 'text/plain' }), 'a.txt');
        return (await supabase.functions.invoke('echo', { body })).data;
    })()";
    let seen = with_client(&admin, "anon_key", form, &[]).await;
    assert_eq!(seen, json!({ "text": "héllo", "file": "of a file", "name": "a.txt" }));

    let blob = "supabase.functions.invoke('echo', { body: new Blob([new Uint8Array([1, 2, 255])]) })
        .then(async ({ data }) => [...new Uint8Array(await data.arrayBuffer())])";
    assert_eq!(with_client(&admin, "anon_key", blob, &[]).await, json!([255, 2, 1]));

    let get =
        "supabase.functions.invoke('echo', { method: 'GET', headers: { 'x-a': 'b' } }).then(({ data }) => data.method)";
    assert_eq!(with_client(&admin, "anon_key", get, &[]).await, "GET");
}

#[tokio::test(flavor = "multi_thread")]
async fn sb9_the_user_s_token_is_forwarded() {
    let server = start().await;
    let admin = server.admin();
    deploy(
        &admin,
        "me",
        "export default (req, ctx) => ({ id: ctx.user.id, header: req.headers.get('authorization') })",
        "authenticated",
    )
    .await;
    let token = admin.user_token(json!({ "sub": "u1" })).await;
    let invoke = "(async () => {
        supabase.functions.setAuth(TOKEN);
        return (await supabase.functions.invoke('me')).data;
    })()";
    let seen = with_client(&admin, "anon_key", invoke, &[("TOKEN", &token)]).await;
    assert_eq!(seen, json!({ "id": "u1", "header": format!("Bearer {token}") }));
}

#[tokio::test(flavor = "multi_thread")]
async fn sb9_errors_are_of_the_client_s_kinds() {
    // One function may not have the memory of all together, so a host this small is in trouble with it.
    let server = Server::start(options().flag("--guest-memory-mb", 64)).await;
    let admin = server.admin();
    deploy(&admin, "teapot", "Deno.serve(() => Response.json({ error: 'short' }, { status: 418 }))", "key").await;
    let http = "supabase.functions.invoke('teapot').then(async ({ data, error }) =>
        [data, kind(error), error.context.status, await error.context.json()])";
    assert_eq!(
        with_client(&admin, "anon_key", http, &[]).await,
        json!([null, "FunctionsHttpError", 418, { "error": "short" }])
    );
    let refused =
        "Promise.all(['missing', 'users'].map((name) => supabase.functions.invoke(name).then(async ({ error }) =>
        [kind(error), error.context.status, (await error.context.json()).code])))";
    deploy(&admin, "users", "Deno.serve(() => new Response())", "authenticated").await;
    assert_eq!(
        with_client(&admin, "anon_key", refused, &[]).await,
        json!([["FunctionsHttpError", 404, "not_found"], ["FunctionsHttpError", 401, "unauthorized"]])
    );
    let body = json!({ "name": "large", "enabled": true, "access": { "policy": "key" }, "memory_limit_mb": 256,
        "code": "Deno.serve(() => { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)) })" });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let relay = "supabase.functions.invoke('large').then(async ({ error }) => [kind(error), (await error.context.json()).code])";
    assert_eq!(with_client(&admin, "anon_key", relay, &[]).await, json!(["FunctionsRelayError", "overloaded"]));
    let fetch =
        "new FunctionsClient('http://127.0.0.1:1/functions/v1').invoke('teapot').then(({ error }) => kind(error))";
    assert_eq!(with_client(&admin, "anon_key", fetch, &[]).await, "FunctionsFetchError");
}

#[tokio::test(flavor = "multi_thread")]
async fn sb10_auth_get_user_says_whose_a_token_is() {
    let server = start().await;
    let app = server.admin().create_app("shop").await;
    let claims = json!({ "sub": "u1", "email": "ada@example.com", "app_metadata": { "plan": "pro" } });
    let token = app.user_token(claims).await;
    let ask = "supabase.auth.getUser(TOKEN).then(({ data, error }) =>
        [data.user && [data.user.id, data.user.email, data.user.role, data.user.app_metadata], error && [error.name, error.status, error.code]])";
    assert_eq!(
        with_client(&app, "service_role_key", ask, &[("TOKEN", &token)]).await,
        json!([["u1", "ada@example.com", "authenticated", { "plan": "pro" }], null])
    );
    let other = server.admin().user_token(json!({ "sub": "u1" })).await;
    assert_eq!(
        with_client(&app, "service_role_key", ask, &[("TOKEN", &other)]).await,
        json!([null, ["AuthApiError", 403, "bad_jwt"]])
    );
    let none = server.anonymous().call(Method::GET, "/auth/v1/user").send().await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(none.json()["error_code"], "no_authorization");
    let asked = server.anonymous().call(Method::OPTIONS, "/auth/v1/user").header("origin", "https://app.example.com");
    let asked = asked.header("access-control-request-method", "GET").header("access-control-request-headers", "apikey");
    let asked = asked.send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(
        (asked.header("access-control-allow-origin"), asked.header("access-control-allow-headers")),
        (vec!["*"], vec!["apikey"])
    );
    assert_eq!(none.header("access-control-allow-origin"), ["*"]);
    let post = server.anonymous().call(Method::POST, "/auth/v1/user").send().await;
    refused(&post, 405, "method_not_allowed", &[]);
}

/// The function of the reference, with its helper, as it is written there.
const REFERENCE: &str = r#"
import { corsHeaders, supabaseAdmin } from "../_shared/supabase.ts";
Deno.serve(async (req) => {
  if (req.method === "OPTIONS") return new Response("ok", { headers: corsHeaders });
  const json = (body, status) => new Response(JSON.stringify(body), { status, headers: { ...corsHeaders, "Content-Type": "application/json" } });
  try {
    const authHeader = req.headers.get("Authorization");
    if (!authHeader) throw new Error("No authorization header");
    const token = authHeader.replace("Bearer ", "");
    const { data: { user }, error: authError } = await supabaseAdmin.auth.getUser(token);
    if (authError || !user) return json({ error: "Unauthorized" }, 401);
    const { someParam } = await req.json();
    return json({ message: `Hello ${user.email}`, someParam }, 200);
  } catch (error) {
    return json({ error: error.message }, 500);
  }
});
"#;

const REFERENCE_HELPER: &str = r#"
import { createClient } from "https://esm.sh/@supabase/supabase-js@2";
export const corsHeaders = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "authorization, x-client-info, apikey, content-type",
};
export const supabaseAdmin = createClient(Deno.env.get("SUPABASE_URL")!, Deno.env.get("SUPABASE_SERVICE_ROLE_KEY")!);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn sb10_sb12_sb13_the_function_of_the_reference_runs_as_it_is() {
    let server = Server::start(WITH_REGISTRY.clone()).await;
    let admin = server.admin();
    let files = json!({ "my-function/index.ts": REFERENCE, "_shared/supabase.ts": REFERENCE_HELPER });
    let body = json!({ "name": "f", "files": files, "entry": "my-function/index.ts", "enabled": true, "access": { "policy": "key" } });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    let call = |token: &str| {
        server.anonymous().with_token(token).call(Method::POST, "/functions/v1/f").json(&json!({ "someParam": 7 }))
    };
    let with_cors = |reply: &Reply| {
        assert_eq!(reply.header("access-control-allow-origin"), ["*"], "{}", reply.text());
    };

    let user = admin.user_token(json!({ "sub": "u1", "email": "ada@example.com" })).await;
    let reply = call(&user).send().await.expect(StatusCode::OK);
    with_cors(&reply);
    assert_eq!(reply.json(), json!({ "message": "Hello ada@example.com", "someParam": 7 }));

    let anon = project(&admin).await["anon_key"].as_str().unwrap().to_owned();
    let reply = call(&anon).send().await.expect(StatusCode::UNAUTHORIZED);
    with_cors(&reply);
    assert_eq!(reply.json(), json!({ "error": "Unauthorized" }), "an anon key is nobody's");

    let preflight = |method: Method| {
        let call = server.anonymous().call(method, "/functions/v1/f").header("origin", "https://app.example.com");
        call.header("access-control-request-method", "POST")
    };
    let reply = preflight(Method::OPTIONS).send().await.expect(StatusCode::OK);
    with_cors(&reply);
    assert_eq!(reply.text(), "ok");
    assert_eq!(reply.header("access-control-allow-headers"), ["authorization, x-client-info, apikey, content-type"]);
    refused(&preflight(Method::POST).send().await, 401, "unauthorized", &[]);
    let bare = server.anonymous().call(Method::OPTIONS, "/functions/v1/f").send().await;
    refused(&bare, 401, "unauthorized", &[]);

    admin.change("f", &json!({ "access": { "policy": "public" } })).await.expect(StatusCode::OK);
    let reply = server.anonymous().call(Method::POST, "/functions/v1/f").send().await;
    with_cors(&reply);
    assert_eq!((reply.status.as_u16(), reply.json()), (500, json!({ "error": "No authorization header" })));
}

/// Responses as the reference has its functions send them.
const ENVELOPES: &str = r#"
const corsHeaders = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "authorization, x-client-info, apikey, content-type",
};
Deno.serve(async (req) => {
  if (req.method === "OPTIONS") return new Response("ok", { headers: corsHeaders });
  const headers = { ...corsHeaders, "Content-Type": "application/json" };
  try {
    const { name } = await req.json();
    if (!name) {
      return new Response(JSON.stringify({ error: "Invalid input", details: "Name is required" }), { status: 400, headers });
    }
    const result = { greeting: `Hello ${name.trim()}` };
    return new Response(JSON.stringify({ data: result }), { status: 200, headers });
  } catch {
    return new Response(JSON.stringify({ error: "Internal server error" }), { status: 500, headers });
  }
});
"#;

#[tokio::test(flavor = "multi_thread")]
async fn sb13_the_three_envelopes_arrive_as_the_reference_has_them() {
    let server = start().await;
    let admin = server.admin();
    deploy(&admin, "f", ENVELOPES, "key").await;
    let anon = project(&admin).await["anon_key"].as_str().unwrap().to_owned();
    let cases = [
        (json!({ "name": "Ada" }), 200, json!({ "data": { "greeting": "Hello Ada" } })),
        (json!({}), 400, json!({ "error": "Invalid input", "details": "Name is required" })),
        (json!({ "name": 7 }), 500, json!({ "error": "Internal server error" })),
    ];
    for (body, status, envelope) in &cases {
        let call = server.anonymous().with_token(&anon).call(Method::POST, "/functions/v1/f").json(body);
        let reply = call.header("origin", "https://app.example.com").send().await;
        assert_eq!((reply.status.as_u16(), &reply.json()), (*status, envelope));
        assert_eq!(reply.header("content-type"), ["application/json"]);
        assert_eq!(reply.header("access-control-allow-origin"), ["*"]);
    }
    // The page's own helper, on the client as it is.
    let call_api = "(async () => {
        async function callApi(functionName, body) {
            const { data, error } = await supabase.functions.invoke(functionName, { body });
            if (error) throw Object.assign(new Error(error.message || 'API call failed'), { cause: error });
            return data;
        }
        const seen = [];
        for (const body of [{ name: 'Ada' }, {}, { name: 7 }]) {
            try { seen.push(await callApi('f', body)); }
            catch (error) { seen.push([error.cause.context.status, await error.cause.context.json()]); }
        }
        return seen;
    })()";
    let [(_, _, fine), (_, _, invalid), (_, _, broken)] = cases;
    assert_eq!(with_client(&admin, "anon_key", call_api, &[]).await, json!([fine, [400, invalid], [500, broken]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_reaches_of_its_host_what_is_its_app_s_and_nothing_else() {
    let server = start().await;
    let admin = server.admin();
    let code = "Deno.serve(async (req) => {
        const { path, headers } = await req.json();
        try { const r = await fetch(Deno.env.get('SUPABASE_URL') + path, { headers }); return new Response(r.status); }
        catch (e) { return new Response('closed'); }
    });"
    .replace("new Response(r.status)", "new Response(String(r.status))");
    deploy(&admin, "f", &code, "public").await;
    deploy(&admin, "g", "Deno.serve(() => new Response('g', { status: 201 }))", "public").await;
    let ask = async |path: &str| admin.post("f", "/", &json!({ "path": path, "headers": {} })).await.text();
    assert_eq!(ask("/functions/v1/g").await, "201");
    assert_eq!(ask("/auth/v1/user").await, "401");
    for path in ["/api/v1/functions", "/healthz", "/v1/default/functions", "/functions/../api/v1/functions", "/metrics"]
    {
        assert_eq!(ask(path).await, "closed", "{path}");
    }
    let mirror = "Deno.serve((req) => new Response(null, { status: req.headers.has('x-forwarded-for') ? 500 : 204 }))";
    deploy(&admin, "mirror", mirror, "public").await;
    let posing = json!({ "path": "/functions/v1/mirror", "headers": { "x-forwarded-for": "192.0.2.1" } });
    assert_eq!(admin.post("f", "/", &posing).await.text(), "204", "a function is no proxy");
    admin.change("f", &json!({ "allow_net": false })).await.expect(StatusCode::OK);
    assert_eq!(ask("/functions/v1/g").await, "closed");
}

/// A host whose operator token the command line takes for one of Supabase's, and an app it takes for a project.
const ACCESS_TOKEN: &str = "sbp_0123456789abcdef0123456789abcdef01234567";
const REF: &str = "abcdefghijklmnopqrst";

fn with_access_token() -> Options {
    options().variable("CADDIS_ADMIN_TOKEN", ACCESS_TOKEN)
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(disposition, content): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--b--\r\n"
}

async fn deploy_form(admin: &Client, query: &str, parts: &[(&str, &str)]) -> Reply {
    let call = admin.call(Method::POST, &format!("/v1/projects/default/functions/deploy?{query}"));
    call.header("content-type", "multipart/form-data; boundary=b").body(form(parts)).send().await
}

const HELLO: (&str, &str) = (
    r#"name="file"; filename="supabase/functions/hello/index.ts""#,
    r#"import { greet } from "../_shared/greet.ts"; Deno.serve(async (req) => Response.json({ message: greet((await req.json()).name) }))"#,
);
const GREET: (&str, &str) = (
    r#"name="file"; filename="supabase/functions/_shared/greet.ts""#,
    "export const greet = (name: string) => `hello ${name}`;",
);
const METADATA: (&str, &str) = (
    r#"name="metadata""#,
    r#"{"entrypoint_path":"supabase/functions/hello/index.ts","import_map_path":"","static_patterns":[]}"#,
);

#[tokio::test(flavor = "multi_thread")]
async fn sb4_sources_are_deployed_as_the_command_line_sends_them() {
    let server = start().await;
    let admin = server.admin();
    let parts = [HELLO, GREET, METADATA];
    let made = deploy_form(&admin, "slug=hello", &parts).await.expect(StatusCode::CREATED).json();
    assert_eq!(
        (&made["slug"], &made["version"], &made["status"], &made["verify_jwt"]),
        (&json!("hello"), &json!(1), &json!("ACTIVE"), &json!(true))
    );
    let anon = project(&admin).await["anon_key"].as_str().unwrap().to_owned();
    let reply = server.anonymous().with_token(&anon).post("hello", "", &json!({ "name": "Ada" })).await;
    assert_eq!(reply.expect(StatusCode::OK).json(), json!({ "message": "hello Ada" }));
    refused(&server.anonymous().get("hello", "/").await, 401, "unauthorized", &[]);

    let checked = deploy_form(&admin, "slug=hello&bundleOnly=true", &parts).await.expect(StatusCode::OK);
    assert_eq!(checked.json()["slug"], "hello");
    let open = (METADATA.0, r#"{"entrypoint_path":"supabase/functions/hello/index.ts","verify_jwt":false}"#);
    let made = deploy_form(&admin, "slug=hello", &[HELLO, GREET, open]).await.expect(StatusCode::CREATED).json();
    assert_eq!((&made["version"], &made["verify_jwt"]), (&json!(2), &json!(false)));
    let again = deploy_form(&admin, "slug=hello", &parts).await.expect(StatusCode::CREATED).json();
    assert_eq!(again["verify_jwt"], false, "what is not said stays");

    let list = admin.call(Method::GET, "/v1/projects/default/functions").send().await.expect(StatusCode::OK).json();
    assert_eq!(list[0]["slug"], "hello");
    assert!(list[0]["created_at"].as_i64().unwrap() > 1_700_000_000_000, "{list}");
    let one = |method: Method| admin.call(method, "/v1/projects/default/functions/hello");
    let patched = one(Method::PATCH).json(&json!({ "verify_jwt": true })).send().await.expect(StatusCode::OK);
    assert_eq!(patched.json()["verify_jwt"], true);
    assert_eq!(one(Method::GET).send().await.expect(StatusCode::OK).json()["version"], 4);
    let body = admin.call(Method::GET, "/v1/projects/default/functions/hello/body").send().await.expect(StatusCode::OK);
    assert!(
        body.text().contains(GREET.1) && body.text().contains("supabase/functions/_shared/greet.ts"),
        "{}",
        body.text()
    );
    one(Method::DELETE).send().await.expect(StatusCode::OK);
    refused(&one(Method::GET).send().await, 404, "not_found", &["function"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_cannot_be_is_refused_by_name() {
    let server = start().await;
    let admin = server.admin();
    for (query, parts, words) in [
        ("slug=f", vec![HELLO, GREET], ["metadata", "missing"]),
        ("slug=f", vec![HELLO, GREET, METADATA, METADATA], ["metadata", "twice"]),
        ("slug=f", vec![GREET, METADATA], ["entry", "index.ts"]),
        ("slug=f", vec![HELLO, GREET, (METADATA.0, "{}")], ["metadata", "entrypoint_path"]),
        ("slug=a%20b", vec![HELLO, GREET, METADATA], ["query", "slug"]),
        ("slug=f", vec![(r#"name="file"; filename="../../etc/x.ts""#, ""), METADATA], ["files", ".."]),
    ] {
        refused(&deploy_form(&admin, query, &parts).await, 400, "invalid_request", &words);
    }
    let bundles = |method: Method, path: &str| {
        let call = admin.call(method, &format!("/v1/projects/default/functions{path}"));
        call.header("content-type", "application/vnd.denoland.eszip").body("ESZIP2.3").send()
    };
    for reply in [
        bundles(Method::POST, "?slug=f&name=f").await,
        bundles(Method::PUT, "").await,
        bundles(Method::PATCH, "/f").await,
    ] {
        refused(&reply, 415, "unsupported_media_type", &["eszip", "--use-api"]);
    }
    let anonymous = server.anonymous().call(Method::GET, "/v1/projects/default/functions").send().await;
    refused(&anonymous, 401, "unauthorized", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sb8_secrets_are_set_and_listed_by_their_digests() {
    let server = start().await;
    let admin = server.admin();
    let secrets = |method: Method, body: Value| admin.call(method, "/v1/projects/default/secrets").json(&body).send();
    let two = json!([{ "name": "MY_SECRET", "value": "planted-value" }, { "name": "OTHER", "value": "2" }]);
    secrets(Method::POST, two).await.expect(StatusCode::CREATED);
    deploy(&admin, "f", "Deno.serve(() => new Response(Deno.env.get('MY_SECRET') ?? 'unset'))", "public").await;
    assert_eq!(admin.get("f", "/").await.text(), "planted-value");
    let list = admin.call(Method::GET, "/v1/projects/default/secrets").send().await.expect(StatusCode::OK);
    assert!(!list.text().contains("planted-value"), "{}", list.text());
    assert_eq!(list.json()[0]["name"], "MY_SECRET");
    let digest: String =
        <sha2::Sha256 as sha2::Digest>::digest("planted-value").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(list.json()[0]["value"], digest);
    secrets(Method::DELETE, json!(["MY_SECRET"])).await.expect(StatusCode::OK);
    assert_eq!(admin.get("f", "/").await.text(), "unset");
    for (body, words) in [
        (json!([{ "name": "A B", "value": "x" }]), ["name", "A B"]),
        (json!([{ "name": "CADDIS_X", "value": "x" }]), ["CADDIS_", "reserved"]),
        (json!([{ "name": "A", "value": 7 }]), ["value", "string"]),
        (json!({ "A": "x" }), ["body", "array"]),
    ] {
        refused(&secrets(Method::POST, body).await, 400, "invalid_request", &words);
    }
}

/// The command line as npm has it for this kind of machine.
#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn supabase_s_command_line_deploys_lists_and_deletes() {
    let packages = node::packages("supabase-cli").await;
    let server = Server::start(with_access_token()).await;
    let app = server.admin().create_app(REF).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let url = format!("http://{}", server.address());
    let urls: String = ["api_url", "dashboard_url", "docs_url"].map(|name| format!("{name}: {url}\n")).concat();
    write("profile.yaml", &format!("name: caddis\n{urls}project_host: 127.0.0.1\n"));
    write("supabase/config.toml", &format!("project_id = \"{REF}\"\n"));
    for (disposition, text) in [HELLO, GREET] {
        write(disposition.split('"').nth(3).unwrap(), text);
    }
    let supabase = async |arguments: &str| {
        let mut command =
            tokio::process::Command::new(packages.join("node_modules/@supabase/cli-linux-x64/bin/supabase"));
        command.args(["--profile", "profile.yaml", "--agent", "no", "--yes"]).args(arguments.split(' '));
        command.arg(format!("--remote={REF}")).current_dir(folder.path()).env("HOME", folder.path());
        for (name, value) in
            [("SUPABASE_ACCESS_TOKEN", ACCESS_TOKEN), ("SUPABASE_TELEMETRY_DISABLED", "1"), ("DO_NOT_TRACK", "1")]
        {
            command.env(name, value);
        }
        let output =
            caddis_tests::within_patience("the command to end", command.output()).await.expect("it is installed");
        let [printed, complaints] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "supabase {arguments}: {printed}\n{complaints}");
        printed
    };
    supabase("functions deploy hello --use-api").await;
    let anon = project(&app).await["anon_key"].as_str().unwrap().to_owned();
    let reply = app.with_token(&anon).post("hello", "", &json!({ "name": "Ada" })).await;
    assert_eq!(reply.expect(StatusCode::OK).json(), json!({ "message": "hello Ada" }));
    let list = supabase("functions list").await;
    assert!(list.contains("hello") && list.contains("ACTIVE"), "{list}");
    supabase("secrets set MY_SECRET=value").await;
    assert!(supabase("secrets list").await.contains("MY_SECRET"));
    supabase("secrets unset MY_SECRET").await;
    assert!(!supabase("secrets list").await.contains("MY_SECRET"));
    assert!(supabase("projects api-keys").await.contains("service_role"));
    std::fs::remove_dir_all(folder.path().join("supabase/functions")).unwrap();
    supabase("functions download hello --use-api").await;
    let downloaded = std::fs::read_to_string(folder.path().join("supabase/functions/hello/index.ts")).unwrap();
    assert_eq!(downloaded.trim(), HELLO.1);
    supabase("functions delete hello").await;
    assert!(!supabase("functions list").await.contains("ACTIVE"));
}
