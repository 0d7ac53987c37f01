//! The functions that the documentation of other platforms shows, unchanged but for the services they call.

use caddis_tests::{Server, Stub, stub};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::npm::WITH_REGISTRY;
use crate::start;

async fn deploy(server: &Server, name: &str, content: Value) {
    let mut body = json!({ "name": name, "enabled": true, "access": { "policy": "public" } });
    body.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn butterbase_hello_world() {
    let server = start().await;
    let code = "export default async function handler(req) {\n return new Response(JSON.stringify({ message: 'Hello!' }), {\n headers: { 'Content-Type': 'application/json' }\n });\n}";
    deploy(&server, "hello-world", json!({ "code": code })).await;
    let reply = server.anonymous().get("hello-world", "/").await.expect(StatusCode::OK);
    assert_eq!(
        (reply.header("content-type"), reply.json()),
        (vec!["application/json"], json!({ "message": "Hello!" }))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn butterbase_body_and_status() {
    let server = start().await;
    let code = "export default async function handler(req: Request, ctx: any): Promise<Response> {
const body = await req.json();
return new Response(JSON.stringify({ result: 'ok' }), {
status: 200,
headers: { 'Content-Type': 'application/json' }
});
}";
    deploy(&server, "f", json!({ "code": code })).await;
    let reply = server.anonymous().post("f", "/", &json!({ "input": "data" })).await;
    assert_eq!(reply.expect(StatusCode::OK).json(), json!({ "result": "ok" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn butterbase_orders_of_the_user() {
    let server = start().await;
    let schema = "export default async (req, ctx) => {
        await ctx.db.query('CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id TEXT, item TEXT)');
        await ctx.db.query(\"INSERT INTO orders (user_id, item) VALUES ('u1', 'tea'), ('u2', 'milk')\");
        await ctx.db.query('ALTER TABLE orders ENABLE ROW LEVEL SECURITY');
        await ctx.db.query('CREATE POLICY own ON orders FOR SELECT TO authenticated USING (user_id = auth.uid())');
        return new Response('ok');
    }";
    deploy(&server, "schema", json!({ "code": schema, "access": { "policy": "authenticated" } })).await;
    server.admin().get("schema", "/").await.expect(StatusCode::OK);
    let code = "export default async function handler(req: Request, ctx: any): Promise<Response> {
if (!ctx.user) {
return new Response('Unauthorized', { status: 401 });
}
// Automatically filtered to current user's orders (RLS enforced)
const orders = await ctx.db.query('SELECT * FROM orders');
return new Response(JSON.stringify(orders.rows), {
headers: { 'Content-Type': 'application/json' }
});
}";
    deploy(&server, "orders", json!({ "code": code })).await;
    assert_eq!(server.anonymous().get("orders", "/").await.status, StatusCode::UNAUTHORIZED);
    let user = server.anonymous().with_token(&server.admin().user_token(json!({ "sub": "u1" })).await);
    let own = user.get("orders", "/").await.expect(StatusCode::OK).json();
    assert_eq!(own, json!([{ "id": 1, "user_id": "u1", "item": "tea" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn butterbase_environment_and_fetch() {
    let service = Stub::start(|request| {
        let key = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        stub::answer(200, "text/plain", format!("{} {}", request.uri(), key.unwrap_or_default()))
    })
    .await;
    let server = Server::start(crate::options().flag("--allow-egress", service.address())).await;
    server.admin().set_secrets(json!({ "API_KEY": "secret123", "BASE_URL": service.url() })).await;
    let code = "export default async function handler(req: Request, ctx: any): Promise<Response> {
const apiKey = ctx.env.API_KEY;
const baseUrl = ctx.env.BASE_URL;
const response = await fetch(`${baseUrl}/data`, {
headers: { 'Authorization': `Bearer ${apiKey}` }
});
return new Response(await response.text());
}";
    deploy(&server, "f", json!({ "code": code })).await;
    assert_eq!(server.anonymous().get("f", "/").await.expect(StatusCode::OK).text(), "/data Bearer secret123");
}

#[tokio::test(flavor = "multi_thread")]
async fn fluxbase_send_email() {
    let server = start().await;
    let code = "async function handler(req) { const data = JSON.parse(req.body); return { status: 200, body: JSON.stringify({ sent: true }) }; }";
    deploy(&server, "send-email", json!({ "code": code })).await;
    let reply = server.anonymous().post("send-email", "/", &json!({ "to": "user@example.com" })).await;
    assert_eq!(reply.expect(StatusCode::OK).json(), json!({ "sent": true }));
}

/// A function directory of Supabase, with the module its functions share, and an `auth.getUser` that asks a service.
#[tokio::test(flavor = "multi_thread")]
async fn scalerocket_my_function() {
    let shared = r#"import { createClient } from "https://esm.sh/@supabase/supabase-js@2";

export const corsHeaders = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers":
    "authorization, x-client-info, apikey, content-type",
};

export const supabaseAdmin = createClient(
  Deno.env.get("SUPABASE_URL")!,
  Deno.env.get("SUPABASE_SERVICE_ROLE_KEY")!
);
"#;
    let code = r#"import { corsHeaders, supabaseAdmin } from "../_shared/supabase.ts";

Deno.serve(async (req) => {
  // Handle CORS preflight
  if (req.method === "OPTIONS") {
    return new Response("ok", { headers: corsHeaders });
  }

  try {
    // Verify the user's JWT
    const authHeader = req.headers.get("Authorization");
    if (!authHeader) throw new Error("No authorization header");

    const token = authHeader.replace("Bearer ", "");
    const { data: { user }, error: authError } = await supabaseAdmin.auth.getUser(token);
    if (authError || !user) {
      return new Response(
        JSON.stringify({ error: "Unauthorized" }),
        { status: 401, headers: { ...corsHeaders, "Content-Type": "application/json" } }
      );
    }

    // Parse request body
    const { someParam } = await req.json();

    // Your logic here
    const result = { message: `Hello ${user.email}`, someParam };

    return new Response(
      JSON.stringify(result),
      { status: 200, headers: { ...corsHeaders, "Content-Type": "application/json" } }
    );
  } catch (error) {
    return new Response(
      JSON.stringify({ error: error.message }),
      { status: 500, headers: { ...corsHeaders, "Content-Type": "application/json" } }
    );
  }
});
"#;
    let service = Stub::start(|request| {
        let known = request.headers().get("authorization").is_some_and(|value| value == "Bearer good");
        let user = r#"{"id": "u1", "aud": "authenticated", "email": "ada@example.com"}"#;
        let denied = r#"{"code": 403, "error_code": "bad_jwt", "msg": "invalid JWT"}"#;
        stub::answer(if known { 200 } else { 403 }, "application/json", if known { user } else { denied })
    })
    .await;
    let server = Server::start(WITH_REGISTRY.clone().flag("--allow-egress", service.address())).await;
    server.admin().set_secrets(json!({ "SUPABASE_URL": service.url(), "SUPABASE_SERVICE_ROLE_KEY": "service" })).await;
    let files = json!({
        "my-function/index.ts": code, "_shared/supabase.ts": shared,
        "package.json": crate::npm::locked("package.json"), "package-lock.json": crate::npm::locked("package-lock.json"),
    });
    deploy(&server, "my-function", json!({ "files": files, "entry": "my-function/index.ts" })).await;

    let preflight = server.anonymous().invoke(Method::OPTIONS, "my-function", "/").send().await.expect(StatusCode::OK);
    assert_eq!((preflight.header("access-control-allow-origin"), preflight.text()), (vec!["*"], "ok".to_owned()));
    let body = json!({ "someParam": "value" });
    let good = server.anonymous().with_token("good").post("my-function", "/", &body).await.expect(StatusCode::OK);
    assert_eq!(good.json(), json!({ "message": "Hello ada@example.com", "someParam": "value" }));
    assert_eq!(good.header("access-control-allow-origin"), ["*"]);
    let bad = server.anonymous().with_token("bad").post("my-function", "/", &body).await;
    assert_eq!((bad.status, bad.json()), (StatusCode::UNAUTHORIZED, json!({ "error": "Unauthorized" })));
    let none = server.anonymous().post("my-function", "/", &body).await;
    assert_eq!(
        (none.status, none.json()),
        (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "No authorization header" }))
    );
    assert_eq!(service.requests().iter().filter(|line| *line == "GET /auth/v1/user").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn butterbase_roles() {
    let server = start().await;
    let schema = "export default async (req, ctx) => {
        for (const sql of [
            'CREATE TABLE posts (id INTEGER PRIMARY KEY, author TEXT)', 'CREATE TABLE products (id INTEGER PRIMARY KEY, listed INTEGER)',
            \"INSERT INTO posts (author) VALUES ('some-user-uuid'), ('another')\", 'INSERT INTO products (listed) VALUES (1), (0)',
            'ALTER TABLE posts ENABLE ROW LEVEL SECURITY', 'ALTER TABLE products ENABLE ROW LEVEL SECURITY',
            'CREATE POLICY own ON posts TO authenticated USING (author = auth.uid())', 'CREATE POLICY listed ON products TO anon USING (listed)',
        ]) await ctx.db.query(sql);
        return new Response('ok');
    }";
    deploy(&server, "schema", json!({ "code": schema, "access": { "policy": "authenticated" } })).await;
    server.admin().get("schema", "/").await.expect(StatusCode::OK);
    let code = "export default async function handler(req: Request, ctx: any): Promise<Response> {
const userId = 'some-user-uuid';
// Runs as butterbase_user with RLS enforced
const userPosts = await ctx.db.asUser(userId, async (db) => {
const result = await db.query('SELECT * FROM posts');
return result.rows;
});
// Runs as butterbase_anon with RLS enforced
const publicProducts = await ctx.db.asAnon(async (db) => {
const result = await db.query('SELECT * FROM products');
return result.rows;
});
return new Response(JSON.stringify({ userPosts, publicProducts }), {
headers: { 'Content-Type': 'application/json' }
});
}";
    deploy(&server, "roles", json!({ "code": code })).await;
    let seen = server.anonymous().get("roles", "/").await.expect(StatusCode::OK).json();
    let expected =
        json!({ "userPosts": [{ "id": 1, "author": "some-user-uuid" }], "publicProducts": [{ "id": 1, "listed": 1 }] });
    assert_eq!(seen, expected);
}
