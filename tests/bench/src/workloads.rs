//! What is asked of each server, and the programs that answer it.

/// Requests of one kind. With several paths, each is asked for in turn.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) paths: Vec<String>,
    pub(crate) body: Option<String>,
}

impl Call {
    pub(crate) fn get(path: &str) -> Self {
        Self { paths: vec![path.to_owned()], body: None }
    }

    pub(crate) fn post(path: &str, body: &str) -> Self {
        Self { paths: vec![path.to_owned()], body: Some(body.to_owned()) }
    }
}

/// What is sent to be echoed.
pub(crate) const JSON: &str =
    r#"{"hello":"world","numbers":[1,2,3],"nested":{"yes":true,"text":"some forty bytes of it, or a few more"}}"#;

/// (a) The same function for Caddis, deno and workerd, each in its own form.
pub(crate) const ECHO: &str = "async (request) => Response.json(await request.json())";

/// (c) A point read by key.
pub(crate) const READ: &str = "export default async (request, ctx) => {
    const { rows } = await ctx.db.query('SELECT id, name, price FROM items WHERE id = ?', [1 + Math.floor(Math.random() * 10000)]);
    return Response.json(rows[0]);
};";

/// Makes the table of (c).
pub(crate) const FILL: &str = "export default async (request, ctx) => {
    await ctx.db.query('CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL)');
    await ctx.db.query(\"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT OR REPLACE INTO items SELECT i, 'item ' || i, i * 1.5 FROM n\");
    return new Response('ok');
};";

/// (d) A page of some 100 kB.
pub(crate) const PAGE: &str = "const escape = (text) => text.replace(/[&<>\"]/g, (c) => `&#${c.charCodeAt(0)};`);
const row = (n) => `<tr class=\"row-${n % 2}\"><td>${n}</td><td>${escape('Product <' + n + '>')}</td><td>${(n * 1.25).toFixed(2)} EUR</td><td><a href=\"/products/${n}\">show</a></td></tr>`;
const page = () => `<!doctype html><title>Products</title><table>${Array.from({ length: 900 }, (_, n) => row(n)).join('\\n')}</table>`;
const answer = () => new Response(page(), { headers: { 'content-type': 'text/html; charset=utf-8' } });";

/// (e) Nothing but computing.
pub(crate) const FIB: &str = "const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2));
const answer = () => new Response(String(fib(25)));";

/// (f) A hundred server-sent events.
pub(crate) const EVENTS: &str = "const encoder = new TextEncoder();
const answer = () => {
    let sent = 0;
    return new Response(new ReadableStream({ pull(controller) {
        if (sent === 100) return controller.close();
        sent += 1;
        controller.enqueue(encoder.encode(`data: ${sent}\\n\\n`));
    } }), { headers: { 'content-type': 'text/event-stream' } });
};";
