//! Programs and requests that are like most, and a host for them. What they use of the prelude is placed side by side.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceAny, ResourceType, Val};

use crate::Result;

/// A program and a request for it.
pub(crate) struct Program {
    pub(crate) code: &'static str,
    method: &'static str,
    body: &'static str,
}

/// Each handler shape, and what handlers do most: see `../README.md`.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        code: "export default async (request) => Response.json(await request.json())",
        method: "POST",
        body: r#"{"hello":"world","numbers":[1,2,3],"nested":{"yes":true,"text":"and more"}}"#,
    },
    Program {
        code: "Deno.serve(async (req) => {
            if (req.method === 'OPTIONS') return new Response('ok', { headers: { 'Access-Control-Allow-Origin': '*' } });
            try {
                const url = new URL(req.url);
                const name = url.searchParams.get('name') ?? url.pathname.split('/').pop();
                const token = req.headers.get('Authorization')?.replace('Bearer ', '');
                const text = await req.text();
                const data = { name, token: token?.length, lines: text.split('\\n').map((line) => line.trim()), at: new Date().toISOString() };
                return new Response(JSON.stringify({ data }), { status: 201, headers: { 'Content-Type': 'application/json', 'X-Id': crypto.randomUUID() } });
            } catch (error) {
                return new Response(JSON.stringify({ error: error.message }), { status: 500 });
            }
        });",
        method: "POST",
        body: "one\ntwo",
    },
    Program {
        code: "export default async function handler(req, ctx) {
            const { rows } = await ctx.db.query('SELECT * FROM t WHERE id = ?', [1]);
            console.log('rows', rows.length, ctx.env.NAME);
            if (!ctx.user) return new Response('no', { status: 401 });
            return { rows, user: ctx.user.id };
        }",
        method: "GET",
        body: "",
    },
    Program {
        code: "export default { async fetch(request, env, ctx) {
            const headers = new Headers(request.headers);
            headers.set('x-name', env.NAME ?? 'none');
            const bytes = new TextEncoder().encode(await request.text());
            return new Response(bytes, { headers });
        } }",
        method: "PUT",
        body: "text",
    },
    Program {
        code: "async function handler(req) {
            const data = JSON.parse(req.body || '{}');
            return { status: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...data, user: req.user_id }) };
        }
        globalThis.handler = handler;",
        method: "POST",
        body: r#"{"name":"Ada"}"#,
    },
];

impl Program {
    /// The request as the engine takes it.
    pub(crate) fn request(&self) -> Val {
        let headers = [
            ("host", "localhost:8080"),
            ("accept", "*/*"),
            ("authorization", "Bearer none"),
            ("content-length", "10"),
            ("content-type", "application/json"),
            ("user-agent", "none"),
        ];
        let headers = headers.map(|(name, value)| Val::Tuple(vec![text(name), bytes(value)])).to_vec();
        let body = match self.body {
            "" => Val::Variant("empty".to_owned(), None),
            body => Val::Variant("bytes".to_owned(), Some(Box::new(bytes(body)))),
        };
        record([
            ("method", text(self.method)),
            ("url", text("http://localhost:8080/functions/v1/name?name=Ada")),
            ("path-with-query", text("/?name=Ada")),
            ("headers", Val::List(headers)),
            ("body", body),
        ])
    }
}

/// A connection to a database that has one row.
struct Connection;

/// Implements the wall clock, which stands still.
pub(crate) fn stop_the_clock(linker: &mut Linker<()>) -> Result<()> {
    define(linker, "wasi:clocks/wall-clock@0.2.0", "now", || {
        record([("seconds", Val::U64(0)), ("nanoseconds", Val::U32(0))])
    })
}

/// Implements what else the programs use; nothing is random.
pub(crate) fn define_imports(linker: &mut Linker<()>) -> Result<()> {
    define(linker, "wasi:clocks/monotonic-clock@0.2.0", "now", || Val::U64(0))?;
    define(linker, "wasi:random/random@0.2.0", "get-random-u64", || Val::U64(1))?;
    define(linker, "wasi:random/random@0.2.0", "get-random-bytes", || Val::List(vec![Val::U8(1); 16]))?;
    define(linker, "caddis:function/env@0.1.0", "all", || {
        Val::List(vec![Val::Tuple(vec![text("NAME"), text("value")])])
    })?;
    define(linker, "caddis:function/env@0.1.0", "get", || Val::Option(Some(Box::new(text("value")))))?;
    define(linker, "caddis:function/user@0.1.0", "current", || Val::Option(None))?;
    linker.instance("caddis:function/log@0.1.0")?.func_new("write", |_, _, _, _| Ok(()))?;
    define_database(linker)
}

fn define_database(linker: &mut Linker<()>) -> Result<()> {
    let mut database = linker.instance("caddis:function/db@0.1.0")?;
    database.resource("connection", ResourceType::host::<Connection>(), |_, _| Ok(()))?;
    database.func_new("[constructor]connection", |mut store: StoreContextMut<'_, ()>, _, _, results| {
        let connection = ResourceAny::try_from_resource(Resource::<Connection>::new_own(1), &mut store)?;
        set(results, Val::Resource(connection));
        Ok(())
    })?;
    database.func_new_async("[method]connection.run", |mut store, _, arguments, results| {
        Box::new(async move {
            if let Some(Val::Resource(connection)) = arguments.first() {
                connection.resource_drop_async(&mut store).await?;
            }
            let row = Val::List(vec![value("integer", Val::S64(1)), value("text", text("Ada"))]);
            let rows = record([("columns", Val::List(vec![text("id"), text("name")])), ("rows", Val::List(vec![row]))]);
            let changes = record([("rows-affected", Val::U64(0)), ("last-insert-id", Val::S64(0))]);
            set(results, Val::Result(Ok(Some(Box::new(record([("rows", rows), ("changes", changes)]))))));
            Ok(())
        })
    })?;
    Ok(())
}

fn define(linker: &mut Linker<()>, interface: &str, name: &str, result: fn() -> Val) -> Result<()> {
    linker.instance(interface)?.func_new(name, move |_, _, _, results| {
        set(results, result());
        Ok(())
    })?;
    Ok(())
}

fn set(results: &mut [Val], value: Val) {
    if let Some(result) = results.first_mut() {
        *result = value;
    }
}

fn text(value: &str) -> Val {
    Val::String(value.to_owned())
}

fn bytes(value: &str) -> Val {
    Val::List(value.bytes().map(Val::U8).collect())
}

fn value(case: &str, value: Val) -> Val {
    Val::Variant(case.to_owned(), Some(Box::new(value)))
}

fn record<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}
