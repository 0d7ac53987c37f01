//! Packages as they are on npm, in functions: each is fetched by its name through the registry that npm is configured with on this
//! machine, at the version of `tests/packages/package-lock.json`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use caddis_tests::{Options, Reply, Server, Stub, stub};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::options;

/// What npm is configured with, unless it is the default.
fn configured(key: &str) -> Option<String> {
    let output = Command::new("npm").args(["config", "get", key]).stderr(Stdio::null()).output().ok()?;
    let value = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!matches!(value.as_str(), "" | "null" | "undefined")).then_some(value)
}

/// Options with npm's registry, and whom npm trusts to be it.
pub(crate) static WITH_REGISTRY: LazyLock<Options> = LazyLock::new(|| {
    let flags = [("--npm-registry", "registry"), ("--npm-ca", "cafile")];
    let set = flags.into_iter().filter_map(|(flag, key)| Some((flag, configured(key)?)));
    set.fold(options(), |options, (flag, value)| options.flag(flag, value))
});

pub(crate) fn locked(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/packages").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Deploys a function with the packages of the lock file.
async fn deploy(server: &Server, code: &str) -> Value {
    let files = json!({
        "index.ts": code, "package.json": locked("package.json"), "package-lock.json": locked("package-lock.json")
    });
    let body = json!({"name": "f", "files": files, "enabled": true, "access": {"policy": "public"}});
    let reply = server.admin().manage(Method::POST, "/functions").json(&body).send().await;
    reply.expect(StatusCode::CREATED).json()
}

async fn with_registry() -> Server {
    Server::start(WITH_REGISTRY.clone()).await
}

/// What a function of this code answers to a GET.
async fn get(code: &str, path: &str) -> Reply {
    let server = with_registry().await;
    deploy(&server, code).await;
    server.anonymous().get("f", path).await
}

/// The JSON that an expression gives, with these imports.
async fn value(imports: &str, expression: &str) -> Value {
    let code = format!("{imports}\nexport default async () => Response.json(await ({expression}));");
    get(&code, "/").await.expect(StatusCode::OK).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn hono_routes() {
    let code = "import { Hono } from 'hono'; import { cors } from 'hono/cors'; import { HTTPException } from 'hono/http-exception';
        const app = new Hono().basePath('/functions/v1/f');
        app.use('*', cors());
        app.get('/books/:id', (c) => c.json({ id: c.req.param('id'), page: c.req.query('page') }));
        app.post('/books', async (c) => c.json(await c.req.json(), 201));
        app.get('/secret', () => { throw new HTTPException(403, { message: 'no' }) });
        Deno.serve(app.fetch);";
    let server = with_registry().await;
    let function = deploy(&server, code).await;
    assert_eq!(function["packages"][0]["name"], "hono", "{function}");
    let client = server.anonymous();
    let book = client.get("f", "/books/7?page=2").await;
    assert_eq!(book.json(), json!({"id": "7", "page": "2"}));
    assert_eq!(book.header("access-control-allow-origin"), ["*"]);
    let created = client.post("f", "/books", &json!({"title": "a"})).await.expect(StatusCode::CREATED);
    assert_eq!(created.json(), json!({"title": "a"}));
    assert_eq!(client.get("f", "/secret").await.status, StatusCode::FORBIDDEN);
    assert_eq!(client.get("f", "/nowhere").await.status, StatusCode::NOT_FOUND);
}

/// As the README advises: Hono builds its router when it first matches, and what is built at top level is in the image.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_of_hono_can_be_built_once_for_all_requests() {
    let server = with_registry().await;
    let fuel = async |build: &str| {
        let code = format!(
            "import {{ Hono }} from 'hono';
             const app = new Hono().basePath('/functions/v1/f').get('/', (c) => c.text('all')).get('/books/:id', (c) => c.text(c.req.param('id')));
             {build}
             export default app;"
        );
        deploy(&server, &code).await;
        let reply = server.anonymous().get("f", "/books/7").await.expect(StatusCode::OK);
        assert_eq!(reply.text(), "7");
        let fuel = server.admin().execution("f", &reply).await["fuel"].as_u64().unwrap();
        server.admin().manage(Method::DELETE, "/functions/f").send().await;
        fuel
    };
    let (each, once) = (fuel("").await, fuel("app.router.match('GET', '/');").await);
    assert!(once * 4 < each, "{once} instead of {each}");
}

#[tokio::test(flavor = "multi_thread")]
async fn zod_validates() {
    let imports = "import { z } from 'https://esm.sh/zod@4.6.7?target=deno';
        const User = z.object({ name: z.string().min(2), age: z.coerce.number().int(), mail: z.email() });";
    let good = "{ name: 'Ada', age: '36', mail: 'ada@example.com' }";
    let bad = "{ name: 'A', age: 1.5, mail: 'x' }";
    let checks = format!(
        "[User.parse({good}), User.safeParse({bad}).error.issues.map((i) => i.path[0]), z.toJSONSchema(User).required]"
    );
    assert_eq!(
        value(imports, &checks).await,
        json!([
            {"name": "Ada", "age": 36, "mail": "ada@example.com"}, ["name", "age", "mail"], ["name", "age", "mail"]
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jose_signs_and_verifies() {
    let imports = "import { SignJWT, jwtVerify } from 'jsr:@panva/jose@6';
        const key = new TextEncoder().encode('a secret that is long enough, really');
        const token = (key, alg) => new SignJWT({ role: 'admin' }).setProtectedHeader({ alg }).setSubject('u1')
          .setIssuedAt().setExpirationTime('2h').sign(key);";
    let round = "jwtVerify(await token(key, 'HS256'), key).then(({ payload }) => [payload.sub, payload.role])";
    assert_eq!(value(imports, round).await, json!(["u1", "admin"]));
    let imports = format!("{imports} import {{ generateKeyPair }} from 'jose';");
    let round = "Promise.all(['RS256', 'ES256', 'EdDSA'].map(async (alg) => {
        const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
        const { payload, protectedHeader } = await jwtVerify(await token(privateKey, alg), publicKey);
        const other = await generateKeyPair(alg);
        const forged = await jwtVerify(await token(other.privateKey, alg), publicKey).catch((error) => error.code);
        return [protectedHeader.alg, payload.sub, forged];
    }))";
    let forged = "ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
    let expected = json!([["RS256", "u1", forged], ["ES256", "u1", forged], ["EdDSA", "u1", forged]]);
    assert_eq!(value(&imports, round).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn uuid_makes_and_parses() {
    let imports = "import { v4, v5, v7, validate, version } from 'npm:uuid'; import { NIL } from 'uuid';";
    let checks = "[validate(v4()), version(v7()), v4() === v4(), v5('www.example.com', v5.DNS), NIL]";
    let expected =
        json!([true, 7, false, "2ed6657d-e927-568b-95e1-2665a8aea6a2", "00000000-0000-0000-0000-000000000000"]);
    assert_eq!(value(imports, checks).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn nanoid_makes_names() {
    let imports = "import { nanoid, customAlphabet } from 'nanoid';";
    let checks = "[nanoid().length, nanoid() === nanoid(), /^[ab]{9}$/.test(customAlphabet('ab', 9)())]";
    assert_eq!(value(imports, checks).await, json!([21, false, true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn date_fns_reckons() {
    let imports = "import { addMonths, differenceInCalendarDays, format, formatDistance, parseISO } from 'date-fns';
        import { de } from 'date-fns/locale/de';
        const day = parseISO('2024-01-31T12:00:00Z');";
    let checks = "[format(addMonths(day, 1), 'yyyy-MM-dd'), differenceInCalendarDays(parseISO('2024-03-01'), day),
        format(day, 'EEEE, d. MMMM', { locale: de }), formatDistance(day, addMonths(day, 1))]";
    let expected = json!(["2024-02-29", 30, "Mittwoch, 31. Januar", "29 days"]);
    assert_eq!(value(imports, checks).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn lodash_es_arranges() {
    let imports =
        "import { chunk, debounce, groupBy, merge } from 'lodash-es'; import isEqual from 'lodash-es/isEqual.js';";
    let checks = "[chunk([1, 2, 3], 2), groupBy(['a', 'bb', 'c'], 'length'), merge({ a: { b: 1 } }, { a: { c: 2 } }),
        isEqual({ a: [1] }, { a: [1] }), typeof debounce]";
    let expected = json!([[[1, 2], [3]], {"1": ["a", "c"], "2": ["bb"]}, {"a": {"b": 1, "c": 2}}, true, "function"]);
    assert_eq!(value(imports, checks).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn marked_renders() {
    let html =
        value("import { marked } from 'marked';", "marked.parse('# A\\n\\n- *b* `c`\\n\\n|x|\\n|-|\\n|1|')").await;
    let html = html.as_str().unwrap();
    for part in ["<h1>A</h1>", "<li><em>b</em> <code>c</code></li>", "<td>1</td>"] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_reads_and_writes() {
    let imports = "import { parse, stringify } from 'yaml';";
    let checks = "[parse('a: &x [1, two]\\nb: *x\\nc: |\\n  d\\n'), stringify({ a: [1, 'two: x'] })]";
    let expected = json!([{"a": [1, "two"], "b": [1, "two"], "c": "d\n"}, "a:\n  - 1\n  - \"two: x\"\n"]);
    assert_eq!(value(imports, checks).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn ajv_compiles_schemas() {
    let imports = "import Ajv from 'ajv'; const ajv = new Ajv({ allErrors: true });
        const check = ajv.compile({ type: 'object', properties: { a: { type: 'integer', minimum: 2 }, b: { const: 1 } }, required: ['b'] });
        const errors = (value) => check(value) ? [] : check.errors.map((e) => e.keyword);";
    assert_eq!(
        value(imports, "[errors({ a: 2, b: 1 }), errors({ a: 1 })]").await,
        json!([[], ["required", "minimum"]])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn valibot_validates() {
    let imports = "import * as v from 'valibot'; const S = v.object({ n: v.pipe(v.string(), v.minLength(2)) });";
    let checks = "[v.parse(S, { n: 'ab' }), v.safeParse(S, { n: 'a' }).success]";
    assert_eq!(value(imports, checks).await, json!([{"n": "ab"}, false]));
}

#[tokio::test(flavor = "multi_thread")]
async fn drizzle_builds_queries_for_the_database() {
    let code = "import { drizzle } from 'drizzle-orm/sqlite-proxy';
        import { sqliteTable, text, integer } from 'drizzle-orm/sqlite-core';
        import { and, eq, gt, sql } from 'drizzle-orm';
        const notes = sqliteTable('notes', { id: integer('id').primaryKey(), title: text('title').notNull(), stars: integer('stars').default(0) });
        export default async (req, ctx) => {
          const db = drizzle(async (query, params, method) => {
            const { rows, columns } = await ctx.db.query(query, params);
            const values = rows.map((row) => columns.map((name) => row[name]));
            return { rows: method === 'get' ? values[0] : values };
          });
          await db.run(sql`CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, stars INTEGER)`);
          await db.insert(notes).values([{ title: 'a', stars: 3 }, { title: 'b', stars: 5 }]);
          await db.update(notes).set({ stars: sql`${notes.stars} + 1` }).where(eq(notes.title, 'a'));
          const query = db.select({ title: notes.title, stars: notes.stars }).from(notes).where(and(gt(notes.stars, 3), eq(notes.title, 'a')));
          return Response.json([query.toSQL(), await query]);
        };";
    let server = with_registry().await;
    deploy(&server, code).await;
    let reply = server.anonymous().get("f", "/").await.expect(StatusCode::OK).json();
    assert_eq!(reply[1], json!([{"title": "a", "stars": 4}]));
    assert_eq!(reply[0]["params"], json!([3, "a"]));
    assert!(
        reply[0]["sql"].as_str().unwrap().starts_with("select \"title\", \"stars\" from \"notes\" where"),
        "{reply}"
    );
}

/// A server whose functions may call a stub.
async fn with_service(service: &Stub) -> Server {
    Server::start(WITH_REGISTRY.clone().flag("--allow-egress", service.address())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn supabase_js_selects() {
    let service = Stub::start(|request| {
        let authorized = request.headers().get("apikey").is_some_and(|key| key == "anon-key");
        stub::answer(if authorized { 200 } else { 401 }, "application/json", r#"[{"id": 1, "name": "Ada"}]"#)
    })
    .await;
    let code = format!(
        "import 'jsr:@supabase/functions-js/edge-runtime.d.ts';
         import {{ createClient }} from 'jsr:@supabase/supabase-js@2';
         const supabase = createClient('{}', 'anon-key');
         Deno.serve(async () => {{
           const {{ data, error }} = await supabase.from('people').select('id, name').eq('name', 'Ada').order('id').limit(5);
           return Response.json({{ data, error }});
         }});",
        service.url()
    );
    let server = with_service(&service).await;
    deploy(&server, &code).await;
    let reply = server.anonymous().get("f", "/").await.expect(StatusCode::OK);
    assert_eq!(reply.json(), json!({"data": [{"id": 1, "name": "Ada"}], "error": null}));
    assert_eq!(service.requests(), ["GET /rest/v1/people?select=id%2Cname&name=eq.Ada&order=id.asc&limit=5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_checks_the_signature_of_a_webhook() {
    let code = "import Stripe from 'https://esm.sh/stripe@23.1.0?target=denonext&no-check';
        const stripe = new Stripe('sk_test_x', { httpClient: Stripe.createFetchHttpClient() });
        const provider = Stripe.createSubtleCryptoProvider();
        Deno.serve(async (req) => {
          const body = await req.text();
          const signature = req.headers.get('stripe-signature') ?? await stripe.webhooks.generateTestHeaderStringAsync(
            { payload: body, secret: 'whsec_x', cryptoProvider: provider });
          try {
            const event = await stripe.webhooks.constructEventAsync(body, signature, 'whsec_x', undefined, provider);
            return Response.json({ type: event.type });
          } catch (error) {
            return new Response(error.type, { status: 400 });
          }
        });";
    let server = with_registry().await;
    deploy(&server, code).await;
    let client = server.anonymous();
    let event = json!({"id": "evt_1", "object": "event", "type": "invoice.paid"});
    assert_eq!(client.post("f", "/", &event).await.expect(StatusCode::OK).json(), json!({"type": "invoice.paid"}));
    let forged =
        client.invoke(Method::POST, "f", "/").header("stripe-signature", "t=1,v1=00").json(&event).send().await;
    assert_eq!((forged.status.as_u16(), forged.text().as_str()), (400, "StripeSignatureVerificationError"));
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_streams_a_completion() {
    let service = Stub::start(|request| {
        let chunk = |text: &str| {
            let delta = json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
            format!("data: {delta}\n\n")
        };
        let asked: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!((&asked["stream"], &asked["messages"][0]["content"]), (&json!(true), &json!("hi")));
        let events = format!("{}{}data: [DONE]\n\n", chunk("Hel"), chunk("lo"));
        stub::answer(200, "text/event-stream", events)
    })
    .await;
    let code = format!(
        "import OpenAI from 'https://deno.land/x/openai@v6.49.0/mod.ts';
         const openai = new OpenAI({{ apiKey: 'sk-x', baseURL: '{}/v1' }});
         Deno.serve(async () => {{
           const stream = await openai.chat.completions.create({{ model: 'm', stream: true, messages: [{{ role: 'user', content: 'hi' }}] }});
           const parts = [];
           for await (const event of stream) parts.push(event.choices[0].delta.content);
           return Response.json(parts);
         }});",
        service.url()
    );
    let server = with_service(&service).await;
    deploy(&server, &code).await;
    assert_eq!(server.anonymous().get("f", "/").await.expect(StatusCode::OK).json(), json!(["Hel", "lo"]));
    assert_eq!(service.requests(), ["POST /v1/chat/completions"]);
}

/// Packages written for Node.js, which require its modules.
mod for_node {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn jsonwebtoken_signs_and_verifies() {
        let imports = "import jwt from 'jsonwebtoken'; import { generateKeyPairSync } from 'node:crypto';
            const encodings = { publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } };
            const rsa = generateKeyPairSync('rsa', { modulusLength: 2048, ...encodings });
            const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
            const round = (algorithm, secret, open) => jwt.verify(jwt.sign({ algorithm }, secret, { algorithm, expiresIn: '1h' }), open).algorithm;
            const code = (f) => { try { return f() } catch (error) { return error.message } };";
        let checks = "[round('HS256', 's', 's'), round('RS256', rsa.privateKey, rsa.publicKey), round('PS256', rsa.privateKey, rsa.publicKey),
            round('ES256', ec.privateKey, ec.publicKey), code(() => jwt.verify(jwt.sign({}, 'a'), 'b')), code(() => jwt.verify(jwt.sign({}, 'a', { expiresIn: -1 }), 'a'))]";
        let expected = json!(["HS256", "RS256", "PS256", "ES256", "invalid signature", "jwt expired"]);
        assert_eq!(value(imports, checks).await, expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bcryptjs_hashes() {
        let imports = "import bcrypt from 'bcryptjs'; const known = '$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie';";
        let checks = "[bcrypt.compareSync('correctbatteryhorsestapler', known), await bcrypt.compare('pw', await bcrypt.hash('pw', 4)), bcrypt.compareSync('x', known)]";
        assert_eq!(value(imports, checks).await, json!([true, true, false]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn iconv_lite_decodes() {
        let imports = "import iconv from 'iconv-lite';";
        let checks = "[iconv.decode(Buffer.from([0x82, 0xa0]), 'shift_jis'), iconv.encode('é€', 'win1252').toString('hex'), iconv.decode(iconv.encode('日本', 'euc-jp'), 'euc-jp')]";
        assert_eq!(value(imports, checks).await, json!(["あ", "e980", "日本"]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn templates_are_filled_in() {
        let imports = "import Handlebars from 'handlebars'; import ejs from 'ejs'; import qs from 'qs';";
        let checks = "[Handlebars.compile('{{#each xs}}<{{this}}>{{/each}}')({ xs: ['a', '&'] }), ejs.render('<% for (const x of xs) { %><%= x %>;<% } %>', { xs: ['a', '<'] }), qs.parse('a[b][]=1').a.b]";
        assert_eq!(value(imports, checks).await, json!(["<a><&amp;>", "a;&lt;;", ["1"]]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn busboy_and_csv_parse_read_streams() {
        let imports = "import busboy from 'busboy'; import { parse } from 'csv-parse'; import { Readable } from 'node:stream';
            async function fields() {
              const form = new FormData(); form.append('a', '1'); form.append('f', new File(['data'], 'x.txt'));
              const sent = new Response(form);
              const reader = busboy({ headers: Object.fromEntries(sent.headers) });
              const seen = [];
              reader.on('field', (name, value) => seen.push([name, value]));
              reader.on('file', (name, file, { filename }) => file.on('data', (data) => seen.push([name, String(data), filename])));
              const done = new Promise((resolve) => reader.on('close', resolve));
              Readable.fromWeb(sent.body).pipe(reader);
              await done;
              return seen;
            }
            const rows = async () => { const all = []; for await (const row of Readable.from(['a,b\\n1,', '2\\n']).pipe(parse({ columns: true }))) all.push(row); return all };";
        let expected = json!([[["a", "1"], ["f", "data", "x.txt"]], [{"a": "1", "b": "2"}]]);
        assert_eq!(value(imports, "[await fields(), await rows()]").await, expected);
    }
}
